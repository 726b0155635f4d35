//! Draining the tables of packets that found no room, without losing a count.
//! When to drain is not decided here.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::bpf::{OTHER_VERDICTS, SLOT_MOVED, Summary};

/// Entries that are read from a table in one call.
const CHUNK: u32 = 4096;

/// The tables, one of which is counted in.
#[derive(Debug)]
pub struct Overflow {
    /// The map of maps that says which.
    current: MapHandle,
    tables: [MapHandle; 2],
    counted_in: usize,
    others: MapHandle,
    /// What has been told of `others`, which is never cleared; by slot and
    /// verdict.
    told: Vec<u64>,
    /// Slots that are in use; beside them there is only [`SLOT_MOVED`].
    slots: usize,
}

impl Overflow {
    pub(super) fn new(
        current: MapHandle,
        tables: [MapHandle; 2],
        others: MapHandle,
        slots: usize,
    ) -> Result<Overflow> {
        let told = vec![0; (SLOT_MOVED + 1) * OTHER_VERDICTS];
        let mut overflow = Overflow { current, tables, counted_in: 1, others, told, slots };
        // From here on there is a table to count in.
        overflow.swap()?;
        Ok(overflow)
    }

    /// Count in the other table from now on. On return no program uses the one
    /// that was counted in before, and none that was detached before the call
    /// runs any more.
    fn swap(&mut self) -> Result<()> {
        let next = 1 - self.counted_in;
        let fd = self.tables[next].as_fd().as_raw_fd();
        // The kernel waits for an RCU grace period, in which every XDP program
        // lies, before it lets an update of a map of maps return: `kernel/bpf/
        // syscall.c`, maybe_wait_bpf_programs().
        self.current
            .update(&0u32.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)
            .context("cannot exchange the overflow tables")?;
        self.counted_in = next;
        Ok(())
    }

    /// All that was counted since the last time, each packet once. Waits for
    /// running programs; see [`Overflow::swap`].
    pub fn drain(&mut self) -> Result<Vec<Summary>> {
        let full = self.counted_in;
        self.swap()?;
        let table = &self.tables[full];
        let mut summaries = Vec::new();
        // The iterator takes a call that got fewer entries than asked for as
        // the last, but the kernel ends one early where the next bucket has no
        // room; and it ends on an error as at the end. What counts is that the
        // table is empty.
        while table.keys().next().is_some() {
            let before = summaries.len();
            let entries = table
                .lookup_and_delete_batch(CHUNK, MapFlags::ANY, MapFlags::ANY)
                .context("cannot read an overflow table")?;
            for (key, count) in entries {
                summaries
                    .push(Summary::from_entry(&key, &count).context("an entry has another size")?);
            }
            ensure!(summaries.len() > before, "an overflow table cannot be read to its end");
        }
        for slot in (0..self.slots).chain([SLOT_MOVED]) {
            for verdict in 0..OTHER_VERDICTS {
                let told = slot * OTHER_VERDICTS + verdict;
                let now = self.other(told as u32)?;
                let count = now - self.told[told];
                self.told[told] = now;
                if count > 0 {
                    summaries.push(Summary { source: None, verdict: verdict as u8, slot, count });
                }
            }
        }
        Ok(summaries)
    }

    fn other(&self, index: u32) -> Result<u64> {
        let per_cpu = self
            .others
            .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
            .context("cannot read what overflowed the table")?
            .context("there is no such count")?;
        per_cpu
            .into_iter()
            .map(|bytes| Ok(u64::from_ne_bytes(bytes[..].try_into().context("its size")?)))
            .sum()
    }
}
