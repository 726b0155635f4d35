//! What is on its way from the control thread to a reader: summaries, which it
//! writes, and rings of CPUs that came online. Nothing waits here for room: who puts
//! in sees whether what was put in before was taken out.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// A box; its descriptor is readable while there is something in it.
#[derive(Debug)]
pub struct Mailbox<T> {
    items: Mutex<Vec<T>>,
    wake: EventFd,
}

impl<T> Mailbox<T> {
    /// An empty box.
    pub fn new() -> Result<Mailbox<T>> {
        let wake = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .context("cannot create an eventfd")?;
        Ok(Mailbox { items: Mutex::new(Vec::new()), wake })
    }

    /// Whether what was put in has been taken out.
    pub fn is_empty(&self) -> bool {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Put something in.
    pub fn put(&self, items: Vec<T>) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).extend(items);
        // Cannot fail: the counter is far from its end.
        let _ = self.wake.write(1);
    }

    /// Take out what is there.
    pub fn take(&self) -> Vec<T> {
        // Before the lock, so that what comes in the meantime wakes again. It
        // fails if there is nothing, which is fine.
        let _ = self.wake.read();
        std::mem::take(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_once() {
        let mailbox = Mailbox::new().unwrap();
        assert!(mailbox.is_empty() && mailbox.take().is_empty());
        mailbox.put(vec![7]);
        mailbox.put(vec![8, 9]);
        assert!(!mailbox.is_empty());
        assert_eq!(mailbox.take(), [7, 8, 9]);
        assert!(mailbox.is_empty() && mailbox.take().is_empty());
    }
}
