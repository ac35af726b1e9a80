/* Uses a core in `before`. At SIGUSR1 it does what its first argument says, with the second as path:
   exec: runs another program; fork: a child goes on in `in_child`; load: goes on in the library's
   `plugin`; end: ends. `gone` removes its own file before it begins, `brief` does 8 ms of
   work, runs the program of the second argument if there is one, and ends after a while; `rest` does no
   work. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef WORK
#define WORK before
#endif

static volatile sig_atomic_t asked;
static volatile unsigned long sink;

static void ask(int signal) { (void)signal; asked = 1; }

__attribute__((noinline)) static void spin(void) {
    for (unsigned long i = 0; i < 100000; i++)
        sink += i * sink;
}

__attribute__((noinline)) static void WORK(void) { spin(); sink++; }
__attribute__((noinline)) static void in_child(void) { spin(); sink++; }

static int loads(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    void (*plugin)(void) = library ? (void (*)(void))dlsym(library, "plugin") : 0;
    if (!plugin)
        return 1;
    for (;;)
        plugin();
}

int main(int argc, char **argv) {
    signal(SIGUSR1, ask);
    if (argc > 1 && !strcmp(argv[1], "gone"))
        unlink(argv[0]);
    puts("started");
    fflush(stdout);
    int rest = argc > 1 && !strcmp(argv[1], "rest");
    int brief = argc > 1 && !strcmp(argv[1], "brief");
    while (!asked && !rest && !(brief && clock() > CLOCKS_PER_SEC / 125))
        WORK();
    if (brief && argc > 2)
        execl(argv[2], argv[2], "rest", (char *)0);
    if (brief || rest)
        usleep(30000);
    if (argc > 2 && !strcmp(argv[1], "exec"))
        execl(argv[2], argv[2], "run", (char *)0);
    if (argc > 2 && !strcmp(argv[1], "load"))
        return loads(argv[2]);
    if (argc > 1 && !strcmp(argv[1], "fork")) {
        pid_t child = fork();
        if (!child)
            for (;;)
                in_child();
        printf("%d\n", (int)child);
        fflush(stdout);
        waitpid(child, NULL, 0);
    }
    return 0;
}
