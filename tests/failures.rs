//! What fails once something is attached: the run ends, is settled and reported, and
//! exits with a failure. The binary, black box; and the library, with a format that
//! panics, in a process of its own.

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::frames::frame;
use common::net::{Net, ip};
use common::process::{Ended, Xdplog, assert_balanced, command, count, listen, wait_until};
use nix::sys::stat::Mode;
use tempfile::TempDir;
use xdplog::app::{self, Outcome};
use xdplog::bpf::{Record, Summary};
use xdplog::config::Config;
use xdplog::format::Format;
use xdplog::{reader, talk};

/// Run xdplog on `here0` and more, and while it waits for a pipe's reader, before it
/// attaches, do what it is not prepared for.
fn run_into(net: &Net, dir: &TempDir, args: &[&str], trouble: impl FnOnce()) -> Ended {
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let args = [&["here0", "-w", pipe.to_str().unwrap()], args].concat();
    let mut command = command(net, &args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = std::sync::Arc::default();
    let listener = listen(child.stderr.take().unwrap(), &said);
    wait_until("it waits for a reader", || said.lock().unwrap().contains("nobody reads yet"));
    trouble();
    let _reader = File::open(pipe).unwrap();
    let status = child.wait().unwrap();
    listener.join().unwrap();
    let stderr = said.lock().unwrap().clone();
    Ended { status, stdout: String::new(), stderr, took: Duration::ZERO }
}

/// It failed, with the report before the reason.
fn assert_settled(net: &Net, ended: &Ended, reason: &str) {
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(!net.has_xdp(0));
    assert_balanced(&ended.summary());
    let last: Vec<&str> = ended.stderr.lines().rev().take(2).collect();
    assert!(last[0].contains(reason) && last[0].contains("Next: "), "{}", ended.stderr);
    assert!(last[1].starts_with('{'), "{}", ended.stderr);
}

#[test]
fn a_second_interface_that_cannot_be_attached_to() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    net.add_pair(1);
    let ended = run_into(&net, &dir, &["here1", "--stats-format", "json"], || {
        assert!(ip(&format!("-n {} link del here1", net.here)));
    });
    assert_settled(&net, &ended, "here1 went away");
    assert!(!ended.stderr.contains("logging"), "{}", ended.stderr);
}

#[test]
fn a_ready_file_that_cannot_be_made_after_all() {
    let net = Net::new();
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let args = ["--stats-format", "json", "--ready-file", ready.to_str().unwrap()];
    let ended = run_into(&net, &dir, &args, || fs::write(&ready, "a letter").unwrap());
    assert_settled(&net, &ended, "ready");
    assert_eq!(fs::read_to_string(ready).unwrap(), "a letter");
}

/// Lines, until there is one too many.
#[derive(Clone)]
struct Dies {
    after: u32,
}

impl Format for Dies {
    const MAX_LEN: usize = 8;

    fn record(&mut self, _record: &Record, _bytes: &[u8], out: &mut [u8]) -> usize {
        assert!(self.after > 0, "one too many,\nit is said");
        self.after -= 1;
        out[..2].copy_from_slice(b"x\n");
        2
    }

    const MAX_SUMMARY_LEN: usize = 8;

    fn summary(&mut self, _summary: &Summary, _out: &mut [u8]) -> usize {
        panic!("nothing is summarised here");
    }
}

/// Where the arguments are of the process that runs the library.
const ARGS: &str = "XDPLOG_TEST_ARGS";

/// Log like the binary, but in that format.
fn log_in_a_format_that_dies(args: &str) -> i32 {
    talk::say_panics();
    let args = std::iter::once("xdplog").chain(args.split(' '));
    let config = Config::try_from_iter(args).unwrap();
    let ended = app::run_with(&config, |_, _, _, rings, common| {
        let readers = reader::how_many(config.readers, rings.len());
        app::spawn(reader::readers(rings, readers, &Dies { after: 7 }, common), common)
    });
    match ended {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::Unbalanced) => 3,
        Err(err) => {
            talk::say(&format!("xdplog: {err:#}"));
            1
        }
    }
}

#[test]
fn a_readers_thread_that_dies_ends_the_run() {
    if let Ok(args) = std::env::var(ARGS) {
        std::process::exit(log_in_a_format_that_dies(&args));
    }
    for more in [&[][..], &["-q"], &["--readers", "2"]] {
        let net = Net::new();
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let this = std::env::current_exe().unwrap();
        let script = format!(
            "{ARGS}=\"$*\" exec {} netns exec {} {} --exact a_readers_thread_that_dies_ends_the_run --nocapture",
            common::process::tool("ip").display(),
            net.here,
            this.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", "here0", "--stats-format", "json", "-w"]);
        command.arg(&log).args(more).stdout(Stdio::null()).stderr(Stdio::piped());
        let xdplog = Xdplog::start_command(command);
        assert!(net.has_xdp(0));
        let tap = net.tap_there(0);
        for _ in 0..50 {
            tap.send(&frame());
        }
        // Nobody asks it to.
        let ended = xdplog.end();
        let summary = ended.summary();
        assert_balanced(&summary);
        let (logged, lost) = (count(&summary, "logged"), count(&summary, "lost"));
        assert_eq!(logged, lines(&log), "{}", ended.stderr);
        assert!(logged >= 7 && lost > 0, "{}", ended.stderr);
        let reason = format!("a thread that reads packets died; {lost} packets were lost");
        assert_settled(&net, &ended, &reason);
        for line in ended.stderr.lines() {
            assert!(line.starts_with("xdplog: ") || line.starts_with('{'), "{line}");
        }
        let bug = "xdplog: a bug: panicked at tests/failures.rs:";
        assert!(ended.stderr.contains(bug), "{}", ended.stderr);
    }
}

fn lines(path: &Path) -> u64 {
    fs::read_to_string(path).unwrap().lines().count() as u64
}
