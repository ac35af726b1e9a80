// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * For the replay tests: the same walk, once with what it was taken from beside each sample, the
 * registers and the stack, and once from any registers.
 */
#define SONDAGE_CAPTURE
#include "../../bpf/unwind.bpf.c"

#define CHUNK 1024
#define CHUNKS 32

struct capture {
	u64 pc;
	u64 sp;
	u64 fp;
	u64 chunks; /* that could be read, from sp on */
	u64 words;
	u64 sample[HEADER_WORDS + MAX_FRAMES];
	u8 stack[CHUNK * CHUNKS];
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	MAP_NUMBER(max_entries, 1 << 24);
} captures SEC(".maps");

SEC("perf_event")
int capture_on_cpu(struct bpf_perf_event_data *context)
{
	struct walk *walk = begin(SCRATCH_RUNNING);
	if (!walk || !find_registers(context, walk))
		return 0;
	struct capture *capture = bpf_ringbuf_reserve(&captures, sizeof(*capture), 0);
	if (!capture) {
		count(COUNT_RING_FULL);
		return 0;
	}
	capture->pc = walk->pc;
	capture->sp = walk->sp;
	capture->fp = walk->fp;
	capture->chunks = 0;
	for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
		void *from = (void *)(walk->sp + chunk * CHUNK);
		if (bpf_probe_read_user(&capture->stack[chunk * CHUNK], CHUNK, from))
			break;
		capture->chunks = chunk + 1;
	}
	if (finish(walk)) {
		submit(walk, KIND_SAMPLE, BPF_RB_NO_WAKEUP);
		capture->words = walk->record.words;
		__builtin_memcpy(capture->sample, &walk->record.header, 16);
		for (u32 frame = 0; frame < MAX_FRAMES && frame < walk->frames; frame++)
			capture->sample[HEADER_WORDS + frame] = walk->record.frames[frame];
	} else {
		capture->words = 0;
	}
	bpf_ringbuf_submit(capture, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Walks the memory of the process that runs the program, from the registers it gives and its id. */
SEC("raw_tp")
int walk_given(u64 *arguments)
{
	struct bpf_pidns_info ids = {.pid = 1, .tgid = arguments[3]};
	struct walk *walk = new_walk(SCRATCH_RUNNING, ids);
	if (!walk)
		return 1;
	walk->pc = arguments[0];
	walk->sp = arguments[1];
	walk->fp = arguments[2];
	if (finish(walk))
		submit(walk, KIND_SAMPLE, BPF_RB_NO_WAKEUP);
	return 0;
}
