/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * From record to ring: append to this CPU's batch, emit the batch. Nothing here
 * knows of verdicts, or of what becomes of a packet that finds no room.
 */
#ifndef XDPLOG_BATCH_H
#define XDPLOG_BATCH_H

#define ENOENT 2

/* Keep the compiler from moving accesses to a batch over its busy flag. The
 * programs that share one run on the same CPU, so no CPU barrier is needed.
 */
#define barrier() asm volatile("" ::: "memory")

static __always_inline struct batch *batch_of_this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&batches, &cpu);
}

/*
 * Put size bytes at data into this CPU's ring, and wake its reader or not. 0,
 * or -ENOSPC: the ring is full; -ENOENT: this CPU came online after the rings
 * were opened. Either way the data stays where it is.
 */
static __always_inline long batch_output(void *ctx, void *data, __u64 size,
					 bool wake)
{
	long err = -ENOENT;

	if (!wake)
		err = bpf_perf_event_output(ctx, &events_quiet,
					    BPF_F_CURRENT_CPU, data, size);
	/* User space may have found no quiet event for this CPU. */
	if (err == -ENOENT)
		err = bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU,
					    data, size);

	return err;
}

/* Emit all that waits. If the ring refuses, the batch stays as it is and is
 * due again a little later, so that a full ring costs little.
 *
 * One that is full before it is due goes out quietly: the one before, not a
 * millisecond ago, woke the reader, or followed one that did; the reader looks
 * again until a millisecond has passed without anything. A ring that is half
 * full wakes in any case.
 */
static __always_inline void batch_emit(void *ctx, struct batch *batch,
				       __u64 now)
{
	__u64 used = batch->used;

	/* Never more; the verifier does not know what wrote the map. */
	if (used > BATCH_BYTES)
		return;
	if (batch_output(ctx, batch->data, used, now >= batch->due_ns)) {
		batch->blocked = 1;
		batch->due_ns = now + BATCH_RETRY_NS;
		return;
	}
	batch->used = 0;
	batch->blocked = 0;
	batch->due_ns = now + BATCH_AGE_NS;
}

/* Bytes of a frame, padded, and what is before them. */
static __always_inline __u32 capture_size(__u32 cap)
{
	return sizeof(struct capture) + ((cap + 3) & ~3u);
}

/* Bytes that a packet takes in a batch, of whose frame cap are captured. */
static __always_inline __u32 batch_need(__u32 cap)
{
	if (!knobs.snaplen)
		return sizeof(struct record);
	return capture_size(cap < knobs.part ? cap : knobs.part);
}

/* Where the next record, of need bytes in all, is to be written. */
static __always_inline struct record *
batch_slot(void *ctx, struct batch *batch, __u32 need, __u64 now, bool nested)
{
	struct record *rec = &batch->spare.rec;
	__u64 used;

	if (nested)
		return rec;
	if (batch->used + need > knobs.batch_bytes &&
	    (!batch->blocked || now >= batch->due_ns))
		batch_emit(ctx, batch, now);
	used = batch->used;
	/* A full batch parses into the spare, so that the packet's fate is
	 * known.
	 */
	if (used + need > knobs.batch_bytes)
		return rec;
	/* The bound that the verifier asks for, of this very value, in 64 bits,
	 * and of the pointer that is used later: compilers would check a copy,
	 * or add in another order, of which Linux 6.1 learns nothing.
	 */
	asm volatile("" : "+r"(used));
	used &= BATCH_MASK;
	rec = (void *)batch->data + used;
	asm volatile("" : "+r"(rec));
	return rec;
}

/* Put cap bytes of the frame, from one on, behind its record; how many there
 * are.
 */
static __always_inline __u32 capture_bytes(struct xdp_md *ctx, __u32 from,
					   __u32 cap, struct capture *capture)
{
	__u64 size = cap - 1;

	/* From 1 to 65,536 in a way that Linux 6.1's verifier follows, which
	 * learns nothing from a comparison with 0; the compiler is not to know
	 * that it changes nothing.
	 */
	asm volatile("" : "+r"(size));
	size &= BATCH_MASK;
	size += 1;
	/* Not by data and data_end: a frame may have more than its linear part.
	 * Cannot fail, as the bytes are within the frame and begin in its first
	 * 64 KiB; if it did, there would be none.
	 */
	if (bpf_xdp_load_bytes(ctx, from, capture + 1, size))
		size = 0;
	capture->cap_len = size;
	return size;
}

/*
 * Send what of the frame's first cap bytes is more than a batch takes into the
 * ring, ahead of the record; how many bytes went. Where the ring is full the
 * frame is cut. The batch is empty: nothing else takes a place as large.
 */
static __always_inline __u32 batch_ahead(struct xdp_md *ctx,
					 struct batch *batch, __u32 cap)
{
	struct capture *spare = &batch->spare;
	__u32 sent = 0, left, size;
	int i;

	spare->rec.flags = REC_AHEAD;
	for (i = 0; i < AHEAD_MAX && cap - sent > knobs.part; i++) {
		left = cap - sent - knobs.part;
		if (left > knobs.part)
			left = knobs.part;
		size = capture_bytes(ctx, knobs.part + sent, left, spare);
		spare->ahead = sent;
		if (!size ||
		    batch_output(ctx, spare, capture_size(size), false))
			break;
		sent += size;
	}
	return sent;
}

/*
 * Commit the record written to batch_slot(), with cap bytes of its frame. False
 * if there is no room for it.
 *
 * nested: this packet interrupted the flush program on its own CPU, which is
 * emitting the batch. It stays clear of the batch and goes out alone, with no
 * more of its frame than that takes.
 */
static __always_inline bool batch_commit(struct xdp_md *ctx,
					 struct batch *batch,
					 struct record *rec, __u32 cap,
					 __u64 now, bool nested)
{
	struct capture *capture = (void *)rec;
	__u32 need = batch_need(cap);
	__u32 ahead = 0;

	if (!nested && batch->used + need > knobs.batch_bytes)
		return false;
	if (knobs.snaplen) {
		if (cap > knobs.part) {
			if (!nested)
				ahead = batch_ahead(ctx, batch, cap);
			cap = knobs.part;
		}
		cap = capture_bytes(ctx, 0, cap, capture);
		capture->ahead = cap ? ahead : 0;
		need = batch_need(cap);
	}
	if (nested)
		return !batch_output(ctx, rec, need, true);
	batch->used += need;
	/* Another one like this would not fit, or it has waited. */
	if (batch->used + need > knobs.batch_bytes || now >= batch->due_ns)
		batch_emit(ctx, batch, now);
	return true;
}

#endif /* XDPLOG_BATCH_H */
