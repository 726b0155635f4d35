//! The formats on pipes, terminals and in files, read by libraries: JSON against
//! its schema, pcapng by pcap-file. What other programs make of them is in
//! `formats.rs`.

mod common;

use std::io::Read;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::frames::{frame, other, syn6, udp4};
use common::host::pin_to_one_cpu;
use common::json;
use common::live::{flood, flood_sources};
use common::logs::packets_cut;
use common::net::Net;
use common::pcapng::Capture;
use common::process::{
    Ended, PATIENCE, PROMPT, Xdplog, assert_balanced, command, count, run, unread_pipe,
};
use common::reference::{NotIp, Parsed, Told};
use common::table::{MTU, table};
use serde_json::Value;
use xdplog::bpf::{Carried, NOT_IP_OTHER};

/// What xdplog writes in this format, and how it ended, while `send` runs.
fn log(net: &Net, args: &[&str], send: impl FnOnce()) -> (Vec<u8>, Ended) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let args = [args, &["--stats-format", "json", "-w", file.to_str().unwrap()]].concat();
    let xdplog = Xdplog::start(net, &args);
    send();
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    (std::fs::read(file).unwrap(), ended)
}

fn since_1970() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

/// Between the kernel's clock and the wall's, as they are read one by one.
const NOISE: u128 = 2_000_000;

#[test]
fn the_schema_and_its_description_are_of_one_version() {
    assert_eq!(json::version(), "1");
    let docs = include_str!("../docs/json.md");
    assert!(docs.starts_with("# JSON lines, version 1\n"));
    // What the text shows is what the schema allows, and it tells all keys.
    let shown: Vec<&str> = docs.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(shown.len(), 3);
    json::objects(&(shown.join("\n") + "\n"));
    let schema: Value = serde_json::from_str(include_str!("../docs/json.schema.json")).unwrap();
    for kind in ["packet", "frame", "summary"] {
        let keys = schema["$defs"][kind]["properties"].as_object().unwrap();
        for key in keys.keys() {
            assert!(docs.contains(&format!("`{key}`")), "{key} is not in docs/json.md");
        }
    }
}

#[test]
fn the_schema_refuses_what_is_not_so() {
    let good: Value = serde_json::from_str(
        r#"{"time":"2026-11-23T19:33:41.840235889Z","iface":"eth0","action":"PASS",
        "src":"10.1.2.3","dst":"fd99::1","proto":"tcp","sport":1,"dport":2,"len":54,"tcp_flags":"SA"}"#,
    )
    .unwrap();
    assert!(json::VALIDATOR.is_valid(&good));
    for (key, value) in [
        ("time", "2026-11-23 19:33:41Z".into()),
        ("time", "2026-13-23T19:33:41.840235889Z".into()),
        ("action", "pass".into()),
        ("action", "2".into()),
        ("src", "10.1.2.256".into()),
        ("dst", "other".into()),
        ("proto", "TCP".into()),
        ("proto", "udp".into()),
        ("sport", 65536.into()),
        ("sport", Value::Null),
        ("len", "54".into()),
        ("vlan", Value::Array(vec![])),
        ("vlan", vec![4096].into()),
        ("tcp_flags", "AS".into()),
        ("fragment", false.into()),
        ("icmp_type", 8.into()),
        ("more", true.into()),
        ("event", "summary".into()),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!json::VALIDATOR.is_valid(&bad), "{bad}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_frame() {
    let good: Value = serde_json::from_str(
        r#"{"time":"2026-11-23T19:33:41.840235889Z","iface":"eth0","action":"PASS",
        "ethertype":"ARP","src_mac":"02:00:00:00:00:0b","dst_mac":"ff:ff:ff:ff:ff:ff",
        "arp_op":"request","sender":"10.1.2.3","target":"10.9.0.1","len":60}"#,
    )
    .unwrap();
    assert!(json::VALIDATOR.is_valid(&good));
    for (key, value) in [
        ("src", "10.1.2.3".into()),
        ("dst", "10.1.2.3".into()),
        ("proto", "udp".into()),
        ("ethertype", "LLDP".into()),
        ("ethertype", 0x0806.into()),
        ("src_mac", "2:0:0:0:0:b".into()),
        ("dst_mac", "FF:FF:FF:FF:FF:FF".into()),
        ("arp_op", 1.into()),
        ("sender", "fd99::1".into()),
        ("target", Value::Null),
        ("dsap", 66.into()),
        ("fragment", true.into()),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(!json::VALIDATOR.is_valid(&bad), "{bad}");
    }
    for key in ["time", "len", "ethertype", "src_mac", "dst_mac", "arp_op", "sender", "target"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(key);
        assert!(!json::VALIDATOR.is_valid(&bad), "{bad}");
    }
}

