//! The command line: what was asked for, checked. Neither files nor the network are
//! touched here.

#![forbid(unsafe_code)]

mod args;
mod check;
mod error;
mod generate;
mod habits;
mod man;
mod manual;
#[cfg(test)]
mod tests;
mod values;

use clap::Parser;

use self::args::Args;
use self::generate::generate;
use crate::config::Config;
use crate::usage::UsageError;

/// What the arguments ask for.
#[derive(Debug)]
pub enum Request {
    /// To log.
    Log(Box<Config>),
    /// This on stdout, and nothing else.
    Print(Vec<u8>),
    /// To say which interfaces there are.
    List,
}

impl Request {
    /// What the process's arguments ask for; help goes in colors where these are
    /// welcome.
    pub fn from_args(colors: bool) -> Result<Request, UsageError> {
        let args = match Args::try_parse() {
            Ok(args) => args,
            // Help and version are none of its errors.
            Err(err) if !err.use_stderr() => {
                let text = err.render();
                let text = if colors { text.ansi().to_string() } else { text.to_string() };
                return Ok(Request::Print(text.into_bytes()));
            }
            Err(err) => return Err(error::from_clap(&err)),
        };
        match &args.instead {
            Some(instead) => Ok(Request::Print(generate(instead))),
            None if args.list_interfaces => Ok(Request::List),
            None => Ok(Request::Log(Box::new(Config::check(args)?))),
        }
    }
}
