//! Where formatted records go: buffering, flushing, broken pipes, full disks,
//! readers that do not read. Which fields a record has is not known here; that
//! each record is either written whole or counted as dropped, is.

#![forbid(unsafe_code)]

mod current;
mod destination;
mod files;
mod finished;
mod names;
mod open;
mod output;

use std::io;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use self::destination::{Destination, Framing, Progress};
pub use self::files::{Files, Plan};
pub use self::open::{Identity, Place, Refusal, check_regular, identity, kind};
pub use self::output::{Full, Output};
use crate::bpf::MAX_IFACES;
use crate::shutdown::Shutdown;

/// Bytes that are gathered before they are written under load.
pub const BUFFER: usize = 256 * 1024;

/// No record is shorter, so that the marks of a full buffer never need more
/// memory than they begin with.
const SHORTEST: usize = 16;

/// A count for each interface slot.
pub type PerSlot = [u64; MAX_IFACES];

/// Why a sink takes no more records.
#[derive(Debug)]
pub enum Closed {
    /// The reader went away: no failure, it has what it wanted.
    ByReader,
    /// Writing failed.
    Failed(Failure),
    /// The time to stop came while the reader did not read.
    OutOfTime,
    /// There was no room in the file, and it is to be opened anew: no failure,
    /// and known to files only.
    Anew,
}

impl Closed {
    /// The same, with what is told of a failure made another.
    fn map(self, other: impl FnOnce(Failure) -> Failure) -> Closed {
        match self {
            Closed::Failed(failure) => Closed::Failed(other(failure)),
            closed => closed,
        }
    }
}

/// What failed, and with which file.
#[derive(Debug)]
pub struct Failure {
    /// What was to be done, as in "cannot open".
    pub doing: &'static str,
    /// The file; `None` where the log goes to something else, which is the only one.
    pub path: Option<PathBuf>,
    /// Why.
    pub err: io::Error,
}

impl From<io::Error> for Failure {
    /// That of writing to what is open.
    fn from(err: io::Error) -> Failure {
        Failure { doing: "write to", path: None, err }
    }
}

/// The end of a buffered record or summary, and the slot it is accounted to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    end: u32,
    slot: u8,
    is_summary: bool,
}

impl Mark {
    /// The end of what is no record, and counts nowhere.
    fn at(end: usize) -> Mark {
        Mark { end: end as u32, slot: u8::MAX, is_summary: false }
    }
}

/// Where the records end that are in some bytes: the last one with these.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    marks: &'a [Mark],
    /// Where the bytes begin that are asked about.
    base: usize,
}

impl<'a> Ends<'a> {
    fn new(marks: &'a [Mark]) -> Ends<'a> {
        Ends { marks, base: 0 }
    }

    /// For the bytes from `start` on, where a record begins.
    fn from(self, start: usize) -> Ends<'a> {
        Ends { base: self.base + start, ..self }
    }

    /// The end of the last record that ends at `at` or before.
    fn floor(self, at: usize) -> usize {
        let until = self.marks.partition_point(|mark| mark.end as usize <= self.base + at);
        let end = self.marks[..until].last().map_or(0, |mark| mark.end as usize);
        end.saturating_sub(self.base)
    }

    /// The end of the first record that ends after `at`.
    fn after(self, at: usize) -> usize {
        let until = self.marks.partition_point(|mark| mark.end as usize <= self.base + at);
        self.marks.get(until).or(self.marks.last()).map_or(0, |mark| mark.end as usize) - self.base
    }
}

/// What became of what was pushed, in packets by interface slot.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Records written whole.
    pub written: PerSlot,
    /// Packets whose summary was written whole.
    pub summarised: PerSlot,
    /// Packets whose record or summary was not.
    pub dropped: PerSlot,
}

impl Default for Counts {
    fn default() -> Self {
        let none = [0; MAX_IFACES];
        Counts { written: none, summarised: none, dropped: none }
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        add(&mut self.written, &other.written);
        add(&mut self.summarised, &other.summarised);
        add(&mut self.dropped, &other.dropped);
    }
}

/// Add `more` to `to`, slot by slot.
pub fn add(to: &mut PerSlot, more: &PerSlot) {
    for (to, more) in to.iter_mut().zip(more) {
        *to += more;
    }
}

