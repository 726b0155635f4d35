//! Every frame has exactly one fate, to the packet, under any load. The binary,
//! black box; the witness is the interface's own counter.

mod common;

use std::net::Ipv4Addr;

use common::frames::{other, syn6, udp4};
use common::live::flood;
use common::net::Net;
use common::process::{Ended, Xdplog, assert_balanced, count};
use nix::sys::signal::Signal;

fn frame() -> Vec<u8> {
    udp4(Ipv4Addr::new(10, 1, 2, 3), 18)
}

/// The sums agree, with each other, with the lines, and with the interface.
fn assert_exact(net: &Net, ended: &Ended) -> serde_json::Value {
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "logged"), ended.lines().len() as u64);
    assert_eq!(count(&summary, "seen"), net.received(0), "as many as the interface received");
    summary
}

#[test]
fn a_parked_reader_with_a_ring_of_one_page() {
    let net = Net::new();
    let args = ["here0", "--buffer-size", "4096", "--stats-format", "json"];
    let xdplog = Xdplog::start(&net, &args);
    xdplog.signal(Signal::SIGSTOP);
    flood(&net, 0, &frame(), 50_000);
    xdplog.signal(Signal::SIGCONT);
    let summary = assert_exact(&net, &xdplog.stop());
    assert_eq!(count(&summary, "seen"), 50_000);
    // What fits: a page of records, and one batch of 31.
    let logged = count(&summary, "logged");
    assert!((31..=64 + 31).contains(&logged), "{summary}");
    assert_eq!(count(&summary, "lost"), 50_000 - logged);
}

#[test]
fn what_waits_in_a_batch_is_logged_without_another_packet() {
    let net = Net::new();
    // Fewer than a batch holds, all within the millisecond in which a batch
    // does not go out by itself; stopped at once, and left to be flushed.
    for wait_for_flush in [false, true] {
        let mut xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
        let before = net.received(0);
        flood(&net, 0, &frame(), 100);
        if wait_for_flush {
            let lines = xdplog.lines();
            for n in 0..100 {
                let line = lines.recv_timeout(common::process::PATIENCE);
                assert!(line.is_ok(), "line {n} comes while xdplog runs");
            }
        }
        let ended = xdplog.stop();
        assert_eq!(count(&ended.summary(), "logged"), net.received(0) - before);
        assert_eq!(count(&ended.summary(), "lost"), 0);
    }
}

#[test]
fn two_million_packets_by_live_frames() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
    let pid = xdplog.pid();
    let reading = collect(xdplog, |xdplog| {
        flood(&net, 0, &frame(), 1_000_000);
        flood(&net, 0, &syn6("fd99::5".parse().unwrap()), 900_000);
        flood(&net, 0, &other(0x88cc), 100_000);
        xdplog.signal(Signal::SIGINT);
    });
    let summary = assert_exact(&net, &reading);
    assert!(count(&summary, "seen") > 1_900_000, "the veth passed them on (pid {pid}): {summary}");
    assert!(count(&summary, "not_ip") > 0);
}

#[test]
fn two_cpus_at_once() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json", "-4"]);
    let ended = collect(xdplog, |xdplog| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| flood(&net, 0, &frame(), 300_000));
                scope.spawn(|| flood(&net, 0, &syn6("fd99::5".parse().unwrap()), 100_000));
            }
        });
        xdplog.signal(Signal::SIGINT);
    });
    let summary = assert_exact(&net, &ended);
    assert!(count(&summary, "unselected") > 0);
}

#[test]
fn ctrl_c_in_the_middle_of_a_flood() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
    let ended = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&net, 0, &frame(), 1_000_000));
        // In the middle: some have come, most have not.
        while net.received(0) < 50_000 {
            std::thread::yield_now();
        }
        let ended = xdplog.stop();
        flooding.join().unwrap();
        ended
    });
    assert_eq!(ended.code(), Some(0));
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "logged"), ended.lines().len() as u64);
    assert!(count(&summary, "seen") <= net.received(0));
}

#[test]
fn losses_are_told_while_they_happen() {
    let net = Net::new();
    let (_reader, writer) = common::process::unread_pipe();
    let args = ["here0", "--buffer-size", "4096", "--stats-format", "json", "--duration", "3s"];
    let xdplog = Xdplog::start_to(&net, &args, writer);
    flood(&net, 0, &frame(), 200_000);
    let ended = xdplog.end();
    let told: Vec<&str> =
        ended.stderr.lines().filter(|line| line.contains("packets lost")).collect();
    assert!((1..=3).contains(&told.len()), "at most once a second: {told:?}");
    assert_balanced(&ended.summary());
    assert!(count(&ended.summary(), "lost") > 100_000);
}

/// Read stdout while `traffic` runs.
fn collect(xdplog: Xdplog, traffic: impl FnOnce(&Xdplog)) -> Ended {
    let mut xdplog = xdplog;
    let mut stdout = xdplog.stdout();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
        text
    });
    traffic(&xdplog);
    let mut ended = xdplog.end();
    ended.stdout = reading.join().unwrap();
    ended
}
