//! The manual page, from the arguments' definition and the manual's words: laid out
//! in the macros of man(7). What it says is not known here.

#![forbid(unsafe_code)]

use clap::{Arg, ArgAction, Command};
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::manual::{
    DESCRIPTION, ENVIRONMENT, EXAMPLES, EXIT_STATUS, Entry, FILES, FORMS, Part, SEE_ALSO, SIGNALS,
};

/// The day of the page's last change.
const DATE: &str = "2026-11-24";

/// The page of `command`.
pub fn page(mut command: Command) -> String {
    command.build();
    let version = command.get_version().unwrap_or_default();
    let mut page = Roff::new();
    let title = command.get_name().to_uppercase();
    page.control("TH", [&title, "1", DATE, &format!("xdplog {version}"), "User Commands"]);
    // No hyphens that are none of an option's, and no gaps between words.
    page.control("nh", []).control("ad", ["l"]);
    section(&mut page, "NAME");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    paragraph(&mut page, &format!("{} - {}", command.get_name(), lower_first(&about)));
    section(&mut page, "SYNOPSIS");
    synopsis(&mut page, &command);
    section(&mut page, "DESCRIPTION");
    description(&mut page);
    section(&mut page, "OPTIONS");
    options(&mut page, &command);
    for (title, entries) in [
        ("SIGNALS", SIGNALS),
        ("EXIT STATUS", EXIT_STATUS),
        ("ENVIRONMENT", ENVIRONMENT),
        ("FILES", FILES),
    ] {
        section(&mut page, title);
        entries.iter().for_each(|&entry| tagged(&mut page, entry));
    }
    section(&mut page, "EXAMPLES");
    examples(&mut page);
    section(&mut page, "SEE ALSO");
    see_also(&mut page);
    page.render()
}

fn section(page: &mut Roff, title: &str) {
    page.control("SH", [title]);
}

/// Text in lines of less than 80 bytes, as the source of a page is to have.
fn paragraph(page: &mut Roff, text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        // A hyphen is written as two bytes.
        let len = |text: &str| text.len() + text.matches('-').count();
        if !line.is_empty() && len(&line) + 1 + len(word) >= 80 {
            page.text([roman(std::mem::take(&mut line))]);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    page.text([roman(line)]);
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// All options with their values, and the commands; a hanging paragraph for each.
fn synopsis(page: &mut Roff, command: &Command) {
    let name = command.get_name();
    for (index, form) in FORMS.into_iter().enumerate() {
        hanging(page, name);
        if index == 0 {
            let names_none = |arg: &&Arg| !FORMS.contains(&arg.get_id().as_str());
            visible(command).filter(names_none).for_each(|arg| optional(page, arg));
        } else {
            page.text([roman("["), italic("OPTIONS"), roman("]")]);
        }
        for arg in visible(command).filter(|arg| arg.get_id().as_str() == form) {
            // It is this form only if the option is there.
            if !arg.is_positional() {
                page.text(header(arg, "|", "|"));
            }
            optional(page, arg);
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        hanging(page, &format!("{name} {}", sub.get_name()));
        for arg in sub.get_arguments().filter(|arg| arg.is_positional()) {
            page.text(values(arg, "|"));
        }
    }
}

/// `[-c|--count N]`: what may be left out.
fn optional(page: &mut Roff, arg: &Arg) {
    let mut line = vec![roman("[")];
    line.extend(header(arg, "|", "|"));
    line.push(roman(if is_repeated(arg) { "]..." } else { "]" }));
    page.text(line);
}

/// A paragraph of which all lines but the first are indented.
fn hanging(page: &mut Roff, name: &str) {
    page.control("HP", []);
    page.text([bold(name)]);
}

/// What is shown, positional ones last; help and version are left to the options.
fn visible(command: &Command) -> impl Iterator<Item = &Arg> {
    let shown = |arg: &&Arg| {
        let prints = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        !arg.is_hide_set() && !prints
    };
    let options = command.get_opts().chain(command.get_arguments().filter(|arg| is_flag(arg)));
    let mut all: Vec<&Arg> = options.filter(shown).collect();
    // As they are declared, flags and others alike.
    let at = |arg: &Arg| command.get_arguments().position(|other| other.get_id() == arg.get_id());
    all.sort_by_key(|arg| at(arg));
    all.into_iter().chain(command.get_positionals())
}

fn is_flag(arg: &Arg) -> bool {
    !arg.is_positional() && !takes_value(arg)
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.takes_values())
}

fn is_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append | ArgAction::Count)
}

