//! From the kernel's clock to the wall's. What a time looks like is not known
//! here.

#![forbid(unsafe_code)]

use nix::time::{ClockId, clock_gettime};

/// A smaller change of the two clocks' difference, in ns, is no step of the wall
/// clock. (NTP slews both alike.)
const NOISE: u64 = 1_000_000;

/// How often the clocks are read for one difference, where something comes in
/// between each time.
const TRIES: usize = 10;

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
        Wall { offset: Difference::read().ns }
    }

    /// Look at the clocks again, and follow a step. To be called often: it
    /// takes some 50 ns.
    pub fn refresh(&mut self) {
        self.follow(Difference::read());
    }

    /// A wall clock that is so many ns ahead.
    #[cfg(test)]
    pub fn for_test(offset: u64) -> Wall {
        Wall { offset }
    }

    fn follow(&mut self, is: Difference) {
        if is.ns.abs_diff(self.offset) > NOISE + is.within {
            self.offset = is.ns;
        }
    }

    /// A time of `CLOCK_MONOTONIC` in ns since 1970, UTC.
    #[inline]
    pub fn ns(self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_add(self.offset)
    }
}

/// How far the wall clock is ahead of the other, and by how much this may be
/// wrong, in ns: they cannot be read at the same time.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Difference {
    /// First, as the more exact of two is the lesser.
    within: u64,
    ns: u64,
}

impl Difference {
    /// To within `NOISE`, unless this thread is preempted at each try.
    fn read() -> Difference {
        let mut best = Difference::try_once();
        for _ in 1..TRIES {
            if best.within <= NOISE {
                break;
            }
            best = best.min(Difference::try_once());
        }
        best
    }

    fn try_once() -> Difference {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let wall = read(ClockId::CLOCK_REALTIME);
        let after = read(ClockId::CLOCK_MONOTONIC);
        // The wall clock was read somewhere from `before` to `after`.
        let within = (after - before) / 2;
        Difference { within: within as u64 + 1, ns: (wall - before - within).max(0) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn now_is_now() {
        // However long it takes on a busy machine, it is as exact as it says; on no
        // machine is each try preempted.
        let difference = Difference::read();
        let wall = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let before = wall();
        let now = difference.ns + monotonic_ns();
        let after = wall();
        let within = difference.within;
        assert!(within <= NOISE, "{within}");
        assert!((before - within..=after + within).contains(&now), "{before} {now} {after}");
    }

    #[test]
    fn a_step_is_followed_and_noise_is_not() {
        let mut wall = Wall { offset: 5_000_000_000 };
        wall.follow(Difference { ns: 5_000_000_300, within: 30 });
        assert_eq!(wall.ns(1), 5_000_000_001, "times do not jitter");
        wall.follow(Difference { ns: 5_020_000_000, within: 20_000_000 });
        assert_eq!(wall.ns(1), 5_000_000_001, "it may be the same difference");
        wall.follow(Difference { ns: 2_000_000_000, within: 30 });
        assert_eq!(wall.ns(1), 2_000_000_001);
    }
}
