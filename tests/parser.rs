//! The XDP program under BPF_PROG_TEST_RUN: for any frame the verdict is PASS,
//! the frame is unchanged, and the record is what an independent parser makes
//! of the same bytes.

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use common::frames::{HERE_MAC, THERE_MAC, chain6, raw4, tagged};
use etherparse::{
    Ethernet2HeaderSlice, Icmpv4Type, Icmpv6Type, IpNumber, Ipv4HeaderSlice,
    Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, PacketBuilder,
    SingleVlanHeaderSlice, SlicedPacket,
};
use libbpf_rs::{PerfBuffer, PerfBufferBuilder, ProgramInput};
use proptest::prelude::*;
use xdplog::bpf::{FAMILY_IPV4, FAMILY_IPV6, MAX_SLOTS, Record, SLOT_MOVED};
use xdplog::probe::{Batches, Probe, Setup};

const XDP_PASS: u32 = 2;

/// The program, loaded and with rings, but not attached to anything.
struct Bench {
    probe: Probe,
    batches: Batches,
    rings: PerfBuffer<'static>,
    records: Rc<RefCell<VecDeque<Record>>>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(&[1])
    }

    fn with(ifindexes: &[u32]) -> Bench {
        common::need_root();
        // The batch is the CPU's that the program runs on.
        common::net::pin_to_one_cpu();
        let setup = Setup {
            families: FAMILY_IPV4 | FAMILY_IPV6,
            ifindexes: ifindexes.to_vec(),
            ring_size: 1 << 20,
            overflow_sources: 16,
        };
        let probe = Probe::load(&setup).unwrap();
        let records = Rc::new(RefCell::new(VecDeque::new()));
        let sink = Rc::clone(&records);
        let rings = PerfBufferBuilder::new(probe.events())
            .pages(256)
            .sample_cb(move |_, data| sink.borrow_mut().extend(Record::all_in(data)))
            .build()
            .unwrap();
        Bench { batches: probe.batches().unwrap(), probe, rings, records }
    }

    /// Run one frame through; its record, if it has one.
    fn run(&self, frame: &[u8]) -> Option<Record> {
        let mut out = vec![0; frame.len() + 64];
        let input = ProgramInput {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..ProgramInput::default()
        };
        let output = self.probe.program().test_run(input).unwrap();
        assert_eq!(output.return_value, XDP_PASS, "{frame:02x?}");
        assert_eq!(output.data.as_deref(), Some(frame), "the frame is unchanged");
        assert!(self.batches.flush(0), "nothing else is at work on the batch");
        self.rings.consume().unwrap();
        let mut records = self.records.borrow_mut();
        assert!(records.len() <= 1, "one record a frame");
        records.pop_front()
    }

    /// Run a frame and compare with the reference.
    fn check(&self, frame: &[u8]) {
        let got = self.run(frame).map(|record| Parsed::of(&record));
        assert_eq!(got, reference(frame), "left the program, right the reference: {frame:02x?}");
    }
}

/// What is compared: all that a record tells of a frame.
#[derive(Debug, PartialEq)]
struct Parsed {
    source: IpAddr,
    destination: IpAddr,
    proto: u8,
    ports: Option<(u16, u16)>,
    icmp: Option<(u8, u8)>,
    tcp_flags: Option<u8>,
    vlans: Vec<u16>,
    len: u32,
    fragment: bool,
    truncated: bool,
}

impl Parsed {
    fn of(record: &Record) -> Parsed {
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
fn reference(frame: &[u8]) -> Option<Parsed> {
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
    let (packet, truncated) = covered(data, usize::from(ip.total_len()));
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
    let announced = match usize::from(ip.payload_length()) {
        // A jumbogram: its length is an option; the frame is the bound.
        0 if ip.next_header() == IpNumber::IPV6_HEADER_HOP_BY_HOP => data.len(),
        announced => announced,
    };
    let (mut rest, truncated) = covered(data, announced);
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
            parsed.tcp_flags = Some(payload.get(13).copied().unwrap_or(0));
            parsed.truncated |= payload.len() < 14;
        }
    }
}