#[test]
fn json_of_frames_of_every_kind_and_cut_anywhere() {
    let net = Net::new();
    net.set_mtu(MTU);
    let mut frames = Vec::new();
    for (_, frame) in table() {
        // An interface takes no less than an Ethernet header.
        let cuts = if frame.len() < 80 { 14..frame.len() } else { 0..0 };
        frames.extend(cuts.map(|len| frame[..len].to_vec()));
        frames.push(frame);
    }
    let before = since_1970();
    let (log, ended) = log(&net, &["here0", "-f", "json"], || {
        pin_to_one_cpu();
        let tap = net.tap_there(0);
        frames.iter().for_each(|frame| tap.send(frame));
    });
    let after = since_1970();
    let objects = json::objects(&String::from_utf8(log).unwrap());
    let want: Vec<_> =
        frames.iter().filter_map(|frame| Told::reference(frame, NOT_IP_OTHER)).collect();
    assert_eq!(json::packets(&objects), (want.len() as u64, 0));
    let mut not_ip = 0;
    for (object, want) in objects.iter().zip(&want) {
        assert_eq!((&object["iface"], &object["action"]), (&"here0".into(), &"PASS".into()));
        let time: jiff::Timestamp = object["time"].as_str().unwrap().parse().unwrap();
        let ns = time.as_nanosecond() as u128;
        assert!((before - NOISE..=after + NOISE).contains(&ns), "{before} {object} {after}");
        match want {
            Told::Ip(want) => is_packet(object, want),
            Told::NotIp(want) => {
                is_frame(object, want);
                not_ip += 1;
            }
        }
    }
    assert!(not_ip > 100, "{not_ip}");
    let summary = ended.summary();
    assert_eq!(count(&summary, "logged"), want.len() as u64);
    assert_eq!(count(&summary, "not_ip"), (frames.len() - want.len()) as u64);
}

/// The object says of a packet what it should.
fn is_packet(object: &Value, want: &Parsed) {
    assert_eq!(object["src"], want.source.to_string());
    assert_eq!(object["dst"], want.destination.to_string());
    assert_eq!(object["len"], want.len);
    let ports = want.ports.unzip();
    assert_eq!(object.get("sport"), ports.0.map(Value::from).as_ref(), "{object}");
    assert_eq!(object.get("dport"), ports.1.map(Value::from).as_ref(), "{object}");
    let icmp = want.icmp.unzip();
    assert_eq!(object.get("icmp_type"), icmp.0.map(Value::from).as_ref(), "{object}");
    assert_eq!(object.get("icmp_code"), icmp.1.map(Value::from).as_ref(), "{object}");
    assert_eq!(object.get("tcp_flags").is_some(), want.tcp_flags.is_some(), "{object}");
    assert_eq!(object.get("vlan").is_some(), !want.vlans.is_empty(), "{object}");
    assert_eq!(object.get("fragment").is_some(), want.fragment, "{object}");
    assert_eq!(object.get("truncated").is_some(), want.truncated, "{object}");
}

/// The same of a frame that is not IP, from there to here.
fn is_frame(object: &Value, want: &NotIp) {
    assert_eq!(object["src_mac"], "02:00:00:00:00:0b");
    assert_eq!(object["len"], want.len);
    let kind = match want.ether_type {
        None => "802.3".to_string(),
        Some(0x0806) => "ARP".into(),
        Some(0x8035) => "RARP".into(),
        Some(0x8100) => "802.1Q".into(),
        Some(0x8847) => "MPLS unicast".into(),
        Some(0x8864) => "PPPoE S".into(),
        Some(0x888e) => "EAPOL".into(),
        Some(0x88a8) => "802.1ad".into(),
        Some(0x88cc) => "LLDP".into(),
        Some(other) => format!("0x{other:04x}"),
    };
    assert_eq!(object["ethertype"], kind);
    if let Carried::Arp { op, sender, target, .. } = want.carried {
        let op = match op {
            1 => "request".to_string(),
            2 => "reply".to_string(),
            other => other.to_string(),
        };
        assert_eq!(object["arp_op"], op);
        assert_eq!(object["sender"], sender.to_string());
        assert_eq!(object["target"], target.to_string());
    } else {
        assert_eq!(object.get("arp_op"), None, "{object}");
    }
    let vlans = object.get("vlan").map(|ids| ids.as_array().unwrap().len());
    assert_eq!(vlans.unwrap_or(0), want.vlans.len(), "{object}");
    assert_eq!(object.get("truncated").is_some(), want.truncated, "{object}");
}

