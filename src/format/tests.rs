//! One list of records, and what each format makes of it. Live packets are in
//! `tests/`.

mod any;
mod styles;

use std::net::IpAddr;

use jiff::tz::TimeZone;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use super::*;
use crate::bpf::{Counters, LinkType, MAX_IFACES, Source};

/// `CLOCK_MONOTONIC` of the first record; on the wall 2026-11-23T19:07:15Z.
const THEN: u64 = 5_123_456_789;
const OFFSET: u64 = 1_795_460_830_000_000_000;

/// A record to be, by the names of `record.h`.
#[derive(Clone, Copy)]
struct Fields {
    ts: u64,
    saddr: &'static str,
    daddr: &'static str,
    l4: Option<[u8; 4]>,
    verdict: u8,
    len: u32,
    vlan: &'static [u16],
    rxq: u16,
    iface: u8,
    proto: u8,
    tcp_flags: Option<u8>,
    fragment: bool,
    truncated: bool,
}

const V4: Fields = Fields {
    ts: THEN,
    saddr: "10.1.2.3",
    daddr: "10.99.0.1",
    l4: None,
    verdict: 2,
    len: 60,
    vlan: &[],
    rxq: 0,
    iface: 0,
    proto: 17,
    tcp_flags: None,
    fragment: false,
    truncated: false,
};
const V6: Fields = Fields { saddr: "fd99::5", daddr: "2001:db8::1:0:0:1", ..V4 };

/// Source and destination port as they are on the wire.
const fn ports(source: u16, destination: u16) -> Option<[u8; 4]> {
    let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
    Some([a, b, c, d])
}

/// The record whose bytes are these.
fn record(bytes: [u8; 64]) -> Record {
    let mut record = Record::default();
    plain::copy_from_bytes(&mut record, &bytes).unwrap();
    record
}

impl Fields {
    fn record(&self) -> Record {
        record(self.bytes().try_into().unwrap())
    }

