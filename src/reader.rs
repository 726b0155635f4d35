//! The loop over the rings: wait, take samples, hand records to the format and
//! bytes to the sink, flush batches that have grown old. Neither a format's nor
//! a sink's details are known here.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libbpf_rs::{PerfBuffer, PerfBufferBuilder};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::bpf::{BATCH_AGE_NS, Record, Summary, batch_records};
use crate::format::Format;
use crate::ledger::Tally;
use crate::mailbox::Mailbox;
use crate::probe::{self, Batches, Probe};
use crate::shutdown::Shutdown;
use crate::sink::{Closed, Sink};

/// How the reader ended.
#[derive(Debug)]
pub struct Ended {
    /// What became of the records.
    pub tally: Tally,
    /// Why records were dropped, if any were.
    pub closed: Option<Closed>,
}

/// Age at which a batch is flushed, after its CPU's last sample. A packet that
/// comes later than [`BATCH_AGE_NS`] after the last emission emits the batch
/// itself, so nothing can be left behind by a flush that comes after that.
const FLUSH_AFTER: Duration = Duration::from_nanos(BATCH_AGE_NS + BATCH_AGE_NS / 4);

/// Between two attempts at a batch that could not be flushed.
const FLUSH_RETRY: Duration = Duration::from_micros(250);

/// What the perf callback works on.
struct State<F> {
    format: F,
    sink: Sink,
    tally: Tally,
    /// Records still to be taken, for `--count`.
    left: u64,
    notify: Box<dyn Fn() + Send>,
    told_limit: bool,
    /// CPUs a sample came from in this round, each once.
    active: Vec<u32>,
}

impl<F: Format> State<F> {
    /// Take in a batch of records. Called from within C, so it must not panic:
    /// no index here can be out of bounds.
    fn take(&mut self, records: &[Record]) {
        let wanted = records.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (wanted, beyond) = records.split_at(wanted);
        self.left -= wanted.len() as u64;
        for record in wanted {
            let slot = record.slot();
            self.tally.read[slot] += 1;
            self.sink.push(slot, F::MAX_LEN, |out| self.format.record(record, out));
        }
        for record in beyond {
            self.tally.read[record.slot()] += 1;
            self.tally.beyond[record.slot()] += 1;
        }
        self.tell_limit();
    }

    /// Take in summaries, each of which is a line, too.
    fn take_summaries(&mut self, summaries: &[Summary]) {
        for summary in summaries {
            let &Summary { slot, count, .. } = summary;
            self.tally.drained[slot] += count;
            if self.left == 0 {
                self.tally.beyond[slot] += count;
                continue;
            }
            self.left -= 1;
            let format = &self.format;
            self.sink
                .push_summary(slot, count, F::MAX_SUMMARY_LEN, |out| format.summary(summary, out));
        }
        self.tell_limit();
    }

    fn tell_limit(&mut self) {
        if self.left == 0 && !self.told_limit {
            self.told_limit = true;
            (self.notify)();
        }
    }
}

/// What a reader is given to work with.
pub struct Work<F> {
    /// Makes bytes of records.
    pub format: F,
    /// Takes the bytes.
    pub sink: Sink,
    /// Records and summaries to take; the rest counts as beyond.
    pub limit: Option<u64>,
    /// Where summaries come from.
    pub mailbox: Arc<Mailbox>,
    /// When to stop.
    pub shutdown: Arc<Shutdown>,
    /// Called from the reader's thread, once or more often, when no more is to
    /// be taken: the limit is reached, or the sink is closed. Must not block.
    pub notify: Box<dyn Fn() + Send>,
}

/// Reads all rings, on one thread.
pub struct Reader<F> {
    rings: PerfBuffer<'static>,
    state: Arc<Mutex<State<F>>>,
    batches: Batches,
    mailbox: Arc<Mailbox>,
    shutdown: Arc<Shutdown>,
    due: Vec<Option<Instant>>,
}

