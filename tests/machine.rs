//! What changes the machine itself: its clock, its CPUs, how much it holds back of
//! what is written to a disk. For virtual machines only, where `make test-kernels`
//! runs these. Elsewhere they are ignored.

mod common;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::frames::udp4;
use common::host::{cpus, pin_to};
use common::live::{Sender, flood};
use common::net::Net;
use common::process::{Logged, PATIENCE, Xdplog, assert_balanced, count, wait_until};
use libbpf_rs::query::ProgInfoIter;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

/// What tests/kernels/machine.sh tells the kernels that it boots.
const MARK: &str = "xdplog_tests";

/// Nothing here is for a machine that someone uses.
fn need_a_virtual_machine() {
    let is_ours = fs::read_to_string("/proc/cmdline").unwrap().contains(MARK);
    assert!(is_ours, "only in the machines of `make test-kernels`");
}

fn step_the_clock(by: i64) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let then = Duration::from_secs(now.as_secs().checked_add_signed(by).unwrap());
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from(then)).expect("set the clock");
}

#[test]
#[ignore = "sets the machine's clock"]
fn times_follow_the_clock_when_it_is_stepped() {
    need_a_virtual_machine();
    let net = Net::new();
    let mut xdplog = Xdplog::start(&net, &["here0", "-f", "json"]);
    let lines = xdplog.lines();
    let tap = net.tap_there(0);
    for step in [0, 3600, -7200, 86_400] {
        step_the_clock(step);
        // At once, and then in order.
        let mut last = String::new();
        for _ in 0..20 {
            let before = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
            tap.send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
            let line = lines.recv_timeout(PATIENCE).unwrap().0;
            let after = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let time = line["time"].as_str().unwrap().to_string();
            let seconds = time.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as f64 / 1e9;
            // Within what an unnoticed change may be.
            assert!(
                (before - 0.01..after + 0.01).contains(&seconds),
                "{step}: {seconds} is not between {before} and {after}"
            );
            assert!(last < time, "{last} before {time}");
            last = time;
        }
    }
    assert_eq!(xdplog.stop().code(), Some(0));
}

fn set_online(cpu: usize, online: bool) {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
    fs::write(&path, if online { "1" } else { "0" }).unwrap_or_else(|err| panic!("{path}: {err}"));
}

#[test]
#[ignore = "takes CPUs of the machine offline"]
fn a_cpu_goes_offline_and_comes_back() {
    need_a_virtual_machine();
    let net = Net::new();
    net.add_wide_pair(1, cpus().len());
    let cpu = *cpus().last().unwrap();
    assert!(cpu > 0, "one that is not needed");
    let mut xdplog = Xdplog::start(&net, &["here1", "--stats-format", "json"]);
    let stdout = xdplog.stdout();
    let log = thread::spawn(move || Logged::read(stdout));
    let send = |cpu: usize, n: u8| send_from(&net, cpu, n, 2000);
    send(0, 0);
    send(cpu, 0);
    set_online(cpu, false);
    send(0, 64);
    set_online(cpu, true);
    send(cpu, 64);
    send(0, 128);
    flood(&net, 1, &udp4(Ipv4Addr::new(10, 1, 2, 3), 18), 1000);
    let ended = xdplog.stop();
    let log = log.join().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(1));
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised")),
        (log.lines, log.summarised)
    );
    assert_eq!(count(&summary, "lost"), 0);
    // Everyone is in the log, one by one or in a summary: also what came over
    // the CPU that was away.
    for (of, first) in [(0, 0u8), (cpu, 0), (0, 64), (cpu, 64), (0, 128)] {
        let source = Ipv4Addr::new(11, of as u8, first, 7).to_string();
        assert_eq!(log.by_source.get(&source), Some(&1), "{source}");
    }
    assert!(log.by_source["10.1.2.3"] > 0);
}

/// From a CPU come packets of 11.CPU.n.0 and on, each of an address of its own.
fn send_from(net: &Net, cpu: usize, n: u8, count: u32) {
    net.there(|| {
        pin_to(cpu);
        let first = Ipv4Addr::new(11, cpu as u8, n, 0);
        Sender::from(1, first, count).send(&udp4(first, 18), count);
    });
}

/// Frames that fit in a veth that nobody empties meanwhile: none is dropped.
const FEW: u32 = 200;

/// A CPU that comes online gets a ring, and so does one that was away, if only for so
/// short that no look at what is online shows it. What waited comes out, and then all
/// is logged one by one, and in order; nothing piles up.
#[test]
#[ignore = "takes CPUs of the machine offline"]
fn a_cpu_that_comes_online_is_logged() {
    need_a_virtual_machine();
    let net = Net::new();
    net.add_wide_pair(1, cpus().len());
    let cpu = *cpus().last().unwrap();
    assert!(cpu > 0, "one that is not needed");
    set_online(cpu, false);
    let mut xdplog = Xdplog::start(&net, &["here1", "--stats-format", "json"]);
    let lines = xdplog.lines();
    let line_of = |n: u8, at: u32| {
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(11, cpu as u8, n, 0).to_bits() + at);
        format!("LOG: SRC {source}, ACTION 2")
    };
    let next = || lines.recv_timeout(PATIENCE).expect("a line").0;
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", xdplog.pid())).unwrap().count();
    let mut open = Vec::new();
    for n in 0..6 {
        if n > 0 {
            set_online(cpu, false);
        }
        set_online(cpu, true);
        // In the batch, until there is a ring.
        send_from(&net, cpu, n, 1);
        assert_eq!(next(), line_of(n, 0));
        send_from(&net, cpu, 100 + n, FEW);
        (0..FEW).for_each(|at| assert_eq!(next(), line_of(100 + n, at)));
        open.push(descriptors());
    }
    assert!(open.iter().all(|&now| now == open[0]), "{open:?}");
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    let sent = 6 * u64::from(1 + FEW);
    assert_eq!((count(&summary, "seen"), count(&summary, "logged")), (sent, sent));
}

