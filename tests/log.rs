//! What is logged: the lines, their order, what the options select, what the
//! summary says. The binary, black box.

mod common;

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use common::frames::{other, syn6, udp4};
use common::host::pin_to_one_cpu;
use common::net::{HERE_IP, HERE_IP6, Net, THERE_IP, run as run_tool};
use common::process::{PATIENCE, PROMPT, Xdplog, assert_balanced, count, run};

fn line(source: &str) -> String {
    format!("LOG: SRC {source}, ACTION 2")
}

#[test]
fn a_packet_of_a_real_socket_is_a_line() {
    let net = Net::new();
    let mut xdplog = Xdplog::start(&net, &["here0"]);
    let lines = xdplog.lines();
    let socket = net.there(|| UdpSocket::bind((THERE_IP, 0)).unwrap());
    let server = net.here(|| UdpSocket::bind((HERE_IP, 0)).unwrap());
    socket.send_to(b"hello", server.local_addr().unwrap()).unwrap();
    assert_eq!(lines.recv_timeout(PATIENCE).unwrap().0, line(THERE_IP));

    let mut data = [0; 16];
    let (len, from) = server.recv_from(&mut data).unwrap();
    assert_eq!((&data[..len], from), (&b"hello"[..], socket.local_addr().unwrap()));
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0));
    assert!(ended.stderr.contains("logging here0 (generic)"), "{}", ended.stderr);
    assert!(ended.stderr.contains("here0: 1 seen = 1 logged + 0 summarised"), "{}", ended.stderr);
}

#[test]
fn lines_come_in_order_and_exactly() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
    let tap = net.tap_there(0);
    // Order is kept per CPU, and a veth's packets arrive on the sender's.
    pin_to_one_cpu();
    let mut want = Vec::new();
    for i in 0..2000u32 {
        let source = Ipv4Addr::from(0x0a00_0000 + i * 7919 % 0xff_ffff);
        tap.send(&udp4(source, 18));
        want.push(line(&source.to_string()));
        if i % 10 == 0 {
            let source = format!("fd99::{:x}", i + 1);
            tap.send(&syn6(source.parse().unwrap()));
            want.push(line(&source));
        }
        if i % 100 == 0 {
            tap.send(&other(0x88cc));
        }
    }
    let ended = xdplog.stop();
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(0), "as many as the interface received");
    assert_eq!(count(&summary, "not_ip"), 20);
    assert_eq!(count(&summary, "logged"), want.len() as u64);
    assert_eq!(ended.lines(), want);
}

#[test]
fn icmp_and_tcp_of_real_stacks() {
    let net = Net::new();
    net.enable_ipv6();
    let mut xdplog = Xdplog::start(&net, &["here0"]);
    let lines = xdplog.lines();
    // A TCP connection over IPv6, there and back, past the XDP program.
    let server = net.here(|| std::net::TcpListener::bind((HERE_IP6, 0)).unwrap());
    let at = server.local_addr().unwrap();
    let client = net.there(move || std::net::TcpStream::connect(at).unwrap());
    let accepted = server.accept().unwrap();
    assert_eq!(accepted.1, client.local_addr().unwrap());
    let want = line("fd99::2");
    wait_for(&lines, |got| got == want);
    // ICMP: the answer to a packet for a closed port.
    let socket = net.here(|| UdpSocket::bind((HERE_IP, 0)).unwrap());
    socket.send_to(b"anyone?", (THERE_IP, 9)).unwrap();
    let want = line(THERE_IP);
    wait_for(&lines, |got| got == want);
    assert_eq!(xdplog.stop().code(), Some(0));
}

fn wait_for(
    lines: &std::sync::mpsc::Receiver<(String, Instant)>,
    mut is: impl FnMut(&str) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let (got, _) = lines.recv_timeout(left).expect("the line comes");
        if is(&got) {
            return;
        }
    }
}

#[test]
fn one_family_only() {
    for (option, logged, source) in [("-4", 3, "10.1.2.3"), ("-6", 5, "fd99::77")] {
        let net = Net::new();
        let xdplog = Xdplog::start(&net, &["here0", option, "--stats-format", "json"]);
        let tap = net.tap_there(0);
        for _ in 0..3 {
            tap.send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
        }
        for _ in 0..5 {
            tap.send(&syn6("fd99::77".parse().unwrap()));
        }
        tap.send(&other(0x0806));
        let ended = xdplog.stop();
        let summary = ended.summary();
        assert_balanced(&summary);
        assert_eq!(ended.lines(), vec![line(source); logged]);
        assert_eq!(count(&summary, "unselected"), 8 - logged as u64);
        assert_eq!(count(&summary, "not_ip"), 1);
    }
}

#[test]
fn a_count_is_exact() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "-c", "7", "--stats-format", "json"]);
    let tap = net.tap_there(0);
    for _ in 0..500 {
        tap.send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
    }
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(ended.lines().len(), 7);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "logged"), 7);
    assert_eq!(count(&summary, "unselected"), count(&summary, "seen") - 7);
    assert!(!net.has_xdp(0));
}

