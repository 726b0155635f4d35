//! Every way to stop, and that each leaves nothing behind. The binary, black
//! box.

mod common;

use std::io::Read;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use common::frames::udp4;
use common::live::flood;
use common::net::Net;
use common::process::{PATIENCE, Xdplog, assert_balanced, command, count, unread_pipe};
use nix::sys::signal::Signal;

/// Stopping takes less than this, whatever is in the way.
const PROMPT: Duration = Duration::from_secs(1);

fn frame() -> Vec<u8> {
    udp4(Ipv4Addr::new(10, 1, 2, 3), 18)
}

#[test]
fn sigint_and_sigterm_stop_with_a_summary() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let net = Net::new();
        let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
        assert!(net.has_xdp(0));
        let tap = net.tap_there(0);
        for _ in 0..25 {
            tap.send(&frame());
        }
        xdplog.signal(signal);
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(0), "{signal}");
        assert!(ended.took < PROMPT, "{signal}: {:?}", ended.took);
        assert!(!net.has_xdp(0));
        assert_eq!(count(&ended.summary(), "logged"), 25);
        assert_eq!(ended.lines().len(), 25);
    }
}

#[test]
fn sigkill_leaves_no_program_on_the_interface() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0"]);
    assert!(net.has_xdp(0));
    xdplog.signal(Signal::SIGKILL);
    assert!(!xdplog.end().status.success());
    assert!(!net.has_xdp(0));
    // And the next one can attach.
    assert_eq!(Xdplog::start(&net, &["here0"]).stop().code(), Some(0));
}

#[test]
fn nobody_reads_stdout() {
    let net = Net::new();
    let (_reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "--stats-format", "json"], writer);
    flood(&net, 0, &frame(), 500_000);
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.took < PROMPT, "{:?}", ended.took);
    assert!(!net.has_xdp(0));
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(0));
    assert!(count(&summary, "lost") > 0);
}

#[test]
fn what_was_written_to_a_stalled_reader_is_what_was_counted() {
    let net = Net::new();
    let (mut reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "--stats-format", "json"], writer);
    flood(&net, 0, &frame(), 100_000);
    let summary = xdplog.stop().summary();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let whole = text.bytes().filter(|&b| b == b'\n').count() as u64;
    assert_eq!(count(&summary, "logged"), whole);
    assert_balanced(&summary);
}

#[test]
fn a_second_ctrl_c_exits_at_once() {
    let net = Net::new();
    // Nobody reads, so that the first is still under way when the second comes.
    let (_reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0"], writer);
    flood(&net, 0, &frame(), 100_000);
    xdplog.signal(Signal::SIGINT);
    // Two signals on the way at once are one: let the first be taken.
    while net.has_xdp(0) {
        std::hint::spin_loop();
    }
    xdplog.signal(Signal::SIGINT);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
    assert!(!ended.stderr.contains("seen ="), "no summary: {}", ended.stderr);
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    let net = Net::new();
    let mut xdplog = Xdplog::start(&net, &["here0"]);
    let mut stdout = xdplog.stdout();
    let tap = net.tap_there(0);
    tap.send(&frame());
    let mut line = [0; 16];
    stdout.read_exact(&mut line).unwrap();
    drop(stdout);
    // No packet comes any more: it notices all the same.
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(ended.stderr.lines().count(), 1, "the start line only: {}", ended.stderr);
    assert!(!net.has_xdp(0));
}

#[test]
fn head_gets_its_lines() {
    let net = Net::new();
    let mut head = std::process::Command::new("head")
        .arg("-3")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let xdplog = Xdplog::start_to(&net, &["here0"], head.stdin.take().unwrap().into());
    let tap = net.tap_there(0);
    for _ in 0..100 {
        tap.send(&frame());
    }
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let lines = head.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8(lines).unwrap(), "LOG: SRC 10.1.2.3, ACTION 2\n".repeat(3));
}

#[test]
fn a_stale_ready_file_is_not_mistaken() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    std::fs::write(&ready, "stale").unwrap();
    let status = command(&net, &["nope0", "--ready-file", ready.to_str().unwrap()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    // It was refused before it came to the file, which stays as it was.
    assert_eq!(std::fs::read_to_string(&ready).unwrap(), "stale");

    let mut child = command(&net, &["here0", "--ready-file", ready.to_str().unwrap(), "-q"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let since = std::time::Instant::now();
    while std::fs::read_to_string(&ready).map_or(true, |text| !text.is_empty()) {
        assert!(since.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    assert!(net.has_xdp(0), "attached when the file is there");
    child.kill().unwrap();
    child.wait().unwrap();
}
