//! What a line of text begins with: the time, in each of tcpdump's ways.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::line::Line;
use super::time::Times;

/// How a line tells the time, by how often `-t` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// `19:07:15.123456`, local.
    #[default]
    TimeOfDay,
    /// Not at all.
    None,
    /// Seconds since 1970, with microseconds.
    Epoch,
    /// Since the line before: hours, minutes, seconds.
    SincePrevious,
    /// `2026-11-23 19:07:15.123456`, local.
    DateAndTime,
    /// Since the first line.
    SinceFirst,
}

/// The longest of them: times since are of 584 years at most.
pub const MAX_STAMP: usize = "-5124095:34:33.709551".len() + 5;

const SECOND: u64 = 1_000_000_000;

/// What writes the time.
#[derive(Clone, Debug)]
pub enum Stamp {
    /// [`TimeStyle::TimeOfDay`].
    TimeOfDay(Times<{ "19:07:15.123".len() }>),
    /// [`TimeStyle::None`].
    None,
    /// [`TimeStyle::Epoch`].
    Epoch,
    /// [`TimeStyle::DateAndTime`].
    DateAndTime(Times<{ "2026-11-23 19:07:15.123".len() }>),
    /// The others, with what the time is since, in microseconds since 1970.
    Since {
        /// The line before, or the first one.
        then: Option<u64>,
        /// Whether it is the line before.
        is_previous: bool,
    },
}

impl Stamp {
    /// In this style; times are those of `zone`.
    pub fn new(style: TimeStyle, zone: TimeZone) -> Stamp {
        match style {
            TimeStyle::TimeOfDay => Stamp::TimeOfDay(Times::time_of_day(zone)),
            TimeStyle::None => Stamp::None,
            TimeStyle::Epoch => Stamp::Epoch,
            TimeStyle::DateAndTime => Stamp::DateAndTime(Times::local(zone)),
            TimeStyle::SincePrevious => Stamp::Since { then: None, is_previous: true },
            TimeStyle::SinceFirst => Stamp::Since { then: None, is_previous: false },
        }
    }

    /// Write the time that is `ns` since 1970.
    pub fn put(&mut self, ns: u64, line: &mut Line<'_>) {
        match self {
            Stamp::TimeOfDay(times) => {
                let (time, ns) = times.of(ns);
                line.put(time);
                line.microseconds(ns);
            }
            Stamp::None => {}
            Stamp::Epoch => {
                line.number_and(ns / SECOND, b".");
                line.six((ns % SECOND / 1000) as u32);
            }
            Stamp::DateAndTime(times) => {
                let (time, ns) = times.of(ns);
                line.put(time);
                line.microseconds(ns);
            }
            Stamp::Since { then, is_previous } => {
                let now = ns / 1000;
                since(then.unwrap_or(now), now, line);
                if *is_previous || then.is_none() {
                    *then = Some(now);
                }
            }
        }
    }
}

/// The time between two, in microseconds, signed; a space stands for a plus.
fn since(then: u64, now: u64, line: &mut Line<'_>) {
    let sign = if now < then { '-' } else { ' ' };
    let (seconds, micros) = (now.abs_diff(then) / 1_000_000, now.abs_diff(then) % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a line cannot fail.
    let _ = write!(line, "{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}");
}

#[cfg(test)]
mod tests {
    use super::super::line::BUFFER;
    use super::*;

    /// What is written for these times, in ns since [`AT`] and some.
    fn stamps(style: TimeStyle, times: &[i64]) -> Vec<String> {
        const AT: i64 = 1_795_460_835_000_000_000;
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut stamp = Stamp::new(style, zone);
        let text = |ns: &i64| {
            let mut out = [0; BUFFER];
            let mut line = Line::new(&mut out);
            stamp.put((AT + ns) as u64, &mut line);
            let len = line.len();
            String::from_utf8(out[..len].to_vec()).unwrap()
        };
        times.iter().map(text).collect()
    }

    /// What tcpdump 4.99 prints of these, but that it begins anew after 24 hours.
    #[test]
    fn as_tcpdump_has_them() {
        let times = [123_456_789, 123_660_000, -1_000_000_000, 100_000 * 1_000_000_000];
        for (style, want) in [
            (
                TimeStyle::TimeOfDay,
                ["20:07:15.123456", "20:07:15.123660", "20:07:14.000000", "23:53:55.000000"],
            ),
            (TimeStyle::None, [""; 4]),
            (
                TimeStyle::Epoch,
                [
                    "1795460835.123456",
                    "1795460835.123660",
                    "1795460834.000000",
                    "1795560835.000000",
                ],
            ),
            (
                TimeStyle::SincePrevious,
                [" 00:00:00.000000", " 00:00:00.000204", "-00:00:01.123660", " 27:46:41.000000"],
            ),
            (
                TimeStyle::DateAndTime,
                [
                    "2026-11-23 20:07:15.123456",
                    "2026-11-23 20:07:15.123660",
                    "2026-11-23 20:07:14.000000",
                    "2026-11-24 23:53:55.000000",
                ],
            ),
            (
                TimeStyle::SinceFirst,
                [" 00:00:00.000000", " 00:00:00.000204", "-00:00:01.123456", " 27:46:39.876544"],
            ),
        ] {
            assert_eq!(stamps(style, &times), want, "{style:?}");
        }
    }

    #[test]
    fn the_longest() {
        for then in [0, u64::MAX / 1000] {
            let mut out = [0; BUFFER];
            let mut line = Line::new(&mut out);
            since(then, u64::MAX / 1000 - then, &mut line);
            assert!(line.len() <= MAX_STAMP && line.len() > 20);
        }
    }
}