/// `-c|--count N`: an option's names and its value, with these in between.
fn header(arg: &Arg, between: &str, or: &str) -> Vec<Inline> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut line = Vec::new();
    for name in short.into_iter().chain(long) {
        if !line.is_empty() {
            line.push(roman(between));
        }
        line.push(bold(name));
    }
    if takes_value(arg) {
        if !line.is_empty() {
            line.push(roman(" "));
        }
        line.extend(values(arg, or));
    }
    line
}

/// The words that a value may be, or what it is called.
fn values(arg: &Arg, or: &str) -> Vec<Inline> {
    let words = arg.get_possible_values();
    if words.is_empty() || !takes_value(arg) {
        let names = arg.get_value_names().unwrap_or_default();
        return vec![italic(names.join(" "))];
    }
    let mut line = Vec::new();
    for word in &words {
        if !line.is_empty() {
            line.push(roman(or));
        }
        line.push(bold(word.get_name()));
    }
    line
}

fn description(page: &mut Roff) {
    let mut between = false;
    for part in DESCRIPTION {
        match part {
            Part::Text(text) => {
                if between {
                    page.control("PP", []);
                }
                paragraph(page, text);
            }
            Part::Line(line) => verbatim(page, line),
        }
        between = true;
    }
}

/// A line as it is, indented.
fn verbatim(page: &mut Roff, line: &str) {
    page.control("PP", []);
    page.control("RS", ["4"]);
    page.control("EX", []);
    page.text([roman(line)]);
    page.control("EE", []);
    page.control("RE", []);
}

/// The options under their headings, as the help has them.
fn options(page: &mut Roff, command: &Command) {
    let mut headings: Vec<&str> = Vec::new();
    let mut all: Vec<&Arg> = visible(command).collect();
    // What is named by itself comes first in its group, as in the synopsis it is last.
    all.sort_by_key(|arg| !arg.is_positional());
    for heading in command.get_arguments().filter_map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        page.control("SS", [heading]);
        for arg in all.iter().filter(|arg| arg.get_help_heading() == Some(heading)) {
            option(page, arg);
        }
    }
    page.control("SS", ["Help"]);
    for arg in command.get_arguments().filter(|arg| arg.get_help_heading().is_none()) {
        option(page, arg);
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        page.control("TP", []);
        let mut line = vec![bold(sub.get_name()), roman(" ")];
        for arg in sub.get_arguments().filter(|arg| arg.is_positional()) {
            line.extend(values(arg, "|"));
        }
        page.text(line);
        paragraph(page, &sentence(sub.get_about().map(ToString::to_string)));
    }
}

fn option(page: &mut Roff, arg: &Arg) {
    page.control("TP", []);
    page.text(header(arg, ", ", "|"));
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
    let default = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = default.collect::<Vec<_>>().join(", ");
    let default = if default.is_empty() || is_flag(arg) {
        String::new()
    } else {
        format!(" [default: {default}]")
    };
    paragraph(page, &sentence(help.map(|help| help + &default)));
    let words = arg.get_possible_values();
    if words.iter().all(|word| word.get_help().is_none()) || is_flag(arg) {
        return;
    }
    page.control("RS", []);
    for word in words {
        page.control("TP", []);
        page.text([bold(word.get_name())]);
        paragraph(page, &word.get_help().map(ToString::to_string).unwrap_or_default());
    }
    page.control("RE", []);
}

/// What ends like a sentence, unless it ends in a default.
fn sentence(text: Option<String>) -> String {
    let mut text = text.unwrap_or_default();
    if !text.ends_with([']', '.']) {
        text.push('.');
    }
    text
}

fn tagged(page: &mut Roff, (term, meaning): Entry) {
    page.control("TP", []);
    page.text([bold(term)]);
    paragraph(page, meaning);
}

fn examples(page: &mut Roff) {
    for (index, (what, command)) in EXAMPLES.iter().enumerate() {
        if index > 0 {
            page.control("PP", []);
        }
        paragraph(page, what);
        verbatim(page, command);
    }
}

/// Other pages, in bold but for their sections.
fn see_also(page: &mut Roff) {
    for (index, other) in SEE_ALSO.iter().enumerate() {
        let (name, section) = other.split_once('(').unwrap_or((other, ""));
        let comma = if index + 1 < SEE_ALSO.len() { "," } else { "" };
        page.text([bold(name), roman(format!("({section}{comma}"))]);
    }
}
