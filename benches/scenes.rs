//! What is measured.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use libbpf_rs::{Xdp, XdpFlags};
use nix::net::if_::if_nametoindex;

use crate::common::frames::udp4;
use crate::common::net::{Net, pin_to_one_cpu};
use crate::common::process::{PATIENCE, Xdplog, assert_balanced, count};
use crate::program::Program;

const ROUNDS: usize = 5;
const PACKETS: u32 = 3_000_000;

/// The packet under test: UDP over IPv4, 64 bytes with the Ethernet checksum.
fn frame() -> Vec<u8> {
    udp4(Ipv4Addr::new(10, 1, 2, 3), 18)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The program that xdplog runs on `here0`.
fn attached(net: &Net, any: &Program) -> Program {
    let id = net.here(|| {
        let index = if_nametoindex("here0").unwrap();
        Xdp::new(any.as_fd()).query_id(index as i32, XdpFlags::NONE).unwrap()
    });
    Program::by_id(id)
}

/// ns per packet of the attached program; the share that was logged.
fn logging(net: &Net, empty: &Program, stdout: Stdio) -> (f64, f64) {
    let xdplog = Xdplog::start_to(net, &["here0", "--stats-format", "json"], stdout);
    let program = attached(net, empty);
    let took = Instant::now();
    program.run(&frame(), PACKETS);
    let ns = took.elapsed().as_nanos() as f64 / f64::from(PACKETS);
    drop(program);
    let summary = xdplog.stop().summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), u64::from(PACKETS));
    (ns, count(&summary, "logged") as f64 / f64::from(PACKETS))
}

fn null() -> Stdio {
    std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap().into()
}

pub fn run() {
    let net = Net::new();
    let empty = Program::empty();
    let parse = Program::compile("benches/bpf/parse_only.bpf.c");
    pin_to_one_cpu();

    let (mut a, mut b, mut c, mut file, mut share) = (vec![], vec![], vec![], vec![], vec![]);
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..ROUNDS {
        a.push(empty.run(&frame(), PACKETS).as_nanos() as f64);
        b.push(parse.run(&frame(), PACKETS).as_nanos() as f64);
        let (ns, logged) = logging(&net, &empty, null());
        c.push(ns);
        share.push(logged);
        let out = std::fs::File::create(dir.path().join("log")).unwrap();
        file.push(logging(&net, &empty, out.into()).0);
    }
    let (a, b, c, file) = (median(a), median(b), median(c), median(file));
    println!("ns per packet, medians of {ROUNDS}: empty {a:.0}, parse only {b:.0}, logging {c:.0}");
    println!("logging / parse only: {:.2}", c / b);
    println!(
        "logged as text: {:.1} M packets/s into /dev/null (share {:.4}), {:.1} into a file",
        1e3 / c,
        median(share),
        1e3 / file
    );

    let mut xdplog = Xdplog::start(&net, &["here0"]);
    let lines = xdplog.lines();
    let tap = net.tap_there(0);
    let mut took = Vec::new();
    for _ in 0..201 {
        let sent = Instant::now();
        tap.send(&frame());
        took.push((lines.recv_timeout(PATIENCE).unwrap().1 - sent).as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(3));
    }
    println!("a lone packet's line: median {:.2} ms", median(took));
    let before = cpu_seconds(xdplog.pid());
    std::thread::sleep(Duration::from_secs(5));
    let used = cpu_seconds(xdplog.pid()) - before;
    println!("idle: {:.2} % of a core", used / 5.0 * 100.0);
}

/// CPU time of a process so far, by its scheduler's account.
fn cpu_seconds(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ns: f64 = tasks
        .map(|task| {
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            text.split_whitespace().next().unwrap().parse::<f64>().unwrap()
        })
        .sum();
    ns / 1e9
}