    fn bytes(&self) -> Vec<u8> {
        let (source, destination): (IpAddr, IpAddr) =
            (self.saddr.parse().unwrap(), self.daddr.parse().unwrap());
        let mut flags = 0;
        for (bit, is_set) in
            [source.is_ipv6(), self.fragment, self.l4.is_some(), self.truncated].iter().enumerate()
        {
            flags |= u8::from(*is_set) << bit;
        }
        flags |= u8::from(self.tcp_flags.is_some()) << 5;
        let address = |addr: IpAddr| match addr {
            IpAddr::V4(addr) => [&addr.octets()[..], &[0; 12]].concat(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        let mut vlan = [0; 3];
        for (to, id) in vlan.iter_mut().zip(self.vlan) {
            *to = 0x1000 | id;
        }
        [
            &(self.ts as u32).to_ne_bytes()[..],
            &((self.ts >> 32) as u32).to_ne_bytes(),
            &address(source),
            &address(destination),
            &self.l4.unwrap_or_default(),
            &(u32::from(self.verdict) << 24 | self.len).to_ne_bytes(),
            &0u32.to_ne_bytes(),
            &vlan.map(u16::to_ne_bytes).concat(),
            &self.rxq.to_ne_bytes(),
            &[self.iface, self.proto, self.tcp_flags.unwrap_or_default(), flags],
        ]
        .concat()
    }
}

/// A record of a frame that is not IP, from 02:00:00:00:00:0b: what `struct link` of
/// `record.h` has behind the MAC addresses, its last byte included.
fn not_ip(kind: u16, vlan: &'static [u16], truncated: bool, rest: [u8; 18]) -> Record {
    let flags = 0x40 | if truncated { 8 } else { 0 };
    let fields = Fields { vlan, ..V4 };
    let mut bytes = [0; 64];
    bytes[..].copy_from_slice(&fields.bytes());
    let macs = [1, 0x80, 0xc2, 0, 0, 0xe, 2, 0, 0, 0, 0, 0xb];
    bytes[8..20].copy_from_slice(&macs);
    bytes[20..22].copy_from_slice(&kind.to_be_bytes());
    bytes[22..40].copy_from_slice(&rest);
    bytes[61] = 0;
    bytes[63] = flags;
    record(bytes)
}

/// ARP of this operation.
const fn arp(op: u8) -> [u8; 18] {
    [0, op, 10, 0, 0, 2, 10, 0, 0, 1, 2, 0, 0, 0, 0, 0xc, 0, 3]
}

/// No more than a type, and with `has` the first bytes of what is behind it.
const fn behind(first: [u8; 3], has: u8) -> [u8; 18] {
    let [a, b, c] = first;
    [0, 0, a, b, c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, has]
}

/// Of every kind that is not IP.
fn others() -> Vec<Record> {
    let nothing = [0; 3];
    vec![
        not_ip(0x0806, &[], false, arp(1)),
        not_ip(0x0806, &[10, 20], false, arp(2)),
        not_ip(0x0806, &[], false, arp(8)),
        not_ip(0x0806, &[], true, behind(nothing, 1)),
        not_ip(0x88cc, &[], false, behind(nothing, 1)),
        not_ip(0x1234, &[1, 2, 3], false, behind(nothing, 1)),
        not_ip(0x8100, &[7], true, behind(nothing, 1)),
        not_ip(39, &[], false, behind([0x42, 0x43, 3], 5)),
        not_ip(1500, &[], true, behind([0xfc, 1, 0xff], 5)),
        not_ip(2, &[], true, behind(nothing, 1)),
        // Broken headers: cut short, too short, of another version.
        not_ip(0x0800, &[], false, behind(nothing, 1)),
        not_ip(0x0800, &[], false, behind([0x45, 0, 0], 9)),
        not_ip(0x0800, &[], false, behind([0x44, 0, 0], 9)),
        not_ip(0x0800, &[], false, behind([0x65, 0, 0], 9)),
        not_ip(0x86dd, &[], false, behind([0x60, 0, 0], 9)),
        not_ip(0x86dd, &[4094], false, behind([0x45, 0, 0], 9)),
        // Without MAC addresses, and of a frame that ends before its type.
        not_ip(0, &[], false, behind([0x46, 0, 0], 8)),
        not_ip(0, &[], false, behind([0x60, 0, 0], 8)),
        not_ip(0, &[], false, behind([0x43, 0, 0], 8)),
        not_ip(0, &[], false, behind([0xf0, 0, 0], 8)),
        not_ip(0, &[], true, behind(nothing, 0)),
    ]
}

/// Two interfaces, the second of which has a name that JSON has to escape.
fn names() -> Vec<String> {
    vec!["eth0".into(), "we\"ird\\\u{1}".into()]
}

/// Of every kind that there is.
fn records() -> Vec<Record> {
    let tcp = Fields { proto: 6, l4: ports(443, 50000), ..V4 };
    let udp = Fields { l4: ports(1234, 53), ..V4 };
    let list = [
        udp,
        Fields { ts: THEN + 876_543_212, ..udp },
        Fields { l4: ports(5353, 5353), ..V6 },
        Fields { tcp_flags: Some(0x12), ..tcp },
        Fields { tcp_flags: Some(0xff), proto: 6, l4: ports(65535, 1), ..V6 },
        Fields { tcp_flags: Some(0), ..tcp },
        Fields { proto: 1, l4: Some([8, 0, 0, 0]), ..V4 },
        Fields { proto: 58, l4: Some([135, 7, 0, 0]), ..V6 },
        // Each in the other family is a protocol without meaning.
        Fields { proto: 58, ..V4 },
        Fields { proto: 1, ..V6 },
        Fields { proto: 132, l4: ports(9, 10), ..V4 },
        Fields { proto: 47, ..V4 },
        Fields { proto: 50, ..V6 },
        Fields { proto: 135, ..V6 },
        Fields { proto: 253, ..V4 },
        // Fragments: the first one has ports, later ones do not.
        Fields { fragment: true, ..udp },
        Fields { fragment: true, ..V4 },
        Fields { fragment: true, proto: 6, ..V6 },
        // Cut short before the ports, and behind them.
        Fields { truncated: true, len: 36, ..V4 },
        Fields { truncated: true, len: 40, ..tcp },
        Fields { vlan: &[10], ..udp },
        Fields { vlan: &[4095, 0], ..udp },
        Fields { vlan: &[1, 2, 3], proto: 58, l4: Some([128, 0, 0, 0]), ..V6 },
        Fields { verdict: 0, ..udp },
        Fields { verdict: 1, ..udp },
        Fields { verdict: 3, ..udp },
        Fields { verdict: 4, ..udp },
        Fields { verdict: 5, ..udp },
        Fields { verdict: 255, ..udp },
        Fields { iface: 1, rxq: 7, ..udp },
        // A claim: there is no such slot.
        Fields { iface: 255, ..udp },
        Fields {
            ts: THEN + 86_400_000_000_000,
            saddr: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            daddr: "::",
            verdict: 254,
            len: 0x00ff_ffff,
            vlan: &[4095, 4094, 4093],
            rxq: 65535,
            tcp_flags: Some(0xff),
            fragment: true,
            truncated: true,
            proto: 6,
            l4: ports(65535, 65535),
            ..V6
        },
    ];
    list.iter().map(Fields::record).collect()
}

/// Of a source in the table, of one of IPv6, and of all others.
fn summaries() -> Vec<Summary> {
    let since = Summary {
        source: Source::Ip("10.0.0.7".parse().unwrap()),
        verdict: 2,
        slot: 0,
        count: 48213,
        since_ns: THEN,
        until_ns: THEN + 1_000_000_000,
    };
    vec![
        since,
        Summary { source: Source::Ip("fd99::7".parse().unwrap()), verdict: 1, slot: 1, ..since },
        Summary { source: Source::Others, verdict: 77, slot: 1, count: 1, ..since },
        Summary { source: Source::Mac([2, 0, 0, 0, 0, 0xb]), ..since },
        Summary { source: Source::Nobody, ..since },
    ]
}

/// What a format makes of a record; it has to fit exactly what it asks for.
fn formatted<F: Format>(format: &mut F, record: &Record, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; format.room(bytes.len())];
    let len = format.record(record, bytes, &mut out);
    out.truncate(len);
    out
}

fn summarised<F: Format>(format: &mut F, summary: &Summary) -> Vec<u8> {
    let mut out = vec![0xee; F::MAX_SUMMARY_LEN];
    let len = format.summary(summary, &mut out);
    out.truncate(len);
    out
}

/// All records and summaries, one behind the other.
fn lines<F: Format>(mut format: F) -> String {
    let mut all = Vec::new();
    for record in records() {
        all.extend(formatted(&mut format, &record, &[]));
    }
    for summary in summaries() {
        all.extend(summarised(&mut format, &summary));
    }
    String::from_utf8(all).unwrap()
}

fn wall() -> Wall {
    Wall::for_test(OFFSET)
}

fn cet() -> TimeZone {
    TimeZone::posix("CET-1").unwrap()
}

/// The same lines; `want` begins with an empty one.
#[track_caller]
fn assert_lines(got: &str, want: &str) {
    let want = want.trim_start();
    for (got, want) in got.lines().zip(want.lines()) {
        assert_eq!(got, want);
    }
    assert_eq!(got, want);
}

#[test]
fn classic() {
    assert_lines(
        &lines(Classic),
        "
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC fd99::5, ACTION 2
LOG: SRC 10.1.2.3, ACTION 0
LOG: SRC 10.1.2.3, ACTION 1
LOG: SRC 10.1.2.3, ACTION 3
LOG: SRC 10.1.2.3, ACTION 4
LOG: SRC 10.1.2.3, ACTION 5
LOG: SRC 10.1.2.3, ACTION 255
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC 10.1.2.3, ACTION 2
LOG: SRC ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff, ACTION 254
LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213
LOG: SRC fd99::7, ACTION 1, COUNT 48213
LOG: SRC other, ACTION 77, COUNT 1
LOG: SRC 02:00:00:00:00:0b, ACTION 2, COUNT 48213
LOG: SRC none, ACTION 2, COUNT 48213
",
    );
}

#[test]
fn text() {
    assert_lines(
        &lines(Text::new(&names(), wall(), cet(), false)),
        r#"
20:07:15.123456 eth0     PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:16.000000 eth0     PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5.5353 > 2001:db8::1:0:0:1.5353: udp, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3.443 > 10.99.0.1.50000: tcp [S.], length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5.65535 > 2001:db8::1:0:0:1.1: tcp [FSRP.UEW], length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3.443 > 10.99.0.1.50000: tcp [none], length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3 > 10.99.0.1: icmp type 8 code 0, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5 > 2001:db8::1:0:0:1: icmpv6 type 135 code 7, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3 > 10.99.0.1: icmpv6, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5 > 2001:db8::1:0:0:1: icmp, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3.9 > 10.99.0.1.10: sctp, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3 > 10.99.0.1: gre, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5 > 2001:db8::1:0:0:1: esp, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5 > 2001:db8::1:0:0:1: mobility header, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3 > 10.99.0.1: proto 253, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, fragment, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3 > 10.99.0.1: udp, fragment, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5 > 2001:db8::1:0:0:1: tcp, fragment, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3 > 10.99.0.1: udp, truncated, length 36
20:07:15.123456 eth0     PASS     IP  10.1.2.3.443 > 10.99.0.1.50000: tcp, truncated, length 40
20:07:15.123456 eth0     PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, vlan 10, length 60
20:07:15.123456 eth0     PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, vlan 4095 0, length 60
20:07:15.123456 eth0     PASS     IP6 fd99::5 > 2001:db8::1:0:0:1: icmpv6 type 128 code 0, vlan 1 2 3, length 60
20:07:15.123456 eth0     ABORTED  IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     DROP     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     TX       IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     REDIRECT IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     5        IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     255      IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 we"ird\? PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 we"ird\? PASS     IP  10.1.2.3.1234 > 10.99.0.1.53: udp, length 60
20:07:15.123456 eth0     254      IP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff.65535 > ::.65535: tcp [FSRP.UEW], vlan 4095 4094 4093, fragment, truncated, length 16777215
20:07:16.123456 eth0     PASS     IP  10.0.0.7: summary of 48213 packets
20:07:16.123456 we"ird\? DROP     IP6 fd99::7: summary of 48213 packets
20:07:16.123456 we"ird\? 77       other sources: summary of 1 packet
20:07:16.123456 eth0     PASS     02:00:00:00:00:0b: summary of 48213 packets
20:07:16.123456 eth0     PASS     no address: summary of 48213 packets
"#,
    );
}

#[test]
fn json() {
    assert_lines(
        &lines(Json::new(&names(), wall())),
        r#"
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:16.000000001Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"udp","sport":5353,"dport":5353,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"tcp","sport":443,"dport":50000,"len":60,"tcp_flags":"SA"}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"tcp","sport":65535,"dport":1,"len":60,"tcp_flags":"FSRPAUEC"}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"tcp","sport":443,"dport":50000,"len":60,"tcp_flags":""}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"icmp","len":60,"icmp_type":8,"icmp_code":0}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"icmpv6","len":60,"icmp_type":135,"icmp_code":7}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"icmpv6","len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"icmp","len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"sctp","sport":9,"dport":10,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"gre","len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"esp","len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"mobility header","len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"253","len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60,"fragment":true}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","len":60,"fragment":true}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"tcp","len":60,"fragment":true}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","len":36,"truncated":true}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"tcp","sport":443,"dport":50000,"len":40,"truncated":true}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60,"vlan":[10]}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60,"vlan":[4095,0]}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","src":"fd99::5","dst":"2001:db8::1:0:0:1","proto":"icmpv6","len":60,"vlan":[1,2,3],"icmp_type":128,"icmp_code":0}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"ABORTED","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"DROP","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"TX","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"REDIRECT","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"5","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"255","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"we\"ird\\\u0001","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-23T19:07:15.123456789Z","iface":"we\"ird\\\u0001","action":"PASS","src":"10.1.2.3","dst":"10.99.0.1","proto":"udp","sport":1234,"dport":53,"len":60}
{"time":"2026-11-24T19:07:15.123456789Z","iface":"eth0","action":"254","src":"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff","dst":"::","proto":"tcp","sport":65535,"dport":65535,"len":16777215,"vlan":[4095,4094,4093],"tcp_flags":"FSRPAUEC","fragment":true,"truncated":true}
{"event":"summary","time":"2026-11-23T19:07:16.123456789Z","since":"2026-11-23T19:07:15.123456789Z","iface":"eth0","src":"10.0.0.7","action":"PASS","count":48213}
{"event":"summary","time":"2026-11-23T19:07:16.123456789Z","since":"2026-11-23T19:07:15.123456789Z","iface":"we\"ird\\\u0001","src":"fd99::7","action":"DROP","count":48213}
{"event":"summary","time":"2026-11-23T19:07:16.123456789Z","since":"2026-11-23T19:07:15.123456789Z","iface":"we\"ird\\\u0001","src":"other","action":"77","count":1}
{"event":"summary","time":"2026-11-23T19:07:16.123456789Z","since":"2026-11-23T19:07:15.123456789Z","iface":"eth0","src_mac":"02:00:00:00:00:0b","action":"PASS","count":48213}
{"event":"summary","time":"2026-11-23T19:07:16.123456789Z","since":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","count":48213}
"#,
    );
}

