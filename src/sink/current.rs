//! The file that is being written: how long and how old it is, and how much of
//! what is to be written belongs into it. Which file comes next is not known here.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use nix::fcntl::Flock;

use super::files::Plan;
use super::open::{Identity, Place, identity, lock};
use super::{Closed, Ends, Failure, Full, Output};
use crate::shutdown::Shutdown;

/// An open file.
#[derive(Debug)]
pub struct Current {
    output: Output,
    file: File,
    /// As long as it is written to.
    _lock: Option<Flock<File>>,
    place: Place,
    /// Its number, where there are several.
    pub number: u32,
    /// Which file it is.
    pub identity: Identity,
    /// Bytes in it.
    pub len: u64,
    opened: Instant,
    /// Whether it has its head.
    pub has_head: bool,
    /// Whether it holds records, and not just a head.
    pub has_records: bool,
    /// Whether this run made it.
    is_new: bool,
}

impl Current {
    /// The file that is open at `place`; `is_new` if this run made it. Fails where
    /// another xdplog writes to it.
    pub fn new(file: File, place: Place, is_new: bool, full: &Arc<Full>) -> io::Result<Current> {
        Ok(Current {
            output: Output::new(file.try_clone()?.into(), Arc::clone(full)),
            _lock: lock(&file, is_new)?,
            identity: identity(&file)?,
            len: file.metadata()?.len(),
            file,
            place,
            number: 0,
            opened: Instant::now(),
            has_head: false,
            has_records: false,
            is_new,
        })
    }

    /// The same, with a number.
    pub fn numbered(self, number: u32) -> Current {
        Current { number, ..self }
    }

    /// How much of `len` bytes of records belongs into it, which is to end with
    /// `tail` bytes; `None` if nothing.
    pub fn fits(&self, len: usize, ends: &Ends<'_>, plan: &Plan, tail: usize) -> Option<usize> {
        let is_old = plan.interval.is_some_and(|age| self.opened.elapsed() >= age);
        if is_old && self.has_records {
            return None;
        }
        let Some(size) = plan.size else { return Some(len) };
        let room = size.saturating_sub(self.len + tail as u64);
        match ends.floor(usize::try_from(room).unwrap_or(usize::MAX).min(len)) {
            to if to > 0 => Some(to),
            // A record that is longer than a file may be gets one of its own.
            _ if !self.has_records => Some(ends.after(0)),
            _ => None,
        }
    }

    /// Write to it. If that fails, what is in it of a record that is not whole is
    /// taken back.
    pub fn append(
        &mut self,
        bytes: &[u8],
        ends: &Ends<'_>,
        shutdown: &Shutdown,
    ) -> (usize, Result<(), Closed>) {
        let (out, end) = self.output.write_all(bytes, shutdown);
        let written = if end.is_ok() { out } else { ends.floor(out) };
        if written < out {
            let excess = (out - written) as u64;
            let len = self.file.metadata().map(|meta| meta.len());
            // Where this fails, too, there is nothing that could be done.
            let _ = len.and_then(|len| self.file.set_len(len.saturating_sub(excess)));
        }
        self.len += written as u64;
        let named = |failure| Failure { path: Some(self.place.path()), ..failure };
        (written, end.map_err(|closed| closed.map(named)))
    }

    /// Remove it if this run made it, it holds no records, and it is still there.
    pub fn abandon(self) {
        if self.is_new && !self.has_records && self.place.is(self.identity) {
            // Where it cannot be removed it stays, empty.
            let _ = self.place.remove();
        }
    }
}
