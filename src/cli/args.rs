//! The arguments as they may be given: the one definition that help, manual page
//! and completions come from. What they mean together is not known here.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueHint};

use super::manual::{DESCRIPTION, EXIT_STATUS, Part, SIGNALS};
use super::values::{Readers, rate, readers, size, snaplen, time, whole};
use crate::config::{Color, FormatName, Mode, OnFull, StatsFormat};

/// What the help ends with.
fn after_help() -> String {
    let mut help = String::new();
    for part in DESCRIPTION {
        help += &match part {
            Part::Text(text) => format!("{text}\n"),
            Part::Line(line) => format!("    {line}\n"),
        };
    }
    for (title, entries) in [("Signals", SIGNALS), ("Exit status", EXIT_STATUS)] {
        help += &format!("\n{title}:\n");
        for (term, meaning) in entries {
            help += &format!("  {term}: {meaning}\n");
        }
    }
    help + "\nThe manual page, xdplog(1), has examples."
}

/// What to do instead of logging.
#[derive(Subcommand, Debug)]
pub enum Instead {
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
    override_usage = USAGE,
    after_help = after_help(),
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(subcommand)]
    pub instead: Option<Instead>,

    /// Interfaces to watch [default: eth0]
    #[arg(value_name = "IFACE", help_heading = WHICH)]
    pub ifaces: Vec<String>,

    /// An interface to watch; may be given several times, and then no other is named
    /// without it. `any` stands for all that are up
    #[arg(short = 'i', long, value_name = "IFACE", help_heading = WHICH)]
    pub interface: Vec<String>,

    /// Print which interfaces there are: whether each is up, whether its driver has
    /// native XDP, and which XDP program is on it
    #[arg(short = 'D', long, exclusive = true, help_heading = WHICH)]
    pub list_interfaces: bool,

    /// Log IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = WHICH)]
    pub ipv4: bool,

    /// Log IPv6 only
    #[arg(short = '6', long, help_heading = WHICH)]
    pub ipv6: bool,

    /// Log one packet in N, on each CPU
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=MAX), help_heading = WHICH)]
    pub sample: Option<u32>,

    /// Log no more than this many packets a second, such as 1000/s
    #[arg(long, value_name = "N/s", value_parser = rate, help_heading = WHICH)]
    pub rate_limit: Option<u32>,

    /// Stop after exactly N lines or frames
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX),
          allow_negative_numbers = true, help_heading = WHICH)]
    pub count: Option<u64>,

    /// Stop after this time, such as 500ms, 10s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = WHICH)]
    pub duration: Option<Duration>,

    /// What the log looks like [default: what FILE of --write ends in says: .pcapng, .pcap,
    /// .json, .jsonl or .ndjson; else classic]
    #[arg(short, long, value_enum, help_heading = HOW)]
    pub format: Option<FormatName>,

    /// Show MAC addresses, in text and JSON
    #[arg(short = 'e', help_heading = HOW)]
    pub macs: bool,

    /// Show the bytes of each packet in hex below its line of text; -xx shows its
    /// link's header, too
    #[arg(short = 'x', action = ArgAction::Count, help_heading = HOW)]
    pub hex: u8,

    /// The same in hex and ASCII; -XX shows its link's header, too
    #[arg(short = 'X', action = ArgAction::Count, help_heading = HOW)]
    pub hex_and_ascii: u8,

    /// Time in text: -t none, -tt seconds since 1970, -ttt since the line before,
    /// -tttt with the date, -ttttt since the first line
    #[arg(short = 't', action = ArgAction::Count, help_heading = HOW)]
    pub times: u8,

    /// Bytes of each frame in pcapng, and that -x and -X show; 0 is all [default: 0]
    #[arg(short = 's', long, alias = "snapshot-length", value_name = "N",
          value_parser = snaplen, allow_negative_numbers = true, help_heading = HOW)]
    pub snaplen: Option<u32>,

    /// When to use colors, in the format text [default: auto]
    #[arg(long, value_enum, value_name = "WHEN", help_heading = HOW)]
    pub color: Option<Color>,

    /// Write to this file instead of stdout, which - is; it must not exist, or be
    /// empty
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath,
          help_heading = WHERE)]
    pub write: Option<PathBuf>,

    /// Begin another file before one gets longer than this: FILE with a number
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = WHERE)]
    pub rotate_size: Option<u64>,

    /// Begin another file when one is older than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = WHERE)]
    pub rotate_interval: Option<Duration>,

    /// Keep the last N finished files, those of earlier runs among them
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=MAX), help_heading = WHERE)]
    pub rotate_keep: Option<u32>,

    /// Compress finished files with zstd
    #[arg(long, help_heading = WHERE)]
    pub compress: bool,

    /// Replace FILE, or the numbered files of earlier runs
    #[arg(long, help_heading = WHERE)]
    pub overwrite: bool,

    /// What to do when the disk is full [default: stop]
    #[arg(long, value_enum, help_heading = WHERE)]
    pub on_full: Option<OnFull>,

    /// Where the XDP program runs
    #[arg(long, value_enum, default_value_t, help_heading = RUN)]
    pub mode: Mode,

    /// Ring size for each CPU, rounded up to a power of two of pages
    /// [default: 8MiB, all CPUs together at most 1% of memory]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = RUN)]
    pub buffer_size: Option<u64>,

    /// Sources that are told apart while packets find no room in the ring; the
    /// rest is one line for each verdict
    #[arg(long, value_name = "N", default_value_t = 65_536,
          value_parser = whole::<u32>(1..=1_048_576), help_heading = RUN)]
    pub overflow_sources: u32,

    /// Threads that read the rings, each those of some CPUs, or auto: one for
    /// each 16 CPUs
    #[arg(long, value_name = "N", default_value = "auto", value_parser = readers,
          help_heading = RUN)]
    pub readers: Readers,

    /// Create this file when all interfaces are attached, and remove it at the end
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, help_heading = RUN)]
    pub ready_file: Option<PathBuf>,

    /// No start line and no summary; warnings, losses and errors remain, and a
    /// summary asked for with --stats-format
    #[arg(short, long, help_heading = SAID)]
    pub quiet: bool,

    /// Print how it goes on stderr this often; one live line on a terminal, if
    /// the log goes to a file
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = SAID)]
    pub stats_interval: Option<Duration>,

    /// Form of the summary on stderr [default: text]
    #[arg(long, value_name = "FORM", value_enum, help_heading = SAID)]
    pub stats_format: Option<StatsFormat>,

    /// Names are never looked up
    #[arg(short = 'n', overrides_with = "numeric", help_heading = ALWAYS)]
    pub numeric: bool,

    /// What was logged is never kept waiting: lines go out with the packets that
    /// they are about, at most 1.25 ms later
    #[arg(short = 'l', overrides_with = "line_buffered", help_heading = ALWAYS)]
    pub line_buffered: bool,

    /// The same for frames in files
    #[arg(short = 'U', long, alias = "immediate-mode", overrides_with = "packet_buffered",
          help_heading = ALWAYS)]
    pub packet_buffered: bool,
}

/// Interfaces are named in one of two ways, which clap cannot say by itself.
const USAGE: &str = "xdplog [OPTIONS] [IFACE]...
       xdplog [OPTIONS] -i IFACE [-i IFACE]...
       xdplog completions <SHELL>";

/// As many as a counter of 32 bits holds.
const MAX: u64 = u32::MAX as u64;

const WHICH: &str = "Which packets";
const HOW: &str = "What the log looks like";
const WHERE: &str = "Where the log goes";
const RUN: &str = "How it runs";
const SAID: &str = "What it says on stderr";
const ALWAYS: &str = "Accepted for tcpdump's users, as it is always so";
