// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * One perf sample a packet, each of which wakes its reader: the design that
 * tutorials on XDP logging teach. Self-contained, to need no headers here.
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define XDP_PASS 2
#define BPF_F_CURRENT_CPU 0xffffffffULL

struct xdp_md {
	__u32 data;
	__u32 data_end;
};

struct packet_log {
	__u32 saddr; /* host order */
	__u32 action;
};

struct {
	int (*type)[4]; /* BPF_MAP_TYPE_PERF_EVENT_ARRAY */
	int (*key_size)[sizeof(__u32)];
	int (*value_size)[sizeof(__u32)];
	int (*max_entries)[1024];
} events SEC(".maps");

static long (*bpf_perf_event_output)(void *ctx, void *map, __u64 flags,
				     void *data, __u64 size) = (void *)25;

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int tutorial(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	struct packet_log log = { .action = XDP_PASS };

	/* Ethernet, and IPv4 without options. */
	if (data + 14 + 20 > end || data[12] != 8 || data[13] != 0)
		return XDP_PASS;
	log.saddr = __builtin_bswap32(*(__u32 *)(data + 14 + 12));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &log,
			      sizeof(log));
	return XDP_PASS;
}
