//! What is measured, and in which order: contender after contender, round after
//! round, so that a machine that gets slower does so for all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use libbpf_rs::{Xdp, XdpFlags};
use nix::net::if_::if_nametoindex;

use crate::common::frames::{HERE_MAC, THERE_MAC, frame, udp4};
use crate::common::host::pin_to_one_cpu;
use crate::common::live::Sender;
use crate::common::net::Net;
use crate::contender::{ALL, CAPTURES, CAPTURES_AND_XDPDUMP, Contender, Did, FORMATS, cpu_seconds};
use crate::program::Program;

/// How much of everything.
pub struct Plan {
    pub rounds: usize,
    /// Packets of one BPF_PROG_TEST_RUN, at full speed.
    pub packets: u32,
    /// Packets over veth, flat out.
    pub veth: u32,
    /// Lone packets whose latency is taken.
    pub lone: usize,
    /// Offered rates, packets a second; for how long and how often each.
    pub rates: Vec<f64>,
    pub sweeps: usize,
    pub time: Duration,
}

impl Plan {
    pub fn new(short: bool) -> Plan {
        let rates = [2e3, 1e4, 2e4, 5e4, 1e5, 2e5, 4e5, 8e5, 1.2e6, 1.6e6];
        if short {
            let rates = rates.into_iter().step_by(3).collect();
            let time = Duration::from_millis(200);
            Plan { rounds: 1, packets: 1_000_000, veth: 400_000, lone: 51, rates, sweeps: 1, time }
        } else {
            let time = Duration::from_millis(400);
            Plan {
                rounds: 5,
                packets: 3_000_000,
                veth: 1_500_000,
                lone: 101,
                rates: rates.into(),
                sweeps: 3,
                time,
            }
        }
    }
}

/// All figures, each the samples of all rounds, by what is measured and of whom.
#[derive(Default)]
pub struct Results {
    pub figures: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    /// Share logged by offered rate, by contender.
    pub shares: BTreeMap<&'static str, Vec<(f64, f64)>>,
    pub rounds: usize,
}

impl Results {
    fn add(&mut self, what: &'static str, whose: &'static str, value: f64) {
        self.figures.entry((what, whose)).or_default().push(value);
    }

    pub fn median(&self, what: &'static str, whose: &'static str) -> Option<f64> {
        self.figures.get(&(what, whose)).map(|samples| median(samples))
    }
}

pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The same size over IPv6, without payload.
fn frame6() -> Vec<u8> {
    let mut frame = Vec::new();
    let step = PacketBuilder::ethernet2(THERE_MAC, HERE_MAC).ipv6([0xfd; 16], [0xfe; 16], 64);
    step.udp(1234, 9).write(&mut frame, &[]).unwrap();
    frame
}

/// The sender, and with it the packet path, is on CPU 0; who logs is where the
/// scheduler puts it, so that nobody else may be pinned.
fn on_cpu_0<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            pin_to_one_cpu();
            f()
        });
        pinned.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub fn all(plan: &Plan) -> Results {
    let net = Net::new();
    // In memory: what is measured is the logging, not this machine's disk.
    let dir = tempfile::Builder::new().prefix("xdplog-bench").tempdir_in("/dev/shm").unwrap();
    let log = dir.path().join("log");
    let mut results = Results { rounds: plan.rounds, ..Results::default() };
    let empty = Program::empty();
    let parse = Program::compile("benches/bpf/parse_only.bpf.c");
    for round in 1..=plan.rounds {
        eprintln!("bench: round {round} of {}", plan.rounds);
        // Less what a run of one takes: where a program is not attached, the
        // kernel puts it into its XDP dispatcher first, some 20 ms of waiting.
        let ns = |program: &Program| {
            let run =
                |packets| median(&[0; 3].map(|_| on_cpu_0(|| program.run(&frame(), packets))));
            (run(plan.packets) - run(1)) / f64::from(plan.packets) * 1e9
        };
        results.add("ns", "empty", ns(&empty));
        results.add("ns", "parse only", ns(&parse));
        for contender in [Contender::Xdplog, Contender::Tutorial] {
            in_kernel(&mut results, plan, &net, contender, &log);
        }
        flat_out(&mut results, plan, &net, Contender::Nothing, &log);
        for contender in ALL {
            flat_out(&mut results, plan, &net, contender, &log);
        }
        kinds(&mut results, plan, &net, &log);
        for (whose, (ns, bytes)) in crate::formatting::all(plan.packets as usize / 1000) {
            results.add("format ns", whose, ns);
            results.add("format bytes", whose, bytes);
            results.add("format ns per byte", whose, ns / bytes);
        }
        for format in FORMATS {
            in_format(&mut results, plan, &net, format, &log);
        }
        for contender in CAPTURES {
            long_frames(&mut results, plan, &net, contender, &log);
        }
        for contender in ALL.into_iter().filter(|contender| contender.is_text()) {
            latency(&mut results, plan, &net, contender, &log);
        }
    }
    idle(&mut results, &net, &log);
    eprintln!("bench: share logged by offered rate");
    for &rate in &plan.rates {
        let mut samples: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for _ in 0..plan.sweeps {
            // What arrives where nobody logs is what is offered: a contender that
            // slows the path so that less arrives has not logged the rest.
            let (offered, _) = paced(plan, &net, Contender::Nothing, rate, &log);
            for contender in ALL {
                let (_, logged) = paced(plan, &net, contender, rate, &log);
                let share = (logged / offered).min(1.0);
                samples.entry(contender.name()).or_default().push(share);
            }
        }
        for (name, shares) in samples {
            results.shares.entry(name).or_default().push((rate, median(&shares)));
        }
    }
    results
}

