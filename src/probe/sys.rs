//! The calls that libbpf-rs has no safe form of. The only place with `unsafe`
//! beside the record's `Plain`.

#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use libbpf_rs::{AsRawLibbpf, MapCore, PerfBuffer, libbpf_sys};
use nix::libc;

/// Attach an XDP program to an interface by a link, which detaches with its
/// descriptor. `flags` are `XDP_FLAGS_*_MODE` (`linux/if_link.h`), which
/// libbpf-rs's `attach_xdp` does not take.
pub fn attach_xdp(program: BorrowedFd<'_>, ifindex: i32, flags: u32) -> io::Result<OwnedFd> {
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        flags,
        ..Default::default()
    };
    // SAFETY: the descriptor is open while it is borrowed, and opts outlives
    // the call. libbpf answers a descriptor or a negative errno.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), ifindex, libbpf_sys::BPF_XDP, &opts)
    };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a fresh descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Detach a link now, whoever else holds it: closing it does so only for the
/// last one.
pub fn detach(link: BorrowedFd<'_>) {
    // SAFETY: a system call on an open descriptor. It fails where the interface
    // is gone, and the program with it.
    unsafe { libbpf_sys::bpf_link_detach(link.as_raw_fd()) };
}

/// Empty a hash map, `chunk` entries at a time, each shown to `each` as key and
/// value. libbpf-rs's iterator takes a call that got fewer entries than asked
/// for as the last, which with a hash map it need not be.
pub fn drain_map(
    map: &impl MapCore,
    chunk: u32,
    mut each: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    let (key, value) = (map.key_size() as usize, map.value_size() as usize);
    let mut keys = vec![0u8; key * chunk as usize];
    let mut values = vec![0u8; value * chunk as usize];
    // Where the kernel goes on: for a hash map a bucket's number, in 4 bytes.
    let mut position = 0u32;
    let mut first = true;
    loop {
        let mut count = chunk;
        let from = if first { ptr::null_mut() } else { (&raw mut position).cast() };
        // SAFETY: keys and values hold as many entries as count says, position
        // is what the kernel left there, and without options there are none.
        let err = unsafe {
            libbpf_sys::bpf_map_lookup_and_delete_batch(
                map.as_fd().as_raw_fd(),
                from,
                (&raw mut position).cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                ptr::null(),
            )
        };
        // ENOENT says that this was the end, and count how many came before it.
        let end = err == -libc::ENOENT;
        if err < 0 && !end {
            return Err(io::Error::from_raw_os_error(-err));
        }
        let entries = keys.chunks_exact(key).zip(values.chunks_exact(value));
        entries.take(count as usize).for_each(|(key, value)| each(key, value));
        if end {
            return Ok(());
        }
        first = false;
    }
}

/// Run a raw tracepoint program once on `cpu`; what it returned. libbpf-rs has
/// this on `ProgramMut` alone, which cannot go to another thread.
pub fn run_on_cpu(program: BorrowedFd<'_>, cpu: u32) -> io::Result<u32> {
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
        flags: libbpf_sys::BPF_F_TEST_RUN_ON_CPU,
        cpu,
        ..Default::default()
    };
    // SAFETY: the descriptor is open while it is borrowed; opts outlives the
    // call and names no buffers.
    let err = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut opts) };
    if err < 0 { Err(io::Error::from_raw_os_error(-err)) } else { Ok(opts.retval) }
}

/// An event that BPF programs write to.
fn bpf_output() -> libbpf_sys::perf_event_attr {
    libbpf_sys::perf_event_attr {
        type_: libbpf_sys::PERF_TYPE_SOFTWARE,
        size: size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: u64::from(libbpf_sys::PERF_COUNT_SW_BPF_OUTPUT),
        sample_type: u64::from(libbpf_sys::PERF_SAMPLE_RAW),
        ..Default::default()
    }
}

/// A perf event on `cpu` that BPF programs write to and that wakes nobody; what
/// is written goes into the ring of the event `ring`, which has to be on the
/// same CPU. See perf_event_open(2), `PERF_EVENT_IOC_SET_OUTPUT`.
pub fn quiet_event(cpu: u32, ring: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // wakeup_events and wakeup_watermark are 0: no number of samples wakes.
    let attr = bpf_output();
    let any_process = -1;
    let no_group = -1;
    // SAFETY: attr is as large as it says and outlives the call; the rest are
    // numbers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            any_process,
            cpu as libc::c_int,
            no_group,
            libbpf_sys::PERF_FLAG_FD_CLOEXEC as libc::c_ulong,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else knows.
    let event = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    // SAFETY: an ioctl whose argument is a number.
    let err =
        unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_OUTPUT, ring.as_raw_fd()) };
    if err < 0 { Err(io::Error::last_os_error()) } else { Ok(event) }
}

