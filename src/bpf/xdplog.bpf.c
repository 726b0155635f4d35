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

/* Every frame counts here, whatever its fate. */
static __always_inline void count_frame(struct counters *count, __u64 len,
					int verdict)
{
	__u64 *of_verdict = &count->verdicts[verdict & (VERDICTS - 1)];

	if (knobs.realtime) {
		__sync_fetch_and_add(&count->seen, 1);
		__sync_fetch_and_add(&count->bytes, len);
		__sync_fetch_and_add(of_verdict, 1);
		return;
	}
	count->seen++;
	count->bytes += len;
	(*of_verdict)++;
}

static __always_inline void observe(struct xdp_md *ctx, struct batch *batch,
				    struct counters *count, __u32 slot,
				    int verdict)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 now = bpf_ktime_get_ns();
	bool claimed = batch_claim(batch);
	struct record *place = NULL, *rec, apart;
	__u64 len, *fate;
	__u32 cap = 0;

	/* The linear part is all of the frame where there are no fragments. */
	len = knobs.frags ? bpf_xdp_get_buff_len(ctx) : end - data;
	count_frame(count, len, verdict);

	if (knobs.snaplen)
		cap = len < knobs.snaplen ? len : knobs.snaplen;
	/* Parsed where it is to stay. Without a place there it is parsed all
	 * the same, so that the packet's fate is known.
	 */
	if (claimed)
		place = batch_slot(ctx, batch, batch_need(cap), now);
	rec = place ? place : &apart;
	if (parse_frame(ctx, len, rec)) {
		fate = &count->not_ip;
	} else if (!selected(rec)) {
		fate = &count->unselected;
	} else if (sampled_out(batch, now)) {
		fate = &count->sampled_out;
	} else {
		rec->ts_lo = now;
		rec->ts_hi = now >> 32;
		rec->verdict_len =
		    (__u32)verdict << REC_VERDICT_SHIFT | (len & REC_LEN_MASK);
		rec->rule = 0;
		rec->rxq = ctx->rx_queue_index;
		rec->iface = slot;
		if (batch_keep(ctx, batch, place, rec, cap, now, claimed)) {
			fate = &count->recorded;
		} else {
			/* The table before the counter: user space drains when
			 * the counter has grown, and must find what made it.
			 */
			overflow_count(rec, slot, verdict);
			fate = &count->overflowed;
		}
	}
	count_add(fate, 1);

	batch_leave(ctx, batch, claimed);
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
 * coming and some wait. FLUSH_*.
 */
SEC("raw_tp")
int xdplog_flush(void *ctx)
{
	struct batch *batch = batch_of_this_cpu();

	if (!batch)
		return FLUSH_DONE;
	if (!batch_claim(batch))
		return FLUSH_AGAIN;
	return batch_flush(ctx, batch);
}
