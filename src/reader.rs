//! The loop over rings: wait, take samples, hand records to the format and
//! bytes to the sink, flush batches that have grown old. One reader, or several
//! that have a part of the CPUs each. Neither a format's nor a sink's details
//! are known here.

#![forbid(unsafe_code)]

use std::mem::take;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::bpf::{Ahead, BATCH_AGE_NS, Record, Summary, Waiting};
use crate::clock::{self, Wall};
use crate::format::Format;
use crate::hotplug::Arrivals;
use crate::iface_names::Names;
use crate::ledger::Tally;
use crate::mailbox::Mailbox;
use crate::probe::{Batches, Flushed, Ring};
use crate::shutdown::Shutdown;
use crate::sink::{Closed, Destination, Sink};

/// Age at which a batch is flushed, after its CPU's last sample. A packet that
/// comes later than [`BATCH_AGE_NS`] after the last emission emits the batch
/// itself, so nothing can be left behind by a flush that comes after that.
const FLUSH_AFTER: Duration = Duration::from_nanos(BATCH_AGE_NS + BATCH_AGE_NS / 4);

/// Between two attempts at a batch that could not be flushed.
const FLUSH_RETRY: Duration = Duration::from_micros(250);

/// How many CPUs one reader is given where nothing else is asked for. It
/// formats and writes what several CPUs receive at full speed.
const CPUS_PER_READER: usize = 16;

/// How many readers there are for this many rings.
pub fn how_many(asked: Option<usize>, rings: usize) -> usize {
    asked.unwrap_or(rings.div_ceil(CPUS_PER_READER)).clamp(1, rings.max(1))
}

/// What may still be taken, by all readers together.
#[derive(Debug)]
pub struct Limit(AtomicU64);

impl Limit {
    /// This many records and summaries, or all.
    pub fn new(count: Option<u64>) -> Limit {
        Limit(AtomicU64::new(count.unwrap_or(u64::MAX)))
    }

    /// Ask for `wanted` of them; how many were granted.
    fn take(&self, wanted: usize) -> usize {
        let wanted = wanted as u64;
        let take = |left: u64| Some(left.saturating_sub(wanted));
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        left.unwrap_or_else(|left| left).min(wanted) as usize
    }

