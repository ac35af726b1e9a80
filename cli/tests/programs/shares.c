/* Spends CPU time in known shares: heavy 6, light 2, and a forked child 4. Ends with code 7. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

/* CPU time of this thread alone, in seconds. */
static double cpu(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

__attribute__((noinline)) static void spin(double seconds) {
    double end = cpu() + seconds;
    int i;
    while (cpu() < end)
        for (i = 0; i < 100000; i++)
            sink += (unsigned long)i * sink;
}

__attribute__((noinline)) static void heavy(double unit) { spin(6 * unit); sink++; }
__attribute__((noinline)) static void light(double unit) { spin(2 * unit); sink++; }
__attribute__((noinline)) static void child(double unit) { spin(4 * unit); sink++; }

int main(int argc, char **argv) {
    double unit = argc > 1 ? atof(argv[1]) : 0.1;
    pid_t pid = fork();
    if (pid == 0) {
        child(unit);
        _exit(3);
    }
    heavy(unit);
    light(unit);
    waitpid(pid, NULL, 0);
    return 7;
}
