//! Every frame has exactly one fate, to the packet, under any load: it is
//! logged, or counted by source. The binary, black box; the witnesses are the
//! interface's own counter and the lines themselves.

mod common;

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::frames::{frame, other, syn6, udp4};
use common::host::{cpus, pin_to};
use common::live::{Sender, flood, flood_sources};
use common::logs::{self, Dir};
use common::net::Net;
use common::process::{Logged, PATIENCE, PROMPT, Xdplog, assert_balanced, count};
use common::run::Run;
use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};

#[test]
fn a_parked_reader_with_a_ring_of_one_page() {
    let net = Net::new();
    let run = Run::start(&net, &["--buffer-size", "4096"]);
    run.xdplog.park();
    flood(&net, 0, &frame(), 50_000);
    run.xdplog.unpark();
    let (summary, log) = run.stop();
    let seen = count(&summary, "seen");
    assert!(seen > 49_000, "the veth passed them on: {summary}");
    assert!(summary["summary_seconds"].as_f64().unwrap() > 0.0, "{summary}");
    // What fits: a page of records, and one batch of 31; for each CPU, as the
    // sender may have been moved.
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    assert!((31..=cpus * (64 + 31)).contains(&log.lines), "{summary}");
    assert_eq!(count(&summary, "lost"), 0);
    assert_eq!(log.by_source["10.1.2.3"], seen, "nobody is forgotten");
}

#[test]
fn what_waits_in_a_batch_is_logged_without_another_packet() {
    let net = Net::new();
    // Fewer than a batch holds, all within the millisecond in which a batch
    // does not go out by itself; stopped at once, and left to be flushed.
    for wait_for_flush in [false, true] {
        let mut xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
        let before = net.received(0);
        flood(&net, 0, &frame(), 100);
        if wait_for_flush {
            let lines = xdplog.lines();
            for n in 0..100 {
                assert!(lines.recv_timeout(PATIENCE).is_ok(), "line {n} comes while xdplog runs");
            }
        }
        let summary = xdplog.stop().summary();
        assert_eq!(count(&summary, "logged"), net.received(0) - before);
    }
}

#[test]
fn two_million_packets_by_live_frames() {
    let net = Net::new();
    let run = Run::start(&net, &[]);
    flood(&net, 0, &frame(), 1_000_000);
    flood(&net, 0, &syn6("fd99::5".parse().unwrap()), 900_000);
    flood(&net, 0, &other(0x88cc), 100_000);
    let (summary, log) = run.stop();
    assert!(count(&summary, "seen") > 1_900_000, "the veth passed them on: {summary}");
    assert!(count(&summary, "not_ip") > 0);
    let ip = count(&summary, "seen") - count(&summary, "not_ip");
    assert_eq!(log.by_source["10.1.2.3"] + log.by_source["fd99::5"], ip);
}

#[test]
fn two_cpus_at_once() {
    let (net, dir) = (Net::new(), Dir::new());
    // To a file: what reads a pipe is a test, which need not keep up.
    let path = dir.path("log");
    let xdplog = logs::start(&net, &["-4", "-w", &path]);
    net.there(|| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| Sender::new(0, 0).send(&frame(), 300_000));
                let other = syn6("fd99::5".parse().unwrap());
                scope.spawn(move || Sender::new(0, 0).send(&other, 100_000));
            }
        });
    });
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = logs::agrees(&net, &ended, "classic", &dir.files());
    assert!(count(&summary, "unselected") > 0);
    assert_eq!(Logged::read(File::open(path).unwrap()).by_source.len(), 1);
}

#[test]
fn each_cpu_has_a_ring_and_a_batch_of_its_own() {
    // A pair for each CPU: a veth's packets arrive on the sender's.
    let net = Net::new();
    let mut cpus = cpus();
    cpus.truncate(64);
    let names: Vec<String> = (0..cpus.len()).map(|n| format!("here{n}")).collect();
    (1..cpus.len()).for_each(|n| net.add_pair(n as u32));
    let mut args = vec!["--buffer-size", "4096"];
    args.extend(names.iter().map(String::as_str));
    let run = Run::start(&net, &args);
    run.xdplog.park();
    let source = |n: usize| Ipv4Addr::new(10, 1, 0, n as u8);
    std::thread::scope(|scope| {
        for (n, &cpu) in cpus.iter().enumerate() {
            let (net, frame) = (&net, udp4(source(n), 18));
            scope.spawn(move || {
                pin_to(cpu);
                flood(net, n as u32, &frame, 5_000);
            });
        }
    });
    run.xdplog.unpark();
    let (ended, log) = run.end(true);
    let summary = ended.summary();
    for (n, name) in names.iter().enumerate() {
        let received = net.received(n as u32);
        assert!(received > 4_000, "the veth passed them on: {received} by {name}");
        assert_eq!(count(&summary["interfaces"][name], "seen"), received, "{name}: {summary}");
        assert_eq!(log.by_source[&source(n).to_string()], received, "{name}: {summary}");
    }
    // What fits of each CPU: a batch of 31 at least, and a page of records. Of
    // one ring for all of them it would be a page in all.
    let cpus = cpus.len() as u64;
    assert!((cpus * 31..=cpus * (64 + 31)).contains(&log.lines), "{summary}");
}

