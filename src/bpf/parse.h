/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * From frame to record: one helper per header, each with one bounds check
 * before its reads; what is not IP is in link.h. No maps and no verdicts here;
 * whatever is wrong with a frame ends in a flag or in NOT_IP, never in a
 * decision.
 */
#ifndef XDPLOG_PARSE_H
#define XDPLOG_PARSE_H

#define ETH_P_8021Q  0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_IP     0x0800
#define ETH_P_IPV6   0x86dd

/* linux/in6.h: macros, so not in the BTF that vmlinux.h is made of. */
#define IPPROTO_HOPOPTS	 0
#define IPPROTO_ROUTING	 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_ICMPV6	 58
#define IPPROTO_DSTOPTS	 60

/* Extension headers walked in one IPv6 packet. */
#define MAX_EXTENSIONS 8
/* No header that is read here begins further into the frame: Ethernet, tags,
 * IPv6 and eight extensions of 2,048 bytes end before. All ones, for a mask.
 */
#define MAX_OFFSET 0x7fff

#define IPV4_MORE_FRAGMENTS 0x2000 /* RFC 791 */
#define IPV4_OFFSET	    0x1fff
#define IPV6_MORE_FRAGMENTS 0x0001 /* RFC 8200, section 4.5 */
#define IPV6_OFFSET	    0xfff8

/* The frame holds no usable IPv4 or IPv6 header, and is not recorded. */
#define NOT_IP (-1)
/* The frame ends before its EtherType. */
#define NO_TYPE (-2)

/*
 * Where parsing stands, as offsets into the frame. limit is where the IP packet
 * ends, by its own account and within the frame: a frame may be longer
 * (Ethernet padding) and no read may enter the rest.
 */
struct cursor {
	struct xdp_md *ctx;
	void *data;
	void *end; /* of the first buffer of the frame */
	void *spare;
	__u32 offset;
	__u32 limit;
};

/* The longest header that is read at once, IPv6's. */
#define MAX_HEADER 40

/* An IPv6 extension header's common start, RFC 8200, section 4. */
struct ipv6_extension {
	__u8 nexthdr;
	__u8 len;	/* in 8 bytes, the first 8 not counted */
	__be16 payload; /* of a fragment header: offset and flags */
	__be32 more;
};

/*
 * Step over the next size bytes, to be read through what is returned, up to the
 * next take; NULL if the frame or the IP packet ends before them.
 */
static __always_inline void *cursor_take(struct cursor *cur, __u32 size)
{
	/* The mask is the bound for adding it to a packet pointer. */
	__u32 offset = cur->offset & MAX_OFFSET;
	void *at = cur->data + offset;
	void *next = at + size;

	if (offset + size > cur->limit)
		return NULL;
	/* The bound that the verifier wants to see. What is within the limit
	 * and beyond this is in another buffer of the frame, or across two.
	 */
	if (next > cur->end) {
		if (!knobs.frags ||
		    bpf_xdp_load_bytes(cur->ctx, offset, cur->spare, size))
			return NULL;
		at = cur->spare;
	}
	/* The difference of two packet pointers is any number to the verifier,
	 * and the barrier keeps the compiler from seeing through that. So all
	 * paths to here look alike; without this, each number of tags and each
	 * chain of extension headers is followed apart from all others, until
	 * a million instructions are up.
	 */
	asm volatile("" : "+r"(next));
	cur->offset = next - cur->data;
	return at;
}

/* Step over the next size bytes, which nobody reads; false if there are fewer.
 */
static __always_inline bool cursor_skip(struct cursor *cur, __u32 size)
{
	__u32 offset = cur->offset & MAX_OFFSET;
	void *next = cur->data + offset + (size & 0xfff);

	if (offset + size > cur->limit)
		return false;
	/* As above. */
	asm volatile("" : "+r"(next));
	cur->offset = next - cur->data;
	return true;
}

