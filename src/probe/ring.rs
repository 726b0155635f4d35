//! How large a ring is, and for which CPUs there is one. Arithmetic only.

#![forbid(unsafe_code)]

use std::num::NonZeroU64;

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
}
