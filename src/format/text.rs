//! A line a packet for people, in tcpdump's manner.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::address::MAX_IPV6;
use super::dump::{self, Dump};
use super::line::{BUFFER, Chunk, Line, ROOM};
use super::link::{self, Mac};
use super::proto::{MAX_KEYWORD, chunks};
use super::stamp::{MAX_STAMP, Stamp, TimeStyle};
use super::time::Times;
use super::{Family, Format, Prefixes};
use crate::bpf::{Carried, LinkType, MAX_IFACES, Record, Source, Summary};
use crate::clock::Wall;
use crate::names::plain;

/// Local time, interface, verdict, addresses with ports, protocol and the rest. With
/// `STAMPED` the time is told in another way, with `BYTES` there is something of the
/// frame's bytes, too; without them nothing of that is so much as asked about.
#[derive(Clone, Debug)]
pub struct Text<const STAMPED: bool = false, const BYTES: bool = false> {
    wall: Wall,
    times: Times<{ "19:07:15.123".len() }>,
    /// From the end of the time to the source; with `BYTES` to the family.
    prefixes: Prefixes<32>,
    /// Where `STAMPED`, in place of `times`.
    stamp: Stamp,
    macs: bool,
    dump: Option<Dump>,
    /// By slot: whether frames begin with Ethernet's header.
    ethernet: [bool; MAX_IFACES],
}

/// What lines look like.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// Whether verdicts have colors.
    pub color: bool,
    /// How lines tell the time; other than [`TimeStyle::TimeOfDay`] where `STAMPED`.
    pub times: TimeStyle,
    /// Whether MAC addresses are shown; with `BYTES` only.
    pub macs: bool,
    /// What of the frame is shown below its line; with `BYTES` only.
    pub dump: Option<Dump>,
}

/// Interface names are 15 bytes at most (`IFNAMSIZ` of `linux/if.h`), but the
/// spaces that bring one to the others' width are of characters, not of bytes.
const MAX_NAME: usize = 15 + 14 + 2;
const MACS: usize = "00:00:00:00:00:00 > 00:00:00:00:00:00, ".len();
const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const VERDICT_WIDTH: usize = "REDIRECT".len();
/// Escape sequences of ECMA-48, SGR: a color, and back.
const MAX_COLOR: usize = "\x1b[1;31m\x1b[0m".len();
const _: () = assert!(MAX_NAME < 32 && MAX_COLOR + VERDICT_WIDTH + " IP6 ".len() < 32);

/// A name among `names`, in a column behind the time, if there is one.
fn column(names: &[String], has_time: bool) -> impl Fn(&str) -> String {
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let space = if has_time { " " } else { "" };
    // A terminal is not to be controlled by a name.
    move |name| format!("{space}{:width$} ", plain(name))
}

/// What is before the length.
const LENGTH: &[u8; 9] = b", length ";
const _: () = assert!(": ".len() + MAX_KEYWORD + LENGTH.len() < 32);

/// From the end of the destination to the length: by protocol, and behind these
/// by TCP's flags, in tcpdump's letters.
static WHAT: [Chunk<32>; 512] = {
    let mut all = [Chunk::of(&[]); 512];
    let protos: [Chunk<32>; 256] = chunks(b": ", b"proto ", LENGTH);
    let flags: [Chunk<32>; 256] = super::tcp_flags(b": tcp [", b"FSRP.UEW", b"none", b"], length ");
    let mut i = 0;
    while i < 256 {
        all[i] = protos[i];
        all[256 + i] = flags[i];
        i += 1;
    }
    all
};

impl Text {
    /// The usual lines: interfaces have these names, by slot; times are those of
    /// `zone`.
    pub fn new(names: &[String], wall: Wall, zone: TimeZone, color: bool) -> Text {
        Text::styled(names, wall, zone, &[], &Style { color, ..Style::default() })
    }
}

