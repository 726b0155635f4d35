//! What links bring beside plain packets of IP over Ethernet: frames that are not
//! IP, packets of more than 64 KiB. The binary, over interfaces of its own; what a frame's bytes mean in
//! detail is in `parser.rs`.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use common::frames::{frame, other};
use common::json;
use common::link::set_gso_max_size;
use common::live::flood;
use common::net::{HERE_IP, HERE_IP6, Net, THERE_IP};
use common::pcapng::Capture;
use common::process::{PATIENCE, Xdplog, assert_balanced, count};

const FORMATS: [&str; 3] = ["text", "json", "pcapng"];

/// The log on stdout of a run with these arguments while `send` runs, and the
/// summary.
fn log(net: &Net, args: &[&str], send: impl FnOnce()) -> (String, serde_json::Value) {
    let args = [args, &["--stats-format", "json"]].concat();
    let xdplog = Xdplog::start(net, &args);
    send();
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(0), "{summary}");
    (ended.stdout, summary)
}

/// The kernel there looks for an address that nobody has, and is heard.
fn ask_for_nobody(net: &Net) {
    let socket = net.there(|| UdpSocket::bind((THERE_IP, 0)).unwrap());
    socket.send_to(b"anyone?", ("10.99.0.77", 9)).unwrap();
    let since = Instant::now();
    while net.received(0) == 0 {
        assert!(since.elapsed() < PATIENCE, "no ARP arrives");
        std::thread::yield_now();
    }
}

#[test]
fn arp_of_a_real_stack() {
    let net = Net::new();
    let (text, summary) = log(&net, &["here0", "-f", "text"], || ask_for_nobody(&net));
    let first = text.lines().next().unwrap();
    let want = " here0 PASS     ARP, Request who-has 10.99.0.77 tell 10.99.0.2, length 42";
    assert_eq!(&first[15..], want);
    assert_eq!(count(&summary, "logged"), count(&summary, "seen"));

    let net = Net::new();
    let (json, summary) = log(&net, &["here0", "-f", "json"], || ask_for_nobody(&net));
    let object = &json::objects(&json)[0];
    for (key, value) in [
        ("ethertype", "ARP"),
        ("src_mac", "02:00:00:00:00:0b"),
        ("dst_mac", "ff:ff:ff:ff:ff:ff"),
        ("arp_op", "request"),
        ("sender", "10.99.0.2"),
        ("target", "10.99.0.77"),
    ] {
        assert_eq!(object[key], value, "{object}");
    }
    assert_eq!(count(&summary, "logged"), count(&summary, "seen"));
}

/// A frame of another kind, IP without a usable header, and a packet.
fn three_kinds() -> [Vec<u8>; 3] {
    [other(0x88cc), other(0x0800), frame()]
}

#[test]
fn what_each_format_logs_of_what_is_not_ip() {
    for (args, logged) in [
        (&["-f", "classic"][..], 1),
        (&["-f", "json"], 2),
        (&["-f", "text"], 3),
        (&["-f", "pcapng"], 3),
        // Of the family that is asked for it is none.
        (&["-f", "text", "-4"], 1),
        (&["-f", "pcapng", "-6"], 0),
        (&["-f", "json", "-4"], 1),
    ] {
        let net = Net::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = ["here0", "--overwrite", "-w", file.path().to_str().unwrap()];
        let (_, summary) = log(&net, &[&write[..], args].concat(), || {
            let tap = net.tap_there(0);
            three_kinds().iter().for_each(|frame| tap.send(frame));
        });
        assert_eq!(count(&summary, "logged"), logged, "{args:?}: {summary}");
        let left = 3 - logged - count(&summary, "unselected");
        assert_eq!(count(&summary, "not_ip"), left, "{args:?}: {summary}");
        let format = args[1];
        let bytes = std::fs::read(file.path()).unwrap();
        let lines = match format {
            "pcapng" => Capture::read(&bytes).packets.len(),
            _ => bytes.split(|&byte| byte == b'\n').count() - 1,
        };
        assert_eq!(lines as u64, logged, "{args:?}");
    }
}

