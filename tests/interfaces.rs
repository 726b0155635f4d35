//! Which interfaces are watched: by which names, and what becomes of them while
//! they are.

mod common;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Instant;

use common::frames::{frame, udp4};
use common::net::{HERE_IP, Net, Tap, in_ns, ip, ip_batch, received};
use common::process::{self, PATIENCE, Xdplog, assert_balanced, assert_refused, count};
use nix::net::if_::{if_nameindex, if_nametoindex};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use xdplog::probe::Interface;

/// The table as it is in the namespace "here".
fn table(net: &Net) -> Vec<Interface> {
    in_ns(&net.here, || Interface::all().unwrap())
}

fn called(net: &Net, name: &str) -> Interface {
    table(net).into_iter().find(|iface| iface.is_called(name)).unwrap()
}

#[test]
fn the_table_of_links() {
    let net = Net::new();
    let here0 = called(&net, "here0");
    assert_eq!((here0.kind.as_deref(), here0.hardware, here0.mtu), (Some("veth"), 1, 1500));
    assert!(here0.is_up() && here0.is_running() && here0.xdp.is_empty());
    assert_eq!(in_ns(&net.here, || here0.driver()).as_deref(), Some("veth"));
    // What Net turns on, and what a veth has not.
    let features = in_ns(&net.here, || here0.features());
    let is_on = |name: &str| features.iter().any(|feature| feature == name);
    assert!(is_on("rx-gro") && !is_on("rx-lro"), "{features:?}");
    // Not in this thread's own namespace.
    assert_eq!(here0.driver(), None);
    let tun = "tuntap add dev tun0 mode tun";
    assert!(ip(&format!("-n {} {tun}", net.here)));
    let tun0 = called(&net, "tun0");
    assert_eq!((tun0.kind.as_deref(), tun0.hardware), (Some("tun"), 0xfffe));
    assert!(!tun0.is_up() && !tun0.is_running());
    assert_eq!(in_ns(&net.here, || tun0.driver()).as_deref(), Some("tun"));

    let (_reader, writer) = process::unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "--mode", "generic"], writer);
    let xdp = called(&net, "here0").xdp;
    assert_eq!(xdp.len(), 1);
    assert_eq!(xdp[0].place, xdplog::probe::Place::Generic);
    assert_eq!(xdplog.stop().code(), Some(0));
    assert_eq!(called(&net, "here0").xdp, []);
}

#[test]
fn more_links_than_one_answer_holds() {
    let net = Net::new();
    let pair = |i| format!("link add d{i} type veth peer name e{i}\n");
    let commands: String = (0..50).map(pair).collect();
    ip_batch(&net.here, &commands);
    let names: Vec<String> = table(&net).into_iter().map(|iface| iface.name).collect();
    assert!((0..50).all(|i| names.contains(&format!("d{i}"))), "{names:?}");
}

#[test]
fn an_interface_by_any_of_its_names() {
    let net = Net::new();
    let long = "a-name-that-is-longer-than-an-interface's-own-may-be";
    for name in ["short", long] {
        assert!(ip(&format!("-n {} link property add dev here0 altname {name}", net.here)));
    }
    for names in [&["short"][..], &[long], &["here0", long, "short"]] {
        let args = [names, &["-c", "1", "--stats-format", "json"]].concat();
        let xdplog = Xdplog::start(&net, &args);
        net.tap_there(0).send(&frame());
        let summary = xdplog.end().summary();
        let interfaces = summary["interfaces"].as_object().unwrap();
        assert_eq!(interfaces.keys().collect::<Vec<_>>(), ["here0"], "{names:?}");
        assert_eq!(count(&summary, "logged"), 1);
    }
    assert_refused(&process::run(&net, &["shorter"]), &["no such interface: shorter", "here0"]);
}

/// A third namespace, removed on drop.
struct Third(String);

impl Third {
    fn new(net: &Net) -> Third {
        let name = format!("{}-third", net.here);
        assert!(ip(&format!("netns add {name}")));
        Third(name)
    }

