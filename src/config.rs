//! What a run is to do: values that were checked. How they were asked for is not
//! known here, and nothing is done.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use crate::bpf::{FAMILY_IPV4, FAMILY_IPV6, NOT_IP_BROKEN, NOT_IP_OTHER};
use crate::format::{Dump, TimeStyle};
use crate::sink::Plan;

/// The interface that is watched when none is named.
pub const DEFAULT_IFACE: &str = "eth0";

/// How to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Native where the driver can, else generic.
    #[default]
    Auto,
    /// In the driver, before the kernel allocates a buffer.
    Native,
    /// In the network stack: any interface, but slower.
    Generic,
}

/// The form of the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatsFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object on one line.
    Json,
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormatName {
    /// LOG: SRC 192.168.1.205, ACTION 2.
    #[default]
    Classic,
    /// A line a packet in tcpdump's manner.
    Text,
    /// An object a packet, each on a line (docs/json.md).
    Json,
    /// The frames themselves, for Wireshark.
    Pcapng,
}

/// When to use colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do when the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// End with the last whole record, and a failure.
    #[default]
    Stop,
    /// Wait for room; packets are summarised meanwhile.
    Wait,
}

/// What to do, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether to watch all interfaces that are up, beside those named.
    pub any: bool,
    /// Interface names, each once, at least one but for `any`, at most [`MAX_IFACES`](crate::bpf::MAX_IFACES).
    pub ifaces: Vec<String>,
    /// Whether no interface was named, so that this is [`DEFAULT_IFACE`].
    pub default_iface: bool,
    /// `FAMILY_*` bits of the packets to log.
    pub families: u32,
    /// What the log looks like.
    pub format: FormatName,
    /// Files to write to; `None` is stdout.
    pub files: Option<Plan>,
    /// What to say of the file's name.
    pub note: Option<String>,
    /// Whether to wait for room on a disk that is full.
    pub wait_when_full: bool,
    /// Bytes of each frame; 0 where the format takes none.
    pub snaplen: u32,
    /// When to use colors.
    pub color: Color,
    /// How lines of text tell the time.
    pub times: TimeStyle,
    /// Whether lines and objects have the MAC addresses of packets of IP.
    pub macs: bool,
    /// What of each frame is shown below its line of text.
    pub dump: Option<Dump>,
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
    /// `NOT_IP_*` bits of the frames to log though they are not IP: those that the
    /// format has words for, unless a family is asked for.
    pub fn not_ip(&self) -> u32 {
        match self.format {
            _ if self.families != FAMILY_IPV4 | FAMILY_IPV6 => 0,
            FormatName::Classic => 0,
            FormatName::Json => NOT_IP_OTHER,
            FormatName::Text | FormatName::Pcapng => NOT_IP_OTHER | NOT_IP_BROKEN,
        }
    }
}