fn lock<F>(state: &Mutex<State<F>>) -> MutexGuard<'_, State<F>> {
    // Poisoning is no reason to lose what was counted.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F: Format + Send + 'static> Reader<F> {
    /// Open a ring of `pages` pages, a power of two, on every CPU.
    pub fn open(
        probe: &Probe,
        batches: Batches,
        pages: usize,
        work: Work<F>,
    ) -> Result<Reader<F>, io::Error> {
        let Work { format, sink, limit, mailbox, shutdown, notify } = work;
        let state = Arc::new(Mutex::new(State {
            format,
            sink,
            tally: Tally::default(),
            left: limit.unwrap_or(u64::MAX),
            notify,
            told_limit: false,
            active: Vec::with_capacity(batches.cpus() as usize),
        }));
        let shared = Arc::clone(&state);
        let rings = PerfBufferBuilder::new(probe.events())
            .pages(pages)
            .sample_cb(move |cpu, data| {
                let mut state = lock(&shared);
                state.take(Record::all_in(data));
                let cpu = cpu as u32;
                if !state.active.contains(&cpu) {
                    state.active.push(cpu);
                }
            })
            .build()
            .map_err(|err| probe::os_error(&err))?;
        let due = vec![None; batches.cpus() as usize];
        probe.hush(&rings);
        Ok(Reader { rings, state, batches, mailbox, shutdown, due })
    }

    /// Read until shutdown begins, then all that is left, and finish the sink.
    pub fn run(mut self) -> Result<Ended> {
        while self.shutdown.deadline().is_none() {
            self.wait()?;
            self.consume()?;
            if self.flush_batches() {
                // A batch that filled up meanwhile went out without waking
                // anyone: look once more before going to sleep.
                self.consume()?;
            }
        }
        self.drain()
    }

    /// Take what is in the rings and the mailbox now, and write it.
    fn consume(&mut self) -> Result<()> {
        self.rings.consume().context("cannot read the rings")?;
        let mut state = lock(&self.state);
        state.take_summaries(&self.mailbox.take());
        state.sink.flush();
        if state.sink.is_closed() {
            // Told once or often, it means the same.
            (state.notify)();
        }
        let due = Instant::now() + FLUSH_AFTER;
        for cpu in state.active.drain(..) {
            if let Some(at) = self.due.get_mut(cpu as usize) {
                *at = Some(due);
            }
        }
        Ok(())
    }

    /// Wait for samples, for a batch to grow old, for shutdown, or for the
    /// sink's reader to go away.
    fn wait(&self) -> Result<()> {
        let next = self.due.iter().flatten().min();
        let timeout = next.map(|due| TimeSpec::from(due.saturating_duration_since(Instant::now())));
        let state = lock(&self.state);
        let rings = probe::ring_fd(&self.rings);
        // No events asked for: an error or hang-up is told all the same.
        let hangup = (!state.sink.is_closed()).then(|| state.sink.output().as_fd());
        let mut fds = vec![
            PollFd::new(rings.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.shutdown.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(hangup.map(|fd| PollFd::new(fd, PollFlags::empty())));
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(err) => return Err(err).context("cannot wait for packets"),
        }
        let hung_up = fds.get(3).and_then(PollFd::any).unwrap_or(false);
        drop(fds);
        drop(state);
        if hung_up {
            lock(&self.state).sink.close_by_reader();
        }
        Ok(())
    }

    /// Flush the batches that are due; whether there were any.
    fn flush_batches(&mut self) -> bool {
        let now = Instant::now();
        let mut any = false;
        for (cpu, at) in self.due.iter_mut().enumerate() {
            if at.is_some_and(|at| at <= now) {
                any = true;
                // A flush that emits brings a sample, and that a new due time.
                *at = (!self.batches.flush(cpu as u32)).then_some(now + FLUSH_RETRY);
            }
        }
        any
    }

    /// No program runs any more: take what is left in the rings, then what is
    /// left in the batches, which is newer, and what was counted instead.
    fn drain(self) -> Result<Ended> {
        self.rings.consume().context("cannot read the rings")?;
        for cpu in 0..self.batches.cpus() {
            let batch = self.batches.read(cpu)?;
            lock(&self.state).take(&batch_records(&batch));
        }
        lock(&self.state).take_summaries(&self.mailbox.take());
        // The callback's share of the state goes with the rings.
        drop(self.rings);
        let state = Arc::into_inner(self.state).context("the rings are still in use")?;
        let State { sink, mut tally, .. } =
            state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let closed;
        (tally.sink, closed) = sink.finish();
        Ok(Ended { tally, closed })
    }
}
