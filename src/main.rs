//! The command: parse arguments, run, print what went wrong, exit. No more.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use nix::libc::EBADF;
use xdplog::app::{self, Outcome};
use xdplog::cli::Request;
use xdplog::probe::advice;
use xdplog::usage::UsageError;
use xdplog::{inherited, list, ready, signals, talk};

fn main() -> ExitCode {
    talk::say_panics();
    // First of all, as either would be the end until it is heeded.
    if let Err(err) = signals::block() {
        return fail(&err);
    }
    let config = match Request::from_args(app::is_colorful()) {
        Ok(Request::Log(config)) => config,
        Ok(Request::Print(text)) => return print(&text),
        Ok(Request::List) => {
            return list::interfaces().map_or_else(|err| fail(&err), |text| print(text.as_bytes()));
        }
        Err(err) => {
            ready::clear_of_refused(std::env::args_os());
            return fail(&err.into());
        }
    };
    match app::run(&config) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Unbalanced) => ExitCode::from(3),
        Err(err) => fail(&err),
    }
}

fn fail(err: &anyhow::Error) -> ExitCode {
    talk::say(&format!("xdplog: {err:#}"));
    if err.is::<UsageError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// On stdout; a reader who went away has what it wanted.
fn print(text: &[u8]) -> ExitCode {
    if inherited::was_closed(1) {
        return fail(&advice::cannot_print(&io::Error::from_raw_os_error(EBADF)));
    }
    let mut stdout = io::stdout();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(err) if err.kind() != ErrorKind::BrokenPipe => fail(&advice::cannot_print(&err)),
        _ => ExitCode::SUCCESS,
    }
}
