// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * The floor that logging is measured against: what xdplog does up to the
 * record, time included, and then nothing with it.
 */
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#include "../../src/bpf/record.h"

/* All zeros: no frame here is of several buffers. */
const volatile struct knobs knobs;

#include "../../src/bpf/parse.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} scratch SEC(".maps");

SEC("xdp")
int parse_only(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;
	struct record *rec = bpf_map_lookup_elem(&scratch, &zero);

	if (rec && !parse_frame(ctx, end - data, rec)) {
		rec->ts_lo = now;
		rec->ts_hi = now >> 32;
		rec->verdict_len = XDP_PASS << REC_VERDICT_SHIFT |
				   ((__u64)(end - data) & REC_LEN_MASK);
		rec->rxq = ctx->rx_queue_index;
	}
	return XDP_PASS;
}
