/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The little of the kernel's interface that the programs use, written by hand: integer types,
 * map and program attributes, helper numbers, and the fields we read of two kernel structures.
 *
 * Numbers and prototypes: Linux include/uapi/linux/bpf.h. They never change once released.
 */
#ifndef SONDAGE_KERNEL_H
#define SONDAGE_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* Fields of a BTF map definition: the loader reads the numbers from the types. */
#define MAP_NUMBER(name, value) int(*name)[value]
#define MAP_TYPE(name, type) typeof(type) *name

/* What the maps of a map of maps are like. */
#define MAP_VALUES(name, ...) typeof(__VA_ARGS__) *name[]

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_ARRAY_OF_MAPS 12
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_F_MMAPABLE (1 << 10)
#define BPF_RB_NO_WAKEUP (1 << 0)
#define BPF_RB_FORCE_WAKEUP (1 << 1)
#define BPF_RB_AVAIL_DATA 0
#define BPF_RB_RING_SIZE 1
#define BPF_ANY 0

struct bpf_pidns_info {
	u32 pid;
	u32 tgid;
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*const bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static long (*const bpf_get_stack)(void *context, void *to, u32 size, u64 flags) = (void *)67;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*const bpf_get_ns_current_pid_tgid)(u64 device, u64 inode, struct bpf_pidns_info *ids,
						 u32 size) = (void *)120;
static long (*const bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static u64 (*const bpf_ringbuf_query)(void *ring, u64 what) = (void *)134;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;
static long (*const bpf_loop)(u32 rounds, void *step, void *context, u64 flags) = (void *)181;

/*
 * Kernel structures. Only names and types count: the loader moves each access to where the
 * running kernel has the field, and refuses the program where it has none. The verifier turns
 * the accesses into plain loads that cannot fault, so kernel lockdown does not mind them.
 */
#define MOVABLE __attribute__((preserve_access_index))
#define FIELD_EXISTS(field) __builtin_preserve_field_info(field, 2)

struct task_struct {
	u32 flags;
	u32 __state;
	s32 pid; /* the thread, as the first pid namespace numbers it */
} MOVABLE;

/* A kernel thread; a thread of a process that never runs user code (io_uring, vhost). */
#define PF_KTHREAD 0x00200000
#define PF_IO_WORKER 0x00000010
#define PF_USER_WORKER 0x00004000

#if defined(__TARGET_ARCH_x86)

struct pt_regs {
	u64 bp;
	u64 ip;
	u64 sp;
} MOVABLE;

/* What the event interrupted. This layout is the x86_64 ABI and stays where it is. */
struct bpf_perf_event_data {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	u64 ip, cs, flags, sp, ss;
	u64 sample_period, addr;
};

/* The two lowest bits of the code segment are the privilege level. */
#define INTERRUPTED_USER(context) (((context)->cs & 3) == 3)

#else
#error "not written for this processor yet"
#endif

#endif
