//! SIGHUP and SIGUSR1, heeded from the first moment on: they are blocked, and a thread
//! reads them and says what each asks for. What is done about it is not known here.

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{Pid, getppid, getsid};

use crate::control::Event;
use crate::shutdown::{Shutdown, is_ignored};

/// Whether it is too late for a signal to have its usual end: something is attached.
pub type Attaching = Arc<Mutex<bool>>;

fn heeded() -> SigSet {
    SigSet::from_iter([Signal::SIGHUP, Signal::SIGUSR1])
}

/// Keep the signals from this thread, and from all that it starts later. What comes
/// meanwhile is kept for [`Signals`].
pub fn block() -> Result<()> {
    heeded().thread_block().context("cannot block signals")
}

/// The signals, and what there was at the start to judge them by.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    has_terminal: bool,
    ignores_hangup: bool,
    /// Who hands a hang-up on: the leader of the session, which a shell is, and the
    /// parent, as timeout(1) does.
    relays: [Option<Pid>; 2],
}

impl Signals {
    /// Heed them from now on.
    pub fn new() -> Result<Signals> {
        block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Signals {
            fd: SignalFd::with_flags(&heeded(), flags).context("cannot create a signalfd")?,
            has_terminal: has_terminal(),
            ignores_hangup: is_ignored(Signal::SIGHUP as i32),
            relays: [getsid(None).ok(), Some(getppid())],
        })
    }

    /// Call `ask` for each, on a thread of its own, until `shutdown` begins.
    pub fn watch(
        self,
        shutdown: Arc<Shutdown>,
        attaching: Attaching,
        ask: impl Fn(Event) + Send + 'static,
    ) -> Result<()> {
        let watch = move || {
            while shutdown.deadline().is_none() {
                let events = |fd| PollFd::new(fd, PollFlags::POLLIN);
                let mut fds = [events(self.fd.as_fd()), events(shutdown.as_fd())];
                // An error is one that comes again, or EINTR.
                let _ = poll(&mut fds, PollTimeout::NONE);
                while let Ok(Some(signal)) = self.fd.read_signal() {
                    match self.judge(&signal) {
                        Event::Stop => stop(&attaching, &ask),
                        event => ask(event),
                    }
                }
            }
        };
        let builder = thread::Builder::new().name("signals".into());
        builder.spawn(watch).map(drop).context("cannot start the signals' thread")
    }

    /// What it asks for: SIGUSR1 to say how it goes, SIGHUP to open the log anew, but
    /// where it says that the terminal went away, to stop.
    fn judge(&self, signal: &siginfo) -> Event {
        if signal.ssi_signo == Signal::SIGUSR1 as u32 {
            return Event::Tell;
        }
        if self.ignores_hangup {
            return Event::Reopen;
        }
        // The kernel lets go of a terminal before it tells of that. Who sends a
        // signal later, to one that went on without, means to send it.
        let is_kernels = signal.ssi_code > 0;
        let sender = Some(Pid::from_raw(signal.ssi_pid as i32));
        let is_hangup =
            self.has_terminal && !has_terminal() && (is_kernels || self.relays.contains(&sender));
        if is_hangup { Event::Stop } else { Event::Reopen }
    }
}

/// Stop in order, or before anything is attached at once: what is waited for then,
/// a pipe's reader for one, may never come.
fn stop(attaching: &Attaching, ask: impl Fn(Event)) {
    let is_late = attaching.lock().unwrap_or_else(PoisonError::into_inner);
    if !*is_late {
        let hangup = SigSet::from(Signal::SIGHUP);
        // Nothing handles it, so that this is the end.
        let _ = hangup.thread_unblock().and_then(|()| raise(Signal::SIGHUP));
    }
    ask(Event::Stop);
}

/// Whether this process has a controlling terminal: proc_pid_stat(5), `tty_nr`.
fn has_terminal() -> bool {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    terminal_of(&stat).is_some_and(|number| number != "0")
}

/// The fifth field behind the name, which is in parentheses and may hold any.
fn terminal_of(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ")?.1.split(' ').nth(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_of_a_process_whatever_its_name() {
        assert_eq!(terminal_of("7 (a) b) S 1 2 3 34816 5"), Some("34816"));
        assert_eq!(terminal_of("7 (a) S 1 2 3 0 -1"), Some("0"));
        assert_eq!(terminal_of(""), None);
    }
}
