// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * For each IPv4 packet send its source address and XDP's verdict to user space,
 * one perf sample a packet.
 */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800

/* What src/main.rs knows as Event. */
struct event {
	__u8 source[4]; /* network order: as the packet has it */
	__u32 action;	/* enum xdp_action */
};

/* One ring for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

SEC("xdp")
int minimal(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct event event = {.action = XDP_PASS};

	/* The verifier lets nothing be read that is not shown to be within the
	 * packet.
	 */
	if ((void *)(ip + 1) <= end && eth->h_proto == bpf_htons(ETH_P_IP)) {
		__builtin_memcpy(event.source, &ip->saddr, 4);
		/* Fails where the ring is full. The packet passes all the same,
		 * and nobody hears of it.
		 */
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event,
				      sizeof(event));
	}

	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
