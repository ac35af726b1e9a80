/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The labels of the sampled thread: where its label cell lies, the agent says.
 *
 * The program runs on the thread that it samples, so the cell stands still: a change that the
 * thread is in the middle of is not current yet, and what is read is all of the old labels.
 */
#ifndef SONDAGE_LABELS_H
#define SONDAGE_LABELS_H

#include "sample.h"

/* `MAX_SLOTS` in core/sampler/src/registration.rs: threads that can have a cell. */
#define MAX_LABEL_CELLS 4096

/* Bits of the word with the label set: what follows the frames. See sample.rs. */
#define HAS_SPAN (1ULL << 32)
#define HAS_TRACE (2ULL << 32)

/* `Record` and `LabelCell` in core/sampler/src/labels.rs. */
struct label_record {
	u32 set;
	u32 padding;
	u64 span;
	u64 trace_high;
	u64 trace_low;
};

struct label_cell {
	u32 current;
	u32 padding;
	struct label_record records[2];
};

/* Thread, as the target's pid namespace numbers it, to the address of its cell. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, MAX_LABEL_CELLS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} label_cells SEC(".maps");

/*
 * Reads the labels of the running thread: the sample's second word into `labels`, and the ids
 * after the frames, of which it returns the number. None where there is no cell or it cannot be
 * read.
 */
INLINE u32 read_labels(u32 tid, u64 *labels, u64 ids[MAX_ID_WORDS])
{
	struct label_cell cell;
	struct label_record record;
	u64 *address = bpf_map_lookup_elem(&label_cells, &tid);
	*labels = 0;
	if (!address || bpf_probe_read_user(&cell, sizeof(cell), (void *)*address))
		return 0;
	record = cell.current & 1 ? cell.records[1] : cell.records[0];
	u32 count = 0;
	*labels = record.set;
	if (record.span) {
		*labels |= HAS_SPAN;
		ids[0] = record.span;
		count = 1;
	}
	if (record.trace_high | record.trace_low) {
		*labels |= HAS_TRACE;
		if (count) {
			ids[1] = record.trace_high;
			ids[2] = record.trace_low;
		} else {
			ids[0] = record.trace_high;
			ids[1] = record.trace_low;
		}
		count += 2;
	}
	return count;
}

/*
 * Adds the labels to a record whose `frames` frames are written, and returns how many words follow
 * them. `frames` must be known to be at most MAX_FRAMES.
 */
INLINE u32 add_labels(struct record *record, u32 frames)
{
	u64 ids[MAX_ID_WORDS] = {};
	u32 count = read_labels(record->tid, &record->labels, ids);
	if (!count)
		return 0;
	record->frames[frames] = ids[0];
	record->frames[frames + 1] = ids[1];
	record->frames[frames + 2] = ids[2];
	return count;
}

#endif
