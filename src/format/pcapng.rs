//! pcapng, what Wireshark opens: draft-ietf-opsawg-pcapng. Blocks are in the
//! byte order of this machine, which their first field tells.

#![forbid(unsafe_code)]

use super::{Classic, Format};
use crate::bpf::{Counters, LinkType, Record, Summary};
use crate::clock::Wall;

/// An enhanced packet block for each packet: the frame's bytes, and the verdict.
#[derive(Clone, Debug)]
pub struct Pcapng {
    wall: Wall,
    /// Interfaces, the last of which stands for whatever slot there is beyond.
    ifaces: usize,
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_USRDELIV: u16 = 8;
const EPB_FLAGS: u16 = 2;
const EPB_QUEUE: u16 = 6;
const EPB_VERDICT: u16 = 7;

/// The flags word of a packet that came in.
const INBOUND: u32 = 1;
/// The first octet of a verdict that is XDP's, in 64 bits behind it.
const VERDICT_XDP: u8 = 2;
/// `LINKTYPE_ETHERNET` and `LINKTYPE_RAW`, by number
/// (<https://www.tcpdump.org/linktypes.html>).
const fn linktype(link: LinkType) -> u16 {
    match link {
        LinkType::Ethernet => 1,
        LinkType::Ip => 101,
    }
}
/// Times are in units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// What is around a frame's bytes: type, length, interface, time, two lengths;
/// the padding; flags, queue, verdict, end of options; the length again.
const EPB_HEAD: usize = 28;
const EPB_TAIL: usize = 8 + 8 + 16 + 4 + 4;

impl Pcapng {
    /// For this many interfaces.
    pub fn new(ifaces: usize, wall: Wall) -> Pcapng {
        Pcapng { wall, ifaces }
    }

    /// What a file begins with, of interfaces with these names, whose frames begin with
    /// this, both by slot: it is then complete by itself.
    pub fn head(names: &[String], links: &[LinkType], snaplen: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut body = BYTE_ORDER_MAGIC.to_ne_bytes().to_vec();
        // Version 1.0; the length of the section is not known beforehand.
        for half in [1u16, 0] {
            body.extend(half.to_ne_bytes());
        }
        body.extend((-1i64).to_ne_bytes());
        let os = nix::sys::utsname::uname()
            .map(|name| format!("{} {}", name.sysname().display(), name.release().display()));
        option(&mut body, SHB_OS, os.unwrap_or_default().as_bytes());
        let program = concat!("xdplog ", env!("CARGO_PKG_VERSION"));
        option(&mut body, SHB_USERAPPL, program.as_bytes());
        option(&mut body, OPT_END, &[]);
        block(&mut out, SECTION_HEADER, &body);
        for (name, &link) in names.iter().zip(links) {
            // Two bytes are reserved.
            let mut body = [linktype(link).to_ne_bytes(), [0; 2]].concat();
            body.extend(snaplen.to_ne_bytes());
            option(&mut body, IF_NAME, name.as_bytes());
            option(&mut body, IF_TSRESOL, &[NANOSECONDS]);
            option(&mut body, OPT_END, &[]);
            block(&mut out, INTERFACE_DESCRIPTION, &body);
        }
        out
    }

    /// What a file ends with: for each of `ifaces` interfaces what it has
    /// received by now, and what became of it.
    pub fn tail(ifaces: usize, counters: &[Counters], now_ns: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for iface in 0..ifaces {
            let count = counters.get(iface).copied().unwrap_or_default();
            let mut body = statistics(iface, now_ns);
            option(&mut body, ISB_ENDTIME, &time(now_ns));
            for (code, value) in [
                (ISB_IFRECV, count.seen),
                (ISB_IFDROP, count.overflowed),
                (ISB_FILTERACCEPT, count.recorded + count.overflowed),
                (ISB_USRDELIV, count.recorded),
            ] {
                option(&mut body, code, &value.to_ne_bytes());
            }
            option(&mut body, OPT_END, &[]);
            block(&mut out, INTERFACE_STATISTICS, &body);
        }
        out
    }

