//! Names that others chose, of interfaces and files: whatever is in them, none of
//! it controls the terminal of who reads. The binary, black box.

mod common;

use std::fs;

use common::frames::frame;
use common::logs::{Dir, packets};
use common::net::{Net, ip_batch, run as run_tool};
use common::process::{Ended, Xdplog, assert_refused, run, wait_until};

/// The kernel refuses only `/`, `:` and white space: here are a color, a bell,
/// what brings the cursor back, the same beginning of a color in C1, and what shows the
/// rest from right to left.
const IFACE: &str = "h\x1b[31m\x07\x08\u{9b}\u{202e}";
const PLAIN: &str = "h?[31m????";

/// Rename `here1` to that.
fn rename(net: &Net) {
    net.here(|| {
        run_tool("ip", &["link", "set", "here1", "down"]);
        run_tool("ip", &["link", "set", "here1", "name", IFACE]);
        run_tool("ip", &["link", "set", IFACE, "up"]);
    });
}

fn assert_plain(text: &str) {
    let controls = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!text.contains(controls), "{text:?}");
}

/// As [`assert_refused`], without any control character.
fn assert_refused_plainly(ended: &Ended, parts: &[&str]) {
    assert_refused(ended, parts);
    assert_plain(&ended.stderr);
}

#[test]
fn of_an_interface() {
    for format in ["classic", "text", "json"] {
        let (net, dir) = (Net::new(), Dir::new());
        net.add_pair(1);
        rename(&net);
        let tap = net.tap_there(1);
        let args = [IFACE, "here0", "-f", format, "-c", "1", "--stats-interval", "10ms"];
        let xdplog = Xdplog::start(&net, &args);
        xdplog.hear("packets/s");
        tap.send(&frame());
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert_plain(&ended.stderr);
        assert_plain(&ended.stdout);
        assert!(ended.stderr.contains(&format!("logging {PLAIN} (")), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("xdplog: {PLAIN}: 1 seen")), "{}", ended.stderr);
        match format {
            "text" => assert!(ended.stdout.contains(&format!(" {PLAIN} PASS")), "{}", ended.stdout),
            "json" => {
                // Who reads it by program gets the name as it is.
                let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
                assert_eq!(object["iface"], IFACE);
            }
            _ => {}
        }
        // In a capture, too, which is for programs.
        let path = dir.path("log");
        let xdplog = Xdplog::start(
            &net,
            &[IFACE, "-f", "pcapng", "-w", &path, "-c", "1", "--stats-format", "json"],
        );
        tap.send(&frame());
        let ended = xdplog.end();
        assert_plain(&ended.stderr);
        assert!(ended.summary()["interfaces"].get(IFACE).is_some(), "{}", ended.stderr);
        assert_eq!(packets("pcapng", path.as_ref()), (1, 0));
    }
}

#[test]
fn of_an_interface_that_is_refused() {
    let net = Net::new();
    assert_refused_plainly(&run(&net, &["nope\x1b"]), &["no such interface: nope?"]);
    assert_refused_plainly(&run(&net, &["nope\n0"]), &["no such interface: nope?0"]);
    net.add_pair(1);
    rename(&net);
    assert_refused_plainly(&run(&net, &["nope0"]), &[PLAIN]);
    let list = run(&net, &["-D"]);
    assert_eq!(list.code(), Some(0), "{}", list.stderr);
    assert_plain(&list.stdout);
    assert!(list.stdout.contains(PLAIN), "{}", list.stdout);
    let first = Xdplog::start(&net, &[IFACE]);
    assert_refused_plainly(&run(&net, &[IFACE]), &[PLAIN, "already runs XDP program"]);
    // And when it goes away, which ends the run.
    ip_batch(&net.there, "link del there1\n");
    let ended = first.end();
    assert_plain(&ended.stderr);
    assert!(ended.stderr.contains(&format!("{PLAIN}: the interface was")), "{}", ended.stderr);
}

#[test]
fn given_while_it_runs() {
    let net = Net::new();
    net.add_pair(1);
    let xdplog = Xdplog::start(&net, &["here1", "-f", "text"]);
    let tap = net.tap_there(1);
    // Its link goes down for that, and the other end's carrier with it.
    rename(&net);
    xdplog.hear(&format!("here1: the interface is called {PLAIN} from here on"));
    wait_until("it is up again", || {
        net.there(|| run_tool("ip", &["-o", "link", "show", "there1"])).contains("LOWER_UP")
    });
    tap.send(&frame());
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_plain(&ended.stderr);
    assert_plain(&ended.stdout);
    assert!(ended.stdout.contains(&format!(" {PLAIN} PASS")), "{}", ended.stdout);
}

#[test]
fn of_an_argument() {
    let net = Net::new();
    let bad = "\x1b]0;title\x07\n\u{9b}1m";
    let long = format!("--{bad}");
    let format = format!("--format={bad}");
    for args in [
        &[&*long][..],
        &[&format],
        &["-f", bad],
        &["--mode", bad],
        &["--duration", bad],
        &["-c", bad],
        &["--rotate-size", bad, "-w", "x"],
        &["--rate-limit", bad],
        &["--readers", bad],
        &["here0", "--color", bad],
        &["completions", bad],
    ] {
        let ended = run(&net, args);
        assert_eq!(ended.code(), Some(2), "{args:?}: {}", ended.stderr);
        assert_plain(&ended.stderr);
        assert!(ended.stderr.contains("]0;title"), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn of_a_file() {
    let (net, dir) = (Net::new(), Dir::new());
    let there = dir.path("a\x1b]0;title\x07\nb");
    fs::write(&there, "precious").unwrap();
    let nowhere = format!("{there}/log");
    let plain = "a?]0;title??b";
    let rotates = ["--rotate-size", "1M"];
    for args in [
        &["here0", "-w", &there][..],
        &["here0", "-w", &nowhere],
        &[&["here0", "-w", &nowhere], &rotates[..]].concat(),
        &["here0", "--ready-file", &there],
        &["here0", "--ready-file", &nowhere],
    ] {
        assert_refused_plainly(&run(&net, args), &[plain]);
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "precious");
}
