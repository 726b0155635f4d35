//! What arguments mean, and which are refused in which words.

use clap::CommandFactory;

use super::args::Args;
use crate::bpf::{FAMILY_IPV4, FAMILY_IPV6, MAX_IFACES};
use crate::config::{Config, FormatName, StatsFormat};
use crate::format::TimeStyle;
use crate::usage::UsageError;

fn parse(args: &[&str]) -> Result<Config, UsageError> {
    Config::try_from_iter(std::iter::once("xdplog").chain(args.iter().copied()))
}

#[test]
fn defaults() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.ifaces, ["eth0"]);
    assert!(config.default_iface);
    assert!(!parse(&["eth0"]).unwrap().default_iface, "named, so no default");
    assert_eq!(config.families, FAMILY_IPV4 | FAMILY_IPV6);
    assert!(config.announce);
    assert_eq!(config.stats, Some(StatsFormat::Text));
}

#[test]
fn an_interface_named_twice_is_watched_once() {
    assert_eq!(parse(&["a", "b", "a"]).unwrap().ifaces, ["a", "b"]);
}

#[test]
fn quiet_keeps_a_summary_that_was_asked_for() {
    assert_eq!(parse(&["-q"]).unwrap().stats, None);
    let both = parse(&["-q", "--stats-format", "json"]).unwrap();
    assert_eq!(both.stats, Some(StatsFormat::Json));
    assert!(!both.announce);
}

#[test]
fn where_the_log_goes_and_how_much_of_it() {
    assert!(parse(&["-w", "-"]).unwrap().files.is_none(), "stdout");
    let config = parse(&["-w", "f", "--rotate-size", "100M", "--rotate-keep", "3"]).unwrap();
    let files = config.files.unwrap();
    assert_eq!((files.size, files.keep), (Some(100_000_000), Some(3)));
    assert_eq!(parse(&["--snaplen", "9", "-f", "pcapng"]).unwrap().snaplen, 9);
    assert_eq!(parse(&["--rate-limit", "500/s"]).unwrap().rate, 500);
    assert_eq!(parse(&["--rate-limit", "500"]).unwrap().rate, 500);
}

/// What each option changes, beside what it is given with; none is left out.
const EACH: &[(&str, &[&str], &[&str])] = &[
    ("ifaces", &["lo"], &[]),
    ("interface", &["-i", "lo"], &[]),
    ("ipv4", &["-4"], &[]),
    ("ipv6", &["-6"], &[]),
    ("sample", &["--sample", "2"], &[]),
    ("rate_limit", &["--rate-limit", "2/s"], &[]),
    ("count", &["-c", "2"], &[]),
    ("duration", &["--duration", "2s"], &[]),
    ("format", &["-f", "text"], &[]),
    ("macs", &["-e"], &["-f", "text"]),
    ("hex", &["-x"], &["-f", "text"]),
    ("hex_and_ascii", &["-X"], &["-f", "text"]),
    ("times", &["-t"], &["-f", "text"]),
    ("snaplen", &["-s", "96"], &["-f", "pcapng"]),
    ("color", &["--color", "never"], &["-f", "text"]),
    ("write", &["-w", "x"], &[]),
    ("rotate_size", &["--rotate-size", "1M"], &["-w", "x"]),
    ("rotate_interval", &["--rotate-interval", "1h"], &["-w", "x"]),
    ("rotate_keep", &["--rotate-keep", "2"], &["-w", "x", "--rotate-size", "1M"]),
    ("compress", &["--compress"], &["-w", "x", "--rotate-size", "1M"]),
    ("overwrite", &["--overwrite"], &["-w", "x"]),
    ("on_full", &["--on-full", "wait"], &["-w", "-"]),
    ("mode", &["--mode", "generic"], &[]),
    ("buffer_size", &["--buffer-size", "1MiB"], &[]),
    ("overflow_sources", &["--overflow-sources", "2"], &[]),
    ("readers", &["--readers", "2"], &[]),
    ("ready_file", &["--ready-file", "x"], &[]),
    ("quiet", &["-q"], &[]),
    ("stats_interval", &["--stats-interval", "1s"], &[]),
    ("stats_format", &["--stats-format", "json"], &[]),
];
/// Those that ask for something else, or for what is always so.
const OTHERS: &[&str] =
    &["list_interfaces", "numeric", "line_buffered", "packet_buffered", "help", "version"];

