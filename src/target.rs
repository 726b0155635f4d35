//! Where the log goes: what was asked for is found and opened, or refused. How it
//! is written to is not known here.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use nix::sys::stat::SFlag;

use crate::advice;
use crate::config::{Config, FormatName};
use crate::inherited;
use crate::sink::{Destination, Failure, Files, Framing, Full, Output, Place, Plan, kind};
use crate::talk::say;

/// What `--write` names.
enum Target {
    /// A descriptor that this process was started with.
    Inherited(RawFd),
    /// A pipe or device that is there.
    Device(Place),
    /// A file that is there, or is not yet; or what cannot be written to.
    File(Place),
}

/// Open what the log is written to. No link is followed: neither is one that leads to
/// a device, but for the names of descriptors.
pub fn open(config: &Config, framing: Framing, full: &Arc<Full>) -> Result<Destination> {
    let full = Arc::clone(full);
    let Some(plan) = &config.files else {
        let output = Output::inherited(1, full).map_err(|err| advice::no_stdout(&err))?;
        return stream(config, output, framing)?.map_err(|err| advice::no_stdout(&err));
    };
    let cannot_open = |err: io::Error| advice::cannot_open(&plan.path, &err);
    let target = find(&plan.path).map_err(cannot_open)?;
    if plan.rotates() && !matches!(target, Target::File(_)) {
        return Err(advice::no_rotation(&plan.path));
    }
    let alone = || say(&format!("xdplog: {}", advice::no_reader(&plan.path)));
    let output = match target {
        Target::File(place) => return files(plan, place, framing, full),
        Target::Inherited(number) => Output::inherited(number, full),
        Target::Device(place) => Output::device(&place, full, alone),
    };
    stream(config, output.map_err(cannot_open)?, framing)?.map_err(cannot_open)
}

fn find(path: &Path) -> io::Result<Target> {
    if let Some(number) = inherited::named(path) {
        return Ok(Target::Inherited(number));
    }
    let place = Place::of(path)?;
    Ok(match place.look()?.map(|stat| kind(&stat)) {
        None | Some(SFlag::S_IFREG | SFlag::S_IFDIR | SFlag::S_IFLNK) => Target::File(place),
        Some(_) => Target::Device(place),
    })
}

/// Write to it as it comes; the inner error is one that the caller knows the words
/// for.
fn stream(config: &Config, output: Output, framing: Framing) -> Result<io::Result<Destination>> {
    if config.format == FormatName::Pcapng && output.is_terminal() {
        return Err(advice::binary_to_terminal());
    }
    Ok(Destination::stream(output, framing))
}

fn files(plan: &Plan, base: Place, framing: Framing, full: Arc<Full>) -> Result<Destination> {
    let opened = Files::open(plan.clone(), base, framing, full)
        .and_then(|files| Destination::files(files).map_err(Failure::from));
    opened.map_err(|failure| {
        let path = failure.path.as_deref().unwrap_or(&plan.path);
        advice::cannot_open(path, &failure.err)
    })
}
