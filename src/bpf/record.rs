//! What a record says. Units and byte order are converted here, once; nothing
//! here decides.

#![forbid(unsafe_code)]

use std::mem::size_of;
use std::net::IpAddr;

use super::{
    IPPROTO_ICMP, IPPROTO_ICMPV6, MAX_IFACES, REC_FRAGMENT, REC_IPV6, REC_L4, REC_LEN_MASK,
    REC_TCP_FLAGS, REC_TRUNCATED, REC_VERDICT_SHIFT, Record, VLAN_ID, VLAN_PRESENT, address,
};

impl Record {
    /// The records in `data`. A perf sample is padded, so its length is an
    /// upper bound: what is left over after the last whole record is dropped.
    pub fn all_in(data: &[u8]) -> &[Record] {
        let whole = data.len() - data.len() % size_of::<Record>();
        // Neither error can come: the length is whole records, and perf aligns
        // samples to the 4 bytes that a record needs.
        plain::slice_from_bytes(&data[..whole]).unwrap_or(&[])
    }

    /// When the packet arrived: `CLOCK_MONOTONIC`, ns.
    #[inline]
    pub fn ts_ns(&self) -> u64 {
        u64::from(self.ts_hi) << 32 | u64::from(self.ts_lo)
    }

    /// Whether the addresses are IPv6.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        self.flags & REC_IPV6 != 0
    }

    /// The source address's bytes, network order; IPv4 in the first four.
    #[inline]
    pub fn source_bytes(&self) -> &[u8; 16] {
        &self.saddr
    }

    /// The destination address's bytes, likewise.
    #[inline]
    pub fn destination_bytes(&self) -> &[u8; 16] {
        &self.daddr
    }

    /// Source address.
    pub fn source(&self) -> IpAddr {
        self.addr(&self.saddr)
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        self.addr(&self.daddr)
    }

    fn addr(&self, bytes: &[u8; 16]) -> IpAddr {
        address(bytes, self.flags)
    }

    /// XDP's verdict, `enum xdp_action` of `linux/bpf.h`; 2 is `XDP_PASS`.
    #[inline]
    pub fn verdict(&self) -> u8 {
        (self.verdict_len >> REC_VERDICT_SHIFT) as u8
    }

    /// Frame length in bytes, all fragments of a multi-buffer frame included.
    pub fn len(&self) -> u32 {
        self.verdict_len & REC_LEN_MASK
    }

    /// Whether the frame was empty: never, as Ethernet has a header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// IP protocol number: behind the extension headers, for IPv6.
    pub fn proto(&self) -> u8 {
        self.proto
    }

    fn is_icmp(&self) -> bool {
        self.proto == if self.is_ipv6() { IPPROTO_ICMPV6 } else { IPPROTO_ICMP }
    }

    /// Source and destination port, where the packet has them.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let [a, b, c, d] = self.l4;
        (self.flags & REC_L4 != 0 && !self.is_icmp())
            .then(|| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    /// ICMP or ICMPv6 type and code, where the packet has them.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        (self.flags & REC_L4 != 0 && self.is_icmp()).then_some((self.l4[0], self.l4[1]))
    }

    /// TCP flags, FIN 0x01 to CWR 0x80; `None` for other protocols, and where the
    /// header is cut short before them.
    pub fn tcp_flags(&self) -> Option<u8> {
        (self.flags & REC_TCP_FLAGS != 0).then_some(self.tcp_flags)
    }

    /// Whether there is a VLAN tag.
    #[inline]
    pub fn is_tagged(&self) -> bool {
        self.vlan[0] & VLAN_PRESENT != 0
    }

    /// VLAN ids, outermost first; of 12 bits, whatever the record claims.
    pub fn vlans(&self) -> impl Iterator<Item = u16> + '_ {
        self.vlan.iter().take_while(|&&v| v & VLAN_PRESENT != 0).map(|v| v & VLAN_ID)
    }

    /// Whether the packet is a fragment, first or later.
    pub fn is_fragment(&self) -> bool {
        self.flags & REC_FRAGMENT != 0
    }

    /// Whether the frame is shorter than its headers say.
    pub fn is_truncated(&self) -> bool {
        self.flags & REC_TRUNCATED != 0
    }

    /// Receive queue.
    pub fn queue(&self) -> u16 {
        self.rxq
    }

    /// Id of the rule that decided; 0 is none.
    pub fn rule(&self) -> u32 {
        self.rule
    }

    /// The interface's slot, below [`MAX_IFACES`] whatever the record claims.
    #[inline]
    pub fn slot(&self) -> usize {
        usize::from(self.iface).min(MAX_IFACES - 1)
    }
}

#[cfg(test)]
impl Record {
    /// A record of a packet from `source`, for the tests of the formats.
    pub fn for_test(source: IpAddr, verdict: u8) -> Record {
        let mut record = Record {
            verdict_len: u32::from(verdict) << REC_VERDICT_SHIFT | 64,
            ..Record::default()
        };
        match source {
            IpAddr::V4(addr) => record.saddr[..4].copy_from_slice(&addr.octets()),
            IpAddr::V6(addr) => {
                record.saddr = addr.octets();
                record.flags = REC_IPV6;
            }
        }
        record
    }
}
