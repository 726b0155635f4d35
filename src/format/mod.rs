//! Formats are arithmetic: a record in, bytes out. No I/O and no clocks here.

#![forbid(unsafe_code)]

mod address;
mod classic;
mod dump;
mod json;
mod line;
mod link;
mod number;
mod pcapng;
mod proto;
mod stamp;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub use self::classic::Classic;
pub use self::dump::Dump;
pub use self::json::Json;
use self::line::{Chunk, Line};
pub use self::pcapng::Pcapng;
pub use self::stamp::TimeStyle;
pub use self::text::{Style, Text};
use crate::bpf::{LinkType, MAX_IFACES, Record, Summary};
use crate::clock::Wall;

/// Turns records into bytes.
pub trait Format {
    /// Whether it takes the bytes of frames.
    const CAPTURES: bool = false;

    /// No record takes more bytes than this, its frame's not counted; see
    /// [`Self::room`].
    const MAX_LEN: usize;

    /// Times are to be told by this from here on.
    fn set_clock(&mut self, _wall: Wall) {}

    /// Interfaces have these names from here on, by slot.
    fn set_names(&mut self, _names: &[String]) {}

    /// What to write where an interface is called otherwise from here on, at this
    /// time of `CLOCK_MONOTONIC`, in ns; empty where the records tell.
    fn renamed(&self, _slot: usize, _from: &str, _to: &str, _monotonic_ns: u64) -> Vec<u8> {
        Vec::new()
    }

    /// Bytes that a record takes at most of whose frame so many were captured.
    fn room(&self, captured: usize) -> usize {
        Self::MAX_LEN + captured
    }

    /// Write `record`, with the `bytes` of its frame as far as they were
    /// captured, to the start of `out`, which holds as much as [`Self::room`] says at
    /// least; the number of bytes written.
    fn record(&mut self, record: &Record, bytes: &[u8], out: &mut [u8]) -> usize;

    /// No summary takes more bytes than this.
    const MAX_SUMMARY_LEN: usize;

    /// The same for a summary, which stands for packets that found no room.
    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize;
}

/// What a verdict is called: `enum xdp_action` of `linux/bpf.h`.
pub fn verdict_name(verdict: u8) -> Option<&'static str> {
    ["ABORTED", "DROP", "PASS", "TX", "REDIRECT"].get(usize::from(verdict)).copied()
}

/// The same, or its number as text.
fn verdict_text(verdict: u8) -> String {
    verdict_name(verdict).map_or_else(|| verdict.to_string(), str::to_string)
}

/// Which addresses a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    /// Others, or those of many sources.
    Any,
}

impl Family {
    #[inline]
    fn of(is_ipv6: bool) -> Family {
        if is_ipv6 { Family::V6 } else { Family::V4 }
    }
}

/// By slot, whether frames begin with Ethernet's header.
fn ethernet(links: &[LinkType]) -> [bool; MAX_IFACES] {
    std::array::from_fn(|slot| links.get(slot) != Some(&LinkType::Ip))
}

/// What a line says of interface, verdict and family, prepared.
#[derive(Clone, Debug)]
struct Prefixes<const N: usize> {
    /// By slot.
    names: Box<[Chunk<N>; MAX_IFACES]>,
    /// By verdict and family.
    verdicts: Box<[[Chunk<32>; 3]; 256]>,
}

impl<const N: usize> Prefixes<N> {
    /// `name` writes each of `names`; `verdict` each verdict, by its text, together
    /// with the family.
    fn new(
        names: &[String],
        name: impl Fn(&str) -> String,
        verdict: impl Fn(&str, Family) -> String,
    ) -> Prefixes<N> {
        let verdict = |value| {
            let text = verdict_text(value as u8);
            [Family::V4, Family::V6, Family::Any]
                .map(|family| Chunk::of(&[verdict(&text, family).as_bytes()]))
        };
        Prefixes {
            names: Prefixes::named(names, name),
            verdicts: Box::new(std::array::from_fn(verdict)),
        }
    }

    /// The same verdicts with other names.
    fn set_names(&mut self, names: &[String], name: impl Fn(&str) -> String) {
        self.names = Prefixes::named(names, name);
    }

    fn named(names: &[String], name: impl Fn(&str) -> String) -> Box<[Chunk<N>; MAX_IFACES]> {
        Box::new(std::array::from_fn(|slot| {
            // No record has a slot without a name; the last stands for those.
            let text = names.get(slot).or(names.last()).map_or("", String::as_str);
            Chunk::of(&[name(text).as_bytes()])
        }))
    }

    #[inline]
    fn put(&self, slot: usize, verdict: u8, family: Family, line: &mut Line<'_>) {
        line.chunk(&self.names[slot]);
        line.chunk(&self.verdicts[usize::from(verdict)][family as usize]);
    }
}

/// For each byte of TCP flags the letters of those set, or `none`, between two
/// texts; `letters` are those of FIN 0x01 and so on.
const fn tcp_flags<const N: usize>(
    before: &[u8],
    letters: &[u8; 8],
    none: &[u8],
    after: &[u8],
) -> [Chunk<N>; 256] {
    let mut all = [Chunk::of(&[]); 256];
    let mut flags = 0;
    while flags < 256 {
        let (mut text, mut len, mut bit) = ([0; 8], 0, 0);
        while bit < 8 {
            if flags >> bit & 1 == 1 {
                text[len] = letters[bit];
                len += 1;
            }
            bit += 1;
        }
        let set = if flags == 0 { none } else { text.split_at(len).0 };
        all[flags] = Chunk::of(&[before, set, after]);
        flags += 1;
    }
    all
}
