//! All counts, and the identities between them: every packet has exactly one
//! fate. Nothing is read or printed here.

#![forbid(unsafe_code)]

use std::ops::AddAssign;

use crate::bpf::{Counters, MAX_IFACES};
use crate::sink::{self, Counts, PerSlot};

/// What the reader counted, in packets by interface slot.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Records read from rings and batches.
    pub read: PerSlot,
    /// Packets in the summaries read.
    pub drained: PerSlot,
    /// Packets of both that came after `--count` was reached.
    pub beyond: PerSlot,
    /// What became of all others.
    pub sink: Counts,
    /// Whether a reader failed, and left some unread, or half done.
    pub is_cut: bool,
}

impl Default for Tally {
    fn default() -> Self {
        let none = [0; MAX_IFACES];
        Tally { read: none, drained: none, beyond: none, sink: Counts::default(), is_cut: false }
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        sink::add(&mut self.read, &other.read);
        sink::add(&mut self.drained, &other.drained);
        sink::add(&mut self.beyond, &other.beyond);
        self.sink += &other.sink;
        self.is_cut |= other.is_cut;
    }
}

/// The fates of the packets of one interface, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Frames that reached the XDP program.
    pub seen: u64,
    /// Packets that became a line.
    pub logged: u64,
    /// Packets that found no room and are in the count of a summary line.
    pub summarised: u64,
    /// Frames that are not IP, where the format has no line for them.
    pub not_ip: u64,
    /// Packets of the other family, or beyond `--count`.
    pub unselected: u64,
    /// Packets left out by `--sample` and `--rate-limit`.
    pub sampled_out: u64,
    /// Packets whose line could not be written.
    pub lost: u64,
}

impl AddAssign for Fates {
    fn add_assign(&mut self, other: Fates) {
        self.seen += other.seen;
        self.logged += other.logged;
        self.summarised += other.summarised;
        self.not_ip += other.not_ip;
        self.unselected += other.unselected;
        self.sampled_out += other.sampled_out;
        self.lost += other.lost;
    }
}

/// The balance at the end.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The fates by interface slot.
    pub slots: Vec<Fates>,
    /// Identities that do not hold, in words.
    pub broken: Vec<String>,
}

impl Ledger {
    /// Put together what the kernel side counted and what the reader did.
    pub fn settle(kernel: &[Counters], tally: &Tally) -> Ledger {
        let mut ledger = Ledger { slots: Vec::new(), broken: Vec::new() };
        for (slot, k) in kernel.iter().enumerate() {
            let of = |counts: &PerSlot| counts.get(slot).copied().unwrap_or(0);
            let (mut read, mut drained) = (of(&tally.read), of(&tally.drained));
            let Counts { written, summarised, dropped } = &tally.sink;
            let (written, summarised) = (of(written), of(summarised));
            let (beyond, mut dropped) = (of(&tally.beyond), of(dropped));
            if tally.is_cut {
                // What a reader did not come to is as little in the log as what could
                // not be written.
                (read, drained) = (k.recorded, k.overflowed);
                let done = written + summarised + beyond;
                dropped = dropped.max((read + drained).saturating_sub(done));
            }
            let mut must_equal = |what: &str, left: u64, right: u64| {
                if left != right {
                    ledger.broken.push(format!("interface {slot}: {what}: {left} is not {right}"));
                }
            };
            must_equal(
                "seen = not_ip + unselected + sampled_out + recorded + overflowed",
                k.seen,
                k.not_ip + k.unselected + k.sampled_out + k.recorded + k.overflowed,
            );
            must_equal("seen = all verdicts", k.seen, k.verdicts.iter().sum());
            must_equal("recorded = read", k.recorded, read);
            must_equal("overflowed = drained", k.overflowed, drained);
            must_equal(
                "read + drained = written + summarised + beyond the count + dropped",
                read + drained,
                written + summarised + beyond + dropped,
            );
            ledger.slots.push(Fates {
                seen: k.seen,
                logged: written,
                summarised,
                not_ip: k.not_ip,
                unselected: k.unselected + beyond,
                sampled_out: k.sampled_out,
                lost: dropped,
            });
        }
        ledger
    }

    /// All interfaces together.
    pub fn total(&self) -> Fates {
        let mut total = Fates::default();
        for &fates in &self.slots {
            total += fates;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Vec<Counters>, Tally) {
        let kernel = Counters {
            seen: 106,
            not_ip: 3,
            unselected: 7,
            sampled_out: 6,
            overflowed: 20,
            recorded: 70,
            bytes: 6400,
            verdicts: [0, 5, 101, 0, 0, 0, 0, 0],
        };
        let mut tally = Tally::default();
        tally.read[0] = 70;
        tally.drained[0] = 20;
        tally.beyond[0] = 5;
        tally.sink.written[0] = 63;
        tally.sink.summarised[0] = 14;
        tally.sink.dropped[0] = 8;
        (vec![kernel], tally)
    }

    #[test]
    fn every_packet_has_one_fate() {
        let (kernel, tally) = example();
        let ledger = Ledger::settle(&kernel, &tally);
        assert_eq!(ledger.broken, [""; 0]);
        let fates = ledger.total();
        let Fates { seen, logged, summarised, not_ip, unselected, sampled_out, lost } = fates;
        assert_eq!((seen, logged, summarised, not_ip), (106, 63, 14, 3));
        assert_eq!((unselected, sampled_out, lost), (12, 6, 8));
        assert_eq!(seen, logged + summarised + not_ip + unselected + sampled_out + lost);
    }

    #[test]
    fn what_a_reader_that_failed_left_is_lost() {
        let (kernel, mut tally) = example();
        tally.read[0] = 50;
        tally.drained[0] = 0;
        tally.sink.written[0] = 40;
        tally.sink.summarised[0] = 0;
        tally.sink.dropped[0] = 4;
        assert!(!Ledger::settle(&kernel, &tally).broken.is_empty());
        tally.is_cut = true;
        let ledger = Ledger::settle(&kernel, &tally);
        assert_eq!(ledger.broken, [""; 0]);
        let Fates { seen, logged, lost, .. } = ledger.total();
        assert_eq!((seen, logged, lost), (106, 40, 90 - 40 - 5));
    }

    #[test]
    fn a_packet_too_many_or_too_few_is_found() {
        let (kernel, tally) = example();
        for change in [
            |k: &mut Counters, _: &mut Tally| k.seen += 1,
            |k: &mut Counters, _: &mut Tally| k.verdicts[2] += 1,
            |k: &mut Counters, _: &mut Tally| k.sampled_out -= 1,
            |k: &mut Counters, _: &mut Tally| k.recorded -= 1,
            |k: &mut Counters, _: &mut Tally| k.overflowed -= 1,
            |_: &mut Counters, t: &mut Tally| t.read[0] -= 1,
            |_: &mut Counters, t: &mut Tally| t.drained[0] += 1,
            |_: &mut Counters, t: &mut Tally| t.sink.written[0] += 1,
            |_: &mut Counters, t: &mut Tally| t.sink.summarised[0] -= 1,
        ] {
            let (mut kernel, mut tally) = (kernel.clone(), tally.clone());
            change(&mut kernel[0], &mut tally);
            assert!(!Ledger::settle(&kernel, &tally).broken.is_empty());
        }
    }
}
