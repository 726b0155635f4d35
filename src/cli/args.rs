//! The arguments as they may be given: the one definition that help, manual page
//! and completions come from. What they mean together is not known here.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{ArgGroup, Parser, Subcommand};

use super::values::{Readers, rate, readers, time};
use crate::config::{Color, FormatName, Mode, OnFull, StatsFormat};

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
    after_help = EXIT_CODES,
    max_term_width = 100,
    group(ArgGroup::new("rotates").args(["rotate_size", "rotate_interval"]).multiple(true)),
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(subcommand)]
    pub instead: Option<Instead>,

    /// Interfaces to watch [default: eth0]
    #[arg(value_name = "IFACE")]
    pub ifaces: Vec<String>,

    /// Log IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,

    /// Log IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,

    /// What the log looks like
    #[arg(short, long, value_enum, default_value_t)]
    pub format: FormatName,

    /// Write to this file instead of stdout, which - is; it must not exist
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Begin another file before one gets longer than this: FILE with a number
    #[arg(long, value_name = "SIZE", requires = "write")]
    pub rotate_size: Option<ByteSize>,

    /// Begin another file when one is older than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = time, requires = "write")]
    pub rotate_interval: Option<Duration>,

    /// Keep the last N finished files of this run
    #[arg(long, value_name = "N", requires = "rotates",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub rotate_keep: Option<u32>,

    /// Compress finished files with zstd
    #[arg(long, requires = "rotates")]
    pub compress: bool,

    /// Overwrite FILE, or the numbered files of an earlier run
    #[arg(long, requires = "write")]
    pub overwrite: bool,

    /// What to do when the disk is full
    #[arg(long, value_enum, default_value_t)]
    pub on_full: OnFull,

    /// Bytes of each frame in pcapng
    #[arg(long, value_name = "N", default_value_t = 262_144,
          value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub snaplen: u32,

    /// When to use colors, in the format text
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,

    /// Log one packet in N, on each CPU
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,

    /// Log no more than this many packets a second, such as 1000/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate_limit: Option<u32>,

    /// Stop after exactly N lines or frames
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Stop after this time, such as 500ms, 10s or 1h30m
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,

    /// Where the XDP program runs
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,

    /// Ring size for each CPU, rounded up to a power of two of pages
    /// [default: 8MiB, all CPUs together at most 1% of memory]
    #[arg(long, value_name = "SIZE")]
    pub buffer_size: Option<ByteSize>,

    /// Sources that are told apart while packets find no room in the ring; the
    /// rest is one line for each verdict
    #[arg(long, value_name = "N", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub overflow_sources: u32,

    /// Threads that read the rings, each those of some CPUs, or auto: one for
    /// each 16 CPUs
    #[arg(long, value_name = "N", default_value = "auto", value_parser = readers)]
    pub readers: Readers,

    /// No start line and no summary; warnings, losses and errors remain, and a
    /// summary asked for with --stats-format
    #[arg(short, long)]
    pub quiet: bool,

    /// Print how it goes on stderr this often; one live line on a terminal, if
    /// the log goes to a file
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub stats_interval: Option<Duration>,

    /// Form of the summary on stderr [default: text]
    #[arg(long, value_name = "FORM", value_enum)]
    pub stats_format: Option<StatsFormat>,

    /// Create this file when all interfaces are attached
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
}
