//! Frames, made with etherparse: an independent hand.

use std::net::Ipv4Addr;

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, PacketBuilder};

pub const HERE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
pub const THERE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

/// UDP over IPv4, 60 bytes: 64 with the Ethernet checksum. For those that do not
/// care which.
pub fn frame() -> Vec<u8> {
    udp4(Ipv4Addr::new(10, 1, 2, 3), 18)
}

/// UDP over IPv4 from `source`, `payload` bytes behind the header.
pub fn udp4(source: Ipv4Addr, payload: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(THERE_MAC, HERE_MAC)
        .ipv4(source.octets(), [10, 99, 0, 1], 64)
        .udp(1234, 9);
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0x5a; payload]).unwrap();
    frame
}

/// TCP over IPv6 from `source`, a SYN.
pub fn syn6(source: std::net::Ipv6Addr) -> Vec<u8> {
    let there: std::net::Ipv6Addr = "fd99::1".parse().unwrap();
    let builder = PacketBuilder::ethernet2(THERE_MAC, HERE_MAC)
        .ipv6(source.octets(), there.octets(), 64)
        .tcp(1234, 80, 7, 1024)
        .syn();
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).unwrap();
    frame
}

/// A frame of another EtherType, such as LLDP's.
pub fn other(ether_type: u16) -> Vec<u8> {
    let mut frame = [&HERE_MAC[..], &THERE_MAC[..], &ether_type.to_be_bytes()[..]].concat();
    frame.resize(60, 0);
    frame
}

/// IPv6 with a chain of extension headers, each with its number and its bytes,
/// whose first two are filled in here except for a fragment header (44), which
/// comes ready but for the next header where that is 0 or 17; then `proto`.
pub fn chain6(extensions: &[(u8, &[u8])], proto: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (i, (number, bytes)) in extensions.iter().enumerate() {
        let next = extensions.get(i + 1).map_or(proto, |ext| ext.0);
        let start = body.len();
        body.extend_from_slice(bytes);
        body[start] = next;
        if *number != 44 {
            body[start + 1] = (bytes.len() / 8 - 1) as u8;
        }
    }
    body.extend_from_slice(payload);
    let first = extensions.first().map_or(proto, |ext| ext.0);
    let ip = Ipv6Header {
        payload_length: body.len() as u16,
        next_header: IpNumber(first),
        hop_limit: 64,
        source: [0xfd; 16],
        destination: [0xfe; 16],
        ..Ipv6Header::default()
    };
    [&HERE_MAC[..], &THERE_MAC, &[0x86, 0xdd], &ip.to_bytes(), &body].concat()
}

/// IPv4 with any protocol number.
pub fn raw4(proto: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16;
    let ip = Ipv4Header::new(len, 64, IpNumber(proto), [10, 1, 2, 3], [10, 99, 0, 1]).unwrap();
    [&HERE_MAC[..], &THERE_MAC, &[8, 0], &ip.to_bytes()[..], payload].concat()
}

/// `frame` with VLAN tags put in, outermost first: EtherType and id.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (ether_type, id) in tags {
        out.extend_from_slice(&ether_type.to_be_bytes());
        // A priority too, which is no part of the id.
        out.extend_from_slice(&(id | 0xb000).to_be_bytes());
    }
    out.extend_from_slice(&frame[12..]);
    out
}

/// Seven datagrams of UDP from port 1234 to 53, without Ethernet; the source of each.
pub fn seven() -> Vec<(Vec<u8>, String)> {
    let mut all = Vec::new();
    for i in 1..=4u8 {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 1, 2, i], [10, 9, 0, 1], 64).udp(1234, 53);
        builder.write(&mut packet, &vec![i; usize::from(i) * 100]).unwrap();
        all.push((packet, format!("10.1.2.{i}")));
    }
    for i in 5..=7u8 {
        let mut packet = Vec::new();
        let source = [0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, i];
        let builder = PacketBuilder::ipv6(source, [0xfd; 16], 64).udp(1234, 53);
        builder.write(&mut packet, &vec![i; usize::from(i)]).unwrap();
        all.push((packet, format!("fd99::{i}")));
    }
    all
}
