//! Formats are arithmetic: a record in, bytes out. No I/O and no clocks here.

#![forbid(unsafe_code)]

mod classic;
mod json;
mod line;
mod pcapng;
mod proto;
#[cfg(test)]
mod tests;
mod text;

pub use self::classic::Classic;
pub use self::json::Json;
pub use self::pcapng::Pcapng;
pub use self::text::Text;
use crate::bpf::{Record, Summary};
use crate::clock::Wall;

/// Turns records into bytes.
pub trait Format {
    /// Whether it takes the bytes of frames.
    const CAPTURES: bool = false;

    /// No record takes more bytes than this, its frame's not counted.
    const MAX_LEN: usize;

    /// Times are to be told by this from here on.
    fn set_clock(&mut self, _wall: Wall) {}

    /// Write `record`, with the `bytes` of its frame as far as they were
    /// captured, to the start of `out`, which holds [`Self::MAX_LEN`] bytes and
    /// the frame's at least; the number of bytes written.
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

/// What packets are called that come from none of the interfaces named: theirs
/// got another index.
pub const MOVED: &str = "(moved)";
