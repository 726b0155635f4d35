//! What `--sample` and `--rate-limit` leave out: as many as they should, counted
//! to the packet, and never anything but a line. The binary, black box.

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use common::frames::{frame, other, syn6, udp4};
use common::host::pin_to;
use common::live::{Sender, flood};
use common::net::{HERE_IP, Net, THERE_IP};
use common::process::{Logged, Xdplog, assert_balanced, count, wait_until};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike};
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::Value;

fn cpus() -> usize {
    thread::available_parallelism().unwrap().get()
}

/// From one CPU, on which they then arrive.
fn flood_from_one_cpu(net: &Net, frame: &[u8], count: u32) {
    net.there(|| {
        pin_to(0);
        Sender::new(0, 0).send_all(frame, count);
    });
}

/// From all CPUs at once, each with a source of its own, 11.0.0.CPU.
fn flood_from_all_cpus(net: &Net, n: u32, count: u32) {
    net.there(|| {
        thread::scope(|scope| {
            for cpu in 0..cpus() {
                scope.spawn(move || {
                    pin_to(cpu);
                    let source = Ipv4Addr::new(11, 0, 0, cpu as u8);
                    Sender::new(n, 0).send(&udp4(source, 18), count);
                });
            }
        });
    });
}

/// Run while `send` sends, with the log in a file, which keeps up on any machine.
fn log_of(net: &Net, args: &[&str], send: impl FnOnce(&Xdplog)) -> (Value, Logged) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let file = ["--stats-format", "json", "-w", path.to_str().unwrap()];
    let xdplog = Xdplog::start(net, &[&file, args].concat());
    send(&xdplog);
    let ended = if args.contains(&"-c") { xdplog.end() } else { xdplog.stop() };
    let log = Logged::read(File::open(path).unwrap());
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised")),
        (log.lines, log.summarised)
    );
    assert_eq!(count(&summary, "lost"), 0, "{summary}");
    (summary, log)
}

#[test]
fn one_in_so_many_to_the_packet() {
    for (n, sent) in [(1, 1000), (10, 1001), (10, 20_000), (7, 6), (4_294_967_295, 1000)] {
        let net = Net::new();
        let args = ["here0", "--sample", &n.to_string()];
        // What is no candidate does not count: not IP, or of the other family.
        let args = [&args[..], &["-4"]].concat();
        let (summary, log) = log_of(&net, &args, |_| {
            flood_from_one_cpu(&net, &other(0x88cc), 25);
            flood_from_one_cpu(&net, &syn6("fd99::5".parse().unwrap()), 25);
            flood_from_one_cpu(&net, &frame(), sent);
        });
        let seen = net.received(0);
        assert_eq!(count(&summary, "seen"), seen);
        let candidates = seen - count(&summary, "not_ip") - count(&summary, "unselected");
        assert!(candidates > 0, "{summary}");
        assert_eq!(log.lines, candidates.div_ceil(n), "{summary}");
        assert_eq!(count(&summary, "sampled_out"), candidates - log.lines, "{summary}");
    }
}

#[test]
fn on_each_cpu_by_itself() {
    let net = Net::new();
    net.add_wide_pair(1, cpus());
    let args = ["here1", "--sample", "10"];
    let (summary, log) = log_of(&net, &args, |_| flood_from_all_cpus(&net, 1, 20_000));
    let seen = net.received(1);
    assert_eq!(count(&summary, "seen"), seen);
    // Each CPU begins with one that is logged.
    assert_eq!(log.by_source.len(), cpus(), "{summary}");
    let most = seen / 10 + cpus() as u64;
    assert!((seen.div_ceil(10)..=most).contains(&log.lines), "{summary}");
    assert_eq!(count(&summary, "sampled_out"), seen - log.lines);
}

#[test]
fn what_is_left_out_arrives_all_the_same() {
    for args in [["--sample", "1000"], ["--rate-limit", "1/s"]] {
        let net = Net::new();
        let (summary, log) = log_of(&net, &[&["here0"], &args[..]].concat(), |_| {
            let socket = net.there(|| UdpSocket::bind((THERE_IP, 0)).unwrap());
            let server = net.here(|| UdpSocket::bind((HERE_IP, 0)).unwrap());
            setsockopt(&server, ReceiveTimeout, &TimeVal::seconds(10)).unwrap();
            for number in 0..500u32 {
                let sent = number.to_ne_bytes();
                socket.send_to(&sent, server.local_addr().unwrap()).unwrap();
                let mut got = [0; 4];
                server.recv(&mut got).expect("it arrives");
                assert_eq!(got, sent);
            }
        });
        assert_eq!(count(&summary, "seen"), 500);
        assert!(log.lines < 500, "{summary}");
        assert_eq!(count(&summary, "sampled_out"), 500 - log.lines, "{summary}");
    }
}

/// Nanoseconds of the times of a log in JSON, from midnight.
fn times(text: &str) -> Vec<u64> {
    let time = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line.get("event").is_none(), "no summaries: {line}");
        let (_, clock) = line["time"].as_str().unwrap().split_once('T').unwrap();
        let mut parts = clock.trim_end_matches('Z').split([':', '.']);
        let mut next = || parts.next().unwrap().parse::<u64>().unwrap();
        ((next() * 60 + next()) * 60 + next()) * 1_000_000_000 + next()
    };
    let mut times: Vec<u64> = text.lines().map(time).collect();
    times.sort();
    if times.last().is_some_and(|last| last - times[0] > DAY / 2) {
        // Over midnight.
        times.iter_mut().filter(|time| **time < DAY / 2).for_each(|time| *time += DAY);
        times.sort();
    }
    times
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 60 * 60 * SECOND;

