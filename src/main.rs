//! The command: parse arguments, run, print what went wrong, exit. No more.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use xdplog::app::{self, Outcome};
use xdplog::cli::Config;
use xdplog::talk;

fn main() -> ExitCode {
    let config = Config::from_args();
    match app::run(&config) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Unbalanced) => ExitCode::from(3),
        Err(err) => {
            talk::say(&format!("xdplog: {err:#}"));
            ExitCode::FAILURE
        }
    }
}
