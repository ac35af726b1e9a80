/* A library that is loaded while its process is sampled. */
static volatile unsigned long sink;

__attribute__((noinline)) static void plugin_leaf(void) {
    for (unsigned long i = 0; i < 100000; i++)
        sink += i * sink;
}

void plugin(void) { plugin_leaf(); sink++; }
