//! The kernel side's driver: load, attach, detach, flush, read maps. What the
//! events mean is not known here.

pub mod advice;
mod drivers;
mod features;
mod hardware;
mod iface;
mod link;
mod netlink;
mod overflow;
pub mod ring;
mod rings;
mod sys;
mod whereabouts;

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, anyhow};
use libbpf_rs::query::{LinkInfo, LinkTypeInfo};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{
    MapCore, MapFlags, MapHandle, PrintLevel, ProgramHandle, ProgramType, Xdp, XdpFlags, libbpf_sys,
};
use nix::libc;
use nix::net::if_::if_indextoname;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub use self::drivers::Costly;
pub use self::features::native_by_index;
pub use self::link::{Attached, Interface, Place};
pub use self::overflow::Overflow;
pub use self::rings::{Batches, Flushed, Online, Ring};
pub use self::whereabouts::News;
use self::whereabouts::{Seen, Tables, Whereabouts};
use crate::bpf::skel::{OpenXdplogSkel, XdplogSkel, XdplogSkelBuilder};
use crate::bpf::{Counters, LinkType};
use crate::config::Mode;

/// What is fixed before the program is loaded.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `FAMILY_*` bits of the packets to record.
    pub families: u32,
    /// What the interfaces' frames begin with, by slot. At least one, at most
    /// [`crate::bpf::MAX_IFACES`].
    pub links: Vec<LinkType>,
    /// Size of the ring that a batch has to fit in, in bytes.
    pub ring_size: u64,
    /// Sources told apart where packets find no room.
    pub overflow_sources: u32,
    /// Bytes to capture of each frame; 0 is none.
    pub snaplen: u32,
    /// Record one packet in this many, on each CPU; 0 is all.
    pub sample: u32,
    /// Record this many packets a second; 0 is all.
    pub rate: u32,
    /// `NOT_IP_*` bits of the frames that are recorded though they are not IP.
    pub not_ip: u32,
    /// Packets of one CPU may interleave: see [`is_realtime`].
    pub realtime: bool,
}

/// Whether this kernel is one with `PREEMPT_RT`, where what receives packets is a
/// thread that another one on its CPU may preempt. Such a kernel says so in its
/// version (`scripts/mkcompile_h`, later `init/Makefile`).
pub fn is_realtime() -> bool {
    nix::sys::utsname::uname()
        .is_ok_and(|kernel| kernel.version().to_string_lossy().contains("PREEMPT_RT"))
}

/// The loaded programs and their maps: one for each interface, so that each knows
/// its slot wherever the interface goes, and all of the same maps.
pub struct Probe {
    /// The first interface's program, the flush program, the maps.
    skel: XdplogSkel<'static>,
    /// The other interfaces' programs, by slot from 1 on.
    others: Vec<OwnedFd>,
    setup: Setup,
    host: Host,
    snaplen: u32,
}

/// What this machine is like.
#[derive(Clone, Copy, Debug)]
struct Host {
    /// CPUs have numbers below this.
    cpus: u32,
    /// The kernel knows frames of several buffers.
    frags: bool,
}

impl Host {
    fn look() -> Result<Host> {
        // Multi-buffer frames and the helper for their length came together,
        // in 5.18; without them a large MTU keeps native mode from attaching.
        let frags = ProgramType::Xdp
            .is_helper_supported(libbpf_sys::BPF_FUNC_xdp_get_buff_len)
            .unwrap_or(false);
        // By number, not by count: the numbers may have gaps.
        let possible = fs::read_to_string("/sys/devices/system/cpu/possible");
        let possible = possible.context("cannot see which CPUs there are")?;
        let cpus = ring::cpu_list(&possible).last().context("no CPU is possible")? + 1;
        Ok(Host { cpus, frags })
    }
}

/// What libbpf said since the last load began: its messages are for the error,
/// not for stderr.
static LIBBPF_SAID: Mutex<advice::Said> = Mutex::new(advice::Said::new());

fn keep_message(level: PrintLevel, message: String) {
    if level == PrintLevel::Warn
        && let Ok(mut said) = LIBBPF_SAID.lock()
    {
        said.add(&message);
    }
}

fn said() -> advice::Said {
    LIBBPF_SAID.lock().map(|said| said.clone()).unwrap_or_default()
}

