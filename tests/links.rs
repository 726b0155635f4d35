//! What links bring beside plain packets of IP over Ethernet: frames that are not
//! IP, packets of more than 64 KiB. The binary, over interfaces of its own; what a frame's bytes mean in
//! detail is in `parser.rs`.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::frames::{frame, other, seven};
use common::host::pin_to_one_cpu;
use common::json;
use common::link::{Tun, set_gso_max_size};
use common::live::flood;
use common::net::{HERE_IP, HERE_IP6, Net, THERE_IP, in_ns, ip, ip_batch};
use common::pcapng::Capture;
use common::process::{PATIENCE, Xdplog, assert_balanced, assert_refused, count, run};
use pcap_file::DataLink;

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

/// The kernel there looks for an address that nobody has, once, and is heard.
fn ask_for_nobody(net: &Net) {
    net.there(|| std::fs::write("/proc/sys/net/ipv4/neigh/there0/mcast_solicit", "1").unwrap());
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

/// An interface without Ethernet, beside one with it.
#[test]
fn datagrams_over_a_tun() {
    for format in ["classic", "text", "json", "pcapng"] {
        let net = Net::new();
        let tun = Tun::new(&net.here, "tun7");
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let args = ["here0", "tun7", "-f", format, "--overwrite", "-w", path];
        let xdplog = Xdplog::start(&net, &[&args[..], &["--stats-format", "json"]].concat());
        pin_to_one_cpu();
        net.tap_there(0).send(&frame());
        for (packet, _) in seven() {
            tun.send(&packet);
        }
        // One that is no IP at all.
        tun.send(&[0x4f; 7]);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = ended.summary();
        assert_balanced(&summary);
        let broken = u64::from(matches!(format, "text" | "pcapng"));
        let row = &summary["interfaces"]["tun7"];
        assert_eq!((count(row, "seen"), count(row, "logged")), (8, 7 + broken), "{summary}");
        assert_eq!(count(row, "not_ip"), 1 - broken, "{summary}");
        let log = std::fs::read(path).unwrap();
        if format == "pcapng" {
            is_capture_of_seven(&log);
        } else {
            let lines = String::from_utf8(log).unwrap();
            is_log_of_seven(format, &lines);
        }
    }
}

fn is_log_of_seven(format: &str, log: &str) {
    let mut lines = log.lines().skip(1);
    for (packet, source) in seven() {
        let (line, len) = (lines.next().unwrap(), packet.len());
        match format {
            "classic" => assert_eq!(line, format!("LOG: SRC {source}, ACTION 2")),
            "text" => {
                let (family, to) = match source.contains(':') {
                    true => ("IP6", "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd.53"),
                    false => ("IP ", "10.9.0.1.53"),
                };
                let want =
                    format!(" tun7  PASS     {family} {source}.1234 > {to}: udp, length {len}");
                assert_eq!(&line[15..], want);
            }
            _ => {
                let object = &json::objects(&format!("{line}\n"))[0];
                assert_eq!((&object["src"], &object["iface"]), (&source.into(), &"tun7".into()));
                assert_eq!((&object["sport"], &object["dport"]), (&1234.into(), &53.into()));
                assert_eq!((&object["len"], object.get("truncated")), (&len.into(), None));
            }
        }
    }
    let rest: Vec<&str> = lines.map(|line| &line[15..]).collect();
    let want = " tun7  PASS     IP, truncated-ip, length 7";
    assert_eq!(rest, if format == "text" { vec![want] } else { vec![] });
}

fn is_capture_of_seven(file: &[u8]) {
    let capture = Capture::read(file);
    assert_eq!(capture.links, [DataLink::ETHERNET, DataLink::RAW]);
    let of_tun: Vec<_> = capture.packets.iter().filter(|packet| packet.iface == 1).collect();
    assert_eq!(of_tun.len(), 8);
    for (packet, (want, _)) in of_tun.iter().zip(seven()) {
        assert_eq!(packet.data, want);
    }
}

#[test]
fn there_are_no_mac_addresses_on_a_tun_and_nothing_before_ip() {
    let net = Net::new();
    let tun = Tun::new(&net.here, "tun7");
    let packet = &frame()[14..];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for arg in ["-ex", "-exx"] {
        let xdplog = Xdplog::start(&net, &["-i", "tun7", "-f", "text", arg]);
        tun.send(packet);
        let ended = xdplog.stop();
        let (line, dump) = ended.stdout.split_once('\n').unwrap();
        assert!(line.contains(" PASS     IP  10.1.2.3.1234 > 10.99.0.1.9: udp"), "{line}");
        let dump: String = dump.lines().map(|line| line[9..].replace([' ', ':'], "")).collect();
        assert_eq!(dump, hex(packet), "{arg}");
    }
    let xdplog = Xdplog::start(&net, &["-i", "tun7", "-f", "json", "-e"]);
    tun.send(packet);
    let objects = json::objects(&xdplog.stop().stdout);
    assert_eq!((&objects[0]["src"], objects[0].get("src_mac")), (&"10.1.2.3".into(), None));
}

#[test]
fn links_that_are_neither_are_refused_by_name() {
    let net = Net::new();
    let tun = Tun::new(&net.here, "odd0");
    for (hardware, name) in [
        (801, "ARPHRD 801 (ieee802.11)"),
        (280, "ARPHRD 280 (can)"),
        (824, "ARPHRD 824 (netlink)"),
        (1234, "ARPHRD 1234"),
    ] {
        tun.set_type(&net.here, "odd0", hardware);
        let ended = run(&net, &["here0", "odd0"]);
        let want = format!("odd0: its link is of a type whose frames xdplog cannot parse, {name}.");
        assert_refused(&ended, &[&want]);
        assert!(!net.has_xdp(0), "nothing was attached");
    }
    // Of all interfaces it is left out.
    tun.set_type(&net.here, "odd0", 280);
    assert!(ip(&format!("-n {} link set odd0 up", net.here)));
    let ended = run(&net, &["-i", "any", "--duration", "10ms"]);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("left out: odd0: its link is of a type"), "{}", ended.stderr);
    assert!(ended.stderr.contains("here0: 0 seen"), "{}", ended.stderr);
    // The types of tunnels are not.
    for hardware in [512, 519, 768, 769, 776, 778, 823] {
        tun.set_type(&net.here, "odd0", hardware);
        assert_eq!(run(&net, &["odd0", "--duration", "10ms"]).code(), Some(0), "{hardware}");
    }
}