    fn is_reached(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// What all readers share.
#[derive(Clone)]
pub struct Common {
    /// Where their sinks write to.
    pub destination: Arc<Destination>,
    /// How much is to be taken; the rest counts as beyond.
    pub limit: Arc<Limit>,
    /// What the interfaces are called.
    pub names: Arc<Names>,
    /// The batches of all CPUs.
    pub batches: Arc<Batches>,
    /// Where summaries come from; the first reader's.
    pub mailbox: Arc<Mailbox<Summary>>,
    /// Where rings come from, of CPUs that came online.
    pub arrivals: Arc<Arrivals>,
    /// When to stop.
    pub shutdown: Arc<Shutdown>,
    /// Called from a reader's thread, once or more often, when no more is to
    /// be taken: the limit is reached, or the destination closed. Must not block.
    pub notify: Arc<dyn Fn() + Send + Sync>,
}

/// Some CPUs, of which one reader has all that comes from them.
struct Share<R> {
    rings: Vec<R>,
    /// With and without a ring: those that are offline have none.
    cpus: Vec<u32>,
}

/// Deal the rings out, neighbours to the same of `readers`; a CPU without one goes
/// to the first.
fn deal<R>(rings: Vec<R>, cpu_of: impl Fn(&R) -> u32, cpus: u32, readers: usize) -> Vec<Share<R>> {
    let mut shares: Vec<Share<R>> =
        (0..readers).map(|_| Share { rings: Vec::new(), cpus: Vec::new() }).collect();
    let with_ring: Vec<u32> = rings.iter().map(&cpu_of).collect();
    let count = rings.len();
    for (index, ring) in rings.into_iter().enumerate() {
        let share = &mut shares[index * readers / count];
        share.cpus.push(cpu_of(&ring));
        share.rings.push(ring);
    }
    shares[0].cpus.extend((0..cpus).filter(|cpu| !with_ring.contains(cpu)));
    shares
}

/// Reads its rings, on a thread of its own.
pub struct Reader<F> {
    share: Share<Ring>,
    /// By the share's rings: when the CPU's batch is to be flushed.
    due: Vec<Option<Instant>>,
    /// Likewise: what waits for its record.
    ahead: Vec<Ahead>,
    /// Which reader it is. The first has the mailbox and watches the destination, too.
    index: usize,
    wall: Wall,
    /// What it knows of the interfaces' names, and how often they had changed then.
    names: Arc<[String]>,
    names_known: u64,
    common: Common,
    taker: Taker<F>,
}

/// Takes what was read.
struct Taker<F> {
    format: F,
    sink: Sink,
    tally: Tally,
    limit: Arc<Limit>,
}

impl<F: Format> Taker<F> {
    /// Take what is in a sample, or waits in a batch; and what came ahead of that.
    fn take(&mut self, data: &[u8], ahead: &mut Ahead) {
        if F::CAPTURES {
            ahead.captures(data, |record, bytes| {
                if self.limit.take(1) == 1 {
                    self.log(record, bytes);
                } else {
                    self.leave(record);
                }
            });
            return;
        }
        let records = Record::all_in(data);
        let (wanted, beyond) = records.split_at(self.limit.take(records.len()));
        wanted.iter().for_each(|record| self.log(record, &[]));
        beyond.iter().for_each(|record| self.leave(record));
    }

    #[inline]
    fn log(&mut self, record: &Record, bytes: &[u8]) {
        let slot = record.slot();
        self.tally.read[slot] += 1;
        let format = &mut self.format;
        let room = format.room(bytes.len());
        self.sink.push(slot, room, |out| format.record(record, bytes, out));
    }

    fn leave(&mut self, record: &Record) {
        self.tally.read[record.slot()] += 1;
        self.tally.beyond[record.slot()] += 1;
    }

    /// Take in summaries, each of which is a line, too.
    fn take_summaries(&mut self, summaries: &[Summary]) {
        for summary in summaries {
            let &Summary { slot, count, .. } = summary;
            self.tally.drained[slot] += count;
            if self.limit.take(1) == 0 {
                self.tally.beyond[slot] += count;
                continue;
            }
            let format = &mut self.format;
            self.sink
                .push_summary(slot, count, F::MAX_SUMMARY_LEN, |out| format.summary(summary, out));
        }
    }
}

/// Readers for all `rings`, at most `readers` of them.
pub fn readers<F: Format + Clone>(
    rings: Vec<Ring>,
    readers: usize,
    format: &F,
    common: &Common,
) -> Vec<Reader<F>> {
    let shares = deal(rings, |ring| ring.cpu, common.batches.cpus(), readers);
    let mut reader_of = vec![0; common.batches.cpus() as usize];
    for (index, share) in shares.iter().enumerate() {
        share.cpus.iter().for_each(|&cpu| reader_of[cpu as usize] = index);
    }
    common.arrivals.deal(reader_of);
    shares
        .into_iter()
        .enumerate()
        .map(|(index, share)| Reader {
            due: vec![None; share.rings.len()],
            ahead: vec![Ahead::default(); share.rings.len()],
            share,
            index,
            wall: Wall::now(),
            // The format has those of the start, since when none has changed.
            names: common.names.now(),
            names_known: common.names.changes(),
            taker: Taker {
                format: format.clone(),
                sink: Sink::new(Arc::clone(&common.destination), Arc::clone(&common.shutdown)),
                tally: Tally::default(),
                limit: Arc::clone(&common.limit),
            },
            common: common.clone(),
        })
        .collect()
}

impl<F: Format> Reader<F> {
    /// Read until shutdown begins, then all that is left. What became of the
    /// records; this is told also where it fails.
    pub fn run(mut self) -> (Tally, Result<()>) {
        let read = || self.read_until_shutdown().and_then(|()| self.drain());
        // Its counts are sound whatever happens, but for packets half done, and what it
        // has done is told by nothing else.
        let ended = catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(crate::advice::reader_died()));
        let Taker { sink, mut tally, .. } = self.taker;
        tally.sink = sink.finish();
        tally.is_cut = ended.is_err();
        (tally, ended)
    }

    fn read_until_shutdown(&mut self) -> Result<()> {
        while self.common.shutdown.deadline().is_none() {
            if self.wait()? {
                self.take_rings()?;
            }
            self.consume()?;
            if self.flush_batches() {
                // A batch that filled up meanwhile went out without waking
                // anyone: look once more before going to sleep.
                self.consume()?;
            }
        }
        Ok(())
    }

    /// Take what is in the rings and the mailbox now, and write it.
    fn consume(&mut self) -> Result<()> {
        self.wall.refresh();
        self.taker.format.set_clock(self.wall);
        if self.names_known != self.common.names.changes() {
            self.learn_names();
        }
        (0..self.share.rings.len()).try_for_each(|at| self.read_ring(at))?;
        if self.index == 0 {
            self.common.destination.attend(&self.common.shutdown);
            self.taker.take_summaries(&self.common.mailbox.take());
        }
        self.taker.sink.flush();
        if self.common.destination.is_closed() || self.common.limit.is_reached() {
            // Told once or often, it means the same.
            (self.common.notify)();
        }
        Ok(())
    }

    /// Take what is in one of the rings.
    fn read_ring(&mut self, at: usize) -> Result<()> {
        let ring = &mut self.share.rings[at];
        let (taker, ahead) = (&mut self.taker, &mut self.ahead[at]);
        let (is_first, mailbox) = (self.index == 0, &self.common.mailbox);
        let mut any = false;
        let read = ring.samples.read(|data| {
            any = true;
            taker.take(data, ahead);
            // Not after a whole ring, which a slow disk takes seconds for.
            if is_first && !mailbox.is_empty() {
                taker.take_summaries(&mailbox.take());
            }
        });
        read.with_context(|| format!("cannot read the ring of CPU {}", ring.cpu))?;
        if any {
            self.due[at] = Some(Instant::now() + FLUSH_AFTER);
        }
        Ok(())
    }

    /// Take in rings of CPUs that came online. Where the CPU had one, that died when
    /// it went offline, and what is left in there is older.
    fn take_rings(&mut self) -> Result<()> {
        for ring in self.common.arrivals.at(self.index).take() {
            // What waits in the batch had no ring to go to.
            let due = Some(Instant::now());
            match self.share.rings.iter().position(|old| old.cpu == ring.cpu) {
                Some(at) => {
                    self.read_ring(at)?;
                    self.share.rings[at] = ring;
                    self.due[at] = due;
                }
                None => {
                    self.share.rings.push(ring);
                    self.due.push(due);
                    self.ahead.push(Ahead::default());
                }
            }
        }
        Ok(())
    }

    /// Interfaces were renamed. The first reader writes that down, where it is
    /// written.
    fn learn_names(&mut self) {
        // First how often, as they may change again before they are looked at.
        self.names_known = self.common.names.changes();
        let before = std::mem::replace(&mut self.names, self.common.names.now());
        let taker = &mut self.taker;
        taker.format.set_names(&self.names);
        if self.index != 0 {
            return;
        }
        let now_ns = clock::monotonic_ns();
        for (slot, (from, to)) in before.iter().zip(&*self.names).enumerate() {
            let note = match from == to {
                true => continue,
                false => taker.format.renamed(slot, from, to, now_ns),
            };
            if !note.is_empty() {
                // As a summary of no packets: it counts nowhere.
                taker.sink.push_summary(slot, 0, note.len(), |out| {
                    out[..note.len()].copy_from_slice(&note);
                    note.len()
                });
            }
        }
    }

    /// Wait for samples, for a batch to grow old, for a ring, for shutdown, or for
    /// whoever reads what is written to go away. Whether there are rings to take in.
    fn wait(&self) -> Result<bool> {
        let Common { destination, mailbox, arrivals, shutdown, .. } = &self.common;
        let next = self.due.iter().flatten().min();
        let timeout = next.map(|due| TimeSpec::from(due.saturating_duration_since(Instant::now())));
        let arrivals = arrivals.at(self.index).as_fd();
        let mut fds = vec![
            PollFd::new(arrivals, PollFlags::POLLIN),
            PollFd::new(shutdown.as_fd(), PollFlags::POLLIN),
        ];
        let rings = self.share.rings.iter();
        fds.extend(rings.map(|ring| PollFd::new(ring.samples.as_fd(), PollFlags::POLLIN)));
        let mut watched = None;
        if self.index == 0 {
            fds.push(PollFd::new(mailbox.as_fd(), PollFlags::POLLIN));
            fds.push(PollFd::new(destination.asked(), PollFlags::POLLIN));
            if let Some(fd) = destination.watch() {
                watched = Some(fds.len());
                // No events asked for: an error or hang-up is told all the same.
                fds.push(PollFd::new(fd, PollFlags::empty()));
            }
        }
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(err) => return Err(err).context("cannot wait for packets"),
        }
        if watched.is_some_and(|at| fds[at].any() == Some(true)) {
            destination.close(Closed::ByReader);
        }
        Ok(fds[0].any() == Some(true))
    }

