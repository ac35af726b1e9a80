/*
 * Publishes a process context and contexts of two threads, and burns CPU time under them: each
 * context has a function of its own, so that a stack tells which labels are right. One thread sets
 * its pointer, the other changes one record in place. With an argument, a library to load that has
 * the variable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FENCE() __asm__ volatile("" ::: "memory")

struct record {
	uint8_t trace[16], span[8], valid, flags;
	uint16_t bytes;
	uint8_t attributes[64];
};

#ifdef LOADED
static void (*attach)(struct record *);
#else
void attach(struct record *record);
#endif

static uint8_t payload[4096];
static size_t used;

static void byte(uint8_t value)
{
	payload[used++] = value;
}

/* One field with this text, of at most 127 bytes. */
static void text(uint8_t tag, const char *value)
{
	byte(tag);
	byte(strlen(value));
	memcpy(payload + used, value, strlen(value));
	used += strlen(value);
}

/* What follows up to `end` is one field. */
static size_t begin(uint8_t tag)
{
	byte(tag);
	byte(0);
	return used;
}

static void end(size_t start)
{
	payload[start - 1] = used - start;
}

static void pair(uint8_t tag, const char *key, const char *value)
{
	size_t all = begin(tag);
	text(0x0a, key);
	size_t inner = begin(0x12);
	text(0x0a, value);
	end(inner);
	end(all);
}

static void publish_process(void)
{
	size_t resource = begin(0x0a);
	pair(0x0a, "service.name", "context-test");
	pair(0x0a, "region", "eu");
	end(resource);
	pair(0x12, "threadlocal.schema_version", "tlsdesc_v1_dev");
	size_t all = begin(0x12);
	text(0x0a, "threadlocal.attribute_key_map");
	size_t value = begin(0x12), list = begin(0x2a);
	for (const char *const *key = (const char *const[]){"route", "pod", "side", 0}; *key; key++) {
		size_t item = begin(0x0a);
		text(0x0a, *key);
		end(item);
	}
	end(list), end(value), end(all);
	int file = memfd_create("OTEL_CTX", MFD_CLOEXEC);
	if (ftruncate(file, 8192))
		abort();
	uint8_t *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	memcpy(page + 8, &(uint32_t){2}, 4);
	memcpy(page + 12, &(uint32_t){used}, 4);
	memcpy(page + 16, &(uint64_t){1}, 8);
	memcpy(page + 24, &(uint64_t){(uint64_t)page + 32}, 8);
	memcpy(page + 32, payload, used);
	FENCE();
	memcpy(page, "OTEL_CTX", 8);
}

static void put(struct record *record, int index, const char *value)
{
	uint8_t *at = record->attributes + record->bytes;
	at[0] = index;
	at[1] = strlen(value);
	memcpy(at + 2, value, at[1]);
	record->bytes += 2 + at[1];
}

static void fill(struct record *record, int work, const char *side)
{
	char route[16];
	snprintf(route, sizeof route, "/work/%d", work);
	memset(record->trace, 0, 16);
	memset(record->span, 0, 8);
	record->trace[0] = 0xab, record->trace[15] = work;
	record->span[0] = 0xcd, record->span[7] = work;
	record->bytes = 0;
	put(record, 0, "overwritten");
	put(record, 1, "not for it to say");
	put(record, 2, side);
	put(record, 0, route);
	put(record, 9, "a key that nobody knows");
}

static volatile uint64_t sink;

static void burn(void)
{
	struct timespec now, from;
	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		for (int i = 0; i < 2000; i++)
			sink += i;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec < 300000);
	FENCE();
}

#define WORK(n) __attribute__((noinline)) void work_##n(void) { burn(); FENCE(); }
WORK(0) WORK(1) WORK(2) WORK(3)
static void (*const works[4])(void) = {work_0, work_1, work_2, work_3};

static void *by_pointer(void *unused)
{
	struct record records[4] = {0};
	for (int i = 0; i < 4; i++) {
		fill(&records[i], i, "pointer");
		records[i].valid = 1;
	}
	for (;;) {
		for (int i = 0; i < 4; i++) {
			FENCE();
			attach(i == 3 ? 0 : &records[i]);
			FENCE();
			works[i]();
		}
	}
	return unused;
}

static void *in_place(void *unused)
{
	struct record record = {0};
	attach(&record);
	for (;;) {
		for (int i = 0; i < 4; i++) {
			record.valid = 0;
			FENCE();
			fill(&record, i, "place");
			FENCE();
			record.valid = i != 3;
			FENCE();
			works[i]();
		}
	}
	return unused;
}

int main(int count, char **arguments)
{
	pthread_t thread;
#ifdef LOADED
	void *library = dlopen(arguments[1], RTLD_NOW);
	attach = dlsym(library, "attach");
	if (!attach)
		return 2;
#endif
	publish_process();
	pthread_create(&thread, 0, by_pointer, 0);
	in_place(0);
}
