/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The pprof labels of the goroutine that a thread runs: from thread-local storage to `g`, `g.m`,
 * `m.curg`, and its labels, copied as they are at the sample.
 *
 * Where things lie differs between versions of Go: `GoRuntime` of the crate `sondage`
 * (resolve/go/runtime.rs) finds it. All of it is the target's memory and may be anything.
 */
#ifndef SONDAGE_GO_H
#define SONDAGE_GO_H

#include "sample.h"

/* What `g.labels` points to: `GoLabels` in runtime.rs. */
enum go_label_layout {
	GO_LABELS_ABSENT = 0,
	GO_LABELS_MAP = 1, /* a map[string]string, up to Go 1.23 */
	GO_LABELS_LIST = 2, /* a slice of pairs of strings, from Go 1.24 on */
};

/* Labels of one goroutine that are copied, and bytes of a key and of a value. */
#define GO_MAX_LABELS 10
#define GO_MAX_KEY 63
#define GO_MAX_VALUE 127

/* Bytes of all of them; behind these there is room for the longest. */
#define GO_LABEL_BYTES 512
#define GO_LABEL_ROOM (2 + GO_MAX_KEY + 1 + GO_MAX_VALUE + 1)

/* Something was left out: too many labels, or too long ones. */
#define GO_LABELS_CUT 1

/* For each label a byte with the key's length, one with the value's, the key and the value. */
struct go_labels {
	u16 bytes; /* that are used */
	u8 count;
	u8 flags;
	u8 text[GO_LABEL_BYTES + GO_LABEL_ROOM];
};

/* Part of the kernel's task, by another name than kernel.h has for it. */
struct thread_struct {
	unsigned long fsbase;
} MOVABLE;

struct task_struct___go {
	struct thread_struct thread;
} MOVABLE;

struct go_string {
	u64 start;
	u64 length;
};

/* `runtime/pprof`'s label, and a cell of its map. */
struct go_label {
	struct go_string key;
	struct go_string value;
};

/* The beginning of `runtime.hmap`. */
struct go_map {
	u64 count;
	u8 flags;
	u8 log_buckets;
	u16 overflow;
	u32 seed;
	u64 buckets;
};

#define GO_BUCKET_CELLS 8
/* Smaller marks of a cell mean that it is empty. */
#define GO_CELL_USED 5

/* One bucket: a mark for each cell, keys, values, and the next bucket. */
struct go_bucket {
	u8 marks[GO_BUCKET_CELLS];
	struct go_string keys[GO_BUCKET_CELLS];
	struct go_string values[GO_BUCKET_CELLS];
	u64 next;
};

#define GO_READ(to, from) (!bpf_probe_read_user(&(to), sizeof(to), (void *)(from)))

/* Appends a label; what is too long is cut. */
INLINE void put_go_label(struct go_labels *out, const struct go_label *label)
{
	u32 key = label->key.length > GO_MAX_KEY ? GO_MAX_KEY : (u32)label->key.length;
	u32 value = label->value.length > GO_MAX_VALUE ? GO_MAX_VALUE : (u32)label->value.length;
	u32 at = out->bytes;
	if (key < label->key.length || value < label->value.length)
		out->flags |= GO_LABELS_CUT;
	if (at + 2 + key + value > GO_LABEL_BYTES) {
		out->flags |= GO_LABELS_CUT;
		return;
	}
	/* For the verifier: these bounds hold already. */
	at &= GO_LABEL_BYTES - 1;
	key &= GO_MAX_KEY;
	value &= GO_MAX_VALUE;
	u8 *text = &out->text[at];
	if (bpf_probe_read_user(text + 2, key, (void *)label->key.start) ||
	    bpf_probe_read_user(text + 2 + key, value, (void *)label->value.start))
		return;
	text[0] = (u8)key;
	text[1] = (u8)value;
	out->bytes = (u16)(at + 2 + key + value);
	out->count++;
}

INLINE long read_go_label_list(u64 labels, struct go_labels *out)
{
	struct go_string list; /* as a slice begins */
	struct go_label label;
	if (!GO_READ(list, labels))
		return -1;
	if (list.length > GO_MAX_LABELS)
		out->flags |= GO_LABELS_CUT;
	for (u32 i = 0; i < GO_MAX_LABELS && i < list.length; i++) {
		if (!GO_READ(label, list.start + i * sizeof(label)))
			return -1;
		put_go_label(out, &label);
	}
	return out->count;
}

/* The first bucket, which has all of a map of up to eight labels. */
INLINE long read_go_label_map(u64 labels, struct go_labels *out)
{
	u64 at;
	struct go_map map;
	struct go_label label;
	u64 marks;
	if (!GO_READ(at, labels))
		return -1;
	if (!at)
		return 0;
	if (!GO_READ(map, at) || !GO_READ(marks, map.buckets))
		return -1;
	if (map.count > GO_BUCKET_CELLS)
		out->flags |= GO_LABELS_CUT;
	for (u32 i = 0; i < GO_BUCKET_CELLS; i++, marks >>= 8) {
		u64 key = map.buckets + __builtin_offsetof(struct go_bucket, keys) + i * 16;
		u64 value = map.buckets + __builtin_offsetof(struct go_bucket, values) + i * 16;
		if ((marks & 0xff) < GO_CELL_USED)
			continue;
		if (!GO_READ(label.key, key) || !GO_READ(label.value, value))
			return -1;
		put_go_label(out, &label);
	}
	return out->count;
}

/*
 * Copies the labels of the goroutine that `task` runs, also while its thread is on another stack
 * for it. `task` must be the one that runs here. Returns how many there are, or -1 where memory
 * could not be read; `out` holds what was read up to there.
 */
INLINE long read_go_labels(struct task_struct *task, const struct go_info *info,
			   struct go_labels *out)
{
	u64 base = ((struct task_struct___go *)task)->thread.fsbase;
	u64 g, m, labels;
	out->bytes = 0;
	out->count = 0;
	out->flags = 0;
	if (info->layout == GO_LABELS_ABSENT || !base)
		return 0;
	if (!GO_READ(g, base + (s64)info->thread_g))
		return -1;
	/* A thread of C's that Go has never called. */
	if (!g)
		return 0;
	if (!GO_READ(m, g + info->g_m) || !m)
		return -1;
	if (!GO_READ(g, m + info->m_curg))
		return -1;
	/* The scheduler, or a collector's thread of its own. */
	if (!g)
		return 0;
	if (!GO_READ(labels, g + info->g_labels))
		return -1;
	if (!labels)
		return 0;
	return info->layout == GO_LABELS_MAP ? read_go_label_map(labels, out) :
					       read_go_label_list(labels, out);
}

#endif
