//! Every way to stop, and that each leaves nothing behind. The binary, black
//! box.

mod common;

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::frames::frame;
use common::live::flood;
use common::net::Net;
use common::process::{
    Ended, PATIENCE, PROMPT, Xdplog, assert_balanced, command, count, unread_pipe, wait_until,
};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

/// Where in the kernel a process is that opens a pipe, by what the compiler made of
/// it: fs/pipe.c.
const OPENS_PIPE: [&str; 2] = ["wait_for_partner", "fifo_open"];

/// Leaves nothing running after a failed assertion.
struct Killed(RefCell<Child>);

impl Drop for Killed {
    fn drop(&mut self) {
        let child = self.0.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[test]
fn sigint_and_sigterm_stop_with_a_summary() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let net = Net::new();
        let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
        assert!(net.has_xdp(0));
        let tap = net.tap_there(0);
        for _ in 0..25 {
            tap.send(&frame());
        }
        xdplog.signal(signal);
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(0), "{signal}");
        assert!(ended.took < *PROMPT, "{signal}: {:?}", ended.took);
        assert!(!net.has_xdp(0));
        assert_eq!(count(&ended.summary(), "logged"), 25);
        assert_eq!(ended.lines().len(), 25);
    }
}

#[test]
fn sigkill_leaves_no_program_on_the_interface() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0"]);
    assert!(net.has_xdp(0));
    xdplog.signal(Signal::SIGKILL);
    assert!(!xdplog.end().status.success());
    assert!(!net.has_xdp(0));
    // And the next one can attach.
    assert_eq!(Xdplog::start(&net, &["here0"]).stop().code(), Some(0));
}

#[test]
fn nobody_reads_stdout() {
    let net = Net::new();
    let (_reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "--stats-format", "json"], writer);
    flood(&net, 0, &frame(), 500_000);
    let ended = xdplog.stop();
    assert!(ended.took < *PROMPT, "{:?}", ended.took);
    assert!(!net.has_xdp(0));
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(0));
    assert_lost(&ended, count(&summary, "lost"));
}

/// What was lost is a failure, and told in the last line.
fn assert_lost(ended: &Ended, lost: u64) {
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    let told = format!(
        "xdplog: what reads stdout did not read on when it was time to stop; {lost} packets were lost. Next: "
    );
    assert!(lost > 0 && last.starts_with(&told), "{lost}: {}", ended.stderr);
}

#[test]
fn losses_are_told_even_so() {
    let net = Net::new();
    let (mut reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "-q"], writer);
    flood(&net, 0, &frame(), 20_000);
    let ended = xdplog.stop();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    // One line, and all that is not in the log.
    let whole = text.bytes().filter(|&b| b == b'\n').count() as u64;
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert_lost(&ended, net.received(0) - whole);
}

/// What reads stdout may leave when it has enough; what reads a pipe that was named may
/// not.
#[test]
fn the_reader_of_a_pipe_that_was_named_goes_away() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // Which does not wait for who writes.
    let flags = OFlag::O_NONBLOCK.bits();
    let reader = File::options().read(true).custom_flags(flags).open(&pipe).unwrap();
    let xdplog = Xdplog::start(&net, &["here0", "-q", "-w", pipe.to_str().unwrap()]);
    // Both at once: a packet, and nobody who reads its line.
    xdplog.park();
    let arrives = net.tap_here(0);
    net.tap_there(0).send(&frame());
    // Behind XDP: a busy machine may receive later than it sends.
    arrives.receive();
    drop(reader);
    xdplog.unpark();
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let told = "went away; 1 packet was lost. Next: ";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn what_was_written_to_a_stalled_reader_is_what_was_counted() {
    let net = Net::new();
    let (mut reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "--stats-format", "json"], writer);
    flood(&net, 0, &frame(), 100_000);
    let summary = xdplog.stop().summary();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let whole = text.bytes().filter(|&b| b == b'\n').count() as u64;
    assert_eq!(count(&summary, "logged"), whole);
    assert_balanced(&summary);
}

#[test]
fn a_second_ctrl_c_exits_at_once() {
    let net = Net::new();
    // Nobody reads, so that the first is still under way when the second comes.
    let (_reader, writer) = unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0"], writer);
    flood(&net, 0, &frame(), 100_000);
    xdplog.signal(Signal::SIGINT);
    // Two signals on the way at once are one: let the first be taken.
    while net.has_xdp(0) {
        std::hint::spin_loop();
    }
    xdplog.signal(Signal::SIGINT);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
    assert!(!ended.stderr.contains("seen ="), "no summary: {}", ended.stderr);
}

/// Opening a pipe takes until someone reads it; nothing is attached until then.
#[test]
fn ctrl_c_while_a_pipe_waits_for_its_reader() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let child = command(&net, &["here0", "-q", "-w", pipe.to_str().unwrap()]).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    let child = Killed(child.into());
    let waits = format!("/proc/{pid}/wchan");
    wait_until("it opens the pipe", || {
        let at = std::fs::read_to_string(&waits).unwrap_or_default();
        OPENS_PIPE.iter().any(|function| at.starts_with(function))
    });
    kill(pid, Signal::SIGINT).unwrap();
    let ended = || child.0.borrow_mut().try_wait().unwrap();
    wait_until("it ends", || ended().is_some());
    assert_eq!(ended().unwrap().signal(), Some(Signal::SIGINT as i32));
    assert!(!net.has_xdp(0));
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    let net = Net::new();
    let mut xdplog = Xdplog::start(&net, &["here0"]);
    let mut stdout = xdplog.stdout();
    let tap = net.tap_there(0);
    tap.send(&frame());
    let mut line = [0; 16];
    stdout.read_exact(&mut line).unwrap();
    drop(stdout);
    // No packet comes any more: it notices all the same.
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0));
    assert!(!ended.stderr.contains(" seen = "), "no words about it: {}", ended.stderr);
    assert!(!net.has_xdp(0));
}

