//! Those that log packets: how each is started, and how many it logged.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use libbpf_rs::{Xdp, XdpFlags};
use nix::net::if_::if_nametoindex;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::net::Net;
use crate::common::process::{BIN, PATIENCE, assert_balanced, heed_signals};
use crate::program::Program;

/// A way to log packets, or the absence of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// An XDP program that passes everything: what the others are held against.
    Nothing,
    /// xdplog as it comes, a line a packet.
    Xdplog,
    /// Its other formats.
    XdplogText,
    XdplogJson,
    /// `--snaplen 128`.
    XdplogPcapngShort,
    /// Whole frames.
    XdplogPcapng,
    /// The tutorial's design, a line a packet.
    Tutorial,
    /// `tcpdump -nn -l`, a line a packet.
    TcpdumpText,
    /// `tcpdump -w`.
    TcpdumpWrite,
    /// The same with `-s 128`.
    TcpdumpWriteShort,
    /// `dumpcap`.
    Dumpcap,
    /// `xdpdump -w`, of frames as an XDP program leaves them. Its program is of
    /// a type that not every kernel takes.
    Xdpdump,
    /// The same with `-s 128`.
    XdpdumpShort,
}

use Contender::{
    Dumpcap, Nothing, TcpdumpText, TcpdumpWrite, TcpdumpWriteShort, Tutorial, Xdpdump,
    XdpdumpShort, Xdplog, XdplogJson, XdplogPcapng, XdplogPcapngShort, XdplogText,
};

/// xdplog in all its formats.
pub const FORMATS: [Contender; 5] =
    [Xdplog, XdplogText, XdplogJson, XdplogPcapngShort, XdplogPcapng];

/// Those that write frames.
pub const CAPTURES: [Contender; 4] =
    [XdplogPcapngShort, TcpdumpWriteShort, XdplogPcapng, TcpdumpWrite];

/// The same with xdpdump, which runs on few machines.
pub const CAPTURES_AND_XDPDUMP: [Contender; 6] =
    [XdplogPcapngShort, TcpdumpWriteShort, XdpdumpShort, XdplogPcapng, TcpdumpWrite, Xdpdump];

/// Those that log.
pub const ALL: [Contender; 5] = [Xdplog, Tutorial, TcpdumpText, TcpdumpWrite, Dumpcap];

/// The tutorial's binary, built by `make bench` beforehand.
const TUTORIAL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tutorial/target/release/tutorial");

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Nothing => "empty XDP program",
            Xdplog => "xdplog",
            XdplogText => "xdplog -f text",
            XdplogJson => "xdplog -f json",
            XdplogPcapngShort => "xdplog -f pcapng --snaplen 128",
            XdplogPcapng => "xdplog -f pcapng",
            Tutorial => "tutorial's design",
            TcpdumpText => "tcpdump -nn -l",
            TcpdumpWrite => "tcpdump -w",
            TcpdumpWriteShort => "tcpdump -w -s 128",
            Dumpcap => "dumpcap -w",
            Xdpdump => "xdpdump -w",
            XdpdumpShort => "xdpdump -w -s 128",
        }
    }

    /// Whether it is xdplog.
    pub fn is_xdplog(self) -> bool {
        FORMATS.contains(&self)
    }

    /// Whether it logs on stdout.
    pub fn is_on_stdout(self) -> bool {
        self.is_xdplog() || matches!(self, Tutorial | TcpdumpText)
    }

    /// Whether it logs lines.
    pub fn is_text(self) -> bool {
        self.is_on_stdout() && !matches!(self, XdplogPcapng | XdplogPcapngShort)
    }

    /// Whether it runs an XDP program of its own.
    pub fn has_program(self) -> bool {
        self.is_xdplog() || self == Tutorial
    }

    fn command(self, log: &Path) -> (&'static str, Vec<String>, &'static str) {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        // The veth stands for a driver that has native mode.
        let xdplog = |more: &str| words(&format!("here0 --mode native --stats-format json{more}"));
        let log = log.display();
        let capture = |more: &str| {
            let args = words(&format!("-i here0 -Q in -Z root -w {log}{more}"));
            ("tcpdump", args, "listening on")
        };
        // With a verdict, which it has at the exit of the program it watches.
        let xdpdump = |more: &str| {
            let args = words(&format!("-i here0 --rx-capture exit -w {log}{more}"));
            ("xdpdump", args, "listening on")
        };
        // Only what arrives, as xdplog sees no more; and no change of user, who
        // could not write here.
        match self {
            Nothing => ("sleep", words("1000"), ""),
            Xdplog => (BIN, xdplog(""), "logging"),
            XdplogText => (BIN, xdplog(" -f text"), "logging"),
            XdplogJson => (BIN, xdplog(" -f json"), "logging"),
            XdplogPcapngShort => (BIN, xdplog(" -f pcapng --snaplen 128"), "logging"),
            XdplogPcapng => (BIN, xdplog(" -f pcapng"), "logging"),
            Tutorial => (TUTORIAL, words("here0"), "ready"),
            TcpdumpText => ("tcpdump", words("-i here0 -Q in -Z root -nn -l"), "listening on"),
            TcpdumpWrite => capture(""),
            TcpdumpWriteShort => capture(" -s 128"),
            Dumpcap => ("dumpcap", words(&format!("-q -i here0 -w {log}")), "File:"),
            Xdpdump => xdpdump(""),
            XdpdumpShort => xdpdump(" -s 128"),
        }
    }

    /// Start, with stdout into `stdout` and what is written otherwise into the
    /// file `log`.
    pub fn start(self, net: &Net, log: &Path, stdout: Stdio) -> Running {
        let empty = (!self.has_program()).then(|| EmptyXdp::attach(net));
        let (program, args, ready) = self.command(log);
        let since = Instant::now();
        heed_signals();
        let mut child = Command::new("ip")
            .args(["netns", "exec", &net.here, program])
            .args(args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|err| panic!("{program}: {err}"));
        let (tx, stderr) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tx.send(line)));
        while !ready.is_empty() {
            let line = stderr
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("{} starts (`make bench` prepares it)", self.name()));
            if line.contains(ready) {
                break;
            }
        }
        let started = since.elapsed();
        let cpu = cpu_seconds(child.id());
        Running { contender: self, child, stderr, started, cpu, log: log.into(), _empty: empty }
    }
}

