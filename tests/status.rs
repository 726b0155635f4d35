//! What is said while it runs, on whose demand, and what is told of xdplog
//! without running it. The binary, black box.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytesize::ByteSize;
use common::frames::frame;
use common::live::flood;
use common::net::Net;
use common::process::{BIN, PATIENCE, Xdplog, assert_balanced, command, count, listen, wait_until};
use nix::sys::signal::Signal;

/// What a line says that came by itself or by SIGUSR1, as far as it is one.
struct Line {
    packets: u64,
    logged: u64,
    bytes: u64,
    pass: u64,
}

fn lines(said: &str) -> Vec<Line> {
    let line = |line: &str| {
        let line = line.strip_prefix("xdplog: ")?;
        let mut line = Some(line).filter(|line| line.contains("/s, "))?.split(", ");
        let mut next = |unit: &str| {
            let (number, of) = line.next().unwrap().split_once(' ').unwrap();
            assert!(of == unit || (number, of) == ("1", "packet/s"), "{number} {of}");
            number.parse::<u64>().unwrap()
        };
        let (packets, logged) = (next("packets/s"), next("logged/s"));
        next("summarised");
        let bytes = next("bytes/s");
        let pass =
            line.next().map_or(0, |pass| pass.strip_suffix(" PASS").unwrap().parse().unwrap());
        assert_eq!(line.next(), None, "nothing lost, nothing but PASS");
        Some(Line { packets, logged, bytes, pass })
    };
    // The last one may still be on its way.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().filter_map(line).collect()
}

#[test]
fn how_it_goes_at_intervals() {
    let net = Net::new();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let args = ["here0", "--stats-interval", "100ms", "--stats-format", "json"];
    let xdplog = Xdplog::start_to(&net, &args, null.into());
    flood(&net, 0, &frame(), 50_000);
    let seen = net.received(0);
    let told = |of: fn(&Line) -> u64| lines(&xdplog.said()).iter().map(of).sum::<u64>();
    // Each tells what came since the one before: none is forgotten, or told twice.
    wait_until("all are told", || told(|line| line.pass) == seen);
    assert!(told(|line| line.packets) > 0 && told(|line| line.logged) > 0);
    for line in lines(&xdplog.said()).iter().filter(|line| line.pass > 0) {
        // Frames of 60 bytes; both numbers are rounded.
        let bytes = line.packets * frame().len() as u64;
        assert!(bytes.abs_diff(line.bytes) <= frame().len() as u64, "{bytes} {}", line.bytes);
    }
    // And it goes on when there is nothing to tell.
    let before = lines(&xdplog.said()).len();
    wait_until("there are more", || lines(&xdplog.said()).len() > before + 2);
    assert_eq!(told(|line| line.pass), seen);
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_balanced(&ended.summary());
}

#[test]
fn how_it_goes_when_asked() {
    let net = Net::new();
    let null = File::options().write(true).open("/dev/null").unwrap();
    // Quiet or not: it was asked for.
    for quiet in [&[][..], &["-q"]] {
        let args = [&["here0"], quiet].concat();
        let xdplog = Xdplog::start_to(&net, &args, null.try_clone().unwrap().into());
        let before = net.received(0);
        flood(&net, 0, &frame(), 1000);
        for asked in 1..=3 {
            xdplog.signal(Signal::SIGUSR1);
            wait_until("it tells", || lines(&xdplog.said()).len() == asked);
        }
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let told: Vec<u64> = lines(&ended.stderr).iter().map(|line| line.pass).collect();
        assert_eq!(told, [net.received(0) - before, 0, 0]);
    }
}

