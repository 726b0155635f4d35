//! What the argument parser has to say, in one line like all that is refused: what
//! is wrong, on what, what to do next.

#![forbid(unsafe_code)]

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::habits;
use super::values::NoValue;
use crate::usage::UsageError;

/// What to do where nothing better is known.
const SEE_HELP: &str = "see `xdplog --help`";

/// In our words what clap refused.
pub fn from_clap(err: &clap::Error) -> UsageError {
    let invalid = text(err, ContextKind::InvalidArg)
        .or_else(|| text(err, ContextKind::InvalidSubcommand))
        .unwrap_or_default();
    let value = text(err, ContextKind::InvalidValue);
    match err.kind() {
        ErrorKind::UnknownArgument => habits::refusal(&invalid).unwrap_or_else(|| {
            let next = match suggested(err, ContextKind::SuggestedArg) {
                Some(near) => format!("did you mean `{near}`? `xdplog --help` lists all"),
                None => "`xdplog --help` lists all".into(),
            };
            let kind = if invalid.starts_with('-') { "option" } else { "argument" };
            UsageError::new(format!("there is no {kind} `{invalid}`"), next)
        }),
        ErrorKind::InvalidValue => no_such_value(err, &invalid, value.as_deref()),
        ErrorKind::ValueValidation => {
            let (why, next) = match err.source().and_then(<dyn Error>::downcast_ref::<NoValue>) {
                Some(no_value) => (no_value.why.clone(), no_value.next.clone()),
                None => ("it does not parse".into(), SEE_HELP.into()),
            };
            let value = value.unwrap_or_default();
            UsageError::new(format!("`{value}` is no value of {}: {why}", name(&invalid)), next)
        }
        ErrorKind::ArgumentConflict => conflict(err, name(&invalid)),
        ErrorKind::MissingRequiredArgument => {
            let missing = texts(err, ContextKind::InvalidArg).join(" and ");
            UsageError::new(format!("{missing} is missing"), format!("add it; {SEE_HELP}"))
        }
        ErrorKind::InvalidUtf8 => UsageError::new(
            "an argument is not UTF-8",
            "give it in UTF-8; names of files may be any",
        ),
        // What clap says of it first, as it knows the case and we do not.
        _ => {
            let said = err.to_string();
            let said = said.lines().next().unwrap_or_default();
            UsageError::new(said.strip_prefix("error: ").unwrap_or(said), SEE_HELP)
        }
    }
}

/// A word that is none of those that an option takes, or no word where one is due.
fn no_such_value(err: &clap::Error, invalid: &str, value: Option<&str>) -> UsageError {
    let option = name(invalid);
    let valid = texts(err, ContextKind::ValidValue);
    let value = value.filter(|value| !value.is_empty());
    let what = match value {
        Some(value) => format!("`{value}` is no value of {option}"),
        None => format!("{option} takes a value, and has none"),
    };
    let next = match (suggested(err, ContextKind::SuggestedValue), valid.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`? It takes {}", or(&valid)),
        (None, []) => format!("give one: `{}`", invalid.replace(['<', '>'], "")),
        (None, valid) => format!("give {}", or(valid)),
    };
    UsageError::new(what, next)
}

/// Two that exclude each other, or one that is there twice.
fn conflict(err: &clap::Error, option: &str) -> UsageError {
    let prior = texts(err, ContextKind::PriorArg);
    let prior: Vec<&str> = prior.iter().map(|prior| name(prior)).collect();
    if prior.contains(&option) {
        return UsageError::new(format!("{option} is given twice"), "give it once");
    }
    let others = if prior.is_empty() { "other arguments".into() } else { prior.join(", ") };
    UsageError::new(format!("{option} does not go together with {others}"), "leave one of them out")
}

/// An option without what it is followed by: `--count` of `--count <N>`.
fn name(arg: &str) -> &str {
    arg.split([' ', '=']).next().unwrap_or_default()
}

/// One text of an error's context.
fn text(err: &clap::Error, kind: ContextKind) -> Option<String> {
    texts(err, kind).into_iter().next()
}

/// All texts of it.
fn texts(err: &clap::Error, kind: ContextKind) -> Vec<String> {
    match err.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// The nearest that there is.
fn suggested(err: &clap::Error, kind: ContextKind) -> Option<String> {
    text(err, kind)
}

fn or(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}
