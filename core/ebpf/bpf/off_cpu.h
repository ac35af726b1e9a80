/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Time in which threads do not run: the stack is walked when a thread stops running, and the time
 * is known when it runs again.
 *
 * A walk costs several microseconds, and some threads stop ten thousand times a second. So a stop is
 * looked at with a chance that is known before it begins, and the reader makes up for it: the longer
 * the thread's last stops took, the greater, so that time is what is sampled; and less where many
 * threads of a processor stop, so that the walks of a second are bounded.
 */
#ifndef SONDAGE_OFF_CPU_H
#define SONDAGE_OFF_CPU_H

#define SECOND 1000000000ULL
#define CERTAIN 0xffffffffU

/* Stops of this length or longer are looked at each time, where the processor's pace allows it. */
#define CERTAIN_STOP (SECOND / 50)

/* Of 2^32: how likely the thread's next stop is to be looked at, by how long they took lately. */
INLINE u32 chance_of(const struct thread *thread)
{
	if (thread->mean >= CERTAIN_STOP)
		return CERTAIN;
	return (u32)((thread->mean << 32) / CERTAIN_STOP) | 1;
}

/* How likely this processor is to take a stop that its thread's chance has let through. */
INLINE u32 pace_of_processor(u64 now)
{
	u32 zero = 0;
	struct pace *pace = bpf_map_lookup_elem(&paces, &zero);
	if (!pace)
		return 1;
	u64 elapsed = now - pace->window;
	if (elapsed >= SECOND || pace->stops >= 4 * walks_a_second) {
		u64 rate = (u64)pace->stops * SECOND / (elapsed | 1);
		u64 chance = rate > walks_a_second ? ((u64)walks_a_second << 32) / rate : CERTAIN;
		pace->chance = (u32)chance | 1;
		pace->stops = 0;
		pace->window = now;
	}
	pace->stops++;
	return pace->chance;
}

/* The entry of the running thread, which stops. Null: there is no room for it. */
INLINE struct thread *find_thread(u32 key, struct bpf_pidns_info ids)
{
	struct thread *thread = bpf_map_lookup_elem(&threads, &key);
	if (thread)
		return thread;
	struct thread fresh = {.mean = CERTAIN_STOP, .tgid = ids.tgid, .tid = ids.pid};
	bpf_map_update_elem(&threads, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&threads, &key);
}

/* The chance with which this stop is looked at; 0 where it is not. */
INLINE u32 draw(const struct thread *thread, u64 now)
{
	u32 chance = chance_of(thread);
	if (chance != CERTAIN && bpf_get_prandom_u32() >= chance)
		return 0;
	u32 pace = pace_of_processor(now);
	if (pace != CERTAIN && bpf_get_prandom_u32() >= pace)
		return 0;
	return chance == CERTAIN ? pace : (u32)((u64)chance * pace >> 32) | 1;
}

/* Walks the stack of the thread that stops. False: it is not in the ring. */
INLINE int walk_stopped(u64 *context, struct task_struct *task, struct bpf_pidns_info ids, u32 chance)
{
	struct walk *walk = new_walk(SCRATCH_SWITCH, ids);
	if (!walk)
		return 0;
	add_kernel_frames(context, walk);
	if (!find_entry_registers(walk) || !finish(walk))
		return 0;
	walk->record.state = task->__state;
	walk->record.chance = chance;
	return submit(walk, KIND_BLOCKED, BPF_RB_NO_WAKEUP);
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
	struct thread *thread = find_thread(key, ids);
	if (!thread) {
		count(COUNT_THREADS_FULL);
		return;
	}
	thread->since = now;
	thread->chance = draw(thread, now);
	if (thread->chance && !walk_stopped(context, task, ids, thread->chance))
		thread->chance = 0;
}

INLINE void resumed(struct task_struct *task)
{
	u32 key = task->pid, scratch = SCRATCH_SWITCH;
	struct thread *thread = bpf_map_lookup_elem(&threads, &key);
	if (!thread || !thread->since)
		return;
	u64 now = bpf_ktime_get_ns();
	u64 blocked = now - thread->since;
	thread->since = 0;
	/* Longer ones than this are as certain. */
	u64 known = blocked < SECOND ? blocked : SECOND;
	thread->mean = thread->mean - thread->mean / 8 + known / 8;
	struct walk *walk = bpf_map_lookup_elem(&walks, &scratch);
	if (!walk || !thread->chance)
		return;
	walk->record.tgid = thread->tgid;
	walk->record.tid = thread->tid;
	walk->record.state = 0;
	walk->record.chance = thread->chance;
	walk->record.time = now;
	walk->record.header = blocked;
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
