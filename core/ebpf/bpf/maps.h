/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs read and write: constants set by the loader, maps, and the scratch of a walk.
 */
#ifndef SONDAGE_MAPS_H
#define SONDAGE_MAPS_H

#include "sample.h"

/* Set by the loader, constant to the verifier. */
const volatile u32 target_tgid = 0;
const volatile u32 max_depth = 128;
const volatile u64 pid_namespace_device = 0;
const volatile u64 pid_namespace_inode = 0;

/*
 * Rows and page indexes are 4 bytes, but an array map pads its values to 8: two of them share a
 * value, so that the map's memory is the plain array that the Rust side maps and fills.
 */
struct pair {
	u32 word[2];
};

/* The tables of all modules one after the other. The loader sets the sizes. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct pair);
} rows SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct pair);
} pages SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct rule);
} rules SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
	MAP_NUMBER(max_entries, MAX_MODULES);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct module);
} modules SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(map_flags, BPF_F_MMAPABLE);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct control);
} control SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, COUNTERS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} counters SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	MAP_NUMBER(max_entries, 1 << 20);
} ring SEC(".maps");

/* One walk. An event cannot interrupt another on its processor, so one a processor is enough. */
struct walk {
	u64 pc;
	u64 sp;
	u64 fp;
	u32 interrupted; /* pc has not run yet; otherwise it is a return address */
	u32 end; /* enum end */
	u32 frames;
	u32 module_count;
	u32 module; /* where the last frame's code was found */
	u32 generation;
	struct record record;
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct walk);
} walks SEC(".maps");

#endif