impl<const STAMPED: bool, const BYTES: bool> Text<STAMPED, BYTES> {
    /// Lines in this style. Frames begin with these headers, by slot.
    pub fn styled(
        names: &[String],
        wall: Wall,
        zone: TimeZone,
        links: &[LinkType],
        style: &Style,
    ) -> Text<STAMPED, BYTES> {
        let prefixes = Prefixes::new(
            names,
            column(names, !STAMPED || style.times != TimeStyle::None),
            |verdict, family| {
                let color = style.color;
                let (on, off) = if color { (color_of(verdict), "\x1b[0m") } else { ("", "") };
                let family = if BYTES { "" } else { name_of(family) };
                format!("{on}{verdict:VERDICT_WIDTH$}{off} {family}")
            },
        );
        Text {
            wall,
            times: Times::time_of_day(zone.clone()),
            prefixes,
            stamp: Stamp::new(style.times, zone),
            macs: style.macs,
            dump: style.dump,
            ethernet: super::ethernet(links),
        }
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
        let ns = self.wall.ns(monotonic_ns);
        if STAMPED {
            self.stamp.put(ns, line);
        } else {
            let (time, ns) = self.times.of(ns);
            line.put(time);
            line.microseconds(ns);
        }
        self.prefixes.put(slot, verdict, family, line);
    }

    /// What is between verdict and addresses where `BYTES`: MAC addresses, if they
    /// are asked for and were captured, and the family.
    fn macs_and_family(&self, record: &Record, family: Family, bytes: &[u8], line: &mut Line<'_>) {
        let macs = if record.is_not_ip() {
            // All others of these have them in any case.
            let is_arp = matches!(record.link().carried(), Carried::Arp { .. });
            record.link().macs().filter(|_| is_arp)
        } else {
            super::link::macs_in(bytes).filter(|_| self.ethernet[record.slot()])
        };
        if let Some((source, destination)) = macs.filter(|_| self.macs) {
            line.mac(source);
            line.put(b" > ");
            line.mac(destination);
            line.put(b", ");
        }
        line.put_slow(name_of(family).as_bytes());
    }

    /// Put below the line, which is in `out` up to `at`, what is to be shown of the
    /// frame; where all of it ends.
    fn dump(&self, record: &Record, bytes: &[u8], at: usize, out: &mut [u8]) -> usize {
        let Some(Dump { ascii, link, snaplen }) = self.dump else { return at };
        let bytes = &bytes[..bytes.len().min(snaplen as usize)];
        let header = match self.ethernet[record.slot()] {
            true if !link => ETHERNET + VLAN_TAG * record.vlans().count(),
            _ => 0,
        };
        // tcpdump shows all of a frame that ends with its link's header.
        let bytes = bytes.get(header..).filter(|bytes| !bytes.is_empty()).unwrap_or(bytes);
        at + dump::put(bytes, ascii, &mut out[at..])
    }

    /// The line of a frame that is not IP.
    #[cold]
    #[inline(never)]
    fn not_ip(&mut self, record: &Record, bytes: &[u8], mut line: Line<'_>) -> usize {
        self.begin(record.ts_ns(), record.slot(), record.verdict(), Family::Any, &mut line);
        if BYTES {
            self.macs_and_family(record, Family::Any, bytes, &mut line);
        }
        // Writing to a line cannot fail.
        let _ = link::text(&record.link(), &mut line);
        line.put(LENGTH);
        line = more(record, line);
        line.number_and(record.len().into(), b"\n");
        line.len()
    }

