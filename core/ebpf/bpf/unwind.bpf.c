// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Samples processes: a CPU clock event on every processor interrupts whatever runs there; if it is
 * a thread of a process that is asked for, its user stack is walked by the compact unwind tables
 * and the sample goes into a ring. So does the stack of a thread that stops running (off_cpu.h).
 *
 * The walk is the one of core/sampler/src/walk/native.rs, step for step. Change both or none: the
 * replay test walks captured stacks with the other one and compares.
 */
#include "maps.h"
#include "go.h"
#include "labels.h"
#include "python.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Addresses below this cannot be code. */
#define LOWEST_CODE 4096
/* The top byte of a frame word is its kind: an address may not reach into it. */
#define BEYOND_CODE (1ULL << 56)
/* The inode of the pid namespace that all others lie in: PROC_PID_INIT_INO of linux/proc_ns.h. */
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU

INLINE void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Reads an aligned word of the target. False where it cannot be read. */
INLINE int read_word(u64 address, u64 *word)
{
	return !(address & 7) && !bpf_probe_read_user(word, sizeof(*word), (void *)address);
}

INLINE int holds(const struct mapping *mapping, u64 address)
{
	return address >= mapping->start && address < mapping->end;
}

INLINE struct mapping *mapping_at(const struct walk *walk, u32 number)
{
	u32 index = walk->process.first + number;
	return bpf_map_lookup_elem(&mappings, &index);
}

/* The mapping with the code at `address`; first looks where the last one was found. */
INLINE struct mapping *find_mapping(struct walk *walk, u64 address)
{
	u32 low = 0, size = walk->process.count;
	struct mapping *mapping = mapping_at(walk, walk->mapping);
	/* What lies beyond the list is another process'. */
	if (mapping && walk->mapping < size && holds(mapping, address))
		return mapping;
	for (int round = 0; round < MAPPING_ROUNDS && size > 1; round++) {
		u32 half = size / 2;
		mapping = mapping_at(walk, low + half);
		if (mapping && mapping->start <= address)
			low += half;
		size -= half;
	}
	mapping = mapping_at(walk, low);
	if (!mapping || low >= walk->process.count || !holds(mapping, address))
		return 0;
	walk->mapping = low;
	return mapping;
}

INLINE void *find_chunk(u32 place)
{
	u32 number = place >> CHUNK_PAIRS_SHIFT;
	return bpf_map_lookup_elem(&chunks, &number);
}

INLINE void *find_pair(void *chunk, u32 place)
{
	u32 key = place & (CHUNK_PAIRS - 1);
	return bpf_map_lookup_elem(chunk, &key);
}

/* A row, given the number of a word in this chunk or, modulo its size, in another. */
INLINE int read_row(void *chunk, u32 word, u32 *row)
{
	struct pair *pair = find_pair(chunk, word >> 1);
	if (!pair)
		return 0;
	*row = pair->word[word & 1];
	return 1;
}

/* The rule for an address as in the file; null where the table has none. */
INLINE struct rule *find_rule(const struct mapping *mapping, u64 address)
{
	u64 offset = address - mapping->base;
	u64 number = offset >> 16;
	u32 row, low;
	if (number >= mapping->page_count)
		return 0;
	u32 place = mapping->first_page + (u32)number;
	void *chunk = find_chunk(place);
	if (!chunk)
		return 0;
	struct code_page *page = find_pair(chunk, place);
	if (!page || !page->rows)
		return 0;
	low = page->first_row;
	u32 size = page->rows;
	chunk = find_chunk(low >> 1);
	if (!chunk)
		return 0;
	for (int round = 0; round < ROW_ROUNDS && size > 1; round++) {
		u32 half = size / 2, middle = low + half;
		if (read_row(chunk, middle, &row) && (u16)row <= (u16)offset)
			low = middle;
		size -= half;
	}
	if (!read_row(chunk, low, &row) || row >> 16 >= mapping->rule_count)
		return 0;
	place = mapping->first_rule + (row >> 16);
	chunk = find_chunk(place);
	if (!chunk)
		return 0;
	return find_pair(chunk, place);
}