#[test]
fn an_interval_longer_than_any_clock() {
    let net = Net::new();
    for option in ["--stats-interval", "--duration", "--rotate-interval"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let args = ["here0", "-q", "-w", path.to_str().unwrap(), option, "18446744073709551615s"];
        let xdplog = Xdplog::start(&net, &args);
        net.tap_there(0).send(&frame());
        xdplog.signal(Signal::SIGUSR1);
        wait_until("it tells", || lines(&xdplog.said()).len() == 1);
        // Longer than it takes to look at anything: nothing else is said.
        thread::sleep(Duration::from_millis(400));
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{option}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

/// xdplog with stderr on a terminal, and what is written there.
struct OnTerminal {
    xdplog: Xdplog,
    screen: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl OnTerminal {
    fn start(net: &Net, args: &[&str]) -> OnTerminal {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut command = command(net, args);
        command.stdout(Stdio::null()).stderr(Stdio::from(pty.slave));
        let xdplog = Xdplog::start_command(command);
        let screen = Arc::default();
        let reader = listen(File::from(pty.master), &screen);
        OnTerminal { xdplog, screen, reader }
    }

    fn wait_for(&self, part: &str) {
        wait_until(part, || self.screen.lock().unwrap().contains(part));
    }

    /// All that was written.
    fn stop(self) -> String {
        assert_eq!(self.xdplog.stop().code(), Some(0));
        self.reader.join().unwrap();
        self.screen.lock().unwrap().clone()
    }
}

/// Back to the start of the line, and erase it.
const ERASE: &str = "\r\x1b[K";

#[test]
fn one_live_line_on_a_terminal() {
    let (net, dir) = (Net::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("log");
    let args = ["here0", "--stats-interval", "20ms", "-w", path.to_str().unwrap()];
    let on = OnTerminal::start(&net, &args);
    on.wait_for("xdplog: 0 packets, ");
    // A message in the middle of it.
    on.xdplog.signal(Signal::SIGUSR1);
    on.wait_for(" packets/s, ");
    flood(&net, 0, &frame(), 10_000);
    let seen = net.received(0);
    let bytes = seen * "LOG: SRC 10.1.2.3, ACTION 2\n".len() as u64;
    wait_until("all is written", || fs::metadata(&path).unwrap().len() == bytes);
    on.wait_for(&format!("xdplog: {seen} packets, "));
    on.wait_for(&format!(", {seen} logged, {} in the file, ", ByteSize(bytes)));
    let screen = on.stop();
    let lines: Vec<&str> = screen.split("\r\n").collect();
    let [start, _costs, asked, end, ""] = lines[..] else { panic!("{screen:?}") };
    assert!(start.starts_with("xdplog: logging here0"), "{start:?}");
    for (line, last) in [(asked, " packets/s, "), (end, "xdplog: here0: ")] {
        let mut parts: Vec<&str> = line.split(ERASE).collect();
        assert!(parts.pop().unwrap().contains(last), "{line:?}");
        assert!(parts.len() > 1 && parts[0].is_empty(), "{line:?}");
        for live in &parts[1..] {
            // Whatever the terminal's width, it stays one line.
            let live = live.strip_prefix("\x1b[?7l").unwrap_or_else(|| panic!("{line:?}"));
            let live = live.strip_suffix("\x1b[?7h").unwrap_or_else(|| panic!("{line:?}"));
            for part in ["xdplog: ", " packets, ", "/s, ", " in the file", " summarised", " lost"] {
                assert!(live.contains(part), "{part:?} in {live:?}");
            }
        }
    }
}

#[test]
fn no_live_line_where_the_log_is_on_stdout() {
    let net = Net::new();
    let on = OnTerminal::start(&net, &["here0", "--stats-interval", "20ms"]);
    on.wait_for(" packets/s, ");
    let screen = on.stop();
    assert!(!screen.contains('\x1b'), "{screen:?}");
}

#[test]
fn a_terminal_that_goes_away_ends_it_unless_that_is_ignored() {
    let net = Net::new();
    let xdplog = Xdplog::start(&net, &["here0", "--stats-format", "json"]);
    net.tap_there(0).send(&frame());
    xdplog.signal(Signal::SIGHUP);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(count(&ended.summary(), "logged"), 1);
    assert!(!net.has_xdp(0));

    let mut nohup = Command::new("ip");
    nohup.args(["netns", "exec", &net.here, "nohup", BIN, "here0", "--stats-format", "json"]);
    nohup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut xdplog = Xdplog::start_command(nohup);
    let lines = xdplog.lines();
    for _ in 0..2 {
        xdplog.signal(Signal::SIGHUP);
        net.tap_there(0).send(&frame());
        lines.recv_timeout(PATIENCE).expect("it goes on");
    }
    xdplog.signal(Signal::SIGTERM);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(count(&ended.summary(), "logged"), 2);
}

#[test]
fn nohup_or_not_a_log_file_is_opened_anew() {
    let (net, dir) = (Net::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("log");
    let mut nohup = Command::new("ip");
    nohup.args(["netns", "exec", &net.here, "nohup", BIN, "here0", "-w"]).arg(&path);
    nohup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let xdplog = Xdplog::start_command(nohup);
    fs::rename(&path, dir.path().join("log.1")).unwrap();
    xdplog.signal(Signal::SIGHUP);
    wait_until("it is there again", || Path::new(&path).exists());
    assert_eq!(xdplog.stop().code(), Some(0));
}

/// What it prints on stdout; ends well, without a word.
fn printed(args: &[&str]) -> String {
    let output = Command::new(BIN).args(args).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// All long options, as --help has them.
fn options() -> Vec<String> {
    let help = printed(&["--help"]);
    let of = |line: &str| {
        let word = line.split([' ', ',']).find(|word| word.starts_with("--"))?;
        Some(word.to_string()).filter(|_| line.trim_start().starts_with('-'))
    };
    let options: Vec<String> = help.lines().filter_map(of).collect();
    assert!(options.len() > 20, "{options:?}");
    for one in ["--write", "--rotate-keep", "--sample", "--rate-limit", "--stats-interval"] {
        assert!(options.iter().any(|option| option == one), "{one} in {options:?}");
    }
    options
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for option in options() {
            // fish says `-l write`.
            let name = option.trim_start_matches("--");
            assert!(script.contains(name), "{option} for {shell}");
        }
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    let script = printed(&["completions", "bash"]);
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    let output = Command::new(BIN).args(["completions", "nosuch"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    // Who reads may leave.
    let script = format!("{BIN} completions bash | true; exit ${{PIPESTATUS[0]}}");
    let status = Command::new("bash").args(["-c", &script]).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_is_printed_has_no_room() {
    for args in [&["completions", "bash"][..], &["man"], &["--help"], &["-h"], &["--version"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(BIN).args(args).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        for part in ["cannot write to stdout: No space left on device", "Next: "] {
            assert!(stderr.contains(part), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn the_manual_page_has_all_options() {
    let page = printed(&["man"]).replace("\\-", "-");
    assert!(page.contains(".TH XDPLOG 1"), "{page}");
    for option in options() {
        assert!(page.contains(&option), "{option}");
    }
    for part in ["SIGHUP", "EXIT STATUS"] {
        assert!(page.contains(part), "{part}");
    }
}
