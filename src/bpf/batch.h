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
static __always_inline long batch_output(void *ctx, struct record *data,
					 __u64 size, bool wake)
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
 * A full batch goes out quietly: one that was emitted before it, and for its
 * age, woke the reader, which then looks again until a millisecond has passed
 * without anything; and a ring that is half full wakes in any case.
 */
static __always_inline void batch_emit(void *ctx, struct batch *batch,
				       __u64 now)
{
	__u64 n = batch->n;
	bool wake = n < knobs.batch_max;

	/* Never more; the verifier does not know what wrote the map. */
	if (n > BATCH_MAX)
		return;
	if (batch_output(ctx, batch->rec, n * sizeof(struct record), wake)) {
		batch->due_ns = now + BATCH_RETRY_NS;
		return;
	}
	batch->n = 0;
	batch->due_ns = now + BATCH_AGE_NS;
}

/* Where the next record is to be written. */
static __always_inline struct record *batch_slot(void *ctx, struct batch *batch,
						 __u64 now, bool nested)
{
	__u32 n;

	if (nested)
		return &batch->rec[BATCH_MAX];
	if (batch->n >= knobs.batch_max && now >= batch->due_ns)
		batch_emit(ctx, batch, now);
	n = batch->n;
	/* A full batch parses into the spare entry, so that the packet's fate
	 * is known.
	 */
	if (n >= knobs.batch_max)
		n = BATCH_MAX;
	/* The bound that the verifier asks for, of this very value: clang 19
	 * would check one copy and use another, and Linux 6.1 sees no relation.
	 */
	asm volatile("" : "+r"(n));
	if (n > BATCH_MAX)
		n = BATCH_MAX;
	return &batch->rec[n];
}

/*
 * Commit the record written to batch_slot(). False if there is no room for it.
 *
 * nested: this packet interrupted the flush program on its own CPU, which is
 * emitting the batch. It stays clear of the batch and goes out alone.
 */
static __always_inline bool batch_commit(void *ctx, struct batch *batch,
					 struct record *rec, __u64 now,
					 bool nested)
{
	__u32 n = batch->n;

	if (nested)
		return !batch_output(ctx, rec, sizeof(*rec), true);
	if (n >= knobs.batch_max)
		return false;
	n++;
	batch->n = n;
	if (n >= knobs.batch_max || now >= batch->due_ns)
		batch_emit(ctx, batch, now);
	return true;
}

#endif /* XDPLOG_BATCH_H */