INLINE long stop(struct walk *walk, enum end end)
{
	walk->end = end;
	return 1;
}

/* Stacks grow down: a caller's frame lies strictly above. */
INLINE int is_above(const struct walk *walk, u64 cfa)
{
	return cfa > walk->sp && !(cfa & 7);
}

INLINE int is_code(u64 address)
{
	return address >= LOWEST_CODE && address < BEYOND_CODE;
}

/* Restores the caller's registers, given the frame's CFA. */
INLINE long return_to_caller(struct walk *walk, const struct rule *rule, u64 cfa)
{
	u64 return_address, slot = cfa + (s64)rule->fp * 8;
	if (!is_above(walk, cfa))
		return stop(walk, END_CORRUPT);
	if (!read_word(cfa - 8, &return_address))
		return stop(walk, END_MEMORY);
	/* A null one marks the end of the stack by convention, where a table says that it is one. */
	if (!is_code(return_address))
		return stop(walk, return_address ? END_CORRUPT : END_ROOT);
	/* A slot below the stack pointer was popped already: the register holds the caller's. */
	if (rule->fp && slot >= walk->sp && !read_word(slot, &walk->fp))
		return stop(walk, END_MEMORY);
	walk->pc = return_address;
	walk->sp = cfa;
	walk->interrupted = rule->ra == RA_INTERRUPTED;
	return 0;
}

/* Code without a table: a frame record lies where the frame pointer points. */
INLINE long step_by_frame_pointer(struct walk *walk)
{
	u64 fp = walk->fp, cfa = fp + 16, return_address;
	if (!is_above(walk, cfa))
		return stop(walk, END_CORRUPT);
	if (!read_word(fp + 8, &return_address))
		return stop(walk, END_MEMORY);
	if (!is_code(return_address))
		return stop(walk, END_CORRUPT);
	if (!read_word(fp, &walk->fp))
		return stop(walk, END_MEMORY);
	walk->pc = return_address;
	walk->sp = cfa;
	return 0;
}

/* A frame that keeps its CFA below the saved frame pointer. */
INLINE long step_over_realigned(struct walk *walk, const struct rule *rule)
{
	u64 cfa, caller, cfa_slot = walk->fp + (s64)rule->offset;
	if (cfa_slot < walk->sp || walk->fp < walk->sp)
		return stop(walk, END_CORRUPT);
	if (!read_word(cfa_slot, &cfa) || !read_word(walk->fp, &caller))
		return stop(walk, END_MEMORY);
	if (return_to_caller(walk, rule, cfa))
		return 1;
	walk->fp = caller;
	return 0;
}

/*
 * The kernel's signal trampoline: ucontext_t lies at the stack pointer, its registers from byte
 * 40 (Linux arch/x86/include/uapi/asm/sigcontext.h): rbp at 120, rsp at 160, rip at 168.
 */
INLINE long step_over_signal(struct walk *walk)
{
	u64 sp = walk->sp;
	if (!read_word(sp + 168, &walk->pc) || !read_word(sp + 160, &walk->sp) ||
	    !read_word(sp + 120, &walk->fp))
		return stop(walk, END_MEMORY);
	walk->interrupted = 1;
	return 0;
}

