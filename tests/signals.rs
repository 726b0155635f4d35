//! Signals: which end it, which do not, and which ask for something. Terminals are real
//! ones, pairs of pseudo-terminals. The binary, black box.

mod common;

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use common::frames::frame;
use common::net::Net;
use common::process::{BIN, Xdplog, assert_balanced, command, count, wait_until};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use tempfile::TempDir;

/// A program that runs xdplog on `here0`, by way of the words before it.
fn by_way_of(net: &Net, way: &[&str], args: &[&str]) -> Command {
    // What the test ignores would be ignored by all that it starts.
    let xdplog = command(net, args);
    let mut command = Command::new(way[0]);
    command.args(&way[1..]).arg(xdplog.get_program()).args(xdplog.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A log file in a directory of its own.
fn log_file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    (dir, path)
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Move the log away and ask for it anew: it is there again.
fn rotate(path: &Path, hang_up: impl FnOnce()) {
    fs::rename(path, path.with_extension("old")).unwrap();
    hang_up();
    wait_until("the log is there again", || path.exists());
}

/// A terminal: it, and its other end. No other process gets that, as with openpty(3):
/// the terminal goes away when it is closed.
fn terminal() -> (File, PtyMaster) {
    let own = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(own).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname_r(&master).unwrap();
    let options = File::options().read(true).write(true).custom_flags(own.bits()).clone();
    (options.open(name).unwrap(), master)
}

/// The command in a new session, with a controlling terminal whose other end is
/// answered.
fn with_terminal(net: &Net, way: &[&str], args: &[&str]) -> (Command, PtyMaster) {
    let (terminal, other_end) = terminal();
    // setsid(1) takes its stdin for that.
    let mut command = by_way_of(net, &[&["setsid", "-c"], way].concat(), args);
    command.stdin(Stdio::from(terminal));
    (command, other_end)
}

/// The same, started.
fn on_terminal(net: &Net, way: &[&str], args: &[&str]) -> (Xdplog, PtyMaster) {
    let (command, other_end) = with_terminal(net, way, args);
    (Xdplog::start_command(command), other_end)
}

#[test]
fn a_terminal_that_goes_away_ends_it_also_with_a_log_file() {
    let net = Net::new();
    let (_dir, path) = log_file();
    let args = ["here0", "--stats-format", "json", "-w", path.to_str().unwrap()];
    let (xdplog, terminal) = on_terminal(&net, &[], &args);
    net.tap_there(0).send(&frame());
    // As long as the terminal is there, SIGHUP means the log.
    rotate(&path, || xdplog.signal(Signal::SIGHUP));
    net.tap_there(0).send(&frame());
    drop(terminal);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(!net.has_xdp(0));
    assert_balanced(&ended.summary());
    assert_eq!(count(&ended.summary(), "logged"), 2);
    assert_eq!(lines(&path) + lines(&path.with_extension("old")), 2);
}

#[test]
fn a_shells_terminal_that_goes_away_ends_what_it_runs() {
    // The shell dies of it, and what the kernel or someone else hands on ends xdplog.
    for way in [
        &["bash", "-c", "\"$@\"; true", "bash"][..],
        // With job control, in the foreground, the background, and behind a relay.
        &["bash", "--norc", "-ic", "\"$@\"; true", "bash"],
        &["bash", "--norc", "-ic", "\"$@\" & while :; do read; done", "bash"],
        &["bash", "--norc", "-ic", "\"$@\"; true", "bash", "timeout", "1h"],
    ] {
        let net = Net::new();
        let (_dir, path) = log_file();
        let args = ["here0", "-q", "-w", path.to_str().unwrap()];
        let (_shell, terminal) = on_terminal(&net, way, &args);
        drop(terminal);
        wait_until(&format!("{way:?}: it ends"), || !net.has_xdp(0));
    }
}

#[test]
fn what_goes_on_without_its_terminal_opens_its_log_anew() {
    let net = Net::new();
    let (dir, path) = log_file();
    let pid_file = dir.path().join("pid");
    let script = "set -m; \"$@\" & echo $! >\"$0\"; disown; wait; sleep 1000";
    let way = ["bash", "-c", script, pid_file.to_str().unwrap()];
    let args = ["here0", "-q", "-w", path.to_str().unwrap()];
    let (_shell, terminal) = on_terminal(&net, &way, &args);
    let pid = Pid::from_raw(fs::read_to_string(pid_file).unwrap().trim().parse().unwrap());
    drop(terminal);
    let stat = format!("/proc/{pid}/stat");
    // The fifth field behind its name: proc_pid_stat(5), `tty_nr`.
    let terminal = || fs::read_to_string(&stat).unwrap().split(' ').nth(6).unwrap().to_string();
    wait_until("it has no terminal", || terminal() == "0");
    rotate(&path, || kill(pid, Signal::SIGHUP).unwrap());
    assert!(net.has_xdp(0));
    kill(pid, Signal::SIGTERM).unwrap();
    wait_until("it ends", || !net.has_xdp(0));
}

#[test]
fn under_nohup_a_terminal_may_go_away() {
    let net = Net::new();
    let (_dir, path) = log_file();
    let args = ["here0", "-q", "-w", path.to_str().unwrap()];
    let (xdplog, terminal) = on_terminal(&net, &["nohup"], &args);
    drop(terminal);
    // What comes behind the kernel's signal is told, so that one was dealt with.
    xdplog.signal(Signal::SIGUSR1);
    xdplog.hear(" packets/s, ");
    net.tap_there(0).send(&frame());
    wait_until("it goes on", || lines(&path) == 1);
    rotate(&path, || xdplog.signal(Signal::SIGHUP));
    assert_eq!(xdplog.stop().code(), Some(0));
}

#[test]
fn a_sigint_that_is_ignored_stays_ignored() {
    let net = Net::new();
    // As a script has it that runs something in the background.
    let way = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"];
    let (_dir, path) = log_file();
    let args = ["here0", "--stats-format", "json", "-w", path.to_str().unwrap()];
    let xdplog = Xdplog::start_command(by_way_of(&net, &way, &args));
    for asked in 1..=2 {
        xdplog.signal(Signal::SIGINT);
        // Told in the order of their numbers, so that the other was dealt with.
        xdplog.signal(Signal::SIGUSR1);
        wait_until("it tells", || xdplog.said().matches(" packets/s, ").count() == asked);
    }
    net.tap_there(0).send(&frame());
    wait_until("it goes on", || lines(&path) == 1);
    xdplog.signal(Signal::SIGTERM);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(count(&ended.summary(), "logged"), 1);
}

/// Whether a process that `runs` xdplog keeps a signal from itself: proc(5), `SigBlk`.
fn blocks(pid: u32, signal: Signal) -> bool {
    let runs = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(BIN));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    runs && mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// Leaves nothing running after a failed assertion.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Killed {
    fn end(&mut self) -> ExitStatus {
        let child = RefCell::new(&mut self.0);
        wait_until("it ends", || child.borrow_mut().try_wait().unwrap().is_some());
        self.0.wait().unwrap()
    }
}

/// What waits for the reader of a pipe, and has not begun.
fn waiting_for_a_reader(mut command: Command) -> Killed {
    let child = Killed(command.spawn().unwrap());
    let waits = format!("/proc/{}/wchan", child.0.id());
    // By what the compiler made of it: fs/pipe.c.
    wait_until("it opens the pipe", || {
        let at = fs::read_to_string(&waits).unwrap_or_default();
        at.starts_with("wait_for_partner") || at.starts_with("fifo_open")
    });
    child
}

#[test]
fn signals_that_come_during_the_start_are_kept() {
    let net = Net::new();
    let (_dir, path) = log_file();
    // The first moment at which they can be.
    let mut child = Killed(
        by_way_of(&net, &["env"], &["here0", "-q", "-w", path.to_str().unwrap()]).spawn().unwrap(),
    );
    wait_until("it heeds them", || blocks(child.0.id(), Signal::SIGUSR1));
    let pid = Pid::from_raw(child.0.id() as i32);
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        kill(pid, signal).unwrap();
    }
    let said = std::sync::Arc::default();
    let listener = common::process::listen(child.0.stderr.take().unwrap(), &said);
    wait_until("it tells", || said.lock().unwrap().contains(" packets/s, "));
    assert!(net.has_xdp(0) && path.exists());
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(child.end().code(), Some(0));
    listener.join().unwrap();
    assert_eq!(said.lock().unwrap().lines().count(), 1, "{:?}", said.lock().unwrap());
}