#[test]
fn text_of_what_is_not_ip() {
    let mut format = Text::new(&names(), wall(), cet(), false);
    let lines: Vec<u8> =
        others().iter().flat_map(|record| formatted(&mut format, record, &[])).collect();
    assert_lines(
        &String::from_utf8(lines).unwrap().replace("20:07:15.123456 eth0     PASS     ", ""),
        "
ARP, Request who-has 10.0.0.1 tell 10.0.0.2, length 60
ARP, Reply 10.0.0.2 is-at 02:00:00:00:00:0c, vlan 10 20, length 60
ARP, op 8, 10.0.0.2 > 10.0.0.1, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype ARP (0x0806), truncated, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype LLDP (0x88cc), length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype Unknown (0x1234), vlan 1 2 3, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype 802.1Q (0x8100), vlan 7, truncated, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, 802.3, LLC dsap STP (0x42) ssap STP (0x43) ctrl 0x03, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, 802.3, LLC dsap Unknown (0xfc) ssap Null (0x01) ctrl 0xff, truncated, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, 802.3, truncated, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype IPv4 (0x0800), truncated-ip, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype IPv4 (0x0800), truncated-ip, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype IPv4 (0x0800), bad-hlen 16, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype IPv4 (0x0800), bad-version 6, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype IPv6 (0x86dd), truncated-ip6, length 60
02:00:00:00:00:0b > 01:80:c2:00:00:0e, ethertype IPv6 (0x86dd), bad-version 4, vlan 4094, length 60
IP, truncated-ip, length 60
IP, truncated-ip6, length 60
IP, bad-hlen 12, length 60
unknown ip 15, length 60
[|ether], truncated, length 60
",
    );
}

