//! Values of options, from their words. What is done with them is not known here.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::config::{Color, FormatName, Mode, OnFull, StatsFormat};

/// The words for the values of an option, each with its help.
macro_rules! words {
    ($type:ident: $($value:ident $word:literal $help:literal,)+) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$($type::$value),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(match self {
                    $($type::$value => PossibleValue::new($word).help($help)),+
                })
            }
        }
    };
}

words! { Mode:
    Auto "auto" "What costs the host least: generic on veth, else native where the driver can",
    Native "native" "In the driver, before the kernel allocates a buffer",
    Generic "generic" "In the network stack: any interface, but slower",
}

words! { StatsFormat:
    Text "text" "A line for people",
    Json "json" "One JSON object on one line",
}

words! { FormatName:
    Classic "classic" "LOG: SRC 192.168.1.205, ACTION 2",
    Text "text" "A line a packet in tcpdump's manner; length is that of the whole frame",
    Json "json" "An object a packet, each on a line (docs/json.md)",
    Pcapng "pcapng" "The frames themselves, for Wireshark",
}

words! { Color:
    Auto "auto" "On a terminal, unless NO_COLOR is set or TERM is dumb",
    Always "always" "Always",
    Never "never" "Never",
}

words! { OnFull:
    Stop "stop" "End with the last whole record, and a failure",
    Wait "wait" "Wait for room; packets are summarised meanwhile",
}

/// Why a text is no value, and what would be one.
#[derive(Debug)]
pub struct NoValue {
    /// A clause about the text.
    pub why: String,
    /// What to give instead.
    pub next: String,
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for NoValue {}

fn no_value<T>(why: impl Into<String>, next: impl Into<String>) -> Result<T, NoValue> {
    Err(NoValue { why: why.into(), next: next.into() })
}

/// What a text stands for that is no number here, but is one elsewhere: `1e9`, `1K`,
/// `1_000`.
fn magnitude(text: &str) -> Option<u64> {
    let digits = text.replace(['_', ','], "");
    // Whole numbers are exact up to here.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match digits.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && (0.0..EXACT).contains(&number) => {
            Some(number as u64)
        }
        Ok(_) => None,
        Err(_) => digits.parse::<ByteSize>().ok().map(|size| size.as_u64()),
    }
}

/// Digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn whole_in(text: &str, range: &RangeInclusive<u64>) -> Result<u64, NoValue> {
    let wanted = match *range.end() {
        u64::MAX => format!("a number from {} on", range.start()),
        end => format!("a number from {} to {end}", range.start()),
    };
    match digits(text) {
        Some(number) if range.contains(&number) => Ok(number),
        Some(_) => no_value("it is out of range", format!("give {wanted}")),
        None if text.strip_prefix('-').is_some_and(|text| digits(text).is_some()) => {
            no_value("it is out of range", format!("give {wanted}"))
        }
        None => no_value(
            "it is no whole number",
            match magnitude(text).filter(|number| range.contains(number)) {
                Some(number) => format!("give {number}"),
                None => format!("give {wanted}"),
            },
        ),
    }
}

/// A whole number in this range, of a type that holds all of it.
pub fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, NoValue> + Clone {
    move |text| {
        let number = whole_in(text, &range)?;
        T::try_from(number).or_else(|_| no_value("it is out of range", "give a smaller one"))
    }
}

/// Bytes: `1500`, `100M`, `1GiB`; not 0.
pub fn size(text: &str) -> Result<u64, NoValue> {
    match text.parse::<ByteSize>().map(|size| size.as_u64()) {
        Ok(0) => no_value("it must not be 0", "give a size such as 100M or 1GiB"),
        Ok(size) => Ok(size),
        Err(_) => no_value(
            "it is no size",
            match magnitude(text) {
                Some(number) => format!("give {number}, or a size such as 100M or 1GiB"),
                None => "give a size such as 100M or 1GiB".into(),
            },
        ),
    }
}

/// A time that is not zero.
pub fn time(text: &str) -> Result<Duration, NoValue> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => no_value("it must not be 0", "give a time such as 10s"),
        Ok(time) => Ok(time),
        Err(_) if digits(text).is_some_and(|number| number > 0) => {
            no_value("it has no unit", format!("give {text}s, or {text}m"))
        }
        Err(err) => no_value(err.to_string(), "give a time such as 500ms, 10s or 1h30m"),
    }
}

/// More a second than any machine sees packets.
const MAX_RATE: u64 = 1_000_000_000;

