/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CPython: frames of the running thread, read from the interpreter's own structures.
 *
 * The walk is the one of core/sampler/src/walk/python/frames.rs, step for step. Change both or
 * none: the replay test walks frozen processes with both and compares. What the numbers of a layout
 * mean is told in layout.rs there; core/ebpf/src/python.rs fills them in.
 *
 * A frame is two words of the record, since there is nothing here that could give code objects
 * numbers:
 *
 *   bits 0-43 the code object's address / 8, 44-55 the low bits of its check, 56-63 0xf1
 *   bits 0-26 the instruction in code units, 27 entry, 28-55 the high bits of the check, 56-63 0xf2
 *
 * Behind the last one there may be a word for frames that could not be read, or for those beyond
 * the limit, as core/sampler/src/walk/python/word.rs has them. The includer has defined
 * `struct walk` with `frames`, the number of words in `record.frames`.
 */
#ifndef SONDAGE_PYTHON_H
#define SONDAGE_PYTHON_H

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

struct python_context {
	struct walk *walk;
	struct python_walk *python;
	const struct python_process *process;
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

/* A word of the record, counted from the first one of Python. */
INLINE void python_put(struct python_context *context, u32 index, u64 word)
{
	u32 at = context->python->first + index;
	if (at < MAX_FRAMES)
		context->walk->record.frames[at] = word;
}

/* Hands out the last frame, now that it is known whether it is the first of its call. */
INLINE void python_flush(struct python_context *context, int entered)
{
	struct python_walk *python = context->python;
	if (!python->has_pending)
		return;
	u64 entry = entered ? PYTHON_ENTRY : 0;
	python->has_pending = 0;
	python_put(context, 2 * python->frames, python->pending_place);
	python_put(context, 2 * python->frames + 1, python->pending_instruction | entry);
	python->frames++;
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

/* The instruction of a frame in code units; before its first instruction, that one. */
INLINE int python_unit(const struct python_layout *layout, u64 word, u64 code, u64 *unit)
{
	s64 bytes;
	if (layout->instruction == PYTHON_POINTER) {
		bytes = (s64)(word - (code + layout->code_start));
		if (bytes & 1)
			return 0;
	} else {
		bytes = (s64)(s32)(u32)word;
		if (layout->instruction == PYTHON_UNITS)
			bytes *= 2;
	}
	*unit = bytes < 0 ? 0 : (u64)bytes >> 1;
	if (*unit > PYTHON_MAX_UNIT)
		*unit = PYTHON_MAX_UNIT;
	return 1;
}

enum python_read {
	PYTHON_READ_FAILED = 0,
	PYTHON_READ_CODE = 1,
	PYTHON_READ_SHIM = 2, /* the caller of the evaluation function, which has no code */
};

/* Reads the frame at `frame` into `next`, and who called it. */
INLINE enum python_read python_read(struct python_context *context, u64 *caller)
{
	struct python_walk *python = context->python;
	const struct python_layout *layout = &context->process->layout;
	u32 entry = layout->entry;
	u64 unit, check;
	if (!python_part(python, python->frame + layout->frame_part, layout->frame_part_bytes))
		return PYTHON_READ_FAILED;
	*caller = part_word(python, layout->frame_previous);
	python->entered = entry == PYTHON_ENTRY_ALWAYS;
	if (entry != PYTHON_ENTRY_ALWAYS) {
		u8 owner = part_byte(python, layout->frame_owner);
		if (entry == PYTHON_ENTRY_BELOW && owner > PYTHON_LAST_OWNER && owner <= layout->last_owner)
			return PYTHON_READ_SHIM;
		if (owner > PYTHON_LAST_OWNER)
			return PYTHON_READ_FAILED;
		if (entry == PYTHON_ENTRY_FLAG)
			python->entered = part_byte(python, layout->frame_entry) != 0;
	}
	u64 code = part_word(python, layout->frame_code);
	code = code >> (layout->tag_bits & 63) << (layout->tag_bits & 63);
	u64 instruction = part_word(python, layout->frame_instruction);
	if (layout->instruction != PYTHON_POINTER)
		instruction = part_half(python, layout->frame_instruction);
	if (!python_part(python, code + layout->code_part, layout->code_part_bytes) ||
	    part_word(python, layout->code_type) != context->process->code_type)
		return PYTHON_READ_FAILED;
	if (!python_unit(layout, instruction, code, &unit) || !python_check(python, layout, &check))
		return PYTHON_READ_FAILED;
	u64 place = code << 17 >> 20;
	python->next_place = PYTHON_PLACE | (check & 0xfff) << 44 | place;
	python->next_instruction = PYTHON_INSTRUCTION | check >> 36 << 28 | unit;
	return PYTHON_READ_CODE;
}

/* One frame. Not 0: the walk ends here. */
static long python_visit(u64 round, struct python_context *context)
{
	struct python_walk *python = context->python;
	u64 caller;
	if (!python->frame) {
		python_flush(context, 1);
		python->end = PYTHON_WHOLE;
		return 1;
	}
	enum python_read read = python_read(context, &caller);
	int entered = python->entered;
	python_flush(context, read == PYTHON_READ_SHIM);
	if (read == PYTHON_READ_FAILED) {
		python->end = PYTHON_LOST;
		return 1;
	}
	if (read == PYTHON_READ_SHIM) {
		entered = 1;
	} else {
		if (python->frames >= python->limit)
			return 1;
		python->pending_place = python->next_place;
		python->pending_instruction = python->next_instruction | (entered ? PYTHON_ENTRY : 0);
		python->has_pending = 1;
	}
	if (entered && python->has_caller) {
		if (python->caller != caller) {
			python->frames = 0;
			python->end = PYTHON_LOST;
			return 1;
		}
		python->has_caller = 0;
	}
	python->frame = caller;
	return 0;
}

/* What the structure at `from` on the C stack says of the running call. */
INLINE int python_start(struct python_walk *python, const struct python_layout *layout, u64 from)
{
	u64 previous;
	python->has_caller = 1;
	return python_word(from + layout->cframe_frame, &python->frame) &&
	       python_word(from + layout->cframe_previous, &previous) &&
	       python_word(previous + layout->cframe_frame, &python->caller) && python->frame;
}

/* Where attempt `index` starts. False: nowhere. */
INLINE int python_choose(struct python_walk *python, const struct python_layout *layout, u32 index)
{
	if (layout->root == PYTHON_ROOT_THREAD) {
		python->frame = python->top;
		python->has_caller = 0;
		return index == 0;
	}
	if (index == 0)
		return python_start(python, layout, python->top);
	if (index == 1)
		return python->has_previous && python_start(python, layout, python->previous);
	index -= 2;
	if (index >= PYTHON_REGISTERS || index >= python->register_count)
		return 0;
	/* While the structure is being filled in, the one before is still in a register. */
	u64 from = python->registers[index];
	u64 above = from - python->top;
	return above >= 8 && above < PYTHON_MAX_CALL && python_start(python, layout, from);
}

/* One walk from one start. Not 0: it is the right one. */
static long python_attempt(u64 index, struct python_context *context)
{
	struct python_walk *python = context->python;
	if (!python_choose(python, &context->process->layout, (u32)index))
		return 0;
	python->frames = 0;
	python->has_pending = 0;
	python->end = PYTHON_CUT;
	/* As many frames without code as with, and some: a chain in a circle ends. */
	bpf_loop(python->limit * 2 + 2, python_visit, context, 0);
	if (python->end == PYTHON_CUT)
		python_flush(context, 0);
	if (python->end != PYTHON_LOST) {
		python->restarted = index != 0;
		return 1;
	}
	python->lost = python->frames;
	/* Beyond the first call the start has proven itself; the rest is lost for good. */
	return !python->has_caller;
}

/* The calling thread's state; 0 for one that runs no Python. */
INLINE u64 python_thread(const struct python_process *process, u64 thread_pointer)
{
	u64 base = thread_pointer, thread, identity;
	if (process->slot_base != PYTHON_NO_BASE &&
	    !python_word(thread_pointer + process->slot_base, &base))
		return 0;
	if (!python_word(base + process->slot, &thread) || !thread)
		return 0;
	/* glibc and musl make the address of the thread control block a thread's identity. */
	if (!python_word(thread + process->layout.thread_id, &identity) || identity != thread_pointer)
		return 0;
	return thread;
}

/* Whether a thread of 3.11 or 3.12 is in no call: then it has no frames, and has lost none. */
INLINE int python_is_idle(struct python_walk *python, const struct python_layout *layout, int *lost)
{
	u64 thread = python->thread, top = python->top, frame = 0, first_frame;
	int has_frame = python_word(top + layout->cframe_frame, &frame);
	if (top - thread < PYTHON_THREAD_BYTES) {
		*lost = !has_frame || frame;
		return 1;
	}
	python->has_previous = python_word(top + layout->cframe_previous, &python->previous);
	return has_frame && !frame && python->has_previous &&
	       python->previous - thread < PYTHON_THREAD_BYTES &&
	       python_word(python->previous + layout->cframe_frame, &first_frame) && !first_frame;
}

/*
 * Appends the Python frames of the thread whose state is at `thread` to the words of `walk`, newest
 * first. Returns how many words that are.
 */
INLINE u32 python_walk_thread(struct walk *walk, struct python_walk *python,
			      const struct python_process *process, u64 thread)
{
	struct python_context context = { walk, python, process };
	const struct python_layout *layout = &process->layout;
	u32 first = walk->frames, words;
	int lost = 0;
	if (first > MAX_FRAMES - 3)
		return 0;
	if (python->limit > (MAX_FRAMES - 1 - first) / 2)
		python->limit = (MAX_FRAMES - 1 - first) / 2;
	python->thread = thread;
	python->first = first;
	python->frames = python->lost = python->restarted = python->has_previous = 0;
	python->end = PYTHON_LOST;
	if (python_word(thread + layout->thread_frame, &python->top)) {
		if (layout->root == PYTHON_ROOT_CFRAME && python_is_idle(python, layout, &lost)) {
			if (!lost)
				return 0;
		} else {
			u32 starts = layout->root == PYTHON_ROOT_CFRAME ? 2 + PYTHON_REGISTERS : 1;
			bpf_loop(starts, python_attempt, &context, 0);
		}
	}
	if (python->end == PYTHON_LOST) {
		words = 2 * python->lost;
		python_put(&context, words, PYTHON_UNREADABLE);
		words++;
	} else {
		words = 2 * python->frames;
		if (python->end == PYTHON_CUT) {
			python_put(&context, words, PYTHON_TRUNCATED);
			words++;
		}
	}
	if (first + words > MAX_FRAMES)
		words = MAX_FRAMES - first;
	walk->frames = first + words;
	return words;
}

#ifndef PYTHON_ON_HOST

/* Kernel structures beside those of kernel.h; the loader leaves away what follows `___`. */
struct thread_struct___python {
	unsigned long fsbase;
} MOVABLE;

struct task_struct___python {
	struct thread_struct___python thread;
} MOVABLE;

/* The running thread's pointer to its control block, as the kernel loads it. */
INLINE u64 python_thread_pointer(void)
{
	struct task_struct___python *task = (void *)bpf_get_current_task_btf();
	return task->thread.fsbase;
}

/* What the interrupted thread's registers hold, by which 3.11 and 3.12 find a call that begins. */
INLINE void python_registers(volatile struct bpf_perf_event_data *context, struct python_walk *python)
{
	/* In a system call no frame is just being made. */
	python->register_count = 0;
	if (!INTERRUPTED_USER(context))
		return;
	python->registers[0] = context->ax;
	python->registers[1] = context->bx;
	python->registers[2] = context->cx;
	python->registers[3] = context->dx;
	python->registers[4] = context->si;
	python->registers[5] = context->di;
	python->registers[6] = context->bp;
	python->registers[7] = context->r8;
	python->registers[8] = context->r9;
	python->registers[9] = context->r10;
	python->registers[10] = context->r11;
	python->registers[11] = context->r12;
	python->registers[12] = context->r13;
	python->registers[13] = context->r14;
	python->registers[14] = context->r15;
	python->register_count = 15;
}

/*
 * Appends the running thread's Python frames, at most `limit`, to the native ones in `walk`, whose
 * registers `python` has or says that it has none of. Returns how many words that are; 0 for a
 * thread that runs no Python.
 */
INLINE u32 python_append(struct walk *walk, struct python_walk *python,
			 const struct python_process *process, u32 limit)
{
	u64 thread = python_thread(process, python_thread_pointer());
	if (!thread)
		return 0;
	python->limit = limit;
	return python_walk_thread(walk, python, process, thread);
}

#endif
#endif
