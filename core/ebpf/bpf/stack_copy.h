/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A copy of a stack whose code nobody knows yet. Who reads it learns of the code, and walks the copy
 * then: core/ebpf/src/stack_copy.rs.
 */
#ifndef SONDAGE_STACK_COPY_H
#define SONDAGE_STACK_COPY_H

#include "maps.h"

/* Copies leave three quarters of the ring to what is smaller, if nobody reads for a while. */
INLINE int has_room_for_copies(void)
{
	u64 unread = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	return unread < bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 4;
}

/*
 * Adds the registers of the walk and the stack to a record of which `at` words are written behind its
 * header, and returns how many that were. The copy begins at the part that the stack pointer is in and
 * ends with the stack.
 */
INLINE u32 add_stack_copy(struct walk *walk, u32 at)
{
	u64 *words = walk->record.frames;
	u64 from = walk->sp & ~(u64)(COPY_PART - 1);
	u32 count = 2;
	if (at > MAX_FRAMES + MAX_ID_WORDS || !has_room_for_copies())
		return 0;
	words[at] = walk->sp;
	words[at + 1] = walk->fp;
	for (int part = 0; part < COPY_PARTS; part++) {
		if (bpf_probe_read_user(&words[at + count], COPY_PART, (void *)from))
			break;
		from += COPY_PART;
		count += COPY_PART / 8;
	}
	return count;
}

#endif