/// What is captured of a frame, if no less is asked for (README).
const CARRIED: u32 = 130_800;

#[test]
fn pcapng_gives_back_the_frames_that_were_sent() {
    let net = Net::new();
    net.set_mtu(MTU);
    let frames: Vec<Vec<u8>> = table().into_iter().map(|(_, frame)| frame).collect();
    let before = since_1970();
    let (file, ended) = log(&net, &["here0", "-f", "pcapng"], || {
        pin_to_one_cpu();
        let tap = net.tap_there(0);
        frames.iter().for_each(|frame| tap.send(frame));
    });
    let after = since_1970();
    let capture = Capture::read(&file);
    assert_eq!(capture.ifaces, [("here0".to_string(), CARRIED)]);
    // All of them, whatever they are.
    assert_eq!(capture.packets.len(), frames.len());
    for (packet, want) in capture.packets.iter().zip(&frames) {
        assert_eq!(&packet.data, want);
        assert_eq!((packet.len as usize, packet.iface), (want.len(), 0));
        assert_eq!((packet.verdict, packet.queue), (2, 0));
        assert!((before - NOISE..=after + NOISE).contains(&packet.ns), "{packet:?}");
    }
    assert!(capture.packets.is_sorted_by_key(|packet| packet.ns), "in order on one CPU");
    let summary = ended.summary();
    assert_eq!(capture.counts, [[frames.len() as u64, 0, count(&summary, "logged")]]);
    assert_eq!(capture.packets.len() as u64, count(&summary, "logged"));
}

/// `len` bytes of UDP, no two neighbours alike.
fn patterned(len: usize) -> Vec<u8> {
    let mut frame = udp4(Ipv4Addr::new(10, 1, 2, 3), len);
    for (i, byte) in frame.iter_mut().enumerate().skip(42) {
        *byte = (i * 7 + i / 256) as u8;
    }
    frame
}

#[test]
fn snaplen_cuts_and_large_frames_are_whole() {
    let net = Net::new();
    // The largest that there is, and a frame that is all of it.
    net.set_mtu(65_535);
    let frames: Vec<_> = [0, 1, 2, 3, 18, 1472, 4000, 8000, 8972, 65_507].map(patterned).to_vec();
    for snaplen in [1, 14, 61, 1514, 8192, 65_536, 262_144] {
        let args = ["here0", "-f", "pcapng", "--snaplen", &snaplen.to_string()];
        let (file, _) = log(&net, &args, || {
            pin_to_one_cpu();
            let tap = net.tap_there(0);
            frames.iter().for_each(|frame| tap.send(frame));
        });
        let capture = Capture::read(&file);
        assert_eq!(capture.ifaces, [("here0".to_string(), CARRIED.min(snaplen as u32))]);
        assert_eq!(capture.packets.len(), frames.len());
        for (packet, frame) in capture.packets.iter().zip(&frames) {
            assert_eq!(packet.data, frame[..frame.len().min(snaplen)], "snaplen {snaplen}");
            assert_eq!(packet.len as usize, frame.len());
        }
    }
}

/// The bytes in a dump's lines.
fn dumped<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let line = |(index, line): (usize, &'a str)| {
        let (offset, rest) = line.trim_start().split_once(":  ").unwrap();
        assert_eq!(offset, format!("0x{:04x}", index * 16));
        let hex = rest.split("  ").next().unwrap().replace(' ', "");
        let digits: Vec<char> = hex.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
        digits.chunks(2).map(byte).collect::<Vec<_>>()
    };
    lines.enumerate().flat_map(line).collect()
}

