//! A line a packet for people, in tcpdump's manner.

#![forbid(unsafe_code)]

use jiff::tz::TimeZone;

use super::line::{Line, MAX_IPV6, Seconds};
use super::proto::{MAX_KEYWORD, keyword};
use super::{Format, MOVED, verdict_name};
use crate::bpf::{Record, Summary};
use crate::clock::Wall;

/// Local time, interface, verdict, addresses with ports, protocol and the rest.
#[derive(Clone, Debug)]
pub struct Text {
    wall: Wall,
    seconds: Seconds,
    /// Interface names by slot, all of one width with a space on either side;
    /// the last stands for all others.
    names: Vec<Box<[u8]>>,
    color: bool,
}

/// Interface names are 15 bytes at most (`IFNAMSIZ` of `linux/if.h`), but the
/// spaces that bring one to the others' width are of characters, not of bytes.
const MAX_NAME: usize = 15 + 14 + 2;
const TIME: usize = "19:07:15.123456".len();
const VERDICT_WIDTH: usize = "REDIRECT".len();
/// Escape sequences of ECMA-48, SGR: a color, and back.
const MAX_COLOR: usize = "\x1b[1;31m\x1b[0m".len();

/// TCP's flags from FIN 0x01 on, in tcpdump's letters.
const TCP_FLAGS: &[u8; 8] = b"FSRP.UEW";

impl Text {
    /// Interfaces have these names, by slot; times are those of `zone`.
    pub fn new(names: &[String], wall: Wall, zone: TimeZone, color: bool) -> Text {
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        // A terminal is not to be controlled by a name.
        let plain = |name: &str| name.replace(char::is_control, "?");
        let padded = |name: &str| format!(" {:width$} ", plain(name)).into_bytes().into();
        // What moved is a case so rare that it may stand out of the column.
        let names = names.iter().map(String::as_str).chain([MOVED]).map(padded).collect();
        Text { wall, seconds: Seconds::time_of_day(zone), names, color }
    }

    /// Time, interface, verdict and family, which every line begins with.
    #[inline]
    fn begin(
        &mut self,
        monotonic_ns: u64,
        slot: usize,
        verdict: u8,
        family: &[u8],
        line: &mut Line<'_>,
    ) {
        let (second, ns) = self.seconds.of(self.wall.ns(monotonic_ns));
        line.put(second);
        line.put(b".");
        line.microseconds(ns);
        line.put(self.names.get(slot).or(self.names.last()).map_or(&b" "[..], |name| name));
        if self.color {
            line.put(color_of(verdict));
        }
        let from = line.len();
        match verdict_name(verdict) {
            Some(name) => line.put(name.as_bytes()),
            None => line.number(verdict.into()),
        }
        line.pad(from, VERDICT_WIDTH);
        if self.color {
            line.put(b"\x1b[0m");
        }
        line.put(family);
    }
}

/// Green for what passes, red for what does not, yellow for what goes elsewhere.
fn color_of(verdict: u8) -> &'static [u8] {
    match verdict_name(verdict) {
        Some("PASS") => b"\x1b[32m",
        Some("DROP") => b"\x1b[31m",
        Some("TX" | "REDIRECT") => b"\x1b[33m",
        _ => b"\x1b[1;31m",
    }
}

fn family(is_ipv6: bool) -> &'static [u8] {
    if is_ipv6 { b" IP6 " } else { b" IP  " }
}

#[inline]
fn endpoint(line: &mut Line<'_>, bytes: &[u8; 16], is_ipv6: bool, port: Option<u16>) {
    line.address(bytes, is_ipv6);
    if let Some(port) = port {
        line.put(b".");
        line.number(port.into());
    }
}

impl Format for Text {
    const MAX_LEN: usize = " IP6 .65535 > .65535:  [FSRP.UEW] type 255 code 255, \
        vlan 4095 4095 4095, fragment, truncated, length 4294967295\n"
        .len()
        + TIME
        + MAX_NAME
        + MAX_COLOR
        + VERDICT_WIDTH
        + 2 * MAX_IPV6
        + MAX_KEYWORD
        + 8;

    fn set_clock(&mut self, wall: Wall) {
        self.wall = wall;
    }

    #[inline]
    fn record(&mut self, record: &Record, _: &[u8], out: &mut [u8]) -> usize {
        let mut line = Line::new(&mut out[..Self::MAX_LEN]);
        let is_ipv6 = record.is_ipv6();
        self.begin(record.ts_ns(), record.slot(), record.verdict(), family(is_ipv6), &mut line);
        let ports = record.ports();
        endpoint(&mut line, record.source_bytes(), is_ipv6, ports.map(|ports| ports.0));
        line.put(b" > ");
        endpoint(&mut line, record.destination_bytes(), is_ipv6, ports.map(|ports| ports.1));
        line.put(b": ");
        match keyword(record.proto()) {
            Some(keyword) => line.put(keyword.as_bytes()),
            None => {
                line.put(b"proto ");
                line.number(record.proto().into());
            }
        }
        if let Some(flags) = record.tcp_flags() {
            line.put(if flags == 0 { b" [none" } else { b" [" });
            for (bit, letter) in TCP_FLAGS.iter().enumerate() {
                if flags >> bit & 1 == 1 {
                    line.put(&[*letter]);
                }
            }
            line.put(b"]");
        }
        if let Some((kind, code)) = record.icmp() {
            line.put(b" type ");
            line.number(kind.into());
            line.put(b" code ");
            line.number(code.into());
        }
        for (index, id) in record.vlans().enumerate() {
            line.put(if index == 0 { b", vlan " } else { b" " });
            line.number(id.into());
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

    const MAX_SUMMARY_LEN: usize =
        Self::MAX_LEN + ": summary of 18446744073709551615 packets\n".len();

    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        let source = summary.source_bytes();
        let family = source.map_or(&b" "[..], |(_, is_ipv6)| family(is_ipv6));
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
