//! Any record and any summary at all: each format says of it what it should, in no
//! more room than it asks for.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::bpf::{Carried, Link};

/// Names as long as they can be, in bytes and on paper: as many as there are
/// slots for.
pub fn long_names() -> Vec<String> {
    let long = ["\u{1}".repeat(15), "x".repeat(15), "\u{10348}\u{10348}\u{10348}\u{20ac}".into()];
    assert!(long.iter().all(|name| name.len() == 15));
    long.into_iter().cycle().take(MAX_IFACES).collect()
}

/// What JSON should say of a record, by its accessors and the standard library.
pub fn expected(record: &Record, names: &[String]) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| drop(object.insert(key.into(), value));
    set("time", time(record.ts_ns()));
    set("iface", names[record.slot()].as_str().into());
    set("action", action(record.verdict()));
    if record.is_not_ip() {
        for (key, value) in expected_link(&record.link()) {
            set(key, value);
        }
        set("len", record.len().into());
        let vlans: Vec<u16> = record.vlans().collect();
        if !vlans.is_empty() {
            set("vlan", vlans.into());
        }
        if record.is_truncated() {
            set("truncated", true.into());
        }
        return object.into();
    }
    set("src", record.source().to_string().into());
    set("dst", record.destination().to_string().into());
    let proto = record.proto();
    set("proto", proto::keyword(proto).map_or(proto.to_string(), str::to_string).into());
    if let Some((source, destination)) = record.ports() {
        set("sport", source.into());
        set("dport", destination.into());
    }
    set("len", record.len().into());
    let vlans: Vec<u16> = record.vlans().collect();
    if !vlans.is_empty() {
        set("vlan", vlans.into());
    }
    if let Some(flags) = record.tcp_flags() {
        let letters = "FSRPAUEC".chars().enumerate().filter(|(bit, _)| flags & 1 << bit != 0);
        set("tcp_flags", letters.map(|(_, letter)| letter).collect::<String>().into());
    }
    if let Some((kind, code)) = record.icmp() {
        set("icmp_type", kind.into());
        set("icmp_code", code.into());
    }
    if record.is_fragment() {
        set("fragment", true.into());
    }
    if record.is_truncated() {
        set("truncated", true.into());
    }
    object.into()
}

/// The same of what is not IP.
fn expected_link(link: &Link) -> Vec<(&'static str, Value)> {
    let mac = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":").into();
    let Some((source, destination)) = link.macs() else { return Vec::new() };
    let kind = link.ether_type().map_or("802.3".into(), |number| {
        link::ether_type(number).map_or(format!("0x{number:04x}"), str::to_string)
    });
    let mut all =
        vec![("ethertype", kind.into()), ("src_mac", mac(source)), ("dst_mac", mac(destination))];
    match link.carried() {
        Carried::Arp { op, sender, target, .. } => {
            let op = match op {
                1 => "request".to_string(),
                2 => "reply".to_string(),
                op => op.to_string(),
            };
            all.push(("arp_op", op.into()));
            all.push(("sender", sender.to_string().into()));
            all.push(("target", target.to_string().into()));
        }
        Carried::Llc(Some(llc)) => {
            all.extend([("dsap", llc.dsap.into()), ("ssap", llc.ssap.into())]);
        }
        _ => {}
    }
    all
}

fn time(monotonic_ns: u64) -> Value {
    let ns = i128::from(monotonic_ns) + i128::from(OFFSET);
    let ns = ns.min(i128::from(u64::MAX));
    format!("{:.9}", Timestamp::from_nanosecond(ns).unwrap()).into()
}

fn action(verdict: u8) -> Value {
    match verdict {
        0 => "ABORTED".into(),
        1 => "DROP".into(),
        2 => "PASS".into(),
        3 => "TX".into(),
        4 => "REDIRECT".into(),
        other => other.to_string().into(),
    }
}

/// One line of UTF-8; without its end.
pub fn one_line(bytes: &[u8]) -> &str {
    let line = std::str::from_utf8(bytes).unwrap().strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line:?}");
    line
}

/// Any 64 bytes; those more often that most depends on.
pub fn any_record() -> impl Strategy<Value = Record> {
    let proto = prop_oneof![any::<u8>(), Just(1), Just(6), Just(17), Just(58), Just(134)];
    (prop::array::uniform32(any::<u8>()), prop::array::uniform32(any::<u8>()), proto).prop_map(
        |(front, back, proto)| {
            let mut bytes: [u8; 64] = [front, back].concat().try_into().unwrap();
            bytes[61] = proto;
            record(bytes)
        },
    )
}