#[test]
fn they_are_lines_that_a_count_counts() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "-f", "json", "-c", "5"]);
    let tap = net.tap_there(0);
    for _ in 0..100 {
        tap.send(&other(0x88cc));
    }
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(json::objects(&ended.stdout).len(), 5);
}

/// Where they find no room they are summarised by source, which is a MAC address.
#[test]
fn a_flood_of_them_is_summarised_by_mac_address() {
    for format in FORMATS {
        let net = Net::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let more = ["--overwrite", "-w", file.path().to_str().unwrap(), "--buffer-size", "4096"];
        let args = [&["here0", "-f", format, "--stats-format", "json"], &more[..]].concat();
        let xdplog = Xdplog::start(&net, &args);
        xdplog.park();
        flood(&net, 0, &other(0x88cc), 20_000);
        xdplog.unpark();
        let ended = xdplog.stop();
        let summary = ended.summary();
        assert_balanced(&summary);
        assert_eq!(count(&summary, "seen"), net.received(0));
        let summarised = count(&summary, "summarised");
        assert!(summarised > 1000, "{summary}");
        let log = std::fs::read(file.path()).unwrap();
        let log = String::from_utf8_lossy(&log);
        let (by, total): (&str, u64) = match format {
            "text" => {
                let counts = log.lines().filter_map(|line| line.split_once(": summary of "));
                let number = |text: &str| text.split(' ').next().unwrap().parse::<u64>().unwrap();
                (" 02:00:00:00:00:0b: summary of ", counts.map(|(_, rest)| number(rest)).sum())
            }
            "json" => (
                "\"src_mac\":\"02:00:00:00:00:0b\",\"action\"",
                json::packets(&json::objects(&log)).1,
            ),
            _ => (
                "LOG: SRC 02:00:00:00:00:0b, ACTION 2, COUNT ",
                Capture::read(&std::fs::read(file.path()).unwrap()).summarised(),
            ),
        };
        assert!(log.contains(by), "{format}");
        assert_eq!(total, summarised, "{format}");
    }
}

/// Bytes that are sent to see large packets.
const MUCH: usize = 16 << 20;

/// IPv4 since Linux 6.3, IPv6 since 5.19.
fn has_big_tcp() -> bool {
    let release = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_string();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(3))
}

/// One TCP stream to this address of here0; the objects of all that was logged.
fn stream_to(net: &Net, address: &str) -> Vec<serde_json::Value> {
    let args = ["here0", "--mode", "generic", "-f", "json", "--buffer-size", "16MiB"];
    let xdplog = Xdplog::start(net, &[&args[..], &["--stats-format", "json"]].concat());
    let server = net.here(|| TcpListener::bind((address, 0)).unwrap());
    let at = server.local_addr().unwrap();
    let mut client = net.there(move || TcpStream::connect(at).unwrap());
    let (mut accepted, _) = server.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        accepted.read_to_end(&mut all).unwrap();
        all.len()
    });
    client.write_all(&vec![0x5a; MUCH]).unwrap();
    drop(client);
    assert_eq!(reader.join().unwrap(), MUCH);
    let ended = xdplog.stop();
    assert_balanced(&ended.summary());
    json::objects(&ended.stdout)
}

#[test]
fn packets_of_big_tcp_are_whole() {
    if !has_big_tcp() {
        eprintln!("skipped: this kernel has no BIG TCP over IPv4");
        return;
    }
    let net = Net::new();
    net.enable_ipv6();
    set_gso_max_size(&net.here, "here0", 200_000);
    set_gso_max_size(&net.there, "there0", 200_000);
    for address in [HERE_IP, HERE_IP6] {
        let objects = stream_to(&net, address);
        let len = |object: &serde_json::Value| object["len"].as_u64().unwrap();
        let big = objects.iter().filter(|object| len(object) > 65_549).count();
        assert!(big > 0, "{address}: none of {} packets is big", objects.len());
        for object in &objects {
            assert_eq!(object.get("truncated"), None, "{object}");
            assert!(object["proto"] != "tcp" || object.get("tcp_flags").is_some(), "{object}");
        }
    }
}
