//! Draining the tables of packets that found no room, without losing a count.
//! When to drain is not decided here.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::sys;
use crate::bpf::{Source, Summary, VERDICTS};
use crate::clock;

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
    /// Slots that are in use.
    slots: usize,
    /// When the tables began to be counted in, by their number, and `others`:
    /// `CLOCK_MONOTONIC`, ns.
    since_ns: [u64; 2],
    others_since_ns: u64,
}

impl Overflow {
    pub(super) fn new(
        current: MapHandle,
        tables: [MapHandle; 2],
        others: MapHandle,
        slots: usize,
    ) -> Result<Overflow> {
        let told = vec![0; slots * VERDICTS];
        let now = clock::monotonic_ns();
        let mut overflow = Overflow {
            current,
            tables,
            counted_in: 1,
            others,
            told,
            slots,
            since_ns: [now; 2],
            others_since_ns: now,
        };
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
        self.since_ns[next] = clock::monotonic_ns();
        Ok(())
    }

    /// Add all that was counted since the last time to `summaries`, each packet
    /// once. Waits for running programs; see [`Overflow::swap`]. After an error
    /// the next drain goes on where this one ended.
    pub fn drain(&mut self, summaries: &mut Vec<Summary>) -> Result<()> {
        // Nothing, unless the last time ended early.
        self.empty(1 - self.counted_in, summaries)?;
        self.swap()?;
        self.empty(1 - self.counted_in, summaries)?;
        let until_ns = clock::monotonic_ns();
        for slot in 0..self.slots {
            for verdict in 0..VERDICTS {
                let told = slot * VERDICTS + verdict;
                let now = self.other(told as u32)?;
                let count = now - self.told[told];
                self.told[told] = now;
                if count > 0 {
                    let verdict = verdict as u8;
                    let since_ns = self.others_since_ns;
                    summaries.push(Summary {
                        source: Source::Others,
                        verdict,
                        slot,
                        count,
                        since_ns,
                        until_ns,
                    });
                }
            }
        }
        self.others_since_ns = until_ns;
        Ok(())
    }

    /// Read and empty a table that is not counted in.
    fn empty(&self, table: usize, summaries: &mut Vec<Summary>) -> Result<()> {
        let since_ns = self.since_ns[table];
        // Nothing was added after the other began.
        let until_ns = self.since_ns[1 - table].max(since_ns);
        sys::drain_map(&self.tables[table], CHUNK, |key, count| {
            // Cannot be None: the sizes are the map's. The ledger would tell.
            summaries.extend(Summary::from_entry(key, count, since_ns, until_ns));
        })
        .context("cannot read an overflow table")
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
