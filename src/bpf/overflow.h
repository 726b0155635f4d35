/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What becomes of a packet that finds no room: counted by source and verdict.
 * Counting cannot fail, it only gets coarser.
 */
#ifndef XDPLOG_OVERFLOW_H
#define XDPLOG_OVERFLOW_H

#define EEXIST 17

/* Count in the table of sources. False if that has no room either. */
static __always_inline bool overflow_by_source(const struct overflow_key *key)
{
	__u32 zero = 0;
	__u64 one = 1;
	__u64 *count;
	void *table;
	long err;

	table = bpf_map_lookup_elem(&overflow, &zero);
	if (!table)
		return false;
	count = bpf_map_lookup_elem(table, key);
	if (!count) {
		err = bpf_map_update_elem(table, key, &one, BPF_NOEXIST);
		if (!err)
			return true;
		if (err != -EEXIST)
			return false;
		/* Another CPU was faster: its entry is there now, and stays,
		 * as nobody deletes from a table that is counted in.
		 */
		count = bpf_map_lookup_elem(table, key);
		if (!count)
			return false;
	}
	/* Several CPUs count in one table. */
	__sync_fetch_and_add(count, 1);
	return true;
}

/* rec is what parsing made of the packet; slot and verdict are not in it. */
static __always_inline void overflow_count(const struct record *rec, __u32 slot,
					   int verdict)
{
	struct overflow_key key = {
	    .iface = slot,
	    .verdict = verdict,
	    .flags = rec->flags & (REC_IPV6 | REC_NOT_IP),
	};
	const struct link *link = (const void *)rec->saddr;
	__u32 other = slot * VERDICTS + (verdict & (VERDICTS - 1));
	__u64 *count;

	if (rec->flags & REC_NOT_IP) {
		__builtin_memcpy(key.addr, link->macs + 6, 6);
		key.addr[6] = link->has & LINK_ETHERNET;
	} else {
		__builtin_memcpy(key.addr, rec->saddr, sizeof(key.addr));
	}
	if (overflow_by_source(&key))
		return;
	count = bpf_map_lookup_elem(&overflow_others, &other);
	/* Within the map by slot and mask. */
	if (count)
		count_add(count, 1);
}

#endif /* XDPLOG_OVERFLOW_H */
