#include <stdio.h>

void announce(void) {
    puts("started");
    fflush(stdout);
}
