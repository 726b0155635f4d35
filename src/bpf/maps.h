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
 * The same rings by events of their own that wake nobody: for full batches,
 * which come so often that the reader looks by itself. An interrupt to wake it
 * costs as much as recording hundreds of packets.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events_quiet SEC(".maps");

/*
 * One batch per CPU, indexed by CPU number; user space sets max_entries. Not a
 * per-CPU map, whose values end at 32 KiB where a perf sample ends at 64 KiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct batch);
} batches SEC(".maps");

/* Counters by interface slot. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_IFACES);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/*
 * Packets without room, by source. Two tables, sized by user space, of which
 * one is in the map of maps and counted in; to drain it, user space puts the
 * other in its place, waits until no program uses it any more, and reads it
 * at leisure. Reading and deleting under the counting would lose increments.
 */
struct overflow_table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct overflow_key);
	__type(value, __u64);
} overflow_a SEC(".maps"), overflow_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct overflow_table);
} overflow SEC(".maps");

/*
 * The same for sources that the table has no room for, by interface slot and
 * verdict. Never cleared: user space takes the difference.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_IFACES *VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} overflow_others SEC(".maps");

/*
 * What all CPUs together have recorded of knobs.rate: a second since boot in
 * the upper half, the packets of that second in the lower.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} allowance SEC(".maps");

/*
 * How often a batch found no ring on its CPU, or a dead one. User space looks
 * which CPU that is when the count has grown.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ringless SEC(".maps");

const volatile struct knobs knobs;

/* Count where packets of one CPU may interleave; of several CPUs each has its
 * own count.
 */
static __always_inline void count_add(__u64 *count, __u64 more)
{
	if (knobs.realtime)
		__sync_fetch_and_add(count, more);
	else
		*count += more;
}

#endif /* XDPLOG_MAPS_H */
