//! What tcpdump's users type that is another thing here, or none: each refused by
//! naming ours. Accepting what is the same is the arguments' own matter.

#![forbid(unsafe_code)]

use crate::usage::{UsageError, expression};

/// tcpdump's options that xdplog has not, each with what it does there, and what to
/// do here: tcpdump(1), of 4.99.
const OTHERS: &[(&[&str], &str, &str)] = &[
    (
        &["-C"],
        "which rotates by size",
        "use --rotate-size SIZE, such as 100M: its unit is bytes, tcpdump's a million of them",
    ),
    (&["-G"], "which rotates by time", "use --rotate-interval TIME, such as 1h"),
    (&["-W"], "which limits the number of files", "use --rotate-keep N"),
    (
        &["-z"],
        "which runs a command on each finished file",
        "use --compress, which compresses them with zstd",
    ),
    (
        &["-Z", "--relinquish-privileges"],
        "which becomes another user",
        "leave it out: xdplog stays who started it, and its files are that user's",
    ),
    (
        &["-r"],
        "which reads a capture file",
        "leave it out: xdplog logs interfaces only; `tshark -r FILE` reads what it wrote",
    ),
    (
        &["-Q", "--direction"],
        "which chooses a direction",
        "leave it out: XDP sees what comes in, and nothing else",
    ),
    (&["-A"], "which prints frames as ASCII", "use -f text -X, which prints them as hex and ASCII"),
    (
        &["-B"],
        "which sizes the capture buffer",
        "use --buffer-size SIZE, such as 8MiB: for each CPU, where tcpdump's is in KiB in all",
    ),
    (
        &["-p", "--no-promiscuous-mode"],
        "which keeps promiscuous mode off",
        "leave it out: xdplog never switches it on",
    ),
    (&["-F"], "which reads a filter expression", "leave it out: expressions are not supported"),
    (
        &["-v"],
        "which prints more of each packet",
        "leave it out: -f text and -f json print all fields that the record has; payloads are not \
         decoded",
    ),
    (
        &["-d"],
        "which prints the code of a filter expression",
        "leave it out: expressions are not supported",
    ),
    (
        &["-L", "--list-data-link-types", "-y", "--linktype"],
        "which lists or chooses link types",
        "leave it out: an interface has one, which -f pcapng says",
    ),
    (
        &["-j", "--time-stamp-type", "-J", "--list-time-stamp-types"],
        "which lists or chooses clocks for times",
        "leave it out: times are when the kernel ran the XDP program",
    ),
    (
        &["-E"],
        "which decrypts IPsec",
        "leave it out: nothing is decrypted; `-w FILE.pcapng` keeps the frames for what does so",
    ),
    (
        &["-S", "-K", "-H", "-N", "-O", "-b", "-u", "-#", "--number"],
        "which changes what it prints or how it filters",
        "leave it out",
    ),
];

/// What to say of an option that xdplog has not but tcpdump has.
pub fn refusal(option: &str) -> Option<UsageError> {
    let (_, does, next) = OTHERS.iter().find(|(names, ..)| names.contains(&option))?;
    Some(UsageError::new(format!("{option} is an option of tcpdump's, {does}"), *next))
}

/// What to say of words besides `-i`.
pub fn words_with_interfaces(words: &[String]) -> UsageError {
    expression(words).unwrap_or_else(|| {
        UsageError::new(
            format!(
                "`{}` is no option, and with -i nothing else is an interface: tcpdump reads a \
                 filter expression there, and these are not supported",
                words.join(" ")
            ),
            "give -i before each interface",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_of_tcpdumps_options_is_ours() {
        use clap::CommandFactory;

        let command = super::super::args::Args::command();
        for option in OTHERS.iter().flat_map(|(names, ..)| names.iter()) {
            let ours = command.get_arguments().any(|arg| {
                arg.get_short().is_some_and(|short| *option == format!("-{short}"))
                    || arg.get_long().is_some_and(|long| *option == format!("--{long}"))
            });
            assert!(!ours, "{option}");
        }
    }
}
