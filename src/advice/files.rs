//! What to say about the log's files, stdout, and the ready file.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Error, anyhow};
use nix::libc;

use crate::names::plain;
use crate::probe::advice::packets;
use crate::sink::{Failure, Plan, Refusal};

fn refusal(err: &io::Error) -> Option<Refusal> {
    err.get_ref().and_then(|err| err.downcast_ref()).copied()
}

/// The output failed, of which files were asked for by `plan`, or none; whether it
/// `waits` for room; and so many packets were not written.
pub fn output_failed(failure: &Failure, plan: Option<&Plan>, waits: bool, dropped: u64) -> Error {
    let Failure { doing, path, err } = failure;
    let path = path.as_deref().or(plan.map(|plan| plan.path.as_path()));
    let to = path.map_or("stdout".into(), plain);
    let is_log = plan.is_some() && *doing != "compress";
    let next = match err.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded if is_log && !waits => {
            "make room there, or let it wait with `--on-full wait`".into()
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded if plan.is_none() && !waits => {
            "make room where it leads, or let it wait with `-w - --on-full wait`".into()
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there".into(),
        ErrorKind::FileTooLarge if is_log && !plan.is_some_and(Plan::rotates) => {
            "raise the limit on the size of files (`ulimit -f`), or begin others in time with \
             --rotate-size"
                .into()
        }
        ErrorKind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`)".into(),
        ErrorKind::AlreadyExists => "see what is in the way, and move it".into(),
        ErrorKind::NotFound => "see what became of its directory".into(),
        _ if refusal(err).is_some() => "see who put it there".into(),
        _ => format!("see where {to} leads"),
    };
    let dropped = match dropped {
        0 => String::new(),
        1 => "; 1 packet was not written".into(),
        _ => format!("; {} were not written", packets(dropped)),
    };
    anyhow!("cannot {doing} {to}: {err}{dropped}. Next: {next}")
}

/// The log file cannot be opened.
pub fn cannot_open(path: &Path, err: &io::Error) -> Error {
    let path = plain(path);
    let next = match refusal(err) {
        None if err.kind() == ErrorKind::AlreadyExists => {
            return anyhow!(
                "{path} exists already, and is not overwritten. \
                 Next: name another file, or give --overwrite"
            );
        }
        None | Some(Refusal::NoFile | Refusal::Used) => "name another file with --write",
        Some(Refusal::Link) => "name what it leads to with --write",
        Some(Refusal::Owner(_) | Refusal::Names(_)) => {
            "see who put it there, or name another file with --write"
        }
    };
    anyhow!("cannot open {path}: {err}. Next: {next}")
}

/// Stdout cannot be used.
pub fn no_stdout(err: &io::Error) -> Error {
    match err.raw_os_error() {
        Some(libc::EBADF) => anyhow!(
            "stdout is closed, or not open for writing: the log would be lost. \
             Next: let it lead somewhere, or write to a file with `-w FILE`"
        ),
        _ => anyhow!("cannot use stdout: {err}. Next: write to a file with `-w FILE`"),
    }
}

/// The log goes to a pipe that nobody has opened to read.
pub fn no_reader(path: &Path) -> String {
    format!(
        "{} is a pipe that nobody reads yet, and nothing is logged until someone does. \
         Next: read it, with `cat` for one, or press Ctrl-C",
        plain(path)
    )
}

/// What is written to is no file.
pub fn no_rotation(path: &Path) -> Error {
    anyhow!(
        "{} is no regular file, so there is nothing to rotate. \
         Next: leave out --rotate-size and --rotate-interval",
        plain(path)
    )
}

/// pcapng would go to a terminal.
pub fn binary_to_terminal() -> Error {
    anyhow!(
        "pcapng is not for a terminal. Next: write it to a file with `-w FILE`, or pipe it to \
         what reads it"
    )
}

/// The disk is full and is waited for, or is not any more.
pub fn disk_full(is_full: bool) -> &'static str {
    if is_full {
        "no room to write: waiting for it; packets that find none in the ring are summarised"
    } else {
        "there is room to write again"
    }
}

/// The ready file cannot be made, or one that is there not be removed.
pub fn ready_file(path: &Path, err: &io::Error) -> Error {
    let path = plain(path);
    match err.kind() {
        ErrorKind::AlreadyExists => anyhow!(
            "cannot create the ready file {path}: it exists, and is no ready file, which is \
             empty. Next: name another path with --ready-file"
        ),
        _ => anyhow!(
            "cannot create the ready file {path}: {err}. \
             Next: name another path with --ready-file"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn every_refusal_is_one_line_with_the_next_step() {
        let to_log = Plan { path: "/l".into(), ..Plan::default() };
        let rotated = Plan { size: Some(1), ..to_log.clone() };
        let failed = |doing, path: Option<&str>, code| Failure {
            doing,
            path: path.map(Into::into),
            err: os(code),
        };
        let failed_writing =
            |code, plan, waits| output_failed(&failed("write to", None, code), plan, waits, 7);
        let path = Path::new("/l");
        for (err, parts, not) in [
            (
                failed_writing(libc::EIO, Some(&to_log), false),
                &["write to /l", "7 packets were"][..],
                "on-full",
            ),
            (
                failed_writing(libc::ENOSPC, Some(&to_log), false),
                &["make room", "--on-full wait"],
                "stdout",
            ),
            (failed_writing(libc::ENOSPC, Some(&to_log), true), &["make room"], "on-full"),
            (
                failed_writing(libc::ENOSPC, None, false),
                &["stdout", "-w - --on-full wait"],
                "there",
            ),
            (failed_writing(libc::ENOSPC, None, true), &["stdout", "make room there"], "on-full"),
            (
                failed_writing(libc::EFBIG, Some(&to_log), true),
                &["ulimit -f", "--rotate-size"],
                "room",
            ),
            (failed_writing(libc::EFBIG, Some(&rotated), false), &["ulimit -f"], "rotate-size"),
            (failed_writing(libc::EFBIG, None, false), &["stdout", "ulimit -f"], "rotate-size"),
            (
                output_failed(
                    &failed("open", Some("/l-000007"), libc::EACCES),
                    Some(&rotated),
                    false,
                    1,
                ),
                &["cannot open /l-000007: Permission", "; 1 packet was not written."],
                "/l:",
            ),
            (
                output_failed(
                    &failed("compress", Some("/l-000007"), libc::ENOSPC),
                    Some(&rotated),
                    false,
                    0,
                ),
                &["cannot compress /l-000007: ", "Next: make room there"],
                "on-full",
            ),
            (cannot_open(path, &os(libc::EEXIST)), &["/l exists", "--overwrite"], "open"),
            (cannot_open(path, &os(libc::EACCES)), &["cannot open /l", "--write"], "overwrite"),
            (cannot_open(path, &Refusal::Link.into()), &["symbolic link", "leads to"], "overwrite"),
            (cannot_open(path, &Refusal::Used.into()), &["another xdplog", "--write"], "who put"),
            (cannot_open(path, &Refusal::Owner(7).into()), &["uid 7", "who put it"], "overwrite"),
            (no_stdout(&os(libc::EBADF)), &["stdout is closed", "-w FILE"], "Bad file"),
            (no_stdout(&os(libc::EIO)), &["cannot use stdout", "-w FILE"], "closed"),
            (no_rotation(Path::new("/dev/null")), &["/dev/null", "--rotate-size"], "open"),
            (binary_to_terminal(), &["-w FILE"], "stdout"),
            (ready_file(path, &os(libc::EEXIST)), &["/l: it exists", "--ready-file"], "os error"),
            (ready_file(path, &os(libc::EACCES)), &["/l: Permission", "--ready-file"], "exists"),
        ] {
            let text = format!("{err:#}");
            assert!(!text.contains('\n'), "{text}");
            assert!(text.contains("Next: "), "{text}");
            for part in parts {
                assert!(text.contains(part), "{part:?} in {text:?}");
            }
            assert!(!text.contains(not), "{not:?} in {text:?}");
        }
    }
}