fn eth() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2(THERE_MAC, HERE_MAC)
}

const V4: ([u8; 4], [u8; 4]) = ([10, 1, 2, 3], [10, 99, 0, 1]);
const V6: ([u8; 16], [u8; 16]) =
    ([0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], [0xfd; 16]);

/// Well-formed frames of every kind that the program knows, with names.
fn table() -> Vec<(&'static str, Vec<u8>)> {
    let mut table: Vec<(&'static str, Vec<u8>)> = Vec::new();
    macro_rules! frame {
        ($name:literal, $builder:expr, $payload:expr) => {{
            let mut frame = Vec::new();
            $builder.write(&mut frame, $payload).unwrap();
            table.push(($name, frame));
        }};
    }
    let data = [0x5au8; 40];
    frame!("udp4", eth().ipv4(V4.0, V4.1, 64).udp(1234, 53), &data);
    frame!("udp4, no payload, ports 0", eth().ipv4(V4.0, V4.1, 64).udp(0, 0), &[]);
    frame!("tcp4", eth().ipv4(V4.0, V4.1, 64).tcp(1234, 80, 1, 9).syn().ack(1).fin().psh(), &data);
    frame!("tcp4 rst urg", eth().ipv4(V4.0, V4.1, 64).tcp(1234, 80, 1, 9).rst().urg(3), &data);
    frame!("tcp4 ece cwr", eth().ipv4(V4.0, V4.1, 64).tcp(1234, 80, 1, 9).ece().cwr(), &data);
    frame!("tcp6", eth().ipv6(V6.0, V6.1, 64).tcp(443, 5555, 1, 9).syn(), &data);
    frame!("udp6", eth().ipv6(V6.0, V6.1, 64).udp(5353, 5353), &data);
    frame!(
        "icmp4",
        eth().ipv4(V4.0, V4.1, 64).icmpv4(Icmpv4Type::Unknown {
            type_u8: 3,
            code_u8: 13,
            bytes5to8: [1, 2, 3, 4]
        }),
        &data
    );
    frame!(
        "icmp6",
        eth().ipv6(V6.0, V6.1, 64).icmpv6(Icmpv6Type::Unknown {
            type_u8: 135,
            code_u8: 7,
            bytes5to8: [1, 2, 3, 4]
        }),
        &data
    );
    let arp = eth().arp(
        etherparse::ArpPacket::new(
            etherparse::ArpHardwareId::ETHERNET,
            etherparse::EtherType::IPV4,
            etherparse::ArpOperation::REQUEST,
            &THERE_MAC,
            &V4.0,
            &[0; 6],
            &V4.1,
        )
        .unwrap(),
    );
    let mut frame = Vec::new();
    arp.write(&mut frame).unwrap();
    table.push(("arp", frame));

    // Protocols with ports that the builder does not know, and others.
    for (name, proto) in [
        ("sctp", 132u8),
        ("udp-lite", 136),
        ("dccp", 33),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("ospf", 89),
        ("icmp in ipv6's number", 58),
        ("hop-by-hop's number", 0),
    ] {
        table.push((name, raw4(proto, &data)));
        table.push((name, chain6(&[], proto, &data)));
    }

    // Options of every length.
    for words in 1..=10usize {
        let mut frame = Vec::new();
        let options: Vec<u8> = vec![1; 4 * words];
        let mut ip = etherparse::Ipv4Header::new(48, 64, IpNumber::UDP, V4.0, V4.1).unwrap();
        ip.options = options[..].try_into().unwrap();
        eth()
            .ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
            .udp(7, 8)
            .write(&mut frame, &data)
            .unwrap();
        table.push(("options", frame));
    }

    // Fragments: first, middle, last, of both families; and an atomic one.
    for (more, offset) in [(true, 0u16), (true, 100), (false, 100), (false, 0)] {
        let mut ip = etherparse::Ipv4Header::new(48, 64, IpNumber::TCP, V4.0, V4.1).unwrap();
        ip.more_fragments = more;
        ip.fragment_offset = offset.try_into().unwrap();
        let mut frame = Vec::new();
        eth()
            .ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
            .write(&mut frame, IpNumber::TCP, &data)
            .unwrap();
        table.push(("fragment of ipv4", frame));
        let header =
            [17, 0, (offset << 3 >> 8) as u8, (offset << 3) as u8 | more as u8, 0, 0, 0, 1];
        table.push(("fragment of ipv6", chain6(&[(44, &header)], 17, &data)));
        table.push((
            "fragment behind another extension",
            chain6(&[(60, &[0; 8]), (44, &header)], 17, &data),
        ));
        let to_options = [60, header[1], header[2], header[3], 0, 0, 0, 1];
        table.push((
            "fragment of an extension",
            chain6(&[(44, &to_options), (60, &[0; 16])], 17, &data),
        ));
    }

    // Extension headers: each, long ones, as many as are walked and more.
    let long = [0u8; 2048];
    for kind in [0u8, 43, 60] {
        table.push(("one extension", chain6(&[(kind, &[0; 8])], 6, &data)));
        table.push(("a long extension", chain6(&[(kind, &[0; 264])], 6, &data)));
    }
    table.push(("the longest extension", chain6(&[(60, &long[..])], 6, &data)));
    let eight: Vec<(u8, &[u8])> = vec![(60, &[0; 8]); 8];
    table.push(("eight extensions", chain6(&eight, 6, &data)));
    let nine: Vec<(u8, &[u8])> = vec![(60, &[0; 8]); 9];
    table.push(("nine extensions", chain6(&nine, 6, &data)));
    let mixed: [(u8, &[u8]); 4] =
        [(0, &[0; 8]), (43, &[0; 24]), (44, &[0, 0, 0, 1, 0, 0, 0, 9]), (60, &[0; 8])];
    table.push(("a mixed chain", chain6(&mixed, 132, &data)));
    for end in [51u8, 50, 135, 139, 140, 59] {
        table.push(("what ends a chain", chain6(&[(0, &[0; 8])], end, &data)));
    }

    // Tags: one to four, of both kinds, and one that is not known.
    let inner: Vec<Vec<u8>> = table.iter().take(9).map(|(_, frame)| frame.clone()).collect();
    for inner in &inner {
        for tags in [
            &[(0x8100u16, 5u16)][..],
            &[(0x88a8, 4095), (0x8100, 0)],
            &[(0x8100, 1), (0x8100, 2), (0x8100, 3)],
            &[(0x88a8, 1), (0x88a8, 2), (0x8100, 3), (0x8100, 4)],
            &[(0x9100, 7)],
        ] {
            table.push(("tagged", tagged(inner, tags)));
        }
    }
    // Ethernet padding behind a short packet, which no read may enter.
    for (name, frame) in table.clone() {
        if frame.len() < 200 {
            let mut padded = frame;
            padded.extend_from_slice(&[0xee; 24]);
            table.push((name, padded));
        }
    }
    table
}

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
fn a_record_names_its_interface_by_slot() {
    // A test run without a context comes from the loopback interface: index 1.
    let frame = &table()[0].1;
    for (ifindexes, slot) in [(&[5u32, 1][..], 1), (&[9, 8, 1, 7], 2), (&[5, 6], SLOT_MOVED)] {
        let record = Bench::with(ifindexes).run(frame).unwrap();
        assert_eq!(record.slot(), slot, "{ifindexes:?}");
        assert!(record.slot() < MAX_SLOTS);
    }
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
    }

    /// Bytes of no kind, behind an EtherType that makes them parsed.
    #[test]
    fn random_frames(
        ether_type in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x88a8]),
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