#[test]
fn no_more_a_second_than_asked_for_from_all_cpus_together() {
    const RATE: u64 = 1000;
    let (net, dir) = (Net::new(), tempfile::tempdir().unwrap());
    net.add_wide_pair(1, cpus());
    let path = dir.path().join("log");
    let path = path.to_str().unwrap();
    let args = ["here1", "--rate-limit", "1000/s", "-f", "json", "-w", path];
    let xdplog = Xdplog::start(&net, &[&args[..], &["--stats-format", "json"]].concat());
    // More than fits in a second, until some of three of them were logged.
    let lines = || std::fs::read_to_string(path).unwrap().lines().count() as u64;
    wait_until("seconds go by", || {
        flood_from_all_cpus(&net, 1, 5000);
        lines() > 2 * RATE
    });
    let summary = xdplog.stop().summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(1));
    let logged = count(&summary, "logged");
    assert_eq!(lines(), logged);
    assert_eq!(count(&summary, "sampled_out"), count(&summary, "seen") - logged, "{summary}");
    assert!(count(&summary, "sampled_out") > 0);

    let times = times(&std::fs::read_to_string(path).unwrap());
    let (first, last) = (times[0], times[times.len() - 1]);
    // The kernel's seconds begin somewhere within those of the times.
    let touched = (last - first) / SECOND + 2;
    assert!(logged <= RATE * touched, "{logged} in {touched} seconds");
    // Nor does any stretch of a second meet more than two of the kernel's; a
    // packet that read the clock before a second ended may count in the next.
    for (from, &time) in times.iter().enumerate() {
        let until = times.partition_point(|&other| other < time + SECOND);
        assert!((until - from) as u64 <= 2 * RATE + cpus() as u64, "from {from} until {until}");
    }
}

#[test]
fn identities_hold_whatever_comes_together() {
    for args in [
        &["--sample", "3"][..],
        &["--rate-limit", "100/s", "-4"],
        &["--sample", "3", "--rate-limit", "2000/s", "-6"],
        &["--sample", "2", "--buffer-size", "4096"],
        &["--sample", "2", "--rate-limit", "1000000/s", "--buffer-size", "4096", "-4"],
        &["--rate-limit", "20000/s", "--buffer-size", "4096", "--overflow-sources", "1"],
        &["--sample", "5", "--readers", "1024", "-c", "500"],
        &["--sample", "2", "--buffer-size", "4096", "-c", "40", "-4"],
    ] {
        let net = Net::new();
        net.add_wide_pair(1, cpus());
        let args = [&["here0", "here1"], args].concat();
        let (summary, log) = log_of(&net, &args, |_| {
            flood_from_all_cpus(&net, 1, 30_000);
            flood(&net, 0, &syn6("fd99::5".parse().unwrap()), 30_000);
            flood(&net, 0, &frame(), 30_000);
            flood(&net, 0, &other(0x88cc), 1000);
        });
        assert!(count(&summary, "sampled_out") > 0, "{args:?}: {summary}");
        if let Some(at) = args.iter().position(|arg| *arg == "-c") {
            // What is logged counts, and not what is left out.
            let lines = log.lines + log.summaries;
            assert_eq!(lines, args[at + 1].parse::<u64>().unwrap(), "{args:?}: {summary}");
        } else {
            let seen = net.received(0) + net.received(1);
            assert_eq!(count(&summary, "seen"), seen, "{args:?}");
        }
    }
}

#[test]
fn what_is_left_out_is_never_in_a_summary() {
    let net = Net::new();
    // A ring that runs over while nobody reads, but for one in ten only.
    let args = ["here0", "--buffer-size", "4096", "--sample", "10"];
    let (summary, log) = log_of(&net, &args, |xdplog| {
        xdplog.park();
        flood_from_one_cpu(&net, &frame(), 50_000);
        xdplog.unpark();
    });
    assert!(log.summarised > 0, "{summary}");
    assert_eq!(log.lines + log.summarised, net.received(0).div_ceil(10), "{summary}");
}

#[test]
fn frames_too() {
    let (net, dir) = (Net::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("log");
    let args = ["here0", "--stats-format", "json", "-f", "pcapng", "--sample", "10", "-w"];
    let xdplog = Xdplog::start(&net, &[&args[..], &[path.to_str().unwrap()]].concat());
    flood_from_one_cpu(&net, &frame(), 5000);
    let summary = xdplog.stop().summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "logged"), net.received(0).div_ceil(10), "{summary}");
    let mut frames = 0;
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    while let Some(block) = reader.next_block() {
        frames += u64::from(matches!(block.unwrap(), Block::EnhancedPacket(_)));
    }
    assert_eq!(frames, count(&summary, "logged"));
}

#[test]
fn the_report_says_how_many() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--sample", "10"]);
    flood_from_one_cpu(&net, &frame(), 100);
    let (seen, ended) = (net.received(0), xdplog.stop());
    let logged = seen.div_ceil(10);
    let said = format!(
        "here0: {seen} seen = {logged} logged + 0 summarised + 0 not IP + 0 unselected + {} \
         sampled out + 0 lost",
        seen - logged
    );
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    assert_eq!(ended.lines().iter().collect::<BTreeSet<_>>().len(), 1);
}
