/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * bpf/python.h on this machine's processor: walks over an image of a process's memory that it is
 * given. Numbers of 64 bits on standard input:
 *
 *   1, count, count times: the address of a page and its 4096 bytes   another image
 *   2, the process (9), thread pointer, thread, limit, registers (16), count of patches, patches of
 *      an address and a word                                          a walk
 *
 * Answers a walk with whether it began at another start than the first, how many reads it took, the
 * thread that it walked, the count of words, and the words. A thread of 0 is looked for by the
 * thread pointer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

/* What kernel.h has. */
#define SONDAGE_KERNEL_H
#define PYTHON_ON_HOST
#define INLINE static inline

#define PAGE 4096
#define SLOTS (1 << 16)

struct page {
	u64 address;
	u8 *bytes;
};

static struct page pages[SLOTS];
static u64 reads;

static struct page *slot_of(u64 address)
{
	u64 slot = (address / PAGE * 0x9e3779b97f4a7c15ULL) >> 48;
	while (pages[slot].bytes && pages[slot].address != address)
		slot = (slot + 1) % SLOTS;
	return &pages[slot];
}

static u8 *byte_at(u64 address)
{
	struct page *page = slot_of(address & ~(u64)(PAGE - 1));
	return page->bytes ? page->bytes + address % PAGE : 0;
}

static long bpf_probe_read_user(void *to, u32 size, const void *from)
{
	reads++;
	for (u32 at = 0; at < size; at++) {
		u8 *byte = byte_at((u64)from + at);
		if (!byte) {
			memset(to, 0, size);
			return -14;
		}
		((u8 *)to)[at] = *byte;
	}
	return 0;
}

#define bpf_loop(rounds, step, context, flags)                                                     \
	do {                                                                                       \
		for (u64 round = 0; round < (rounds); round++)                                     \
			if (step(round, context))                                                  \
				break;                                                             \
	} while (0)

#include "../../bpf/sample.h"

struct walk {
	u32 frames;
	struct record record;
};

#include "../../bpf/python.h"

static void take(void *to, size_t size)
{
	if (fread(to, 1, size, stdin) != size)
		exit(2);
}

static u64 take_word(void)
{
	u64 word;
	take(&word, sizeof(word));
	return word;
}

static void give(u64 word)
{
	fwrite(&word, sizeof(word), 1, stdout);
}

static void take_image(void)
{
	for (u32 slot = 0; slot < SLOTS; slot++)
		free(pages[slot].bytes);
	memset(pages, 0, sizeof(pages));
	for (u64 count = take_word(); count > 0; count--) {
		u64 address = take_word();
		struct page *page = slot_of(address);
		page->address = address;
		page->bytes = malloc(PAGE);
		take(page->bytes, PAGE);
	}
}

/* Swaps the words of patches with those of the image. */
static void patch(u64 (*patches)[2], u64 count)
{
	for (u64 at = 0; at < count; at++) {
		u8 *place = byte_at(patches[at][0]);
		u64 before;
		if (!place)
			exit(3);
		memcpy(&before, place, 8);
		memcpy(place, &patches[at][1], 8);
		patches[at][1] = before;
	}
}

static void take_walk(void)
{
	static struct walk walk;
	static struct python_walk python;
	static struct python_process process;
	static u64 patches[16][2];
	memset(&python, 0xa5, sizeof(python));
	take(&process, sizeof(process));
	u64 pointer = take_word(), thread = take_word();
	python.limit = take_word();
	take(python.registers, sizeof(python.registers));
	python.register_count = PYTHON_REGISTERS;
	u64 count = take_word();
	if (count > 16)
		exit(4);
	take(patches, count * 16);
	patch(patches, count);
	reads = 0;
	walk.frames = 3;
	python.restarted = 0;
	if (!thread)
		thread = python_thread(&process, pointer);
	u32 words = thread ? python_walk_thread(&walk, &python, &process, thread) : 0;
	/* Backwards, where a place was changed twice. */
	for (u64 at = count; at > 0; at--)
		patch(patches + at - 1, 1);
	give(python.restarted);
	give(reads);
	give(thread);
	give(words);
	for (u32 at = 0; at < words; at++)
		give(walk.record.frames[3 + at]);
	if (walk.frames != 3 + words)
		exit(5);
	fflush(stdout);
}

int main(void)
{
	u64 command;
	_Static_assert(sizeof(struct python_process) == 72, "as in core/ebpf/src/python.rs");
	while (fread(&command, sizeof(command), 1, stdin) == 1) {
		if (command == 1)
			take_image();
		else
			take_walk();
	}
	return 0;
}
