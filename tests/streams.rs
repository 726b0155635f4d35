//! Logs that go to no file: stdout, pipes, devices, descriptors by their names. The
//! binary, black box.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use common::frames::frame;
use common::live::flood;
use common::logs::{Dir, packets, run_flooded, start};
use common::net::Net;
use common::process::{BIN, Logged, Xdplog, assert_balanced, command, count, wait_until};

#[test]
fn a_dash_is_stdout_and_devices_are_written_to() {
    let net = Net::new();
    let tap = net.tap_there(0);
    let send_to = |path: &str| {
        let xdplog = start(&net, &["-w", path]);
        (0..3).for_each(|_| tap.send(&frame()));
        xdplog
    };
    assert_eq!(send_to("-").stop().lines().len(), 3);
    let ended = send_to("/dev/null").stop();
    assert_eq!((ended.code(), count(&ended.summary(), "logged")), (Some(0), 3));
    // It ends by itself, and says how many were not written.
    let ended = send_to("/dev/full").end();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    let lost = count(&summary, "lost");
    assert!(lost > 0 && count(&summary, "logged") == 0, "{summary}");
    let said = format!("cannot write to /dev/full: No space left on device (os error 28); {lost}");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
}

/// Run by a shell, with descriptors as `redirected`, and with stderr collected.
fn start_redirected(net: &Net, args: &str, redirected: &str) -> Command {
    let mut command = Command::new("ip");
    let script = format!("exec {BIN} here0 --stats-format json {args} \"$@\" {redirected}");
    command.args(["netns", "exec", &net.here, "sh", "-c", &script, "sh"]);
    command.stderr(Stdio::piped());
    command
}

#[test]
fn a_stdout_that_is_closed_is_refused() {
    let (net, dir) = (Net::new(), Dir::new());
    let log = dir.path("log");
    for (args, redirected, said) in [
        ("", ">&-", "stdout is closed, or not open for writing"),
        ("-w -", ">&-", "stdout is closed, or not open for writing"),
        ("-f pcapng", "</dev/null >&-", "stdout is closed"),
        ("", "1</dev/null", "stdout is closed, or not open for writing"),
        ("-w /dev/stdout", ">&-", "cannot open /dev/stdout: Bad file descriptor"),
        ("-w /dev/fd/7", "", "cannot open /dev/fd/7: Bad file descriptor"),
        ("-w /dev/fd/7", "7</dev/null", "cannot open /dev/fd/7: Bad file descriptor"),
    ] {
        let output = start_redirected(&net, args, redirected).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args} {redirected}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(said) && stderr.contains("Next: "), "{stderr}");
    }
    for args in ["completions bash", "--help", "--version", "man", "-D"] {
        let script = format!("exec {BIN} {args} >&-");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}: {stderr}");
        assert!(stderr.contains("cannot write to stdout: Bad file descriptor"), "{stderr}");
    }
    // Who writes elsewhere does not need it; /dev/null is as good as any place.
    for (args, redirected) in [(format!("-w {log}"), ">&-"), (String::new(), ">/dev/null")] {
        let xdplog = Xdplog::start_command(start_redirected(&net, &args, redirected));
        net.tap_there(0).send(&frame());
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert_eq!(count(&ended.summary(), "logged"), 1);
    }
    assert_eq!(packets("classic", log.as_ref()), (1, 0));
}

#[test]
fn names_of_descriptors_are_those() {
    let (net, dir) = (Net::new(), Dir::new());
    for (format, name, number) in
        [("classic", "/dev/stdout", 1), ("pcapng", "/dev/fd/1", 1), ("json", "/proc/self/fd/9", 9)]
    {
        let path = dir.path(format);
        let (args, to) = (format!("-f {format} -w {name}"), format!("{number}>{path}"));
        let xdplog = Xdplog::start_command(start_redirected(&net, &args, &to));
        flood(&net, 0, &frame(), 10);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = ended.summary();
        let logged = (count(&summary, "logged"), count(&summary, "summarised"));
        assert_eq!(packets(format, path.as_ref()), logged);
        assert!(logged.0 > 0);
    }
}

/// As a shell has them for `>(...)`.
#[test]
fn a_process_by_its_pipe() {
    let (net, dir) = (Net::new(), Dir::new());
    let (part, log) = (dir.path("part"), dir.path("log"));
    let mut command = Command::new("ip");
    let script =
        format!("exec {BIN} here0 --stats-format json \"$@\" -w >(cat >{part}; mv {part} {log})");
    command.args(["netns", "exec", &net.here, "bash", "-c", &script, "bash"]);
    let xdplog = Xdplog::start_command(command);
    (0..5).for_each(|_| net.tap_there(0).send(&frame()));
    assert_eq!(xdplog.stop().code(), Some(0));
    wait_until("the other process has it all", || std::fs::exists(&log).unwrap());
    assert_eq!(packets("classic", log.as_ref()), (5, 0));
}

#[test]
fn a_pipe_without_a_reader_is_told() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("pipe");
    nix::unistd::mkfifo(&*path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = command(&net, &["here0", "-q", "-c", "1", "-w", &path]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains(&format!("{path} is a pipe that nobody reads yet")), "{said}");
    assert!(!net.has_xdp(0), "nothing is attached before");
    let mut reader = File::open(&path).unwrap();
    wait_until("it is attached", || net.has_xdp(0));
    let tap = net.tap_there(0);
    // Attached is not yet ready.
    let log = thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).map(|_| log)
    });
    while child.try_wait().unwrap().is_none() {
        tap.send(&frame());
        thread::yield_now();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(log.join().unwrap().unwrap(), "LOG: SRC 10.1.2.3, ACTION 2\n");
    said.clear();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "once, and nothing else");
}

#[test]
fn a_pipe_by_its_name() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("pipe");
    nix::unistd::mkfifo(&*path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = thread::spawn({
        let path = path.clone();
        move || Logged::read(File::open(path).unwrap())
    });
    let ended = run_flooded(&net, 1000, &["-w", &path]);
    let (log, summary) = (reader.join().unwrap(), ended.summary());
    assert_balanced(&summary);
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised")),
        (log.lines, log.summarised)
    );
}
