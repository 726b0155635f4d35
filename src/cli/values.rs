//! Values of options, from their words. What is done with them is not known here.

#![forbid(unsafe_code)]

use std::time::Duration;

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
    Auto "auto" "Native where the driver can, else generic",
    Native "native" "In the driver, before the kernel allocates a buffer",
    Generic "generic" "In the network stack: any interface, but slower",
}

words! { StatsFormat:
    Text "text" "A line for people",
    Json "json" "One JSON object on one line",
}

words! { FormatName:
    Classic "classic" "LOG: SRC 192.168.1.205, ACTION 2",
    Text "text" "A line a packet in tcpdump's manner",
    Json "json" "An object a packet, each on a line (docs/json.md)",
    Pcapng "pcapng" "The frames themselves, for Wireshark",
}

words! { Color:
    Auto "auto" "On a terminal, unless NO_COLOR is set",
    Always "always" "Always",
    Never "never" "Never",
}

words! { OnFull:
    Stop "stop" "End with the last whole record, and a failure",
    Wait "wait" "Wait for room; packets are summarised meanwhile",
}

/// A time that is not zero.
pub fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must not be 0".into()),
        Ok(time) => Ok(time),
        Err(err) => Err(err.to_string()),
    }
}

/// More a second than any machine sees packets.
const MAX_RATE: u32 = 1_000_000_000;

/// `1000/s`, or just the number.
pub fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate @ 1..=MAX_RATE) if !number.starts_with('+') => Ok(rate),
        _ => Err(format!("no number of packets a second from 1/s to {MAX_RATE}/s")),
    }
}

/// The value of `--readers`; `None` is auto.
#[derive(Clone, Copy, Debug)]
pub struct Readers(pub Option<usize>);

pub fn readers(text: &str) -> Result<Readers, String> {
    match text.parse() {
        Ok(1..=1024) if !text.starts_with('+') => Ok(Readers(text.parse().ok())),
        _ if text == "auto" => Ok(Readers(None)),
        _ => Err("neither auto nor a number from 1 to 1024".into()),
    }
}
