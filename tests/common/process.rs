//! The binary under test, running.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, Once, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{SigHandler, Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::net::Net;

pub const BIN: &str = env!("CARGO_BIN_EXE_xdplog");

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What takes a second at most by its own clocks takes less than this on a
/// machine that is busy with other things: a bound on what goes wrong, no
/// measurement. XDPLOG_TEST_SLOWNESS times that where the machine is emulated.
pub static PROMPT: LazyLock<Duration> = LazyLock::new(|| {
    let slowness = std::env::var("XDPLOG_TEST_SLOWNESS");
    Duration::from_secs(5) * slowness.map_or(1, |times| times.parse().unwrap())
});

/// It was refused: one line that has these parts and says what to do, and nothing
/// else.
pub fn assert_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "one line: {}", ended.stderr);
    for part in parts.iter().chain(&["Next: "]) {
        assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}

/// `xdplog` in the namespace "here", with its stderr collected.
pub struct Xdplog {
    child: Child,
    stderr: Option<JoinHandle<()>>,
    said: Arc<Mutex<String>>,
    dir: TempDir,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// From the request to stop to the end.
    pub took: Duration,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The JSON summary: the last line of stderr that is one.
    pub fn summary(&self) -> serde_json::Value {
        let line = self.stderr.lines().rfind(|line| line.starts_with('{'));
        let line = line.unwrap_or_else(|| panic!("no summary in {:?}", self.stderr));
        serde_json::from_str(line).unwrap()
    }
}

/// A count in a summary.
pub fn count(summary: &serde_json::Value, key: &str) -> u64 {
    summary[key].as_u64().unwrap_or_else(|| panic!("{key} in {summary}"))
}

/// The fates, by their keys in the summary.
const FATES: [&str; 6] = ["logged", "summarised", "not_ip", "unselected", "sampled_out", "lost"];

/// Every packet has exactly one fate, in all and for each interface.
pub fn assert_balanced(summary: &serde_json::Value) {
    let fates = |of: &serde_json::Value| FATES.map(|key| count(of, key)).iter().sum::<u64>();
    assert_eq!(count(summary, "seen"), fates(summary), "{summary}");
    let ifaces = summary["interfaces"].as_object().unwrap();
    for row in ifaces.values() {
        assert_eq!(count(row, "seen"), fates(row), "{summary}");
    }
    for key in FATES.into_iter().chain(["seen"]) {
        let sum: u64 = ifaces.values().map(|row| count(row, key)).sum();
        assert_eq!(count(summary, key), sum, "{key} in {summary}");
    }
}

/// What the lines of a log say: how many packets one by one, and how many in
/// summaries, by source.
#[derive(Debug, Default)]
pub struct Logged {
    pub lines: u64,
    pub summaries: u64,
    pub summarised: u64,
    pub by_source: HashMap<String, u64>,
}

impl Logged {
    /// Read line by line, each of which has to have one of the two forms.
    pub fn read(log: impl Read) -> Logged {
        Logged::read_watching(log, |_| ())
    }

    /// The same, showing each line to `watch` as it comes.
    pub fn read_watching(log: impl Read, mut watch: impl FnMut(&str)) -> Logged {
        let mut logged = Logged::default();
        let mut log = BufReader::with_capacity(1 << 20, log);
        let mut line = String::new();
        while log.read_line(&mut line).unwrap() > 0 {
            logged.add(line.trim_end());
            watch(&line);
            line.clear();
        }
        logged
    }

    fn add(&mut self, line: &str) {
        let rest = line.strip_prefix("LOG: SRC ").unwrap_or_else(|| panic!("{line:?}"));
        let (source, rest) = rest.split_once(", ACTION 2").unwrap_or_else(|| panic!("{line:?}"));
        let packets = match rest.strip_prefix(", COUNT ") {
            Some(count) => {
                let count: u64 = count.parse().unwrap();
                self.summaries += 1;
                self.summarised += count;
                count
            }
            None => {
                assert_eq!(rest, "", "{line:?}");
                self.lines += 1;
                1
            }
        };
        match self.by_source.get_mut(source) {
            Some(count) => *count += packets,
            None => drop(self.by_source.insert(source.to_string(), packets)),
        }
    }
}

impl Xdplog {
    /// Start with stdout on a pipe and wait until all interfaces are attached.
    pub fn start(net: &Net, args: &[&str]) -> Xdplog {
        Self::start_to(net, args, Stdio::piped())
    }

    /// The same, with stdout on `stdout`.
    pub fn start_to(net: &Net, args: &[&str], stdout: Stdio) -> Xdplog {
        let mut command = command(net, args);
        command.stdout(stdout).stderr(Stdio::piped());
        Self::start_command(command)
    }