/// Kernel memory of the tables of packets that find no room, in bytes: two, each
/// with its entries allocated beforehand (some 48 bytes of the kernel's own, key
/// and value) and as many buckets.
pub fn overflow_memory(sources: u32) -> u64 {
    2 * u64::from(sources) * (48 + 24 + 8 + 16)
}

/// The place that a skeleton lives in.
type Storage = MaybeUninit<libbpf_rs::OpenObject>;

/// Open the programs for the interface in this slot. Returns, too, how many bytes
/// of each frame are captured.
fn open<'obj>(
    storage: &'obj mut Storage,
    setup: &Setup,
    host: Host,
    slot: usize,
) -> Result<(OpenXdplogSkel<'obj>, u32)> {
    let mut open = XdplogSkelBuilder::default().open(storage).map_err(load_error)?;
    if host.frags {
        open.progs.xdplog.set_flags(libbpf_sys::BPF_F_XDP_HAS_FRAGS);
    }
    open.maps.batches.set_max_entries(host.cpus).context("cannot size the batches")?;
    // Of itself libbpf takes the number of CPUs, beyond which a CPU's may be.
    for map in [&mut open.maps.events, &mut open.maps.events_quiet] {
        map.set_max_entries(host.cpus).context("cannot size the table of rings")?;
    }
    for table in [&mut open.maps.overflow_a, &mut open.maps.overflow_b] {
        table.set_max_entries(setup.overflow_sources).context("cannot size a table")?;
    }

    let rodata = open.maps.rodata_data.as_deref_mut().context("the program has no knobs")?;
    let knobs = &mut rodata.knobs;
    knobs.batch_bytes = ring::batch_bytes(setup.ring_size);
    knobs.part = ring::part(knobs.batch_bytes);
    knobs.snaplen = ring::snaplen(setup.snaplen, knobs.part);
    knobs.sample = setup.sample;
    knobs.rate = setup.rate;
    knobs.not_ip = setup.not_ip;
    knobs.families = setup.families;
    knobs.frags = host.frags.into();
    knobs.realtime = setup.realtime.into();
    knobs.slot = slot as u32;
    knobs.raw = (setup.links.get(slot) == Some(&LinkType::Ip)).into();
    let snaplen = knobs.snaplen;
    Ok((open, snaplen))
}

/// The maps of the first interface's program.
#[derive(Clone, Copy)]
struct Maps<'fd> {
    events: BorrowedFd<'fd>,
    events_quiet: BorrowedFd<'fd>,
    batches: BorrowedFd<'fd>,
    counters: BorrowedFd<'fd>,
    overflow_a: BorrowedFd<'fd>,
    overflow_b: BorrowedFd<'fd>,
    overflow: BorrowedFd<'fd>,
    overflow_others: BorrowedFd<'fd>,
    allowance: BorrowedFd<'fd>,
    ringless: BorrowedFd<'fd>,
}

/// Load the program for the interface in this slot, with the maps of the first.
fn load_for(slot: usize, setup: &Setup, host: Host, first: Maps<'_>) -> Result<OwnedFd> {
    let mut storage = MaybeUninit::uninit();
    let (mut open, _) = open(&mut storage, setup, host, slot)?;
    open.progs.xdplog_flush.set_autoload(false);
    let maps = &mut open.maps;
    for (map, first) in [
        (&mut maps.events, first.events),
        (&mut maps.events_quiet, first.events_quiet),
        (&mut maps.batches, first.batches),
        (&mut maps.counters, first.counters),
        (&mut maps.overflow_a, first.overflow_a),
        (&mut maps.overflow_b, first.overflow_b),
        (&mut maps.overflow, first.overflow),
        (&mut maps.overflow_others, first.overflow_others),
        (&mut maps.allowance, first.allowance),
        (&mut maps.ringless, first.ringless),
    ] {
        map.reuse_fd(first).context("cannot share a map")?;
    }
    let skel = open.load().map_err(load_error)?;
    skel.progs.xdplog.as_fd().try_clone_to_owned().context("cannot keep a program")
}

/// How many threads load so many programs: each takes a CPU, and some
/// [`LOADER_DESCRIPTORS`] until it is done.
fn loaders(programs: usize) -> usize {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    programs.min(cpus).clamp(1, 8)
}