/* Moves to the caller's frame. Not 0: the walk ends here. */
INLINE long step(struct walk *walk)
{
	u64 pc = walk->pc, cfa;
	u64 inside = walk->interrupted ? pc : pc - 1;
	walk->interrupted = 0;
	struct mapping *mapping = find_mapping(walk, inside);
	if (!mapping)
		return stop(walk, END_UNKNOWN_CODE);
	struct rule *rule = find_rule(mapping, inside - mapping->bias);
	if (!rule)
		return step_by_frame_pointer(walk);
	switch (rule->cfa) {
	case CFA_NONE:
		return step_by_frame_pointer(walk);
	case CFA_SP:
		cfa = walk->sp + (s64)rule->offset;
		break;
	case CFA_FP:
		cfa = walk->fp + (s64)rule->offset;
		break;
	case CFA_PLT:
		cfa = walk->sp + 8 + ((pc & 15) >= 11 ? 8 : 0);
		break;
	case CFA_ROOT:
		return stop(walk, END_ROOT);
	case CFA_SIGNAL:
		return step_over_signal(walk);
	case CFA_FP_DEREF:
		return step_over_realigned(walk, rule);
	case CFA_FP_ANY_STACK:
		/* The frame may lie on another stack, so also below the stack pointer. */
		cfa = walk->fp + (s64)rule->offset;
		walk->sp = cfa - 16;
		break;
	case CFA_SP_DEREF:
		if (!read_word(walk->sp + (s64)rule->offset, &cfa))
			return stop(walk, END_MEMORY);
		cfa += (s64)rule->ra * 8;
		break;
	default:
		return stop(walk, END_UNSUPPORTED);
	}
	return return_to_caller(walk, rule, cfa);
}

/* The frame that the walk is at. False: there is no room for it. */
INLINE int visit_leaf(struct walk *walk)
{
	u32 frame = walk->frames;
	if (frame >= MAX_FRAMES)
		return 0;
	walk->record.frames[frame] = walk->pc;
	walk->frames = frame + 1;
	return 1;
}

static long visit_frame(u64 round, struct walk **context)
{
	struct walk *walk = *context;
	return visit_leaf(walk) ? step(walk) : 1;
}

/* Fills in the registers with which the thread entered the kernel. False: it never runs user code. */
INLINE int find_entry_registers(struct walk *walk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (FIELD_EXISTS(task->flags) && task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER))
		return 0;
	struct pt_regs *user = (struct pt_regs *)bpf_task_pt_regs(task);
	walk->pc = user->ip;
	walk->sp = user->sp;
	walk->fp = user->bp;
	return 1;
}

/* Fills in the registers to start from. False for a thread that has none in user space. */
INLINE int find_registers(volatile struct bpf_perf_event_data *context, struct walk *walk)
{
	if (INTERRUPTED_USER(context)) {
		walk->pc = context->ip;
		walk->sp = context->sp;
		walk->fp = context->bp;
		return 1;
	}
	count(COUNT_IN_KERNEL);
	return find_entry_registers(walk);
}

/* Puts the kernel's frames first: their addresses are words of samples as they are. */
INLINE void add_kernel_frames(void *context, struct walk *walk)
{
	if (!kernel_stacks)
		return;
	long bytes = bpf_get_stack(context, walk->record.frames, MAX_KERNEL_FRAMES * 8, 0);
	if (bytes > 0)
		walk->frames = (u32)bytes / 8;
}

/* Prepares a walk of a thread; the registers to start from are still to be set. */
INLINE struct walk *new_walk(enum scratch scratch, struct bpf_pidns_info ids)
{
	u32 key = scratch, tgid = ids.tgid;
	struct walk *walk = bpf_map_lookup_elem(&walks, &key);
	if (!walk)
		return 0;
	struct process *process = bpf_map_lookup_elem(&processes, &tgid);
	if (process) {
		walk->process = *process;
	} else if (every_process) {
		walk->process = (struct process){};
	} else {
		return 0;
	}
	walk->record.tgid = tgid;
	walk->record.tid = ids.pid;
	walk->record.time = bpf_ktime_get_ns();
	walk->mapping = 0;
	walk->interrupted = 1;
	walk->frames = 0;
	walk->end = END_DEPTH;
	return walk;
}

