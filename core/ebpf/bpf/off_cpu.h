/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Time in which threads do not run: the stack is walked when a thread stops running, and the time
 * is known when it runs again.
 *
 * A walk costs several microseconds, and some threads stop ten thousand times a second. So each
 * stop of a thread has the same chance to be looked at, however long it will last; the chance is set
 * anew after a second, or sooner when stops come fast, from how often the thread stopped.
 */
#ifndef SONDAGE_OFF_CPU_H
#define SONDAGE_OFF_CPU_H

#define SECOND 1000000000ULL
#define CERTAIN 0xffffffffU

/* Ends a window of time that was long enough, or in which many stops have come. */
INLINE void set_chance(struct thread *thread, u64 now)
{
	u64 elapsed = now - thread->window;
	if (elapsed < SECOND && thread->stops < 4 * walks_a_second)
		return;
	u64 rate = (u64)thread->stops * SECOND / (elapsed | 1);
	u64 chance = CERTAIN;
	if (rate > walks_a_second)
		chance = ((u64)walks_a_second << 32) / rate;
	thread->chance = chance ? (u32)chance : 1;
	thread->stops = 0;
	thread->window = now;
}

/* The entry of the running thread, which stops. Null: there is no room for it. */
INLINE struct thread *find_thread(u32 key, struct bpf_pidns_info ids, u64 now)
{
	struct thread *thread = bpf_map_lookup_elem(&threads, &key);
	if (thread)
		return thread;
	struct thread fresh = {.window = now, .chance = CERTAIN, .tgid = ids.tgid, .tid = ids.pid};
	bpf_map_update_elem(&threads, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&threads, &key);
}

INLINE void stopped(u64 *context, struct task_struct *task)
{
	struct bpf_pidns_info ids = {};
	if (!identify(&ids))
		return;
	u32 key = task->pid, tgid = ids.tgid;
	/* A process of which nothing is known will be when it has used some time. */
	if (!bpf_map_lookup_elem(&processes, &tgid))
		return;
	u64 now = bpf_ktime_get_ns();
	struct thread *thread = find_thread(key, ids, now);
	if (!thread) {
		count(COUNT_THREADS_FULL);
		return;
	}
	set_chance(thread, now);
	thread->stops++;
	thread->since = 0;
	if (thread->chance != CERTAIN && bpf_get_prandom_u32() >= thread->chance)
		return;
	struct walk *walk = new_walk(SCRATCH_SWITCH, ids);
	if (!walk)
		return;
	add_kernel_frames(context, walk);
	if (!find_entry_registers(walk) || !finish(walk))
		return;
	walk->record.state = task->__state;
	walk->record.chance = thread->chance;
	if (!submit(walk, KIND_BLOCKED, BPF_RB_NO_WAKEUP))
		return;
	thread->taken = thread->chance;
	thread->since = now;
}

INLINE void resumed(struct task_struct *task)
{
	u32 key = task->pid, scratch = SCRATCH_SWITCH;
	struct thread *thread = bpf_map_lookup_elem(&threads, &key);
	if (!thread || !thread->since)
		return;
	struct walk *walk = bpf_map_lookup_elem(&walks, &scratch);
	if (!walk)
		return;
	walk->record.tgid = thread->tgid;
	walk->record.tid = thread->tid;
	walk->record.state = 0;
	walk->record.chance = thread->taken;
	walk->record.header = bpf_ktime_get_ns() - thread->since;
	thread->since = 0;
	put(walk, KIND_RESUMED, 1, BPF_RB_NO_WAKEUP);
}

/* Arguments: whether it was interrupted, who stops, who runs next. */
SEC("tp_btf/sched_switch")
int sondage_switch(u64 *arguments)
{
	stopped(arguments, (struct task_struct *)arguments[1]);
	resumed((struct task_struct *)arguments[2]);
	return 0;
}

#endif
