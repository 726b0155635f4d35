//! A descriptor to write to without ever being stuck in the kernel: a reader
//! that stops reading must not keep xdplog from stopping.

#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{O_ACCMODE, O_CLOEXEC, O_NOCTTY, O_NONBLOCK, O_RDONLY, PIPE_BUF};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Closed, Failure, Place};
use crate::inherited;
use crate::shutdown::Shutdown;

/// How to write without being stuck.
#[derive(Debug)]
enum Manner {
    /// Files and devices that take what they are given.
    AtOnce,
    /// A description of our own of the same pipe or terminal, non-blocking.
    /// (O_NONBLOCK on the inherited one would change it for every process
    /// that shares it, the user's shell among them.)
    NonBlocking,
    /// What cannot be opened again, a socket for one: wait until it is
    /// writable, then write no more than a pipe surely takes.
    Piecemeal,
}

/// What to do where there is no room left on a device, and whether that is so.
#[derive(Debug, Default)]
pub struct Full {
    wait: bool,
    is_full: AtomicBool,
    /// Whether another file is wanted than the one that is waited for.
    anew: AtomicBool,
}

impl Full {
    /// Wait for room, or fail.
    pub fn new(wait: bool) -> Full {
        Full { wait, ..Full::default() }
    }

    /// Whether someone waits for room.
    pub fn is_waiting(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Whether the file is to be opened anew. While that is so, nobody waits for
    /// room in the one that is open.
    pub(super) fn is_anew(&self) -> bool {
        self.anew.load(Ordering::Relaxed)
    }

    pub(super) fn set_anew(&self, anew: bool) {
        self.anew.store(anew, Ordering::Relaxed);
    }

    /// Whether an operation that failed is to be tried again, after a moment in
    /// which there may have come room: nothing tells when it has. Otherwise why
    /// not, be it that the deadline of `shutdown` has come.
    pub(super) fn wait_after(&self, failure: Failure, shutdown: &Shutdown) -> Result<(), Closed> {
        let kind = failure.err.kind();
        let is_full = matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        if !is_full || !self.wait {
            return Err(Closed::Failed(failure));
        }
        if self.is_anew() {
            return Err(Closed::Anew);
        }
        self.is_full.store(true, Ordering::Relaxed);
        let Some(deadline) = shutdown.deadline() else {
            let mut stop = [PollFd::new(shutdown.as_fd(), PollFlags::POLLIN)];
            let pause = PollTimeout::try_from(RETRY).unwrap_or(PollTimeout::ZERO);
            return match poll(&mut stop, pause) {
                Ok(_) | Err(nix::Error::EINTR) => Ok(()),
                Err(err) => Err(Closed::Failed(io::Error::from(err).into())),
            };
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Closed::Failed(failure));
        }
        std::thread::sleep(left.min(RETRY));
        Ok(())
    }

    /// Something found room.
    pub(super) fn went_well(&self) {
        self.is_full.store(false, Ordering::Relaxed);
    }
}

/// Between two attempts to write where there is no room.
const RETRY: Duration = Duration::from_millis(100);

/// Where bytes go.
#[derive(Debug)]
pub struct Output {
    file: File,
    manner: Manner,
    full: Arc<Full>,
}

impl Output {
    /// A descriptor that this process was started with. Fails with EBADF where it was
    /// not, or not for writing.
    pub fn inherited(number: RawFd, full: Arc<Full>) -> io::Result<Output> {
        let own: OwnedFd = match number {
            1 | 2 if inherited::was_closed(number) => return Err(Errno::EBADF.into()),
            1 => io::stdout().as_fd().try_clone_to_owned()?,
            2 => io::stderr().as_fd().try_clone_to_owned()?,
            _ if !inherited::is_writable(number)? => return Err(Errno::EBADF.into()),
            _ => {
                let path = format!("/proc/self/fd/{number}");
                OpenOptions::new().append(true).custom_flags(O_NOCTTY).open(path)?.into()
            }
        };
        if fcntl(&own, FcntlArg::F_GETFL)? & O_ACCMODE == O_RDONLY {
            return Err(Errno::EBADF.into());
        }
        Ok(Output::new(own, full))
    }

