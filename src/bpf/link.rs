//! What a record says of a frame that is not IP, or whose IP header is broken:
//! `struct link` of `record.h`. Byte order is converted here; how it is written is
//! not known.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::{REC_NOT_IP, Record};

const LINK_ETHERNET: u8 = 0x01;
const LINK_ARP: u8 = 0x02;
const LINK_LLC: u8 = 0x04;
const LINK_IP: u8 = 0x08;

/// What is no longer than this is a length, and the frame of IEEE 802.3.
const ETH_802_3_MAX: u16 = 1500;
/// `ETH_P_IP` and `ETH_P_IPV6` of `linux/if_ether.h`.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// What the frames of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet's header.
    Ethernet,
    /// That of IPv4 or IPv6: the link has none (`knobs.raw`).
    Ip,
}

/// `struct link` of `record.h`, as the kernel wrote it. No map's value has that
/// type, so that the skeleton does not know it: `record.h` asserts its layout.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    macs: [u8; 12],
    kind: [u8; 2],
    op: [u8; 2],
    first: [u8; 4],
    target: [u8; 4],
    sender_mac: [u8; 6],
    has: u8,
}

/// What is behind the MAC addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// ARP over IPv4 and Ethernet (RFC 826).
    Arp {
        /// 1 asks, 2 answers.
        op: u16,
        /// Who sends, and what it has its address at.
        sender: Ipv4Addr,
        /// The sender's MAC address, as ARP tells it.
        sender_mac: [u8; 6],
        /// Who is asked for, or answered.
        target: Ipv4Addr,
    },
    /// A frame of IEEE 802.3, with what of 802.2 was read.
    Llc(Option<Llc>),
    /// IP without a usable header, and why it is none.
    Ip(Broken),
    /// What is told by its EtherType and no more.
    Other(u16),
    /// Nothing: the frame ends before its EtherType.
    Nothing,
}

/// The header of IEEE 802.2, as far as all of its kinds have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Llc {
    /// Destination service access point.
    pub dsap: u8,
    /// Source service access point.
    pub ssap: u8,
    /// Control field, its first byte.
    pub control: u8,
}

/// What is wrong with a header of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// IPv4's is cut short.
    CutV4,
    /// IPv6's is cut short.
    CutV6,
    /// IPv4's says that it has so many bytes, which is too few.
    Length(u8),
    /// It is of this version, which is none or not the EtherType's.
    Version(u8),
}

impl Record {
    /// Whether the frame is not IP, or its IP header is broken: there is a [`Link`]
    /// in the place of addresses then, and no protocol.
    #[inline]
    pub fn is_not_ip(&self) -> bool {
        self.flags & REC_NOT_IP != 0
    }

    /// What is told of such a frame.
    pub fn link(&self) -> Link {
        let at = |i: usize| if i < 16 { self.saddr[i] } else { self.daddr[i - 16] };
        Link {
            macs: std::array::from_fn(at),
            kind: [at(12), at(13)],
            op: [at(14), at(15)],
            first: std::array::from_fn(|i| at(16 + i)),
            target: std::array::from_fn(|i| at(20 + i)),
            sender_mac: std::array::from_fn(|i| at(24 + i)),
            has: at(31),
        }
    }
}

impl Link {
    /// Source and destination MAC address; `None` where the link has none, or the
    /// frame ends before.
    pub fn macs(&self) -> Option<([u8; 6], [u8; 6])> {
        let [a, b, c, d, e, f, source @ ..] = self.macs;
        (self.has & LINK_ETHERNET != 0).then_some((source, [a, b, c, d, e, f]))
    }

    /// The EtherType, behind the tags that are kept; `None` where there is a length
    /// in its place (IEEE 802.3), or nothing.
    pub fn ether_type(&self) -> Option<u16> {
        let value = u16::from_be_bytes(self.kind);
        (self.has & LINK_ETHERNET != 0 && value > ETH_802_3_MAX).then_some(value)
    }

    /// What is behind it.
    pub fn carried(&self) -> Carried {
        let [dsap, ssap, control, _] = self.first;
        if self.has & LINK_ARP != 0 {
            return Carried::Arp {
                op: u16::from_be_bytes(self.op),
                sender: self.first.into(),
                sender_mac: self.sender_mac,
                target: self.target.into(),
            };
        }
        match self.ether_type() {
            Some(of @ (IPV4 | IPV6)) => Carried::Ip(self.broken(of == IPV6)),
            Some(other) => Carried::Other(other),
            None if self.has & LINK_LLC != 0 => Carried::Llc(Some(Llc { dsap, ssap, control })),
            None if self.has & LINK_ETHERNET != 0 => Carried::Llc(None),
            None if self.has & LINK_IP != 0 => Carried::Ip(self.broken(dsap >> 4 == 6)),
            None => Carried::Nothing,
        }
    }

    /// Why IP's header is none, which should be IPv6's or else IPv4's.
    fn broken(&self, is_ipv6: bool) -> Broken {
        let (version, len) = (self.first[0] >> 4, self.first[0] & 0xf);
        let cut = if is_ipv6 { Broken::CutV6 } else { Broken::CutV4 };
        if self.has & LINK_IP == 0 {
            cut
        } else if version != if is_ipv6 { 6 } else { 4 } {
            Broken::Version(version)
        } else if !is_ipv6 && len < 5 {
            Broken::Length(len * 4)
        } else {
            cut
        }
    }
}