#[test]
fn json_of_what_is_not_ip() {
    let mut format = Json::new(&names(), wall());
    let lines: Vec<u8> =
        others().iter().flat_map(|record| formatted(&mut format, record, &[])).collect();
    let same = r#"{"time":"2026-11-23T19:07:15.123456789Z","iface":"eth0","action":"PASS","#;
    assert_lines(
        &String::from_utf8(lines).unwrap().replace(same, ""),
        r#"
"ethertype":"ARP","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","arp_op":"request","sender":"10.0.0.2","target":"10.0.0.1","len":60}
"ethertype":"ARP","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","arp_op":"reply","sender":"10.0.0.2","target":"10.0.0.1","len":60,"vlan":[10,20]}
"ethertype":"ARP","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","arp_op":"8","sender":"10.0.0.2","target":"10.0.0.1","len":60}
"ethertype":"ARP","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60,"truncated":true}
"ethertype":"LLDP","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60}
"ethertype":"0x1234","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60,"vlan":[1,2,3]}
"ethertype":"802.1Q","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60,"vlan":[7],"truncated":true}
"ethertype":"802.3","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","dsap":66,"ssap":67,"len":60}
"ethertype":"802.3","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","dsap":252,"ssap":1,"len":60,"truncated":true}
"ethertype":"802.3","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60,"truncated":true}
"ethertype":"IPv4","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60}
"ethertype":"IPv4","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60}
"ethertype":"IPv4","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60}
"ethertype":"IPv4","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60}
"ethertype":"IPv6","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60}
"ethertype":"IPv6","src_mac":"02:00:00:00:00:0b","dst_mac":"01:80:c2:00:00:0e","len":60,"vlan":[4094]}
"len":60}
"len":60}
"len":60}
"len":60}
"len":60,"truncated":true}
"#,
    );
}

