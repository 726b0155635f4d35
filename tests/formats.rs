//! What other programs make of the formats: tshark and capinfos of pcapng, jq of
//! JSON; and that tshark decodes frames as JSON says. `make test` installs them.

mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::frames::{frame, seven};
use common::host::pin_to_one_cpu;
use common::json;
use common::link::Tun;
use common::live::{flood, flood_sources};
use common::net::{Net, run as run_tool};
use common::process::{Ended, Xdplog, assert_balanced, count};
use common::reference::reference;
use common::table::{MTU, table};
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use serde_json::Value;

/// Fields of each packet in a file, as tshark decodes it; all occurrences of a
/// field, the outermost first. Nothing is put together across packets.
fn tshark(file: &Path, fields: &[&str]) -> Vec<Vec<Vec<String>>> {
    let mut args = vec!["-n", "-r", file.to_str().unwrap(), "-T", "fields", "-E", "separator=/t"];
    args.extend(["-E", "occurrence=a", "-E", "aggregator=;"]);
    args.extend(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    fields.iter().for_each(|field| args.extend(["-e", field]));
    let split = |text: &str| {
        text.split(';').filter(|value| !value.is_empty()).map(str::to_string).collect()
    };
    run_tool("tshark", &args)
        .lines()
        .map(|line| line.split('\t').map(split).collect::<Vec<_>>())
        .inspect(|values| assert_eq!(values.len(), fields.len()))
        .collect()
}

/// Fields of IPv6 that say what comes next; any but these four is what IPv6
/// carries.
const NEXT: [&str; 5] =
    ["ipv6.nxt", "ipv6.hopopts.nxt", "ipv6.routing.nxt", "ipv6.fraghdr.nxt", "ipv6.dstopts.nxt"];
const EXTENSIONS: [(&str, &str); 4] =
    [("0", "hopopt"), ("43", "ipv6-route"), ("44", "ipv6-frag"), ("60", "ipv6-opts")];

fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let header = PcapHeader { datalink: DataLink::ETHERNET, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(std::fs::File::create(path).unwrap(), header).unwrap();
    for frame in frames {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, frame.len() as u32, frame)).unwrap();
    }
}

/// What is below each line about a packet.
fn dumps(text: &str) -> Vec<String> {
    let mut dumps: Vec<String> = Vec::new();
    for line in text.lines() {
        match dumps.last_mut() {
            Some(last) if line.starts_with("\t0x") => *last += &format!("{line}\n"),
            // Others go on in lines of their own; a packet's first one has its time.
            _ if line.starts_with('\t') => {}
            _ => dumps.push(String::new()),
        }
    }
    dumps
}

/// Of packets whose payload tcpdump understands: of others it shows all, with -x, too,
/// or goes on about them in hex by itself.
#[test]
fn bytes_are_printed_as_tcpdump_prints_them() {
    let net = Net::new();
    net.set_mtu(MTU);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("frames.pcap");
    let frames = table().into_iter().map(|(_, frame)| frame);
    let is_plain = |frame: &Vec<u8>| {
        let parsed = reference(frame).filter(|parsed| !parsed.truncated);
        parsed.is_some_and(|parsed| [1, 6, 17].contains(&parsed.proto))
    };
    let frames: Vec<Vec<u8>> = frames.filter(is_plain).collect();
    assert!(frames.len() >= 20, "{}", frames.len());
    write_pcap(&file, &frames);
    let file = file.to_str().unwrap();
    for arg in ["-x", "-xx", "-X", "-XX", "-Xx", "-XXX"] {
        let xdplog = Xdplog::start(&net, &["-i", "here0", "-nf", "text", arg]);
        let tap = net.tap_there(0);
        pin_to_one_cpu();
        frames.iter().for_each(|frame| tap.send(frame));
        let ours = dumps(&xdplog.stop().stdout);
        let theirs = dumps(&run_tool("tcpdump", &["-nn", arg, "-r", file]));
        assert_eq!(ours.len(), frames.len());
        assert_eq!(ours, theirs, "{arg}");
        assert!(ours.iter().all(|dump| dump.starts_with("\t0x0000:  ")), "{arg}");
    }
}