#[test]
fn ctrl_c_in_the_middle_of_a_flood() {
    let net = Net::new();
    let run = Run::start(&net, &["--buffer-size", "64KiB"]);
    let (ended, _) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&net, 0, &frame(), 2_000_000));
        // In the middle: some have come, most have not.
        while net.received(0) < 50_000 {
            std::thread::yield_now();
        }
        let ended = run.end(true);
        flooding.join().unwrap();
        ended
    });
    assert!(count(&ended.summary(), "seen") <= net.received(0));
}

#[test]
fn a_reader_of_stdout_that_is_stopped_during_five_million_packets() {
    let net = Net::new();
    // What reads the log is a process of its own, which can be stopped.
    let mut cat = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = cat.stdout.take().unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    let log = std::thread::spawn(move || {
        Logged::read_watching(stdout, |line| {
            if line.contains("10.9.9.9") {
                tx.send(()).unwrap();
            }
        })
    });
    let xdplog = Xdplog::start_to(
        &net,
        &["here0", "--stats-format", "json", "--buffer-size", "1MiB"],
        cat.stdin.take().unwrap().into(),
    );
    let cat_pid = nix::unistd::Pid::from_raw(cat.id() as i32);
    nix::sys::signal::kill(cat_pid, Signal::SIGSTOP).unwrap();
    let tap = net.tap_there(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // All over one CPU: then the last of them is also the last of the log.
            pin_to(cpus()[0]);
            flood(&net, 0, &frame(), 5_000_000);
            nix::sys::signal::kill(cat_pid, Signal::SIGCONT).unwrap();
            // The summary comes as soon as there is room, and then the log goes on.
            tap.send(&udp4(Ipv4Addr::new(10, 9, 9, 9), 18));
        });
    });
    rx.recv_timeout(PATIENCE).expect("it comes, one by one or in a summary");
    let summary = xdplog.stop().summary();
    cat.wait().unwrap();
    let log = log.join().unwrap();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(0));
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised")),
        (log.lines, log.summarised)
    );
    assert_eq!(count(&summary, "lost"), 0, "{summary}");
    assert!(log.summarised > 1_000_000, "{summary}");
    assert_eq!(log.by_source["10.1.2.3"] + log.by_source["10.9.9.9"], count(&summary, "seen"));
}

#[test]
fn a_million_sources() {
    let net = Net::new();
    let (tx, rx) = std::sync::mpsc::channel();
    let read = move |stdout| {
        Logged::read_watching(stdout, |line| {
            if line.starts_with("LOG: SRC other") {
                tx.send(()).unwrap();
            }
        })
    };
    let run = Run::start_reading(&net, &["--buffer-size", "4096"], read);
    run.xdplog.park();
    // Of more addresses than are sent, should some not arrive.
    flood_sources(&net, 0, 1 << 24, 1_000_000);
    run.xdplog.unpark();
    // The summaries come without being asked for; this one is the last.
    rx.recv_timeout(PATIENCE).expect("summaries come while it runs");
    let (summary, log) = run.stop();
    let seen = count(&summary, "seen");
    assert_eq!(log.by_source.values().sum::<u64>(), seen);
    // Each packet has a source of its own: as many are told apart as the table
    // holds, the rest is one line.
    assert_eq!(log.summaries, 65_536 + 1);
    assert_eq!(log.by_source["other"], seen - log.lines - 65_536);
}

#[test]
fn more_sources_than_the_table_was_given() {
    let net = Net::new();
    let run = Run::start(&net, &["--buffer-size", "4096", "--overflow-sources", "10"]);
    run.xdplog.park();
    flood_sources(&net, 0, 1000, 50_000);
    run.xdplog.unpark();
    let (summary, log) = run.stop();
    assert_eq!(log.summaries, 10 + 1, "{summary}");
    assert_eq!(log.by_source.values().sum::<u64>(), count(&summary, "seen"));
}

