/* Computes for argv[1] seconds, then kills itself in a way that runs nothing at its end. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdlib.h>
#include <time.h>

static volatile unsigned long sink;

__attribute__((noinline)) static void doomed(double seconds) {
    struct timespec time;
    double end = seconds;
    do {
        int i;
        for (i = 0; i < 100000; i++)
            sink += (unsigned long)i * sink;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    } while ((double)time.tv_sec + (double)time.tv_nsec * 1e-9 < end);
    sink++;
}

int main(int argc, char **argv) {
    doomed(argc > 1 ? atof(argv[1]) : 1);
    raise(SIGKILL);
    return 0;
}
