//! The XDP program under BPF_PROG_TEST_RUN: for any frame the verdict is PASS,
//! the frame is unchanged, and the record is what an independent parser makes
//! of the same bytes.

mod common;

use std::net::IpAddr;
use std::rc::Rc;

use common::bench::Bench;
use common::frames::{HERE_MAC, THERE_MAC, chain6, tagged};
use common::reference::{Told, reference};
use common::table::{V4, V6, eth, table};
use etherparse::SlicedPacket;
use proptest::prelude::*;
use xdplog::bpf::{CAPTURE_MAX, Counters, LinkType, NOT_IP_BROKEN, NOT_IP_OTHER, Record};
use xdplog::probe::Setup;

#[test]
fn each_frame_whole_and_cut_at_every_byte() {
    let bench = Bench::new();
    let mut runs = 0;
    for (name, frame) in table() {
        let _ = name; // In the message of a failure, the bytes say more.
        bench.check(&frame);
        // Beyond 200 bytes there are only long options, all alike.
        for len in 14..frame.len().min(200) {
            bench.check(&frame[..len]);
            runs += 1;
        }
    }
    assert!(runs > 5000, "{runs}");
}

/// What is recorded though it is not IP depends on the format.
#[test]
fn frames_that_are_not_ip_where_they_are_not_wanted() {
    for not_ip in [0, NOT_IP_OTHER, NOT_IP_BROKEN] {
        let bench = Bench::load(&Setup { not_ip, ..Bench::setup() });
        let mut counted = 0;
        for (_, frame) in table() {
            for len in [14, 17, 30, 40, frame.len()] {
                let frame = &frame[..len.min(frame.len())];
                bench.check(frame);
                counted += u64::from(Told::reference(frame, not_ip).is_none());
            }
        }
        assert!(counted > 100, "{counted}");
        assert_eq!(bench.counters().not_ip, counted);
    }
}

/// Of a link without a header each frame is what is behind Ethernet's: IP, and what
/// else there is.
#[test]
fn frames_without_ethernet() {
    let setup = Setup { links: vec![LinkType::Ip], ..Bench::setup() };
    let bench = Bench::load(&setup);
    let wanting = Bench::load(&Setup { not_ip: NOT_IP_OTHER, ..setup });
    let (mut ip, mut broken) = (0, 0);
    for (_, frame) in table() {
        let frame = &frame[14..];
        // Of less BPF_PROG_TEST_RUN makes no frame.
        for len in 14..=frame.len().min(200) {
            bench.check(&frame[..len]);
            wanting.check(&frame[..len]);
            match bench.reference(&frame[..len]) {
                Some(Told::Ip(_)) => ip += 1,
                _ => broken += 1,
            }
        }
        bench.check(frame);
    }
    for first in 0..=255 {
        let mut frame = table()[0].1[14..].to_vec();
        frame[0] = first;
        bench.check(&frame);
    }
    assert!(ip > 1000 && broken > 1000, "{ip} {broken}");
    assert!(wanting.counters().not_ip >= broken);
}

/// A length in the place of an EtherType, up to where it is none any more.
#[test]
fn every_length_of_an_802_3_frame() {
    let bench = Bench::new();
    for len in [14, 15, 16, 17, 18, 60, 600, 1514] {
        for claim in (0..64u16).chain(490..600).chain(1400..1600) {
            let mut frame = [&HERE_MAC[..], &THERE_MAC, &claim.to_be_bytes()].concat();
            frame.resize(len, 0x42);
            bench.check(&frame);
        }
    }
}

#[test]
fn every_length_that_an_ip_header_can_claim() {
    let bench = Bench::new();
    let frames: Vec<Vec<u8>> = table().into_iter().map(|(_, frame)| frame).take(9).collect();
    for frame in &frames {
        let at = if frame[12..14] == [8, 0] { 16 } else { 18 };
        for claim in (0..200u16).chain([1000, 0x7fff, 0x8000, 0xffff]) {
            let mut frame = frame.clone();
            frame[at..at + 2].copy_from_slice(&claim.to_be_bytes());
            bench.check(&frame);
        }
    }
}

