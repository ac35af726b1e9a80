/* Runs machine code that it made at run time, and writes a jitdump in the folder that its argument
   names: the function `jitted` with lines 10 to 12 of `made.src`, which spins in line 11. A perf map
   has it too, as `by_map`, and another function, which only the map has, as `mapped_only`. At SIGUSR1
   `jitted` becomes `jitted_again`, with lines 20 to 22. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Counts down a million, with a frame pointer. */
#if defined(__x86_64__)
static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0xb9, 0x40, 0x42, 0x0f,
                               0x00, 0xff, 0xc9, 0x75, 0xfc, 0x5d, 0xc3};
enum { LOOP = 9, AFTER = 13, MACHINE = 62 };
#elif defined(__aarch64__)
static const uint32_t code[] = {0xa9bf7bfd, 0x910003fd, 0x52a00200, 0x71000400,
                                0x54ffffe1, 0xa8c17bfd, 0xd65f03c0};
enum { LOOP = 12, AFTER = 20, MACHINE = 183 };
#endif

static volatile sig_atomic_t asked;
static int dump;

static void ask(int signal) { (void)signal; asked = 1; }

static void put(const void *bytes, size_t count) {
    if (write(dump, bytes, count) != (ssize_t)count)
        _exit(1);
}

static void put_record(uint32_t kind, size_t rest) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    put((uint32_t[]){kind, (uint32_t)(16 + rest)}, 8);
    put((uint64_t[]){now.tv_sec * 1000000000ull + now.tv_nsec}, 8);
}

static void tell(const char *name, uint64_t at, uint32_t line) {
    static const char file[] = "made.src", same[] = "\xff";
    uint64_t starts[] = {at, at + LOOP, at + AFTER};
    put_record(2, 16 + 3 * 16 + sizeof file + 2 * sizeof same);
    put((uint64_t[]){at, 3}, 16);
    for (int i = 0; i < 3; i++) {
        put(&starts[i], 8);
        put((uint32_t[]){line + i, 0}, 8);
        put(i ? same : file, i ? sizeof same : sizeof file);
    }
    put_record(0, 40 + strlen(name) + 1 + sizeof code);
    put((uint32_t[]){getpid(), getpid()}, 8);
    put((uint64_t[]){at, at, sizeof code, line}, 32);
    put(name, strlen(name) + 1);
    put(code, sizeof code);
}

int main(int argc, char **argv) {
    char path[4096];
    signal(SIGUSR1, ask);
    snprintf(path, sizeof path, "%s/jit-%d.dump", argc > 1 ? argv[1] : ".", (int)getpid());
    dump = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    char *memory =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (dump < 0 || memory == MAP_FAILED)
        return 1;
    char *other = memory + 2048;
    memcpy(memory, code, sizeof code);
    memcpy(other, code, sizeof code);
    __builtin___clear_cache(memory, memory + 4096);
    mprotect(memory, 4096, PROT_READ | PROT_EXEC);

    put((uint32_t[]){0x4A695444, 1, 40, MACHINE, 0, getpid()}, 24);
    put((uint64_t[]){0, 0}, 16);
    /* By this others find the file. */
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, dump, 0) == MAP_FAILED)
        return 1;
    tell("jitted", (uintptr_t)memory, 10);
    snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
    FILE *map = fopen(path, "w");
    if (!map)
        return 1;
    fprintf(map, "%lx %zx by_map\n", (unsigned long)memory, sizeof code);
    fprintf(map, "%lx %zx mapped_only\n", (unsigned long)other, sizeof code);
    fclose(map);
    puts("started");
    fflush(stdout);
    for (;;) {
        /* At random: rounds of one length could keep step with the samples. */
        long part = 1 + random() % 4;
        for (long i = 0; i < 3 * part; i++)
            ((void (*)(void))memory)();
        for (long i = 0; i < part; i++)
            ((void (*)(void))other)();
        if (asked) {
            asked = 0;
            tell("jitted_again", (uintptr_t)memory, 20);
            puts("told");
            fflush(stdout);
        }
    }
}
