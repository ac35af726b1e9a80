/* Uses everything in sondage.h. argv[1] is the profile to write. Prints the counters. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sondage.h"

static volatile unsigned long sink;

static void spin(double seconds) {
    struct timespec time;
    double end = -1, now;
    do {
        int i;
        for (i = 0; i < 100000; i++)
            sink += (unsigned long)i * sink;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        now = (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
        if (end < 0)
            end = now + seconds;
    } while (now < end);
}

static int fail(const char *what) {
    char message[256];
    sondage_last_error(message, sizeof message);
    printf("%s: %s\n", what, message);
    return 1;
}

int main(int argc, char **argv) {
    static const char *const settings[] = {"hz", "100", "labels", "tier=test", "push", "none"};
    static const char *const wrong[] = {"hz", "fast"};
    static const char *const unknown[] = {"colour", "red"};
    static const char *const keys[] = {"route"};
    static const char *const checkout_values[] = {"/checkout"};
    static const char *const search_values[] = {"/search"};
    static const sondage_span request = {{0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7},
                                         {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3,
                                          0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36}};
    static const sondage_span none;
    char text[4096], cut[4];
    sondage_labels checkout, search, previous;
    sondage_span outer, inner;

    if (argc < 2)
        return 2;
    if (sondage_flush(NULL) != SONDAGE_NOT_RUNNING)
        return fail("flush before start");
    if (sondage_start(wrong, 1) != SONDAGE_INVALID)
        return fail("a wrong setting");
    if (sondage_start(unknown, 1) != SONDAGE_INVALID)
        return fail("an unknown setting");
    if (sondage_start(wrong, 1) != SONDAGE_INVALID)
        return fail("a wrong setting again");
    if (sondage_last_error(text, sizeof text) == 0 || strstr(text, "fast") == NULL)
        return fail("the message about a wrong setting");
    if (sondage_last_error(cut, sizeof cut) < sizeof cut || strlen(cut) != 3)
        return fail("a message that is cut");
    if (sondage_start(NULL, 5) != SONDAGE_INVALID)
        return fail("a null pointer");
    if (sondage_start(settings, 3) != SONDAGE_OK)
        return fail("start");
    if (sondage_start(settings, 3) != SONDAGE_BUSY)
        return fail("a second start");

    checkout = sondage_label_set(keys, checkout_values, 1);
    search = sondage_label_set(keys, search_values, 1);
    if (checkout == 0 || checkout != sondage_label_set(keys, checkout_values, 1))
        return fail("label sets");
    sondage_register_thread();
    previous = sondage_enter(checkout);
    spin(0.6);
    sondage_enter_span(&request, &outer);
    sondage_enter(search);
    spin(0.2);
    sondage_enter_span(NULL, &inner);
    sondage_exit_span(&outer);
    sondage_exit(previous);
    if (memcmp(&outer, &none, sizeof none) != 0 || memcmp(&inner, &request, sizeof inner) != 0)
        return fail("spans");

    if (sondage_flush(argv[1]) != SONDAGE_OK)
        return fail("flush");
    if (sondage_flush("/nowhere/at/all.pb.gz") != SONDAGE_IO)
        return fail("a file that cannot be written");
    sondage_stats(text, sizeof text);
    puts(text);
    if (sondage_stop(NULL) != SONDAGE_OK)
        return fail("stop");
    if (sondage_stop(NULL) != SONDAGE_NOT_RUNNING)
        return fail("a second stop");
    return 0;
}
