/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs read and write: constants set by the loader, maps, and the scratch of a walk.
 */
#ifndef SONDAGE_MAPS_H
#define SONDAGE_MAPS_H

#include "sample.h"

/* Set by the loader, constant to the verifier. */
const volatile u32 every_process = 0; /* also those of which no mappings are known */
const volatile u32 kernel_stacks = 0;
const volatile u32 max_depth = 128;
const volatile u32 walks_a_second = 50; /* of threads that stop running on one processor */
const volatile u64 pid_namespace_device = 0;
const volatile u64 pid_namespace_inode = 0;

/*
 * The parts of the tables. Words are 4 bytes, but an array map pads its values to 8: two of them
 * share a value, so that a chunk's memory is the plain array that the Rust side maps and fills.
 * (No struct has a name in here: clang leaves such ones out of the types. A value is a `struct pair`.)
 */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	MAP_NUMBER(max_entries, MAX_CHUNKS);
	MAP_TYPE(key, u32);
	MAP_VALUES(values, struct {
		MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
		MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
		MAP_NUMBER(max_entries, CHUNK_PAIRS);
		MAP_TYPE(key, u32);
		MAP_TYPE(value, u64);
	});
} chunks SEC(".maps");

/* The loader sets the size. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
	MAP_NUMBER(max_entries, MAX_PROCESS_MAPPINGS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct mapping);
} mappings SEC(".maps");

/* By process id. The loader sets the size. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct process);
} processes SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, COUNTERS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} counters SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	MAP_NUMBER(max_entries, 1 << 20);
} ring SEC(".maps");

/* A thread that was seen to stop running. */
struct thread {
	u64 since; /* when it stopped; 0: it runs */
	u64 mean; /* how long its stops take, the last ones above all, in nanoseconds */
	u32 chance; /* of 2^32 that this stop was looked at; 0: it was not */
	u32 tgid;
	u32 tid;
	u32 reserved;
};

/* By the thread's first id, which is one for the whole machine. The loader sets the size. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct thread);
} threads SEC(".maps");

/* How many stops of threads one processor looks at. */
struct pace {
	u64 window; /* when the current second began */
	u32 stops; /* in it, that their threads' chance has let through */
	u32 chance; /* of 2^32 that such a stop is looked at */
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct pace);
} paces SEC(".maps");

/* One walk. */
struct walk {
	u64 pc;
	u64 sp;
	u64 fp;
	u32 interrupted; /* pc has not run yet; otherwise it is a return address */
	u32 end; /* enum end */
	u32 frames;
	u32 mapping; /* of the process': where the last frame's code was found */
	struct process process;
	struct record record;
};

/*
 * Scratch: nothing of one kind interrupts another of that kind on its processor, so one a kind
 * and processor is enough.
 */
enum scratch {
	SCRATCH_RUNNING = 0,
	SCRATCH_SWITCH = 1,
	SCRATCHES = 2,
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, SCRATCHES);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct walk);
} walks SEC(".maps");

#endif
