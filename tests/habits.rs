//! What tcpdump's users type: the same options where they mean the same, a refusal
//! that names ours where they do not. The binary, black box.

mod common;

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use common::frames::{frame, udp4};
use common::net::{Net, ip_batch};
use common::process::{BIN, Ended, Xdplog, command, run};

/// One line, which has these parts and says what to do; and exit status 2.
fn assert_usage(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "one line: {}", ended.stderr);
    assert!(ended.stderr.starts_with("xdplog: "), "{}", ended.stderr);
    for part in parts.iter().chain(&["Next: "]) {
        assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}

#[test]
fn interfaces_by_option_with_all_that_tcpdump_users_add() {
    let net = Net::new();
    net.add_pair(1);
    let xdplog = Xdplog::start(&net, &["-nnlUi", "here0", "-i", "here1"]);
    net.tap_there(0).send(&udp4("10.1.0.1".parse().unwrap(), 18));
    net.tap_there(1).send(&udp4("10.1.0.2".parse().unwrap(), 18));
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let mut lines = ended.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["LOG: SRC 10.1.0.1, ACTION 2", "LOG: SRC 10.1.0.2, ACTION 2"]);
}

#[test]
fn filter_expressions_are_refused_and_interfaces_called_like_them_are_not() {
    let net = Net::new();
    for args in [
        &["here0", "port", "53"][..],
        &["here0", "port 53"],
        &["-i", "here0", "port", "53"],
        &["port", "53"],
    ] {
        let parts = ["`port 53` looks like a filter expression", "-4 or -6", "tshark"];
        assert_usage(&run(&net, args), &parts);
    }
    assert_usage(&run(&net, &["-i", "here0", "there0"]), &["give -i before each interface"]);
    net.add_pair(1);
    ip_batch(&net.here, "link set here1 down\nlink set here1 name port\nlink set port up\n");
    for args in [["port", "here0"], ["-iport", "-ihere0"]] {
        let ended = run(&net, &[&args[..], &["--duration", "20ms"]].concat());
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    }
    // Of `port 53` the port is one, and 53 is neither.
    let ended = run(&net, &["port", "53"]);
    common::process::assert_refused(&ended, &["no such interface: 53"]);
}

#[test]
fn what_tcpdump_has_and_xdplog_has_not() {
    let net = Net::new();
    for (args, part) in [
        (&["-C100"][..], "--rotate-size"),
        (&["-nn", "-G", "60", "-w", "x"], "--rotate-interval"),
        (&["-p"], "promiscuous"),
        (&["-r", "x.pcap"], "tshark -r"),
    ] {
        assert_usage(&run(&net, args), &["is an option of tcpdump's", part]);
    }
    assert_usage(&run(&net, &["-c", "1e3", "here0"]), &["`1e3`", "--count", "give 1000"]);
    assert_usage(&run(&net, &["--frobnicate\x1b[2J"]), &["`--frobnicate?[2J`"]);
    assert_usage(&run(&net, &["-w", "x.pcap", "--color", "always"]), &["--color does nothing"]);
}

#[test]
fn the_name_of_the_file_chooses_the_format() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    for (name, begins, note) in [
        ("x.pcapng", &b"\x0a\x0d\x0d\x0a"[..], false),
        ("x.pcap", b"\x0a\x0d\x0d\x0a", true),
        ("x.json", b"{\"time\":", false),
        ("x.log", b"LOG: SRC ", false),
    ] {
        let path = dir.path().join(name);
        let xdplog = Xdplog::start(&net, &["-i", "here0", "-w", path.to_str().unwrap()]);
        net.tap_there(0).send(&frame());
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert!(std::fs::read(&path).unwrap().starts_with(begins), "{name}");
        let told = ended.stderr.contains(&format!("`editcap -F pcap {} NEW.pcap`", path.display()));
        assert_eq!(told, note, "{name}: {}", ended.stderr);
    }
}

#[test]
fn an_interface_that_is_down_is_told_and_watched() {
    let net = Net::new();
    ip_batch(&net.here, "link set here0 down\n");
    let mut xdplog = Xdplog::start(&net, &["here0", "-q"]);
    xdplog.hear("warning: here0 is down, and no packet comes before it is up. Next: `ip link set");
    let lines = xdplog.lines();
    ip_batch(&net.here, "link set here0 up\n");
    let line = loop {
        // A frame that is sent before both ends are up is dropped.
        net.tap_there(0).send(&frame());
        if let Ok((line, _)) = lines.recv_timeout(std::time::Duration::from_millis(20)) {
            break line;
        }
    };
    assert_eq!(line, "LOG: SRC 10.1.2.3, ACTION 2");
    assert_eq!(xdplog.stop().stderr.lines().count(), 1);
    let up = run(&net, &["here0", "-q", "--duration", "10ms"]);
    assert_eq!((up.code(), up.stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_printed_is_told() {
    let net = Net::new();
    for args in [&["--help"][..], &["--version"], &["completions", "bash"], &["man"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&net, args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        let said = "xdplog: cannot write to stdout: No space left on device (os error 28). Next: ";
        assert!(stderr.starts_with(said) && stderr.lines().count() == 1, "{args:?}: {stderr}");
    }
    // A reader that has enough is no failure.
    let script = format!("{BIN} --help | true; {BIN} completions zsh | head -c 1");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((output.stderr.len(), output.stdout.len()), (0, 1));
}
