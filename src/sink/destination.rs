//! The one place that all sinks write to, in turns: whole buffers of whole
//! records, so that none is ever mixed with another's.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Closed, Output};
use crate::shutdown::Shutdown;

/// Where the log goes.
#[derive(Debug)]
pub struct Destination {
    output: Mutex<Output>,
    /// To be polled for a hang-up while the output is in use.
    watch: Option<OwnedFd>,
    is_closed: AtomicBool,
    closed: Mutex<Option<Closed>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Poisoning is no reason to lose what was written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Destination {
    /// Write to `output`.
    pub fn new(output: Output) -> io::Result<Destination> {
        Ok(Destination {
            watch: Some(output.as_fd().try_clone_to_owned()?),
            output: Mutex::new(output),
            is_closed: AtomicBool::new(false),
            closed: Mutex::new(None),
        })
    }

    /// Write all of `bytes`, whole records; how many went out. Whoever has to
    /// wait gives up at `shutdown`'s deadline, and closes the destination.
    pub fn write(&self, bytes: &[u8], shutdown: &Shutdown) -> usize {
        let mut output = lock(&self.output);
        // Whoever held it before may have closed it.
        if self.is_closed() {
            return 0;
        }
        let (done, end) = output.write_all(bytes, shutdown);
        if let Err(closed) = end {
            self.close(closed);
        }
        done
    }

    /// Drop what comes from now on. The first reason is kept.
    pub fn close(&self, why: Closed) {
        lock(&self.closed).get_or_insert(why);
        self.is_closed.store(true, Ordering::Release);
    }

    /// Whether records are dropped by now.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// What to poll for the hang-up of whoever reads, unless it is closed.
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().filter(|_| !self.is_closed()).map(AsFd::as_fd)
    }

    /// Why records were dropped, if any were.
    pub fn finish(&self) -> Option<Closed> {
        lock(&self.closed).take()
    }
}