#[test]
fn signals_that_come_while_a_pipe_waits_for_its_reader() {
    let net = Net::new();
    for signal in [Signal::SIGUSR1, Signal::SIGHUP] {
        let (_dir, path) = log_file();
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let command = by_way_of(&net, &["env"], &["here0", "-q", "-w", path.to_str().unwrap()]);
        let mut child = waiting_for_a_reader(command);
        let pid = Pid::from_raw(child.0.id() as i32);
        kill(pid, signal).unwrap();
        let _reader = File::open(&path).unwrap();
        let said = std::sync::Arc::default();
        let listener = common::process::listen(child.0.stderr.take().unwrap(), &said);
        if signal == Signal::SIGUSR1 {
            wait_until("it tells", || said.lock().unwrap().contains(" packets/s, "));
            assert!(net.has_xdp(0));
            kill(pid, Signal::SIGINT).unwrap();
        }
        // Without a log that could be opened anew, SIGHUP ends it, in order.
        assert_eq!(child.end().code(), Some(0), "{signal}");
        listener.join().unwrap();
        assert!(!net.has_xdp(0));
    }
}

#[test]
fn a_terminal_that_goes_away_while_a_pipe_waits_for_its_reader() {
    let net = Net::new();
    let (_dir, path) = log_file();
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let args = ["here0", "-q", "-w", path.to_str().unwrap()];
    let (command, terminal) = with_terminal(&net, &[], &args);
    let mut child = waiting_for_a_reader(command);
    drop(terminal);
    assert_eq!(child.end().signal(), Some(Signal::SIGHUP as i32));
    assert!(!net.has_xdp(0));
}
