// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * A source of traffic for tests and benchmarks, run on live frames: gives each
 * IPv4 frame the next of a number of source addresses, and sends it into a
 * veth end.
 */
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by what loads this, in this order. */
const volatile struct {
	__u32 ifindex; /* where frames go */
	__u32 sources; /* number of source addresses; 0: the frame's own */
	__u32 first;   /* the first of them, in host order */
} knobs;

/* Shared by all CPUs, so that together they use each address in turn. */
__u32 next;

SEC("xdp")
int traffic(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u32 n;

	if ((void *)(ip + 1) > end)
		return XDP_DROP;
	if (knobs.sources) {
		n = __sync_fetch_and_add(&next, 1) % knobs.sources;
		/* The checksum is left as it is, XDP does not look at it. */
		ip->saddr = bpf_htonl(knobs.first + n);
	}
	return bpf_redirect(knobs.ifindex, 0);
}