#[test]
fn json_agrees_with_tshark() {
    let net = Net::new();
    net.set_mtu(MTU);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("frames.pcap");
    // Those that are IP and whole, lest it is about how far one goes with what
    // is broken; and xdplog walks eight extension headers only.
    let frames: Vec<Vec<u8>> = table()
        .into_iter()
        .filter(|(name, _)| *name != "nine extensions")
        .filter(|(_, frame)| reference(frame).is_some_and(|parsed| !parsed.truncated))
        .map(|(_, frame)| frame)
        .collect();
    write_pcap(&file, &frames);

    let xdplog = Xdplog::start(&net, &["here0", "-f", "json"]);
    let tap = net.tap_there(0);
    // Order is kept per CPU.
    pin_to_one_cpu();
    frames.iter().for_each(|frame| tap.send(frame));
    let objects = json::objects(&xdplog.stop().stdout);
    assert_eq!(objects.len(), frames.len());

    let fields = [
        &["frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "vlan.id", "ieee8021ad.id"][..],
        &["ip.proto", "tcp.flags", "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code"],
        &["tcp.srcport", "udp.srcport", "sctp.srcport", "dccp.srcport"],
        &["tcp.dstport", "udp.dstport", "sctp.dstport", "dccp.dstport"],
        &["ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.more", "ipv6.fraghdr.offset"],
        &NEXT,
    ]
    .concat();
    let rows = tshark(&file, &fields);
    assert_eq!(rows.len(), objects.len());
    let mut compared = std::collections::BTreeMap::new();
    for (object, row) in objects.iter().zip(&rows) {
        let all = |field: &str| &row[fields.iter().position(|f| *f == field).unwrap()];
        let first = |field: &str| all(field).first().map(String::as_str);
        let any = |fields: &[&str]| fields.iter().find_map(|field| first(field));
        let context = || format!("{object}, tshark: {row:?}");
        let text = |key: &str| object[key].as_str().unwrap();
        let number = |key: &str| object.get(key).map(|value| value.as_u64().unwrap().to_string());

        let is_ipv6 = text("src").contains(':');
        let (source, destination) =
            if is_ipv6 { ("ipv6.src", "ipv6.dst") } else { ("ip.src", "ip.dst") };
        assert_eq!(Some(text("src")), first(source), "{}", context());
        assert_eq!(Some(text("dst")), first(destination), "{}", context());
        assert_eq!(number("len").as_deref(), first("frame.len"), "{}", context());

        let proto = if is_ipv6 {
            let next = NEXT.iter().flat_map(|field| all(field)).map(String::as_str);
            let is_extension = |number: &&str| EXTENSIONS.iter().any(|ext| ext.0 == *number);
            next.clone().find(|number| !is_extension(number)).or(first("ipv6.fraghdr.nxt"))
        } else {
            first("ip.proto")
        };
        assert_eq!(proto, Some(number_of(text("proto"))), "{}", context());

        let vlans: Vec<String> = object
            .get("vlan")
            .map(|ids| ids.as_array().unwrap().iter().map(Value::to_string).collect())
            .unwrap_or_default();
        let mut tags = [all("ieee8021ad.id").clone(), all("vlan.id").clone()].concat();
        let mut sorted = vlans.clone();
        tags.sort();
        sorted.sort();
        assert_eq!(sorted, tags, "{}", context());

        let kinds = ["tcp", "udp", "sctp", "dccp"];
        let source = kinds.map(|kind| format!("{kind}.srcport"));
        let destination = kinds.map(|kind| format!("{kind}.dstport"));
        let ports = |fields: &[String; 4]| any(&fields.each_ref().map(String::as_str));
        assert_eq!(number("sport").as_deref(), ports(&source), "{}", context());
        assert_eq!(number("dport").as_deref(), ports(&destination), "{}", context());

        let flags = first("tcp.flags").map(|hex| {
            let flags = u16::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap();
            let letters = "FSRPAUEC".chars().enumerate();
            letters.filter(|(bit, _)| flags & 1 << bit != 0).map(|(_, letter)| letter).collect()
        });
        let got = object.get("tcp_flags").map(|flags| flags.as_str().unwrap().to_string());
        assert_eq!(got, flags, "{}", context());

        // ICMP is what it is in its own family only.
        let kind = if is_ipv6 { "icmpv6" } else { "icmp" };
        assert_eq!(number("icmp_type").as_deref(), first(&format!("{kind}.type")));
        assert_eq!(number("icmp_code").as_deref(), first(&format!("{kind}.code")));

        let is_set = |field: &str| first(field).is_some_and(|v| !["0", "False"].contains(&v));
        let fragment = ["ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.more"];
        let fragment = fragment.iter().chain(&["ipv6.fraghdr.offset"]).any(|f| is_set(f));
        assert_eq!(object.get("fragment").is_some(), fragment, "{}", context());
        for key in object.as_object().unwrap().keys() {
            *compared.entry(key.clone()).or_insert(0) += 1;
        }
    }
    // Nothing was agreed on by being absent everywhere.
    for key in ["sport", "tcp_flags", "icmp_type", "vlan", "fragment"] {
        assert!(compared[key] >= 8, "{compared:?}");
    }
}

#[test]
fn json_agrees_with_tshark_on_what_is_not_ip() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.pcapng");
    let frames: Vec<Vec<u8>> = table()
        .into_iter()
        .map(|(_, frame)| frame)
        // No broken IP; no tags, of which tshark looks behind more than three; and
        // no length of 0, which tshark calls a type.
        .filter(|frame| {
            let kind = u16::from_be_bytes([frame[12], frame[13]]);
            let others = [0, 0x0800, 0x86dd, 0x8100, 0x88a8, 0x9100];
            reference(frame).is_none() && !others.contains(&kind)
        })
        .collect();
    let send = || {
        pin_to_one_cpu();
        let tap = net.tap_there(0);
        frames.iter().for_each(|frame| tap.send(frame));
    };
    capture(&net, &["here0"], &file, send);
    let xdplog = Xdplog::start(&net, &["here0", "-f", "json"]);
    send();
    let objects = json::objects(&xdplog.stop().stdout);
    assert_eq!(objects.len(), frames.len());
    let fields = [
        &["eth.src", "eth.dst", "frame.len", "eth.type"][..],
        &["arp.opcode", "arp.src.proto_ipv4", "arp.dst.proto_ipv4", "eth.len"],
        &["llc.dsap", "llc.ssap"],
    ]
    .concat();
    let rows = tshark(&file, &fields);
    assert_eq!(rows.len(), objects.len());
    let mut compared = [0; 3];
    for (object, row) in objects.iter().zip(&rows) {
        let field = |name: &str| {
            row[fields.iter().position(|f| *f == name).unwrap()].first().map(String::as_str)
        };
        let context = || format!("{object}, tshark: {row:?}");
        let text = |key: &str| object.get(key).map(|value| value.as_str().unwrap());
        assert_eq!(text("src_mac"), field("eth.src"), "{}", context());
        assert_eq!(text("dst_mac"), field("eth.dst"), "{}", context());
        assert_eq!(object["len"].to_string(), field("frame.len").unwrap());
        let name = match field("eth.type") {
            None if field("eth.len").is_some() => "802.3",
            // Between the lengths and the types, of which tshark says nothing.
            None => text("ethertype").filter(|name| name.starts_with("0x05")).unwrap(),
            Some("0x0806") => "ARP",
            Some("0x8035") => "RARP",
            Some("0x8847") => "MPLS unicast",
            Some("0x8864") => "PPPoE S",
            Some("0x888e") => "EAPOL",
            Some("0x88cc") => "LLDP",
            Some(hex) => hex,
        };
        assert_eq!(text("ethertype"), Some(name), "{}", context());
        if name == "ARP" {
            let op = text("arp_op").map(|op| match op {
                "request" => "1",
                "reply" => "2",
                other => other,
            });
            // Of other addresses than IPv4's tshark tells the operation, too.
            if field("arp.src.proto_ipv4").is_some() && op.is_some() {
                assert_eq!(op, field("arp.opcode"), "{}", context());
                compared[0] += 1;
            }
            if op.is_some() {
                assert_eq!(text("sender"), field("arp.src.proto_ipv4"), "{}", context());
                assert_eq!(text("target"), field("arp.dst.proto_ipv4"), "{}", context());
            }
        } else if let Some(dsap) = object.get("dsap") {
            let hex = |key: &str| format!("0x{:02x}", object[key].as_u64().unwrap());
            assert_eq!(Some(hex("dsap").as_str()), field("llc.dsap"), "{dsap} {}", context());
            compared[1] += 1;
        } else {
            compared[2] += 1;
        }
    }
    assert!(compared.iter().all(|&count| count > 0) && compared[0] >= 4, "{compared:?}");
}