    /// Flush the batches that are due; whether there were any.
    fn flush_batches(&mut self) -> bool {
        let now = Instant::now();
        let mut any = false;
        for (ring, at) in self.share.rings.iter().zip(&mut self.due) {
            if at.is_some_and(|at| at <= now) {
                any = true;
                *at = match self.common.batches.flush(ring.cpu) {
                    // One that emits brings a sample, and that a new due time.
                    Flushed::Done => None,
                    Flushed::Again => Some(now + FLUSH_RETRY),
                    // A new ring brings a new due time.
                    Flushed::Gone => None,
                };
            }
        }
        any
    }

    /// No program runs any more: take what is left in the rings, then what is
    /// left in the batches, which is newer, and what was counted instead.
    fn drain(&mut self) -> Result<()> {
        self.take_rings()?;
        self.consume()?;
        for &cpu in &self.share.cpus {
            let batch = self.common.batches.read(cpu)?;
            // Without a ring nothing came ahead.
            let ring = self.share.rings.iter().position(|ring| ring.cpu == cpu);
            let mut ahead = ring.map_or_else(Ahead::default, |at| take(&mut self.ahead[at]));
            for sample in Waiting::new(&batch).samples() {
                self.taker.take(sample, &mut ahead);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grants_no_more_than_it_has() {
        let limit = Limit::new(Some(10));
        assert_eq!((limit.take(7), limit.is_reached()), (7, false));
        assert_eq!((limit.take(7), limit.is_reached()), (3, true));
        assert_eq!(limit.take(1), 0);
        let all = Limit::new(None);
        assert_eq!(all.take(1000), 1000);
    }

    #[test]
    fn every_cpu_has_one_reader_and_every_reader_a_ring() {
        // Rings of the CPUs that are online, of those that are possible.
        for (online, possible, readers) in
            [(1, 1, 1), (2, 2, 2), (2, 128, 2), (8, 8, 3), (32, 512, 2), (128, 128, 8)]
        {
            let shares = deal((0..online).collect(), |&cpu: &u32| cpu, possible, readers);
            assert_eq!(shares.len(), readers);
            assert!(shares.iter().all(|share| !share.rings.is_empty()), "{online} {readers}");
            let rings: Vec<u32> = shares.iter().flat_map(|share| share.rings.clone()).collect();
            assert_eq!(rings, (0..online).collect::<Vec<_>>());
            let mut all: Vec<u32> = shares.into_iter().flat_map(|share| share.cpus).collect();
            all.sort_unstable();
            assert_eq!(all, (0..possible).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_reader_for_each_sixteen_cpus() {
        let counts = [1, 16, 17, 64, 128].map(|rings| how_many(None, rings));
        assert_eq!(counts, [1, 1, 2, 4, 8]);
        assert_eq!(how_many(Some(5), 2), 2, "no more than there are rings");
    }
}
