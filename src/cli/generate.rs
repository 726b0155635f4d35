//! What is made of the arguments' definition: completion scripts, the manual page.

#![forbid(unsafe_code)]

use clap::CommandFactory;

use super::args::{Args, Instead};

/// A completion script, or the manual page.
pub fn generate(instead: &Instead) -> Vec<u8> {
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