impl Probe {
    /// Load the first interface's program. Nothing is attached yet.
    pub fn load(setup: &Setup) -> Result<Probe> {
        check_privilege()?;
        libbpf_rs::set_print(Some((PrintLevel::Warn, keep_message)));
        if let Ok(mut said) = LIBBPF_SAID.lock() {
            *said = advice::Said::new();
        }
        let host = Host::look()?;
        if setup.snaplen > 0 && !host.frags {
            return Err(advice::no_capture());
        }
        // The skeleton borrows this for as long as it lives, and its owner has
        // to be free to move: some 100 bytes for each load are the price.
        let storage = Box::leak(Box::new(MaybeUninit::uninit()));
        let (open, snaplen) = open(storage, setup, host, 0)?;
        let skel = open.load().map_err(load_error)?;
        Ok(Probe { skel, others: Vec::new(), setup: setup.clone(), host, snaplen })
    }

    /// Load the other interfaces' programs. What takes long is the verifier, some
    /// 20 ms for each, so several are loaded at a time.
    pub fn load_others(&mut self) -> Result<()> {
        let maps = &self.skel.maps;
        let first = Maps {
            events: maps.events.as_fd(),
            events_quiet: maps.events_quiet.as_fd(),
            batches: maps.batches.as_fd(),
            counters: maps.counters.as_fd(),
            overflow_a: maps.overflow_a.as_fd(),
            overflow_b: maps.overflow_b.as_fd(),
            overflow: maps.overflow.as_fd(),
            overflow_others: maps.overflow_others.as_fd(),
            allowance: maps.allowance.as_fd(),
            ringless: maps.ringless.as_fd(),
        };
        let others: Vec<usize> = (1..self.slots()).collect();
        let (setup, host) = (&self.setup, self.host);
        let share = others.len().div_ceil(loaders(others.len())).max(1);
        let loaded = thread::scope(|scope| {
            let load = |slots: &[usize]| {
                slots.iter().map(|&slot| load_for(slot, setup, host, first)).collect()
            };
            let loaders: Vec<_> = others
                .chunks(share)
                .map(|slots| scope.spawn(move || -> Result<Vec<OwnedFd>> { load(slots) }))
                .collect();
            let join = |loader: thread::ScopedJoinHandle<'_, _>| {
                loader.join().unwrap_or_else(|_| Err(anyhow!("a thread that loads a program died")))
            };
            loaders.into_iter().map(join).collect::<Result<Vec<_>>>()
        });
        self.others = loaded?.into_iter().flatten().collect();
        Ok(())
    }

    fn slots(&self) -> usize {
        self.setup.links.len()
    }

    /// The program of the interface in this slot.
    fn program_for(&self, slot: usize) -> BorrowedFd<'_> {
        match slot.checked_sub(1).and_then(|other| self.others.get(other)) {
            Some(program) => program.as_fd(),
            None => self.skel.progs.xdplog.as_fd(),
        }
    }

    /// Bytes of each frame that are captured at most: as many as were asked for,
    /// or as come in as many samples as there may be.
    pub fn snaplen(&self) -> u32 {
        self.snaplen
    }

    /// The first interface's program, for running it on test frames.
    pub fn program(&self) -> &libbpf_rs::ProgramMut<'static> {
        &self.skel.progs.xdplog
    }

    /// The tables of packets that find no room. To be had once, before the
    /// program is attached.
    pub fn overflow(&self) -> Result<Overflow> {
        let maps = &self.skel.maps;
        let handle = |map| MapHandle::try_from(map).context("cannot share a map");
        Overflow::new(
            handle(&maps.overflow)?,
            [handle(&maps.overflow_a)?, handle(&maps.overflow_b)?],
            handle(&maps.overflow_others)?,
            self.slots(),
        )
    }

    /// The counters.
    pub fn counters(&self) -> Result<CounterMap> {
        let map = MapHandle::try_from(&self.skel.maps.counters).context("cannot share a map")?;
        Ok(CounterMap { map, slots: self.slots() })
    }

    /// Attach to `iface`, the interface in this slot, by a link that goes with this
    /// process.
    pub fn attach(&self, slot: usize, iface: &Interface, mode: Mode) -> Result<Attachment> {
        let index = i32::try_from(iface.index).context("interface index")?;
        let attach = |flags| {
            let attached = sys::attach_xdp(self.program_for(slot), index, flags);
            // The kernel calls an interface that is gone an invalid argument.
            attached.map_err(|err| match if_indextoname(iface.index) {
                Ok(name) if !name.is_empty() => err,
                // nix takes it that a name without a byte was found.
                Ok(_) | Err(_) => io::Error::from_raw_os_error(libc::ENODEV),
            })
        };
        let driver = iface.driver();
        let attached = |link, native| Attachment {
            link,
            whereabouts: Whereabouts::here(iface),
            slot,
            name: iface.name.clone(),
            native,
            driver: driver.clone(),
            lost: Vec::new(),
        };

        // Whoever asks for no mode gets the one that costs the host least.
        let refused = match drivers::first_choice(mode, driver.as_deref()) {
            Mode::Generic => None,
            Mode::Auto | Mode::Native => match attach(libbpf_sys::XDP_FLAGS_DRV_MODE) {
                Ok(link) => return Ok(attached(link, true)),
                Err(err) => Some(err),
            },
        };
        if let Some(err) = &refused {
            match err.raw_os_error() {
                Some(libc::ENODEV | libc::EPERM | libc::EACCES) => {
                    return Err(advice::attach_failed(&iface.name, err));
                }
                // Also drivers say so, for reasons of their own.
                Some(libc::EBUSY | libc::EEXIST) => self.check_free(iface)?,
                _ => {}
            }
            if mode == Mode::Native {
                return Err(advice::no_native(&iface.name, err));
            }
        }
        let before = iface.features();
        match attach(libbpf_sys::XDP_FLAGS_SKB_MODE) {
            Ok(link) => {
                let mut attachment = attached(link, false);
                attachment.lost = drivers::lost(&before, &iface.features());
                Ok(attachment)
            }
            Err(err) => {
                self.check_free(iface)?;
                Err(advice::attach_failed(&iface.name, &err))
            }
        }
    }

    /// Fails if `iface` runs an XDP program, with its id and name.
    pub fn check_free(&self, iface: &Interface) -> Result<()> {
        let query =
            Xdp::new(self.skel.progs.xdplog.as_fd()).query(iface.index as i32, XdpFlags::NONE).ok();
        let Some(id) = query.and_then(|q| {
            [q.prog_id, q.drv_prog_id, q.skb_prog_id, q.hw_prog_id].into_iter().find(|&id| id != 0)
        }) else {
            return Ok(());
        };
        Err(advice::occupied(&iface.name, id, program_name(id).as_deref()))
    }
}

