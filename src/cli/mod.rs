//! The command line: what was asked for, checked. Neither files nor the network are
//! touched here.

#![forbid(unsafe_code)]

mod args;
mod check;
mod generate;
mod values;

use clap::Parser;

use self::args::Args;
use self::generate::generate;
use crate::config::Config;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// To log.
    Log(Box<Config>),
    /// This on stdout, and nothing else.
    Print(Vec<u8>),
}

impl Request {
    /// The process's arguments; prints help, version or the usage error and
    /// exits where there is nothing to do.
    pub fn from_args() -> Request {
        let args = Args::parse();
        match &args.instead {
            Some(instead) => Request::Print(generate(instead)),
            None => Request::Log(Box::new(Config::check(args).unwrap_or_else(|err| err.exit()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_sound() {
        Args::command().debug_assert();
    }
}