    /// The line of a packet of IP.
    #[inline]
    fn ip(&mut self, record: &Record, bytes: &[u8], mut line: Line<'_>) -> usize {
        let is_ipv6 = record.is_ipv6();
        let family = Family::of(is_ipv6);
        self.begin(record.ts_ns(), record.slot(), record.verdict(), family, &mut line);
        if BYTES {
            self.macs_and_family(record, family, bytes, &mut line);
        }
        let (source, destination) = (record.source_bytes(), record.destination_bytes());
        let proto = usize::from(record.proto());
        let is_whole = if let Some((from, to)) = record.ports() {
            line.endpoint(source, is_ipv6, from, b" > ");
            line.endpoint(destination, is_ipv6, to, b"");
            line.chunk(&WHAT[record.tcp_flags().map_or(proto, |flags| 256 + usize::from(flags))]);
            !record.is_tagged() && !record.is_fragment() && !record.is_truncated()
        } else {
            line.address(source, is_ipv6);
            line.put(b" > ");
            line.address(destination, is_ipv6);
            line.chunk(&WHAT[proto]);
            false
        };
        if !is_whole {
            line = more(record, line);
        }
        line.number_and(record.len().into(), b"\n");
        line.len()
    }
}

/// A family as a line has it, and the space behind it.
fn name_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "IP  ",
        Family::V6 => "IP6 ",
        Family::Any => "",
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

/// Put what few packets have before the length, which is there already. Not a
/// method of a line: its end would no longer be in a register.
#[cold]
fn more<'a>(record: &Record, mut line: Line<'a>) -> Line<'a> {
    line.back(LENGTH);
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
    line.put(LENGTH);
    line
}

/// The longest packet; a summary is shorter but for its words.
const LONGEST: usize = " IP6 .65535 > .65535: proto  [FSRP.UEW] type 255 code 255, \
    vlan 4095 4095 4095, fragment, truncated, length 4294967295\n"
    .len()
    + MAX_STAMP
    + MACS
    + MAX_NAME
    + MAX_COLOR
    + VERDICT_WIDTH
    + 2 * MAX_IPV6
    + MAX_KEYWORD;
const _: () = assert!(link::MAX_TEXT < 2 * MAX_IPV6 + MAX_KEYWORD + 100);
const _: () = assert!(LONGEST + ": summary of 18446744073709551615 packets".len() <= ROOM);

impl<const STAMPED: bool, const BYTES: bool> Format for Text<STAMPED, BYTES> {
    const CAPTURES: bool = BYTES;

    const MAX_LEN: usize = BUFFER;

    fn room(&self, captured: usize) -> usize {
        Self::MAX_LEN + if BYTES && self.dump.is_some() { dump::room(captured) } else { 0 }
    }

    fn set_clock(&mut self, wall: Wall) {
        self.wall = wall;
    }

    fn set_names(&mut self, names: &[String]) {
        let has_time = !STAMPED || !matches!(self.stamp, Stamp::None);
        self.prefixes.set_names(names, column(names, has_time));
    }

    #[inline]
    fn record(&mut self, record: &Record, bytes: &[u8], out: &mut [u8]) -> usize {
        let line = Line::new(out);
        let len = match record.is_not_ip() {
            true => self.not_ip(record, bytes, line),
            false => self.ip(record, bytes, line),
        };
        if BYTES { self.dump(record, bytes, len, out) } else { len }
    }

    const MAX_SUMMARY_LEN: usize = BUFFER;

    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let mut line = Line::new(out);
        let family = match summary.source {
            Source::Ip(addr) => Family::of(addr.is_ipv6()),
            _ => Family::Any,
        };
        self.begin(summary.until_ns, summary.slot, summary.verdict, family, &mut line);
        if BYTES {
            line.put_slow(name_of(family).as_bytes());
        }
        // A few lines a second at most; and writing to a line cannot fail.
        let _ = match summary.source {
            Source::Ip(addr) => write!(line, "{addr}"),
            Source::Mac(mac) => write!(line, "{}", Mac(mac)),
            Source::Nobody => line.write_str("no address"),
            Source::Others => line.write_str("other sources"),
        };
        line.put(b": summary of ");
        line.number(summary.count);
        match summary.count {
            1 => line.put(b" packet\n"),
            _ => line.put(b" packets\n"),
        }
        line.len()
    }
}
