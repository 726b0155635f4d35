//! Arguments, checked into a [`Config`]. Neither files nor the network are touched
//! here.

#![forbid(unsafe_code)]

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::args::Args;
use crate::bpf::{FAMILY_IPV4, FAMILY_IPV6, MAX_IFACES};
use crate::config::{Config, DEFAULT_IFACE, FormatName, OnFull};
use crate::sink::Plan;

/// What is printed more often, nobody reads.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

impl Config {
    /// Given arguments, the first being the program's name.
    pub fn try_from_iter<I, T>(args: I) -> Result<Config, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        Config::check(Args::try_parse_from(args)?)
    }

    pub(super) fn check(args: Args) -> Result<Config, clap::Error> {
        let usage = |kind, message: String| Args::command().error(kind, message);
        let mut ifaces: Vec<String> = Vec::new();
        for name in args.ifaces {
            if !ifaces.contains(&name) {
                ifaces.push(name);
            }
        }
        let default_iface = ifaces.is_empty();
        if default_iface {
            ifaces.push(DEFAULT_IFACE.into());
        }
        if ifaces.len() > MAX_IFACES {
            return Err(usage(
                ErrorKind::TooManyValues,
                format!(
                    "{} interfaces given, at most {MAX_IFACES} can be watched at once",
                    ifaces.len()
                ),
            ));
        }
        if args.buffer_size.is_some_and(|size| size.as_u64() == 0) {
            return Err(usage(ErrorKind::ValueValidation, "--buffer-size must not be 0".into()));
        }
        if args.stats_interval.is_some_and(|time| time < MIN_INTERVAL) {
            let message = format!("--stats-interval must be {MIN_INTERVAL:?} or more");
            return Err(usage(ErrorKind::ValueValidation, message));
        }
        if args.rotate_size.is_some_and(|size| size.as_u64() == 0) {
            return Err(usage(ErrorKind::ValueValidation, "--rotate-size must not be 0".into()));
        }
        let files = args.write.filter(|path| path.as_os_str() != "-").map(|path| Plan {
            path,
            size: args.rotate_size.map(|size| size.as_u64()),
            interval: args.rotate_interval,
            keep: args.rotate_keep.map(|keep| keep as usize),
            compress: args.compress,
            overwrite: args.overwrite,
        });
        if files.is_none() && (args.rotate_size.is_some() || args.rotate_interval.is_some()) {
            let message = "stdout cannot be rotated: give --write a file".into();
            return Err(usage(ErrorKind::ArgumentConflict, message));
        }
        Ok(Config {
            ifaces,
            default_iface,
            families: match (args.ipv4, args.ipv6) {
                (true, _) => FAMILY_IPV4,
                (_, true) => FAMILY_IPV6,
                _ => FAMILY_IPV4 | FAMILY_IPV6,
            },
            format: args.format,
            files,
            wait_when_full: args.on_full == OnFull::Wait,
            snaplen: if args.format == FormatName::Pcapng { args.snaplen } else { 0 },
            color: args.color,
            sample: args.sample.unwrap_or(0),
            rate: args.rate_limit.unwrap_or(0),
            count: args.count,
            duration: args.duration,
            mode: args.mode,
            buffer_size: args.buffer_size.map(|size| size.as_u64()),
            overflow_sources: args.overflow_sources,
            readers: args.readers.0,
            stats_interval: args.stats_interval,
            announce: !args.quiet,
            stats: match (args.stats_format, args.quiet) {
                (None, true) => None,
                (format, _) => Some(format.unwrap_or_default()),
            },
            stats_explicit: args.stats_format.is_some(),
            ready_file: args.ready_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StatsFormat;

    fn parse(args: &[&str]) -> Result<Config, clap::Error> {
        Config::try_from_iter(std::iter::once("xdplog").chain(args.iter().copied()))
    }

    #[test]
    fn defaults() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.ifaces, ["eth0"]);
        assert!(config.default_iface);
        assert!(!parse(&["eth0"]).unwrap().default_iface, "named, so no default");
        assert_eq!(config.families, FAMILY_IPV4 | FAMILY_IPV6);
        assert!(config.announce);
        assert_eq!(config.stats, Some(StatsFormat::Text));
    }

    #[test]
    fn an_interface_named_twice_is_watched_once() {
        assert_eq!(parse(&["a", "b", "a"]).unwrap().ifaces, ["a", "b"]);
    }

    #[test]
    fn quiet_keeps_a_summary_that_was_asked_for() {
        assert_eq!(parse(&["-q"]).unwrap().stats, None);
        let both = parse(&["-q", "--stats-format", "json"]).unwrap();
        assert_eq!(both.stats, Some(StatsFormat::Json));
        assert!(!both.announce);
    }

    #[test]
    fn where_the_log_goes_and_how_much_of_it() {
        assert!(parse(&["-w", "-"]).unwrap().files.is_none(), "stdout");
        let config = parse(&["-w", "f", "--rotate-size", "100M", "--rotate-keep", "3"]).unwrap();
        let files = config.files.unwrap();
        assert_eq!((files.size, files.keep), (Some(100_000_000), Some(3)));
        assert_eq!(parse(&["--snaplen", "9"]).unwrap().snaplen, 0, "no format that takes bytes");
        assert_eq!(parse(&["--snaplen", "9", "-f", "pcapng"]).unwrap().snaplen, 9);
        assert_eq!(parse(&["--rate-limit", "500/s"]).unwrap().rate, 500);
        assert_eq!(parse(&["--rate-limit", "500"]).unwrap().rate, 500);
    }

    #[test]
    fn usage_errors() {
        for args in [
            &["-4", "-6"][..],
            &["-c", "0"],
            &["-c", "x"],
            &["--duration", "10"],
            &["--duration", "0s"],
            &["--mode", "offload"],
            &["--buffer-size", "0"],
            &["--buffer-size", "much"],
            &["--readers", "0"],
            &["--readers", "many"],
            &["--rotate-size", "1M"],
            &["-w", "-", "--rotate-size", "1M"],
            &["-w", "x", "--rotate-size", "0"],
            &["-w", "x", "--rotate-interval", "0s"],
            &["-w", "x", "--rotate-keep", "2"],
            &["-w", "x", "--compress"],
            &["--overwrite"],
            &["-f", "xml"],
            &["--snaplen", "0"],
            &["--sample", "0"],
            &["--rate-limit", "0/s"],
            &["--rate-limit", "10/m"],
            &["--stats-interval", "0s"],
            &["--stats-interval", "1ms"],
            &["completions", "tcsh"],
            &["--no-such-option"],
        ] {
            let err = parse(args).expect_err(&args.join(" "));
            assert_eq!(err.exit_code(), 2, "{args:?}");
        }
        let many: Vec<String> = (0..=MAX_IFACES).map(|i| format!("if{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(parse(&many).unwrap_err().exit_code(), 2);
    }
}
