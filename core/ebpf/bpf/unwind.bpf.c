// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Samples one process: a CPU clock event on every processor interrupts whatever runs there; if it
 * is a thread of the process, its user stack is walked by the compact unwind tables and the
 * sample goes into a ring.
 *
 * The walk is the one of core/sampler/src/walk/native.rs, step for step. Change both or none: the
 * replay test walks captured stacks with the other one and compares.
 */
#include "maps.h"
#include "labels.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Addresses below this cannot be code. */
#define LOWEST_CODE 4096
/* The top byte of a frame word is its kind: an address may not reach into it. */
#define BEYOND_CODE (1ULL << 56)

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

INLINE int holds(const struct module *module, u64 address)
{
	return address >= module->start && address < module->end;
}

/* The module with the code at `address`; first looks where the last one was found. */
INLINE struct module *find_module(struct walk *walk, u64 address)
{
	u32 low = 0, size = walk->module_count;
	u32 last = walk->module;
	struct module *module = bpf_map_lookup_elem(&modules, &last);
	/* Entries from `module_count` on are left over from a longer list. */
	if (module && last < size && holds(module, address))
		return module;
	for (int round = 0; round < MODULE_ROUNDS && size > 1; round++) {
		u32 half = size / 2, middle = low + half;
		module = bpf_map_lookup_elem(&modules, &middle);
		if (module && module->start <= address)
			low = middle;
		size -= half;
	}
	module = bpf_map_lookup_elem(&modules, &low);
	if (!module || low >= walk->module_count || !holds(module, address))
		return 0;
	walk->module = low;
	return module;
}

INLINE int read_pair(void *map, u32 index, u32 *word)
{
	u32 key = index >> 1;
	struct pair *pair = bpf_map_lookup_elem(map, &key);
	if (!pair)
		return 0;
	*word = pair->word[index & 1];
	return 1;
}

/* The rule for an address as in the file; null where the table has none. */
INLINE struct rule *find_rule(const struct module *module, u64 address)
{
	u64 offset = address - module->base;
	u64 page = offset >> 16;
	u32 first, end, row, low;
	if (page >= module->page_count)
		return 0;
	u32 index = module->first_page + (u32)page;
	if (!read_pair(&pages, index, &first) || !read_pair(&pages, index + 1, &end))
		return 0;
	if (first >= end || end > module->row_count)
		return 0;
	low = module->first_row + first;
	u32 size = end - first;
	for (int round = 0; round < ROW_ROUNDS && size > 1; round++) {
		u32 half = size / 2, middle = low + half;
		if (read_pair(&rows, middle, &row) && (u16)row <= (u16)offset)
			low = middle;
		size -= half;
	}
	if (!read_pair(&rows, low, &row) || row >> 16 >= module->rule_count)
		return 0;
	u32 rule = module->first_rule + (row >> 16);
	return bpf_map_lookup_elem(&rules, &rule);
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
	struct module *module = find_module(walk, inside);
	if (!module)
		return stop(walk, END_UNKNOWN_CODE);
	struct rule *rule = find_rule(module, inside - module->bias);
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
	case CFA_SP_DEREF:
		if (!read_word(walk->sp + (s64)rule->offset, &cfa))
			return stop(walk, END_MEMORY);
		break;
	default:
		return stop(walk, END_UNSUPPORTED);
	}
	return return_to_caller(walk, rule, cfa);
}

static long visit_frame(u64 round, struct walk **context)
{
	struct walk *walk = *context;
	u32 frame = walk->frames;
	if (frame >= MAX_FRAMES)
		return 1;
	walk->record.frames[frame] = walk->pc;
	walk->frames = frame + 1;
	return step(walk);
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
	struct task_struct *task = bpf_get_current_task_btf();
	if (FIELD_EXISTS(task->flags) && task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER))
		return 0;
	struct pt_regs *user = (struct pt_regs *)bpf_task_pt_regs(task);
	walk->pc = user->ip;
	walk->sp = user->sp;
	walk->fp = user->bp;
	return 1;
}

/* What was read before is read before what is read after. */
INLINE void full_barrier(struct control *guard)
{
	u64 fence = __sync_fetch_and_add(&guard->fence, 0);
	asm volatile("" ::"r"(fence) : "memory");
}

INLINE u32 read_generation(struct control *guard)
{
	return *(volatile u32 *)&guard->generation;
}

/* Prepares a walk; the registers to start from are still to be set. */
INLINE struct walk *new_walk(u32 tid)
{
	u32 zero = 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct control *guard = bpf_map_lookup_elem(&control, &zero);
	if (!walk || !guard)
		return 0;
	walk->record.tid = tid;
	walk->generation = read_generation(guard);
	full_barrier(guard);
	walk->module_count = *(volatile u32 *)&guard->modules;
	walk->module = 0;
	walk->interrupted = 1;
	walk->frames = 0;
	walk->end = END_DEPTH;
	return walk;
}

/* Prepares a walk of the running thread. Null: it is not one of the target's. */
INLINE struct walk *begin(void)
{
	struct bpf_pidns_info ids = {};
	if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, &ids, sizeof(ids)) ||
	    ids.tgid != target_tgid)
		return 0;
	return new_walk(ids.pid);
}

/* Walks from the registers in `walk`. False when the module list changed meanwhile. */
INLINE int finish(struct walk *walk)
{
	u32 zero = 0;
	struct walk *argument = walk;
	bpf_loop(max_depth, visit_frame, &argument, 0);
	struct control *guard = bpf_map_lookup_elem(&control, &zero);
	if (!guard)
		return 0;
	full_barrier(guard);
	return read_generation(guard) == walk->generation && !(walk->generation & 1);
}

INLINE void submit(struct walk *walk)
{
	u32 frames = walk->frames;
	if (frames > MAX_FRAMES)
		return;
	u32 ids = add_labels(&walk->record, frames);
	walk->record.words = HEADER_WORDS + frames + ids;
	walk->record.header = (u64)frames | (u64)walk->end << 16 | (u64)SOURCE_EBPF << 24 | 1ull << 32;
	u64 size = RECORD_PREFIX + (u64)(frames + ids) * 8;
	/* The agent drains by the clock: waking it here would cost an interrupt more. */
	if (bpf_ringbuf_output(&ring, &walk->record, size, BPF_RB_NO_WAKEUP))
		count(COUNT_RING_FULL);
	else
		count(COUNT_SAMPLES);
}

#ifndef SONDAGE_CAPTURE
SEC("perf_event")
int sondage_on_cpu(struct bpf_perf_event_data *context)
{
	struct walk *walk = begin();
	if (!walk)
		return 0;
	if (!find_registers(context, walk)) {
		walk->end = END_UNKNOWN_CODE;
		count(COUNT_NO_USER_STACK);
	} else if (!finish(walk)) {
		count(COUNT_MODULES_CHANGED);
		return 0;
	}
	submit(walk);
	return 0;
}
#endif