/// A contender at work.
pub struct Running {
    contender: Contender,
    pub child: Child,
    stderr: Receiver<String>,
    /// From exec to its saying that it logs.
    pub started: Duration,
    /// What that took of CPU time, in seconds.
    cpu: f64,
    log: PathBuf,
    _empty: Option<EmptyXdp>,
}

/// What a contender did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Did {
    /// Packets logged one by one.
    pub logged: u64,
    /// CPU time of the process since it logs, in seconds.
    pub cpu: f64,
    /// Most memory resident at once, in MiB.
    pub memory: f64,
}

impl Running {
    /// Wait until it has nothing more to do, stop it, and see what it did.
    pub fn stop(mut self) -> Did {
        let pid = self.child.id();
        if !self.contender.has_program() && self.contender != Nothing {
            // libpcap hands over a block of packets when it is full or a second
            // old, and none of it when stopped before.
            std::thread::sleep(Duration::from_millis(1200));
        }
        let mut cpu = cpu_seconds(pid);
        let since = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(40));
            let now = cpu_seconds(pid);
            if now - cpu < 0.001 || since.elapsed() > Duration::from_secs(20) {
                cpu = now;
                break;
            }
            cpu = now;
        }
        let memory = peak_memory(pid);
        let stop = if self.contender == Nothing { Signal::SIGKILL } else { Signal::SIGINT };
        kill(Pid::from_raw(pid as i32), stop).unwrap();
        let status = self.child.wait().unwrap();
        let stderr: Vec<String> = self.stderr.iter().collect();
        let logged = match self.contender {
            Nothing => 0,
            xdplog if xdplog.is_xdplog() => {
                assert!(status.success(), "{stderr:?}");
                let json = stderr.iter().rfind(|line| line.starts_with('{')).expect("a summary");
                let summary: serde_json::Value = serde_json::from_str(json).unwrap();
                assert_balanced(&summary);
                let logged = summary["logged"].as_u64().unwrap();
                if self.log.exists() && summary["summarised"] == 0 {
                    let count = if xdplog.is_text() { lines } else { packets };
                    assert_eq!(logged, count(&self.log), "as many as it says");
                }
                logged
            }
            Tutorial | TcpdumpText => lines(&self.log),
            _ => packets(&self.log),
        };
        let _ = std::fs::remove_file(&self.log);
        Did { logged, cpu: cpu - self.cpu, memory }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(path: &Path) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut count = 0;
    loop {
        let chunk = file.fill_buf().unwrap();
        if chunk.is_empty() {
            return count;
        }
        count += chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let len = chunk.len();
        file.consume(len);
    }
}

/// Packets in a capture file, by `capinfos`.
fn packets(path: &Path) -> u64 {
    let output = Command::new("capinfos").args(["-c", "-M", "-T", "-r"]).arg(path).output();
    let text = String::from_utf8(output.expect("capinfos").stdout).unwrap();
    text.trim().rsplit('\t').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// CPU time of a process so far, by its scheduler's account.
pub fn cpu_seconds(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ns: f64 = tasks
        .filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum();
    ns / 1e9
}

fn peak_memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// An empty XDP program on `here0`: without any, a veth takes no live frames.
struct EmptyXdp {
    program: Program,
    ns: String,
}

impl EmptyXdp {
    fn attach(net: &Net) -> EmptyXdp {
        let program = Program::empty();
        net.here(|| {
            let index = if_nametoindex("here0").unwrap() as i32;
            Xdp::new(program.as_fd()).attach(index, XdpFlags::DRV_MODE).unwrap();
        });
        EmptyXdp { program, ns: net.here.clone() }
    }
}

impl Drop for EmptyXdp {
    fn drop(&mut self) {
        crate::common::net::in_ns(&self.ns, || {
            let index = if_nametoindex("here0").unwrap() as i32;
            Xdp::new(self.program.as_fd()).detach(index, XdpFlags::DRV_MODE).unwrap();
        });
    }
}