/// `1000/s`, or just the number.
pub fn rate(text: &str) -> Result<u32, NoValue> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match whole(1..=MAX_RATE)(number) {
        Err(NoValue { why, .. }) => no_value(
            why,
            match magnitude(number).filter(|number| (1..=MAX_RATE).contains(number)) {
                Some(number) => format!("give {number}/s"),
                None => format!("give a number of packets a second from 1/s to {MAX_RATE}/s"),
            },
        ),
        rate => rate,
    }
}

/// The value of `--snaplen` that means whole frames, as no frame is longer; and the
/// default. So says tcpdump, too.
pub const WHOLE_FRAME: u32 = 262_144;

/// Bytes of each frame; 0 is all of it.
pub fn snaplen(text: &str) -> Result<u32, NoValue> {
    match whole(0..=u64::from(WHOLE_FRAME))(text) {
        Ok(0) => Ok(WHOLE_FRAME),
        Err(NoValue { why, next }) => {
            no_value(why, format!("{next}; of a frame the kernel gives 130,800 bytes at most"))
        }
        len => len,
    }
}

/// The value of `--readers`; `None` is auto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readers(pub Option<usize>);

/// `auto`, or how many.
pub fn readers(text: &str) -> Result<Readers, NoValue> {
    match whole(1..=1024)(text) {
        _ if text == "auto" => Ok(Readers(None)),
        Ok(number) => Ok(Readers(Some(number))),
        Err(NoValue { why, .. }) => no_value(why, "give auto, or a number from 1 to 1024"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_parse_says_what_would() {
        let count = |text: &str| whole::<u64>(1..=u64::MAX)(text).map_err(|err| err.next);
        assert_eq!(count("1000"), Ok(1000));
        for (text, next) in [
            ("1e9", "give 1000000000"),
            ("1K", "give 1000"),
            ("1k", "give 1000"),
            ("2KiB", "give 2048"),
            ("1,000", "give 1000"),
            ("1_000", "give 1000"),
            ("10.0", "give 10"),
            ("+5", "give 5"),
            ("0", "give a number from 1 on"),
            ("-1", "give a number from 1 on"),
            ("1.5", "give a number from 1 on"),
            ("18446744073709551616", "give a number from 1 on"),
            ("1e300", "give a number from 1 on"),
            ("NaN", "give a number from 1 on"),
            ("many", "give a number from 1 on"),
            ("", "give a number from 1 on"),
        ] {
            assert_eq!(count(text), Err(next.into()), "{text}");
        }
        let small = |text: &str| whole::<u32>(1..=10)(text).map_err(|err| err.next);
        assert_eq!(small("1K"), Err("give a number from 1 to 10".into()));
    }

    #[test]
    fn sizes_times_and_rates() {
        let size = |text: &str| size(text).map_err(|err| err.next);
        assert_eq!((size("1K"), size("1KiB"), size("1500")), (Ok(1000), Ok(1024), Ok(1500)));
        assert_eq!(size("1e9"), Err("give 1000000000, or a size such as 100M or 1GiB".into()));
        assert_eq!(size("much"), Err("give a size such as 100M or 1GiB".into()));
        assert_eq!(size("0"), Err("give a size such as 100M or 1GiB".into()));

        let time = |text: &str| time(text).map_err(|err| err.next);
        assert_eq!(time("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("10"), Err("give 10s, or 10m".into()));
        assert_eq!(time("0"), Err("give a time such as 10s".into()));
        assert_eq!(time("soon"), Err("give a time such as 500ms, 10s or 1h30m".into()));

        let rate = |text: &str| rate(text).map_err(|err| err.next);
        assert_eq!((rate("1000/s"), rate("1000")), (Ok(1000), Ok(1000)));
        assert_eq!((rate("1K/s"), rate("1e3")), (Err("give 1000/s".into()), rate("1K")));
        for text in ["0/s", "10/m", "1000000001/s", "fast"] {
            let next = "give a number of packets a second from 1/s to 1000000000/s";
            assert_eq!(rate(text), Err(next.into()), "{text}");
        }
        assert_eq!(snaplen("0").unwrap(), snaplen("262144").unwrap());
        let next =
            "give a number from 0 to 262144; of a frame the kernel gives 130,800 bytes at most";
        for text in ["262145", "99999999999", "-1", "all"] {
            assert_eq!(snaplen(text).unwrap_err().next, next, "{text}");
        }
        assert_eq!(readers("auto").unwrap(), Readers(None));
        assert_eq!(readers("0").unwrap_err().next, "give auto, or a number from 1 to 1024");
    }
}
