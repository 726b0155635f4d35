//! What there is to say beside the options, once, for help and manual page. How it
//! is laid out is not known here.

#![forbid(unsafe_code)]

/// What the log consists of: paragraphs, and in between lines as they are logged.
pub const DESCRIPTION: &[Part] = &[
    Part::Text("By default each packet is one line on stdout:"),
    Part::Line("LOG: SRC 192.168.1.205, ACTION 2"),
    Part::Text(
        "where ACTION is the XDP verdict: 0 aborted, 1 drop, 2 pass, 3 tx, 4 redirect. Packets \
         that find no room, as what reads the log does not keep up, are counted by source and \
         come out as a line for each, at least once a second:",
    ),
    Part::Line("LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213"),
    Part::Text("Messages and the summary go to stderr."),
];

/// The two arguments that name interfaces, by id. They do not go together, so that each
/// makes a form of the synopsis.
pub const FORMS: [&str; 2] = ["ifaces", "interface"];

/// A part of a text.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A paragraph.
    Text(&'static str),
    /// A line of the log.
    Line(&'static str),
}

/// A term, and what it means.
pub type Entry = (&'static str, &'static str);

/// What it does about signals.
pub const SIGNALS: &[Entry] = &[
    (
        "SIGINT, SIGTERM",
        "Stop: detach, write what is left, report. A second SIGINT ends at once. A SIGINT that is \
         ignored at the start, as in the background of a script, stays ignored.",
    ),
    (
        "SIGHUP",
        "Finish the file of --write and open it anew by its name, for logrotate; without a file, \
         or where the terminal went away, stop. Under nohup(1), go on.",
    ),
    ("SIGUSR1", "Print how it goes, as --stats-interval does."),
];

/// What its exit status means.
pub const EXIT_STATUS: &[Entry] = &[
    ("0", "Stopped as asked, also when the reader of stdout went away."),
    (
        "1",
        "Failure, or packets were lost for another reason than that: one line says of what, and \
         what to do next, with -q, too.",
    ),
    ("2", "Wrong usage, likewise."),
    ("3", "The counts at the end did not agree. Please report this."),
    ("130", "Stopped by a second Ctrl-C, or by one before it logs, at once and without a summary."),
];

/// Files that it knows.
pub const FILES: &[Entry] = &[
    (
        "FILE",
        "What --write names. It is complete by itself at any time after its end, and can be read \
         by its owner only. A symbolic link is not followed.",
    ),
    (
        "FILE-000001, FILE-000002, ...",
        "With --rotate-size or --rotate-interval, the number before the extension: \
         packets-000001.json. A second run goes on with the next number.",
    ),
    ("FILE-000001.zst", "The same, finished and compressed by --compress: zstd(1) reads it."),
    (
        "PATH",
        "What --ready-file names: empty, there as long as all interfaces are attached. One that \
         is there before is removed first.",
    ),
];

/// What it looks for in its environment.
pub const ENVIRONMENT: &[Entry] = &[
    ("NO_COLOR", "Where it is set and not empty, --color auto means never."),
    ("TERM", "Where it is dumb, likewise."),
    ("TZ", "The time zone of times in the format text; else /etc/localtime."),
];

/// Commands, each with what it does. A test runs them.
pub const EXAMPLES: &[Entry] = &[
    ("Log eth0 until Ctrl-C:", "sudo xdplog eth0"),
    ("Ten IPv4 packets, in tcpdump's manner:", "sudo xdplog -nn -f text -4 -c 10 -i eth0"),
    (
        "A packet with MAC addresses, bytes, and the time since the line before:",
        "sudo xdplog -f text -ttt -e -X -c 2 eth0",
    ),
    (
        "Who sent how many of a hundred packets:",
        "sudo xdplog -f json -c 100 eth0 | jq -r '.src // .src_mac' | sort | uniq -c",
    ),
    (
        "A thousand frames of two interfaces, for Wireshark:",
        "sudo xdplog -c 1000 -w dump.pcapng -i eth0 -i eth1",
    ),
    (
        "As a service: files of 100 MB, the last ten of them, and no more than 1000 packets a second:",
        "sudo xdplog -q -w packets.json --rotate-size 100M --rotate-keep 10 --rate-limit 1000/s eth0",
    ),
];

/// Where to read on.
pub const SEE_ALSO: &[&str] =
    &["tcpdump(8)", "tshark(1)", "editcap(1)", "jq(1)", "bpftool-net(8)", "ip-link(8)"];