/// `struct ethtool_drvinfo` of `linux/ethtool.h`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}
const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `ETHTOOL_GDRVINFO` of `linux/ethtool.h`.
const ETHTOOL_GDRVINFO: u32 = 3;

/// The name of an interface's driver, as `ethtool -i` has it.
pub fn driver(iface: &str) -> io::Result<String> {
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    ethtool(iface, &mut info)?;
    let end = info.driver.iter().position(|&byte| byte == 0).unwrap_or(info.driver.len());
    Ok(String::from_utf8_lossy(&info.driver[..end]).into_owned())
}

/// `ETHTOOL_GSSET_INFO`, `ETHTOOL_GSTRINGS`, `ETHTOOL_GFEATURES` of
/// `linux/ethtool.h`.
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// `ETH_SS_FEATURES`, and the bytes of each name: `ETH_GSTRING_LEN`.
const SET_FEATURES: u32 = 4;
const STRING_LEN: usize = 32;

/// The features of an interface that are on, by the names that `ethtool -k` has.
pub fn features(iface: &str) -> io::Result<Vec<String>> {
    // The command, reserved, a mask of sets in 64 bits, how many there are of each.
    let mut count = [ETHTOOL_GSSET_INFO, 0, 0, 0, 0];
    let mask = (1u64 << SET_FEATURES).to_ne_bytes();
    for (word, bytes) in count[2..4].iter_mut().zip(mask.chunks_exact(4)) {
        *word = bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    }
    ethtool(iface, &mut count)?;
    // More than there will ever be is none.
    let count = (count[4] as usize).min(1024);
    let mut names = vec![0u32; 3 + count * STRING_LEN / 4];
    names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, SET_FEATURES, count as u32]);
    ethtool(iface, &mut names[..])?;
    let blocks = count.div_ceil(32);
    // Of each block: available, requested, active, never changed.
    let mut bits = vec![0u32; 2 + 4 * blocks];
    bits[..2].copy_from_slice(&[ETHTOOL_GFEATURES, blocks as u32]);
    ethtool(iface, &mut bits[..])?;
    let names: Vec<u8> = names[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let on = names.chunks_exact(STRING_LEN).enumerate().filter(|(bit, _)| {
        let active = bits[2 + 4 * (bit / 32) + 2];
        active >> (bit % 32) & 1 == 1
    });
    let text = |name: &[u8]| {
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(STRING_LEN);
        String::from_utf8_lossy(&name[..end]).into_owned()
    };
    Ok(on.map(|(_, name)| text(name)).collect())
}

/// Let the kernel carry out the command that `data`, one of the structs of
/// `linux/ethtool.h`, begins with, on an interface of this thread's namespace.
fn ethtool<T: ?Sized>(iface: &str, data: &mut T) -> io::Result<()> {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut name = [0; libc::IFNAMSIZ];
    // The last byte stays the NUL that ends it.
    for (to, from) in name.iter_mut().take(libc::IFNAMSIZ - 1).zip(iface.bytes()) {
        *to = from as libc::c_char;
    }
    let ifru_data = (&raw mut *data).cast();
    let mut request =
        libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data } };
    // SAFETY: the socket is open; the request and what it points to outlive the
    // call, in which the kernel writes no more than the command's struct.
    let err = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if err < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `_IO('$', 5)` of `linux/perf_event.h`.
const PERF_EVENT_IOC_SET_OUTPUT: libc::c_ulong = 0x2405;

/// One CPU's ring of a perf buffer, read in place. The buffer's own callback
/// would be called for all rings, one at a time; this way each ring can be read
/// by a thread of its own.
pub struct Ring {
    header: NonNull<libbpf_sys::perf_event_mmap_page>,
    /// The data area, a power of two of bytes.
    data: NonNull<u8>,
    size: usize,
    event: RawFd,
    /// Where a sample is put together that goes over the ring's end; of u64, as
    /// samples are aligned so.
    whole: Vec<u64>,
    /// Unmaps the ring when it goes.
    _owner: Owner,
}