#[test]
fn head_gets_its_lines() {
    // Also by another name.
    for more in [&[][..], &["-w", "/dev/stdout"]] {
        let net = Net::new();
        let mut head = std::process::Command::new("head")
            .arg("-3")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let args = [&["here0"], more].concat();
        let xdplog = Xdplog::start_to(&net, &args, head.stdin.take().unwrap().into());
        let tap = net.tap_there(0);
        for _ in 0..100 {
            tap.send(&frame());
        }
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let lines = head.wait_with_output().unwrap().stdout;
        let want = "LOG: SRC 10.1.2.3, ACTION 2\n".repeat(3);
        assert_eq!(String::from_utf8(lines).unwrap(), want);
    }
}

#[test]
fn nobody_reads_stdout_nor_stderr() {
    // One pipe for both, and each way to stop.
    for (args, signal) in [
        (&[][..], Some(Signal::SIGTERM)),
        (&["--duration", "2s"], None),
        (&["-c", "100000000"], Some(Signal::SIGINT)),
    ] {
        let net = Net::new();
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let mut child = command(&net, &["here0", "--buffer-size", "64KiB"])
            .args(args)
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let since = Instant::now();
        while !net.has_xdp(0) {
            assert!(since.elapsed() < PATIENCE);
        }
        let since = Instant::now();
        flood(&net, 0, &frame(), 1_000_000);
        // Until it had something to say about it, and nowhere to.
        let rest = Duration::from_secs(2).saturating_sub(since.elapsed());
        std::thread::sleep(rest);
        let since = Instant::now();
        if let Some(signal) = signal {
            kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        }
        while child.try_wait().unwrap().is_none() {
            if since.elapsed() > *PROMPT {
                child.kill().unwrap();
                panic!("{args:?} does not stop");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(child.wait().unwrap().code(), Some(1), "{args:?}: losses");
        assert!(!net.has_xdp(0));
    }
}

#[test]
fn a_stderr_that_is_full_or_closed() {
    let net = Net::new();
    let (reader, closed) = nix::unistd::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for stderr in [Stdio::from(full), Stdio::from(closed)] {
        let status = command(&net, &["here0", "--duration", "50ms"]).stderr(stderr).status();
        assert_eq!(status.unwrap().code(), Some(0));
    }
    let status = command(&net, &["nope0"]).stderr(File::open("/dev/null").unwrap()).status();
    assert_eq!(status.unwrap().code(), Some(1), "and a failure is one all the same");
}

#[test]
fn a_terminal_that_is_stopped() {
    let net = Net::new();
    let pty = nix::pty::openpty(None, None).unwrap();
    let xdplog = Xdplog::start_to(&net, &["here0"], Stdio::from(pty.slave));
    // Nobody reads the other end.
    flood(&net, 0, &frame(), 100_000);
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.took < *PROMPT, "{:?}", ended.took);
}

#[test]
fn a_socket_as_stdout() {
    let net = Net::new();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let xdplog = Xdplog::start_to(&net, &["here0", "--stats-format", "json"], theirs.into());
    flood(&net, 0, &frame(), 100_000);
    let ended = xdplog.stop();
    assert!(ended.took < *PROMPT, "{:?}", ended.took);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_balanced(&ended.summary());
    let whole = text.bytes().filter(|&b| b == b'\n').count() as u64;
    assert_eq!(count(&ended.summary(), "logged"), whole);
}

#[test]
fn a_link_that_someone_else_holds_is_detached_all_the_same() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
    let links: Vec<_> = libbpf_rs::query::LinkInfoIter::default().collect();
    let held: Vec<_> = links.iter().filter_map(|link| link_fd(link.id)).collect();
    assert!(!held.is_empty());
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(!net.has_xdp(0));
}

fn link_fd(id: u32) -> Option<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: a system call on a number; what it answers is new, or an error.
    unsafe {
        let fd = libbpf_rs::libbpf_sys::bpf_link_get_fd_by_id(id);
        (fd >= 0).then(|| std::os::fd::OwnedFd::from_raw_fd(fd))
    }
}

#[test]
fn a_stale_ready_file_is_not_mistaken() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let ready = ready.to_str().unwrap();
    // What is no ready file is not touched.
    std::fs::write(ready, "a letter").unwrap();
    let ended = common::process::run(&net, &["here0", "--ready-file", ready]);
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains("ready file"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(ready).unwrap(), "a letter");
    std::fs::write(ready, "").unwrap();
    let inode = |path: &str| std::fs::metadata(path).map(|meta| meta.ino()).unwrap_or(0);
    let stale = inode(ready);
    assert!(stale != 0);
    // Held open, lest the new one gets the same inode.
    let _held = File::open(ready).unwrap();

    let mut child = command(&net, &["here0", "--ready-file", ready, "-q"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let since = std::time::Instant::now();
    while [0, stale].contains(&inode(ready)) {
        assert!(since.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    assert!(net.has_xdp(0), "attached when the file is there");
    child.kill().unwrap();
    child.wait().unwrap();
}
