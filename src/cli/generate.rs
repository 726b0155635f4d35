//! What is made of the arguments' definition: completion scripts, the manual page.

#![forbid(unsafe_code)]

use clap::CommandFactory;

use super::args::{Args, Instead};
use super::man;

/// A completion script, or the manual page.
pub fn generate(instead: &Instead) -> Vec<u8> {
    let mut command = Args::command();
    let mut text = Vec::new();
    match *instead {
        Instead::Completions { shell } => {
            clap_complete::generate(shell, &mut command, "xdplog", &mut text);
        }
        Instead::Man => text.extend(man::page(command).into_bytes()),
    }
    text
}
