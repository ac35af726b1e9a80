// Deep stacks of C++ that compute, allocate and sort, without frame pointers.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <string>
#include <thread>
#include <vector>

static std::atomic<unsigned long> sink;

__attribute__((noinline)) static unsigned long sums(unsigned long rounds)
{
	unsigned long value = rounds;
	for (unsigned long i = 0; i < rounds; i++)
		value = value * 6364136223846793005UL + 1;
	return value;
}

__attribute__((noinline)) static unsigned long strings(int count)
{
	std::map<std::string, std::vector<double>> all;
	for (int i = 0; i < count; i++)
		all["key " + std::to_string(i * 7919 % 1000)].push_back(std::sqrt((double)i));
	std::vector<std::string> keys;
	for (auto &pair : all)
		keys.push_back(pair.first);
	std::sort(keys.begin(), keys.end(), [](auto &a, auto &b) { return a.back() < b.back(); });
	return keys.size();
}

template <int N> __attribute__((noinline)) static unsigned long level(unsigned long seed)
{
	unsigned long value;
	if constexpr (N == 0)
		value = seed % 3 ? sums(20000) : strings(200);
	else
		value = level<N - 1>(seed + N);
	sink += value;
	return value + 1;
}

static void work()
{
	for (unsigned long seed = 0;; seed++)
		sink += level<24>(seed);
}

int main()
{
	std::thread other(work);
	work();
}
