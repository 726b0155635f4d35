//! Times as text, fast: down to the millisecond they are prepared.

#![forbid(unsafe_code)]

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::number::three;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// Times down to the millisecond, as a text of N bytes. Its last three digits are
/// made anew only when the millisecond is another, the others with the second.
#[derive(Clone, Debug)]
pub struct Times<const N: usize> {
    zone: TimeZone,
    /// What precedes the time, and how that is written.
    before: &'static str,
    how: &'static str,
    /// When second and millisecond began: ns since 1970.
    second: u64,
    millisecond: u64,
    text: [u8; N],
}

impl<const N: usize> Times<N> {
    /// `2026-11-23T19:07:15.123`, in UTC, with what is put before it.
    pub fn date_and_time(before: &'static str) -> Times<N> {
        Times::new(TimeZone::UTC, before, "%Y-%m-%dT%H:%M:%S.")
    }

    /// `2026-11-23 19:07:15.123`, as clocks in `zone` show it.
    pub fn local(zone: TimeZone) -> Times<N> {
        Times::new(zone, "", "%Y-%m-%d %H:%M:%S.")
    }

    /// `19:07:15.123`, as clocks in `zone` show it.
    pub fn time_of_day(zone: TimeZone) -> Times<N> {
        Times::new(zone, "", "%H:%M:%S.")
    }

    fn new(zone: TimeZone, before: &'static str, how: &'static str) -> Times<N> {
        let text = [b'0'; N];
        let mut times = Times { zone, before, how, second: 0, millisecond: 0, text };
        times.set_second(0);
        times
    }

    /// The text of the millisecond that `ns` since 1970 are in; and the rest, in ns.
    #[inline]
    pub fn of(&mut self, ns: u64) -> (&[u8; N], u32) {
        // Times before the millisecond are far behind it.
        if ns.wrapping_sub(self.millisecond) >= MILLISECOND {
            self.set(ns);
        }
        (&self.text, ns.wrapping_sub(self.millisecond) as u32)
    }

    #[inline(never)]
    fn set(&mut self, ns: u64) {
        if ns.wrapping_sub(self.second) >= SECOND {
            self.set_second(ns / SECOND);
        }
        let millisecond = (ns - self.second) / MILLISECOND;
        self.text[N - 3..].copy_from_slice(&three(millisecond as u32).to_le_bytes()[..3]);
        self.millisecond = self.second + millisecond * MILLISECOND;
    }

    #[cold]
    fn set_second(&mut self, second: u64) {
        let time = Timestamp::from_second(second as i64).unwrap_or(Timestamp::MAX);
        let time = self.zone.to_datetime(time).strftime(self.how).to_string();
        // As long as any other, up to the year 9999, where jiff's times end.
        self.text[..N - 3].copy_from_slice([self.before, &time].concat().as_bytes());
        self.second = second * SECOND;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let mut utc = Times::<26>::date_and_time("at ");
        let mut text = |ns: u64| {
            let (text, ns) = utc.of(ns);
            (String::from_utf8(text.to_vec()).unwrap(), ns)
        };
        let at = 1_795_460_835_u64;
        assert_eq!(text(at * SECOND + 7), ("at 2026-11-23T19:07:15.000".into(), 7));
        assert_eq!(text(at * SECOND + 987_654_321).0, "at 2026-11-23T19:07:15.987");
        assert_eq!(text(at * SECOND + 987_999_999), ("at 2026-11-23T19:07:15.987".into(), 999_999));
        assert_eq!(text(at * SECOND + 988_000_000), ("at 2026-11-23T19:07:15.988".into(), 0));
        assert_eq!(text(at * SECOND + 1_000_000).0, "at 2026-11-23T19:07:15.001", "going back");
        assert_eq!(text((at + 1) * SECOND).0, "at 2026-11-23T19:07:16.000");
        assert_eq!(text(0), ("at 1970-01-01T00:00:00.000".into(), 0));
        assert_eq!(text(u64::MAX).0, "at 2554-07-21T23:34:33.709", "there is no later one");
    }

    #[test]
    fn time_zones() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut local = Times::<12>::time_of_day(berlin);
        let at = 1_795_460_835_u64;
        assert_eq!(local.of(at * SECOND).0, b"20:07:15.000");
        assert_eq!(local.of((at - 200 * 86400) * SECOND).0, b"21:07:15.000", "in summer");
    }
}