/// The number of a protocol in the table, by IANA's list.
fn number_of(keyword: &str) -> &str {
    let known = [
        ("icmp", "1"),
        ("tcp", "6"),
        ("udp", "17"),
        ("dccp", "33"),
        ("gre", "47"),
        ("esp", "50"),
        ("ah", "51"),
        ("icmpv6", "58"),
        ("ipv6-nonxt", "59"),
        ("ospfigp", "89"),
        ("sctp", "132"),
        ("mobility header", "135"),
        ("udplite", "136"),
        ("hip", "139"),
        ("shim6", "140"),
    ];
    let mut all = known.iter().map(|(number, name)| (*number, *name));
    let mut extensions = EXTENSIONS.iter().map(|(number, name)| (*name, *number));
    all.find(|(name, _)| *name == keyword)
        .or(extensions.find(|(name, _)| *name == keyword))
        .map_or(keyword, |(_, number)| number)
}

/// A line of capinfos, by what it begins with.
fn capinfos(file: &Path, option: &str, key: &str) -> String {
    let text = run_tool("capinfos", &["-M", option, file.to_str().unwrap()]);
    let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    line.unwrap_or_else(|| panic!("{key} in {text}")).to_string()
}

/// Log to a file in pcapng while `send` runs.
fn capture(net: &Net, args: &[&str], file: &Path, send: impl FnOnce()) -> Ended {
    let more = ["-f", "pcapng", "--stats-format", "json", "-w", file.to_str().unwrap()];
    let xdplog = Xdplog::start(net, &[args, &more].concat());
    send();
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_balanced(&ended.summary());
    ended
}

