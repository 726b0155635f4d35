//! All counts, and the identities between them: every packet has exactly one
//! fate. Nothing is read or printed here.

#![forbid(unsafe_code)]

use std::ops::AddAssign;

use crate::bpf::{Counters, MAX_SLOTS};
use crate::sink::PerSlot;

/// What the reader counted, by interface slot.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Records read from rings and batches.
    pub read: PerSlot,
    /// Of those, read after `--count` was reached.
    pub beyond: PerSlot,
    /// Of those, written whole.
    pub written: PerSlot,
    /// Of those, not written: the output took no more.
    pub dropped: PerSlot,
}

impl Default for Tally {
    fn default() -> Self {
        let none = [0; MAX_SLOTS];
        Tally { read: none, beyond: none, written: none, dropped: none }
    }
}

/// The fates of the packets of one interface, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Frames that reached the XDP program.
    pub seen: u64,
    /// Packets that became a line.
    pub logged: u64,
    /// Frames without a usable IP header.
    pub not_ip: u64,
    /// Packets of the other family, or beyond `--count`.
    pub unselected: u64,
    /// Packets that found no room in ring, batch or output.
    pub lost: u64,
}

impl AddAssign for Fates {
    fn add_assign(&mut self, other: Fates) {
        self.seen += other.seen;
        self.logged += other.logged;
        self.not_ip += other.not_ip;
        self.unselected += other.unselected;
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
            let (read, beyond) = (of(&tally.read), of(&tally.beyond));
            let (written, dropped) = (of(&tally.written), of(&tally.dropped));
            let mut must_equal = |what: &str, left: u64, right: u64| {
                if left != right {
                    ledger.broken.push(format!("interface {slot}: {what}: {left} is not {right}"));
                }
            };
            must_equal(
                "seen = not_ip + unselected + lost + recorded",
                k.seen,
                k.not_ip + k.unselected + k.lost + k.logged,
            );
            must_equal("recorded = read", k.logged, read);
            must_equal(
                "read = written + dropped + beyond the count",
                read,
                written + dropped + beyond,
            );
            ledger.slots.push(Fates {
                seen: k.seen,
                logged: written,
                not_ip: k.not_ip,
                unselected: k.unselected + beyond,
                lost: k.lost + dropped,
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
        let kernel =
            Counters { seen: 100, bytes: 6400, not_ip: 3, unselected: 7, lost: 20, logged: 70 };
        let mut tally = Tally::default();
        tally.read[0] = 70;
        tally.beyond[0] = 5;
        tally.written[0] = 61;
        tally.dropped[0] = 4;
        (vec![kernel], tally)
    }

    #[test]
    fn every_packet_has_one_fate() {
        let (kernel, tally) = example();
        let ledger = Ledger::settle(&kernel, &tally);
        assert_eq!(ledger.broken, [""; 0]);
        let fates = ledger.total();
        assert_eq!(fates, Fates { seen: 100, logged: 61, not_ip: 3, unselected: 12, lost: 24 });
        assert_eq!(fates.seen, fates.logged + fates.not_ip + fates.unselected + fates.lost);
    }

    #[test]
    fn a_packet_too_many_or_too_few_is_found() {
        let (kernel, tally) = example();
        for change in [
            |k: &mut Counters, _: &mut Tally| k.seen += 1,
            |k: &mut Counters, _: &mut Tally| k.logged -= 1,
            |_: &mut Counters, t: &mut Tally| t.read[0] -= 1,
            |_: &mut Counters, t: &mut Tally| t.written[0] += 1,
        ] {
            let (mut kernel, mut tally) = (kernel.clone(), tally.clone());
            change(&mut kernel[0], &mut tally);
            assert!(!Ledger::settle(&kernel, &tally).broken.is_empty());
        }
    }
}