/// One reader's buffer of whole records on their way to the destination.
#[derive(Debug)]
pub struct Sink {
    destination: Arc<Destination>,
    shutdown: Arc<Shutdown>,
    buffer: Box<[u8]>,
    len: usize,
    marks: Vec<Mark>,
    /// The packets of each summary among the marks, in their order.
    summaries: Vec<u64>,
    counts: Counts,
}

impl Sink {
    /// Write to `destination`; a writer that has to wait gives up at `shutdown`'s
    /// deadline.
    pub fn new(destination: Arc<Destination>, shutdown: Arc<Shutdown>) -> Sink {
        Sink {
            destination,
            shutdown,
            buffer: vec![0; BUFFER].into(),
            len: 0,
            marks: Vec::with_capacity(BUFFER / SHORTEST),
            summaries: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Append a record of at most `max_len` bytes, which `fill` writes to the
    /// start of what it is given, answering how many they are.
    #[inline]
    pub fn push(&mut self, slot: usize, max_len: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        if self.buffer.len() - self.len < max_len {
            self.make_room(max_len);
        }
        let Some(room) = self.buffer.get_mut(self.len..) else { return };
        self.len += fill(room);
        self.marks.push(Mark { end: self.len as u32, slot: slot as u8, is_summary: false });
    }

    /// So much that `needed` bytes find room, which a dump of a long frame may take
    /// more of than the buffer has.
    #[cold]
    fn make_room(&mut self, needed: usize) {
        self.flush();
        if self.buffer.len() < needed {
            self.buffer = vec![0; needed].into();
        }
    }

    /// The same for a summary of `count` packets.
    pub fn push_summary(
        &mut self,
        slot: usize,
        count: u64,
        max_len: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) {
        self.push(slot, max_len, fill);
        if let Some(mark) = self.marks.last_mut() {
            mark.is_summary = true;
            self.summaries.push(count);
        }
    }

    /// Write what is buffered. The counts tell how that went.
    pub fn flush(&mut self) {
        if self.len == 0 {
            return;
        }
        let bytes = &self.buffer[..self.len];
        let done = self.destination.write(bytes, &Ends::new(&self.marks), &self.shutdown);
        let mut summaries = self.summaries.drain(..);
        let (mut logged, mut lost) = (0, 0);
        for mark in self.marks.drain(..) {
            let slot = usize::from(mark.slot).min(MAX_IFACES - 1);
            let packets = if mark.is_summary { summaries.next().unwrap_or(0) } else { 1 };
            // What went out in part is not written.
            if mark.end as usize > done {
                self.counts.dropped[slot] += packets;
                lost += packets;
            } else if mark.is_summary {
                self.counts.summarised[slot] += packets;
            } else {
                self.counts.written[slot] += 1;
                logged += 1;
            }
        }
        let progress = self.destination.progress();
        progress.logged.fetch_add(logged, Ordering::Relaxed);
        progress.lost.fetch_add(lost, Ordering::Relaxed);
        self.len = 0;
    }

    /// Write what is left; what became of everything.
    pub fn finish(mut self) -> Counts {
        self.flush();
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    fn sink_to(file: File) -> (Sink, Arc<Shutdown>) {
        let shutdown = Arc::new(Shutdown::new().unwrap());
        let destination = Arc::new(
            Destination::stream(Output::new(file.into(), Arc::default()), Framing::default())
                .unwrap(),
        );
        (Sink::new(destination, shutdown.clone()), shutdown)
    }

    fn finish(sink: Sink) -> (Counts, Option<Closed>) {
        let (destination, shutdown) = (Arc::clone(&sink.destination), Arc::clone(&sink.shutdown));
        (sink.finish(), destination.finish(&shutdown))
    }

    fn push_lines(sink: &mut Sink, lines: usize, slot: usize) {
        for _ in 0..lines {
            sink.push(slot, 16, |out| {
                out[..10].copy_from_slice(b"a record.\n");
                10
            });
        }
    }

    fn pipe() -> (File, File) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        (reader.into(), writer.into())
    }

    #[test]
    fn all_is_written_and_counted_by_slot() {
        let (mut reader, writer) = pipe();
        let thread = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        let (mut sink, _shutdown) = sink_to(writer);
        push_lines(&mut sink, 50_000, 0);
        push_lines(&mut sink, 7, 3);
        let (Counts { written, dropped, .. }, closed) = finish(sink);
        assert_eq!((written[0], written[3], dropped[0]), (50_000, 7, 0));
        assert!(closed.is_none());
        assert_eq!(thread.join().unwrap(), "a record.\n".repeat(50_007));
    }

    #[test]
    fn a_record_longer_than_the_buffer_is_whole() {
        let (mut reader, writer) = pipe();
        let thread = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        let (mut sink, _shutdown) = sink_to(writer);
        push_lines(&mut sink, 1, 0);
        sink.push(0, 3 * BUFFER, |out| {
            out[..3 * BUFFER].fill(b'x');
            3 * BUFFER
        });
        push_lines(&mut sink, 1, 0);
        let (counts, closed) = finish(sink);
        assert!(closed.is_none());
        assert_eq!((counts.written[0], counts.dropped[0]), (3, 0));
        let line = "a record.\n";
        let want = [line, &"x".repeat(3 * BUFFER), line].concat();
        assert!(thread.join().unwrap() == want);
    }

    #[test]
    fn sinks_of_one_destination_do_not_mix_their_records() {
        let (mut reader, writer) = pipe();
        let (sink, shutdown) = sink_to(writer);
        let destination = Arc::clone(&sink.destination);
        drop(sink);
        let text = std::thread::scope(|scope| {
            for byte in [b'a', b'b', b'c'] {
                let mut sink = Sink::new(Arc::clone(&destination), Arc::clone(&shutdown));
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        sink.push(0, 32, |out| {
                            out[..31].fill(byte);
                            out[31] = b'\n';
                            32
                        });
                    }
                    assert_eq!(sink.finish().written[0], 20_000);
                });
            }
            drop(destination);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        assert_eq!(text.lines().count(), 60_000);
        for line in text.lines() {
            assert!(line.len() == 31 && line.bytes().all(|byte| line.starts_with(byte as char)));
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_counted_records_and_bounded_time() {
        let (mut reader, writer) = pipe();
        let (mut sink, shutdown) = sink_to(writer);
        shutdown.begin(Duration::from_millis(20));
        push_lines(&mut sink, 100_000, 1);
        let (Counts { written, dropped, .. }, closed) = finish(sink);
        assert!(matches!(closed, Some(Closed::OutOfTime)));
        assert_eq!(written[1] + dropped[1], 100_000);
        assert!(dropped[1] > 0);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(written[1], text.len() as u64 / 10, "as many whole lines as were counted");
    }

    #[test]
    fn summaries_count_all_their_packets() {
        for (path, ok) in [("/dev/null", true), ("/dev/full", false)] {
            let (mut sink, _shutdown) = sink_to(OpenOptions::new().write(true).open(path).unwrap());
            push_lines(&mut sink, 2, 0);
            sink.push_summary(1, 500, 16, |out| {
                out[0] = b'\n';
                1
            });
            let (counts, _) = finish(sink);
            let want = if ok { (2, 500, 0, 0) } else { (0, 0, 2, 500) };
            let Counts { written, summarised, dropped } = counts;
            assert_eq!((written[0], summarised[1], dropped[0], dropped[1]), want, "{path}");
        }
    }

    /// A message that was kept waiting by a busy machine is not lost for that.
    #[test]
    fn what_has_room_is_written_past_the_deadline() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let (_full, full_writer) = UnixStream::pair().unwrap();
        full_writer.set_nonblocking(true).unwrap();
        while (&full_writer).write(&[0; 4096]).is_ok() {}
        full_writer.set_nonblocking(false).unwrap();
        let shutdown = Shutdown::new().unwrap();
        shutdown.begin(Duration::ZERO);
        let write = |to: UnixStream| {
            Output::new(to.into(), Arc::default()).write_all(b"a line\n", &shutdown)
        };
        assert!(matches!(write(writer), (7, Ok(()))));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a line\n");
        assert!(matches!(write(full_writer), (0, Err(Closed::OutOfTime))));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let (reader, writer) = pipe();
        let (mut sink, _shutdown) = sink_to(writer);
        drop(reader);
        push_lines(&mut sink, 3, 0);
        let (Counts { written, dropped, .. }, closed) = finish(sink);
        assert!(matches!(closed, Some(Closed::ByReader)));
        assert_eq!((written[0], dropped[0]), (0, 3));
    }

    #[test]
    fn a_full_disk_is_one() {
        let (mut sink, _shutdown) =
            sink_to(OpenOptions::new().write(true).open("/dev/full").unwrap());
        push_lines(&mut sink, 3, 0);
        let (Counts { dropped, .. }, closed) = finish(sink);
        match closed {
            Some(Closed::Failed(failure)) => {
                assert_eq!(failure.err.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(dropped[0], 3);
    }
}
