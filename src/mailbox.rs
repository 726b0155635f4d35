//! Summaries on their way from the control thread to the reader, which writes
//! them. A box holds one delivery: while it is full, the kernel goes on
//! counting, which costs nothing and loses nothing.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::bpf::Summary;

/// A box for summaries; its descriptor is readable while there are some.
#[derive(Debug)]
pub struct Mailbox {
    summaries: Mutex<Vec<Summary>>,
    wake: EventFd,
}

impl Mailbox {
    /// An empty box.
    pub fn new() -> Result<Mailbox> {
        let wake = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .context("cannot create an eventfd")?;
        Ok(Mailbox { summaries: Mutex::default(), wake })
    }

    /// Whether what was put in has been taken out.
    pub fn is_empty(&self) -> bool {
        self.summaries.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Put summaries in.
    pub fn put(&self, summaries: Vec<Summary>) {
        self.summaries.lock().unwrap_or_else(PoisonError::into_inner).extend(summaries);
        // Cannot fail: the counter is far from its end.
        let _ = self.wake.write(1);
    }

    /// Take out what is there.
    pub fn take(&self) -> Vec<Summary> {
        // Before the lock, so that what comes in the meantime wakes again. It
        // fails if there is nothing, which is fine.
        let _ = self.wake.read();
        std::mem::take(&mut *self.summaries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Source;

    #[test]
    fn what_is_put_in_comes_out_once() {
        let mailbox = Mailbox::new().unwrap();
        let summary = Summary {
            source: Source::Others,
            verdict: 2,
            slot: 0,
            count: 7,
            since_ns: 0,
            until_ns: 1,
        };
        assert!(mailbox.is_empty() && mailbox.take().is_empty());
        mailbox.put(vec![summary]);
        mailbox.put(vec![summary]);
        assert!(!mailbox.is_empty());
        assert_eq!(mailbox.take(), [summary; 2]);
        assert!(mailbox.is_empty() && mailbox.take().is_empty());
    }
}
