//! The rings and batches of all CPUs, those that come online late included: opened,
//! flushed, read. When is not decided here.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle, PerfBufferBuilder};
use nix::libc;

use super::{Probe, os_error, ring, sys};
use crate::bpf::{FLUSH_AGAIN, FLUSH_GONE};

/// The ring of one CPU.
pub struct Ring {
    /// The CPU's number.
    pub cpu: u32,
    /// What comes from it.
    pub samples: sys::Ring,
}

/// The list of CPUs that are online, which the kernel keeps.
#[derive(Debug)]
pub struct Online(File);

impl Online {
    /// To be looked at as often as wanted, also where no file can be opened any more.
    pub fn open() -> io::Result<Online> {
        File::open("/sys/devices/system/cpu/online").map(Online)
    }

    /// Their numbers, in order.
    pub fn cpus(&self) -> io::Result<Vec<u32>> {
        // The kernel writes a page at most.
        let mut page = [0; 4096];
        let len = self.0.read_at(&mut page, 0)?;
        Ok(ring::cpu_list(&String::from_utf8_lossy(&page[..len])).collect())
    }
}

impl Probe {
    /// Open a ring of `pages` pages, a power of two, for each CPU that is online.
    pub fn open_rings(&self, pages: usize) -> Result<Vec<Ring>, io::Error> {
        // libbpf opens them in the order of their CPUs, of which one may come or
        // go meanwhile.
        let online = Online::open()?;
        let (cpus, buffer) = loop {
            let before = online.cpus()?;
            let buffer = PerfBufferBuilder::new(&self.skel.maps.events).pages(pages).build();
            let buffer = buffer.map_err(|err| os_error(&err))?;
            if online.cpus()? == before {
                break (before, buffer);
            }
        };
        let samples = sys::rings(buffer)?;
        // Those whose number is beyond their count it leaves out.
        let others = cpus[samples.len().min(cpus.len())..].to_vec();
        let mut rings: Vec<Ring> =
            cpus.iter().zip(samples).map(|(&cpu, samples)| Ring { cpu, samples }).collect();
        for ring in &rings {
            self.hush(ring);
        }
        let bytes = pages as u64 * sys::page_size()?;
        for cpu in others {
            rings.push(self.open_ring(cpu, bytes)?);
        }
        Ok(rings)
    }

    /// Open a ring of so many bytes for one CPU, which has none, or one that died.
    /// What is written from now on goes there.
    pub fn open_ring(&self, cpu: u32, bytes: u64) -> Result<Ring, io::Error> {
        let ring = Ring { cpu, samples: sys::open_ring(cpu, bytes)? };
        let fd = ring.samples.as_fd().as_raw_fd().to_ne_bytes();
        let set = self.skel.maps.events.update(&cpu.to_ne_bytes(), &fd, MapFlags::ANY);
        set.map_err(|err| os_error(&err))?;
        self.hush(&ring);
        Ok(ring)
    }

    /// Let full batches go into this ring without waking anyone. Where that cannot
    /// be had, they wake as all others do.
    fn hush(&self, ring: &Ring) {
        let Ok(event) = sys::quiet_event(ring.cpu, ring.samples.as_fd()) else { return };
        let fd = event.as_raw_fd().to_ne_bytes();
        // The map keeps the event, whose descriptor is no longer needed.
        let _ = self.skel.maps.events_quiet.update(&ring.cpu.to_ne_bytes(), &fd, MapFlags::ANY);
    }

    /// The batches and the means to flush them, for the readers' threads.
    pub fn batches(&self) -> Result<Batches> {
        let handle = |map| MapHandle::try_from(map).context("cannot share a map");
        let flush = self.skel.progs.xdplog_flush.as_fd();
        let flush = flush.try_clone_to_owned().context("cannot share a program")?;
        Ok(Batches {
            map: handle(&self.skel.maps.batches)?,
            ringless: handle(&self.skel.maps.ringless)?,
            flush,
            cpus: self.host.cpus,
        })
    }
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing waits any more. Or the CPU is offline: what waits is read at the end,
    /// unless the CPU comes back.
    Done,
    /// Something still waits: try again.
    Again,
    /// Something waits, and the CPU has no ring, or a dead one.
    Gone,
}

/// The batches of all CPUs.
#[derive(Debug)]
pub struct Batches {
    map: MapHandle,
    ringless: MapHandle,
    flush: OwnedFd,
    cpus: u32,
}

impl Batches {
    /// CPUs that can have a batch: numbers below this.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Emit what waits in the batch of `cpu`.
    pub fn flush(&self, cpu: u32) -> Flushed {
        match sys::run_on_cpu(self.flush.as_fd(), cpu) {
            Ok(FLUSH_AGAIN) => Flushed::Again,
            Ok(FLUSH_GONE) => Flushed::Gone,
            Ok(_) => Flushed::Done,
            // The CPU is offline: it gets no packets.
            Err(err) if err.raw_os_error() == Some(libc::ENXIO) => Flushed::Done,
            Err(_) => Flushed::Again,
        }
    }

    /// How often a batch could not be emitted for want of a ring, on any CPU.
    pub fn ringless(&self) -> Result<u64> {
        let value = self.ringless.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
        let value = value.context("cannot read a count")?.context("there is no such count")?;
        Ok(u64::from_ne_bytes(value[..].try_into().context("its size")?))
    }

    /// The batch of `cpu` as it is, head and records. To be read when no
    /// program runs any more.
    pub fn read(&self, cpu: u32) -> Result<Vec<u8>> {
        self.map
            .lookup(&cpu.to_ne_bytes(), MapFlags::ANY)
            .context("cannot read a batch")?
            .with_context(|| format!("CPU {cpu} has no batch"))
    }
}
