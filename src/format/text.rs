//! A line a packet for people, in tcpdump's manner.

#![forbid(unsafe_code)]

use jiff::tz::TimeZone;

use super::line::{BUFFER, Chunk, Line, MAX_IPV6, ROOM, Seconds};
use super::proto::{MAX_KEYWORD, chunks};
use super::{Family, Format, Prefixes};
use crate::bpf::{Record, Summary};
use crate::clock::Wall;

/// Local time, interface, verdict, addresses with ports, protocol and the rest.
#[derive(Clone, Debug)]
pub struct Text {
    wall: Wall,
    seconds: Seconds,
    /// From the end of the time to the source.
    prefixes: Prefixes<32>,
}

/// Interface names are 15 bytes at most (`IFNAMSIZ` of `linux/if.h`), but the
/// spaces that bring one to the others' width are of characters, not of bytes.
const MAX_NAME: usize = 15 + 14 + 2;
const TIME: usize = "19:07:15.123456".len();
const VERDICT_WIDTH: usize = "REDIRECT".len();
/// Escape sequences of ECMA-48, SGR: a color, and back.
const MAX_COLOR: usize = "\x1b[1;31m\x1b[0m".len();

/// From the end of the destination to the end of the protocol.
static PROTOS: [Chunk<32>; 256] = chunks(b": ", b"proto ", b"");

/// TCP's flags in tcpdump's letters, by their bits.
static TCP_FLAGS: [Chunk<16>; 256] = super::tcp_flags(b" [", b"FSRP.UEW", b"none", b"]");

impl Text {
    /// Interfaces have these names, by slot; times are those of `zone`.
    pub fn new(names: &[String], wall: Wall, zone: TimeZone, color: bool) -> Text {
        // What moved is a case so rare that it may stand out of the column.
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        // A terminal is not to be controlled by a name.
        let plain = |name: &str| name.replace(char::is_control, "?");
        let prefixes = Prefixes::new(
            names,
            |name| format!(" {:width$} ", plain(name)),
            |verdict, family| {
                let (on, off) = if color { (color_of(verdict), "\x1b[0m") } else { ("", "") };
                let family = match family {
                    Family::V4 => "IP  ",
                    Family::V6 => "IP6 ",
                    Family::Any => "",
                };
                format!("{on}{verdict:VERDICT_WIDTH$}{off} {family}")
            },
        );
        Text { wall, seconds: Seconds::time_of_day(zone), prefixes }
    }

    /// Time, interface, verdict and family, which every line begins with.
    #[inline]
    fn begin(
        &mut self,
        monotonic_ns: u64,
        slot: usize,
        verdict: u8,
        family: Family,
        line: &mut Line<'_>,
    ) {
        let (second, ns) = self.seconds.of(self.wall.ns(monotonic_ns));
        line.chunk(second);
        line.microseconds(ns);
        self.prefixes.put(slot, verdict, family, line);
    }
}

/// Green for what passes, red for what does not, yellow for what goes elsewhere.
fn color_of(verdict: &str) -> &'static str {
    match verdict {
        "PASS" => "\x1b[32m",
        "DROP" => "\x1b[31m",
        "TX" | "REDIRECT" => "\x1b[33m",
        _ => "\x1b[1;31m",
    }
}

#[inline]
fn port(line: &mut Line<'_>, port: Option<u16>) {
    if let Some(port) = port {
        line.put(b".");
        line.number(port.into());
    }
}

/// The longest packet; a summary is shorter but for its words.
const LONGEST: usize = " IP6 .65535 > .65535: proto  [FSRP.UEW] type 255 code 255, \
    vlan 4095 4095 4095, fragment, truncated, length 4294967295\n"
    .len()
    + TIME
    + MAX_NAME
    + MAX_COLOR
    + VERDICT_WIDTH
    + 2 * MAX_IPV6
    + MAX_KEYWORD;
const _: () = assert!(LONGEST + ": summary of 18446744073709551615 packets".len() <= ROOM);

impl Format for Text {
    const MAX_LEN: usize = BUFFER;

    fn set_clock(&mut self, wall: Wall) {
        self.wall = wall;
    }

    #[inline]
    fn record(&mut self, record: &Record, _: &[u8], out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        let is_ipv6 = record.is_ipv6();
        let family = Family::of(is_ipv6);
        self.begin(record.ts_ns(), record.slot(), record.verdict(), family, &mut line);
        let ports = record.ports();
        line.address(record.source_bytes(), is_ipv6);
        port(&mut line, ports.map(|ports| ports.0));
        line.put(b" > ");
        line.address(record.destination_bytes(), is_ipv6);
        port(&mut line, ports.map(|ports| ports.1));
        line.chunk(&PROTOS[usize::from(record.proto())]);
        if let Some(flags) = record.tcp_flags() {
            line.chunk(&TCP_FLAGS[usize::from(flags)]);
        }
        if let Some((kind, code)) = record.icmp() {
            line.put(b" type ");
            line.number(kind.into());
            line.put(b" code ");
            line.number(code.into());
        }
        if record.is_tagged() {
            line.put(b", vlan");
            for id in record.vlans() {
                line.put(b" ");
                line.number(id.into());
            }
        }
        if record.is_fragment() {
            line.put(b", fragment");
        }
        if record.is_truncated() {
            line.put(b", truncated");
        }
        line.put(b", length ");
        line.number(record.len().into());
        line.put(b"\n");
        line.len()
    }

    const MAX_SUMMARY_LEN: usize = BUFFER;

    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        let source = summary.source_bytes();
        let family = source.map_or(Family::Any, |(_, is_ipv6)| Family::of(is_ipv6));
        self.begin(summary.until_ns, summary.slot, summary.verdict, family, &mut line);
        match source {
            Some((bytes, is_ipv6)) => line.address(&bytes, is_ipv6),
            None => line.put(b"other sources"),
        }
        line.put(b": summary of ");
        line.number(summary.count);
        line.put(b" packets\n");
        line.len()
    }
}
