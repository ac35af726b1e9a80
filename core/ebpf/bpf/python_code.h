/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CPython: how an interpreter lays things out, and what tells a code object from another that takes
 * its place. What the numbers of a layout mean is told in core/sampler/src/walk/python/layout.rs;
 * core/ebpf/src/python.rs fills them in.
 */
#ifndef SONDAGE_PYTHON_CODE_H
#define SONDAGE_PYTHON_CODE_H

#include "sample.h"

#define PYTHON_PLACE (0xf1ULL << 56)
#define PYTHON_INSTRUCTION (0xf2ULL << 56)
#define PYTHON_UNREADABLE 0x018000000fffffffULL
#define PYTHON_TRUNCATED 0x018000000ffffffeULL
#define PYTHON_ENTRY (1ULL << 27)
#define PYTHON_MAX_UNIT ((1ULL << 27) - 1)

/* The parts of a frame and of a code object that are read at once. */
#define PYTHON_PART 160

/* What is read of a text at once: its head, and all of most names and paths. */
#define PYTHON_TEXT 112
#define PYTHON_TEXT_HEAD 24
/* The length and the first bytes of a line table. */
#define PYTHON_TABLE_HEAD 24

/* At least what `PyThreadState` has in 3.11 and 3.12. */
#define PYTHON_THREAD_BYTES 1024
/* C stack between a call of the evaluation function and the one before, at most. */
#define PYTHON_MAX_CALL (1 << 20)
/* The highest owner of a frame with code. */
#define PYTHON_LAST_OWNER 2

#define PYTHON_REGISTERS 16

enum python_root {
	PYTHON_ROOT_THREAD = 0,
	PYTHON_ROOT_CFRAME = 1,
};

enum python_instruction {
	PYTHON_BYTES = 0,
	PYTHON_UNITS = 1,
	PYTHON_POINTER = 2,
};

enum python_entry {
	PYTHON_ENTRY_ALWAYS = 0,
	PYTHON_ENTRY_FLAG = 1,
	PYTHON_ENTRY_BELOW = 2,
};

/* Offsets in bytes. Those of a part count from where it starts. */
struct python_layout {
	u16 thread_frame;
	u16 thread_id;
	u16 cframe_frame;
	u16 cframe_previous;
	u16 frame_part;
	u16 frame_part_bytes;
	u16 frame_code; /* in the part */
	u16 frame_previous; /* in the part */
	u16 frame_instruction; /* in the part */
	u16 frame_owner; /* in the part */
	u16 frame_entry; /* in the part */
	u16 code_part;
	u16 code_part_bytes;
	u16 code_type; /* in the part */
	u16 code_first_line; /* in the part */
	u16 code_name; /* in the part */
	u16 code_file; /* in the part */
	u16 code_line_table; /* in the part */
	u16 code_start;
	u16 text_length;
	u16 text_state;
	u16 text_ascii;
	u16 text_compact;
	u16 bytes_size;
	u16 bytes_start;
	u8 root;
	u8 instruction;
	u8 entry;
	u8 last_owner;
	u8 tag_bits;
	u8 text_kind_shift;
};

/* A process with an interpreter. */
struct python_process {
	u64 code_type; /* the address of `PyCode_Type` */
	/*
	 * Where a thread keeps the address of its PyThreadState: `slot` bytes from its thread pointer,
	 * or from what the word `slot_base` bytes from there points to.
	 */
	u32 slot;
	u32 slot_base; /* PYTHON_NO_BASE: the thread pointer itself */
	struct python_layout layout;
};

#define PYTHON_NO_BASE 0xffffffff

enum python_end {
	PYTHON_LOST = 0,
	PYTHON_WHOLE = 1,
	PYTHON_CUT = 2,
};

/* One walk. */
struct python_walk {
	/* Set by the caller: what the thread's registers held, for 3.11 and 3.12. */
	u64 registers[PYTHON_REGISTERS];
	u32 register_count;
	u32 limit;