    /// Start a command that leads to it. If stderr is a pipe it is collected.
    pub fn start_command(mut command: Command) -> Xdplog {
        heed_signals();
        let dir = tempfile::tempdir().unwrap();
        let ready: PathBuf = dir.path().join("ready");
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        watch.add_watch(dir.path(), AddWatchFlags::IN_CLOSE_WRITE).unwrap();
        let mut child = command.arg("--ready-file").arg(&ready).spawn().expect("start xdplog");
        let said = Arc::default();
        let stderr = child.stderr.take().map(|stderr| listen(stderr, &said));
        let mut started = Xdplog { child, stderr, said, dir };
        let since = Instant::now();
        loop {
            // Waiting is bounded, lest a process that fails is waited for.
            if wait_readable(&watch, Duration::from_millis(20)) {
                return started;
            }
            if let Some(status) = started.child.try_wait().unwrap() {
                let said = started.all_said();
                panic!("{command:?} ended before it was ready: {status}: {said}");
            }
            assert!(since.elapsed() < PATIENCE, "{command:?} is not ready");
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("send a signal");
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// All that it said, once it has ended.
    fn all_said(&mut self) -> String {
        self.stderr.take().map(JoinHandle::join);
        self.said()
    }

    /// Wait until it has said this.
    pub fn hear(&self, part: &str) {
        wait_until(part, || self.said().contains(part));
    }

    /// Stop all its threads where they are; on return they are.
    pub fn park(&self) {
        self.signal(Signal::SIGSTOP);
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The name, in parentheses, may hold anything; the state follows.
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        let tasks = format!("/proc/{}/task", self.pid());
        while !std::fs::read_dir(&tasks).unwrap().map(Result::unwrap).all(stopped) {
            thread::yield_now();
        }
    }

    /// Go on after [`Xdplog::park`].
    pub fn unpark(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Its stdout, to be read by the caller.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is piped, and not yet taken")
    }

    /// Lines of its stdout as they come, each with the time it came.
    pub fn lines(&mut self) -> mpsc::Receiver<(String, Instant)> {
        let (tx, rx) = mpsc::channel();
        let stdout = BufReader::new(self.stdout());
        thread::spawn(move || {
            for line in stdout.lines() {
                if tx.send((line.unwrap(), Instant::now())).is_err() {
                    break;
                }
            }
        });
        rx
    }

    /// Send SIGINT, and wait for the end.
    pub fn stop(self) -> Ended {
        self.signal(Signal::SIGINT);
        self.end()
    }

    /// Wait for the end, collecting what is left of its output.
    pub fn end(mut self) -> Ended {
        let since = Instant::now();
        let stdout = self.child.stdout.take().map(collect);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("xdplog does not end");
            }
            thread::sleep(Duration::from_millis(1));
        };
        let took = since.elapsed();
        let stdout = stdout.map(|thread| thread.join().unwrap()).unwrap_or_default();
        Ended { status, stdout, stderr: self.all_said(), took }
    }
}

impl Drop for Xdplog {
    fn drop(&mut self) {
        // After a failed assertion: leave nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever runs tests in the background, of a shell or by nohup(1), has them ignore
/// signals, and so all that they start.
pub fn heed_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [Signal::SIGINT, Signal::SIGHUP] {
            // SAFETY: the default is no handler, which could run anywhere.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.unwrap();
        }
    });
}

/// The mode where a test gives none: that which `auto` takes, or XDPLOG_TEST_MODE, as
/// `make test` runs some of them a second time.
pub fn mode() -> Option<String> {
    std::env::var("XDPLOG_TEST_MODE").ok()
}

/// Where a program is: busybox, which is the shell of some machines, takes its own
/// for a name without a path.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|at| at.exists());
    found.unwrap_or_else(|| name.into())
}

/// `xdplog` with these arguments, to be run to its end.
pub fn command(net: &Net, args: &[&str]) -> Command {
    heed_signals();
    let mut command = Command::new(tool("ip"));
    command.args(["netns", "exec", &net.here, BIN]).args(args).stdin(Stdio::null());
    if let Some(mode) = mode().filter(|_| !args.contains(&"--mode")) {
        command.args(["--mode", &mode]);
    }
    command
}

/// Run to the end; for what ends by itself.
pub fn run(net: &Net, args: &[&str]) -> Ended {
    let since = Instant::now();
    let output = command(net, args).output().expect("run xdplog");
    Ended {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        took: since.elapsed(),
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

/// Read as it comes, until the end or an error, which a terminal's end is.
pub fn listen(mut from: impl Read + Send + 'static, said: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        // All that is said is ASCII, in these tests.
        while let Ok(len @ 1..) = from.read(&mut chunk) {
            said.lock().unwrap().push_str(std::str::from_utf8(&chunk[..len]).unwrap());
        }
    })
}

/// Wait until something is so, which has to come.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn wait_readable(fd: &impl std::os::fd::AsFd, at_most: Duration) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::try_from(at_most).unwrap()).unwrap_or(0) > 0
}

/// A pipe whose reading end does not read unless the test does.
pub fn unread_pipe() -> (File, Stdio) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    (File::from(reader), Stdio::from(writer))
}
