//! A run of the binary whose log is read as it comes, and whose sums are checked
//! at its end: with each other, with the lines, and with the interface.

use std::process::ChildStdout;
use std::thread::JoinHandle;

use serde_json::Value;

use super::net::Net;
use super::process::{Ended, Logged, Xdplog, assert_balanced, count};

/// A run whose stdout is read as it comes.
pub struct Run<'a> {
    net: &'a Net,
    pub xdplog: Xdplog,
    log: JoinHandle<Logged>,
}

impl Run<'_> {
    pub fn start<'a>(net: &'a Net, args: &[&str]) -> Run<'a> {
        Run::start_reading(net, args, Logged::read)
    }

    pub fn start_reading<'a>(
        net: &'a Net,
        args: &[&str],
        read: impl FnOnce(ChildStdout) -> Logged + Send + 'static,
    ) -> Run<'a> {
        let args = [&["here0", "--stats-format", "json"], args].concat();
        let mut xdplog = Xdplog::start(net, &args);
        let stdout = xdplog.stdout();
        Run { net, xdplog, log: std::thread::spawn(move || read(stdout)) }
    }

    /// Stop, and check that the sums agree: with each other, with the lines, and
    /// with the interface.
    pub fn stop(self) -> (Value, Logged) {
        let net = self.net;
        let (ended, log) = self.end(true);
        let summary = ended.summary();
        assert_eq!(count(&summary, "seen"), net.received(0), "as many as the interface received");
        (summary, log)
    }

    pub fn end(self, interrupt: bool) -> (Ended, Logged) {
        let ended = if interrupt { self.xdplog.stop() } else { self.xdplog.end() };
        let log = self.log.join().unwrap();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = ended.summary();
        assert_balanced(&summary);
        assert_eq!(count(&summary, "logged"), log.lines, "{summary}");
        assert_eq!(count(&summary, "summarised"), log.summarised, "{summary}");
        (ended, log)
    }
}