#[test]
fn xdplog_stopped_for_three_seconds_and_continued() {
    let net = Net::new();
    let run = Run::start(&net, &["--buffer-size", "256KiB"]);
    run.xdplog.park();
    for _ in 0..3 {
        flood_sources(&net, 0, 100, 300_000);
        std::thread::sleep(Duration::from_secs(1));
    }
    run.xdplog.unpark();
    flood_sources(&net, 0, 100, 300_000);
    let (summary, log) = run.stop();
    assert!(log.summarised > 500_000, "{summary}");
    assert_eq!(log.by_source.len(), 100, "each of the sources");
}

#[test]
fn a_slow_output_and_what_is_said_about_it() {
    let net = Net::new();
    // Some 500 KB a second: far less than the flood makes.
    let slowly = |mut stdout: ChildStdout| {
        let mut text = Vec::new();
        let mut chunk = vec![0; 20_000];
        loop {
            let n = std::io::Read::read(&mut stdout, &mut chunk).unwrap();
            if n == 0 {
                return Logged::read(&text[..]);
            }
            text.extend_from_slice(&chunk[..n]);
            std::thread::sleep(Duration::from_millis(40));
        }
    };
    let run = Run::start_reading(&net, &["--buffer-size", "64KiB", "--duration", "4s"], slowly);
    for _ in 0..6 {
        flood_sources(&net, 0, 50, 200_000);
    }
    let (ended, log) = run.end(false);
    let summary = ended.summary();
    assert!(log.summarised > count(&summary, "seen") / 10, "{summary}");
    assert!(summary["summary_seconds"].as_f64().unwrap() > 0.0);
    let told: Vec<&str> =
        ended.stderr.lines().filter(|line| line.contains("in summary for")).collect();
    assert!((1..=4).contains(&told.len()), "at most once a second: {told:?}");
    assert!(told[0].contains('%'), "{told:?}");
}

#[test]
fn summaries_come_while_the_flood_goes_on() {
    let net = Net::new();
    let (tx, rx) = std::sync::mpsc::channel();
    let read = move |stdout| {
        Logged::read_watching(stdout, |line| {
            if line.contains("COUNT") {
                tx.send(Instant::now()).unwrap();
            }
        })
    };
    // A ring that runs over all the time.
    let run = Run::start_reading(&net, &["--buffer-size", "4096"], read);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                flood(&net, 0, &frame(), 50_000);
            }
        });
        let mut last = rx.recv_timeout(PATIENCE).expect("a summary comes");
        for _ in 0..3 {
            let next = rx.recv_timeout(PATIENCE).expect("and another");
            // At least once a second, and something for a busy machine.
            let gap = next - last;
            assert!(gap < *PROMPT, "{gap:?}");
            last = next;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (summary, log) = run.stop();
    assert_eq!(log.by_source["10.1.2.3"], count(&summary, "seen"));
}

#[test]
fn stopping_is_prompt_with_as_many_sources_as_can_be() {
    let net = Net::new();
    let args = ["here0", "-q", "--buffer-size", "4096", "--overflow-sources", "1048576"];
    let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
    let xdplog = Xdplog::start_to(&net, &args, null.into());
    xdplog.park();
    flood_sources(&net, 0, 1 << 24, 1_000_000);
    let (_, before) = state_and_cpu_time(xdplog.pid());
    xdplog.signal(Signal::SIGTERM);
    xdplog.unpark();
    let since = Instant::now();
    let took = loop {
        let (state, now) = state_and_cpu_time(xdplog.pid());
        if state == "Z" {
            break now - before;
        }
        assert!(since.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(1));
    };
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    // Of its own: a busy machine may let it wait for a CPU for as long as it likes.
    assert!(took < *PROMPT, "{took:?}");
}

/// A process's state and the time that it had on CPUs, in user space and in the kernel
/// (proc_pid_stat(5): fields 3, 14 and 15).
fn state_and_cpu_time(pid: u32) -> (String, Duration) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    let hz = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap() as u64;
    (fields[0].to_string(), Duration::from_millis(ticks * 1000 / hz))
}

#[test]
fn summaries_count_as_lines() {
    let net = Net::new();
    // Parked until the ring has run over; then -c ends it.
    let mut xdplog = Xdplog::start(
        &net,
        &["here0", "--stats-format", "json", "--buffer-size", "4096", "-c", "200"],
    );
    xdplog.park();
    flood_sources(&net, 0, 500, 20_000);
    xdplog.unpark();
    let stdout = xdplog.stdout();
    let log = std::thread::spawn(move || Logged::read(stdout));
    let ended = xdplog.end();
    let log = log.join().unwrap();
    let summary = ended.summary();
    assert_eq!(log.lines + log.summaries, 200, "exactly as many lines");
    assert!(log.summaries > 0);
    assert_balanced(&summary);
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised")),
        (log.lines, log.summarised)
    );
    let seen = net.received(0);
    assert_eq!(count(&summary, "unselected"), seen - log.lines - log.summarised);
}