#[test]
fn every_option_changes_something() {
    for (id, with, beside) in EACH {
        let changed = parse(&[beside, with].map(|args| &args[..]).concat()).unwrap();
        let unchanged = parse(beside).unwrap();
        assert_ne!(format!("{changed:?}"), format!("{unchanged:?}"), "{id}");
    }
    let known: Vec<&str> = EACH.iter().map(|each| each.0).chain(OTHERS.iter().copied()).collect();
    let mut command = Args::command();
    command.build();
    for arg in command.get_arguments() {
        assert!(known.contains(&arg.get_id().as_str()), "{} is not tested", arg.get_id());
    }
    assert_eq!(command.get_arguments().count(), known.len());
}

#[test]
fn an_argument_that_is_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let strange = OsStr::from_bytes(b"e\xff");
    let refused = Config::try_from_iter([OsStr::new("xdplog"), strange]).unwrap_err();
    let said = "an argument is not UTF-8. Next: give it in UTF-8; names of files may be any";
    assert_eq!(refused.to_string(), said);
    let path = Config::try_from_iter([OsStr::new("xdplog"), OsStr::new("-w"), strange]);
    assert_eq!(path.unwrap().files.unwrap().path.as_os_str(), strange);
}

#[test]
fn interfaces_by_option_and_by_word() {
    assert_eq!(parse(&["-i", "a", "-ib", "--interface", "a"]).unwrap().ifaces, ["a", "b"]);
    let any = parse(&["-i", "any", "-i", "a"]).unwrap();
    assert_eq!((any.any, any.default_iface, any.ifaces), (true, false, vec!["a".to_string()]));
    assert_eq!(parse(&["-iany"]).unwrap().ifaces, [""; 0]);
    // A name is a name, whatever it is.
    assert_eq!(parse(&["any"]).unwrap().ifaces, ["any"]);
    assert_eq!(parse(&["port"]).unwrap().ifaces, ["port"]);
    assert_eq!(parse(&["-i", "port"]).unwrap().ifaces, ["port"]);
    assert_eq!(refused(&["-i", "a", "port", "53"]), "`port 53` looks like a filter expression");
    assert_eq!(refused(&["-i", "a", "b"]), "`b` is no option, and with -i nothing else is");
    let many: Vec<String> = (0..=MAX_IFACES).map(|i| format!("if{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(refused(&many), "65 interfaces are more than can be watched at once. Next: name");
}

#[test]
fn the_name_of_a_file_says_its_format() {
    let config = |args: &[&str]| parse(args).unwrap();
    for (name, format) in [
        ("x.pcapng", FormatName::Pcapng),
        ("/tmp/x.PCAPNG", FormatName::Pcapng),
        ("x.pcap", FormatName::Pcapng),
        ("x.json", FormatName::Json),
        ("x.jsonl", FormatName::Json),
        ("x.ndjson", FormatName::Json),
        ("x.log", FormatName::Classic),
        ("json", FormatName::Classic),
        ("-", FormatName::Classic),
    ] {
        assert_eq!(config(&["-w", name]).format, format, "{name}");
        assert_eq!(config(&["-w", name, "-f", "text"]).format, FormatName::Text, "{name}");
    }
    let note = config(&["-w", "x.pcap"]).note.unwrap();
    assert!(note.contains("editcap -F pcap x.pcap"), "{note}");
    assert!(config(&["-w", "x.cap", "-f", "pcapng"]).note.is_some());
    assert_eq!(config(&["-w", "x.pcapng"]).note, None);
    assert_eq!(config(&["-w", "x.pcap", "-f", "json"]).note, None, "so it was asked for");
}

#[test]
fn what_is_always_so_is_accepted() {
    assert_eq!(parse(&["-nnlU", "-i", "a"]).unwrap().ifaces, ["a"]);
    assert!(parse(&["-nn", "-l", "--packet-buffered", "--immediate-mode"]).is_ok());
    let config = parse(&["-s0", "-f", "pcapng"]).unwrap();
    assert_eq!(config.snaplen, parse(&["-f", "pcapng"]).unwrap().snaplen, "0 is all");
    for format in ["classic", "text", "json"] {
        let with = |more: &[&str]| parse(&[&["-f", format], more].concat()).unwrap();
        for all in [&["-s0"][..], &["--snaplen", "0"]] {
            assert_eq!(format!("{:?}", with(all)), format!("{:?}", with(&[])), "{format}");
        }
    }
    // A family behind the number is an option still.
    assert_eq!(parse(&["-c", "5", "-4"]).unwrap().families, FAMILY_IPV4);
    assert_eq!(parse(&["-s", "96", "-w", "x.pcapng"]).unwrap().snaplen, 96);
}

#[test]
fn what_of_a_packet_is_shown() {
    let config = |args: &[&str]| parse(&[&["-f", "text"], args].concat()).unwrap();
    let shown = |args: &[&str]| config(args).dump.map(|dump| (dump.ascii, dump.link));
    assert_eq!(shown(&[]), None);
    assert_eq!(shown(&["-x"]), Some((false, false)));
    assert_eq!(shown(&["-nnxx"]), Some((false, true)));
    assert_eq!(shown(&["-X"]), Some((true, false)));
    assert_eq!(shown(&["-XX"]), Some((true, true)));
    assert_eq!(shown(&["-xxX"]), Some((true, false)), "as tcpdump has it");
    for (args, snaplen) in [
        (&[][..], 0),
        (&["-e"], 14),
        (&["-x"], 262_144),
        (&["-x", "-s", "96"], 96),
        (&["-x", "-s0"], 262_144),
        (&["-xe", "-s", "4"], 14),
    ] {
        assert_eq!(config(args).snaplen, snaplen, "{args:?}");
    }
    assert_eq!(config(&["-xe", "-s", "4"]).dump.unwrap().snaplen, 4);
    assert!(config(&["-e"]).macs && parse(&["-e", "-f", "json"]).unwrap().macs);
    for (arg, times) in [
        ("-t", TimeStyle::None),
        ("-tt", TimeStyle::Epoch),
        ("-ttt", TimeStyle::SincePrevious),
        ("-tttt", TimeStyle::DateAndTime),
        ("-ttttt", TimeStyle::SinceFirst),
    ] {
        assert_eq!(config(&[arg]).times, times, "{arg}");
    }
    assert_eq!((config(&["-tt"]).readers, config(&["-ttt"]).readers), (None, Some(1)));
}

/// The beginning of what is said, which is as long as what it is compared with.
#[derive(Debug)]
struct Said(String);

impl PartialEq<&str> for Said {
    fn eq(&self, other: &&str) -> bool {
        self.0.starts_with(other)
    }
}

fn refused(args: &[&str]) -> Said {
    let said = parse(args).expect_err(&args.join(" ")).to_string();
    assert!(!said.contains('\n') && said.contains(". Next: "), "{args:?}: {said}");
    Said(said)
}

#[test]
fn usage_errors() {
    for (args, said) in [
        (&["-4", "-6"][..], "--ipv4 does not go together with --ipv6"),
        (&["-D", "eth0"], "--list-interfaces does not go together with other arguments"),
        (&["-q", "-q"], "--quiet is given twice. Next: give it once"),
        (&["-c", "0"], "`0` is no value of --count: it is out of range. Next: give a number from"),
        (
            &["-c", "1e9"],
            "`1e9` is no value of --count: it is no whole number. Next: give 1000000000",
        ),
        (
            &["-c", "-1"],
            "`-1` is no value of --count: it is out of range. Next: give a number from",
        ),
        (&["-c-1"], "`-1` is no value of --count: it is out of range. Next: give a number from"),
        (&["-s", "-1"], "`-1` is no value of --snaplen: it is out of range"),
        (&["-c1K"], "`1K` is no value of --count: it is no whole number. Next: give 1000"),
        (&["-c"], "--count takes a value, and has none. Next: give one: `--count N`"),
        (&["--duration", "10"], "`10` is no value of --duration: it has no unit. Next: give 10s"),
        (&["--duration", "0s"], "`0s` is no value of --duration: it must not be 0"),
        (
            &["--mode", "offload"],
            "`offload` is no value of --mode. Next: give auto, native or generic",
        ),
        (&["--mode", "natve"], "`natve` is no value of --mode. Next: did you mean `native`? It"),
        (&["--mode"], "--mode takes a value, and has none. Next: give auto, native or generic"),
        (&["--buffer-size", "0"], "`0` is no value of --buffer-size: it must not be 0"),
        (&["--buffer-size", "1e9"], "`1e9` is no value of --buffer-size: it is no size. Next: g"),
        (&["--readers", "0"], "`0` is no value of --readers"),
        (&["--rotate-size", "1M"], "--rotate-size does nothing without --write FILE. Next: add"),
        (&["-w", "-", "--rotate-size", "1M"], "--rotate-size does nothing without --write FILE"),
        (&["-w", "x", "--rotate-size", "0"], "`0` is no value of --rotate-size"),
        (&["-w", "x", "--rotate-interval", "0s"], "`0s` is no value of --rotate-interval"),
        (&["-w", "x", "--rotate-keep", "2"], "--rotate-keep does nothing without --rotate-size or"),
        (&["-w", "x", "--compress"], "--compress does nothing without --rotate-size or"),
        (&["--overwrite"], "--overwrite does nothing without --write FILE"),
        (&["--overwrite", "-w", "-"], "--overwrite does nothing without --write FILE"),
        (&["--on-full", "wait"], "--on-full does nothing without --write FILE"),
        (&["--snaplen", "96"], "--snaplen does nothing without --format pcapng"),
        (&["-s96", "-w", "x.json"], "--snaplen does nothing without --format pcapng"),
        (&["-e"], "-e does nothing without --format text or json. Next: add --format text or"),
        (&["-e", "-w", "x.pcapng"], "-e does nothing without --format text or json"),
        (&["-x"], "-x does nothing without --format text. Next: add --format text, or leave"),
        (&["-XX", "-f", "json"], "-X does nothing without --format text"),
        (&["-tt", "-f", "json"], "-t does nothing without --format text"),
        (&["-tttttt", "-f", "text"], "-t is given more than five times. Next: give -t, -tt,"),
        (&["-ttt", "-f", "text", "--readers", "2"], "-ttt and -ttttt tell the time since"),
        (&["-s96", "-e", "-f", "text"], "--snaplen does nothing without --format pcapng, -x"),
        (&["--color", "auto"], "--color does nothing without --format text"),
        (&["-f", "xml"], "`xml` is no value of --format. Next: give classic, text, json or"),
        (&["--snaplen", "262145"], "`262145` is no value of --snaplen: it is out of range"),
        (&["--sample", "0"], "`0` is no value of --sample"),
        (&["--rate-limit", "10/m"], "`10/m` is no value of --rate-limit"),
        (&["--stats-interval", "0s"], "`0s` is no value of --stats-interval"),
        (&["--stats-interval", "1ms"], "--stats-interval is shorter than 10ms"),
        (&["completions", "tcsh"], "`tcsh` is no value of <SHELL>. Next: did you mean `zsh`?"),
        (&["completions"], "<SHELL> is missing. Next: add it; see `xdplog --help`"),
        (&["--zzz"], "there is no option `--zzz`. Next: `xdplog --help`"),
        (&["--snaplem", "9"], "there is no option `--snaplem`. Next: did you mean `--snaplen`?"),
        (&["--\x1b[2J"], "there is no option `--?[2J`"),
    ] {
        assert_eq!(refused(args), said, "{args:?}");
    }
}

#[test]
fn tcpdumps_other_options_are_refused_by_naming_ours() {
    for (args, said) in [
        (&["-C", "100"][..], "--rotate-size SIZE"),
        (&["-C100"], "--rotate-size SIZE"),
        (&["-nnC", "100"], "--rotate-size SIZE"),
        (&["-G3600"], "--rotate-interval TIME"),
        (&["-W", "5"], "--rotate-keep N"),
        (&["-z", "gzip"], "--compress"),
        (&["-Z", "root"], "leave it out"),
        (&["-r", "x.pcap"], "tshark -r FILE"),
        (&["-Q", "in"], "XDP sees what comes in"),
        (&["--direction=in"], "XDP sees what comes in"),
        (&["-A"], "-f text -X"),
        (&["-nAi", "eth0"], "-f text -X"),
        (&["-B", "4096"], "--buffer-size SIZE"),
        (&["-p"], "never switches it on"),
        (&["-ni", "eth0", "-vv"], "print all fields that the record has; payloads are not"),
        (&["-d"], "expressions are not supported"),
        (&["-dd"], "expressions are not supported"),
        (&["-L"], "which -f pcapng says"),
        (&["-ni", "eth0", "-j", "host"], "when the kernel ran the XDP program"),
        (&["-E", "x"], "nothing is decrypted"),
    ] {
        let Said(said_all) = refused(args);
        assert!(said_all.contains("is an option of tcpdump's, which"), "{said_all}");
        assert!(said_all.contains(said), "{args:?}: {said_all}");
    }
}

/// Both ways to name interfaces are shown, and not as if they went together.
#[test]
fn usage_has_two_forms() {
    let usage = Args::command().render_usage().to_string();
    let forms = [
        "Usage: xdplog [OPTIONS] [IFACE]...",
        "       xdplog [OPTIONS] -i IFACE [-i IFACE]...",
        "       xdplog completions <SHELL>",
    ];
    assert_eq!(usage.lines().collect::<Vec<_>>(), forms);
}

#[test]
fn definitions_are_sound() {
    Args::command().debug_assert();
}
