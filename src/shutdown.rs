//! One token that says "stop now, and be done by then", and the signals that
//! lead to it. What stopping means is not known here.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Set once, by the control thread; its descriptor is readable from then on,
/// so that whoever waits for something else can wait for this too.
#[derive(Debug)]
pub struct Shutdown {
    wake: EventFd,
    deadline: OnceLock<Instant>,
}

impl Shutdown {
    /// A token that is not yet set.
    pub fn new() -> Result<Shutdown> {
        let wake = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .context("cannot create an eventfd")?;
        Ok(Shutdown { wake, deadline: OnceLock::new() })
    }

    /// Begin to stop; whoever waits for something gives up after `grace`.
    pub fn begin(&self, grace: Duration) {
        self.deadline.get_or_init(|| Instant::now() + grace);
        // Cannot fail: the counter is far from its end.
        let _ = self.wake.write(1);
    }

    /// The time to be done by, once it has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Call `stop` at the first SIGINT; exit at once at the second, whatever is
/// under way. The kernel then detaches the programs with the process.
pub fn on_ctrl_c(stop: impl Fn() + Send + 'static) -> Result<()> {
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
        stop();
    })
    .context("cannot handle SIGINT")
}

/// Whether this process was started with a signal ignored, as nohup(1) does
/// with SIGHUP; see proc(5), `SigIgn`.
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