/// Each other interface is one without Ethernet.
fn head(names: &[String], snaplen: u32) -> Vec<u8> {
    let links = [LinkType::Ethernet, LinkType::Ip].repeat(names.len());
    Pcapng::head(names, &links, snaplen)
}

/// The blocks of a file, as another library reads them, each on a line.
fn blocks(file: &[u8]) -> String {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut text = String::new();
    while let Some(block) = reader.next_block() {
        let line = match block.unwrap() {
            Block::InterfaceDescription(b) => {
                format!("interface {:?} {} {:?}", b.linktype, b.snaplen, b.options)
            }
            Block::EnhancedPacket(b) => format!(
                "packet {} {}.{:09} {:?}/{} {}",
                b.interface_id,
                b.timestamp.as_secs(),
                b.timestamp.subsec_nanos(),
                String::from_utf8_lossy(&b.data),
                b.original_len,
                b.options.iter().map(packet_option).collect::<Vec<_>>().join(", ")
            ),
            // The library takes the two halves of a time for one number.
            Block::InterfaceStatistics(b) => format!(
                "statistics {} {} {}",
                b.interface_id,
                b.timestamp.rotate_left(32),
                b.options.iter().map(statistics_option).collect::<Vec<_>>().join(", ")
            ),
            other => panic!("{other:?}"),
        };
        text = text + &line + "\n";
    }
    text
}

