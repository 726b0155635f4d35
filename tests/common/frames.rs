//! Frames, made with etherparse: an independent hand.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use super::net::{HERE_MAC, THERE_MAC};

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
