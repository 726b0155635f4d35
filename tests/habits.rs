//! What tcpdump's users type: the same options where they mean the same, a refusal
//! that names ours where they do not. The binary, black box.

mod common;

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use common::frames::{frame, udp4};
use common::net::{Net, ip_batch};
use common::process::{BIN, Ended, Xdplog, command, run, wait_until};

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

/// The line of `xdplog -D` for an interface, by words.
fn listed(net: &Net, name: &str, run_by: impl FnOnce(&[&str]) -> Ended) -> Vec<String> {
    let ended = run_by(&["-D"]);
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.starts_with("INTERFACE "), "{}", ended.stdout);
    let names = net.here(|| nix::net::if_::if_nameindex().unwrap().iter().count());
    assert_eq!(ended.lines().len(), 1 + names, "{}", ended.stdout);
    let line = ended.lines().into_iter().find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("{name} in {}", ended.stdout));
    line.split_whitespace().map(str::to_string).collect()
}

#[test]
fn the_list_of_interfaces() {
    let net = Net::new();
    let here = |name| listed(&net, name, |args| run(&net, args));
    let (here0, lo) = (here("here0"), here("lo"));
    // Before Linux 6.3 nobody can tell.
    let tells = here0[3] != "unknown";
    assert_eq!(here0, ["here0", "up", "veth", if tells { "yes" } else { "unknown" }, "-"]);
    assert_eq!(lo, ["lo", "down", "-", if tells { "no" } else { "unknown" }, "-"]);
    ip_batch(&net.there, "link set there0 down\n");
    // The kernel follows in its own time.
    wait_until("no carrier", || here("here0")[1] == "no-carrier");
    ip_batch(&net.there, "link set there0 up\n");
    wait_until("a carrier", || here("here0")[1] == "up");

    let id = |word: &str| word.parse::<u32>().unwrap_or_else(|_| panic!("{word}"));
    let xdplog = Xdplog::start(&net, &["here0", "--mode", "native"]);
    let running = here("here0");
    assert!(id(&running[4]) > 0);
    assert_eq!(running[5..], ["(xdplog)", "native"]);
    // Whoever has no privilege at all is told all but the name.
    let unprivileged = listed(&net, "here0", |_| {
        let drop = "--drop=cap_sys_admin,cap_net_admin,cap_bpf,cap_perfmon,cap_net_raw";
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net.here, "capsh", drop, "--shell=/bin/sh", "--"]);
        command.args(["-c", &format!("exec {BIN} -D")]);
        let output = command.output().unwrap();
        Ended {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: std::time::Duration::ZERO,
        }
    });
    assert_eq!(unprivileged[..5], running[..5]);
    assert_eq!(unprivileged[5..], ["native"]);
    assert_eq!(xdplog.stop().code(), Some(0));
    assert_usage(&run(&net, &["-D", "here0"]), &["--list-interfaces"]);
}

#[test]
fn any_is_all_interfaces_that_are_up_and_free() {
    let net = Net::new();
    net.add_pair(1);
    net.add_pair(2);
    net.add_pair(3);
    ip_batch(&net.here, "link set here2 down\nlink set lo up\n");
    let other = Xdplog::start(&net, &["here3"]);
    let xdplog = Xdplog::start(&net, &["-i", "any", "--stats-format", "json"]);
    xdplog.hear("warning: here3 is left out, as it already runs XDP program ");
    net.tap_there(0).send(&udp4("10.1.0.1".parse().unwrap(), 18));
    net.tap_there(1).send(&udp4("10.1.0.2".parse().unwrap(), 18));
    net.here(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    });
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let mut lines = ended.lines();
    lines.sort_unstable();
    let want = ["10.1.0.1", "10.1.0.2", "127.0.0.1"].map(|ip| format!("LOG: SRC {ip}, ACTION 2"));
    assert_eq!(lines, want);
    let summary = ended.summary();
    let watched: Vec<&String> = summary["interfaces"].as_object().unwrap().keys().collect();
    assert_eq!(watched, ["here0", "here1", "lo"]);
    assert_eq!(other.stop().code(), Some(0));

    // One that is named, too, is one of them, whether it is up or not.
    let args = ["-i", "any", "-i", "here2", "-q", "--stats-format", "json", "--duration", "10ms"];
    let ended = run(&net, &args);
    assert!(ended.stderr.contains("warning: here2 is down"), "{}", ended.stderr);
    assert_eq!(ended.summary()["interfaces"].as_object().unwrap().len(), 5);
    // That none is up is a refusal, and not a run without an interface.
    let down = ["here0", "here1", "here3", "lo"].map(|name| format!("link set {name} down\n"));
    ip_batch(&net.here, &down.concat());
    common::process::assert_refused(&run(&net, &["-i", "any"]), &["no interface is up"]);
}

#[test]
fn one_that_is_named_beside_any_is_not_left_out_by_whichever_name() {
    let net = Net::new();
    ip_batch(&net.here, "link set lo up\nlink property add dev lo altname other0\n");
    // lo has no native mode.
    let any = ["-i", "any", "--mode", "native", "--duration", "10ms"];
    let ended = run(&net, &any);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("warning: left out: "), "{}", ended.stderr);
    for name in ["lo", "other0"] {
        let ended = run(&net, &[&any[..], &["-i", name]].concat());
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        assert!(!ended.stderr.contains("left out"), "{}", ended.stderr);
    }
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
fn times_as_tcpdump_tells_them() {
    let net = Net::new();
    let tap = net.tap_there(0);
    // What is in the place of time, digits as 0.
    for (arg, want) in [
        ("-n", "00:00:00.000000 "),
        ("-t", ""),
        ("-tt", "0000000000.000000 "),
        ("-ttt", " 00:00:00.000000 "),
        ("-tttt", "0000-00-00 00:00:00.000000 "),
        ("-ttttt", " 00:00:00.000000 "),
    ] {
        let xdplog = Xdplog::start(&net, &["-i", "here0", "-f", "text", "-c3", arg]);
        let begun = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        (0..3).for_each(|_| tap.send(&frame()));
        let ended = xdplog.end();
        assert_eq!((ended.code(), ended.lines().len()), (Some(0), 3), "{}", ended.stderr);
        for (index, line) in ended.lines().into_iter().enumerate() {
            let (time, rest) = line.split_at(want.len());
            assert!(rest.starts_with("here0 PASS     IP  10.1.2.3"), "{arg}: {line}");
            assert_eq!(time.replace(|c: char| c.is_ascii_digit(), "0"), want, "{line}");
            let is_zero = time == " 00:00:00.000000 ";
            match arg {
                "-tt" => assert!(time[..10].parse::<u64>().unwrap().abs_diff(begun) < 60, "{time}"),
                "-ttt" | "-ttttt" => assert!(index > 0 || is_zero, "{line}"),
                _ => {}
            }
        }
    }
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