/// Who has a ring mapped. To be had, not to be looked at.
#[allow(dead_code)]
enum Owner {
    /// What libbpf opened for all CPUs together.
    All(Arc<Mutex<PerfBuffer<'static>>>),
    /// What it opened for this one.
    One(LoneBuffer),
}

// SAFETY: the mapping lives as long as the owner, which each ring shares, and
// only one ring is made of it; the kernel side is synchronised by head and tail.
unsafe impl Send for Ring {}

/// Size of `struct perf_event_header`, and of the size before a sample's data.
const HEADER: usize = size_of::<libbpf_sys::perf_event_header>();
const RAW_SIZE: usize = size_of::<u32>();

/// The rings of `buffer`, each once, in the order of their CPUs.
pub fn rings(buffer: PerfBuffer<'static>) -> io::Result<Vec<Ring>> {
    let (raw, count) = (buffer.as_libbpf_object(), buffer.buffer_cnt());
    let owner = Arc::new(Mutex::new(buffer));
    (0..count).map(|index| ring(raw, index, Owner::All(Arc::clone(&owner)))).collect()
}

/// A perf buffer of libbpf's with the ring of one CPU.
struct LoneBuffer {
    raw: NonNull<libbpf_sys::perf_buffer>,
    /// libbpf sets an entry of a map for each ring, and removes it with the ring, also
    /// where it is another's by now. So this has a map of its own, which has to live
    /// as long.
    _map: OwnedFd,
}

impl Drop for LoneBuffer {
    fn drop(&mut self) {
        // SAFETY: libbpf made it, and nobody else frees it.
        unsafe { libbpf_sys::perf_buffer__free(self.raw.as_ptr()) };
    }
}

/// Open a ring of so many bytes, a power of two of pages, for `cpu`, which has to be
/// online. Which map names it is up to the caller. `perf_buffer__new` would open the
/// rings of all CPUs, as far as their numbers are below their count.
pub fn open_ring(cpu: u32, bytes: u64) -> io::Result<Ring> {
    let entry = size_of::<u32>() as u32;
    // SAFETY: neither a name nor options are given. The answer is a descriptor or a
    // negative errno.
    let map = unsafe {
        libbpf_sys::bpf_map_create(
            libbpf_sys::BPF_MAP_TYPE_PERF_EVENT_ARRAY,
            ptr::null(),
            entry,
            entry,
            1,
            ptr::null(),
        )
    };
    if map < 0 {
        return Err(io::Error::from_raw_os_error(-map));
    }
    // SAFETY: a fresh descriptor that nobody else knows.
    let map = unsafe { OwnedFd::from_raw_fd(map) };
    let mut attr = libbpf_sys::perf_event_attr {
        // As libbpf has it where it opens them all: each sample wakes.
        __bindgen_anon_1: libbpf_sys::perf_event_attr__bindgen_ty_1 { sample_period: 1 },
        __bindgen_anon_2: libbpf_sys::perf_event_attr__bindgen_ty_2 { wakeup_events: 1 },
        ..bpf_output()
    };
    let (mut cpus, mut keys) = ([cpu as libc::c_int], [0]);
    let opts = libbpf_sys::perf_buffer_raw_opts {
        sz: size_of::<libbpf_sys::perf_buffer_raw_opts>() as _,
        cpu_cnt: 1,
        cpus: cpus.as_mut_ptr(),
        map_keys: keys.as_mut_ptr(),
        ..Default::default()
    };
    // SAFETY: the map is open, attr and opts outlive the call with what they point
    // to, and without a callback none is called.
    let raw = unsafe {
        libbpf_sys::perf_buffer__new_raw(
            map.as_raw_fd(),
            (bytes / page_size()?) as _,
            &raw mut attr,
            None,
            ptr::null_mut(),
            &raw const opts,
        )
    };
    // libbpf answers NULL and leaves errno.
    let raw = NonNull::new(raw).ok_or_else(io::Error::last_os_error)?;
    ring(raw, 0, Owner::One(LoneBuffer { raw, _map: map }))
}

/// The ring at `index` of the buffer that `owner` has.
fn ring(raw: NonNull<libbpf_sys::perf_buffer>, index: usize, owner: Owner) -> io::Result<Ring> {
    let page = page_size()? as usize;
    let (mut base, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the buffer lives, in `owner`; the rest are places to write to.
    let (err, event) = unsafe {
        (
            libbpf_sys::perf_buffer__buffer(raw.as_ptr(), index as _, &raw mut base, &raw mut size),
            libbpf_sys::perf_buffer__buffer_fd(raw.as_ptr(), index as _),
        )
    };
    let base = NonNull::new(base.cast::<u8>()).filter(|_| event >= 0);
    let base = base.ok_or_else(|| io::Error::from_raw_os_error(-err.min(event)))?;
    Ok(Ring {
        header: base.cast(),
        // SAFETY: libbpf maps a page for the header, and then `size` bytes.
        data: unsafe { base.add(page) },
        size: size as usize,
        event,
        whole: Vec::new(),
        _owner: owner,
    })
}

/// Bytes of a page, which the kernel maps.
pub fn page_size() -> io::Result<u64> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    size.and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| io::Error::other("the system tells no page size"))
}

