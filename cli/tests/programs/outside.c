/* Three in four parts of its time in heavy, one in light, and a thread that waits. With an argument,
   a timer interrupts it so many times a second of real time, and it ends after 1,000 of them: it
   prints how many calls of the kernel failed meanwhile. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static volatile unsigned long sink;
static volatile sig_atomic_t ticks;

__attribute__((noinline)) static void spin(unsigned long count) {
    unsigned long i;
    for (i = 0; i < count; i++)
        sink += i * sink;
}

__attribute__((noinline)) static void heavy(unsigned long part) { spin(3 * part); sink++; }
__attribute__((noinline)) static void light(unsigned long part) { spin(part); sink++; }

static void *waiter(void *nothing) {
    for (;;)
        pause();
    return nothing;
}

static void tick(int signal) { (void)signal; ticks++; }

int main(int argc, char **argv) {
    pthread_t thread;
    pthread_create(&thread, NULL, waiter, NULL);
    pthread_setname_np(thread, "waiter");
    if (argc > 1) {
        struct itimerval timer = {{0, 1000000 / atoi(argv[1])}, {0, 1000000 / atoi(argv[1])}};
        struct sigaction action = {0};
        action.sa_handler = tick;
        action.sa_flags = SA_RESTART;
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &timer, NULL);
    }
    puts("started");
    fflush(stdout);
    while (argc == 1 || ticks < 1000) {
        /* At random: rounds of one length could keep step with the samples. */
        unsigned long part = 50000 + random() % 100000;
        heavy(part);
        light(part);
    }
    printf("ticks %d\n", (int)ticks);
    return 0;
}
