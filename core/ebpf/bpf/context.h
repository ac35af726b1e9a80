/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The context that a thread publishes of itself, by OpenTelemetry's OTEP 4947: a thread-local
 * variable points to a record with the span, the trace and attributes.
 *
 * The program runs on the thread that it samples, or on its way to another, so the record stands
 * still; one that the thread is in the middle of changing says that it is not valid. All of it is
 * the target's memory and may be anything.
 */
#ifndef SONDAGE_CONTEXT_H
#define SONDAGE_CONTEXT_H

/* Bytes of a record before its attributes, and of these: what the OTEP recommends as the most. */
#define CONTEXT_HEADER 28
#define MAX_CONTEXT_BYTES (640 - CONTEXT_HEADER)

/* Attributes were left out: there were more bytes of them. */
#define CONTEXT_CUT 1

#define CONTEXT_VALID 1

/* Modules with thread-local variables that a process may have. */
#define MAX_TLS_MODULES 4096

/* What glibc has in place of a block that the thread has not used yet. */
#define DTV_UNALLOCATED (~0ULL)

/* How a record begins. The ids are as they go over the network, their first byte the highest. */
struct thread_context {
	u64 trace_high;
	u64 trace_low;
	u64 span;
	u8 valid;
	u8 trace_flags;
	u16 bytes; /* of the attributes that follow */
};

/* A record of KIND_CONTEXT: for each attribute a byte with its key's index, one with the value's
 * length, and the value. */
struct context_record {
	RECORD_PREFIX_FIELDS
	u16 bytes; /* that are used */
	u8 reserved;
	u8 flags;
	u8 attributes[MAX_CONTEXT_BYTES + 8];
};

#define CONTEXT_PREFIX 4

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, SCRATCHES);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct context_record);
} context_records SEC(".maps");

INLINE int read_user(void *to, u32 size, u64 from)
{
	return !bpf_probe_read_user(to, size, (void *)from);
}

/*
 * The running thread's block of a module's thread-local variables, by the vector of glibc: its
 * address follows the thread's pointer, an entry has 16 bytes, and before the first lies how many
 * there are. 0 where the thread has none.
 */
INLINE u64 block_of_module(u64 base, u32 module)
{
	u64 vector, length, block;
	if (!read_user(&vector, sizeof(vector), base + 8) ||
	    !read_user(&length, sizeof(length), vector - 16))
		return 0;
	if (module > length || module > MAX_TLS_MODULES ||
	    !read_user(&block, sizeof(block), vector + (u64)module * 16))
		return 0;
	return block == DTV_UNALLOCATED ? 0 : block;
}

/* The address of the running thread's record; 0 where it has none. */
INLINE u64 find_context(const struct context_place *place)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 base = ((struct task_struct___go *)task)->thread.fsbase;
	u64 record;
	if (base && place->module)
		base = block_of_module(base, place->module);
	if (!base || !read_user(&record, sizeof(record), base + place->offset))
		return 0;
	return record;
}

/* Puts the attributes that follow a record's beginning into the ring. */
INLINE void put_attributes(struct walk *walk, enum kind kind, u64 from, u32 bytes)
{
	u32 key = kind == KIND_BLOCKED ? SCRATCH_SWITCH : SCRATCH_RUNNING;
	struct context_record *record = bpf_map_lookup_elem(&context_records, &key);
	if (!record)
		return;
	record->flags = 0;
	if (bytes > MAX_CONTEXT_BYTES) {
		bytes = MAX_CONTEXT_BYTES;
		record->flags = CONTEXT_CUT;
	}
	if (!read_user(record->attributes, bytes, from))
		return;
	record->bytes = (u16)bytes;
	record->kind = KIND_CONTEXT;
	record->words = (CONTEXT_PREFIX + bytes + 7) / 8;
	record->tgid = walk->record.tgid;
	record->tid = walk->record.tid;
	record->time = walk->record.time;
	if (bpf_ringbuf_output(&ring, record, RECORD_PREFIX + (u64)record->words * 8,
			       BPF_RB_NO_WAKEUP))
		count(COUNT_RING_FULL);
}

/*
 * Adds the ids of the running thread's context to a sample whose `frames` frames are written, and
 * puts its attributes into the ring before it. Returns how many words follow the frames, which
 * must be known to be at most MAX_FRAMES.
 */
INLINE u32 add_context(struct walk *walk, enum kind kind, u32 frames)
{
	struct thread_context context = {};
	struct record *record = &walk->record;
	u64 from = find_context(&walk->process.context);
	u32 ids = 0;
	record->labels = 0;
	if (!from || !read_user(&context, CONTEXT_HEADER, from) || context.valid != CONTEXT_VALID)
		return 0;
	if (context.span) {
		record->labels |= HAS_SPAN;
		record->frames[frames] = __builtin_bswap64(context.span);
		ids = 1;
	}
	if (context.trace_high | context.trace_low) {
		record->labels |= HAS_TRACE;
		record->frames[frames + ids] = __builtin_bswap64(context.trace_high);
		record->frames[frames + ids + 1] = __builtin_bswap64(context.trace_low);
		ids += 2;
	}
	if (context.bytes)
		put_attributes(walk, kind, from + CONTEXT_HEADER, context.bytes);
	return ids;
}

#endif
