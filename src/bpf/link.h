/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What a record tells of a frame that is not IP, or whose IP header is broken:
 * MAC addresses, EtherType, and a little of what is behind it. Rare, so that it
 * begins with the frame anew and nothing here costs a packet of IP.
 */
#ifndef XDPLOG_LINK_H
#define XDPLOG_LINK_H

#define ETH_P_ARP 0x0806

/* What is no longer than this is a length, and the frame of IEEE 802.3. */
#define ETH_802_3_MAX 1500

#define ARP_ETHERNET 1 /* IANA's "ARP Parameters", hardware types */

/* RFC 826, with Ethernet's and IPv4's lengths of addresses. */
struct arp_header {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 op;
};

struct arp_addresses {
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
};

static __always_inline void parse_arp(struct cursor *cur, struct record *rec,
				      struct link *link)
{
	struct arp_header *arp = cursor_take(cur, sizeof(*arp));
	struct arp_addresses *of;
	__u16 op;

	if (!arp) {
		rec->flags |= REC_TRUNCATED;
		return;
	}
	if (arp->hardware != bpf_htons(ARP_ETHERNET) ||
	    arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_len != 6 ||
	    arp->protocol_len != 4)
		return;
	op = arp->op;
	of = cursor_take(cur, sizeof(*of));
	if (!of) {
		rec->flags |= REC_TRUNCATED;
		return;
	}
	link->op = op;
	__builtin_memcpy(link->first, of->sender, 4);
	__builtin_memcpy(link->target, of->target, 4);
	__builtin_memcpy(link->sender_mac, of->sender_mac, 6);
	link->has |= LINK_ARP;
}

/* IEEE 802.2's header in a frame of IEEE 802.3, of len bytes. */
static __always_inline void parse_llc(struct cursor *cur, struct record *rec,
				      struct link *link, __u16 len)
{
	__u8 *at;

	cursor_bound(cur, cur->offset + len, rec);
	at = cursor_take(cur, 3);
	if (!at) {
		rec->flags |= REC_TRUNCATED;
		return;
	}
	__builtin_memcpy(link->first, at, 3);
	link->has |= LINK_LLC;
}

/*
 * Fill in what rec tells of such a frame: type is its EtherType, or NO_TYPE,
 * and behind where that ends. 0, or NOT_IP if it is not to be recorded.
 */
static __always_inline int parse_link(struct cursor *cur, struct record *rec,
				      int type, __u32 behind)
{
	bool broken = type == ETH_P_IP || type == ETH_P_IPV6;
	struct link *link = (void *)rec->saddr;
	__u8 *at;

	if (!(knobs.not_ip & (broken ? NOT_IP_BROKEN : NOT_IP_OTHER)))
		return NOT_IP;

	__builtin_memset(link, 0, sizeof(*link));
	rec->proto = 0;
	rec->flags = (rec->flags & REC_TRUNCATED) | REC_NOT_IP;
	if (type == NO_TYPE) {
		rec->flags |= REC_TRUNCATED;
		return 0;
	}
	cur->offset = 0;
	at = cursor_take(cur, sizeof(struct ethhdr));
	/* Cannot be: the type was read from it. */
	if (!at)
		return 0;
	__builtin_memcpy(link->macs, at, sizeof(link->macs));
	link->type = bpf_htons(type);
	link->has = LINK_ETHERNET;

	cur->offset = behind;
	if (type == ETH_P_ARP) {
		parse_arp(cur, rec, link);
	} else if (type <= ETH_802_3_MAX) {
		parse_llc(cur, rec, link, type);
	} else if (broken) {
		at = cursor_take(cur, 1);
		if (at) {
			link->first[0] = *at;
			link->has |= LINK_IP;
		}
	}
	return 0;
}

/*
 * A frame that begins with IP's header, as the link has none (knobs.raw): which
 * IP its first four bits tell. 0, or NOT_IP.
 */
static __always_inline int parse_raw(struct cursor *cur, struct record *rec)
{
	struct link *link = (void *)rec->saddr;
	__u8 *at = cursor_take(cur, 1);
	__u8 first = at ? *at : 0;

	no_vlans(rec);
	cur->offset = 0;
	if (first >> 4 == 4 && !parse_ipv4(cur, rec))
		return 0;
	if (first >> 4 == 6 && !parse_ipv6(cur, rec))
		return 0;
	if (!(knobs.not_ip & NOT_IP_BROKEN))
		return NOT_IP;
	__builtin_memset(link, 0, sizeof(*link));
	rec->proto = 0;
	rec->flags = REC_NOT_IP;
	link->first[0] = first;
	link->has = LINK_IP;
	return 0;
}

#endif /* XDPLOG_LINK_H */
