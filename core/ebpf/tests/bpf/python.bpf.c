// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * For the tests: samples one process as the program does, and walks its Python frames only.
 */
#include "../../bpf/sample.h"

struct walk {
	u32 frames;
	struct record record;
};

#include "../../bpf/python.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile u32 target_tgid = 0;
const volatile u64 pid_namespace_device = 0;
const volatile u64 pid_namespace_inode = 0;

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct python_process);
} processes SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct python_walk);
} python_walks SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct walk);
} walks SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	MAP_NUMBER(max_entries, 1 << 22);
} ring SEC(".maps");

SEC("perf_event")
int python_on_cpu(struct bpf_perf_event_data *context)
{
	u32 zero = 0;
	struct bpf_pidns_info ids = {};
	if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, &ids, sizeof(ids)) ||
	    ids.tgid != target_tgid)
		return 0;
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);
	struct python_walk *python = bpf_map_lookup_elem(&python_walks, &zero);
	struct python_process *process = bpf_map_lookup_elem(&processes, &zero);
	if (!walk || !python || !process)
		return 0;
	walk->frames = 0;
	python->restarted = 0;
	python_registers(context, python);
	python_append(walk, python, process, 128);
	u32 frames = walk->frames;
	if (frames > MAX_FRAMES)
		return 0;
	walk->record.tid = ids.pid;
	walk->record.words = frames;
	walk->record.header = python->restarted;
	bpf_ringbuf_output(&ring, &walk->record, RECORD_HEADED + (u64)frames * 8, BPF_RB_NO_WAKEUP);
	return 0;
}
