/*
 * Sondage: profile a C or C++ program from inside.
 *
 * Link with -lsondage. A whole program:
 *
 *     const char *settings[] = { "service", "shop", "push", "none" };
 *     sondage_start(settings, 2);
 *     work();
 *     sondage_stop("profile.pb.gz");
 *
 * Every function may be called from any thread, at any time, in any order, and before
 * sondage_start. None may be called from a signal handler. None prints, opens a port, or ends the
 * process. A defect of the library turns profiling off: calls then answer SONDAGE_INTERNAL or 0,
 * sondage_last_error tells why, and the program goes on.
 *
 * Strings are UTF-8 and end with a NUL. They are copied: what is passed may be freed afterwards.
 *
 * After fork, the child starts a profiler of its own, with the same settings, at its first change
 * of labels or call of sondage_flush or sondage_stats.
 */
#ifndef SONDAGE_H
#define SONDAGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What functions that return int answer. */
#define SONDAGE_OK 0
#define SONDAGE_INVALID 1     /* an argument or a setting is wrong */
#define SONDAGE_BUSY 2        /* a profiler runs in this process already */
#define SONDAGE_UNSUPPORTED 3 /* this process or kernel does not allow it */
#define SONDAGE_IO 4          /* the system refused a file, a thread or memory */
#define SONDAGE_NOT_RUNNING 5 /* sondage_start was not called, or did not work */
#define SONDAGE_INTERNAL 6    /* a defect of the library; profiling is off */

/* A set of labels, by number; 32 bits. 0 is the set without labels. */
typedef unsigned int sondage_labels;

/*
 * Starts profiling this process. `settings` points to 2 * `pairs` strings, a name and a value in
 * turn; it may be NULL when `pairs` is 0. The names are those of the SONDAGE_* variables of the
 * environment, in lower case without the prefix; what is given here wins over the environment.
 * The most used:
 *
 *   hz        samples a second of CPU time, for each thread: 1 to 5000; 100
 *   wall      whether waiting time is recorded too: true or false; false
 *   service   name of the service; the name of the program
 *   labels    labels of the whole process: key=value,key=value
 *   push      where finished profiles go, one or more with commas between: file:DIR,
 *             pyroscope+http://HOST:PORT, pyroscope+https://HOST, or none; file:./sondage-profiles
 *   interval  time between two profiles: 100ms to 1h; 10s
 *
 * Takes some milliseconds. Samples are taken by a signal (SIGURG, or SIGPROF or a real-time signal
 * where the program handles that itself) and collected by one thread named "sondage".
 */
int sondage_start(const char *const *settings, size_t pairs);

/*
 * Stops profiling and leaves nothing behind: no thread, no timer, no signal handler. The profile
 * of the time since the last flush goes where `push` says, and is also written to `file`, in pprof
 * format, gzipped, unless `file` is NULL. A file of that name is replaced, by a whole one.
 */
int sondage_stop(const char *file);

/* Finishes the profile of the time since the last flush, which goes where sondage_stop's goes. */
int sondage_flush(const char *file);

/*
 * What the profiler has done, lost and cost, as one JSON object:
 *
 *   {"running":true,"samples":812,"host_cpu":8130000000,"unsampled_cpu":9000000,...}
 *
 * CPU times are in nanoseconds. At most `size` bytes are written to `buffer`, the last of them a
 * NUL. Returns the length of the whole text without the NUL: when that is `size` or more, the text
 * was cut. `buffer` may be NULL when `size` is 0.
 */
size_t sondage_stats(char *buffer, size_t size);

/*
 * A line about the last call, in any thread, that did not work; empty when all did. The buffer is
 * used as in sondage_stats.
 */
size_t sondage_last_error(char *buffer, size_t size);

/*
 * Makes a set of labels: those of the calling thread now, and `count` more, keys[i]=values[i],
 * which win. The same labels always give the same number, which stays valid for the life of the
 * process. Costs a look-up; keep the number where it is used often.
 *
 * Sets are bounded: 16,384 sets, 64 keys, 1,024 values of a key; beyond, a value becomes
 * "__overflow__". Use route templates and job names, not user ids. The ids of requests have a place
 * of their own, see sondage_enter_span; pairs named span_id and trace_id are left out here.
 */
sondage_labels sondage_label_set(const char *const *keys, const char *const *values, size_t count);

/*
 * Makes a set current on the calling thread, for samples taken from now on, and returns the one
 * that was. The thread's span stays. Costs some nanoseconds. Pair it with sondage_exit:
 *
 *     sondage_labels previous = sondage_enter(checkout);
 *     handle(request);
 *     sondage_exit(previous);
 */
sondage_labels sondage_enter(sondage_labels labels);

/* Makes the set current again that sondage_enter returned. */
void sondage_exit(sondage_labels previous);

/*
 * The ids of a span and of its trace, as OpenTelemetry and W3C have them: bytes, the highest first.
 * All zeros: none.
 */
typedef struct sondage_span {
    unsigned char span_id[8];
    unsigned char trace_id[16];
} sondage_span;

/*
 * Makes a span current on the calling thread, beside its labels, and writes the one that was to
 * `previous`, unless that is NULL. A span that is NULL is none. Costs some nanoseconds: nothing is
 * kept, there can be as many spans as there are requests. Samples show the ids as labels,
 * span_id=00f067aa0ba902b7 and trace_id=4bf92f3577b34da6a3ce929d0e0e4736. Use the id of a request's
 * first span in this process, with which Grafana's Tempo and Pyroscope link a trace to its profile
 * when the span has it as the attribute pyroscope.profile.id. Pair it with sondage_exit_span:
 *
 *     sondage_span previous;
 *     sondage_enter_span(&span, &previous);
 *     handle(request);
 *     sondage_exit_span(&previous);
 */
void sondage_enter_span(const sondage_span *span, sondage_span *previous);

/* Makes the span current again that sondage_enter_span wrote to its second argument. */
void sondage_exit_span(const sondage_span *previous);

/*
 * Starts sampling the calling thread at once, instead of within 0.1 s. Worth calling at the start
 * of threads that live for milliseconds; changing labels does it too.
 */
void sondage_register_thread(void);

#ifdef __cplusplus
}
#endif

#endif /* SONDAGE_H */
