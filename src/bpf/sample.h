/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Which packets are left out of the log on request: all but one in so many, all
 * beyond a rate. Only what is logged depends on it, never a verdict.
 */
#ifndef XDPLOG_SAMPLE_H
#define XDPLOG_SAMPLE_H

#define NS_PER_SECOND 1000000000

/*
 * One packet in knobs.sample, on each CPU by itself. Not under the claim of the
 * batch, as packets without it count, too: down from one to the next where no
 * two packets interleave, and else up, as that is one atomic step.
 */
static __always_inline bool not_sampled(struct batch *batch)
{
	if (knobs.realtime)
		return __sync_fetch_and_add(&batch->sampling, 1) % knobs.sample;
	if (batch->sampling) {
		batch->sampling--;
		return true;
	}
	batch->sampling = knobs.sample - 1;
	return false;
}

/*
 * Whether knobs.rate packets have been let through in this second. All CPUs
 * share the count, and it never goes beyond the limit: where the limit is
 * reached there is only a read, so that a flood does not contend for it.
 */
static __always_inline bool over_rate(__u64 now)
{
	__u64 second = now / NS_PER_SECOND;
	__u32 zero = 0;
	__u64 *cell = bpf_map_lookup_elem(&allowance, &zero);
	__u64 seen;

	/* Cannot be: the map has an entry 0. */
	if (!cell)
		return false;
	seen = *(volatile __u64 *)cell;
	/* The first of a new second begins its count. Who loses this race, or
	 * read the clock before it, counts in the second that is there.
	 */
	if (second > seen >> 32 &&
	    __sync_val_compare_and_swap(cell, seen, second << 32 | 1) == seen)
		return false;
	seen = *(volatile __u64 *)cell;
	if ((__u32)seen >= knobs.rate)
		return true;
	return (__u32)__sync_fetch_and_add(cell, 1) >= knobs.rate;
}

static __always_inline bool sampled_out(struct batch *batch, __u64 now)
{
	if (knobs.sample > 1 && not_sampled(batch))
		return true;
	return knobs.rate && over_rate(now);
}

#endif /* XDPLOG_SAMPLE_H */
