//! A second opinion on what a record should say of a frame, from etherparse's
//! header slices.

use std::net::IpAddr;

use etherparse::{
    ArpPacketSlice, Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice,
    Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice,
};
use xdplog::bpf::{Broken, Carried, Llc, NOT_IP_BROKEN, NOT_IP_OTHER, Record};

/// `enum xdp_action` of `linux/bpf.h`.
pub const XDP_PASS: u32 = 2;

/// What is compared: all that a record tells of a frame.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub proto: u8,
    pub ports: Option<(u16, u16)>,
    pub icmp: Option<(u8, u8)>,
    pub tcp_flags: Option<u8>,
    pub vlans: Vec<u16>,
    pub len: u32,
    pub fragment: bool,
    pub truncated: bool,
}

/// The same of a frame that is not IP, or whose IP header is broken.
#[derive(Debug, PartialEq)]
pub struct NotIp {
    /// Source and destination.
    pub macs: Option<([u8; 6], [u8; 6])>,
    pub ether_type: Option<u16>,
    pub carried: Carried,
    pub vlans: Vec<u16>,
    pub len: u32,
    pub truncated: bool,
}

/// What a record tells of any frame.
#[derive(Debug, PartialEq)]
pub enum Told {
    Ip(Parsed),
    NotIp(NotIp),
}

impl Told {
    pub fn of(record: &Record) -> Told {
        assert_eq!(u32::from(record.verdict()), XDP_PASS);
        assert_eq!((record.slot(), record.queue(), record.rule()), (0, 0, 0));
        assert!(record.ts_ns() > 0);
        if !record.is_not_ip() {
            return Told::Ip(Parsed::of(record));
        }
        assert_eq!((record.proto(), record.ports(), record.icmp()), (0, None, None));
        assert_eq!((record.tcp_flags(), record.is_fragment()), (None, false));
        let link = record.link();
        Told::NotIp(NotIp {
            macs: link.macs(),
            ether_type: link.ether_type(),
            carried: link.carried(),
            vlans: record.vlans().collect(),
            len: record.len(),
            truncated: record.is_truncated(),
        })
    }

    /// The same of a frame that begins with IP's header.
    pub fn reference_raw(frame: &[u8], not_ip: u32) -> Option<Told> {
        let len = frame.len() as u32;
        let first = frame.first().copied().unwrap_or_default();
        let parsed = match first >> 4 {
            4 => reference4(frame, Vec::new(), len),
            6 => reference6(frame, Vec::new(), len),
            _ => None,
        };
        if let Some(parsed) = parsed {
            return Some(Told::Ip(parsed));
        }
        let broken = match first {
            0x40..0x45 => Broken::Length((first & 15) * 4),
            0x45..0x50 => Broken::CutV4,
            0x60..0x70 => Broken::CutV6,
            _ => Broken::Version(first >> 4),
        };
        (not_ip & NOT_IP_BROKEN != 0).then_some(Told::NotIp(NotIp {
            macs: None,
            ether_type: None,
            carried: Carried::Ip(broken),
            vlans: Vec::new(),
            len,
            truncated: false,
        }))
    }

    /// What a record should tell of `frame`, if it is recorded: frames that are not
    /// IP are, where these `NOT_IP_*` bits say so.
    pub fn reference(frame: &[u8], not_ip: u32) -> Option<Told> {
        if let Some(parsed) = reference(frame) {
            return Some(Told::Ip(parsed));
        }
        let other = reference_not_ip(frame);
        let bit = match other.carried {
            Carried::Ip(_) => NOT_IP_BROKEN,
            _ => NOT_IP_OTHER,
        };
        (not_ip & bit != 0).then_some(Told::NotIp(other))
    }
}

impl Parsed {
    fn of(record: &Record) -> Parsed {
        Parsed {
            source: record.source(),
            destination: record.destination(),
            proto: record.proto(),
            ports: record.ports(),
            icmp: record.icmp(),
            tcp_flags: record.tcp_flags(),
            vlans: record.vlans().collect(),
            len: record.len(),
            fragment: record.is_fragment(),
            truncated: record.is_truncated(),
        }
    }
}

