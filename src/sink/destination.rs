//! The one place that all sinks write to, in turns: whole buffers of whole
//! records, so that none is ever mixed with another's.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::files::Files;
use super::{Closed, Ends, Failure, Full, Output};
use crate::shutdown::Shutdown;

/// Where the log goes. Only readers write to it, as that may take as long as it
/// likes; others ask the first of them to.
#[derive(Debug)]
pub struct Destination {
    kind: Mutex<Kind>,
    /// To be polled for a hang-up while a stream is in use; files have none.
    watch: Option<OwnedFd>,
    /// Readable when someone asked for something.
    asked: EventFd,
    /// Files' only.
    full: Option<Arc<Full>>,
    is_closed: AtomicBool,
    closed: Mutex<Option<Closed>>,
    progress: Progress,
}

#[derive(Debug)]
enum Kind {
    /// Standard output, or what else is written to as it comes. The head is
    /// empty as soon as it is written.
    Stream(Output, Framing),
    Files(Box<Files>),
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
    /// Makes the beginning, where there is one.
    pub head: Option<Box<dyn Fn() -> Vec<u8> + Send>>,
    /// Makes the end, when it comes.
    pub tail: Box<dyn Fn() -> Vec<u8> + Send>,
    /// Bytes of the end, which are always as many.
    pub tail_len: usize,
}

impl Default for Framing {
    fn default() -> Framing {
        Framing { head: None, tail: Box::new(Vec::new), tail_len: 0 }
    }
}

impl std::fmt::Debug for Framing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framing").field("tail_len", &self.tail_len).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Poisoning is no reason to lose what was written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Be ready for records.
fn ready(kind: &mut Kind, shutdown: &Shutdown) -> Result<(), Closed> {
    match kind {
        Kind::Stream(output, framing) => {
            let head = framing.head.take().map_or_else(Vec::new, |head| head());
            output.write_all(&head, shutdown).1
        }
        Kind::Files(files) => files.begin(shutdown),
    }
}

impl Destination {
    /// Write to `output` as it comes.
    pub fn stream(output: Output, framing: Framing) -> io::Result<Destination> {
        let watch = output.as_fd().try_clone_to_owned()?;
        Destination::new(Kind::Stream(output, framing), Some(watch), None)
    }

    /// Write to files.
    pub fn files(files: Files) -> io::Result<Destination> {
        let full = Arc::clone(files.full());
        Destination::new(Kind::Files(Box::new(files)), None, Some(full))
    }

    fn new(kind: Kind, watch: Option<OwnedFd>, full: Option<Arc<Full>>) -> io::Result<Destination> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Destination {
            kind: Mutex::new(kind),
            watch,
            asked: EventFd::from_value_and_flags(0, flags)?,
            full,
            is_closed: AtomicBool::new(false),
            closed: Mutex::new(None),
            progress: Progress::default(),
        })
    }

    /// Ask for the head to be written now, before there is a record.
    pub fn ask_begin(&self) {
        // Cannot fail: the counter is far from its end.
        let _ = self.asked.write(1);
    }

    /// Ask for the file that is written to, where it is one, to be finished and
    /// opened by its name again.
    pub fn ask_reopen(&self) {
        if let Some(full) = &self.full {
            full.set_anew(true);
            self.ask_begin();
        }
    }

    /// What to poll for [`Destination::attend`].
    pub fn asked(&self) -> BorrowedFd<'_> {
        self.asked.as_fd()
    }

    /// Do what was asked for, if anything was.
    pub fn attend(&self, shutdown: &Shutdown) {
        // Before it is done, so that who asks in the meantime wakes again.
        if self.asked.read().is_ok() {
            self.begin(shutdown);
        }
    }

    fn begin(&self, shutdown: &Shutdown) {
        let mut kind = lock(&self.kind);
        if !self.is_closed() {
            let ready = ready(&mut kind, shutdown);
            self.note(&kind, ready);
        }
    }

    /// What became of the last operation.
    fn note(&self, kind: &Kind, ended: Result<(), Closed>) {
        if let Kind::Files(files) = kind {
            self.progress.file_bytes.store(files.current_len(), Ordering::Relaxed);
        }
        if let Err(closed) = ended {
            self.close(closed);
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
        let (done, end) = match ready(&mut kind, shutdown) {
            Err(closed) => (0, Err(closed)),
            Ok(()) => match &mut *kind {
                Kind::Stream(output, _) => output.write_all(bytes, shutdown),
                Kind::Files(files) => files.write(bytes, ends, shutdown),
            },
        };
        self.note(&kind, end);
        done
    }

    /// Whether it is files that can be opened again.
    pub fn is_files(&self) -> bool {
        self.full.is_some()
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

    /// Wait until all is done about finished files.
    pub fn wait(&self) -> Result<(), Failure> {
        match &mut *lock(&self.kind) {
            Kind::Stream(..) => Ok(()),
            Kind::Files(files) => files.wait(),
        }
    }

    /// Nothing has been logged, and nothing is to be left behind.
    pub fn abandon(&self) {
        if let Kind::Files(files) = &mut *lock(&self.kind) {
            files.abandon();
        }
    }
}
