//! Several readers: each CPU's packets stay in order, no line is ever mixed with
//! another, and the sums agree, whatever the number of CPUs and readers. The
//! kernels in virtual machines run this with eight CPUs.

mod common;

use std::fs::File;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use common::frames::udp4;
use common::host::{cpus as cpus_of_this_thread, pin_to};
use common::live::Sender;
use common::net::{Net, run};
use common::process::{Logged, Xdplog, assert_balanced, count};

/// Packets from each CPU, each from an address of its own.
const PACKETS: u32 = 40_000;

/// Addresses of each CPU: far more than packets, should some not arrive.
const SOURCES: u32 = 1 << 20;

/// As many as there can be interfaces, at most.
fn cpus() -> usize {
    thread::available_parallelism().unwrap().get().min(64)
}

/// The first address of a CPU's packets.
fn first_source(cpu: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(11, 0, 0, 0).to_bits() + cpu as u32 * SOURCES)
}

/// The CPU that sent what has this source, and which of its packets it is.
fn origin(source: &str) -> (usize, u32) {
    let source: Ipv4Addr = source.parse().unwrap();
    let bits = source.to_bits() - first_source(0).to_bits();
    ((bits / SOURCES) as usize, bits % SOURCES)
}

fn all_cpus_at_once(readers: &str, more: &[&str]) -> (serde_json::Value, Logged) {
    // A pair for each CPU: a veth's packets arrive on the sender's.
    let net = Net::new();
    let names: Vec<String> = (0..cpus()).map(|n| format!("here{n}")).collect();
    (1..cpus()).for_each(|n| net.add_pair(n as u32));
    // To a file: what reads a pipe is a test, which need not keep up.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let write = path.to_str().unwrap();
    let mut args = [&["-w", write, "--stats-format", "json", "--readers", readers], more].concat();
    args.extend(names.iter().map(String::as_str));
    let xdplog = Xdplog::start(&net, &args);
    net.there(|| {
        thread::scope(|scope| {
            for cpu in 0..cpus() {
                scope.spawn(move || {
                    pin_to(cpu);
                    let first = first_source(cpu);
                    let sender = Sender::from(cpu as u32, first, SOURCES);
                    sender.send_all(&udp4(first, 18), PACKETS);
                });
            }
        });
    });
    let ended = if more.contains(&"-c") { xdplog.end() } else { xdplog.stop() };
    let mut last = vec![None; cpus()];
    let log = Logged::read_watching(File::open(path).unwrap(), |line| {
        if line.contains("COUNT") {
            return;
        }
        let source = line["LOG: SRC ".len()..].split(',').next().unwrap();
        let (cpu, number) = origin(source);
        assert!(last[cpu] < Some(number), "CPU {cpu}: {number} after {:?}", last[cpu]);
        last[cpu] = Some(number);
    });
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "logged"), log.lines);
    assert_eq!(count(&summary, "summarised"), log.summarised);
    (summary, log)
}

#[test]
fn order_is_kept_for_each_cpu() {
    for readers in ["1", "2", "3", "auto", "1024"] {
        let (summary, log) = all_cpus_at_once(readers, &[]);
        let sent = cpus() as u64 * u64::from(PACKETS);
        assert!(count(&summary, "seen") >= sent, "they all arrive: {summary}");
        assert_eq!(log.by_source.len() as u64, count(&summary, "seen"), "each once");
        for cpu in 0..cpus() {
            let of = |source: &&String| origin(source).0 == cpu;
            assert!(log.by_source.keys().any(|s| of(&s)), "something came over CPU {cpu}");
        }
    }
}

#[test]
fn order_is_kept_where_the_rings_run_over() {
    let (summary, log) =
        all_cpus_at_once("2", &["--buffer-size", "4096", "--overflow-sources", "1048576"]);
    assert_eq!(log.by_source.len() as u64, count(&summary, "seen"), "each once");
}

#[test]
fn a_count_is_exact_whoever_reads() {
    let (summary, log) = all_cpus_at_once("2", &["-c", "5000"]);
    assert_eq!(log.lines + log.summaries, 5000);
    assert!(count(&summary, "unselected") > 0, "{summary}");
}

/// Where the reader is on the CPU that packets arrive on, it flushes in its own
/// context, and packets come in the middle of that: by RPS, which lets another CPU send
/// them there at any time.
#[test]
fn order_is_kept_where_packets_interrupt_a_flush() {
    const BURSTS: u32 = 3000;
    const BURST: u32 = 3;
    let net = Net::new();
    // `ip netns exec` mounts a /sys of the namespace.
    let rps = "echo 1 >/sys/class/net/here0/queues/rx-0/rps_cpus";
    run("ip", &["netns", "exec", &net.here, "sh", "-c", rps]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let write = path.to_str().unwrap();
    // What is started here stays on this CPU.
    let was_on = cpus_of_this_thread();
    pin_to(0);
    let args = ["here0", "--mode", "generic", "-w", write, "--stats-format", "json"];
    let xdplog = Xdplog::start(&net, &args);
    let tap = net.tap_there(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin_to(*was_on.last().unwrap());
            for burst in 0..BURSTS {
                for packet in 0..BURST {
                    let source = first_source(0).to_bits() + burst * BURST + packet;
                    tap.send(&udp4(Ipv4Addr::from_bits(source), 18));
                }
                // Its first packet goes out at once, and the flush for the others
                // comes 1.25 ms later: the next burst comes about then.
                let (since, pause) = (Instant::now(), 1150 + burst * 7 % 250);
                while since.elapsed() < Duration::from_micros(pause.into()) {
                    std::hint::spin_loop();
                }
            }
        });
    });
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_balanced(&ended.summary());
    let mut last = None;
    let log = Logged::read_watching(File::open(path).unwrap(), |line| {
        let source = line["LOG: SRC ".len()..].split(',').next().unwrap();
        let (_, number) = origin(source);
        assert!(last < Some(number), "{number} after {last:?}");
        last = Some(number);
    });
    assert_eq!(log.lines, u64::from(BURSTS * BURST), "{}", ended.stderr);
}
