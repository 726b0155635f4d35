//! From the kernel's clock to the wall's, whatever time namespace this is. What a
//! time looks like is not known here.

#![forbid(unsafe_code)]

use std::fs;
use std::sync::OnceLock;

use nix::time::{ClockId, clock_gettime};

/// A smaller change of the two clocks' difference, in ns, is no step of the wall
/// clock. (NTP slews both alike.)
const NOISE: u64 = 1_000_000;

/// How often the clocks are read for one difference, where something comes in
/// between each time.
const TRIES: usize = 10;

const NS_PER_SECOND: i64 = 1_000_000_000;

fn read(clock: ClockId) -> i64 {
    // Cannot fail: both clocks are always there, and 2^63 ns are 292 years.
    clock_gettime(clock).map_or(0, |time| time.tv_sec() * NS_PER_SECOND + time.tv_nsec())
}

/// How far this process's `CLOCK_MONOTONIC` is ahead of the host's, in ns: a time
/// namespace (time_namespaces(7)) has a clock of its own, and programs in the kernel
/// have the host's. It stays the same as long as a process lives.
fn ahead_of_host() -> i64 {
    static AHEAD: OnceLock<i64> = OnceLock::new();
    *AHEAD.get_or_init(|| {
        let link = |name| fs::read_link(format!("/proc/self/ns/{name}")).ok();
        // What is told is of the children's namespace. Theirs is another where
        // someone unshared it and then executed this, on kernels before 6.3.
        if link("time") != link("time_for_children") {
            return 0;
        }
        // Kernels without such namespaces have no such file.
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        parse_offset(&offsets).unwrap_or(0)
    })
}

/// `monotonic SECONDS NANOSECONDS`, a line among others.
fn parse_offset(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.strip_prefix("monotonic "))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i64>);
    let (seconds, ns) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(NS_PER_SECOND)?.checked_add(ns)
}

fn host_monotonic() -> i64 {
    read(ClockId::CLOCK_MONOTONIC) - ahead_of_host()
}

/// The host's `CLOCK_MONOTONIC`, which records are stamped with, in ns.
pub fn monotonic_ns() -> u64 {
    host_monotonic() as u64
}

/// What to add to [`monotonic_ns`] for the time since 1970, UTC, in ns. The
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

    /// A time of [`monotonic_ns`] in ns since 1970, UTC.
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
        let before = host_monotonic();
        let wall = read(ClockId::CLOCK_REALTIME);
        let after = host_monotonic();
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
    fn offsets_of_time_namespaces() {
        let offsets = |monotonic| format!("monotonic  {monotonic}\nboottime 7         7\n");
        assert_eq!(parse_offset(&offsets("       86400         5")), Some(86_400_000_000_005));
        assert_eq!(parse_offset(&offsets("-3 999999999")), Some(-2_000_000_001));
        assert_eq!(parse_offset(&offsets("x 5")), None);
        assert_eq!(parse_offset(""), None);
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