#[test]
fn bytes_of_frames_below_their_lines() {
    let net = Net::new();
    net.set_mtu(65_535);
    let frames: Vec<_> = [0, 1, 18, 1472, 8972, 65_507].map(patterned).to_vec();
    for (arg, snaplen, header) in [
        ("-x", None, 14),
        ("-xx", None, 0),
        ("-X", Some(100), 14),
        ("-XX", Some(1), 0),
        ("-eXX", Some(61), 0),
    ] {
        let len = snaplen.unwrap_or(0).to_string();
        let (text, ended) = log(&net, &["here0", "-f", "text", arg, "-s", &len], || {
            pin_to_one_cpu();
            let tap = net.tap_there(0);
            frames.iter().for_each(|frame| tap.send(frame));
        });
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines().peekable();
        for frame in &frames {
            let line = lines.next().unwrap();
            assert!(line.ends_with(&format!("udp, length {}", frame.len())), "{line}");
            let macs =
                line.contains("PASS     02:00:00:00:00:0b > 02:00:00:00:00:0a, IP  10.1.2.3");
            assert_eq!(macs, arg.contains('e'), "{line}");
            let below = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('\t')));
            let end = frame.len().min(snaplen.unwrap_or(usize::MAX));
            assert_eq!(dumped(below), frame[header..end], "{arg} of {}", frame.len());
        }
        assert_eq!(lines.next(), None);
        assert_eq!(count(&ended.summary(), "logged"), frames.len() as u64);
    }
}

#[test]
fn json_with_mac_addresses() {
    let net = Net::new();
    net.set_mtu(MTU);
    let frames: Vec<Vec<u8>> = table().into_iter().map(|(_, frame)| frame).collect();
    let (log, _) = log(&net, &["here0", "-f", "json", "-e"], || {
        pin_to_one_cpu();
        let tap = net.tap_there(0);
        frames.iter().for_each(|frame| tap.send(frame));
    });
    let objects = json::objects(&String::from_utf8(log).unwrap());
    let want: Vec<_> =
        frames.iter().filter_map(|frame| Told::reference(frame, NOT_IP_OTHER)).collect();
    assert_eq!(objects.len(), want.len());
    for (object, want) in objects.iter().zip(&want) {
        assert_eq!(object["src_mac"], "02:00:00:00:00:0b", "{object}");
        if let Told::Ip(want) = want {
            assert_eq!(object["dst_mac"], "02:00:00:00:00:0a", "{object}");
            is_packet(object, want);
        }
    }
}

#[test]
fn pcapng_of_several_interfaces() {
    let net = Net::new();
    net.add_pair(1);
    net.add_pair(2);
    let (file, ended) = log(&net, &["here2", "here0", "here1", "-f", "pcapng"], || {
        for n in 0..3 {
            let tap = net.tap_there(n);
            for _ in 0..=n {
                tap.send(&udp4(Ipv4Addr::new(10, 0, n as u8, 1), 18));
            }
            tap.send(&other(0x88cc));
        }
    });
    let capture = Capture::read(&file);
    let names: Vec<&str> = capture.ifaces.iter().map(|iface| iface.0.as_str()).collect();
    assert_eq!(names, ["here2", "here0", "here1"]);
    for packet in &capture.packets {
        if packet.data[12..14] == [0x08, 0x00] {
            let source = packet.data[28] as usize;
            assert_eq!(names[packet.iface], format!("here{source}"));
        }
    }
    assert_eq!(capture.counts, [[4, 0, 4], [2, 0, 2], [3, 0, 3]]);
    assert_eq!(capture.packets.len(), 9);
    assert_balanced(&ended.summary());
}

#[test]
fn a_count_of_frames_is_exact() {
    let net = Net::new();
    let mut xdplog = Xdplog::start(&net, &["here0", "-f", "pcapng", "-c", "7"]);
    let mut stdout = xdplog.stdout();
    let tap = net.tap_there(0);
    for _ in 0..300 {
        tap.send(&frame());
    }
    let mut file = Vec::new();
    stdout.read_to_end(&mut file).unwrap();
    assert_eq!(xdplog.end().code(), Some(0));
    let capture = Capture::read(&file);
    assert_eq!((capture.packets.len(), capture.counts.len()), (7, 1));
}

const FORMATS: [&str; 3] = ["text", "json", "pcapng"];