fn packet_option(option: &EnhancedPacketOption<'_>) -> String {
    match option {
        EnhancedPacketOption::Flags(flags) => format!("flags {flags}"),
        EnhancedPacketOption::Unknown(option) if option.code == 6 => {
            format!("queue {}", u32::from_ne_bytes(option.value[..].try_into().unwrap()))
        }
        // What decided, then what it decided.
        EnhancedPacketOption::Unknown(option) if option.code == 7 => {
            let verdict = u64::from_ne_bytes(option.value[1..].try_into().unwrap());
            format!("verdict {}:{verdict}", option.value[0])
        }
        other => panic!("{other:?}"),
    }
}

fn statistics_option(option: &InterfaceStatisticsOption<'_>) -> String {
    match option {
        InterfaceStatisticsOption::IsbEndTime(time) => format!("end {}", time.rotate_left(32)),
        other => format!("{other:?}"),
    }
}

#[test]
fn pcapng() {
    let mut file = head(&names(), 262_144);
    let mut format = Pcapng::new(2, wall());
    // Frames of every length that there is padding for.
    for (i, record) in records().iter().enumerate() {
        file.extend(formatted(&mut format, record, &b"frame"[..i % 6]));
    }
    for summary in summaries() {
        file.extend(summarised(&mut format, &summary));
    }
    let mut counters = vec![Counters::default(); MAX_IFACES];
    let count = Counters { seen: 9, not_ip: 1, overflowed: 2, recorded: 6, ..Counters::default() };
    counters[0] = count;
    counters[1] = Counters { seen: 1, recorded: 1, ..Counters::default() };
    file.extend(Pcapng::tail(2, &counters, 7));
    assert_lines(
        &blocks(&file),
        r#"
interface ETHERNET 262144 [IfName("eth0"), IfTsResol(9)]
interface RAW 262144 [IfName("we\"ird\\\u{1}"), IfTsResol(9)]
packet 0 1795460835.123456789 ""/60 flags 1, queue 0, verdict 2:2
packet 0 1795460836.000000001 "f"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fr"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fra"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fram"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "frame"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 ""/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "f"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fr"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fra"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fram"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "frame"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 ""/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "f"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fr"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fra"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fram"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "frame"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 ""/36 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "f"/40 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fr"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fra"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "fram"/60 flags 1, queue 0, verdict 2:2
packet 0 1795460835.123456789 "frame"/60 flags 1, queue 0, verdict 2:0
packet 0 1795460835.123456789 ""/60 flags 1, queue 0, verdict 2:1
packet 0 1795460835.123456789 "f"/60 flags 1, queue 0, verdict 2:3
packet 0 1795460835.123456789 "fr"/60 flags 1, queue 0, verdict 2:4
packet 0 1795460835.123456789 "fra"/60 flags 1, queue 0, verdict 2:5
packet 0 1795460835.123456789 "fram"/60 flags 1, queue 0, verdict 2:255
packet 1 1795460835.123456789 "frame"/60 flags 1, queue 7, verdict 2:2
packet 1 1795460835.123456789 ""/60 flags 1, queue 0, verdict 2:2
packet 0 1795547235.123456789 "f"/16777215 flags 1, queue 65535, verdict 2:254
statistics 0 1795460836123456789 Comment("LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213")
statistics 1 1795460836123456789 Comment("LOG: SRC fd99::7, ACTION 1, COUNT 48213")
statistics 1 1795460836123456789 Comment("LOG: SRC other, ACTION 77, COUNT 1")
statistics 0 1795460836123456789 Comment("LOG: SRC 02:00:00:00:00:0b, ACTION 2, COUNT 48213")
statistics 0 1795460836123456789 Comment("LOG: SRC none, ACTION 2, COUNT 48213")
statistics 0 7 end 7, IsbIfRecv(9), IsbIfDrop(2), IsbFilterAccept(8), IsbUsrDeliv(6)
statistics 1 7 end 7, IsbIfRecv(1), IsbIfDrop(0), IsbFilterAccept(1), IsbUsrDeliv(1)
"#,
    );
}

