/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Every map, and the only spelling of their names; user space says
 * skel.maps.events. No logic here.
 */
#ifndef XDPLOG_MAPS_H
#define XDPLOG_MAPS_H

/* The rings: one perf buffer per CPU, opened by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

/*
 * One batch per CPU, indexed by CPU number; user space sets max_entries. Not a
 * per-CPU map, whose values end at 32 KiB where a perf sample ends at 64 KiB.
 * Mappable for the page alignment that this gives: a record is a cache line.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct batch);
} batches SEC(".maps");

/* Counters by interface slot. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

const volatile struct knobs knobs;

#endif /* XDPLOG_MAPS_H */
