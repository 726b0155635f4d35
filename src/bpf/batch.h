/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * From record to ring: append to this CPU's batch, emit the batch. Nothing here
 * knows of verdicts, or of what becomes of a packet that finds no room.
 */
#ifndef XDPLOG_BATCH_H
#define XDPLOG_BATCH_H

#define EBUSY  16
#define ENOSPC 28

/* Keep the compiler from moving accesses over a claim. The programs that share
 * a batch run on the same CPU, so no CPU barrier is needed.
 */
#define barrier() asm volatile("" ::: "memory")

static __always_inline struct batch *batch_of_this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&batches, &cpu);
}

/*
 * Make data[] this program's own; false if it is another's, which this one
 * came in the middle of.
 *
 * Bottom halves of one CPU come one after the other, so that only whole packets
 * come in the middle of a flush, and flushes in the middle of a packet: what
 * has found the flag clear is done before the interrupted one goes on. With
 * PREEMPT_RT two packets may interleave at any instruction.
 */
static __always_inline bool batch_claim(struct batch *batch)
{
	if (knobs.realtime) {
		if (__sync_lock_test_and_set(&batch->busy, 1))
			return false;
	} else {
		if (batch->busy)
			return false;
		batch->busy = 1;
	}
	barrier();
	return true;
}

static __always_inline void batch_release(struct batch *batch)
{
	barrier();
	batch->busy = 0;
	barrier();
}

/* The same for aside[]. Few ever come here: what it costs does not matter. */
static __always_inline bool aside_claim(struct batch *batch)
{
	bool taken = __sync_lock_test_and_set(&batch->aside_busy, 1);

	barrier();
	return !taken;
}

static __always_inline void aside_release(struct batch *batch)
{
	barrier();
	batch->aside_busy = 0;
}

/*
 * Put size bytes at data into this CPU's ring, and wake its reader or not. 0,
 * or an error, which leaves the data where it is.
 */
static __always_inline long batch_output(void *ctx, void *data, __u64 size,
					 bool wake)
{
	long err;

	/* Never more; the verifier does not know what wrote the map, and Linux
	 * 6.1's learns nothing from comparing a copy.
	 */
	asm volatile("" : "+r"(size));
	size &= BATCH_MASK;
	if (!wake) {
		err = bpf_perf_event_output(ctx, &events_quiet,
					    BPF_F_CURRENT_CPU, data, size);
		if (!err || err == -ENOSPC)
			return err;
		/* User space may have found no quiet event for this CPU. */
	}
	return bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, data,
				     size);
}

