//! A long run under traffic, while whoever reads stops now and then: memory and
//! descriptors must not grow, and the sums must agree. `make soak` runs it for
//! ten minutes, `make soak SOAK=60` for one.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::frames::udp4;
use common::live::Sender;
use common::net::Net;
use common::process::{Xdplog, assert_balanced, count};
use serde_json::Value;

/// Packets a second, half of them on each of two interfaces.
const RATE: f64 = 500_000.0;

/// The log on a pipe is begun anew this often, and its sums checked.
const ROUND: Duration = Duration::from_secs(30);

/// Memory may grow by this much after the first seconds, in KiB.
const GROWTH: u64 = 16_384;

fn main() {
    common::host::need_root();
    let seconds = std::env::var("SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let time = Duration::from_secs(seconds);
    let net = Net::new();
    net.add_pair(1);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("soak.pcapng");
    let file = file.to_str().unwrap();
    // One for the whole time, into files.
    let args = [
        "here1",
        "-f",
        "pcapng",
        "--snaplen",
        "128",
        "-w",
        file,
        "--rotate-size",
        "50M",
        "--rotate-keep",
        "3",
        "--compress",
        "--stats-format",
        "json",
    ];
    let files = Xdplog::start(&net, &args);
    let done = AtomicBool::new(false);
    let (totals, watched) = thread::scope(|scope| {
        for n in [0, 1] {
            let (net, done) = (&net, &done);
            scope.spawn(move || {
                net.there(|| {
                    let sender = Sender::new(n, 10_000);
                    let frame = udp4(Ipv4Addr::new(10, 1, 2, 3), 200);
                    while !done.load(Ordering::Relaxed) {
                        sender.send_paced(&frame, RATE / 2.0, Duration::from_millis(500));
                    }
                });
            });
        }
        // Also when something here panics: the senders are waited for.
        let _done = Done(&done);
        let since = Instant::now();
        let (mut totals, mut watched) = (Totals::default(), Watched::default());
        let mut round = 0;
        while since.elapsed() < time {
            round += 1;
            let left = time.saturating_sub(since.elapsed()).min(ROUND);
            totals.add(&one_round(&net, round, left, &files, &mut watched));
            eprintln!("soak: {} s: {totals:?}, {watched:?}", since.elapsed().as_secs());
        }
        (totals, watched)
    });
    let ended = files.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "lost"), 0, "{summary}");
    assert_eq!(count(&summary, "seen"), net.received(1), "{summary}");
    println!("soak: {seconds} s, on a pipe: {totals:?}");
    println!("soak: into files: {summary}");
    println!("soak: resident at most {} KiB, {watched:?}", watched.most);
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Totals {
    seen: u64,
    logged: u64,
    summarised: u64,
}

impl Totals {
    fn add(&mut self, summary: &Value) {
        self.seen += count(summary, "seen");
        self.logged += count(summary, "logged");
        self.summarised += count(summary, "summarised");
    }
}

/// What the run into files holds, from its tenth look on.
#[derive(Debug, Default)]
struct Watched {
    looks: u64,
    first: u64,
    most: u64,
    descriptors: usize,
}

impl Watched {
    fn look(&mut self, xdplog: &Xdplog) {
        let pid = xdplog.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let rss: u64 = rss.split_whitespace().next().unwrap().parse().unwrap();
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        self.looks += 1;
        self.most = self.most.max(rss);
        if self.looks == 10 {
            self.first = rss;
            self.descriptors = descriptors;
        } else if self.looks > 10 {
            // While a file is compressed, more of both; that passes.
            assert!(rss <= self.first + GROWTH, "{rss} KiB after {} KiB", self.first);
            assert!(descriptors <= self.descriptors + 4, "{descriptors}: {self:?}");
        }
    }
}

/// A log on a pipe for `time`, whose reader stops at times, as does the run into
/// files; what its summary says.
fn one_round(
    net: &Net,
    round: u64,
    time: Duration,
    files: &Xdplog,
    watched: &mut Watched,
) -> Value {
    let before = net.received(0);
    let mut xdplog = Xdplog::start(net, &["here0", "-f", "json", "--stats-format", "json"]);
    let stdout = xdplog.stdout();
    let pause = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| read(stdout, &pause));
        let since = Instant::now();
        // Any sequence will do that is not the same every round.
        let mut random = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while since.elapsed() < time {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random % 8 {
                0 => pause.store(true, Ordering::Relaxed),
                1 => files.park(),
                _ => {}
            }
            thread::sleep(Duration::from_millis(200 + random % 800));
            pause.store(false, Ordering::Relaxed);
            files.unpark();
            watched.look(files);
        }
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = ended.summary();
        assert_balanced(&summary);
        assert!(count(&summary, "seen") <= net.received(0) - before, "{summary}");
        // What was read is what was counted.
        let (lines, packets) = reading.join().unwrap();
        assert_eq!(lines, count(&summary, "logged"), "{summary}");
        assert_eq!(packets, lines + count(&summary, "summarised"), "{summary}");
        summary
    })
}

/// How many packets have lines of their own, and how many there are in all lines.
fn read(stdout: ChildStdout, pause: &AtomicBool) -> (u64, u64) {
    let (mut lines, mut packets) = (0, 0);
    let mut log = BufReader::with_capacity(1 << 18, stdout);
    let mut line = Vec::new();
    loop {
        while pause.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        line.clear();
        if log.read_until(b'\n', &mut line).unwrap() == 0 {
            return (lines, packets);
        }
        let stands_for = if line.starts_with(b"{\"event\":\"summary\"") {
            serde_json::from_slice::<Value>(&line).unwrap()["count"].as_u64().unwrap()
        } else {
            assert!(line.starts_with(b"{\"time\":") && line.ends_with(b"}\n"), "{line:?}");
            lines += 1;
            1
        };
        packets += stands_for;
    }
}
