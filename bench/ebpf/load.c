/* A process of the load: without an argument it uses a core; with one, a share of it in thousandths,
   in pieces of 0.5 ms between sleeps. Its stacks are 24 frames deep, without frame pointers. PROGRAM
   makes it another program, with a build id and a table of its own. */
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

#define LEVEL(name, next)                                                                          \
    __attribute__((noinline)) static unsigned long name(unsigned long count) {                     \
        volatile unsigned long room[4] = {count, PROGRAM};                                         \
        sink += next(count + room[1] - PROGRAM);                                                   \
        return sink + room[0];                                                                     \
    }

__attribute__((noinline)) static unsigned long leaf(unsigned long count) {
    unsigned long sum = PROGRAM;
    for (unsigned long i = 0; i < count; i++) {
        sum = sum * 6364136223846793005ul + i;
        sink = sum;
    }
    return sum;
}

LEVEL(level_20, leaf) LEVEL(level_19, level_20) LEVEL(level_18, level_19) LEVEL(level_17, level_18)
LEVEL(level_16, level_17) LEVEL(level_15, level_16) LEVEL(level_14, level_15)
LEVEL(level_13, level_14) LEVEL(level_12, level_13) LEVEL(level_11, level_12)
LEVEL(level_10, level_11) LEVEL(level_09, level_10) LEVEL(level_08, level_09)
LEVEL(level_07, level_08) LEVEL(level_06, level_07) LEVEL(level_05, level_06)
LEVEL(level_04, level_05) LEVEL(level_03, level_04) LEVEL(level_02, level_03)
LEVEL(level_01, level_02)

static long used(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000l + now.tv_nsec;
}

int main(int argc, char **argv) {
    const long piece = 500000;
    if (argc < 2)
        for (;;)
            level_01(100000);
    long wait = piece * (1000 / atoi(argv[1]));
    for (;;) {
        long begin = used();
        while (used() - begin < piece)
            level_01(5000);
        struct timespec pause = {wait / 1000000000l, wait % 1000000000l};
        nanosleep(&pause, NULL);
    }
}
