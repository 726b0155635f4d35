//! The summary: a [`Ledger`] in words or in JSON. It is only put into text
//! here; printing is up to the caller.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::ledger::{Fates, Ledger};
use crate::names::escaped;

/// What is known at the end of a run.
#[derive(Debug)]
pub struct Report<'a> {
    /// Interface names, by slot.
    pub names: &'a [String],
    /// The balance.
    pub ledger: &'a Ledger,
    /// How long the interfaces were watched.
    pub watched: Duration,
    /// How long of that packets found no room, and were summarised.
    pub in_summary: Duration,
}

/// The keys of the JSON summary, in their order. Part of the interface.
#[derive(Serialize)]
struct Row {
    seen: u64,
    logged: u64,
    summarised: u64,
    not_ip: u64,
    unselected: u64,
    sampled_out: u64,
    lost: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    total: Row,
    summary_seconds: f64,
    #[serde(serialize_with = "in_order")]
    interfaces: Vec<(&'a str, Row)>,
}

fn in_order<S: serde::Serializer>(rows: &[(&str, Row)], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(rows.len()))?;
    for (name, row) in rows {
        map.serialize_entry(name, row)?;
    }
    map.end()
}

/// To the microsecond.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

impl Report<'_> {
    /// Interfaces with their fates.
    fn rows(&self) -> impl Iterator<Item = (&str, Fates)> {
        self.names.iter().map(String::as_str).zip(self.ledger.slots.iter().copied())
    }

    /// One object on one line, without the line's end.
    pub fn json(&self) -> String {
        let summary = Summary {
            total: self.row(self.ledger.total()),
            summary_seconds: seconds(self.in_summary),
            interfaces: self.rows().map(|(name, fates)| (name, self.row(fates))).collect(),
        };
        // Cannot fail: the keys are strings and nothing in it can refuse.
        escaped(&serde_json::to_string(&summary).unwrap_or_default())
    }

    fn row(&self, fates: Fates) -> Row {
        let Fates { seen, logged, summarised, not_ip, unselected, sampled_out, lost } = fates;
        let seconds = seconds(self.watched);
        Row { seen, logged, summarised, not_ip, unselected, sampled_out, lost, seconds }
    }

    /// A line for each interface, and one for all where there are several.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let seconds = self.watched.as_secs_f64();
        let mut line = |name: &str, f: Fates| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "xdplog: {name}: {} seen = {} logged + {} summarised + {} not IP + {} unselected + {} sampled out + {} lost, in {seconds:.1} s",
                f.seen, f.logged, f.summarised, f.not_ip, f.unselected, f.sampled_out, f.lost
            );
        };
        let mut count = 0;
        for (name, fates) in self.rows() {
            line(name, fates);
            count += 1;
        }
        if count > 1 {
            line("all", self.ledger.total());
        }
        let total = self.ledger.total();
        if total.summarised > 0 {
            let _ = writeln!(
                text,
                "xdplog: in summary for {:.1} s: {:.2} % of all packets",
                self.in_summary.as_secs_f64(),
                total.summarised as f64 / total.seen as f64 * 100.0
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_report<R>(slots: Vec<Fates>, test: impl FnOnce(Report<'_>) -> R) -> R {
        let ledger = Ledger { slots, broken: Vec::new() };
        let names = ["veth1".to_string(), "eth0".to_string()];
        let watched = Duration::from_millis(2500);
        let in_summary = Duration::from_millis(250);
        test(Report { names: &names, ledger: &ledger, watched, in_summary })
    }

    const ONE: Fates = Fates {
        seen: 25,
        logged: 4,
        summarised: 10,
        not_ip: 3,
        unselected: 2,
        sampled_out: 5,
        lost: 1,
    };

    #[test]
    fn json_keys_and_their_order() {
        let json = with_report(vec![ONE, Fates::default(), Fates::default()], |r| r.json());
        assert_eq!(
            json,
            concat!(
                r#"{"seen":25,"logged":4,"summarised":10,"not_ip":3,"unselected":2,"#,
                r#""sampled_out":5,"lost":1,"#,
                r#""seconds":2.5,"summary_seconds":0.25,"interfaces":{"#,
                r#""veth1":{"seen":25,"logged":4,"summarised":10,"not_ip":3,"unselected":2,"sampled_out":5,"#,
                r#""lost":1,"seconds":2.5},"#,
                r#""eth0":{"seen":0,"logged":0,"summarised":0,"not_ip":0,"unselected":0,"sampled_out":0,"#,
                r#""lost":0,"seconds":2.5}}}"#
            )
        );
    }

    #[test]
    fn text_has_a_line_for_each_and_the_sum() {
        let text = with_report(vec![ONE, ONE, Fates::default()], |r| r.text());
        assert_eq!(
            text,
            "xdplog: veth1: 25 seen = 4 logged + 10 summarised + 3 not IP + 2 unselected + 5 sampled out + 1 lost, \
             in 2.5 s\n\
             xdplog: eth0: 25 seen = 4 logged + 10 summarised + 3 not IP + 2 unselected + 5 sampled out + 1 lost, \
             in 2.5 s\n\
             xdplog: all: 50 seen = 8 logged + 20 summarised + 6 not IP + 4 unselected + 10 sampled out + 2 lost, \
             in 2.5 s\n\
             xdplog: in summary for 0.2 s: 40.00 % of all packets\n"
        );
    }
}