/// The same from etherparse's header slices, written against the definitions
/// in the README, not against the program.
pub fn reference(frame: &[u8]) -> Option<Parsed> {
    let eth = Ethernet2HeaderSlice::from_slice(frame).ok()?;
    let mut rest = &frame[eth.slice().len()..];
    let mut ether_type = eth.ether_type().0;
    let mut vlans = Vec::new();
    while vlans.len() < 3 && (ether_type == 0x8100 || ether_type == 0x88a8) {
        let tag = SingleVlanHeaderSlice::from_slice(rest).ok()?;
        vlans.push(tag.vlan_identifier().value());
        ether_type = tag.ether_type().0;
        rest = &rest[tag.slice().len()..];
    }
    let len = frame.len() as u32;
    match ether_type {
        0x0800 => reference4(rest, vlans, len),
        0x86dd => reference6(rest, vlans, len),
        _ => None,
    }
}

/// What is told of a frame that [`reference`] has no IP in.
fn reference_not_ip(frame: &[u8]) -> NotIp {
    let mut other = NotIp {
        macs: None,
        ether_type: None,
        carried: Carried::Nothing,
        vlans: Vec::new(),
        len: frame.len() as u32,
        truncated: false,
    };
    let Ok(eth) = Ethernet2HeaderSlice::from_slice(frame) else {
        other.truncated = true;
        return other;
    };
    other.macs = Some((eth.source(), eth.destination()));
    let mut rest = &frame[eth.slice().len()..];
    let mut ether_type = eth.ether_type().0;
    while other.vlans.len() < 3 && (ether_type == 0x8100 || ether_type == 0x88a8) {
        let Ok(tag) = SingleVlanHeaderSlice::from_slice(rest) else {
            other.truncated = true;
            break;
        };
        other.vlans.push(tag.vlan_identifier().value());
        ether_type = tag.ether_type().0;
        rest = &rest[tag.slice().len()..];
    }
    if ether_type <= 1500 {
        let (packet, truncated) = covered(rest, ether_type.into());
        let llc = packet.get(..3).map(|llc| Llc { dsap: llc[0], ssap: llc[1], control: llc[2] });
        other.truncated |= truncated || llc.is_none();
        other.carried = Carried::Llc(llc);
        return other;
    }
    other.ether_type = Some(ether_type);
    other.carried = match (ether_type, rest) {
        (0x0806, _) => reference_arp(rest, &mut other.truncated),
        (0x0800, []) => Carried::Ip(Broken::CutV4),
        (0x86dd, []) => Carried::Ip(Broken::CutV6),
        (0x0800, [first, ..]) if first >> 4 != 4 => Carried::Ip(Broken::Version(first >> 4)),
        (0x0800, [first, ..]) if first & 15 < 5 => Carried::Ip(Broken::Length((first & 15) * 4)),
        (0x0800, _) => Carried::Ip(Broken::CutV4),
        (0x86dd, [first, ..]) if first >> 4 != 6 => Carried::Ip(Broken::Version(first >> 4)),
        (0x86dd, _) => Carried::Ip(Broken::CutV6),
        _ => Carried::Other(ether_type),
    };
    other
}

fn reference_arp(data: &[u8], truncated: &mut bool) -> Carried {
    const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if data.len() < 8 || data.starts_with(&ETHERNET_AND_IPV4) && data.len() < 28 {
        *truncated = true;
        return Carried::Other(0x0806);
    }
    match ArpPacketSlice::from_slice(data) {
        Ok(arp) if data.starts_with(&ETHERNET_AND_IPV4) => {
            let ipv4 = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap().into();
            Carried::Arp {
                op: arp.operation().0,
                sender: ipv4(arp.sender_protocol_addr()),
                sender_mac: arp.sender_hw_addr().try_into().unwrap(),
                target: ipv4(arp.target_protocol_addr()),
            }
        }
        _ => Carried::Other(0x0806),
    }
}

/// The bytes of IP that a length says there are in `data`. None at all, of more
/// than it could tell, is BIG TCP: the frame is the bound.
fn announced(claimed: u16, data: &[u8]) -> usize {
    if claimed == 0 && data.len() > 65_535 { data.len() } else { claimed.into() }
}

