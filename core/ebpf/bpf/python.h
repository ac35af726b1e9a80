/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * CPython: frames of the running thread, read from the interpreter's own structures.
 *
 * The walk is the one of core/sampler/src/walk/python/frames.rs, step for step. Change both or
 * none: the replay test walks frozen processes with both and compares.
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

#include "python_code.h"

struct python_context {
	struct walk *walk;
	struct python_walk *python;
	const struct python_process *process;
};

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
