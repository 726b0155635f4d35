/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What the kernel side and the user side both know: the record, the batch, the
 * counters, the knobs. No maps and no code here; src/bpf/mod.rs mirrors it.
 *
 * Types are fixed-width, without padding, bool, enum or bitfield, so that both
 * compilers lay them out alike; the assertions below stop the build if not.
 */
#ifndef XDPLOG_RECORD_H
#define XDPLOG_RECORD_H

/* Interfaces that one run can watch. A record names its interface by slot. */
#define MAX_IFACES 64

/*
 * Bytes in one batch: 1,023 records. A perf sample ends at 64 KiB, its header
 * and its padding included.
 */
#define BATCH_BYTES 65472
/* A batch older than this goes out with the next packet, full or not. */
#define BATCH_AGE_NS 1000000
/* The ring had no room: packets try again only after this long. */
#define BATCH_RETRY_NS 100000

/* VLAN tags kept, outermost first, and the bit that marks one as present. */
#define MAX_VLANS    3
#define VLAN_PRESENT 0x1000

/* record.flags */
#define REC_IPV6     0x01 /* addresses are IPv6, else IPv4 */
#define REC_FRAGMENT 0x02 /* a fragment, first or later */
#define REC_L4	     0x04 /* record.l4 was read from the packet */
/* The frame is shorter than its IP header says, or a header that is read here
 * is cut short.
 */
#define REC_TRUNCATED 0x08
/* No record: bytes of one that is yet to come. */
#define REC_AHEAD     0x10
#define REC_TCP_FLAGS 0x20 /* record.tcp_flags was read from the packet */
#define REC_NOT_IP    0x40 /* a struct link is where the addresses are */

/* record.verdict_len: the verdict is above the frame length. */
#define REC_LEN_MASK	  0x00ffffff
#define REC_VERDICT_SHIFT 24

/*
 * One packet: 64 bytes, a cache line. Nothing needs more than 4-byte alignment
 * because the data of a perf sample starts 4 bytes off an 8-byte boundary.
 */
struct record {
	__u32 ts_lo;	   /*  0: CLOCK_MONOTONIC in ns, low half */
	__u32 ts_hi;	   /*  4: and high half */
	__u8 saddr[16];	   /*  8: network order; IPv4 in the first 4 bytes */
	__u8 daddr[16];	   /* 24: likewise */
	__u8 l4[4];	   /* 40: as on the wire: source and destination port,
			    *     or ICMP type and code, then zeros
			    */
	__u32 verdict_len; /* 44: XDP verdict << 24 | frame length in bytes */
	__u32 rule;	   /* 48: id of the rule that decided; 0: none */
	__u16 vlan[MAX_VLANS]; /* 52: VLAN_PRESENT | VLAN id; 0: no tag */
	__u16 rxq;	       /* 58: receive queue */
	__u8 iface;	       /* 60: interface slot */
	__u8 proto;	       /* 61: IP protocol number (IANA) */
	__u8 tcp_flags;	       /* 62: FIN 0x01 ... CWR 0x80 (RFC 9293) */
	__u8 flags;	       /* 63: REC_* */
};

/* link.has, and with it what link.first holds */
#define LINK_ETHERNET 0x01 /* macs and type */
#define LINK_ARP      0x02 /* op, sender_mac, target; the sender's address */
#define LINK_LLC      0x04 /* 802.2's DSAP, SSAP, control */
#define LINK_IP	      0x08 /* the first byte of a broken IP header */

/*
 * What a record with REC_NOT_IP has in the place of its addresses: of a frame
 * that is not IP, or whose IP header is broken. What is not in has is zeros.
 */
struct link {
	__u8 macs[12];	/*  0: destination, source */
	__be16 type;	/* 12: EtherType behind the tags, or 802.3's length */
	__be16 op;	/* 14: of ARP over IPv4 and Ethernet (RFC 826) */
	__u8 first[4];	/* 16: as has says */
	__u8 target[4]; /* 20: ARP's target, its IPv4 address */
	__u8 sender_mac[6]; /* 24: ARP's sender, its MAC address */
	__u8 zero;	    /* 30 */
	__u8 has;	    /* 31: LINK_* */
};

/*
 * The same where frames are captured (knobs.snaplen): the record, the number of
 * bytes of the frame, and then these, padded to 4. Without, there are records
 * one behind the other.
 *
 * What of a long frame finds no room in a batch comes before it, in samples of
 * their own: captures with REC_AHEAD, whose records say nothing else.
 */