/// Only those that write frames, with xdpdump among them, and of few packets: for
/// an emulated machine.
pub fn captures() -> Results {
    let net = Net::new();
    let dir = tempfile::Builder::new().prefix("xdplog-bench").tempdir_in("/dev/shm").unwrap();
    let log = dir.path().join("log");
    let plan = Plan { rounds: 5, veth: 50_000, ..Plan::new(true) };
    let mut results = Results { rounds: plan.rounds, ..Results::default() };
    for round in 1..=plan.rounds {
        eprintln!("bench: round {round} of {}", plan.rounds);
        for contender in [Contender::Nothing].into_iter().chain(CAPTURES_AND_XDPDUMP) {
            long_frames(&mut results, &plan, &net, contender, &log);
        }
    }
    results
}

fn to_file(contender: Contender, log: &Path) -> Stdio {
    if contender.is_on_stdout() { File::create(log).unwrap().into() } else { null() }
}

fn null() -> Stdio {
    File::options().write(true).open("/dev/null").unwrap().into()
}

/// The program on `here0`.
fn attached(net: &Net) -> Program {
    let any = Program::empty();
    let id = net.here(|| {
        let index = if_nametoindex("here0").unwrap();
        Xdp::new(any.as_fd()).query_id(index as i32, XdpFlags::NONE).unwrap()
    });
    Program::by_id(id)
}

/// The program of a contender by BPF_PROG_TEST_RUN: its cost, and the rate at
/// which its packets are logged.
fn in_kernel(results: &mut Results, plan: &Plan, net: &Net, contender: Contender, log: &Path) {
    // The tutorial's takes some 100 times as long.
    let packets = if contender == Contender::Xdplog { plan.packets } else { plan.packets / 20 };
    let whose = contender.name();
    let run = |log: &Path, stdout: Stdio| {
        let running = contender.start(net, log, stdout);
        let program = attached(net);
        let took = on_cpu_0(|| program.run(&frame(), packets));
        drop(program);
        (took, running.stop())
    };
    let (took, did) = run(&no_log(log), null());
    results.add("ns", whose, took / f64::from(packets) * 1e9);
    if contender == Contender::Xdplog {
        results.add("null share", whose, did.logged as f64 / f64::from(packets));
        results.add("null M/s", whose, did.logged as f64 / took / 1e6);
    }
    let (took, did) = run(log, to_file(contender, log));
    results.add("file share", whose, did.logged as f64 / f64::from(packets));
    results.add("file M/s", whose, did.logged as f64 / took / 1e6);
    results.add("CPU s per M", whose, did.cpu / did.logged as f64 * 1e6);
}

/// The name of a log that is not there.
fn no_log(log: &Path) -> PathBuf {
    log.with_extension("none")
}

/// Over veth, as fast as one CPU sends.
fn flat_out(results: &mut Results, plan: &Plan, net: &Net, contender: Contender, log: &Path) {
    let whose = contender.name();
    let running = contender.start(net, log, to_file(contender, log));
    results.add("start ms", whose, running.started.as_secs_f64() * 1e3);
    let before = net.received(0);
    let took = net.there(|| {
        pin_to_one_cpu();
        let sender = Sender::new(0, 0);
        let since = Instant::now();
        sender.send(&frame(), plan.veth);
        since.elapsed().as_secs_f64()
    });
    let did = running.stop();
    let received = (net.received(0) - before) as f64;
    results.add("veth M/s", whose, received / took / 1e6);
    if contender != Contender::Nothing {
        assert!(did.logged as f64 <= received, "{whose} logged no more than there were");
        results.add("veth share", whose, did.logged as f64 / received);
        results.add("memory MiB", whose, did.memory);
        if !contender.has_program() {
            results.add("CPU s per M", whose, did.cpu / did.logged.max(1) as f64 * 1e6);
        }
    }
}

/// xdplog in one of its formats: how fast, as BPF_PROG_TEST_RUN, and whether it
/// keeps up over veth.
fn in_format(results: &mut Results, plan: &Plan, net: &Net, format: Contender, log: &Path) {
    let whose = format.name();
    let running = format.start(net, &no_log(log), null());
    let program = attached(net);
    let took = on_cpu_0(|| program.run(&frame(), plan.packets));
    drop(program);
    let did = running.stop();
    results.add("format M/s", whose, did.logged as f64 / took / 1e6);
    results.add("format share", whose, did.logged as f64 / f64::from(plan.packets));

    let (share, _, did) = flood(plan, net, format, &frame(), log);
    results.add("format veth share", whose, share);
    results.add("format CPU s per M", whose, did.cpu / did.logged as f64 * 1e6);
}

