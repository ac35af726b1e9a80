// C++ that does little but throw and catch, through frames with objects to destroy.
#include <stdexcept>
#include <string>

static volatile unsigned long caught;

struct Guard {
	std::string name;
	~Guard() { caught = caught + name.size() % 2; }
};

template <int N> __attribute__((noinline)) static void level(unsigned long seed)
{
	Guard guard{std::to_string(seed + N)};
	if constexpr (N == 0)
		throw std::runtime_error(guard.name);
	else
		level<N - 1>(seed);
	caught = caught + 1;
}

int main()
{
	for (unsigned long seed = 0;; seed++) {
		try {
			level<12>(seed);
		} catch (const std::exception &error) {
			caught = caught + error.what()[0];
		}
	}
}
