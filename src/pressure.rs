//! The state of not keeping up: for how long packets find no room, when their
//! counts are drained, and what is said about it. Neither maps nor lines are
//! touched here.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bpf::Counters;
use crate::mailbox::Mailbox;
use crate::probe::{Overflow, advice};

/// While packets go on to find no room, summaries come this often, and so do
/// messages.
const PACE: Duration = Duration::from_millis(950);

/// Looks at the counters from time to time, and remembers.
#[derive(Debug)]
pub struct Pressure {
    overflow: Overflow,
    mailbox: Arc<Mailbox>,
    /// Packets seen and summarised, at the last look.
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

fn is_past(since: Option<Instant>, now: Instant) -> bool {
    since.is_none_or(|since| now.duration_since(since) >= PACE)
}

impl Pressure {
    /// Drain `overflow` into `mailbox`.
    pub fn new(overflow: Overflow, mailbox: Arc<Mailbox>) -> Pressure {
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
        let seen = counters.iter().map(|slot| slot.seen).sum();
        let summarised = counters.iter().map(|slot| slot.summarised).sum();
        let growing = summarised > self.last.1;
        if growing {
            self.in_summary += now.duration_since(self.last_look);
            self.pending = true;
        }
        self.last = (seen, summarised);
        self.last_look = now;

        // At once when there is room again, else at a steady pace; and only
        // when the reader has taken the last, as it may be stuck.
        let is_time = !growing || is_past(self.last_drain, now);
        if self.pending && is_time && self.mailbox.is_empty() {
            self.mailbox.put(self.overflow.drain()?);
            self.pending = false;
            self.last_drain = Some(now);
        }

        if summarised == self.told.1 || !is_past(self.last_told, now) {
            return Ok(None);
        }
        let line = advice::in_summary(
            self.in_summary,
            summarised - self.told.1,
            seen.saturating_sub(self.told.0),
        );
        self.told = (seen, summarised);
        self.last_told = Some(now);
        Ok(Some(line))
    }

    /// Everything is detached: wait until no program runs any more, and put the
    /// rest into the mailbox. For how long packets found no room.
    pub fn finish(mut self) -> Result<Duration> {
        self.mailbox.put(self.overflow.drain()?);
        Ok(self.in_summary)
    }
}
