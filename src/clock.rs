//! From the kernel's clock to the wall's. What a time looks like is not known
//! here.

#![forbid(unsafe_code)]

use nix::time::{ClockId, clock_gettime};

/// The difference of the two clocks is read to within this, in ns: a smaller
/// change is no step of the wall clock. (NTP slews both alike.)
const NOISE: u64 = 1_000_000;

fn read(clock: ClockId) -> i64 {
    // Cannot fail: both clocks are always there, and 2^63 ns are 292 years.
    clock_gettime(clock).map_or(0, |time| time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

/// `CLOCK_MONOTONIC`, which records are stamped with, in ns.
pub fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC) as u64
}

/// What to add to `CLOCK_MONOTONIC` for the time since 1970, UTC, in ns. The
/// same number as long as nobody steps the wall clock, which the kernel lets
/// nobody set back behind the other (`do_settimeofday64()` of
/// `kernel/time/timekeeping.c`).
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    offset: u64,
}

impl Wall {
    /// As the clocks are now.
    pub fn now() -> Wall {
        Wall { offset: offset() }
    }

    /// Look at the clocks again, and follow a step. To be called often: it
    /// takes some 50 ns.
    pub fn refresh(&mut self) {
        self.follow(offset());
    }

    /// A wall clock that is so many ns ahead.
    #[cfg(test)]
    pub fn for_test(offset: u64) -> Wall {
        Wall { offset }
    }

    fn follow(&mut self, offset: u64) {
        if offset.abs_diff(self.offset) > NOISE {
            self.offset = offset;
        }
    }

    /// A time of `CLOCK_MONOTONIC` in ns since 1970, UTC.
    #[inline]
    pub fn ns(self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add(self.offset)
    }
}

/// The clocks' difference, as if both had been read at the same time.
fn offset() -> u64 {
    let before = read(ClockId::CLOCK_MONOTONIC);
    let wall = read(ClockId::CLOCK_REALTIME);
    let after = read(ClockId::CLOCK_MONOTONIC);
    (wall - (before + (after - before) / 2)).max(0) as u64
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn now_is_now() {
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let now = u128::from(Wall::now().ns(monotonic_ns()));
        let after = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let noise = u128::from(NOISE);
        assert!((before - noise..=after + noise).contains(&now), "{before} {now} {after}");
    }

    #[test]
    fn a_step_is_followed_and_noise_is_not() {
        let mut wall = Wall { offset: 5_000_000_000 };
        wall.follow(5_000_000_300);
        assert_eq!(wall.ns(1), 5_000_000_001, "times do not jitter");
        wall.follow(2_000_000_000);
        assert_eq!(wall.ns(1), 2_000_000_001);
    }
}
