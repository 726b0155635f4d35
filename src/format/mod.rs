//! Formats are arithmetic: a record in, bytes out. No I/O and no clocks here.

#![forbid(unsafe_code)]

mod classic;

pub use classic::Classic;

use crate::bpf::{Record, Summary};

/// Turns records into bytes.
pub trait Format {
    /// No record takes more bytes than this.
    const MAX_LEN: usize;

    /// Write `record` to the start of `out`, which holds [`Self::MAX_LEN`]
    /// bytes at least; the number of bytes written.
    fn record(&self, record: &Record, out: &mut [u8]) -> usize;

    /// No summary takes more bytes than this.
    const MAX_SUMMARY_LEN: usize;

    /// The same for a summary, which stands for packets that found no room.
    fn summary(&self, summary: &Summary, out: &mut [u8]) -> usize;
}