struct capture {
	struct record rec; /*  0 */
	__u32 cap_len;	   /* 64: bytes of the frame that follow */
	__u32 ahead;	   /* 68: bytes of it behind these that came ahead; of
			    * those that come ahead: how many came before them
			    */
};

/* Offsets and sizes are masked to 16 bits for the verifier, which is a little
 * more than they can be.
 */
#define BATCH_MASK  0xffff
#define BATCH_SLACK 256

/* Bytes of one frame in a batch, and samples that the rest of it comes in. */
#define CAPTURE_MAX (BATCH_BYTES - sizeof(struct capture))
#define AHEAD_MAX   4

/* Bytes that can wait aside, 512 records; and the mask for the verifier. */
#define ASIDE_BYTES 32768
#define ASIDE_MASK  0x7fff

/* batch.blocked: why nothing could be emitted, the last time. A ring is gone
 * where the CPU has none, or where it went offline after that was opened.
 */
#define RING_FULL 1
#define RING_GONE 2

/* What the flush program answers: nothing waits any more; something does, as a
 * packet is at work or the ring is full; something does, as the ring is gone.
 */
#define FLUSH_DONE  0
#define FLUSH_AGAIN 1
#define FLUSH_GONE  2

/*
 * The records of one CPU on their way to its ring. Written by programs that run
 * on that CPU only, data[] and what belongs to it by the one that holds the
 * claim. A packet that comes in the middle of that is put aside: it is newer
 * than all in data[], and goes out behind it.
 */
struct batch {
	__u32 used;	   /*  0: bytes waiting in data[] */
	__u32 busy;	   /*  4: the claim: a program is at work on it */
	__u64 due_ns;	   /*  8: a packet at or after this time emits it */
	__u32 blocked;	   /* 16: RING_*, or 0: the last time it went out */
	__u32 aside_used;  /* 20: bytes waiting in aside[] */
	__u32 aside_busy;  /* 24: the claim of aside[] and aside_used */
	__u32 zero;	   /* 28 */
	__u64 sampling;	   /* 32: what knobs.sample counts by (sample.h) */
	__u64 reserved[3]; /* 40: data[] starts on a cache line */
	__u8 data[BATCH_BYTES];	 /* 64 */
	__u8 aside[ASIDE_BYTES]; /* 64 + BATCH_BYTES */
	/* What the verifier wants to see behind the largest offset. */
	struct capture edge;
	__u8 room[CAPTURE_MAX - ASIDE_BYTES + BATCH_SLACK];
};

/*
 * Packets that find no room are counted by this: source, verdict, interface.
 */
struct overflow_key {
	__u8 addr[16]; /*  0: as record.saddr; with REC_NOT_IP the source's
			*     MAC address, and whether there is one
			*/
	__u8 iface;    /* 16: interface slot */
	__u8 verdict;  /* 17: XDP verdict */
	__u8 flags;    /* 18: REC_IPV6, REC_NOT_IP or 0 */
	__u8 zero;     /* 19: a key is compared as a whole */
};

/* Verdicts told apart in counts; those of enum xdp_action are below 5. */
#define VERDICTS 8

/*
 * Per CPU and interface. Every frame counts in seen and in exactly one of the
 * fates: seen = not_ip + unselected + sampled_out + overflowed + recorded.
 */
struct counters {
	__u64 seen;		  /*  0: frames that reached the program */
	__u64 not_ip;		  /*  8: not IP, and not recorded as such */
	__u64 unselected;	  /* 16: IP, but not of a family asked for */
	__u64 sampled_out;	  /* 24: left out by knobs.sample or .rate */
	__u64 overflowed;	  /* 32: no room: counted by source */
	__u64 recorded;		  /* 40: recorded for user space */
	__u64 bytes;		  /* 48: of all frames */
	__u64 verdicts[VERDICTS]; /* 56: frames by verdict */
};

/* Set once before load and read-only after, so that the verifier removes the
 * branches that are not used. Each interface has a program of its own, which
 * differs from the others in the slot and in what its frames begin with.
 */
