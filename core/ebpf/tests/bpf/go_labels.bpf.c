// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* For the test of bpf/go.h: at each sample of one process, the labels and nothing else. */
#include "../../bpf/go.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile u32 target_tgid = 0;
const volatile u64 pid_namespace_device = 0;
const volatile u64 pid_namespace_inode = 0;
const volatile struct go_info go_info = {};

struct labelled {
	u64 ip;
	s64 outcome;
	struct go_labels labels;
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	MAP_NUMBER(max_entries, 1 << 24);
} samples SEC(".maps");

SEC("perf_event")
int labels_on_cpu(struct bpf_perf_event_data *context)
{
	struct bpf_pidns_info ids = {};
	if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, &ids, sizeof(ids)) ||
	    ids.tgid != target_tgid)
		return 0;
	struct labelled *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	struct go_info info = go_info;
	sample->ip = INTERRUPTED_USER(context) ? context->ip : 0;
	sample->outcome = read_go_labels(bpf_get_current_task_btf(), &info, &sample->labels);
	bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
	return 0;
}