impl Ring {
    /// Show the data of each sample that is in the ring to `each`, aligned to 4
    /// bytes, and make room. The layout is that of perf_event_open(2), "MMAP
    /// layout", with samples of `PERF_SAMPLE_RAW` alone. Fails where what is in
    /// the ring is no such thing.
    pub fn read(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        // SAFETY: the page is mapped as long as the ring lives. Kernel and user
        // space share these two fields, so they are accessed as atomics only.
        let (head, tail) = unsafe {
            let page = self.header.as_ptr();
            (
                AtomicU64::from_ptr(&raw mut (*page).data_head),
                AtomicU64::from_ptr(&raw mut (*page).data_tail),
            )
        };
        // What was written before the head was moved is seen after it is read.
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        while at != end {
            let left = usize::try_from(end.wrapping_sub(at)).unwrap_or(usize::MAX);
            let (kind, size) = self.record_at(at);
            if size < HEADER || size > left.min(self.size) {
                return Err(io::Error::other("a perf ring holds a record of no possible size"));
            }
            if kind == libbpf_sys::PERF_RECORD_SAMPLE {
                each(raw_data(self.bytes(at, size)));
            }
            // Any other kind is PERF_RECORD_LOST: a hint at what the kernel side
            // has counted exactly.
            at = at.wrapping_add(size as u64);
            // Room for the kernel, once all of the sample has been looked at.
            tail.store(at, Ordering::Release);
        }
        Ok(())
    }

    /// Type and size of the record at this position of the ring.
    fn record_at(&self, at: u64) -> (libbpf_sys::perf_event_type, usize) {
        let offset = at as usize & (self.size - 1);
        // SAFETY: within the data area by the mask, and not over its end, as
        // records are aligned to the 8 bytes that a header is long.
        let header = unsafe {
            self.data.add(offset).cast::<libbpf_sys::perf_event_header>().as_ptr().read()
        };
        (header.type_, usize::from(header.size))
    }

    /// `size` bytes from this position on, which are in the ring.
    fn bytes(&mut self, at: u64, size: usize) -> &[u8] {
        let offset = at as usize & (self.size - 1);
        let before_end = (self.size - offset).min(size);
        if before_end == size {
            // SAFETY: these bytes are in the data area, and the kernel does not
            // write to them before the tail has passed them.
            return unsafe { slice::from_raw_parts(self.data.add(offset).as_ptr(), size) };
        }
        self.whole.resize(size.div_ceil(size_of::<u64>()), 0);
        // SAFETY: as above, in two parts; `whole` has room for both.
        unsafe {
            let whole = self.whole.as_mut_ptr().cast::<u8>();
            whole.copy_from_nonoverlapping(self.data.add(offset).as_ptr(), before_end);
            whole.add(before_end).copy_from_nonoverlapping(self.data.as_ptr(), size - before_end);
            slice::from_raw_parts(whole, size)
        }
    }
}

impl AsFd for Ring {
    /// Readable when the kernel has woken the ring's reader.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open as long as the owner lives.
        unsafe { BorrowedFd::borrow_raw(self.event) }
    }
}

/// The data of a `PERF_RECORD_SAMPLE` with `PERF_SAMPLE_RAW`: behind the header
/// its size, which is a claim, and then itself.
fn raw_data(sample: &[u8]) -> &[u8] {
    let raw = sample.get(HEADER..).unwrap_or(&[]);
    let Some((size, data)) = raw.split_first_chunk::<RAW_SIZE>() else { return &[] };
    data.get(..u32::from_ne_bytes(*size) as usize).unwrap_or(data)
}