/// What the program with this id is called, as far as this process may know:
/// that takes CAP_SYS_ADMIN.
pub fn program_name(id: u32) -> Option<String> {
    let program = ProgramHandle::from_prog_id(id).ok()?;
    Some(program.name().to_string_lossy().into_owned())
}

/// The kernel side's counters.
#[derive(Debug)]
pub struct CounterMap {
    map: MapHandle,
    slots: usize,
}

impl CounterMap {
    /// The counters as they are now, all CPUs added up, by interface slot.
    pub fn read(&self) -> Result<Vec<Counters>> {
        let mut slots = vec![Counters::default(); self.slots];
        for (slot, counters) in slots.iter_mut().enumerate() {
            let per_cpu = self
                .map
                .lookup_percpu(&(slot as u32).to_ne_bytes(), MapFlags::ANY)
                .context("cannot read the counters")?
                .context("the counters have no such slot")?;
            for value in &per_cpu {
                *counters +=
                    Counters::from_bytes(value).context("the counters have another size")?;
            }
        }
        Ok(slots)
    }
}

/// The program on one interface. Dropping it detaches, and so does the end of
/// the process, however it ends.
#[derive(Debug)]
pub struct Attachment {
    link: OwnedFd,
    whereabouts: Whereabouts,
    /// The interface's slot.
    pub slot: usize,
    /// The interface's name, as it is logged.
    pub name: String,
    /// Whether the program runs in the driver.
    pub native: bool,
    driver: Option<String>,
    /// Features of the interface that attaching turned off, by the names that
    /// `ethtool -k` has; they stay off.
    pub lost: Vec<String>,
}

/// Why a program is on its interface no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The interface was deleted.
    Deleted,
    /// Somebody else detached the program.
    Detached,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        sys::detach(self.link.as_fd());
    }
}

