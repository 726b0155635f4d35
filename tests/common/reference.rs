//! A second opinion on what a record should say of a frame, from etherparse's
//! header slices.

use std::net::IpAddr;

use etherparse::{
    Ethernet2HeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice,
};
use xdplog::bpf::Record;

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

impl Parsed {
    pub fn of(record: &Record) -> Parsed {
        assert_eq!(u32::from(record.verdict()), XDP_PASS);
        assert_eq!((record.slot(), record.queue(), record.rule()), (0, 0, 0));
        assert!(record.ts_ns() > 0);
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