#[test]
fn frames_larger_than_a_page() {
    let bench = Bench::new();
    for len in [3000, 3600, 4096, 9000, 60_000] {
        let mut frame = Vec::new();
        eth().ipv4(V4.0, V4.1, 64).udp(1, 2).write(&mut frame, &vec![1; len]).unwrap();
        bench.check(&frame);
        let mut frame = Vec::new();
        eth().ipv6(V6.0, V6.1, 64).tcp(1, 2, 3, 4).write(&mut frame, &vec![1; len]).unwrap();
        bench.check(&frame);
    }
}

/// No length is claimed, and there is more than could be: BIG TCP. A frame with less
/// is one that claims too little.
#[test]
fn packets_that_claim_no_length() {
    let bench = Bench::new();
    for len in [0, 40, 1480, 65_400, 65_535, 65_536, 65_560, 66_000, 70_000] {
        let mut frames = [Vec::new(), Vec::new()];
        eth().ipv4(V4.0, V4.1, 64).tcp(1, 2, 3, 4).ack(5).write(&mut frames[0], &[]).unwrap();
        eth().ipv6(V6.0, V6.1, 64).tcp(1, 2, 3, 4).ack(5).write(&mut frames[1], &[]).unwrap();
        // In turn the header of IPv4, of IPv6, and of a jumbogram.
        frames[0][16..18].fill(0);
        frames[1][18..20].fill(0);
        let mut jumbo = chain6(&[(0, &[0, 0, 0xc2, 4, 0, 1, 0, 0])], 6, &frames[1][54..]);
        jumbo[18..20].fill(0);
        for (i, mut frame) in frames.into_iter().chain([jumbo]).enumerate() {
            let header = if i == 0 { 20 } else { 40 };
            frame.resize(14 + len.max(header + 28), 0x5a);
            for tags in [&[][..], &[(0x8100, 5)]] {
                let frame = tagged(&frame, tags);
                bench.check(&frame);
                let parsed = reference(&frame).unwrap();
                // Of IPv6 it is the payload whose length is told.
                let is_big = len > 65_535 + if i == 0 { 0 } else { 40 };
                assert_eq!(parsed.truncated, !(is_big || i == 2), "{len} {i}");
                assert_eq!(parsed.tcp_flags, (is_big || i == 2).then_some(0x10), "{len} {i}");
            }
        }
    }
}

/// A frame of several buffers has its headers where they are: behind the first,
/// or across two. Where that one ends is the kernel's: some 3,500 bytes.
#[test]
fn headers_behind_the_first_buffer() {
    let bench = Bench::new();
    for len in (1200..1600).step_by(8) {
        for proto in [6, 17, 58, 132] {
            let (long, rest) = ([0; 2048], vec![0; len]);
            let chain: [(u8, &[u8]); 4] =
                [(0, &long), (60, &rest), (44, &[0, 0, 0, 1, 0, 0, 0, 9]), (43, &[0; 8])];
            let mut frame = chain6(&chain, proto, &[0x5a; 600]);
            bench.check(&frame);
            bench.check(&tagged(&frame, &[(0x8100, 5)]));
            // The same as a jumbogram, and one that ends in its last headers.
            frame[18..20].fill(0);
            bench.check(&frame);
            let headers = frame.len() - 600;
            for cut in 0..20 {
                bench.check(&frame[..headers + 14 - cut]);
            }
        }
    }
}

/// A frame of as many bytes, the last 100 of which, or more where an IP header
/// cannot tell of them, are Ethernet padding: it is captured, too.
fn frame_of(len: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let payload: Vec<u8> = (142..len.min(65_000)).map(|at| (at % 251) as u8).collect();
    eth().ipv4(V4.0, V4.1, 64).udp(1, 2).write(&mut frame, &payload).unwrap();
    frame.extend((frame.len()..len).map(|at| (at % 253) as u8));
    frame
}

