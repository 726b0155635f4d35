//! How it goes, while it goes: rates since the last time that was asked. It is
//! only put into text here; when to print it is up to the caller.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytesize::ByteSize;

use crate::bpf::Counters;
use crate::format::verdict_name;
use crate::probe::advice::packets;
use crate::sink::Progress;

/// What there was in all, at some time.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    kernel: Counters,
    logged: u64,
    lost: u64,
}

/// Remembers what was told the last time.
#[derive(Debug)]
pub struct Status {
    last: Totals,
    since: Instant,
}

impl Status {
    /// Rates are those from this time on.
    pub fn new(since: Instant) -> Status {
        Status { last: Totals::default(), since }
    }

    /// A line with the rates since the last one.
    pub fn line(&mut self, counters: &[Counters], progress: &Progress, at: Instant) -> String {
        let (now, seconds) = self.step(counters, progress, at);
        let last = std::mem::replace(&mut self.last, now);
        let rate = |now: u64, last: u64| now.saturating_sub(last) as f64 / seconds;
        let mut line = format!(
            "xdplog: {}/s, {:.0} logged/s, {} summarised, {:.0} bytes/s",
            packets(rate(now.kernel.seen, last.kernel.seen).round() as u64),
            rate(now.logged, last.logged),
            now.kernel.overflowed - last.kernel.overflowed,
            rate(now.kernel.bytes, last.kernel.bytes),
        );
        let verdicts = now.kernel.verdicts.iter().zip(last.kernel.verdicts);
        for (verdict, (now, last)) in verdicts.enumerate() {
            let (name, count) = (verdict_name(verdict as u8), now - last);
            if count > 0 {
                // Writing to a String cannot fail.
                let _ = write!(line, ", {count} {}", name.unwrap_or("of another verdict"));
            }
        }
        line += &left_out(&now.kernel, &last.kernel);
        if now.lost > last.lost {
            let _ = write!(line, ", {} lost", now.lost - last.lost);
        }
        line
    }

    /// A live line: what there was in all, and the rate now.
    pub fn live(&mut self, counters: &[Counters], progress: &Progress, at: Instant) -> String {
        let (now, seconds) = self.step(counters, progress, at);
        let last = std::mem::replace(&mut self.last, now);
        let file = progress.file_bytes.load(Ordering::Relaxed);
        let line = format!(
            "xdplog: {}, {:.0}/s, {} logged, {} in the file, {} summarised, {} lost",
            packets(now.kernel.seen),
            now.kernel.seen.saturating_sub(last.kernel.seen) as f64 / seconds,
            now.logged,
            ByteSize(file),
            now.kernel.overflowed,
            now.lost,
        );
        line + &left_out(&now.kernel, &Counters::default())
    }

    /// The totals now, and the seconds since the last time.
    fn step(&mut self, counters: &[Counters], progress: &Progress, at: Instant) -> (Totals, f64) {
        let mut kernel = Counters::default();
        for &slot in counters {
            kernel += slot;
        }
        let logged = progress.logged.load(Ordering::Relaxed);
        let lost = progress.lost.load(Ordering::Relaxed);
        let seconds = at.duration_since(self.since).as_secs_f64().max(1e-3);
        self.since = at;
        (Totals { kernel, logged, lost }, seconds)
    }
}

/// Packets that were not to be logged since `last`, by their fate: where there are any.
fn left_out(now: &Counters, last: &Counters) -> String {
    let mut text = String::new();
    for (now, last, fate) in [
        (now.not_ip, last.not_ip, "not IP"),
        (now.unselected, last.unselected, "unselected"),
        (now.sampled_out, last.sampled_out, "sampled out"),
    ] {
        if now > last {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {} {fate}", now - last);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_since_the_last_line() {
        let progress = Progress::default();
        progress.logged.store(150, Ordering::Relaxed);
        let mut one = Counters { seen: 200, overflowed: 7, bytes: 6400, ..Counters::default() };
        one.verdicts[2] = 190;
        one.verdicts[1] = 10;
        let start = Instant::now();
        let mut status = Status::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let line = status.line(&[one, Counters::default()], &progress, at(2));
        assert_eq!(
            line,
            "xdplog: 100 packets/s, 75 logged/s, 7 summarised, 3200 bytes/s, 10 DROP, 190 PASS"
        );
        let line = status.line(&[one], &progress, at(3));
        assert_eq!(line, "xdplog: 0 packets/s, 0 logged/s, 0 summarised, 0 bytes/s");
        let two = Counters { seen: 2, ..one };
        let line = Status::new(start).line(&[two], &progress, at(2));
        assert!(line.starts_with("xdplog: 1 packet/s, "), "{line}");
        progress.lost.store(3, Ordering::Relaxed);
        progress.file_bytes.store(2048, Ordering::Relaxed);
        assert_eq!(
            status.live(&[one], &progress, at(4)),
            "xdplog: 200 packets, 0/s, 150 logged, 2.0 KiB in the file, 7 summarised, 3 lost"
        );
        // What is not to be logged is told where there is any, so that the sum is clear.
        let some = Counters { seen: 60, not_ip: 30, ..Counters::default() };
        let more = Counters { seen: 80, unselected: 4, sampled_out: 5, ..some };
        let mut status = Status::new(start);
        let line = status.line(&[some], &progress, at(1));
        assert!(line.ends_with(" bytes/s, 30 not IP, 3 lost"), "{line}");
        let line = status.line(&[more], &progress, at(2));
        assert!(line.ends_with(" bytes/s, 4 unselected, 5 sampled out"), "{line}");
        let line = status.live(&[more], &progress, at(3));
        assert!(line.ends_with(", 3 lost, 30 not IP, 4 unselected, 5 sampled out"), "{line}");
    }
}
