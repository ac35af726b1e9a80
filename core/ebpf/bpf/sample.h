/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs share with the Rust side.
 *
 * Samples: core/sampler/src/sample.rs (FORMAT_VERSION 3). Unwind tables: core/sampler/src/table.rs.
 * Map layouts: core/ebpf/src/tables.rs, processes.rs and counters.rs; records: records.rs,
 * stack_copy.rs.
 */
#ifndef SONDAGE_SAMPLE_H
#define SONDAGE_SAMPLE_H

#include "kernel.h"

#define FORMAT_VERSION 3

/* Most frames of one sample. */
#define MAX_FRAMES 512

/* Most of them that are the kernel's. */
#define MAX_KERNEL_FRAMES 64

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

/* What a record tells. */
enum kind {
	KIND_SAMPLE = 0, /* the thread runs */
	KIND_UNKNOWN_PROCESS = 1, /* it runs, and nobody has said what its code is: the leaf, and a copy
				     of the stack (stack_copy.h) after the sample */
	KIND_BLOCKED = 2, /* it stops running here; KIND_RESUMED follows */
	KIND_RESUMED = 3, /* it runs again; `header` is how long it did not, in nanoseconds */
	KIND_EXEC = 4, /* the process runs another program from here on */
	KIND_EXIT = 5, /* the process' first thread has ended */
	KIND_GO_LABELS = 6, /* the labels (go.h) of the sample of that thread and time, which follows */
	KIND_CONTEXT = 7, /* the attributes (context.h) of the sample of that thread and time, likewise */
};

/* What each record begins with. */
#define RECORD_PREFIX_FIELDS                                                                       \
	u32 kind; /* enum kind */                                                                  \
	u32 words; /* how many 64-bit words follow the prefix */                                   \
	u32 tgid; /* process and thread, as the loader's pid namespace numbers them */             \
	u32 tid;                                                                                   \
	u64 time; /* CLOCK_MONOTONIC, nanoseconds */                                               \
	u64 cgroup; /* the inode of its folder in the second cgroup hierarchy */                   \
	u8 comm[16]; /* the thread's name, padded with zeros */                                    \
	u32 state; /* KIND_BLOCKED: `task_struct.__state`; 0 is runnable */                        \
	u32 chance; /* KIND_BLOCKED, KIND_RESUMED: of 2^32 that this stop was looked at; all ones is 1 */

/* Words of ids that may follow the frames: span, both halves of the trace. */
#define MAX_ID_WORDS 3

/* A stack is copied in parts of so many bytes, so that none lies on two pages. */
#define COPY_PART 512
#define COPY_PARTS 16

/* Words of a copy: stack pointer, frame pointer, and the stack. */
#define MAX_COPY_WORDS (2 + COPY_PARTS * COPY_PART / 8)

/* One record of the ring: a prefix, then the words of a `RawSample`, if it has one. */
struct record {
	RECORD_PREFIX_FIELDS
	u64 header; /* frames | end << 16 | source << 24 | weight << 32 */
	u64 labels;
	u64 frames[MAX_FRAMES + MAX_ID_WORDS + MAX_COPY_WORDS];
};

/* Bytes of a record before the words and before the frames, and the words between. */
#define RECORD_PREFIX 56
#define RECORD_HEADED 72
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
	CFA_FP_ANY_STACK = 9,
};

/* `Rule::INTERRUPTED`: the caller did not call. */
#define RA_INTERRUPTED -128

/* `Rule` in table.rs. */
struct rule {
	u8 cfa;
	s8 ra;
	s16 fp;
	s32 offset;
};

/*
 * Unwind tables lie in chunks of 1 MiB, which are made and given back as tables come and go. A
 * place in them is a number of words (rows) or of pairs of words (pages, rules), counted through
 * all chunks. The rows of a page lie in one chunk.
 */
#define CHUNK_PAIRS_SHIFT 17
#define CHUNK_PAIRS (1 << CHUNK_PAIRS_SHIFT)
#define MAX_CHUNKS 1024

struct pair {
	u32 word[2];
};

/* The rows of 64 KiB of code. */
struct code_page {
	u32 first_row; /* a number of words */
	u32 rows; /* 0: no table covers it */
};

/* One executable mapping and where its table lies. No pages: it has no table. */
struct mapping {
	u64 start;
	u64 end;
	u64 bias;
	u64 base;
	u32 first_page; /* a number of pairs */
	u32 page_count;
	u32 first_rule; /* a number of pairs */
	u32 rule_count;
};

/* Where a Go program keeps what runs (go.h): `GoInfo` in go_labels.rs. */
struct go_info {
	s32 thread_g; /* from the thread's pointer to the address of its `g` */
	u16 g_m;
	u16 m_curg;
	u16 g_labels;
	u16 layout; /* enum go_label_layout */
};

/* Where a thread has the pointer to its context (context.h): `ContextPlace` in context.rs. */
struct context_place {
	s64 offset; /* from the thread's pointer, or in the module's block */
	u32 module; /* as the dynamic linker numbers those with thread-local variables; 0 for none */
	u32 reserved;
};

/*
 * The mappings of one process: a run in `mappings`, sorted by address. A new list is written
 * elsewhere and gets another generation; a walk that saw the entry change is thrown away.
 */
struct process {
	u32 first;
	u32 count;
	u64 generation;
	u32 runtimes; /* enum runtime */
	struct go_info go;
	struct context_place context;
};

/* Runtimes of a process whose own structures are read, as bits. */
enum runtime {
	RUNTIME_GO = 1,
	RUNTIME_PYTHON = 2, /* `python_processes` has an entry */
	RUNTIME_CONTEXT = 4, /* it publishes contexts of its threads */
};

/* Mappings that one process may have, and the rounds of a binary search over them. */
#define MAX_PROCESS_MAPPINGS 2048
#define MAPPING_ROUNDS 12

/* A page has at most 65,536 rows. */
#define ROW_ROUNDS 17

/* Slots of `counters`. */
enum counter {
	COUNT_SAMPLES = 0, /* put into the ring */
	COUNT_RING_FULL = 1, /* lost: no room in the ring */
	COUNT_MODULES_CHANGED = 2, /* lost: the list of mappings was replaced during the walk */
	COUNT_NO_USER_STACK = 3, /* in the ring without user frames: a thread of the kernel's */
	COUNT_IN_KERNEL = 4, /* in the ring: the kernel was running on the thread's behalf */
	COUNT_UNKNOWN_PROCESS = 5, /* in the ring with its leaf and a copy of its stack */
	COUNT_THREADS_FULL = 6, /* lost: waiting of a thread that found no room in `threads` */
	COUNTERS = 8,
};

#endif
