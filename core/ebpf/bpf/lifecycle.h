/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Programs and processes that end: what was known of their code is no longer true.
 */
#ifndef SONDAGE_LIFECYCLE_H
#define SONDAGE_LIFECYCLE_H

/* Tells the reader of the running process. */
INLINE void tell(struct bpf_pidns_info ids, enum kind kind)
{
	u32 key = SCRATCH_SWITCH;
	struct walk *walk = bpf_map_lookup_elem(&walks, &key);
	if (!walk)
		return;
	walk->record.tgid = ids.tgid;
	walk->record.tid = ids.pid;
	walk->record.time = bpf_ktime_get_ns();
	put(walk, kind, 0, BPF_RB_NO_WAKEUP);
}

/* Arguments: the task, its former id, the file. */
SEC("tp_btf/sched_process_exec")
int sondage_exec(u64 *arguments)
{
	struct bpf_pidns_info ids = {};
	if (!identify(&ids))
		return 0;
	bpf_map_delete_elem(&processes, &ids.tgid);
	tell(ids, KIND_EXEC);
	return 0;
}

/* Argument: the task. */
SEC("tp_btf/sched_process_exit")
int sondage_exit(u64 *arguments)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 thread = task->pid;
	bpf_map_delete_elem(&threads, &thread);
	struct bpf_pidns_info ids = {};
	if (identify(&ids) && ids.pid == ids.tgid)
		tell(ids, KIND_EXIT);
	return 0;
}

#endif