#[test]
fn summaries_in_each_format_stand_for_all_packets() {
    for format in FORMATS {
        let net = Net::new();
        let args = ["here0", "-f", format, "--buffer-size", "4096", "--overflow-sources", "8"];
        let xdplog = [&args[..], &["--stats-format", "json"]].concat();
        let mut xdplog = Xdplog::start(&net, &xdplog);
        let mut stdout = xdplog.stdout();
        let reader = std::thread::spawn(move || {
            let mut log = Vec::new();
            stdout.read_to_end(&mut log).unwrap();
            log
        });
        xdplog.park();
        flood_sources(&net, 0, 20, 20_000);
        xdplog.unpark();
        let ended = xdplog.stop();
        let log = reader.join().unwrap();
        let summary = ended.summary();
        assert_balanced(&summary);
        assert_eq!(count(&summary, "lost"), 0);
        assert!(count(&summary, "summarised") > 10_000, "{summary}");
        let want = (count(&summary, "logged"), count(&summary, "summarised"));
        assert_eq!(packets_cut(format, &log), want, "{format}");
        // Those beyond the table are one.
        let other = match format {
            "text" => "other sources: summary of ",
            "json" => "\"src\":\"other\"",
            _ => "LOG: SRC other, ACTION 2, COUNT ",
        };
        assert!(String::from_utf8_lossy(&log).contains(other), "{format}");
        if format == "pcapng" {
            let dropped: u64 = Capture::read(&log).counts.iter().map(|counts| counts[1]).sum();
            assert_eq!(dropped, count(&summary, "summarised"), "the statistics say so, too");
        }
    }
}

#[test]
fn a_reader_that_stops_reading() {
    for format in FORMATS {
        let net = Net::new();
        let (mut reader, writer) = unread_pipe();
        let args = ["here0", "-f", format, "--stats-format", "json"];
        let xdplog = Xdplog::start_to(&net, &args, writer);
        flood(&net, 0, &frame(), 100_000);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(1), "{format}: {}", ended.stderr);
        assert!(ended.took < *PROMPT, "{format}: {:?}", ended.took);
        assert!(!net.has_xdp(0));
        let summary = ended.summary();
        assert_balanced(&summary);
        assert_eq!(count(&summary, "seen"), net.received(0));
        assert!(count(&summary, "lost") > 0, "{format}: {summary}");
        let mut log = Vec::new();
        reader.read_to_end(&mut log).unwrap();
        let want = (count(&summary, "logged"), count(&summary, "summarised"));
        assert_eq!(packets_cut(format, &log), want, "{format}");
    }
}

#[test]
fn head_gets_what_it_wants() {
    for (format, args) in [("text", "-n3"), ("json", "-n3"), ("pcapng", "-c200")] {
        let net = Net::new();
        let mut head = Command::new("head")
            .arg(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = head.stdin.take().unwrap();
        let xdplog = Xdplog::start_to(&net, &["here0", "-f", format], stdin.into());
        let tap = net.tap_there(0);
        for _ in 0..100 {
            tap.send(&frame());
        }
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(0), "{format}: {}", ended.stderr);
        // The start, and what the mode costs.
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert!(lines[0].starts_with("xdplog: logging here0 "), "{}", ended.stderr);
        assert!(lines[1..].iter().all(|line| line.contains("generic mode")), "{}", ended.stderr);
        let got = head.wait_with_output().unwrap().stdout;
        match format {
            "pcapng" => assert_eq!(got.len(), 200),
            _ => assert_eq!(packets_cut(format, &got), (3, 0), "{format}"),
        }
    }
}

