//! Arguments, checked into a [`Config`]. Neither files nor the network are touched
//! here.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use clap::Parser;

use super::args::Args;
use super::values::WHOLE_FRAME;
use super::{error, habits};
use crate::bpf::{FAMILY_IPV4, FAMILY_IPV6, MAX_IFACES};
use crate::config::{Config, DEFAULT_IFACE, FormatName, OnFull};
use crate::format::{Dump, TimeStyle};
use crate::names::plain;
use crate::sink::Plan;
use crate::usage::UsageError;

/// What is printed more often, nobody reads.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

impl Config {
    /// Given arguments, the first being the program's name.
    pub fn try_from_iter<I, T>(args: I) -> Result<Config, UsageError>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let args = Args::try_parse_from(args).map_err(|err| error::from_clap(&err))?;
        Config::check(args)
    }

    pub(super) fn check(args: Args) -> Result<Config, UsageError> {
        let format = args.format.unwrap_or_else(|| format_of(args.write.as_deref()));
        idle(&args, format)?;
        let note = args.write.as_deref().and_then(|path| note(path, format));
        if args.stats_interval.is_some_and(|time| time < MIN_INTERVAL) {
            return Err(UsageError::new(
                format!("--stats-interval is shorter than {MIN_INTERVAL:?}"),
                "give a longer one, such as 1s",
            ));
        }
        let times = times(&args)?;
        let readers = readers(&args, times)?;
        let dump = dump(&args);
        let files = plan(&args);
        let snaplen = captured(&args, format, dump);
        let (any, mut ifaces) = interfaces(args.ifaces, args.interface)?;
        let default_iface = !any && ifaces.is_empty();
        if default_iface {
            ifaces.push(DEFAULT_IFACE.into());
        }
        Ok(Config {
            any,
            default_iface,
            ifaces,
            families: match (args.ipv4, args.ipv6) {
                (true, _) => FAMILY_IPV4,
                (_, true) => FAMILY_IPV6,
                _ => FAMILY_IPV4 | FAMILY_IPV6,
            },
            format,
            files,
            note,
            wait_when_full: args.on_full == Some(OnFull::Wait),
            snaplen,
            color: args.color.unwrap_or_default(),
            times,
            macs: args.macs,
            dump,
            sample: args.sample.unwrap_or(0),
            rate: args.rate_limit.unwrap_or(0),
            count: args.count,
            duration: args.duration,
            mode: args.mode,
            buffer_size: args.buffer_size,
            overflow_sources: args.overflow_sources,
            readers,
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

/// What stands for all interfaces, behind `-i`. One that is called so is named by
/// itself.
const ANY: &str = "any";

/// Whether all interfaces are meant, and those named, each once: by -i, or by
/// themselves.
fn interfaces(words: Vec<String>, options: Vec<String>) -> Result<(bool, Vec<String>), UsageError> {
    if !options.is_empty() && !words.is_empty() {
        return Err(habits::words_with_interfaces(&words));
    }
    let any = options.iter().any(|name| name == ANY);
    let options = options.into_iter().filter(|name| name != ANY);
    let mut ifaces: Vec<String> = Vec::new();
    for name in words.into_iter().chain(options) {
        if !ifaces.contains(&name) {
            ifaces.push(name);
        }
    }
    if ifaces.len() > MAX_IFACES {
        return Err(UsageError::new(
            format!("{} interfaces are more than can be watched at once", ifaces.len()),
            format!("name {MAX_IFACES} at most, and start another for the others"),
        ));
    }
    Ok((any, ifaces))
}

/// The files to write to.
fn plan(args: &Args) -> Option<Plan> {
    let path = args.write.clone().filter(|path| path.as_os_str() != "-")?;
    Some(Plan {
        path,
        size: args.rotate_size,
        interval: args.rotate_interval,
        keep: args.rotate_keep.map(|keep| keep as usize),
        compress: args.compress,
        overwrite: args.overwrite,
    })
}

/// Bytes to capture of each frame.
fn captured(args: &Args, format: FormatName, dump: Option<Dump>) -> u32 {
    let macs = if args.macs { ETHERNET } else { 0 };
    match format {
        FormatName::Pcapng => args.snaplen.unwrap_or(WHOLE_FRAME),
        _ => dump.map_or(0, |dump| dump.snaplen).max(macs),
    }
}

/// How lines tell the time, by how often -t is there.
fn times(args: &Args) -> Result<TimeStyle, UsageError> {
    Ok(match args.times {
        0 => TimeStyle::TimeOfDay,
        1 => TimeStyle::None,
        2 => TimeStyle::Epoch,
        3 => TimeStyle::SincePrevious,
        4 => TimeStyle::DateAndTime,
        5 => TimeStyle::SinceFirst,
        _ => {
            let what = "-t is given more than five times";
            return Err(UsageError::new(what, "give -t, -tt, -ttt, -tttt or -ttttt"));
        }
    })
}

/// How many threads read. What is before a line is one thing for one reader only.
fn readers(args: &Args, times: TimeStyle) -> Result<Option<usize>, UsageError> {
    if !matches!(times, TimeStyle::SincePrevious | TimeStyle::SinceFirst) {
        return Ok(args.readers.0);
    }
    match args.readers.0 {
        None | Some(1) => Ok(Some(1)),
        Some(_) => Err(UsageError::new(
            "-ttt and -ttttt tell the time since another line, which several --readers do not know",
            "leave --readers out, or use -tt",
        )),
    }
}

/// What is shown of each frame. -X outdoes -x, as for tcpdump.
fn dump(args: &Args) -> Option<Dump> {
    let ascii = args.hex_and_ascii > 0;
    let level = if ascii { args.hex_and_ascii } else { args.hex };
    let snaplen = args.snaplen.unwrap_or(WHOLE_FRAME);
    (level > 0).then_some(Dump { ascii, link: level > 1, snaplen })
}

/// Bytes of Ethernet's header, in which the MAC addresses are.
const ETHERNET: u32 = 14;

/// What the end of a file's name says of its format.
fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// The format where none is asked for.
fn format_of(write: Option<&Path>) -> FormatName {
    match write.map(extension).unwrap_or_default().as_str() {
        // What reads .pcap files reads pcapng in them, but for what is very old.
        "pcapng" | "pcap" | "cap" => FormatName::Pcapng,
        "json" | "jsonl" | "ndjson" => FormatName::Json,
        _ => FormatName::Classic,
    }
}

/// What to say of a file that will not hold what its name says.
fn note(path: &Path, format: FormatName) -> Option<String> {
    let is_pcap = matches!(extension(path).as_str(), "pcap" | "cap");
    (is_pcap && format == FormatName::Pcapng).then(|| {
        let file = plain(path);
        format!(
            "{file}: what is written is pcapng, which tcpdump, tshark and Wireshark read under \
             any name; for what reads pcap only: `editcap -F pcap {file} NEW.pcap`"
        )
    })
}

/// Refuse options that would do nothing.
fn idle(args: &Args, format: FormatName) -> Result<(), UsageError> {
    let to_file = args.write.as_ref().is_some_and(|path| path.as_os_str() != "-");
    let rotates = args.rotate_size.is_some() || args.rotate_interval.is_some();
    let is_text = format == FormatName::Text;
    let captures = format == FormatName::Pcapng || dump(args).is_some();
    let (file, text) = ("--write FILE", "--format text");
    let rotation = "--rotate-size or --rotate-interval";
    for (given, option, is_used, without) in [
        (args.rotate_size.is_some(), "--rotate-size", to_file, file),
        (args.rotate_interval.is_some(), "--rotate-interval", to_file, file),
        (args.rotate_keep.is_some(), "--rotate-keep", rotates, rotation),
        (args.compress, "--compress", rotates, rotation),
        (args.overwrite, "--overwrite", to_file, file),
        // Stdout may lead to a disk: who means that says so by `-w -`.
        (args.on_full.is_some(), "--on-full", args.write.is_some(), file),
        // Whole frames are the default, and tcpdump's users ask for them by habit.
        (
            args.snaplen.is_some_and(|len| len != WHOLE_FRAME),
            "--snaplen",
            captures,
            "--format pcapng, -x or -X",
        ),
        (args.color.is_some(), "--color", is_text, text),
        (args.macs, "-e", is_text || format == FormatName::Json, "--format text or json"),
        (args.hex > 0, "-x", is_text, text),
        (args.hex_and_ascii > 0, "-X", is_text, text),
        (args.times > 0, "-t", is_text, text),
    ] {
        if given && !is_used {
            return Err(UsageError::new(
                format!("{option} does nothing without {without}"),
                format!("add {without}, or leave {option} out"),
            ));
        }
    }
    Ok(())
}