/// As many bytes as were asked for: of each frame the first.
#[test]
fn captured_bytes_are_the_first_of_the_frame() {
    for snaplen in [1, 61, 64, 3600, 65_401, 66_000, 262_144] {
        let bench = Bench::load(&Setup { snaplen, ..Bench::setup() });
        // Around what one batch takes, and up to what the kernel lets through here.
        for len in
            [142, 501, 502, 503, 3000, 3600, 9000, 65_399, 65_400, 65_401, 65_404, 65_549, 70_000]
        {
            let frame = frame_of(len);
            bench.pass(&frame);
            let kept = frame.len().min(snaplen as usize);
            let mut records = 0;
            bench.emitted(|record, bytes| {
                assert_eq!(Some(Told::of(record)), Told::reference(&frame, 0));
                assert!(bytes == &frame[..kept], "{snaplen} bytes of {}", frame.len());
                records += 1;
            });
            assert_eq!(records, 1);
        }
    }
}

/// Frames in as many samples as a ring has room for, and as may begin in the first
/// 64 KiB: what is beyond is cut.
#[test]
fn frames_in_many_parts() {
    // Size of the ring; length of a frame and how much of it is kept.
    for (ring_size, frames) in [
        (131_072, &[(500, 500), (65_400, 65_400), (65_401, 65_401), (70_000, 70_000)][..]),
        // A third part would begin at 65,360, which it may; and at 65,824.
        (65_536, &[(32_680, 32_680), (32_681, 32_681), (70_000, 70_000)]),
        (66_000, &[(65_824, 65_824), (65_825, 65_824), (70_000, 65_824)]),
        // Parts of 8,104 bytes, two of which are more than half of the ring.
        (16_384, &[(9_000, 9_000), (20_000, 20_000), (40_000, 16_208), (70_000, 16_208)]),
    ] {
        let bench = Bench::load(&Setup { snaplen: 262_144, ring_size, ..Bench::setup() });
        for &(len, kept) in frames {
            let frame = frame_of(len);
            bench.pass(&frame);
            let mut records = Vec::new();
            bench.emitted(|record, bytes| records.push((record.len() as usize, bytes.to_vec())));
            assert!(records == [(len, frame[..kept].to_vec())], "{len} in {ring_size}");
        }
    }
}

/// Where the ring has no room for what comes ahead, the frame is cut: the packet
/// has its record.
#[test]
fn a_frame_is_cut_where_the_ring_is_full() {
    let setup = Setup { snaplen: 262_144, ring_size: 131_072, ..Bench::setup() };
    let bench = Bench::load(&setup);
    let [fills, long] = [CAPTURE_MAX, 70_000].map(frame_of);
    // Two that fill the ring, a long one for which only the batch has room, and
    // another for which that has none either.
    for frame in [&fills, &fills, &long, &long] {
        bench.pass(frame);
    }
    let mut kept = Vec::new();
    for _ in 0..2 {
        bench.emitted(|_, bytes| kept.push(bytes.to_vec()));
        // Later ones are whole again.
        bench.pass(&long);
    }
    assert!(kept[..2] == [&fills[..], &fills]);
    assert!(kept[2] == long[..CAPTURE_MAX]);
    assert!(kept[3..] == [&long[..]]);
    let Counters { seen, recorded, overflowed, .. } = bench.counters();
    assert_eq!((seen, recorded, overflowed), (6, 5, 1));
}