/* The IP packet ends at this offset, by its own account. */
static __always_inline void cursor_bound(struct cursor *cur, __u32 limit,
					 struct record *rec)
{
	/* So far the limit is the frame's. */
	if (limit > cur->limit)
		rec->flags |= REC_TRUNCATED;
	else
		cur->limit = limit;
}

static __always_inline void no_vlans(struct record *rec)
{
	rec->vlan[0] = 0;
	rec->vlan[1] = 0;
	rec->vlan[2] = 0;
}

/* Ethernet and up to MAX_VLANS tags: the EtherType in host order, a tag's own
 * if the frame ends within it; or NO_TYPE.
 */
static __always_inline int parse_ethernet(struct cursor *cur,
					  struct record *rec)
{
	struct ethhdr *eth = cursor_take(cur, sizeof(*eth));
	struct vlan_hdr *tag;
	__u16 type;
	int i;

	no_vlans(rec);
	if (!eth)
		return NO_TYPE;
	type = bpf_ntohs(eth->h_proto);

#pragma unroll
	for (i = 0; i < MAX_VLANS; i++) {
		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
		tag = cursor_take(cur, sizeof(*tag));
		if (!tag) {
			rec->flags |= REC_TRUNCATED;
			break;
		}
		rec->vlan[i] =
		    VLAN_PRESENT | (bpf_ntohs(tag->h_vlan_TCI) & 0x0fff);
		type = bpf_ntohs(tag->h_vlan_encapsulated_proto);
	}
	return type;
}

static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE ||
	       proto == IPPROTO_DCCP;
}

/* Ports and TCP flags, or ICMP type and code, of an unfragmented packet or a
 * first fragment.
 */
static __always_inline void parse_l4(struct cursor *cur, struct record *rec)
{
	bool icmp = rec->flags & REC_IPV6 ? rec->proto == IPPROTO_ICMPV6
					  : rec->proto == IPPROTO_ICMP;
	__u8 *at;

	if (icmp) {
		at = cursor_take(cur, 2);
		if (!at) {
			rec->flags |= REC_TRUNCATED;
			return;
		}
		rec->l4[0] = at[0];
		rec->l4[1] = at[1];
		rec->flags |= REC_L4;
		return;
	}
	if (!has_ports(rec->proto))
		return;
	at = cursor_take(cur, 4);
	if (!at) {
		rec->flags |= REC_TRUNCATED;
		return;
	}
	__builtin_memcpy(rec->l4, at, 4);
	rec->flags |= REC_L4;
	if (rec->proto != IPPROTO_TCP)
		return;
	/* Sequence, acknowledgement, data offset, flags: bytes 4 to 13. */
	at = cursor_take(cur, 10);
	if (!at) {
		rec->flags |= REC_TRUNCATED;
		return;
	}
	rec->tcp_flags = at[9];
	rec->flags |= REC_TCP_FLAGS;
}

/*
 * Whether a packet of IP that claims no length has it from the frame, which
 * holds so many bytes from the header on: more than a length of 16 bits can
 * claim. The kernel makes such packets where it may join segments beyond 64 KiB
 * (BIG TCP; iph_set_totlen() and iph_totlen() of include/linux/ip.h).
 */
static __always_inline bool is_big(const struct cursor *cur, __u32 start)
{
	return cur->limit > start + 0xffff;
}

static __always_inline int parse_ipv4(struct cursor *cur, struct record *rec)
{
	__u32 start = cur->offset;
	struct iphdr *ip = cursor_take(cur, sizeof(*ip));
	__u16 frag;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return NOT_IP;

	__builtin_memcpy(rec->saddr, &ip->saddr, 4);
	__builtin_memset(rec->saddr + 4, 0, 12);
	__builtin_memcpy(rec->daddr, &ip->daddr, 4);
	__builtin_memset(rec->daddr + 4, 0, 12);
	rec->proto = ip->protocol;

	frag = bpf_ntohs(ip->frag_off);
	if (frag & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET))
		rec->flags |= REC_FRAGMENT;
	if (ip->tot_len || !is_big(cur, start))
		cursor_bound(cur, start + bpf_ntohs(ip->tot_len), rec);

	/* The options; for none of them, whether the length covers the header
	 * is still to be found out.
	 */
	if (!cursor_skip(cur, ip->ihl * 4 - sizeof(*ip))) {
		rec->flags |= REC_TRUNCATED;
		return 0;
	}
	if (!(frag & IPV4_OFFSET))
		parse_l4(cur, rec);
	return 0;
}