/// Tunnels that carry IP without Ethernet between the two namespaces, where this
/// kernel has them: here their packets are what was put into them.
#[test]
fn datagrams_over_tunnels() {
    let mut had = Vec::new();
    for kind in ["ipip", "gre", "sit", "wireguard"] {
        let net = Net::new();
        net.enable_ipv6();
        if !tunnel(&net, kind) {
            eprintln!("skipped: this machine has no {kind}");
            continue;
        }
        let (here, there, rest) = match kind {
            "sit" => ("fd77::1", "fd77::2", "64 nodad"),
            _ => ("10.77.0.1", "10.77.0.2", "24"),
        };
        for (ns, address) in [(&net.here, here), (&net.there, there)] {
            in_ns(ns, || std::fs::write("/proc/sys/net/ipv6/conf/t7/disable_ipv6", "0").unwrap());
            ip_batch(ns, &format!("link set t7 up\naddr add {address}/{rest} dev t7\n"));
        }
        let xdplog = Xdplog::start(&net, &["t7", "-f", "json", "--stats-format", "json"]);
        let server = net.here(|| UdpSocket::bind((here, 0)).unwrap());
        let at = server.local_addr().unwrap();
        let client = net.there(|| UdpSocket::bind((there, 0)).unwrap());
        for _ in 0..7 {
            client.send_to(b"seven", at).unwrap();
        }
        for _ in 0..7 {
            server.recv_from(&mut [0; 16]).unwrap();
        }
        let ended = xdplog.stop();
        assert_balanced(&ended.summary());
        let objects = json::objects(&ended.stdout);
        let is_ours = |object: &&serde_json::Value| {
            object["src"] == there && object["proto"] == "udp" && object["dport"] == at.port()
        };
        assert_eq!(objects.iter().filter(is_ours).count(), 7, "{kind}: {}", ended.stdout);
        assert!(objects.iter().all(|object| object.get("truncated").is_none()), "{kind}");
        assert_eq!(count(&ended.summary(), "not_ip"), 0, "{kind}");
        had.push(kind);
    }
    eprintln!("tunnels: {had:?}");
}

/// Make both ends of a tunnel, called t7; whether this machine has such.
fn tunnel(net: &Net, kind: &str) -> bool {
    let ends = [(&net.here, HERE_IP, THERE_IP), (&net.there, THERE_IP, HERE_IP)];
    if kind != "wireguard" {
        return ends.iter().all(|(ns, local, remote)| {
            ip(&format!("-n {ns} link add t7 type {kind} local {local} remote {remote}"))
        });
    }
    let wg = |ns: &str, words: &[&str], input: &str| {
        let args = [&["netns", "exec", ns, "wg"], words].concat();
        pipe("ip", &args, input).trim().to_string()
    };
    if !ends.iter().all(|(ns, ..)| ip(&format!("-n {ns} link add t7 type wireguard")))
        || !ip(&format!("netns exec {} wg show", net.here))
    {
        return false;
    }
    let private = ends.map(|(ns, ..)| wg(ns, &["genkey"], ""));
    let public = [0, 1].map(|end: usize| wg(ends[end].0, &["pubkey"], &private[end]));
    for (end, (ns, _, remote)) in ends.iter().enumerate() {
        let endpoint = format!("{remote}:51820");
        let words = ["set", "t7", "listen-port", "51820", "private-key", "/proc/self/fd/0", "peer"];
        let peer = [&public[1 - end], "allowed-ips", "0.0.0.0/0", "endpoint", &endpoint];
        wg(ns, &[&words[..], &peer].concat(), &private[end]);
    }
    true
}

/// Run a program with this input; what it writes.
fn pipe(program: &str, args: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    String::from_utf8(output.stdout).unwrap()
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
