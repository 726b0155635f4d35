//! How large a ring is, what fits in its samples, and for which CPUs there is one.
//! Arithmetic only.

#![forbid(unsafe_code)]

use std::mem::size_of;
use std::num::NonZeroU64;

use crate::bpf::{AHEAD_MAX, BATCH_BYTES, CAPTURE_MAX, OFFSET_MAX, Record};

/// Ring size per CPU where none is asked for, in bytes.
const DEFAULT: u64 = 8 << 20;

/// All rings of default size together take at most this part of memory.
const SHARE: u64 = 100;

/// Pages of one CPU's ring, a power of two: `wanted` bytes rounded up; or the
/// default, rounded down as far as `cpus` such rings demand in `memory` bytes.
pub fn pages(wanted: Option<u64>, cpus: NonZeroU64, memory: u64, page_size: NonZeroU64) -> usize {
    let pages = match wanted {
        // The kernel refuses more than it has; no need to overflow before.
        Some(bytes) => bytes.div_ceil(page_size.get()).min(1 << 40).next_power_of_two(),
        None => {
            let bytes = DEFAULT.min(memory / SHARE / cpus);
            let pages = (bytes / page_size).max(1);
            1 << pages.ilog2()
        }
    };
    pages as usize
}

/// The CPUs of a list such as `0-3,8`, the form that the kernel writes
/// (`Documentation/admin-guide/kernel-parameters.rst`, cpu lists), in order.
pub fn cpu_list(text: &str) -> impl Iterator<Item = u32> + '_ {
    text.trim().split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => first..=last,
            #[allow(clippy::reversed_empty_ranges)] // None, on purpose.
            _ => 1..=0,
        }
    })
}

/// Bytes of records in a sample: what fits twice in the ring, so that one is
/// written while the other is read, and never more than a batch holds.
pub fn batch_bytes(ring_size: u64) -> u32 {
    // perf puts a header of 8 bytes and a size of 4 before the data, and pads.
    let room = (ring_size / 2).saturating_sub(16);
    room.clamp(size_of::<Record>() as u64, BATCH_BYTES as u64) as u32
}

/// Bytes of a frame that fit in a sample with the record; they are padded to 4.
pub fn part(batch_bytes: u32) -> u32 {
    batch_bytes.saturating_sub((BATCH_BYTES - CAPTURE_MAX) as u32) & !3
}

/// Bytes captured of a frame, `asked` for: no more than it may have parts, and
/// these may begin.
pub fn snaplen(asked: u32, part: u32) -> u32 {
    let ahead = (OFFSET_MAX as u32).checked_div(part).unwrap_or(0).min(AHEAD_MAX as u32);
    asked.min(part * (1 + ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        for (text, want) in [("0-1\n", &[0u32, 1][..]), ("0,2-4,9", &[0, 2, 3, 4, 9]), ("", &[])] {
            assert_eq!(cpu_list(text).collect::<Vec<_>>(), want, "{text:?}");
        }
    }

    const PAGE: NonZeroU64 = NonZeroU64::new(4096).unwrap();

    fn cpus(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_rounded_up() {
        for (bytes, want) in [(1, 1), (4096, 1), (4097, 2), (8 << 20, 2048), (8_000_000, 2048)] {
            assert_eq!(pages(Some(bytes), cpus(2), 0, PAGE), want, "{bytes}");
        }
        assert_eq!(pages(Some(u64::MAX), cpus(2), 0, PAGE), 1 << 40);
    }

    #[test]
    fn the_default_is_a_hundredth_of_memory_at_most() {
        let gib = 1u64 << 30;
        assert_eq!(pages(None, cpus(2), 24 * gib, PAGE), 2048);
        for (cpu, memory) in [(2, gib), (128, 64 * gib), (64, gib), (4, 4 * gib)] {
            let all = pages(None, cpus(cpu), memory, PAGE) as u64 * 4096 * cpu;
            assert!(all <= memory / 100, "{cpu} CPUs, {memory} bytes");
            assert!(all * 2 > memory / 100, "no smaller than it need be");
        }
        assert_eq!(pages(None, cpus(4096), 1 << 20, PAGE), 1);
    }

    #[test]
    fn two_batches_fit_in_a_ring() {
        for ring in [4096u64, 8192, 65536, 131_072, 8 << 20] {
            let sample = u64::from(batch_bytes(ring)) + 16;
            assert!(2 * sample <= ring, "{ring}");
        }
        assert_eq!(batch_bytes(8 << 20), BATCH_BYTES as u32);
        assert_eq!(batch_bytes(4096) / 64, 31);
        assert_eq!(batch_bytes(1), 64);
    }

    #[test]
    fn a_captured_frame_fits_in_a_batch() {
        for ring in [4096, 65_536, 8 << 20] {
            let room = batch_bytes(ring);
            assert!(part(room) + 72 <= room && part(room).is_multiple_of(4), "{ring}");
            assert_eq!(snaplen(128, part(room)), 128);
        }
        assert_eq!(snaplen(262_144, CAPTURE_MAX as u32), 130_800, "as the README has it");
        assert_eq!(snaplen(262_144, part(batch_bytes(4096))), 5 * 1960);
        assert_eq!(snaplen(262_144, 0), 0);
    }
}