#[test]
fn tshark_reads_frames_with_all_that_is_told_of_them() {
    let net = Net::new();
    net.add_pair(1);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.pcapng");
    let frames: Vec<Vec<u8>> =
        table().into_iter().map(|(_, frame)| frame).filter(|frame| frame.len() <= 1514).collect();
    let args = ["here0", "here1", "--snaplen", "70"];
    capture(&net, &args, &file, || {
        pin_to_one_cpu();
        let taps = [net.tap_there(0), net.tap_there(1)];
        for (i, frame) in frames.iter().enumerate() {
            taps[i % 2].send(frame);
        }
    });
    let fields = [
        "frame.len",
        "frame.cap_len",
        "frame.interface_name",
        "frame.verdict.ebpf_xdp",
        "frame.interface_queue",
        "frame.packet_flags_direction",
        "eth.src",
    ];
    let rows = tshark(&file, &fields);
    assert_eq!(rows.len(), frames.len());
    for (i, (row, frame)) in rows.iter().zip(&frames).enumerate() {
        let values: Vec<&str> = row.iter().map(|values| values[0].as_str()).collect();
        let (len, cap_len) = (frame.len().to_string(), frame.len().min(70).to_string());
        let iface = ["here0", "here1"][i % 2];
        // Bits of a direction: 1 is inbound.
        let want = [&len, &cap_len, iface, "2", "0", "0x00000001", "02:00:00:00:00:0b"];
        assert_eq!(values, want);
    }
    // And not a word about anything that is wrong with the file.
    let output = Command::new("tshark").arg("-r").arg(&file).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("file") && output.status.success(), "{stderr}");
    let text = run_tool("capinfos", &["-I", file.to_str().unwrap()]);
    for want in ["Name = here0", "Name = here1", "Time precision = nanoseconds (9)"] {
        assert!(text.contains(want), "{want:?} in {text}");
    }
}

#[test]
fn tshark_reads_packets_without_ethernet_beside_those_with_it() {
    let net = Net::new();
    let tun = Tun::new(&net.here, "tun7");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.pcapng");
    capture(&net, &["here0", "tun7"], &file, || {
        pin_to_one_cpu();
        net.tap_there(0).send(&frame());
        seven().iter().for_each(|(packet, _)| tun.send(packet));
    });
    let fields = ["ip.src", "ipv6.src", "udp.dstport", "frame.interface_name", "eth.src"];
    let rows = tshark(&file, &fields);
    let first = |row: &Vec<Vec<String>>| {
        row.iter().map(|values| values.first().cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    let want = seven().into_iter().map(|(_, source)| match source.contains(':') {
        true => ["".into(), source, "53".into(), "tun7".into(), "".into()],
        false => [source, "".into(), "53".into(), "tun7".into(), "".into()],
    });
    let with = ["10.1.2.3", "", "9", "here0", "02:00:00:00:00:0b"].map(str::to_string);
    let want: Vec<_> = std::iter::once(with).chain(want).collect();
    assert_eq!(rows.iter().map(first).collect::<Vec<_>>(), want);
    let text = run_tool("capinfos", &["-I", file.to_str().unwrap()]);
    assert!(text.contains("Encapsulation = Raw IP"), "{text}");
}

#[test]
fn a_hundred_thousand_frames_are_all_there() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.pcapng");
    // A ring that holds all of them, however slow the reader is.
    let ended = capture(&net, &["here0", "--buffer-size", "64MiB"], &file, || {
        flood(&net, 0, &frame(), 100_000);
    });
    let (summary, received) = (ended.summary(), net.received(0));
    assert!(received > 90_000, "the veth passed them on");
    assert_eq!(count(&summary, "seen"), received);
    assert_eq!(count(&summary, "logged"), received, "{summary}");
    assert_eq!(capinfos(&file, "-c", "Number of packets:"), received.to_string());
    let bytes = received * frame().len() as u64;
    assert_eq!(capinfos(&file, "-d", "Data size:"), format!("{bytes} bytes"));
}

#[test]
fn what_found_no_room_is_not_in_the_file_but_counted() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.pcapng");
    let more = ["-f", "pcapng", "--stats-format", "json", "-w", file.to_str().unwrap()];
    let args = [&["here0", "--buffer-size", "64KiB"][..], &more].concat();
    let xdplog = Xdplog::start(&net, &args);
    xdplog.park();
    flood(&net, 0, &frame(), 100_000);
    xdplog.unpark();
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    let (logged, summarised) = (count(&summary, "logged"), count(&summary, "summarised"));
    assert_eq!(logged + summarised, net.received(0));
    assert!(summarised > 0, "{summary}");
    assert_eq!(capinfos(&file, "-c", "Number of packets:"), logged.to_string());
    // It goes on being a file that tshark reads to its end.
    assert_eq!(tshark(&file, &["frame.number"]).len() as u64, logged);
}