/// `data` as far as `announced` goes; whether it goes beyond.
fn covered(data: &[u8], announced: usize) -> (&[u8], bool) {
    (&data[..announced.min(data.len())], announced > data.len())
}

fn reference4(data: &[u8], vlans: Vec<u16>, len: u32) -> Option<Parsed> {
    // The fixed part by itself, as the options may be cut off.
    let mut fixed = data.get(..20)?.to_vec();
    let header_len = usize::from(fixed[0] & 0xf) * 4;
    if fixed[0] >> 4 != 4 || header_len < 20 {
        return None;
    }
    fixed[0] = 0x45;
    let ip = Ipv4HeaderSlice::from_slice(&fixed).unwrap();
    let (packet, truncated) = covered(data, announced(ip.total_len(), data));
    let mut parsed = Parsed {
        source: ip.source_addr().into(),
        destination: ip.destination_addr().into(),
        proto: ip.protocol().0,
        ports: None,
        icmp: None,
        tcp_flags: None,
        vlans,
        len,
        fragment: ip.is_fragmenting_payload(),
        truncated,
    };
    match packet.get(header_len..) {
        None => parsed.truncated = true,
        Some(_) if ip.fragments_offset().value() > 0 => {}
        Some(payload) => reference_l4(payload, &mut parsed),
    }
    Some(parsed)
}

fn reference6(data: &[u8], vlans: Vec<u16>, len: u32) -> Option<Parsed> {
    let ip = Ipv6HeaderSlice::from_slice(data).ok()?;
    let data = &data[ip.slice().len()..];
    let claimed = match ip.payload_length() {
        // A jumbogram: its length is an option; the frame is the bound.
        0 if ip.next_header() == IpNumber::IPV6_HEADER_HOP_BY_HOP => data.len(),
        claimed => announced(claimed, data),
    };
    let (mut rest, truncated) = covered(data, claimed);
    let mut parsed = Parsed {
        source: ip.source_addr().into(),
        destination: ip.destination_addr().into(),
        proto: ip.next_header().0,
        ports: None,
        icmp: None,
        tcp_flags: None,
        vlans,
        len,
        fragment: false,
        truncated,
    };
    for _ in 0..8 {
        match IpNumber(parsed.proto) {
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                let Ok(ext) = Ipv6FragmentHeaderSlice::from_slice(rest) else {
                    parsed.truncated = true;
                    return Some(parsed);
                };
                parsed.fragment |= ext.is_fragmenting_payload();
                parsed.proto = ext.next_header().0;
                rest = &rest[ext.slice().len()..];
                if ext.fragment_offset().value() > 0 {
                    return Some(parsed);
                }
            }
            IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS => {
                let Ok(ext) = Ipv6RawExtHeaderSlice::from_slice(rest) else {
                    parsed.truncated = true;
                    return Some(parsed);
                };
                parsed.proto = ext.next_header().0;
                rest = &rest[ext.slice().len()..];
            }
            _ => break,
        }
    }
    reference_l4(rest, &mut parsed);
    Some(parsed)
}

fn reference_l4(payload: &[u8], parsed: &mut Parsed) {
    let proto = IpNumber(parsed.proto);
    let icmp = if parsed.source.is_ipv6() { IpNumber::IPV6_ICMP } else { IpNumber::ICMP };
    if proto == icmp {
        match payload {
            [kind, code, ..] => parsed.icmp = Some((*kind, *code)),
            _ => parsed.truncated = true,
        }
    } else if [IpNumber::TCP, IpNumber::UDP, IpNumber::SCTP, IpNumber::UDP_LITE, IpNumber::DCCP]
        .contains(&proto)
    {
        match payload {
            [a, b, c, d, ..] => {
                parsed.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
            }
            _ => parsed.truncated = true,
        }
        if proto == IpNumber::TCP && parsed.ports.is_some() {
            parsed.tcp_flags = payload.get(13).copied();
            parsed.truncated |= payload.len() < 14;
        }
    }
}
