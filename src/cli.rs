//! Command-line arguments, checked into a [`Config`]. Neither files nor the
//! network are touched here.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};

use crate::bpf::{FAMILY_IPV4, FAMILY_IPV6, MAX_IFACES};

/// The interface that is watched when none is named.
pub const DEFAULT_IFACE: &str = "eth0";

const EXIT_CODES: &str = "\
Each packet is one line on stdout:
    LOG: SRC 192.168.1.205, ACTION 2
where ACTION is the XDP verdict: 0 aborted, 1 drop, 2 pass, 3 tx, 4 redirect.
Packets that find no room, as what reads the log does not keep up, are counted
by source and come out as a line for each, at least once a second:
    LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213
Messages and the summary go to stderr.

Exit status: 0 stopped as asked (also when the reader of stdout went away);
1 failure; 2 wrong usage; 3 the counts at the end did not agree;
130 stopped by a second Ctrl-C, at once and without a summary.";

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Native where the driver can, else generic
    #[default]
    Auto,
    /// In the driver, before the kernel allocates a buffer
    Native,
    /// In the network stack: any interface, but slower
    Generic,
}

/// The form of the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// A line for people
    #[default]
    Text,
    /// One JSON object on one line
    Json,
}

#[derive(Parser, Debug)]
#[command(
    name = "xdplog",
    version,
    about = "Log every packet that arrives at a network interface, with the verdict XDP gave it",
    after_help = EXIT_CODES,
    max_term_width = 100
)]
struct Args {
    /// Interfaces to watch [default: eth0]
    #[arg(value_name = "IFACE")]
    ifaces: Vec<String>,

    /// Log IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Log IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Stop after exactly N lines
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Stop after this time, such as 500ms, 10s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// Where the XDP program runs
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// Ring size for each CPU, rounded up to a power of two of pages
    /// [default: 8MiB, all CPUs together at most 1% of memory]
    #[arg(long, value_name = "SIZE")]
    buffer_size: Option<ByteSize>,

    /// Sources that are told apart while packets find no room in the ring; the
    /// rest is one line for each verdict
    #[arg(long, value_name = "N", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    overflow_sources: u32,

    /// Threads that read the rings, each those of some CPUs, or auto: one for
    /// each 16 CPUs
    #[arg(long, value_name = "N", default_value = "auto", value_parser = readers)]
    readers: Readers,

    /// No start line and no summary; warnings, losses and errors remain, and a
    /// summary asked for with --stats-format
    #[arg(short, long)]
    quiet: bool,

    /// Form of the summary on stderr [default: text]
    #[arg(long, value_name = "FORM", value_enum)]
    stats_format: Option<StatsFormat>,

    /// Create this file when all interfaces are attached
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

/// The value of `--readers`; `None` is auto.
#[derive(Clone, Copy, Debug)]
struct Readers(Option<usize>);

fn readers(text: &str) -> Result<Readers, String> {
    match text.parse() {
        Ok(1..=1024) if !text.starts_with('+') => Ok(Readers(text.parse().ok())),
        _ if text == "auto" => Ok(Readers(None)),
        _ => Err("neither auto nor a number from 1 to 1024".into()),
    }
}

/// What to do, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Interface names, each once, at least one, at most [`MAX_IFACES`].
    pub ifaces: Vec<String>,
    /// Whether no interface was named, so that this is [`DEFAULT_IFACE`].
    pub default_iface: bool,
    /// `FAMILY_*` bits of the packets to log.
    pub families: u32,
    /// Lines after which to stop.
    pub count: Option<u64>,
    /// Time after which to stop.
    pub duration: Option<Duration>,
    /// How to attach.
    pub mode: Mode,
    /// Ring size per CPU in bytes; `None` is the default size.
    pub buffer_size: Option<u64>,
    /// Sources told apart while packets find no room.
    pub overflow_sources: u32,
    /// Threads that read; `None` is as many as fit the machine.
    pub readers: Option<usize>,
    /// Print the start line.
    pub announce: bool,
    /// Print the summary in this form; `None` prints none.
    pub stats: Option<StatsFormat>,
    /// Whether the summary was asked for, and not just is the default.
    pub stats_explicit: bool,
    /// Created when all interfaces are attached.
    pub ready_file: Option<PathBuf>,
}

impl Config {
    /// The process's arguments; prints help, version or the usage error and
    /// exits where there is nothing to run.
    pub fn from_args() -> Config {
        Config::check(Args::parse()).unwrap_or_else(|err| err.exit())
    }

    /// The same from given arguments, the first being the program's name.
    pub fn try_from_iter<I, T>(args: I) -> Result<Config, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        Config::check(Args::try_parse_from(args)?)
    }

    fn check(args: Args) -> Result<Config, clap::Error> {
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
        if args.duration.is_some_and(|time| time.is_zero()) {
            return Err(usage(ErrorKind::ValueValidation, "--duration must not be 0".into()));
        }
        Ok(Config {
            ifaces,
            default_iface,
            families: match (args.ipv4, args.ipv6) {
                (true, _) => FAMILY_IPV4,
                (_, true) => FAMILY_IPV6,
                _ => FAMILY_IPV4 | FAMILY_IPV6,
            },
            count: args.count,
            duration: args.duration,
            mode: args.mode,
            buffer_size: args.buffer_size.map(|size| size.as_u64()),
            overflow_sources: args.overflow_sources,
            readers: args.readers.0,
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

    fn parse(args: &[&str]) -> Result<Config, clap::Error> {
        Config::try_from_iter(std::iter::once("xdplog").chain(args.iter().copied()))
    }

    #[test]
    fn definitions_are_sound() {
        Args::command().debug_assert();
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