pub fn any_summary() -> impl Strategy<Value = Summary> {
    let source = prop_oneof![
        Just(Source::Others),
        Just(Source::Nobody),
        prop::array::uniform6(any::<u8>()).prop_map(Source::Mac),
        any::<Ipv4Addr>().prop_map(|addr| Source::Ip(addr.into())),
        any::<Ipv6Addr>().prop_map(|addr| Source::Ip(addr.into())),
        Just(Source::Ip(Ipv6Addr::from_bits(u128::MAX).into())),
    ];
    (source, any::<u8>(), 0..MAX_IFACES, any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(source, verdict, slot, count, since_ns, until_ns)| Summary {
            source,
            verdict,
            slot,
            count,
            since_ns,
            until_ns,
        },
    )
}

proptest! {
    #[test]
    fn any_record_fits_each_format(
        record in any_record(),
        bytes in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let names = long_names();
        one_line(&formatted(&mut Classic, &record, &[]));
        for color in [false, true] {
            let mut text = Text::new(&names, wall(), cet(), color);
            one_line(&formatted(&mut text, &record, &[]));
        }
        let json = formatted(&mut Json::new(&names, wall()), &record, &[]);
        let json: Value = serde_json::from_str(one_line(&json)).unwrap();
        prop_assert_eq!(json, expected(&record, &names));
        let mut file = head(&names, 262_144);
        file.extend(formatted(&mut Pcapng::new(names.len(), wall()), &record, &bytes));
        let packet = blocks(&file);
        let packet = packet.lines().last().unwrap();
        prop_assert!(packet.starts_with(&format!("packet {} ", record.slot())), "{}", packet);
        let data = format!(" {:?}/{} ", String::from_utf8_lossy(&bytes), record.len());
        prop_assert!(packet.contains(&data), "{}", packet);
        let end = format!("queue {}, verdict 2:{}", record.queue(), record.verdict());
        prop_assert!(packet.ends_with(&end), "{}", packet);
    }

    #[test]
    fn any_summary_fits_each_format(summary in any_summary()) {
        let names = long_names();
        one_line(&summarised(&mut Classic, &summary));
        for color in [false, true] {
            one_line(&summarised(&mut Text::new(&names, wall(), cet(), color), &summary));
        }
        let json = summarised(&mut Json::new(&names, wall()), &summary);
        let json: Value = serde_json::from_str(one_line(&json)).unwrap();
        let mut expected = json!({
            "event": "summary",
            "time": time(summary.until_ns),
            "since": time(summary.since_ns),
            "iface": names[summary.slot],
            "action": action(summary.verdict),
            "count": summary.count,
        });
        match summary.source {
            Source::Ip(addr) => expected["src"] = addr.to_string().into(),
            Source::Mac(mac) => expected["src_mac"] = link::Mac(mac).to_string().into(),
            Source::Nobody => {}
            Source::Others => expected["src"] = "other".into(),
        }
        prop_assert_eq!(json, expected);
        let mut file = head(&names, 262_144);
        file.extend(summarised(&mut Pcapng::new(names.len(), wall()), &summary));
        let comment = blocks(&file);
        let comment = comment.lines().last().unwrap();
        let count = format!(", COUNT {}\")", summary.count);
        prop_assert!(comment.ends_with(&count), "{}", comment);
    }
}

/// The longest lines that there can be fit, with what copies of a fixed length
/// need behind the end.
#[test]
fn the_longest_lines_fit() {
    let longest = Fields {
        ts: THEN,
        saddr: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        daddr: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        l4: ports(65535, 65535),
        verdict: 4,
        len: 0x00ff_ffff,
        vlan: &[4095, 4095, 4095],
        rxq: 65535,
        iface: 0,
        proto: 6,
        tcp_flags: Some(0xff),
        fragment: true,
        truncated: true,
    }
    .record();
    let names = long_names();
    let text = formatted(&mut Text::new(&names, wall(), cet(), true), &longest, &[]);
    let json = formatted(&mut Json::new(&names, wall()), &longest, &[]);
    for line in [text, json] {
        // Long enough that the bound means something.
        assert!((200..=super::line::ROOM).contains(&line.len()), "{}", line.len());
        assert_eq!(line.last(), Some(&b'\n'));
    }
    assert_eq!(formatted(&mut Pcapng::new(64, wall()), &longest, b"x").len(), Pcapng::MAX_LEN + 1);
}