/// How often the flush program ran.
fn flushes() -> u64 {
    let all = ProgInfoIter::default().filter(|program| program.name.as_bytes() == b"xdplog_flush");
    all.map(|program| program.run_cnt).sum()
}

/// Where a ring is refused, that is told, the packets are summarised, and nobody
/// tries in vain to flush what waits.
#[test]
#[ignore = "takes CPUs of the machine offline"]
fn a_cpu_that_gets_no_ring() {
    need_a_virtual_machine();
    fs::write("/proc/sys/kernel/bpf_stats_enabled", "1").unwrap();
    let net = Net::new();
    net.add_wide_pair(1, cpus().len());
    let cpu = *cpus().last().unwrap();
    let args = ["here1", "--stats-format", "json", "--stats-interval", "500ms"];
    let mut xdplog = Xdplog::start(&net, &args);
    let stdout = xdplog.stdout();
    let log = thread::spawn(move || Logged::read(stdout));
    set_online(cpu, false);
    let pid = xdplog.pid();
    let used = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    let limit = libc::rlimit { rlim_cur: used, rlim_max: used };
    // SAFETY: limit outlives the call, and the old one is not asked for.
    let err = unsafe {
        libc::prlimit(pid as i32, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())
    };
    assert_eq!(err, 0, "{}", std::io::Error::last_os_error());
    set_online(cpu, true);
    send_from(&net, cpu, 0, FEW);
    xdplog.hear(&format!("CPU {cpu} came online, and the kernel refused a ring for it"));
    for n in 1..10 {
        send_from(&net, cpu, n, FEW);
    }
    let before = flushes();
    let told = || xdplog.said().matches(" packets/s").count();
    let so_far = told();
    wait_until("time passes", || told() >= so_far + 4);
    // By the retries of a full ring it would be thousands.
    let vain = flushes() - before;
    assert!(vain < 200, "{vain} flushes in two seconds");
    let ended = xdplog.stop();
    fs::write("/proc/sys/kernel/bpf_stats_enabled", "0").unwrap();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let (summary, log) = (ended.summary(), log.join().unwrap());
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(1));
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised"), count(&summary, "lost")),
        (log.lines, log.summarised, 0)
    );
    assert!(log.summarised > 0, "{summary}");
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also after a failed assertion, and before the directory is removed.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A disk that takes some 6,000 lines a second, and no more of what is to be
/// written held in memory than five seconds of that.
#[test]
#[ignore = "mounts a disk, and sets how much is held in memory of what is written"]
fn a_slow_disk() {
    need_a_virtual_machine();
    fs::write("/proc/sys/vm/dirty_background_bytes", "500000").unwrap();
    fs::write("/proc/sys/vm/dirty_bytes", "1000000").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let flags = MsFlags::empty();
    mount(Some("/dev/vda"), dir.path(), Some("ext4"), flags, None::<&str>).expect("a disk");
    let _mounted = Mounted(dir.path().into());
    let path = dir.path().join("log");
    let net = Net::new();
    let file = path.to_str().unwrap();
    let args = ["here0", "--buffer-size", "256KiB", "-w", file, "--stats-format", "json"];
    let xdplog = Xdplog::start(&net, &args);
    let written = || fs::metadata(&path).unwrap().len();
    // What a ring has room for, each time, so that it is the disk that does not keep
    // up: beyond what is held in memory, more has to be summarised than before.
    let told = || xdplog.said().matches("in summary").count();
    let (mut bursts, mut before) = (0, None);
    while before.is_none_or(|before| told() == before) {
        assert!(bursts < 5000, "it is no slow disk: {} written", written());
        flood(&net, 0, &udp4(Ipv4Addr::new(10, 1, 2, 3), 18), 1500);
        bursts += 1;
        thread::sleep(Duration::from_millis(10));
        if before.is_none() && written() > 1_000_000 {
            before = Some(told());
        }
    }
    // Until it has caught up: what is left at the end has to fit into the time for
    // stopping.
    let mut last = (written(), Instant::now());
    while last.1.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(100));
        if written() != last.0 {
            last = (written(), Instant::now());
        }
    }
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    let log = Logged::read(fs::File::open(&path).unwrap());
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(0));
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised"), count(&summary, "lost")),
        (log.lines, log.summarised, 0)
    );
    assert!(log.summarised > 0 && log.lines > 0, "{summary}");
}