/* Nothing could be emitted: why, and when to try again. */
static __always_inline void batch_blocked(struct batch *batch, long err,
					  __u64 now)
{
	__u32 zero = 0;
	__u64 *count;

	batch->due_ns = now + BATCH_RETRY_NS;
	batch->blocked = RING_FULL;
	/* Too deep in programs that write to rings is no reason, either. */
	if (err == -ENOSPC || err == -EBUSY)
		return;
	/* -ENOENT, -E2BIG: there is none; -EOPNOTSUPP: the CPU was offline
	 * since it was opened.
	 */
	batch->blocked = RING_GONE;
	count = bpf_map_lookup_elem(&ringless, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Emit what waits aside. 0 also if a packet is at work there: it sees to the
 * rest when it is done.
 */
static __always_inline long aside_emit(void *ctx, struct batch *batch,
				       bool wake)
{
	long err;

	if (!aside_claim(batch))
		return 0;
	err = batch_output(ctx, batch->aside, batch->aside_used, wake);
	if (!err)
		batch->aside_used = 0;
	aside_release(batch);
	return err;
}

/* Emit all that waits, what is aside last. If the ring refuses, the batch stays
 * as it is and is due again a little later, so that a full ring costs little.
 * To be called with the claim, as all below.
 *
 * One that is full before it is due goes out quietly: the one before, not a
 * millisecond ago, woke the reader, or followed one that did; the reader looks
 * again until a millisecond has passed without anything. A ring that is half
 * full wakes in any case.
 */
static __always_inline void batch_emit(void *ctx, struct batch *batch,
				       __u64 now)
{
	bool wake = now >= batch->due_ns;
	long err = 0;

	if (batch->used)
		err = batch_output(ctx, batch->data, batch->used, wake);
	if (!err) {
		batch->used = 0;
		if (batch->aside_used)
			err = aside_emit(ctx, batch, wake);
	}
	if (err) {
		batch_blocked(batch, err, now);
		return;
	}
	batch->blocked = 0;
	batch->due_ns = now + BATCH_AGE_NS;
}

/* Whether a packet may try to emit: not each one where the ring is full. */
static __always_inline bool batch_may_emit(struct batch *batch, __u64 now)
{
	return !batch->blocked || now >= batch->due_ns;
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

/* Where in the batch the next record, of need bytes in all, is to be written;
 * NULL if there is no room.
 */
static __always_inline struct record *batch_slot(void *ctx, struct batch *batch,
						 __u32 need, __u64 now)
{
	struct record *rec;
	__u64 used;

	/* What waits aside is older than what is to come. */
	if ((batch->aside_used || batch->used + need > knobs.batch_bytes) &&
	    batch_may_emit(batch, now))
		batch_emit(ctx, batch, now);
	used = batch->used;
	if (batch->aside_used || used + need > knobs.batch_bytes)
		return NULL;
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
					   __u32 cap, struct capture *capture,
					   __u32 mask)
{
	__u64 size = cap - 1;

	/* From 1 to mask + 1 in a way that Linux 6.1's verifier follows, which
	 * learns nothing from a comparison with 0; the compiler is not to know
	 * that it changes nothing.
	 */
	asm volatile("" : "+r"(size));
	size &= mask;
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
 * frame is cut. In the batch there is nothing but the record, which makes room.
 */
static __always_inline __u32 batch_ahead(struct xdp_md *ctx,
					 struct batch *batch, __u32 cap)
{
	struct capture *first = (void *)batch->data;
	struct record rec = first->rec;
	__u32 sent = 0, left, size;
	int i;

	first->rec.flags = REC_AHEAD;
	for (i = 0; i < AHEAD_MAX && cap - sent > knobs.part; i++) {
		left = cap - sent - knobs.part;
		if (left > knobs.part)
			left = knobs.part;
		size = capture_bytes(ctx, knobs.part + sent, left, first,
				     BATCH_MASK);
		first->ahead = sent;
		if (!size ||
		    batch_output(ctx, first, capture_size(size), false))
			break;
		sent += size;
	}
	first->rec = rec;
	return sent;
}

/* Commit the record that was written to batch_slot(), with cap bytes of its
 * frame.
 */
static __always_inline void batch_commit(struct xdp_md *ctx,
					 struct batch *batch,
					 struct record *rec, __u32 cap,
					 __u64 now)
{
	struct capture *capture = (void *)rec;
	__u32 ahead = 0, need;

	if (knobs.snaplen) {
		if (cap > knobs.part) {
			ahead = batch_ahead(ctx, batch, cap);
			cap = knobs.part;
		}
		cap = capture_bytes(ctx, 0, cap, capture, BATCH_MASK);
		capture->ahead = cap ? ahead : 0;
	}
	need = batch_need(cap);
	batch->used += need;
	/* Another one like this would not fit, or it has waited. */
	if (batch->used + need > knobs.batch_bytes || now >= batch->due_ns)
		batch_emit(ctx, batch, now);
}

/*
 * Put a record aside, with cap bytes of its frame or as many as there would be
 * room for in all. False if there is no room for it, or another packet is at
 * work there.
 */
static __always_inline bool aside_commit(struct xdp_md *ctx,
					 struct batch *batch,
					 const struct record *rec, __u32 cap)
{
	__u32 bytes =
	    knobs.batch_bytes < ASIDE_BYTES ? knobs.batch_bytes : ASIDE_BYTES;
	__u32 need = sizeof(*rec);
	struct capture *capture;
	bool fits;
	__u64 used;

	if (knobs.snaplen) {
		if (cap > bytes - sizeof(*capture))
			cap = bytes - sizeof(*capture);
		need = capture_size(cap);
	}
	if (!aside_claim(batch))
		return false;
	used = batch->aside_used;
	fits = used + need <= bytes;
	if (fits) {
		/* As in batch_slot(). */
		asm volatile("" : "+r"(used));
		used &= ASIDE_MASK;
		capture = (void *)batch->aside + used;
		asm volatile("" : "+r"(capture));
		capture->rec = *rec;
		if (knobs.snaplen) {
			cap = capture_bytes(ctx, 0, cap, capture, ASIDE_MASK);
			capture->ahead = 0;
			need = capture_size(cap);
		}
		batch->aside_used = used + need;
	}
	aside_release(batch);
	return fits;
}

/*
 * Where packets interleave, the last of them emits what was put aside. Each
 * looks after its own work is done: if another one holds the batch just then,
 * that one looks when it is done. What comes while one emits here waits for
 * the flush that follows each sample.
 */
static __always_inline void batch_catch_up(void *ctx, struct batch *batch)
{
	__u64 now;

	if (!knobs.realtime || !batch->aside_used)
		return;
	if (!batch_claim(batch))
		return;
	now = bpf_ktime_get_ns();
	if (batch_may_emit(batch, now))
		batch_emit(ctx, batch, now);
	batch_release(batch);
}

/*
 * Keep a record for user space, with cap bytes of its frame: in its place in
 * the batch, or aside where another one has the claim. False if there is no
 * room.
 */
static __always_inline bool batch_keep(struct xdp_md *ctx, struct batch *batch,
				       struct record *place,
				       const struct record *rec, __u32 cap,
				       __u64 now, bool claimed)
{
	if (place) {
		batch_commit(ctx, batch, place, cap, now);
		return true;
	}
	return !claimed && aside_commit(ctx, batch, rec, cap);
}

/* A packet has done its work on the batch. */
static __always_inline void batch_leave(void *ctx, struct batch *batch,
					bool claimed)
{
	if (claimed)
		batch_release(batch);
	batch_catch_up(ctx, batch);
}

/* A flush that has the claim; it is released. FLUSH_*. */
static __always_inline int batch_flush(void *ctx, struct batch *batch)
{
	bool waits, gone;

	if (batch->used || batch->aside_used)
		batch_emit(ctx, batch, bpf_ktime_get_ns());
	else
		/* User space will look away: the next packet emits itself,
		 * however long ago it read the clock.
		 */
		batch->due_ns = 0;
	waits = batch->used;
	gone = batch->blocked == RING_GONE;
	batch_release(batch);
	/* Until the release, packets that came meanwhile were put aside. */
	if (!waits && !batch->aside_used && !batch->aside_busy)
		return FLUSH_DONE;
	return gone ? FLUSH_GONE : FLUSH_AGAIN;
}

#endif /* XDPLOG_BATCH_H */
