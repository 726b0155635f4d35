//! The one place that all sinks write to, in turns: whole buffers of whole
//! records, so that none is ever mixed with another's.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::files::Files;
use super::{Closed, Ends, Output};
use crate::shutdown::Shutdown;

/// Where the log goes.
#[derive(Debug)]
pub struct Destination {
    kind: Mutex<Kind>,
    /// To be polled for a hang-up while the output is in use.
    watch: Option<OwnedFd>,
    is_closed: AtomicBool,
    closed: Mutex<Option<Closed>>,
    /// Whether the head has been written.
    begun: AtomicBool,
    reopen: AtomicBool,
    progress: Progress,
}

#[derive(Debug)]
enum Kind {
    /// Standard output, or what else is written to as it comes.
    Stream(Output, Framing),
    Files(Files),
}

/// What has been written so far; for those who look on.
#[derive(Debug, Default)]
pub struct Progress {
    /// Packets logged one by one.
    pub logged: AtomicU64,
    /// Packets whose line could not be written.
    pub lost: AtomicU64,
    /// Bytes in the file that is being written.
    pub file_bytes: AtomicU64,
}

/// What a file of the log begins and ends with.
pub struct Framing {
    /// The beginning.
    pub head: Vec<u8>,
    /// Makes the end, when it comes.
    pub tail: Box<dyn Fn() -> Vec<u8> + Send>,
    /// Bytes of the end, which are always as many.
    pub tail_len: usize,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing { head: Vec::new(), tail: Box::new(Vec::new), tail_len: 0 }
    }
}

impl std::fmt::Debug for Framing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framing").field("head", &self.head).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Poisoning is no reason to lose what was written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Destination {
    /// Write to `output` as it comes; the head at once.
    pub fn stream(output: Output, framing: Framing) -> io::Result<Destination> {
        let watch = output.as_fd().try_clone_to_owned()?;
        Ok(Destination::new(Kind::Stream(output, framing), Some(watch)))
    }

    /// Write to files.
    pub fn files(files: Files) -> Destination {
        Destination::new(Kind::Files(files), None)
    }

    fn new(kind: Kind, watch: Option<OwnedFd>) -> Destination {
        Destination {
            kind: Mutex::new(kind),
            watch,
            is_closed: AtomicBool::new(false),
            closed: Mutex::new(None),
            begun: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            progress: Progress::default(),
        }
    }

    /// Begin: write the head, unless that has been done.
    pub fn begin(&self, shutdown: &Shutdown) {
        let mut kind = lock(&self.kind);
        if let Err(closed) = self.begin_locked(&mut kind, shutdown) {
            self.close(closed);
        }
    }

    fn begin_locked(&self, kind: &mut Kind, shutdown: &Shutdown) -> Result<(), Closed> {
        if self.begun.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        match kind {
            Kind::Stream(output, framing) => output.write_all(&framing.head, shutdown).1,
            Kind::Files(files) => files.begin(shutdown),
        }
    }

    /// Write all of `bytes`, records with these `ends`; how many bytes went out.
    /// Whoever has to wait gives up at `shutdown`'s deadline, and closes the
    /// destination.
    pub fn write(&self, bytes: &[u8], ends: &Ends<'_>, shutdown: &Shutdown) -> usize {
        let mut kind = lock(&self.kind);
        // Whoever held it before may have closed it.
        if self.is_closed() {
            return 0;
        }
        if let Err(closed) = self.begin_locked(&mut kind, shutdown) {
            self.close(closed);
            return 0;
        }
        let (done, end) = match &mut *kind {
            Kind::Stream(output, _) => output.write_all(bytes, shutdown),
            Kind::Files(files) => {
                let reopened = match self.reopen.swap(false, Ordering::Relaxed) {
                    true => files.reopen(shutdown),
                    false => Ok(()),
                };
                match reopened {
                    Ok(()) => files.write(bytes, ends, shutdown),
                    Err(closed) => (0, Err(closed)),
                }
            }
        };
        if let Kind::Files(files) = &*kind {
            self.progress.file_bytes.store(files.current_len(), Ordering::Relaxed);
        }
        if let Err(closed) = end {
            self.close(closed);
        }
        done
    }

    /// Finish the file that is written to and open it by its name again, now or,
    /// if someone is writing, before what is written next.
    pub fn reopen(&self, shutdown: &Shutdown) {
        self.reopen.store(true, Ordering::Relaxed);
        let mut kind = match self.kind.try_lock() {
            Ok(kind) => kind,
            Err(TryLockError::Poisoned(kind)) => kind.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Kind::Files(files) = &mut *kind
            && self.reopen.swap(false, Ordering::Relaxed)
            && !self.is_closed()
            && let Err(closed) = files.reopen(shutdown)
        {
            self.close(closed);
        }
    }

    /// Whether it is files that can be opened again.
    pub fn is_files(&self) -> bool {
        // Known beforehand: only streams are watched.
        self.watch.is_none()
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

    /// What has been written so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What to poll for the hang-up of whoever reads, unless it is closed.
    pub fn watch(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().filter(|_| !self.is_closed()).map(AsFd::as_fd)
    }

    /// Write the end; why records were dropped, if any were.
    pub fn finish(&self, shutdown: &Shutdown) -> Option<Closed> {
        self.begin(shutdown);
        let is_closed = self.is_closed();
        let ended = match &mut *lock(&self.kind) {
            Kind::Stream(..) if is_closed => Ok(()),
            Kind::Stream(output, framing) => output.write_all(&(framing.tail)(), shutdown).1,
            Kind::Files(files) => files.finish(is_closed, shutdown),
        };
        if let Err(closed) = ended {
            self.close(closed);
        }
        lock(&self.closed).take()
    }

    /// Nothing has been logged, and nothing is to be left behind.
    pub fn abandon(&self) {
        if let Kind::Files(files) = &mut *lock(&self.kind) {
            files.abandon();
        }
    }
}