#[test]
fn a_duration_ends_it() {
    let net = Net::new();
    let ended = run(&net, &["here0", "--duration", "300ms", "--stats-format", "json"]);
    assert_eq!(ended.code(), Some(0));
    let seconds = ended.summary()["seconds"].as_f64().unwrap();
    assert!(seconds >= 0.3, "{seconds}");
    assert!(!net.has_xdp(0));
}

#[test]
fn several_interfaces_each_with_its_counts() {
    let net = Net::new();
    net.add_pair(1);
    net.add_pair(2);
    let xdplog =
        Xdplog::start(&net, &["here0", "here1", "here2", "here1", "--stats-format", "json"]);
    for (n, frames) in [(0, 2), (1, 3), (2, 0)] {
        let tap = net.tap_there(n);
        for _ in 0..frames {
            tap.send(&udp4(Ipv4Addr::new(10, 0, n as u8, 1), 18));
        }
    }
    let ended = xdplog.stop();
    let start = ended.stderr.lines().next().unwrap();
    for name in ["here0 (generic)", "here1 (generic)", "here2 (generic)"] {
        assert!(start.contains(name), "{start}");
    }
    let summary = ended.summary();
    assert_balanced(&summary);
    for (name, frames) in [("here0", 2), ("here1", 3), ("here2", 0)] {
        assert_eq!(count(&summary["interfaces"][name], "logged"), frames, "{summary}");
    }
    let of = |source: &str| ended.lines().iter().filter(|got| **got == line(source)).count();
    assert_eq!((of("10.0.0.1"), of("10.0.1.1")), (2, 3));
}

#[test]
fn generic_mode_is_said_and_works() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--mode", "generic"]);
    let shown = net.here(|| run_tool("ip", &["-o", "link", "show", "here0"]));
    assert!(shown.contains("xdpgeneric"), "{shown}");
    net.tap_there(0).send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
    let ended = xdplog.stop();
    assert!(ended.stderr.contains("here0 (generic)"), "{}", ended.stderr);
    assert_eq!(ended.lines(), [line("10.1.2.3")]);
}

#[test]
fn auto_falls_back_to_generic_where_the_driver_has_no_native_xdp() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["lo"]);
    let socket = net.here(|| {
        assert!(common::net::ip(&format!("-n {} link set lo up", net.here)));
        UdpSocket::bind("127.0.0.1:0").unwrap()
    });
    socket.send_to(b"to myself", socket.local_addr().unwrap()).unwrap();
    let ended = xdplog.stop();
    assert!(ended.stderr.contains("lo (generic)"), "{}", ended.stderr);
    assert_eq!(ended.lines(), [line("127.0.0.1")]);
}

#[test]
fn quiet_says_nothing_unless_asked() {
    let net = Net::new();
    let ended = Xdplog::start(&net, &["here0", "-q"]).stop();
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    let ended = Xdplog::start(&net, &["here0", "-q", "--stats-format", "json"]).stop();
    assert_eq!(ended.stderr.lines().count(), 1);
    assert_eq!(count(&ended.summary(), "seen"), 0);
}

#[test]
fn the_summary_is_one_json_object_on_one_line() {
    let net = Net::new();
    let ended = run(&net, &["here0", "--duration", "50ms", "--stats-format", "json"]);
    let line = ended.stderr.lines().last().unwrap();
    let order = ["seen", "logged", "not_ip", "unselected", "lost", "seconds", "interfaces"];
    let at: Vec<usize> = order.map(|key| line.find(&format!("\"{key}\":")).unwrap()).to_vec();
    assert!(at.is_sorted(), "{line}");
    assert!(ended.summary()["interfaces"]["here0"]["seconds"].is_number());
}

#[test]
fn a_large_mtu_is_logged_with_its_whole_frames() {
    let net = Net::new();
    net.set_mtu(9000);
    // Only a program that says it knows of fragments may attach natively here.
    let xdplog = Xdplog::start(&net, &["here0", "--mode", "native"]);
    net.tap_there(0).send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 8900));
    assert_eq!(xdplog.stop().lines(), [line("10.1.2.3")]);
}

#[test]
fn a_lone_packet_is_seen_at_once() {
    let net = Net::new();
    let mut xdplog = Xdplog::start(&net, &["here0"]);
    let lines = xdplog.lines();
    let tap = net.tap_there(0);
    let frame = udp4(Ipv4Addr::new(10, 1, 2, 3), 18);
    let mut took: Vec<Duration> = (0..51)
        .map(|_| {
            let sent = Instant::now();
            tap.send(&frame);
            lines.recv_timeout(PATIENCE).expect("without another packet").1 - sent
        })
        .collect();
    took.sort_unstable();
    // A bound on what a person notices, not a measurement: the benchmark has
    // those. Without the flush, every second line would never come.
    assert!(took[25] < *PROMPT, "median {:?}", took[25]);
}
