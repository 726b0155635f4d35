//! Several readers: each CPU's packets stay in order, no line is ever mixed with
//! another, and the sums agree, whatever the number of CPUs and readers. The
//! kernels in virtual machines run this with eight CPUs.

mod common;

use std::fs::File;
use std::net::Ipv4Addr;
use std::thread;

use common::frames::udp4;
use common::host::pin_to;
use common::live::Sender;
use common::net::Net;
use common::process::{Logged, Xdplog, assert_balanced, count};

/// Packets from each CPU, each from an address of its own.
const PACKETS: u32 = 40_000;

fn cpus() -> usize {
    thread::available_parallelism().unwrap().get()
}

/// The CPU that sent what has this source, and which of its packets it is.
fn origin(source: &str) -> (usize, u32) {
    let source: Ipv4Addr = source.parse().unwrap();
    let bits = source.to_bits() - Ipv4Addr::new(11, 0, 0, 0).to_bits();
    ((bits >> 16) as usize, bits & 0xffff)
}

fn all_cpus_at_once(readers: &str, more: &[&str]) -> (serde_json::Value, Logged) {
    let net = Net::new();
    net.add_wide_pair(1, cpus());
    // To a file: what reads a pipe is a test, which need not keep up.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let write = path.to_str().unwrap();
    let args =
        [&["here1", "-w", write, "--stats-format", "json", "--readers", readers], more].concat();
    let xdplog = Xdplog::start(&net, &args);
    net.there(|| {
        thread::scope(|scope| {
            for cpu in 0..cpus() {
                scope.spawn(move || {
                    pin_to(cpu);
                    let first = Ipv4Addr::new(11, cpu as u8, 0, 0);
                    Sender::from(1, first, PACKETS).send(&udp4(first, 18), PACKETS);
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
    // More than that arrive also where CPUs are late, and a veth drops the rest.
    let (summary, log) = all_cpus_at_once("2", &["-c", "400"]);
    assert_eq!(log.lines + log.summaries, 400);
    assert!(count(&summary, "unselected") > 0, "{summary}");
}