/// Not our reference but etherparse's own whole-packet parser, on what it
/// holds well-formed: the reference has to be right too.
#[test]
fn the_reference_agrees_with_etherparses_own_parser() {
    let mut compared = 0;
    for (name, frame) in table() {
        // ICMPv6 is IPv6's own here, where etherparse reads it in IPv4 too; eight
        // extensions are walked, where etherparse goes on; and where one of the
        // two sees no IP at all (0x9100, a fourth tag) there is nothing to compare.
        if ["icmp in ipv6's number", "nine extensions"].contains(&name) {
            continue;
        }
        let (Ok(sliced), Some(parsed)) = (SlicedPacket::from_ethernet(&frame), reference(&frame))
        else {
            continue;
        };
        let Some(net) = &sliced.net else { panic!("etherparse sees no IP in {name}") };
        let (source, destination): (IpAddr, IpAddr) = match net {
            etherparse::NetSlice::Ipv4(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            etherparse::NetSlice::Ipv6(ip) => {
                (ip.header().source_addr().into(), ip.header().destination_addr().into())
            }
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!((source, destination), (parsed.source, parsed.destination), "{name}");
        let ports = match &sliced.transport {
            Some(etherparse::TransportSlice::Udp(udp)) => {
                Some((udp.source_port(), udp.destination_port()))
            }
            Some(etherparse::TransportSlice::Tcp(tcp)) => {
                let flag = |set: bool, bit: u8| if set { bit } else { 0 };
                let flags = flag(tcp.fin(), 1)
                    | flag(tcp.syn(), 2)
                    | flag(tcp.rst(), 4)
                    | flag(tcp.psh(), 8)
                    | flag(tcp.ack(), 16)
                    | flag(tcp.urg(), 32)
                    | flag(tcp.ece(), 64)
                    | flag(tcp.cwr(), 128);
                assert_eq!(parsed.tcp_flags, Some(flags), "{name}");
                Some((tcp.source_port(), tcp.destination_port()))
            }
            Some(etherparse::TransportSlice::Icmpv4(icmp)) => {
                assert_eq!(parsed.icmp, Some((icmp.type_u8(), icmp.code_u8())), "{name}");
                None
            }
            Some(etherparse::TransportSlice::Icmpv6(icmp)) => {
                assert_eq!(parsed.icmp, Some((icmp.type_u8(), icmp.code_u8())), "{name}");
                None
            }
            _ => continue,
        };
        assert_eq!(ports, parsed.ports, "{name}");
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn records_of_hostile_samples_are_whole_ones_only() {
    let zeros = vec![0u32; 16 * 3];
    // Aligned to 4 as perf's samples are, and no more.
    let bytes: &[u8] = plain::slice_from_bytes(plain_bytes(&zeros)).unwrap();
    for (len, whole) in [(0, 0), (4, 0), (63, 0), (64, 1), (68, 1), (127, 1), (128, 2), (192, 3)] {
        assert_eq!(Record::all_in(&bytes[..len]).len(), whole, "{len} bytes");
    }
}

fn plain_bytes(words: &[u32]) -> &[u8] {
    // SAFETY: u32s are 4 initialised bytes each.
    unsafe { plain::as_bytes(words) }
}

thread_local! {
    static BENCH: Bench = Bench::new();
    static RAW: Bench = Bench::load(&Setup { links: vec![LinkType::Ip], ..Bench::setup() });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..Default::default() })]

    /// A known frame with bytes overwritten, inserted, removed, cut.
    #[test]
    fn mutated_frames(
        pick in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8),
        cut in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let table = TABLE.with(Clone::clone);
        let mut frame = pick.get(&table).1.clone();
        for (at, byte, edit) in edits {
            // Headers are at the front: aim there.
            let at = at.index(frame.len().min(120));
            match edit {
                0 => frame.insert(at, byte),
                1 if frame.len() > 60 => { frame.remove(at); }
                _ => frame[at] = byte,
            }
        }
        if !whole {
            frame.truncate(14 + cut.index(frame.len().max(15) - 14));
        }
        BENCH.with(|bench| bench.check(&frame));
        if frame.len() >= 2 * 14 {
            RAW.with(|bench| bench.check(&frame[14..]));
        }
    }

    /// Bytes of no kind, behind an EtherType that makes them parsed.
    #[test]
    fn random_frames(
        ether_type in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x88a8, 0x0806, 46]),
        version in prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60, 0x6f, 0x00]),
        mut body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Some(first) = body.first_mut() {
            *first = version;
        }
        let frame = [&HERE_MAC[..], &THERE_MAC, &ether_type.to_be_bytes(), &body].concat();
        BENCH.with(|bench| bench.check(&frame));
    }
}

thread_local! {
    static TABLE: Rc<Vec<(&'static str, Vec<u8>)>> = Rc::new(table());
}
