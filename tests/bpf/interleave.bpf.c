// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * The way of a packet through the batch, and that of a flush, one step a run:
 * so a test can let several interleave as it likes. The steps are the program's
 * own.
 */
#include "../../src/bpf/xdplog.bpf.c"

/* What a packet holds between its steps. */
struct packet {
	__u32 claimed;
	__u32 placed;
	__u64 now;
	struct record rec;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct packet);
} packets SEC(".maps");

/* The frame begins with the packet's number and the step to be done. */
#define STEP_ENTER	   0
#define STEP_KEEP	   1
#define STEP_LEAVE	   2
#define STEP_CLAIM_ASIDE   3
#define STEP_RELEASE_ASIDE 4
#define STEP_CLAIM	   5
#define STEP_FLUSH	   6
#define STEP_DUE	   7

/* The place that batch_slot() gave, which is the claim's own until it is kept.
 */
static __always_inline struct record *place_of(struct batch *batch)
{
	__u64 used = batch->used;

	asm volatile("" : "+r"(used));
	used &= BATCH_MASK;
	return (void *)batch->data + used;
}

static __always_inline int enter(struct xdp_md *ctx, struct batch *batch,
				 struct packet *packet, __u8 *frame, __u32 cap)
{
	struct record *place = NULL;

	packet->now = bpf_ktime_get_ns();
	packet->claimed = batch_claim(batch);
	if (packet->claimed)
		place = batch_slot(ctx, batch, batch_need(cap), packet->now);
	packet->placed = place != NULL;
	__builtin_memset(&packet->rec, 0, sizeof(packet->rec));
	__builtin_memcpy(packet->rec.saddr, frame + 2, 4);
	packet->rec.ts_lo = packet->now;
	packet->rec.ts_hi = packet->now >> 32;
	if (place)
		*place = packet->rec;
	return packet->claimed;
}

SEC("xdp")
int step(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct batch *batch = batch_of_this_cpu();
	struct packet *packet;
	__u32 number, cap;

	if (!batch || (void *)(frame + 14) > end)
		return -1;
	number = frame[0];
	packet = bpf_map_lookup_elem(&packets, &number);
	if (!packet)
		return -1;
	cap = bpf_xdp_get_buff_len(ctx);
	if (cap > knobs.snaplen)
		cap = knobs.snaplen;
	switch (frame[1]) {
	case STEP_ENTER:
		return enter(ctx, batch, packet, frame, cap);
	case STEP_KEEP:
		return batch_keep(
		    ctx, batch, packet->placed ? place_of(batch) : NULL,
		    &packet->rec, cap, packet->now, packet->claimed);
	case STEP_LEAVE:
		batch_leave(ctx, batch, packet->claimed);
		return 0;
	case STEP_CLAIM_ASIDE:
		return aside_claim(batch);
	case STEP_RELEASE_ASIDE:
		aside_release(batch);
		return 0;
	case STEP_CLAIM:
		return batch_claim(batch);
	case STEP_FLUSH:
		return batch_flush(ctx, batch);
	case STEP_DUE:
		batch->due_ns = 0;
		return 0;
	}
	return -1;
}