impl Attachment {
    /// Why the program is on the interface no more, if it is not.
    pub fn gone(&self) -> Option<Gone> {
        match LinkInfo::from_fd(self.link.as_fd()).map(|link| link.info) {
            // The kernel clears the index in either case.
            Ok(LinkTypeInfo::Xdp(xdp)) if xdp.ifindex == 0 => {
                let is_there = self.whereabouts.is_there();
                Some(if is_there { Gone::Detached } else { Gone::Deleted })
            }
            _ => None,
        }
    }

    /// What became of these interfaces since the last time, by slot: they may be renamed
    /// or moved.
    pub fn news(attached: &mut [Attachment]) -> Vec<(usize, News)> {
        let seen =
            |attachment: &Attachment| Seen::of(&LinkInfo::from_fd(attachment.link.as_fd()).ok()?);
        // All of them before any table is read.
        let seen: Vec<Option<Seen>> = attached.iter().map(seen).collect();
        let mut tables = Tables::new();
        let news = attached.iter_mut().zip(seen).filter_map(|(attachment, seen)| {
            Some((attachment.slot, attachment.whereabouts.look(seen?, &mut tables)?))
        });
        news.collect()
    }

    /// Whether the interface has this driver.
    pub fn is_on(&self, costs: &Costly) -> bool {
        self.driver.as_deref() == Some(costs.driver)
    }

    /// How the program is attached, in the words of `--mode`.
    pub fn mode(&self) -> &'static str {
        if self.native { "native" } else { "generic" }
    }
}

fn load_error(err: libbpf_rs::Error) -> anyhow::Error {
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    advice::load_failed(&os_error(&err), &release, &said())
}

/// The operating system's error behind one of libbpf-rs's, which keeps the
/// code to itself and tells a kind.
pub fn os_error(err: &libbpf_rs::Error) -> io::Error {
    use libbpf_rs::ErrorKind;
    let code = match err.kind() {
        ErrorKind::PermissionDenied => libc::EPERM,
        ErrorKind::OutOfMemory => libc::ENOMEM,
        ErrorKind::InvalidInput => libc::EINVAL,
        ErrorKind::TooBig => libc::E2BIG,
        _ => return io::Error::other(format!("{err:#}")),
    };
    io::Error::from_raw_os_error(code)
}

/// Descriptors that a run takes beside one for each CPU's ring: maps, programs,
/// signals, what is written to.
const DESCRIPTORS: u64 = 48;

/// An interface takes a program and a link.
const IFACE_DESCRIPTORS: u64 = 2;

/// A thread that loads a program takes so many for its maps meanwhile.
const LOADER_DESCRIPTORS: u64 = 32;

/// Whether what is read of the kernel is there to be read.
pub fn check_mounts() -> Result<()> {
    for (dir, kind, part) in
        [("/proc", "proc", "/proc/self/status"), ("/sys", "sysfs", "/sys/devices/system/cpu")]
    {
        if !Path::new(part).exists() {
            return Err(advice::not_mounted(dir, kind));
        }
    }
    Ok(())
}

/// Descriptors that are open now.
pub fn open_descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64)
}

/// Make room for all descriptors that will be needed, beside those that were `open`
/// at the start, so that none is found missing in the middle: raise the limit as
/// far as this process may.
pub fn reserve_descriptors(open: u64, cpus: u64, ifaces: usize) -> Result<()> {
    let loaders = if ifaces > 1 { loaders(ifaces - 1) as u64 } else { 0 };
    let needed = open
        + DESCRIPTORS
        + cpus
        + IFACE_DESCRIPTORS * ifaces as u64
        + LOADER_DESCRIPTORS * loaders;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("no limits are told")?;
    if soft < needed && setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard).is_err()
        || hard < needed
    {
        return Err(advice::too_few_descriptors(hard, needed));
    }
    Ok(())
}

fn check_privilege() -> Result<()> {
    let status = fs::read_to_string("/proc/thread-self/status").context("cannot read /proc")?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .ok_or_else(|| anyhow!("/proc tells no capabilities"))?;
    match advice::missing_capabilities(effective) {
        missing if missing.is_empty() => Ok(()),
        missing => Err(advice::no_privilege(&missing)),
    }
}