/// Those that write frames, with frames of 1500 bytes.
fn long_frames(results: &mut Results, plan: &Plan, net: &Net, contender: Contender, log: &Path) {
    let long = udp4(Ipv4Addr::new(10, 1, 2, 3), 1458);
    let (share, ns, did) = flood(plan, net, contender, &long, log);
    results.add("long ns", contender.name(), ns);
    if contender == Contender::Nothing {
        return;
    }
    results.add("long share", contender.name(), share);
    results.add("long CPU s per M", contender.name(), did.cpu / did.logged.max(1) as f64 * 1e6);
}

/// `frame` over veth, flat out: share logged, ns each, and the rest.
fn flood(plan: &Plan, net: &Net, who: Contender, frame: &[u8], log: &Path) -> (f64, f64, Did) {
    let running = who.start(net, log, to_file(who, log));
    let before = net.received(0);
    let took = net.there(|| {
        pin_to_one_cpu();
        let sender = Sender::new(0, 0);
        let since = Instant::now();
        sender.send(frame, plan.veth);
        since.elapsed().as_secs_f64()
    });
    let did = running.stop();
    let received = (net.received(0) - before) as f64;
    (did.logged as f64 / received, took / received * 1e9, did)
}

/// xdplog's cost over veth by the kind of traffic.
fn kinds(results: &mut Results, plan: &Plan, net: &Net, log: &Path) {
    let long = udp4(Ipv4Addr::new(10, 1, 2, 3), 1458);
    for (what, sources, frame) in [
        ("1 source", 1, frame()),
        ("1 M sources", 1_000_000, frame()),
        ("IPv6", 0, frame6()),
        ("1500 bytes", 0, long),
    ] {
        let running = Contender::Xdplog.start(net, &no_log(log), null());
        let before = net.received(0);
        let took = net.there(|| {
            pin_to_one_cpu();
            let sender = Sender::new(0, sources);
            let since = Instant::now();
            sender.send(&frame, plan.veth);
            since.elapsed().as_secs_f64()
        });
        let received = (net.received(0) - before) as f64;
        let did = running.stop();
        results.add("ns over veth", what, took / received * 1e9);
        results.add("veth share", what, did.logged as f64 / received);
    }
}

/// The time from sending a packet to reading its line, alone and in traffic.
fn latency(results: &mut Results, plan: &Plan, net: &Net, contender: Contender, log: &Path) {
    let mut running = contender.start(net, log, Stdio::piped());
    let stdout = running.child.stdout.take().unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::with_capacity(1 << 20, stdout).lines().map_while(Result::ok) {
            if line.contains("10.7.7.7") && tx.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let tap = net.tap_there(0);
    let lone = udp4(Ipv4Addr::new(10, 7, 7, 7), 18);
    let once = || {
        let sent = Instant::now();
        tap.send(&lone);
        // In traffic its line may be among those lost.
        let came = rx.recv_timeout(Duration::from_secs(1)).ok()?;
        std::thread::sleep(Duration::from_millis(3));
        Some((came - sent).as_secs_f64() * 1e3)
    };
    let alone: Vec<f64> = (0..plan.lone).filter_map(|_| once()).collect();
    results.add("lone ms", contender.name(), median(&alone));
    if contender == Contender::Xdplog {
        let stop = AtomicBool::new(false);
        let busy = std::thread::scope(|scope| {
            scope.spawn(|| {
                net.there(|| {
                    let sender = Sender::new(0, 0);
                    while !stop.load(Ordering::Relaxed) {
                        sender.send_paced(&frame(), 200_000.0, Duration::from_millis(50));
                    }
                });
            });
            let busy: Vec<f64> = (0..plan.lone).filter_map(|_| once()).collect();
            stop.store(true, Ordering::Relaxed);
            busy
        });
        results.add("ms in 0.2 M/s", contender.name(), median(&busy));
    }
}

/// What xdplog uses while nothing arrives.
fn idle(results: &mut Results, net: &Net, log: &Path) {
    let running = Contender::Xdplog.start(net, log, null());
    let before = cpu_seconds(running.child.id());
    std::thread::sleep(Duration::from_secs(3));
    let used = cpu_seconds(running.child.id()) - before;
    results.add("idle %", Contender::Xdplog.name(), used / 3.0 * 100.0);
}

/// Offer packets over veth at a rate: how many arrived, and how many of them
/// were logged one by one.
fn paced(plan: &Plan, net: &Net, contender: Contender, rate: f64, log: &Path) -> (f64, f64) {
    let running = contender.start(net, log, to_file(contender, log));
    let before = net.received(0);
    net.there(|| {
        pin_to_one_cpu();
        let sender = Sender::new(0, 0);
        // The first run of a program takes the kernel longer.
        sender.send(&frame(), 1);
        sender.send_paced(&frame(), rate, plan.time);
    });
    let did = running.stop();
    ((net.received(0) - before) as f64, did.logged as f64)
}