/// Run xdplog in this format into a program's stdin, and that to its end.
fn pipe_into(net: &Net, args: &[&str], program: &mut Command, frames: u32) -> (String, Ended) {
    let mut child =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let stdin = child.stdin.take().unwrap();
    let xdplog = Xdplog::start_to(net, args, stdin.into());
    let tap = net.tap_there(0);
    for _ in 0..frames {
        tap.send(&frame());
    }
    let ended = xdplog.end();
    let text = reader.join().unwrap();
    assert!(child.wait().unwrap().success(), "{program:?}");
    (text, ended)
}

#[test]
fn jq_reads_every_line_and_may_leave_early() {
    let net = Net::new();
    let args = ["here0", "-f", "json", "-c", "50"];
    let (text, ended) = pipe_into(&net, &args, Command::new("jq").args(["-r", ".src, .dport"]), 60);
    assert_eq!(text, "10.1.2.3\n9\n".repeat(50));
    assert_eq!(ended.code(), Some(0));

    // It reads one object, and goes.
    let args = ["here0", "-f", "json"];
    let (text, ended) = pipe_into(&net, &args, Command::new("jq").args(["-n", "input.len"]), 100);
    assert_eq!(text, "60\n");
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains(" seen = "), "no words about it: {}", ended.stderr);
}

#[test]
fn tshark_reads_a_pipe_and_may_leave_early() {
    let net = Net::new();
    let args = ["here0", "-f", "pcapng", "-c", "50"];
    let mut all = Command::new("tshark");
    all.args(["-r", "-", "-T", "fields", "-e", "ip.src", "-e", "frame.verdict.ebpf_xdp"]);
    let (text, ended) = pipe_into(&net, &args, &mut all, 60);
    assert_eq!(text, "10.1.2.3\t2\n".repeat(50));
    assert_eq!(ended.code(), Some(0));

    let args = ["here0", "-f", "pcapng"];
    let mut some = Command::new("tshark");
    some.args(["-r", "-", "-c", "3", "-T", "fields", "-e", "ip.src"]);
    let (text, ended) = pipe_into(&net, &args, &mut some, 100);
    assert_eq!(text, "10.1.2.3\n".repeat(3));
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn the_command_of_the_docs_counts_everybody() {
    let docs = include_str!("../docs/json.md");
    let command = docs.lines().find(|line| line.starts_with("jq -n ")).unwrap();
    let net = Net::new();
    let mut jq = Command::new("sh");
    let mut child =
        jq.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let args = ["here0", "-f", "json", "--buffer-size", "4096", "--stats-format", "json"];
    let stdin = child.stdin.take().unwrap();
    let xdplog = Xdplog::start_to(&net, &args, stdin.into());
    xdplog.park();
    flood_sources(&net, 0, 10, 20_000);
    xdplog.unpark();
    let summary = xdplog.stop().summary();
    let output = child.wait_with_output().unwrap();
    let by_source: serde_json::Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(by_source.len(), 10, "{by_source:?}");
    let all: u64 = by_source.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(all, net.received(0));
    assert!(count(&summary, "summarised") > 0, "{summary}");
}
