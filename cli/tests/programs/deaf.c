/* Looks like a virtual machine for Java that has stopped to answer: maps the file that is given, and
   handles SIGQUIT. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void ignore(int signal) {
    (void)signal;
}

int main(int count, char **arguments) {
    char byte;
    int file = open(arguments[count - 1], O_RDONLY);
    if (mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED) {
        return 1;
    }
    signal(SIGQUIT, ignore);
    printf("started\n");
    fflush(stdout);
    return read(0, &byte, 1) != 1 || printf("ended\n") < 0;
}
