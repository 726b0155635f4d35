// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * xdplog, the kernel side, on one page: for every frame parse, account, append
 * to this CPU's batch, and let it pass. The steps are in the headers; nothing
 * that happens in them reaches the verdict.
 */

/* Wire formats do not move between kernels: no CO-RE, no BTF at run time. */
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#include "record.h"

#include "maps.h"

#include "batch.h"
#include "overflow.h"
#include "parse.h"
#include "sample.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool selected(const struct record *rec)
{
	return knobs.families &
	       (rec->flags & REC_IPV6 ? FAMILY_IPV6 : FAMILY_IPV4);
}

static __always_inline void observe(struct xdp_md *ctx, struct batch *batch,
				    struct counters *count, __u32 slot,
				    int verdict)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 now = bpf_ktime_get_ns();
	bool nested = batch->busy;
	struct record *rec;
	__u32 cap = 0;
	__u64 len;

	batch->busy = 1;
	barrier();

	/* The linear part is all of the frame where there are no fragments. */
	len = knobs.frags ? bpf_xdp_get_buff_len(ctx) : end - data;
	count->seen++;
	count->bytes += len;
	count->verdicts[verdict & (VERDICTS - 1)]++;

	if (knobs.snaplen)
		cap = len < knobs.snaplen ? len : knobs.snaplen;
	rec = batch_slot(ctx, batch, batch_need(cap), now, nested);
	if (parse_frame(ctx, len, rec)) {
		count->not_ip++;
	} else if (!selected(rec)) {
		count->unselected++;
	} else if (sampled_out(batch, now)) {
		count->sampled_out++;
	} else {
		rec->ts_lo = now;
		rec->ts_hi = now >> 32;
		rec->verdict_len =
		    (__u32)verdict << REC_VERDICT_SHIFT | (len & REC_LEN_MASK);
		rec->rule = 0;
		rec->rxq = ctx->rx_queue_index;
		rec->iface = slot;
		if (batch_commit(ctx, batch, rec, cap, now, nested)) {
			count->recorded++;
		} else {
			/* The table before the counter: user space drains when
			 * the counter has grown, and must find what made it.
			 */
			overflow_count(rec, slot, verdict);
			count->overflowed++;
		}
	}

	barrier();
	/* Nested, the flag is the interrupted program's to clear. */
	batch->busy = nested;
}

/* User space sets BPF_F_XDP_HAS_FRAGS where the kernel has it. */
SEC("xdp")
int xdplog(struct xdp_md *ctx)
{
	int verdict = XDP_PASS;
	__u32 slot = knobs.slot;
	struct counters *count = bpf_map_lookup_elem(&counters, &slot);
	struct batch *batch = batch_of_this_cpu();

	/* Neither lookup can fail: slots and CPUs are within the maps. */
	if (count && batch)
		observe(ctx, batch, count, slot, verdict);

	return verdict;
}

/*
 * Run by user space, on the CPU whose batch it is, when packets have stopped
 * coming and some wait. 0: nothing waits any more; 1: ask again, as this came
 * in the middle of a packet, or the ring is full.
 */
SEC("raw_tp")
int xdplog_flush(void *ctx)
{
	struct batch *batch = batch_of_this_cpu();
	__u32 left;

	if (!batch)
		return 0;
	if (batch->busy)
		return 1;
	batch->busy = 1;
	barrier();
	if (batch->used)
		batch_emit(ctx, batch, bpf_ktime_get_ns());
	else
		/* User space will look away: the next packet emits itself,
		 * however long ago it read the clock.
		 */
		batch->due_ns = 0;
	left = batch->used;
	barrier();
	batch->busy = 0;
	return left != 0;
}