/* The running thread. False: it is none of those that the loader's pid namespace sees. */
INLINE int identify(struct bpf_pidns_info *ids)
{
	/* It numbers the processes of all others too; the helper below knows those that are in no other. */
	if (pid_namespace_inode == FIRST_PID_NAMESPACE) {
		u64 both = bpf_get_current_pid_tgid();
		ids->tgid = both >> 32;
		ids->pid = (u32)both;
		return ids->tgid != 0;
	}
	return !bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, ids,
					    sizeof(*ids)) &&
	       ids->tgid;
}

/* Prepares a walk of the running thread. Null: nobody asks for its samples. */
INLINE struct walk *begin(enum scratch scratch)
{
	struct bpf_pidns_info ids = {};
	if (!identify(&ids))
		return 0;
	return new_walk(scratch, ids);
}

/* Walks from the registers in `walk`. False when the list of mappings was replaced meanwhile. */
INLINE int finish(struct walk *walk)
{
	u32 tgid = walk->record.tgid;
	struct walk *argument = walk;
	bpf_loop(max_depth, visit_frame, &argument, 0);
	struct process *now = bpf_map_lookup_elem(&processes, &tgid);
	return now && now->generation == walk->process.generation &&
	       now->first == walk->process.first && now->count == walk->process.count;
}

/* Puts a record into the ring: of a walk, or with words that are set already. */
INLINE int put(struct walk *walk, enum kind kind, u32 words, u64 flags)
{
	struct record *record = &walk->record;
	if (words > HEADER_WORDS + MAX_FRAMES + MAX_ID_WORDS + MAX_COPY_WORDS)
		return 0;
	record->kind = kind;
	record->words = words;
	record->cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	if (!bpf_ringbuf_output(&ring, record, RECORD_PREFIX + (u64)words * 8, flags))
		return 1;
	count(COUNT_RING_FULL);
	return 0;
}

#include "context.h"
#include "stack_copy.h"

/* Puts a sample into the ring. The reader comes by the clock: waking it would cost more. */
INLINE int submit(struct walk *walk, enum kind kind, u64 flags)
{
	u32 frames = walk->frames;
	if (frames > MAX_FRAMES)
		return 0;
	walk->record.header = (u64)frames | (u64)walk->end << 16 | (u64)SOURCE_EBPF << 24 | 1ull << 32;
	u32 words = frames + add_labels(&walk->record, frames);
	if (walk->process.runtimes & RUNTIME_CONTEXT)
		words = frames + add_context(walk, kind, frames);
	if (kind == KIND_UNKNOWN_PROCESS)
		words += add_stack_copy(walk, words);
	return put(walk, kind, HEADER_WORDS + words, flags);
}

#include "runtimes.h"

#ifndef SONDAGE_CAPTURE
SEC("perf_event")
int sondage_on_cpu(struct bpf_perf_event_data *context)
{
	struct walk *walk = begin(SCRATCH_RUNNING);
	if (!walk)
		return 0;
	if (!INTERRUPTED_USER(context))
		add_kernel_frames(context, walk);
	if (!find_registers(context, walk)) {
		walk->end = walk->frames ? END_ROOT : END_UNKNOWN_CODE;
		count(COUNT_NO_USER_STACK);
	} else if (!walk->process.generation) {
		visit_leaf(walk);
		count(COUNT_UNKNOWN_PROCESS);
		/* At once: the process may end soon. */
		submit(walk, KIND_UNKNOWN_PROCESS, BPF_RB_FORCE_WAKEUP);
		return 0;
	} else if (!finish(walk)) {
		count(COUNT_MODULES_CHANGED);
		return 0;
	} else if (walk->process.runtimes) {
		add_runtimes(context, walk);
	}
	if (submit(walk, KIND_SAMPLE, BPF_RB_NO_WAKEUP))
		count(COUNT_SAMPLES);
	return 0;
}

#include "lifecycle.h"
#include "off_cpu.h"
#endif
