//! Command-line arguments, checked into a [`Config`]. Neither files nor the
//! network are touched here.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::bpf::{FAMILY_IPV4, FAMILY_IPV6, MAX_IFACES};
use crate::sink::Plan;

/// The interface that is watched when none is named.
pub const DEFAULT_IFACE: &str = "eth0";

const EXIT_CODES: &str = "\
By default each packet is one line on stdout:
    LOG: SRC 192.168.1.205, ACTION 2
where ACTION is the XDP verdict: 0 aborted, 1 drop, 2 pass, 3 tx, 4 redirect.
Packets that find no room, as what reads the log does not keep up, are counted
by source and come out as a line for each, at least once a second:
    LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213
Messages and the summary go to stderr.

Signals: SIGUSR1 prints how it goes, as --stats-interval does; SIGHUP finishes
the file of --write and opens it anew, for logrotate; SIGINT and SIGTERM stop.

Exit status: 0 stopped as asked (also when the reader of stdout went away);
1 failure; 2 wrong usage; 3 the counts at the end did not agree;
130 stopped by a second Ctrl-C, or by one before it logs, at once and without a
summary.";

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

/// What the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// LOG: SRC 192.168.1.205, ACTION 2
    #[default]
    Classic,
    /// A line a packet in tcpdump's manner
    Text,
    /// An object a packet, each on a line (docs/json.md)
    Json,
    /// The frames themselves, for Wireshark
    Pcapng,
}

/// When to use colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do when the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnFull {
    /// End with the last whole record, and a failure
    #[default]
    Stop,
    /// Wait for room; packets are summarised meanwhile
    Wait,
}

/// What to do instead of logging.
#[derive(Subcommand, Debug)]
enum Instead {
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

#[derive(Parser, Debug)]
#[command(
    name = "xdplog",
    version,
    about = "Log every packet that arrives at a network interface, with the verdict XDP gave it",
    after_help = EXIT_CODES,
    max_term_width = 100,
    group(ArgGroup::new("rotates").args(["rotate_size", "rotate_interval"]).multiple(true)),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Args {
    #[command(subcommand)]
    instead: Option<Instead>,

    /// Interfaces to watch [default: eth0]
    #[arg(value_name = "IFACE")]
    ifaces: Vec<String>,

    /// Log IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Log IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// What the log looks like
    #[arg(short, long, value_enum, default_value_t)]
    format: FormatName,

    /// Write to this file instead of stdout, which - is; it must not exist
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,

    /// Begin another file before one gets longer than this: FILE with a number
    #[arg(long, value_name = "SIZE", requires = "write")]
    rotate_size: Option<ByteSize>,

    /// Begin another file when one is older than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = time, requires = "write")]
    rotate_interval: Option<Duration>,

    /// Keep the last N finished files of this run
    #[arg(long, value_name = "N", requires = "rotates",
          value_parser = clap::value_parser!(u32).range(1..))]
    rotate_keep: Option<u32>,

    /// Compress finished files with zstd
    #[arg(long, requires = "rotates")]
    compress: bool,

    /// Overwrite FILE, or the numbered files of an earlier run
    #[arg(long, requires = "write")]
    overwrite: bool,

    /// What to do when the disk is full
    #[arg(long, value_enum, default_value_t)]
    on_full: OnFull,

    /// Bytes of each frame in pcapng
    #[arg(long, value_name = "N", default_value_t = 262_144,
          value_parser = clap::value_parser!(u32).range(1..=262_144))]
    snaplen: u32,

    /// When to use colors, in the format text
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    /// Log one packet in N, on each CPU
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,

    /// Log no more than this many packets a second, such as 1000/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate_limit: Option<u32>,

    /// Stop after exactly N lines or frames
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Stop after this time, such as 500ms, 10s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = time)]
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

    /// Print how it goes on stderr this often; one live line on a terminal, if
    /// the log goes to a file
    #[arg(long, value_name = "TIME", value_parser = time)]
    stats_interval: Option<Duration>,

    /// Form of the summary on stderr [default: text]
    #[arg(long, value_name = "FORM", value_enum)]
    stats_format: Option<StatsFormat>,

    /// Create this file when all interfaces are attached
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

/// A time that is not zero.
fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("it must not be 0".into()),
        Ok(time) => Ok(time),
        Err(err) => Err(err.to_string()),
    }
}

/// What is printed more often, nobody reads.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// More a second than any machine sees packets.
const MAX_RATE: u32 = 1_000_000_000;

/// `1000/s`, or just the number.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate @ 1..=MAX_RATE) if !number.starts_with('+') => Ok(rate),
        _ => Err(format!("no number of packets a second from 1/s to {MAX_RATE}/s")),
    }
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
    /// What the log looks like.
    pub format: FormatName,
    /// Files to write to; `None` is stdout.
    pub files: Option<Plan>,
    /// Whether to wait for room on a disk that is full.
    pub wait_when_full: bool,
    /// Bytes of each frame; 0 where the format takes none.
    pub snaplen: u32,
    /// When to use colors.
    pub color: Color,
    /// Log one packet in this many; 0 is all.
    pub sample: u32,
    /// Log this many packets a second; 0 is all.
    pub rate: u32,
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
    /// How often to print how it goes.
    pub stats_interval: Option<Duration>,
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
    /// Given arguments, the first being the program's name.
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

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// To log.
    Log(Box<Config>),
    /// This on stdout, and nothing else.
    Print(Vec<u8>),
}

impl Request {
    /// The process's arguments; prints help, version or the usage error and
    /// exits where there is nothing to do.
    pub fn from_args() -> Request {
        let args = Args::parse();
        match &args.instead {
            Some(instead) => Request::Print(generate(instead)),
            None => Request::Log(Box::new(Config::check(args).unwrap_or_else(|err| err.exit()))),
        }
    }
}

/// A completion script, or the manual page.
fn generate(instead: &Instead) -> Vec<u8> {
    let mut command = Args::command();
    let mut text = Vec::new();
    match *instead {
        Instead::Completions { shell } => {
            clap_complete::generate(shell, &mut command, "xdplog", &mut text);
        }
        Instead::Man => {
            // It has no page of its own to refer to.
            let command = command.mut_subcommand("completions", |command| command.hide(true));
            // Cannot fail: it writes to memory.
            drop(clap_mangen::Man::new(command).render(&mut text));
        }
    }
    text
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
