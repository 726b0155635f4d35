//! CPUs that come online, or back, while packets are logged: each gets a ring, and
//! its reader that ring. What is read is not known here.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use nix::libc;

use crate::mailbox::Mailbox;
use crate::probe::{Batches, Flushed, Online, Probe, Ring, advice};

/// Rings on their way to the readers.
pub struct Arrivals {
    boxes: Vec<Mailbox<Ring>>,
    /// By CPU: whose it is.
    reader_of: OnceLock<Vec<usize>>,
}

impl Arrivals {
    /// For so many readers.
    fn new(readers: usize) -> Result<Arrivals> {
        let boxes = (0..readers.max(1)).map(|_| Mailbox::new()).collect::<Result<_>>()?;
        Ok(Arrivals { boxes, reader_of: OnceLock::new() })
    }

    /// Say, once, which reader has which CPU, by the CPUs' numbers.
    pub fn deal(&self, reader_of: Vec<usize>) {
        // Whoever comes second is not heeded.
        let _ = self.reader_of.set(reader_of);
    }

    /// What has come for this reader.
    pub fn at(&self, reader: usize) -> &Mailbox<Ring> {
        &self.boxes[reader % self.boxes.len()]
    }

    /// Where a ring of this CPU has to go.
    fn of(&self, cpu: u32) -> &Mailbox<Ring> {
        let readers = self.reader_of.get().map_or(&[][..], Vec::as_slice);
        // A CPU that nobody has is the first one's.
        self.at(readers.get(cpu as usize).copied().unwrap_or(0))
    }
}

/// Looks after the rings.
pub struct Hotplug<'a> {
    probe: &'a Probe,
    batches: Arc<Batches>,
    arrivals: Arc<Arrivals>,
    online: Online,
    /// Bytes of each ring.
    ring_size: u64,
    /// CPUs whose ring takes samples, as far as is known.
    alive: BTreeSet<u32>,
    /// CPUs that got none, and are not to be tried again until they were offline.
    refused: BTreeSet<u32>,
    /// The kernel side's count of batches without a ring, as far as it is settled.
    ringless: u64,
}

impl<'a> Hotplug<'a> {
    /// For CPUs that have `rings` of so many bytes at the start, read by so many
    /// `readers`.
    pub fn new(
        probe: &'a Probe,
        batches: &Arc<Batches>,
        rings: &[Ring],
        ring_size: u64,
        readers: usize,
    ) -> Result<Hotplug<'a>> {
        Ok(Hotplug {
            probe,
            batches: Arc::clone(batches),
            arrivals: Arc::new(Arrivals::new(readers)?),
            online: Online::open().context("cannot see which CPUs are online")?,
            ring_size,
            alive: rings.iter().map(|ring| ring.cpu).collect(),
            refused: BTreeSet::new(),
            ringless: 0,
        })
    }

    /// Where the readers find their rings.
    pub fn arrivals(&self) -> Arc<Arrivals> {
        Arc::clone(&self.arrivals)
    }

    /// See to it that each CPU that is online has a ring; what there is to say of
    /// those that got none.
    pub fn look(&mut self) -> Result<Vec<String>> {
        let online = self.online.cpus().context("cannot see which CPUs are online")?;
        let online = BTreeSet::from_iter(online);
        // A ring dies with its CPU: what comes later needs another.
        self.alive.retain(|cpu| online.contains(cpu));
        self.refused.retain(|cpu| online.contains(cpu));
        self.find_dead()?;
        // One delivery at a time: rings do not pile up before a reader that is stuck.
        let missing = online.iter().filter(|cpu| {
            let known = self.alive.contains(cpu) || self.refused.contains(cpu);
            !known && self.arrivals.of(**cpu).is_empty()
        });
        let missing: Vec<u32> = missing.copied().collect();
        let (opened, refused) = open(missing, |cpu| self.probe.open_ring(cpu, self.ring_size));
        for (cpu, ring) in opened {
            self.alive.insert(cpu);
            self.arrivals.of(cpu).put(vec![ring]);
        }
        self.refused.extend(refused.iter().map(|&(cpu, _)| cpu));
        Ok(refused.into_iter().map(|(_, said)| said).collect())
    }

    /// A CPU may have been offline between two looks, so that its ring died unseen.
    /// The kernel side counts when it finds one dead; a flush tells which it is.
    fn find_dead(&mut self) -> Result<()> {
        let ringless = self.batches.ringless()?;
        if ringless == self.ringless {
            return Ok(());
        }
        let mut settled = true;
        self.alive.retain(|&cpu| {
            let flushed = self.batches.flush(cpu);
            settled &= flushed != Flushed::Again;
            flushed != Flushed::Gone
        });
        if settled {
            self.ringless = ringless;
        }
        Ok(())
    }
}

/// Of each CPU what was opened, and of each that was refused it what there is to say.
type Opened<R> = (Vec<(u32, R)>, Vec<(u32, String)>);

fn open<R>(cpus: Vec<u32>, mut ring: impl FnMut(u32) -> io::Result<R>) -> Opened<R> {
    let (mut opened, mut refused) = (Vec::new(), Vec::new());
    for cpu in cpus {
        match ring(cpu) {
            Ok(ring) => opened.push((cpu, ring)),
            // It went offline again.
            Err(err) if err.raw_os_error() == Some(libc::ENODEV) => {}
            Err(err) => refused.push((cpu, advice::no_late_ring(cpu, &err))),
        }
    }
    (opened, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_that_is_refused_a_ring_is_told() {
        let (opened, refused) = open(vec![1, 2, 3, 4], |cpu| match cpu {
            1 => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
            2 => Ok("a ring"),
            3 => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            _ => Err(io::Error::from_raw_os_error(libc::EPERM)),
        });
        assert_eq!(opened, [(2, "a ring")]);
        let (memory, right) = (libc::ENOMEM, libc::EPERM);
        let said =
            |cpu, code| (cpu, advice::no_late_ring(cpu, &io::Error::from_raw_os_error(code)));
        assert_eq!(refused, [said(1, memory), said(4, right)]);
    }
}
