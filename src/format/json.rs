//! JSON lines: one object a packet. `docs/json.md` says what is in it.

#![forbid(unsafe_code)]

use super::line::{Line, MAX_IPV6, Seconds};
use super::proto::{MAX_KEYWORD, keyword};
use super::{Format, MOVED, verdict_name};
use crate::bpf::{Record, Summary};
use crate::clock::Wall;

/// One object a packet, and one for each gap.
#[derive(Clone, Debug)]
pub struct Json {
    wall: Wall,
    seconds: Seconds,
    /// Interface names as JSON strings, by slot; the last stands for all others.
    names: Vec<Box<[u8]>>,
}

/// An interface name as JSON: at most 15 bytes (`IFNAMSIZ` of `linux/if.h`),
/// each of which may be escaped.
const MAX_NAME: usize = 15 * 6 + 2;
const TIME: usize = "\"2026-11-23T19:07:15.123456789Z\"".len();
const ADDRESS: usize = MAX_IPV6 + 2;

/// TCP's flags, from FIN 0x01 on.
const TCP_FLAGS: &[u8; 8] = b"FSRPAUEC";

impl Json {
    /// Interfaces have these names, by slot.
    pub fn new(names: &[String], wall: Wall) -> Json {
        let quoted = |name: &str| serde_json::Value::from(name).to_string().into_bytes().into();
        let names = names.iter().map(String::as_str).chain([MOVED]);
        Json { wall, seconds: Seconds::date_and_time(), names: names.map(quoted).collect() }
    }

    fn name(&self, slot: usize) -> &[u8] {
        self.names.get(slot).or(self.names.last()).map_or(&b"\"\""[..], |name| name)
    }

    /// A member of an object whose value is a time.
    #[inline]
    fn time(&mut self, key: &[u8], monotonic_ns: u64, line: &mut Line<'_>) {
        let (second, ns) = self.seconds.of(self.wall.ns(monotonic_ns));
        line.put(key);
        line.put(second);
        line.put(b".");
        line.nanoseconds(ns);
        line.put(b"Z\"");
    }
}

#[inline]
fn number(line: &mut Line<'_>, key: &[u8], number: u64) {
    line.put(key);
    line.number(number);
}

/// A name, or the number as text where there is none.
#[inline]
fn name_or_number(line: &mut Line<'_>, name: Option<&str>, number: u8) {
    match name {
        Some(name) => line.put(name.as_bytes()),
        None => line.number(number.into()),
    }
}

impl Format for Json {
    const MAX_LEN: usize =
        "{\"time\":,\"iface\":,\"action\":\"REDIRECT\",\"src\":,\"dst\":,\"proto\":\"\",\
        \"sport\":65535,\"dport\":65535,\"len\":4294967295,\"vlan\":[4095,4095,4095],\
        \"tcp_flags\":\"FSRPAUEC\",\"icmp_type\":255,\"icmp_code\":255,\"fragment\":true,\
        \"truncated\":true}\n"
            .len()
            + TIME
            + MAX_NAME
            + 2 * ADDRESS
            + MAX_KEYWORD
            + 8;

    fn set_clock(&mut self, wall: Wall) {
        self.wall = wall;
    }

    #[inline]
    fn record(&mut self, record: &Record, _: &[u8], out: &mut [u8]) -> usize {
        let mut line = Line::new(&mut out[..Self::MAX_LEN]);
        self.time(b"{\"time\":\"", record.ts_ns(), &mut line);
        line.put(b",\"iface\":");
        line.put(self.name(record.slot()));
        line.put(b",\"action\":\"");
        name_or_number(&mut line, verdict_name(record.verdict()), record.verdict());
        line.put(b"\",\"src\":\"");
        line.address(record.source_bytes(), record.is_ipv6());
        line.put(b"\",\"dst\":\"");
        line.address(record.destination_bytes(), record.is_ipv6());
        line.put(b"\",\"proto\":\"");
        name_or_number(&mut line, keyword(record.proto()), record.proto());
        line.put(b"\"");
        if let Some((source, destination)) = record.ports() {
            number(&mut line, b",\"sport\":", source.into());
            number(&mut line, b",\"dport\":", destination.into());
        }
        number(&mut line, b",\"len\":", record.len().into());
        let mut before: &[u8] = b",\"vlan\":[";
        for id in record.vlans() {
            number(&mut line, before, id.into());
            before = b",";
        }
        if before == b"," {
            line.put(b"]");
        }
        if let Some(flags) = record.tcp_flags() {
            line.put(b",\"tcp_flags\":\"");
            for (bit, letter) in TCP_FLAGS.iter().enumerate() {
                if flags >> bit & 1 == 1 {
                    line.put(&[*letter]);
                }
            }
            line.put(b"\"");
        }
        if let Some((kind, code)) = record.icmp() {
            number(&mut line, b",\"icmp_type\":", kind.into());
            number(&mut line, b",\"icmp_code\":", code.into());
        }
        if record.is_fragment() {
            line.put(b",\"fragment\":true");
        }
        if record.is_truncated() {
            line.put(b",\"truncated\":true");
        }
        line.put(b"}\n");
        line.len()
    }

    const MAX_SUMMARY_LEN: usize = "{\"event\":\"summary\",\"time\":,\"since\":,\"iface\":,\
        \"src\":,\"action\":\"REDIRECT\",\"count\":18446744073709551615}\n"
        .len()
        + 2 * TIME
        + MAX_NAME
        + ADDRESS
        + 8;

    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        self.time(b"{\"event\":\"summary\",\"time\":\"", summary.until_ns, &mut line);
        self.time(b",\"since\":\"", summary.since_ns, &mut line);
        line.put(b",\"iface\":");
        line.put(self.name(summary.slot));
        line.put(b",\"src\":\"");
        match summary.source_bytes() {
            Some((bytes, is_ipv6)) => line.address(&bytes, is_ipv6),
            None => line.put(b"other"),
        }
        line.put(b"\",\"action\":\"");
        name_or_number(&mut line, verdict_name(summary.verdict), summary.verdict);
        number(&mut line, b"\",\"count\":", summary.count);
        line.put(b"}\n");
        line.len()
    }
}
