/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the runtimes of a process keep of the sampled thread: Python's frames, Go's labels.
 */
#ifndef SONDAGE_RUNTIMES_H
#define SONDAGE_RUNTIMES_H

/* By process id. The loader sets the size. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct python_process);
} python_processes SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct python_walk);
} python_walks SEC(".maps");

/* A record of KIND_GO_LABELS. */
struct go_record {
	RECORD_PREFIX_FIELDS
	struct go_labels labels;
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct go_record);
} go_records SEC(".maps");

/* Appends the running thread's Python frames to the native ones. */
INLINE void add_python_frames(volatile struct bpf_perf_event_data *context, struct walk *walk)
{
	u32 zero = 0, tgid = walk->record.tgid;
	struct python_process *process = bpf_map_lookup_elem(&python_processes, &tgid);
	struct python_walk *python = bpf_map_lookup_elem(&python_walks, &zero);
	if (!process || !python)
		return;
	python_registers(context, python);
	python_append(walk, python, process, max_depth);
}

/* Puts the labels of the running goroutine into the ring, if it has any. */
INLINE void put_labels_of_go(struct walk *walk)
{
	u32 zero = 0;
	struct go_record *record = bpf_map_lookup_elem(&go_records, &zero);
	if (!record ||
	    read_go_labels(bpf_get_current_task_btf(), &walk->process.go, &record->labels) <= 0)
		return;
	u32 bytes = __builtin_offsetof(struct go_labels, text) + record->labels.bytes;
	if (bytes > sizeof(record->labels) - 8)
		return;
	record->kind = KIND_GO_LABELS;
	record->words = (bytes + 7) / 8;
	record->tgid = walk->record.tgid;
	record->tid = walk->record.tid;
	record->time = walk->record.time;
	if (bpf_ringbuf_output(&ring, record, RECORD_PREFIX + (u64)record->words * 8,
			       BPF_RB_NO_WAKEUP))
		count(COUNT_RING_FULL);
}

INLINE void add_runtimes(volatile struct bpf_perf_event_data *context, struct walk *walk)
{
	if (walk->process.runtimes & RUNTIME_PYTHON)
		add_python_frames(context, walk);
	if (walk->process.runtimes & RUNTIME_GO)
		put_labels_of_go(walk);
}

#endif
