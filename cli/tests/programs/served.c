/* Profiles itself until its standard input ends, and works meanwhile. */
#include <poll.h>
#include <stdio.h>

#include "sondage.h"

static volatile unsigned long sink;

void works_while_served(void) {
    int i;
    for (i = 0; i < 1000000; i++)
        sink += (unsigned long)i * sink;
}

int main(void) {
    static const char *const settings[] = {"hz", "20", "push", "none", "service", "served"};
    struct pollfd input = {0, POLLIN, 0};
    if (sondage_start(settings, 3) != SONDAGE_OK)
        return 1;
    puts("started");
    fflush(stdout);
    while (poll(&input, 1, 0) == 0)
        works_while_served();
    return sondage_stop(NULL) != SONDAGE_OK;
}