/// What `xdplog -f text -c 1` and these arguments put on its stdout.
fn shown(net: &Net, args: &[&str], env: Option<(&str, &str)>, on_terminal: bool) -> String {
    let mut command = command(net, &[&["here0", "-f", "text", "-c", "1", "-q"], args].concat());
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(env);
    let (mut ours, mut child) = if on_terminal {
        let pty = nix::pty::openpty(None, None).unwrap();
        (std::fs::File::from(pty.master), command.stdout(pty.slave).spawn().unwrap())
    } else {
        let (ours, theirs) = nix::unistd::pipe().unwrap();
        (ours.into(), command.stdout(theirs).spawn().unwrap())
    };
    // Its copies of the other end.
    drop(command);
    let tap = net.tap_there(0);
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < PATIENCE, "{args:?} does not end");
        tap.send(&frame());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    // A terminal whose other end is closed gives an error, not an end.
    while let Ok(len @ 1..) = ours.read(&mut part) {
        text.extend_from_slice(&part[..len]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn colors_on_a_terminal_and_when_asked_for() {
    let net = Net::new();
    for (args, env, on_terminal, colored) in [
        (&[][..], None, true, true),
        (&[], Some(("NO_COLOR", "1")), true, false),
        // no-color.org: when present and not an empty string.
        (&[], Some(("NO_COLOR", "")), true, true),
        (&[], Some(("TERM", "dumb")), true, false),
        (&[], Some(("TERM", "")), true, true),
        (&[], None, false, false),
        (&["--color", "auto"], None, true, true),
        (&["--color", "always"], None, false, true),
        (&["--color", "always"], Some(("NO_COLOR", "1")), true, true),
        (&["--color", "always"], Some(("TERM", "dumb")), true, true),
        (&["--color", "never"], None, true, false),
    ] {
        let text = shown(&net, args, env, on_terminal);
        let verdict = if colored { "\x1b[32mPASS    \x1b[0m" } else { "here0 PASS     IP  10" };
        assert!(text.contains(verdict), "{args:?} {env:?} {on_terminal}: {text:?}");
        assert_eq!(text.contains('\x1b'), colored, "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }
    // The terminal is not where the lines go.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    assert_eq!(shown(&net, &["-w", file.to_str().unwrap()], None, true), "");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("here0 PASS     IP  10.1.2.3.1234 > 10.99.0.1.9: udp"), "{text:?}");
}

#[test]
fn pcapng_is_not_for_a_terminal() {
    let net = Net::new();
    let pty = nix::pty::openpty(None, None).unwrap();
    let output = command(&net, &["here0", "-f", "pcapng"]).stdout(pty.slave).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("pcapng is not for a terminal. Next: "), "{stderr}");
    assert!(!net.has_xdp(0));
    // In a file it is no matter what stdout is.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let args = ["here0", "-f", "pcapng", "--duration", "50ms", "-w", file.to_str().unwrap()];
    let pty = nix::pty::openpty(None, None).unwrap();
    assert!(command(&net, &args).stdout(pty.slave).status().unwrap().success());
    assert_eq!(Capture::read(&std::fs::read(file).unwrap()).counts, [[0, 0, 0]]);
}

#[test]
fn a_line_of_text_for_both_families_and_for_neither() {
    let net = Net::new();
    let (log, _) = log(&net, &["here0", "-f", "text"], || {
        pin_to_one_cpu();
        let tap = net.tap_there(0);
        tap.send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
        tap.send(&syn6("fd99::77".parse().unwrap()));
        tap.send(&other(0x88cc));
    });
    let log = String::from_utf8(log).unwrap();
    // What is behind the time, which has a form of its own.
    let lines: Vec<&str> = log.lines().map(|line| &line[15..]).collect();
    assert_eq!(
        lines,
        [
            " here0 PASS     IP  10.1.2.3.1234 > 10.99.0.1.9: udp, length 60",
            " here0 PASS     IP6 fd99::77.1234 > fd99::1.80: tcp [S], length 74",
            " here0 PASS     02:00:00:00:00:0b > 02:00:00:00:00:0a, ethertype LLDP (0x88cc), length 60",
        ]
    );
    for line in log.lines() {
        let form: String =
            line[..15].chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "00:00:00.000000", "{line}");
    }
}

#[test]
fn times_of_text_are_local() {
    let net = Net::new();
    let clock = |zone: &str| {
        let mut command = command(&net, &["here0", "-f", "text", "-c", "1", "-q"]);
        let mut child = command.env("TZ", zone).stdout(Stdio::piped()).spawn().unwrap();
        let tap = net.tap_there(0);
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < PATIENCE);
            tap.send(&frame());
            std::thread::sleep(Duration::from_millis(1));
        }
        let line = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let time: jiff::civil::Time = line.split(' ').next().unwrap().parse().unwrap();
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
    };
    let (utc, east) = (clock("UTC0"), clock("EAST-5:30"));
    // As far ahead as the zone is, give or take how long the two runs took.
    let ahead = (east - utc).rem_euclid(86_400) - 19_800;
    assert!((0..PATIENCE.as_secs() as i64).contains(&ahead), "{utc} {east}");
}

#[test]
fn nothing_at_all_is_a_valid_log() {
    let net = Net::new();
    for format in ["text", "json"] {
        let ended = run(&net, &["here0", "-f", format, "--duration", "50ms"]);
        assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), ""));
    }
    let (file, _) = log(&net, &["here0", "-f", "pcapng"], || ());
    let capture = Capture::read(&file);
    assert_eq!((capture.packets.len(), capture.counts), (0, vec![[0, 0, 0]]));
}
