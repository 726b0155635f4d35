//! Frames of every kind that the program knows, most of them well-formed.

use etherparse::{Icmpv4Type, Icmpv6Type, IpNumber, PacketBuilder};

use super::frames::{HERE_MAC, THERE_MAC, chain6, other, raw4, tagged};

pub fn eth() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2(THERE_MAC, HERE_MAC)
}

pub const V4: ([u8; 4], [u8; 4]) = ([10, 1, 2, 3], [10, 99, 0, 1]);
pub const V6: ([u8; 16], [u8; 16]) =
    ([0xfd, 0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], [0xfd; 16]);

/// An MTU with which all of the table's frames can be sent.
pub const MTU: u32 = 20_000;

/// Frames of every kind that the program knows, with names.
pub fn table() -> Vec<(&'static str, Vec<u8>)> {
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

    // ARP that answers, of another operation, of other addresses; RARP.
    let arp = table.last().unwrap().1.clone();
    for (name, at, byte) in [
        ("arp reply", 21, 2u8),
        ("arp of another operation", 20, 0x12),
        ("arp of other hardware", 15, 6),
        ("arp of another protocol", 17, 6),
        ("arp of longer addresses", 18, 8),
        ("arp of other lengths", 19, 16),
        ("rarp", 12, 0x80),
    ] {
        let mut frame = arp.clone();
        frame[at] = byte;
        if name == "rarp" {
            frame[13] = 0x35;
        }
        table.push((name, frame));
    }
    for kind in [0x88ccu16, 0x8847, 0x8864, 0x888e, 0x1234, 0x05dd, 0x05ff, 0x0600, 0xffff] {
        table.push(("another ethertype", other(kind)));
    }
    // IEEE 802.3: a spanning tree's, one that is longer than the frame, an empty one.
    for (name, len) in [("802.3", 38), ("802.3, too long", 100), ("802.3, empty", 0)] {
        let mut frame = other(len);
        frame[14..17].copy_from_slice(&[0x42, 0x42, 3]);
        table.push((name, frame));
    }
    // What says that it is IP, and is not.
    for (kind, first) in [(0x0800, 0x44), (0x0800, 0x65), (0x0800, 0), (0x86dd, 0x45)] {
        let mut frame = other(kind);
        frame[14] = first;
        table.push(("a broken header", frame));
    }

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
    // Beyond the first buffer of a frame of several.
    table.push(("headers behind a page", chain6(&[(60, &long[..]), (43, &long[..])], 6, &data)));
    let longest: Vec<(u8, &[u8])> = vec![(60, &long[..]); 8];
    table.push(("eight of the longest", chain6(&longest, 6, &data)));
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
    assert!(table.iter().all(|(_, frame)| frame.len() <= MTU as usize));
    table
}