    /// The device or pipe at `place`. To open a pipe that has no reader takes until
    /// it has; `alone` is called before.
    pub fn device(place: &Place, full: Arc<Full>, alone: impl FnOnce()) -> io::Result<Output> {
        Ok(Output::new(place.device(alone)?.into(), full))
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        io::IsTerminal::is_terminal(&self.file)
    }

    /// An open descriptor.
    pub fn new(fd: OwnedFd, full: Arc<Full>) -> Output {
        let file = File::from(fd);
        let Ok(kind) = file.metadata().map(|meta| meta.file_type()) else {
            return Output { file, manner: Manner::Piecemeal, full };
        };
        if kind.is_fifo() || (kind.is_char_device() && io::IsTerminal::is_terminal(&file)) {
            let again = OpenOptions::new()
                .write(true)
                .custom_flags(O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                .open(format!("/proc/self/fd/{}", file.as_raw_fd()));
            return match again {
                Ok(file) => Output { file, manner: Manner::NonBlocking, full },
                Err(_) => Output { file, manner: Manner::Piecemeal, full },
            };
        }
        let at_once = kind.is_file() || kind.is_char_device() || kind.is_block_device();
        Output { file, manner: if at_once { Manner::AtOnce } else { Manner::Piecemeal }, full }
    }

    /// Write all of `bytes`, waiting for the reader if need be, until the
    /// deadline of `shutdown` once that has begun. How many bytes went out,
    /// and why not all.
    pub fn write_all(&mut self, bytes: &[u8], shutdown: &Shutdown) -> (usize, Result<(), Closed>) {
        let mut done = 0;
        while done < bytes.len() {
            let rest = match self.manner {
                Manner::Piecemeal => match self.wait(shutdown) {
                    Ok(()) => &bytes[done..bytes.len().min(done + PIPE_BUF)],
                    Err(closed) => return (done, Err(closed)),
                },
                Manner::AtOnce | Manner::NonBlocking => &bytes[done..],
            };
            match self.file.write(rest) {
                Ok(0) => {
                    let err = io::Error::from(ErrorKind::WriteZero);
                    return (done, Err(Closed::Failed(err.into())));
                }
                Ok(n) => {
                    done += n;
                    self.full.went_well();
                }
                Err(err) => match err.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        if let Err(closed) = self.wait(shutdown) {
                            return (done, Err(closed));
                        }
                    }
                    ErrorKind::BrokenPipe => return (done, Err(Closed::ByReader)),
                    _ => {
                        if let Err(closed) = self.full.wait_after(err.into(), shutdown) {
                            return (done, Err(closed));
                        }
                    }
                },
            }
        }
        (done, Ok(()))
    }

    /// Wait until there is room to write. Past the deadline, what has room is
    /// still written, as one may come late to it on a busy machine.
    fn wait(&self, shutdown: &Shutdown) -> Result<(), Closed> {
        let mut late = false;
        loop {
            let room = PollFd::new(self.file.as_fd(), PollFlags::POLLOUT);
            let ready = match shutdown.deadline() {
                None => {
                    let stop = PollFd::new(shutdown.as_fd(), PollFlags::POLLIN);
                    let mut fds = [room, stop];
                    poll(&mut fds, PollTimeout::NONE).map(|_| fds[0].any())
                }
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    late = left.is_zero();
                    // A millisecond more than left, lest the last one spins.
                    let left = if late { left } else { left + Duration::from_millis(1) };
                    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                    let mut fds = [room];
                    poll(&mut fds, left).map(|_| fds[0].any())
                }
            };
            match ready {
                Ok(Some(true)) => return Ok(()),
                Ok(_) if late => return Err(Closed::OutOfTime),
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(err) => return Err(Closed::Failed(io::Error::from(err).into())),
            }
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
