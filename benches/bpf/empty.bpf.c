// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * What the others are held against: passes everything. A program with types, as
 * xdpdump attaches to one by the name of its function.
 */
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}
