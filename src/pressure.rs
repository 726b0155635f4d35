//! The state of not keeping up: for how long packets find no room, when their
//! counts are drained, and what is said about it. How draining is done, and what
//! a summary looks like, is not known here.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::{Counters, Summary};
use crate::mailbox::Mailbox;
use crate::probe::{Overflow, advice};

/// While packets go on to find no room, summaries come at the first look after
/// this time: with the time between looks and the drain itself once a second.
const DRAIN_PACE: Duration = Duration::from_millis(500);

/// And messages no more often than this.
const MESSAGE_PACE: Duration = Duration::from_secs(1);

/// Looks at the counters from time to time, and remembers.
#[derive(Debug)]
pub struct Pressure {
    overflow: Overflow,
    mailbox: Arc<Mailbox<Summary>>,
    /// Packets seen and overflowed, at the last look.
    last: (u64, u64),
    last_look: Instant,
    /// The same at the last message, and when that was.
    told: (u64, u64),
    last_told: Option<Instant>,
    /// Whether the tables hold something, and when they were last drained.
    pending: bool,
    last_drain: Option<Instant>,
    in_summary: Duration,
}

fn is_past(since: Option<Instant>, now: Instant, pace: Duration) -> bool {
    since.is_none_or(|since| now.duration_since(since) >= pace)
}

impl Pressure {
    /// Drain `overflow` into `mailbox`.
    pub fn new(overflow: Overflow, mailbox: Arc<Mailbox<Summary>>) -> Pressure {
        Pressure {
            overflow,
            mailbox,
            last: (0, 0),
            last_look: Instant::now(),
            told: (0, 0),
            last_told: None,
            pending: false,
            last_drain: None,
            in_summary: Duration::ZERO,
        }
    }

    /// Look at the counters as they are now; something to say about them, at
    /// most once a second.
    pub fn look(&mut self, counters: &[Counters]) -> Result<Option<String>> {
        let now = Instant::now();
        let growing = self.account(counters, now);
        let (seen, overflowed) = self.last;

        // At once when there is room again, else at a steady pace; and only
        // when the reader has taken the last, as it may be stuck.
        let is_time = !growing || is_past(self.last_drain, now, DRAIN_PACE);
        if self.pending && is_time && self.mailbox.is_empty() {
            self.drain()?;
            self.pending = false;
            self.last_drain = Some(now);
        }

        if overflowed == self.told.1 || !is_past(self.last_told, now, MESSAGE_PACE) {
            return Ok(None);
        }
        let line = advice::in_summary(
            self.in_summary,
            overflowed - self.told.1,
            seen.saturating_sub(self.told.0),
        );
        self.told = (seen, overflowed);
        self.last_told = Some(now);
        Ok(Some(line))
    }

    /// Put what has been counted so far into the mailbox. Waits for running
    /// programs: where all are detached, nothing comes after it.
    pub fn drain(&mut self) -> Result<()> {
        let mut summaries = Vec::new();
        let drained = self.overflow.drain(&mut summaries);
        // Also after an error: these are read, and nowhere else by now.
        if !summaries.is_empty() {
            self.mailbox.put(summaries);
        }
        drained
    }

    /// For how long packets found no room, as far as looks can tell, `counters`
    /// being what they were when everything was `detached`.
    pub fn finish(mut self, counters: &[Counters], detached: Instant) -> Duration {
        self.account(counters, detached);
        self.in_summary
    }

    /// Take note of the counters; whether packets found no room since the last
    /// time.
    fn account(&mut self, counters: &[Counters], now: Instant) -> bool {
        let seen = counters.iter().map(|slot| slot.seen).sum();
        let overflowed = counters.iter().map(|slot| slot.overflowed).sum();
        let growing = overflowed > self.last.1;
        if growing {
            self.in_summary += now.duration_since(self.last_look);
            self.pending = true;
        }
        self.last = (seen, overflowed);
        self.last_look = now;
        growing
    }
}