    fn index(&self, name: &str) -> u32 {
        in_ns(&self.0, || if_nametoindex(name).unwrap())
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

/// Move `here1` to where it gets the index that `here0` has here.
fn move_to_index_of_here0(net: &Net, third: &Third) {
    let (of0, of1) =
        net.here(|| (if_nametoindex("here0").unwrap(), if_nametoindex("here1").unwrap()));
    // Its own index is taken there, and so are those before the other's: by what a
    // namespace has from the start where the kernel knows tunnels, or by a veth.
    let there: Vec<u32> =
        in_ns(&third.0, || if_nameindex().unwrap().iter().map(|iface| iface.index()).collect());
    let mut taken: Vec<u32> = (2..of0).chain([of1]).collect();
    taken.dedup();
    taken.retain(|index| !there.contains(index));
    for index in taken {
        let pair = format!("link add x{index} index {index} type veth");
        assert!(ip(&format!("-n {} {pair} peer name y{index} index {}", third.0, 1000 + index)));
    }
    assert!(ip(&format!("-n {} link set dev here1 netns {}", net.here, third.0)));
    assert!(ip(&format!("-n {} link set dev here1 up", third.0)));
    assert_eq!(third.index("here1"), of0, "the very index that another has");
}

/// Some packets, whose source tells where they are sent.
fn send(tap: &Tap, n: u8) {
    let frame = udp4([10, 0, 0, n].into(), 18);
    (0..200).for_each(|_| tap.send(&frame));
}

#[test]
fn an_interface_that_is_moved_keeps_its_packets() {
    for mode in ["native", "generic"] {
        let net = Net::new();
        net.add_pair(1);
        let third = Third::new(&net);
        let args = ["here0", "here1", "-f", "text", "--mode", mode, "--stats-format", "json"];
        let mut xdplog = Xdplog::start(&net, &args);
        let lines = xdplog.lines();
        let taps = [net.tap_there(0), net.tap_there(1)];
        send(&taps[0], 0);
        send(&taps[1], 1);
        move_to_index_of_here0(&net, &third);
        let before = in_ns(&third.0, || received("here1"));
        common::process::wait_until("the moved interface receives", || {
            send(&taps[1], 1);
            in_ns(&third.0, || received("here1")) > before
        });
        send(&taps[0], 0);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = ended.summary();
        assert_balanced(&summary);
        let seen = |name: &str| count(&summary["interfaces"][name], "seen");
        assert_eq!(seen("here0"), net.received(0), "{mode}: {summary}");
        assert_eq!(seen("here1"), in_ns(&third.0, || received("here1")), "{mode}: {summary}");
        // Each packet is logged under its own interface.
        let mut logged = 0;
        for (line, _) in lines {
            if line.contains(" > ") {
                let n = if line.contains(" 10.0.0.0.") { 0 } else { 1 };
                assert!(line.contains(&format!(" here{n} ")), "{line}");
                logged += 1;
            }
        }
        assert_eq!(logged, count(&summary, "logged"));
    }
}

/// Give `here0` another name, as only an interface that is down, or a new kernel,
/// takes one.
fn rename(net: &Net, from: &str, to: &str) {
    ip_batch(&net.here, &format!("link set dev {from} down\nlink set dev {from} name {to}\n"));
    ip_batch(&net.here, &format!("link set dev {to} up\n"));
}

/// Send until a line has come of packets that were sent since the call.
fn until_logged(lines: &mpsc::Receiver<(String, Instant)>, tap: &Tap, n: u8, part: &str) {
    let since = Instant::now();
    loop {
        send(tap, n);
        let mut come = std::iter::from_fn(|| lines.recv_timeout(PATIENCE / 60).ok());
        if come.by_ref().take(200).any(|(line, _)| line.contains(part)) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "no line has {part:?}");
    }
}

#[test]
fn an_interface_that_is_renamed_is_logged_by_its_new_name() {
    for (format, before, after) in
        [("text", " here0 ", " lan0 "), ("json", r#""iface":"here0""#, r#""iface":"lan0""#)]
    {
        let net = Net::new();
        let args = ["here0", "-f", format, "--stats-format", "json"];
        let mut xdplog = Xdplog::start(&net, &args);
        let (lines, tap) = (xdplog.lines(), net.tap_there(0));
        until_logged(&lines, &tap, 0, before);
        rename(&net, "here0", "lan0");
        xdplog.hear("xdplog: here0: the interface is called lan0 from here on");
        until_logged(&lines, &tap, 0, after);
        let ended = xdplog.stop();
        let summary = ended.summary();
        assert_balanced(&summary);
        let seen = count(&summary["interfaces"]["lan0"], "seen");
        assert_eq!(seen, net.here(|| received("lan0")), "{summary}");
    }
}

#[test]
fn a_rename_is_a_comment_in_pcapng() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.pcapng");
    let args = ["here0", "-f", "pcapng", "-w", path.to_str().unwrap()];
    let args = [&args[..], &["--rotate-size", "1MiB", "--stats-format", "json"]].concat();
    let xdplog = Xdplog::start(&net, &args);
    send(&net.tap_there(0), 0);
    rename(&net, "here0", "lan0");
    xdplog.hear("here0: the interface is called lan0");
    send(&net.tap_there(0), 0);
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let mut comments = Vec::new();
    let mut reader = PcapNgReader::new(&bytes[..]).unwrap();
    while let Some(block) = reader.next_block() {
        if let Block::InterfaceStatistics(block) = block.unwrap() {
            for option in &block.options {
                if let InterfaceStatisticsOption::Comment(comment) = option {
                    comments.push((block.interface_id, comment.to_string()));
                }
            }
        }
    }
    assert_eq!(comments, [(0, "here0 is called lan0 from here on".to_string())]);
    assert_eq!(count(&ended.summary(), "lost"), 0);
}

#[test]
fn the_name_that_a_moved_interface_has_where_it_is() {
    let net = Net::new();
    net.add_pair(1);
    let third = Third::new(&net);
    let args = ["here0", "here1", "-f", "text", "--stats-format", "json"];
    let mut xdplog = Xdplog::start(&net, &args);
    let (lines, tap) = (xdplog.lines(), net.tap_there(1));
    assert!(ip(&format!("-n {} link set dev here1 netns {}", net.here, third.0)));
    xdplog.hear("here1: the interface was moved to another network namespace; its packets are");
    assert!(ip(&format!("-n {} link set dev here1 name away1", third.0)));
    assert!(ip(&format!("-n {} link set dev away1 up", third.0)));
    xdplog.hear("here1: the interface is called away1 from here on");
    until_logged(&lines, &tap, 1, " away1 ");
    // Another one that is called as it was, and the same name twice.
    rename(&net, "here0", "here1");
    xdplog.hear("here0: the interface is called here1 from here on");
    rename(&net, "here1", "away1");
    xdplog.hear("here1: the interface is called away1, as another one is; it is logged as here1");
    let ended = xdplog.stop();
    let summary = ended.summary();
    assert_balanced(&summary);
    let names: Vec<&String> = summary["interfaces"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["away1", "here1"]);
}

#[test]
fn the_mode_that_costs_the_host_least() {
    let net = Net::new();
    net.add_pair(1);
    let tap = "tuntap add dev tap0 mode tap";
    assert!(
        ip(&format!("-n {} {tap}", net.here)) && ip(&format!("-n {} link set tap0 up", net.here))
    );
    let costs =
        "here0, here1: on veth generic mode takes up to a fifth of a TCP stream's throughput";
    let warning = "warning: here0, here1: native mode on veth takes most of a TCP stream's \
                   throughput, and loses packets of several senders. Next: ";
    for (mode, start, said) in [
        ("auto", "logging here0 (generic), here1 (generic), tap0 (native),", costs),
        ("native", "logging here0 (native), here1 (native), tap0 (native),", warning),
        ("generic", "logging here0 (generic), here1 (generic), tap0 (generic),", ""),
    ] {
        let args = ["here0", "here1", "tap0", "--mode", mode, "--duration", "1ms"];
        let ended = process::run(&net, &args);
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert!(lines[0].contains(start), "{}", ended.stderr);
        let told = lines.iter().filter(|line| line.contains("throughput")).count();
        assert_eq!(told, usize::from(!said.is_empty()), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        // Quiet is quiet.
        let quiet = process::run(&net, &[&args[..], &["-q"]].concat());
        assert_eq!(quiet.stderr, "", "{mode}");
    }
}

#[test]
fn a_tcp_stream_over_veth_loses_no_offload_by_default() {
    // In native mode the other end cuts each segment by itself.
    let frames_over = |mode: &str| {
        let net = Net::new();
        let server = net.here(|| TcpListener::bind((HERE_IP, 0)).unwrap());
        let at = server.local_addr().unwrap();
        let (_reader, writer) = process::unread_pipe();
        let xdplog = Xdplog::start_to(&net, &["here0", "--mode", mode], writer);
        let mut client = net.there(move || TcpStream::connect(at).unwrap());
        let (mut accepted, _) = server.accept().unwrap();
        let reading =
            std::thread::spawn(move || std::io::copy(&mut accepted, &mut std::io::sink()));
        client.write_all(&vec![0; 20_000_000]).unwrap();
        drop(client);
        assert_eq!(reading.join().unwrap().unwrap(), 20_000_000);
        drop(xdplog);
        net.received(0)
    };
    let (auto, native) = (frames_over("auto"), frames_over("native"));
    assert!(native > 20_000_000 / 1500, "{native}");
    assert!(auto * 4 < native, "{auto} frames by default, {native} in native mode");
}