struct knobs {
	__u32 batch_bytes; /*   0: bytes per sample, <= BATCH_BYTES */
	__u32 families;	   /*   4: FAMILY_* that are logged */
	__u32 frags;	   /*   8: the kernel knows xdp.frags */
	__u32 snaplen;	   /*  12: bytes captured of a frame; 0: none */
	__u32 part;	   /*  16: of these in one batch, <= CAPTURE_MAX */
	__u32 sample;	   /*  20: one packet in so many; 0: all */
	__u32 rate;	   /*  24: packets a second; 0: all */
	__u32 not_ip;	   /*  28: NOT_IP_* that are recorded */
	__u32 realtime;	   /*  32: PREEMPT_RT: packets of a CPU interleave */
	__u32 slot;	   /*  36: of the interface that it is attached to */
	__u32 raw;	   /*  40: its frames begin with IP's header */
};

#define FAMILY_IPV4 0x1
#define FAMILY_IPV6 0x2

/* knobs.not_ip */
#define NOT_IP_OTHER  0x1 /* frames of other kinds, such as ARP */
#define NOT_IP_BROKEN 0x2 /* IP without a usable header */

#define ASSERT_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), "size of " #type)
#define ASSERT_AT(type, field, at)                                     \
	_Static_assert(__builtin_offsetof(struct type, field) == (at), \
		       "offset of " #type "." #field)

ASSERT_SIZE(record, 64);
ASSERT_AT(record, ts_lo, 0);
ASSERT_AT(record, ts_hi, 4);
ASSERT_AT(record, saddr, 8);
ASSERT_AT(record, daddr, 24);
ASSERT_AT(record, l4, 40);
ASSERT_AT(record, verdict_len, 44);
ASSERT_AT(record, rule, 48);
ASSERT_AT(record, vlan, 52);
ASSERT_AT(record, rxq, 58);
ASSERT_AT(record, iface, 60);
ASSERT_AT(record, proto, 61);
ASSERT_AT(record, tcp_flags, 62);
ASSERT_AT(record, flags, 63);

ASSERT_SIZE(link, 32);
ASSERT_AT(link, macs, 0);
ASSERT_AT(link, type, 12);
ASSERT_AT(link, op, 14);
ASSERT_AT(link, first, 16);
ASSERT_AT(link, target, 20);
ASSERT_AT(link, sender_mac, 24);
ASSERT_AT(link, has, 31);

ASSERT_SIZE(capture, 72);
ASSERT_AT(capture, rec, 0);
ASSERT_AT(capture, cap_len, 64);
ASSERT_AT(capture, ahead, 68);

ASSERT_SIZE(batch, 64 + 2 * BATCH_BYTES + BATCH_SLACK);
ASSERT_AT(batch, used, 0);
ASSERT_AT(batch, busy, 4);
ASSERT_AT(batch, due_ns, 8);
ASSERT_AT(batch, blocked, 16);
ASSERT_AT(batch, aside_used, 20);
ASSERT_AT(batch, aside_busy, 24);
ASSERT_AT(batch, sampling, 32);
ASSERT_AT(batch, data, 64);
ASSERT_AT(batch, aside, 64 + BATCH_BYTES);

ASSERT_SIZE(counters, 56 + 8 * VERDICTS);
ASSERT_AT(counters, seen, 0);
ASSERT_AT(counters, not_ip, 8);
ASSERT_AT(counters, unselected, 16);
ASSERT_AT(counters, sampled_out, 24);
ASSERT_AT(counters, overflowed, 32);
ASSERT_AT(counters, recorded, 40);
ASSERT_AT(counters, bytes, 48);
ASSERT_AT(counters, verdicts, 56);

ASSERT_SIZE(overflow_key, 20);
ASSERT_AT(overflow_key, addr, 0);
ASSERT_AT(overflow_key, iface, 16);
ASSERT_AT(overflow_key, verdict, 17);
ASSERT_AT(overflow_key, flags, 18);
ASSERT_AT(overflow_key, zero, 19);

ASSERT_SIZE(knobs, 44);
ASSERT_AT(knobs, batch_bytes, 0);
ASSERT_AT(knobs, families, 4);
ASSERT_AT(knobs, frags, 8);
ASSERT_AT(knobs, snaplen, 12);
ASSERT_AT(knobs, part, 16);
ASSERT_AT(knobs, sample, 20);
ASSERT_AT(knobs, rate, 24);
ASSERT_AT(knobs, not_ip, 28);
ASSERT_AT(knobs, realtime, 32);
ASSERT_AT(knobs, slot, 36);
ASSERT_AT(knobs, raw, 40);

#endif /* XDPLOG_RECORD_H */
