//! JSON lines: one object a packet. `docs/json.md` says what is in it.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::address::MAX_IPV6;
use super::line::{BUFFER, Chunk, Line, ROOM};
use super::link::{self, Mac};
use super::proto::{MAX_KEYWORD, chunks};
use super::time::Times;
use super::{Family, Format, Prefixes, verdict_text};
use crate::bpf::{LinkType, MAX_IFACES, Record, Source, Summary};
use crate::clock::Wall;
use crate::names::escaped;

/// One object a packet, and one for each gap. With `MACS` packets of IP have the
/// frame's MAC addresses, too, which others always have.
#[derive(Clone, Debug)]
pub struct Json<const MACS: bool = false> {
    wall: Wall,
    times: Times<{ BEFORE_TIME.len() + "2026-11-23T19:07:15.123".len() }>,
    /// Interface names as JSON strings, by slot.
    names: Vec<String>,
    /// From the end of the time to the source.
    prefixes: Prefixes<128>,
    /// By slot: whether frames begin with Ethernet's header.
    ethernet: [bool; MAX_IFACES],
}

/// An interface name as JSON: at most 15 bytes (`IFNAMSIZ` of `linux/if.h`),
/// each of which may be escaped, as `\u001b` is.
const MAX_NAME: usize = 15 * 6 + 2;
const _: () = assert!("Z\",\"iface\":".len() + MAX_NAME < 128);
const TIME: usize = "\"2026-11-23T19:07:15.123456789Z\"".len();
const ADDRESS: usize = MAX_IPV6 + 2;

/// What a record begins with.
const BEFORE_TIME: &str = "{\"time\":\"";

/// From the end of the destination to the end of the protocol.
static PROTOS: [Chunk<32>; 256] = chunks(b"\",\"proto\":\"", b"", b"\"");

/// TCP's flags, by their bits.
static TCP_FLAGS: [Chunk<32>; 256] =
    super::tcp_flags(b",\"tcp_flags\":\"", b"FSRPAUEC", b"", b"\"");

impl Json {
    /// The usual objects: interfaces have these names, by slot.
    pub fn new(names: &[String], wall: Wall) -> Json {
        Json::with(names, wall, &[])
    }
}

impl<const MACS: bool> Json<MACS> {
    /// Frames begin with these headers, by slot.
    pub fn with(names: &[String], wall: Wall, links: &[LinkType]) -> Json<MACS> {
        let prefixes = Prefixes::new(names, in_object, |verdict, family| match family {
            Family::Any => format!(",\"action\":\"{verdict}\""),
            _ => format!(",\"action\":\"{verdict}\",\"src\":\""),
        });
        let names = quoted_all(names);
        let ethernet = super::ethernet(links);
        Json { wall, times: Times::date_and_time(BEFORE_TIME), names, prefixes, ethernet }
    }

    fn time(&mut self, monotonic_ns: u64, line: &mut Line<'_>) {
        let (time, ns) = self.times.of(self.wall.ns(monotonic_ns));
        // What is a record's beginning is none of a summary.
        line.put_slow(&time[BEFORE_TIME.len()..]);
        line.nanoseconds(ns);
        line.put(b"Z\"");
    }

    /// The object of a frame that is not IP.
    #[cold]
    #[inline(never)]
    fn not_ip(&mut self, record: &Record, mut line: Line<'_>) -> usize {
        let (time, ns) = self.times.of(self.wall.ns(record.ts_ns()));
        line.put(time);
        line.nanoseconds(ns);
        self.prefixes.put(record.slot(), record.verdict(), Family::Any, &mut line);
        // Writing to a line cannot fail.
        let _ = link::json(&record.link(), &mut line);
        number(&mut line, b",\"len\":", record.len().into());
        vlans(record, &mut line);
        if record.is_truncated() {
            line.put(b",\"truncated\":true");
        }
        line.put(b"}\n");
        line.len()
    }
}

#[inline]
fn vlans(record: &Record, line: &mut Line<'_>) {
    if record.is_tagged() {
        line.put(b",\"vlan\":[");
        for (index, id) in record.vlans().enumerate() {
            if index > 0 {
                line.put(b",");
            }
            line.number(id.into());
        }
        line.put(b"]");
    }
}

/// A name behind the time.
fn in_object(name: &str) -> String {
    format!("Z\",\"iface\":{}", quoted(name))
}

fn quoted_all(names: &[String]) -> Vec<String> {
    names.iter().map(|name| quoted(name)).collect()
}

fn quoted(name: &str) -> String {
    escaped(&serde_json::Value::from(name).to_string())
}