    fn iface(&self, slot: usize) -> usize {
        slot.min(self.ifaces.saturating_sub(1))
    }
}

/// A time as pcapng has it: two halves, the high one first in any byte order.
fn time(ns: u64) -> [u8; 8] {
    let mut halves = [0; 8];
    halves[..4].copy_from_slice(&((ns >> 32) as u32).to_ne_bytes());
    halves[4..].copy_from_slice(&(ns as u32).to_ne_bytes());
    halves
}

/// The fixed part of an interface statistics block.
fn statistics(iface: usize, ns: u64) -> Vec<u8> {
    [&(iface as u32).to_ne_bytes()[..], &time(ns)].concat()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_ne_bytes());
    body.extend((value.len() as u16).to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// `body` is a multiple of 4 bytes long.
fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = (body.len() as u32 + 12).to_ne_bytes();
    out.extend(kind.to_ne_bytes());
    out.extend(len);
    out.extend(body);
    out.extend(len);
}

impl Format for Pcapng {
    const CAPTURES: bool = true;

    const MAX_LEN: usize = EPB_HEAD + EPB_TAIL + 3;

    fn set_clock(&mut self, wall: Wall) {
        self.wall = wall;
    }

    #[inline]
    fn record(&mut self, record: &Record, bytes: &[u8], out: &mut [u8]) -> usize {
        let padded = bytes.len().next_multiple_of(4);
        let len = EPB_HEAD + padded + EPB_TAIL;
        let out = &mut out[..len];
        let (head, rest) = out.split_at_mut(EPB_HEAD);
        let (data, tail) = rest.split_at_mut(padded);
        let len_bytes = (len as u32).to_ne_bytes();
        head[..4].copy_from_slice(&ENHANCED_PACKET.to_ne_bytes());
        head[4..8].copy_from_slice(&len_bytes);
        head[8..12].copy_from_slice(&(self.iface(record.slot()) as u32).to_ne_bytes());
        head[12..20].copy_from_slice(&time(self.wall.ns(record.ts_ns())));
        head[20..24].copy_from_slice(&(bytes.len() as u32).to_ne_bytes());
        head[24..28].copy_from_slice(&record.len().to_ne_bytes());
        data[..bytes.len()].copy_from_slice(bytes);
        data[bytes.len()..].fill(0);
        // Each option is its code, its length and its value, padded.
        tail[..2].copy_from_slice(&EPB_FLAGS.to_ne_bytes());
        tail[2..4].copy_from_slice(&4u16.to_ne_bytes());
        tail[4..8].copy_from_slice(&INBOUND.to_ne_bytes());
        tail[8..10].copy_from_slice(&EPB_QUEUE.to_ne_bytes());
        tail[10..12].copy_from_slice(&4u16.to_ne_bytes());
        tail[12..16].copy_from_slice(&u32::from(record.queue()).to_ne_bytes());
        tail[16..18].copy_from_slice(&EPB_VERDICT.to_ne_bytes());
        tail[18..20].copy_from_slice(&9u16.to_ne_bytes());
        tail[20] = VERDICT_XDP;
        tail[21..29].copy_from_slice(&u64::from(record.verdict()).to_ne_bytes());
        // Padding of the last, and the end of options, which is zeros.
        tail[29..36].fill(0);
        tail[36..40].copy_from_slice(&len_bytes);
        len
    }

    /// Statistics with a comment, as nothing else can tell it behind an interface's
    /// description: `eth0 is called lan0 from here on`.
    fn renamed(&self, slot: usize, from: &str, to: &str, monotonic_ns: u64) -> Vec<u8> {
        let mut body = statistics(self.iface(slot), self.wall.ns(monotonic_ns));
        let comment = format!("{from} is called {to} from here on");
        option(&mut body, OPT_COMMENT, comment.as_bytes());
        option(&mut body, OPT_END, &[]);
        let mut all = Vec::new();
        block(&mut all, INTERFACE_STATISTICS, &body);
        all
    }

    const MAX_SUMMARY_LEN: usize = 12 + 12 + 4 + Classic::MAX_SUMMARY_LEN + 3 + 4;

    /// Statistics with a comment, as there is no block for packets that are only
    /// counted: `LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213`.
    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let mut comment = [0; Classic::MAX_SUMMARY_LEN];
        let len = Classic.summary(summary, &mut comment);
        let mut body = statistics(self.iface(summary.slot), self.wall.ns(summary.until_ns));
        option(&mut body, OPT_COMMENT, comment[..len].trim_ascii_end());
        option(&mut body, OPT_END, &[]);
        let mut all = Vec::with_capacity(Self::MAX_SUMMARY_LEN);
        block(&mut all, INTERFACE_STATISTICS, &body);
        out[..all.len()].copy_from_slice(&all);
        all.len()
    }
}