	u64 thread;
	u64 top; /* the running frame, or the structure on the C stack that has it */
	u64 previous; /* the structure before it */
	u64 frame;
	u64 caller; /* what must be the caller of the first frame of the running call */
	u64 pending_place; /* the last frame, which may still turn out to be the first of its call */
	u64 pending_instruction;
	u64 next_place; /* the frame that was read last */
	u64 next_instruction;
	u32 has_previous;
	u32 has_caller;
	u32 has_pending;
	u32 entered;
	u32 first; /* where in the record the words begin */
	u32 frames;
	u32 lost; /* frames of the last attempt that failed */
	u32 end; /* enum python_end */
	u32 restarted;
	u32 padding;
	u8 part[PYTHON_PART];
};

INLINE int python_word(u64 address, u64 *word)
{
	return !(address & 7) && !bpf_probe_read_user(word, sizeof(*word), (void *)address);
}

/* Reads `bytes` of an aligned structure into `part`. */
INLINE int python_part(struct python_walk *python, u64 address, u32 bytes)
{
	if (address & 7 || bytes == 0 || bytes > PYTHON_PART)
		return 0;
	return !bpf_probe_read_user(python->part, bytes, (void *)address);
}

/* Fields of `part`; 0 beyond it. */
INLINE u64 part_word(struct python_walk *python, u32 offset)
{
	return offset > PYTHON_PART - 8 ? 0 : *(u64 *)&python->part[offset];
}

INLINE u32 part_half(struct python_walk *python, u32 offset)
{
	return offset > PYTHON_PART - 4 ? 0 : *(u32 *)&python->part[offset];
}

INLINE u8 part_byte(struct python_walk *python, u32 offset)
{
	return offset > PYTHON_PART - 1 ? 0 : python->part[offset];
}

/* `mix` of core/sampler/src/interner.rs. */
INLINE u64 python_mix(u64 word)
{
	u64 x = word + 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/*
 * Mixes what a text is into a check: its length, its kind, and its last 8 bytes, or as many as there
 * are.
 */
INLINE int python_mix_text(struct python_walk *python, const struct python_layout *layout, u64 text,
			   u64 *check)
{
	u64 head = text + layout->text_length, tail = 0;
	int whole = python_part(python, head, PYTHON_TEXT);
	if (!whole && !python_part(python, head, PYTHON_TEXT_HEAD))
		return 0;
	u64 length = part_word(python, 0);
	if (length >> 32)
		return 0;
	u32 state = part_half(python, layout->text_state - layout->text_length);
	u64 kind = state >> (layout->text_kind_shift & 31) & 31, width = kind & 7;
	if (kind & 8 && (width == 1 || width == 2 || width == 4) && length) {
		u64 bytes = length * width;
		u64 from = (kind & 16 ? layout->text_ascii : layout->text_compact) - layout->text_length;
		if (bytes > 8)
			from += bytes - 8;
		if (whole && from <= PYTHON_TEXT - 8)
			tail = part_word(python, (u32)from);
		else if (bpf_probe_read_user(&tail, sizeof(tail), (void *)(head + from)))
			return 0;
		if (bytes < 8)
			tail &= (1ULL << 8 * bytes) - 1;
	}
	*check = python_mix(*check ^ length ^ kind << 56);
	*check = python_mix(*check ^ tail);
	return 1;
}

/*
 * What tells a code object from another that takes its place: `check` of identity.rs. The object's
 * part is in `part`, and is no more afterwards.
 */
INLINE int python_check(struct python_walk *python, const struct python_layout *layout, u64 *result)
{
	u64 check = part_half(python, layout->code_first_line);
	u64 name = part_word(python, layout->code_name);
	u64 file = part_word(python, layout->code_file);
	u64 table = part_word(python, layout->code_line_table);
	check = python_mix(check ^ name);
	check = python_mix(check ^ file);
	check = python_mix(check ^ table);
	if (!python_part(python, table + layout->bytes_size, PYTHON_TABLE_HEAD))
		return 0;
	check = python_mix(check ^ part_word(python, 0));
	check = python_mix(check ^ part_word(python, layout->bytes_start - layout->bytes_size));
	if (!python_mix_text(python, layout, name, &check) ||
	    !python_mix_text(python, layout, file, &check))
		return 0;
	*result = check;
	return 1;
}

#endif