#[inline]
fn number<const N: usize>(line: &mut Line<'_>, key: &[u8; N], number: u64) {
    line.put(key);
    line.number(number);
}

/// The longest packet, and the longest summary.
const LONGEST: usize =
    "{\"time\":,\"iface\":,\"action\":\"REDIRECT\",\"src\":,\"dst\":,\"proto\":\"\",\
    \"sport\":65535,\"dport\":65535,\"len\":4294967295,\"vlan\":[4095,4095,4095],\
    \"tcp_flags\":\"FSRPAUEC\",\"icmp_type\":255,\"icmp_code\":255,\"fragment\":true,\
    \"truncated\":true,\"src_mac\":\"00:00:00:00:00:00\",\"dst_mac\":\"00:00:00:00:00:00\"}\n"
        .len()
        + TIME
        + MAX_NAME
        + 2 * ADDRESS
        + MAX_KEYWORD;
const LONGEST_SUMMARY: usize = "{\"event\":\"summary\",\"time\":,\"since\":,\"iface\":,\
    \"src\":,\"action\":\"REDIRECT\",\"count\":18446744073709551615}\n"
    .len()
    + 2 * TIME
    + MAX_NAME
    + ADDRESS;
const _: () = assert!(link::MAX_JSON < 2 * ADDRESS + MAX_KEYWORD + 100);
const _: () = assert!(LONGEST <= ROOM && LONGEST_SUMMARY <= ROOM);

impl<const MACS: bool> Format for Json<MACS> {
    const CAPTURES: bool = MACS;

    const MAX_LEN: usize = BUFFER;

    fn set_clock(&mut self, wall: Wall) {
        self.wall = wall;
    }

    fn set_names(&mut self, names: &[String]) {
        self.prefixes.set_names(names, in_object);
        self.names = quoted_all(names);
    }

    #[inline]
    fn record(&mut self, record: &Record, bytes: &[u8], out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        if record.is_not_ip() {
            return self.not_ip(record, line);
        }
        let is_ipv6 = record.is_ipv6();
        let (time, ns) = self.times.of(self.wall.ns(record.ts_ns()));
        line.put(time);
        line.nanoseconds(ns);
        self.prefixes.put(record.slot(), record.verdict(), Family::of(is_ipv6), &mut line);
        line.address(record.source_bytes(), is_ipv6);
        line.put(b"\",\"dst\":\"");
        line.address(record.destination_bytes(), is_ipv6);
        line.chunk(&PROTOS[usize::from(record.proto())]);
        if let Some((source, destination)) = record.ports() {
            number(&mut line, b",\"sport\":", source.into());
            number(&mut line, b",\"dport\":", destination.into());
        }
        if MACS
            && let Some((source, destination)) = link::macs_in(bytes)
            && self.ethernet[record.slot()]
        {
            line.put(b",\"src_mac\":\"");
            line.mac(source);
            line.put(b"\",\"dst_mac\":\"");
            line.mac(destination);
            line.put(b"\"");
        }
        number(&mut line, b",\"len\":", record.len().into());
        vlans(record, &mut line);
        if let Some(flags) = record.tcp_flags() {
            line.chunk(&TCP_FLAGS[usize::from(flags)]);
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

    const MAX_SUMMARY_LEN: usize = BUFFER;

    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        line.put(b"{\"event\":\"summary\",\"time\":\"");
        self.time(summary.until_ns, &mut line);
        line.put(b",\"since\":\"");
        self.time(summary.since_ns, &mut line);
        line.put(b",\"iface\":");
        let name = self.names.get(summary.slot).or(self.names.last());
        line.put_slow(name.map_or("\"\"", String::as_str).as_bytes());
        // A few lines a second at most; and writing to a line cannot fail.
        let _ = match summary.source {
            Source::Ip(addr) => write!(line, ",\"src\":\"{addr}\""),
            Source::Mac(mac) => write!(line, ",\"src_mac\":\"{}\"", Mac(mac)),
            Source::Nobody => Ok(()),
            Source::Others => line.write_str(",\"src\":\"other\""),
        };
        line.put(b",\"action\":\"");
        line.put_slow(verdict_text(summary.verdict).as_bytes());
        number(&mut line, b"\",\"count\":", summary.count);
        line.put(b"}\n");
        line.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_have_room() {
        for c in ['\x01', '"', '\\', '\x7f', '\u{9b}', '\u{202e}', '\u{10ffff}'] {
            let name = c.to_string().repeat(15 / c.len_utf8());
            let json = quoted(&name);
            assert!(json.len() <= MAX_NAME, "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
        }
    }
}
