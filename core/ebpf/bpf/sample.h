/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs share with the Rust side.
 *
 * Samples: core/sampler/src/sample.rs (FORMAT_VERSION 3). Unwind tables: core/sampler/src/table.rs.
 * Map layouts: core/ebpf/src/arena.rs and counters.rs.
 */
#ifndef SONDAGE_SAMPLE_H
#define SONDAGE_SAMPLE_H

#include "kernel.h"

#define FORMAT_VERSION 3

/* Most frames of one sample. */
#define MAX_FRAMES 512

/* Why a walk stopped: `End` in sample.rs. */
enum end {
	END_ROOT = 0,
	END_DEPTH = 1,
	END_UNKNOWN_CODE = 2,
	END_UNSUPPORTED = 3,
	END_MEMORY = 4,
	END_CORRUPT = 5,
};

/* `Source::Ebpf` in sample.rs. */
#define SOURCE_EBPF 1

/* One record of the ring: a prefix, then the words of a `RawSample`. */
struct record {
	u32 tid; /* as the target's pid namespace numbers it */
	u32 words; /* how many 64-bit words follow */
	u64 header; /* frames | end << 16 | source << 24 | weight << 32 */
	u64 labels;
	u64 frames[MAX_FRAMES + 3]; /* and the ids of span and trace after the last one */
};

/* Bytes of a record before the frames, and the words of them that are the sample's own. */
#define RECORD_PREFIX 24
#define HEADER_WORDS 2

/* How to compute the canonical frame address: the constants of `Rule` in table.rs. */
enum cfa {
	CFA_NONE = 0,
	CFA_SP = 1,
	CFA_FP = 2,
	CFA_PLT = 3,
	CFA_ROOT = 4,
	CFA_SIGNAL = 5,
	CFA_UNSUPPORTED = 6,
	CFA_SP_DEREF = 7,
	CFA_FP_DEREF = 8,
};

/* `Rule` in table.rs. */
struct rule {
	u8 cfa;
	s8 ra;
	s16 fp;
	s32 offset;
};

/* One executable mapping and where its table lies in the maps. No pages: it has no table. */
struct module {
	u64 start;
	u64 end;
	u64 bias;
	u64 base;
	u32 first_page; /* in `pages`, of `page_count + 1` entries, relative to `first_row` */
	u32 page_count;
	u32 first_row; /* in `rows` */
	u32 row_count;
	u32 first_rule; /* in `rules` */
	u32 rule_count;
	u32 reserved[2];
};

/* Modules that one process may have, and the rounds of a binary search over them. */
#define MAX_MODULES 2048
#define MODULE_ROUNDS 12

/* A page has at most 65,536 rows. */
#define ROW_ROUNDS 17

/*
 * Guards `modules`: odd while it is being written, and another number afterwards. A walk that
 * saw it move is thrown away and counted.
 */
struct control {
	u32 generation;
	u32 modules;
	u64 fence;
};

/* Slots of `counters`. */
enum counter {
	COUNT_SAMPLES = 0, /* put into the ring */
	COUNT_RING_FULL = 1, /* lost: no room in the ring */
	COUNT_MODULES_CHANGED = 2, /* lost: the module list was rewritten during the walk */
	COUNT_NO_USER_STACK = 3, /* in the ring without frames: a worker the kernel runs for the process */
	COUNT_IN_KERNEL = 4, /* in the ring: the kernel was running on the thread's behalf */
	COUNTERS = 8,
};

#endif