#[test]
fn a_color_for_what_becomes_of_a_packet() {
    let mut format = Text::new(&names(), wall(), cet(), true);
    for (verdict, shown) in [
        (2, "\x1b[32mPASS    \x1b[0m"),
        (1, "\x1b[31mDROP    \x1b[0m"),
        (3, "\x1b[33mTX      \x1b[0m"),
        (4, "\x1b[33mREDIRECT\x1b[0m"),
        (0, "\x1b[1;31mABORTED \x1b[0m"),
        (200, "\x1b[1;31m200     \x1b[0m"),
    ] {
        let record = Fields { verdict, l4: ports(1, 2), ..V4 }.record();
        let line = String::from_utf8(formatted(&mut format, &record, &[])).unwrap();
        let want = format!(
            "20:07:15.123456 eth0     {shown} IP  10.1.2.3.1 > 10.99.0.1.2: udp, length 60\n"
        );
        assert_eq!(line, want);
    }
}

#[test]
fn times_follow_the_clock_that_is_set() {
    let record = V4.record();
    let (mut text, mut json) =
        (Text::new(&names(), wall(), cet(), false), Json::new(&names(), wall()));
    let mut pcapng = Pcapng::new(2, wall());
    let later = Wall::for_test(OFFSET + 3_600_000_000_000);
    text.set_clock(later);
    json.set_clock(later);
    pcapng.set_clock(later);
    assert!(formatted(&mut text, &record, &[]).starts_with(b"21:07:15.123456 "));
    let json = formatted(&mut json, &record, &[]);
    assert!(json.starts_with(b"{\"time\":\"2026-11-23T20:07:15.123456789Z\""));
    let time = 1_795_464_435_123_456_789_u64;
    let block = formatted(&mut pcapng, &record, &[]);
    assert_eq!(block[12..16], ((time >> 32) as u32).to_ne_bytes());
    assert_eq!(block[16..20], (time as u32).to_ne_bytes());
}