/*
 * Walk the extension headers to the protocol; true if an L4 header follows.
 * Only these four are extensions here: AH, ESP, mobility and their like are
 * the protocol itself.
 */
static __always_inline bool parse_extensions(struct cursor *cur,
					     struct record *rec)
{
	struct ipv6_extension *ext;
	__u16 frag;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		__u8 proto = rec->proto;

		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING &&
		    proto != IPPROTO_DSTOPTS && proto != IPPROTO_FRAGMENT)
			return true;
		ext = cursor_take(cur, sizeof(*ext));
		if (!ext) {
			rec->flags |= REC_TRUNCATED;
			return false;
		}
		if (proto == IPPROTO_FRAGMENT) {
			frag = bpf_ntohs(ext->payload);
			if (frag & (IPV6_MORE_FRAGMENTS | IPV6_OFFSET))
				rec->flags |= REC_FRAGMENT;
			if (frag & IPV6_OFFSET) {
				rec->proto = ext->nexthdr;
				return false;
			}
		} else if (!cursor_skip(cur, ext->len * 8)) {
			rec->flags |= REC_TRUNCATED;
			return false;
		}
		rec->proto = ext->nexthdr;
	}
	return true;
}

static __always_inline int parse_ipv6(struct cursor *cur, struct record *rec)
{
	struct ipv6hdr *ip = cursor_take(cur, sizeof(*ip));
	__u32 payload;

	if (!ip || ip->version != 6)
		return NOT_IP;

	__builtin_memcpy(rec->saddr, &ip->saddr, 16);
	__builtin_memcpy(rec->daddr, &ip->daddr, 16);
	rec->proto = ip->nexthdr;
	rec->flags |= REC_IPV6;

	payload = bpf_ntohs(ip->payload_len);
	/* RFC 2675: a jumbogram has its length in the hop-by-hop option, which
	 * is above 65,535 by definition; the frame is the bound. BIG TCP may do
	 * without the option.
	 */
	if (payload ||
	    (ip->nexthdr != IPPROTO_HOPOPTS && !is_big(cur, cur->offset)))
		cursor_bound(cur, cur->offset + payload, rec);

	if (parse_extensions(cur, rec))
		parse_l4(cur, rec);
	return 0;
}

#include "link.h"

/*
 * Fill in all of rec that the frame tells: everything but time, interface,
 * queue, verdict and rule. 0, or NOT_IP.
 */
static __always_inline int parse_frame(struct xdp_md *ctx, __u32 frame_len,
				       struct record *rec)
{
	/* The verifier wants what is read on the stack to be aligned. */
	__u8 spare[MAX_HEADER] __attribute__((aligned(8)));
	struct cursor cur = {
	    .ctx = ctx,
	    .data = (void *)(long)ctx->data,
	    .end = (void *)(long)ctx->data_end,
	    .spare = spare,
	    .limit = frame_len,
	};
	__u32 behind;
	int type;

	__builtin_memset(rec->l4, 0, sizeof(rec->l4));
	rec->tcp_flags = 0;
	rec->flags = 0;

	if (knobs.raw)
		return parse_raw(&cur, rec);
	type = parse_ethernet(&cur, rec);
	behind = cur.offset;
	if (type == ETH_P_IP && !parse_ipv4(&cur, rec))
		return 0;
	if (type == ETH_P_IPV6 && !parse_ipv6(&cur, rec))
		return 0;
	return parse_link(&cur, rec, type, behind);
}

#endif /* XDPLOG_PARSE_H */
