//! The calls that libbpf-rs has no safe form of. The only place with `unsafe`
//! beside the record's `Plain`.

#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libbpf_rs::{MapCore, PerfBuffer, libbpf_sys};
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

/// A perf event on `cpu` that BPF programs write to and that wakes nobody; what
/// is written goes into the ring of the event `ring`, which has to be on the
/// same CPU. See perf_event_open(2), `PERF_EVENT_IOC_SET_OUTPUT`.
pub fn quiet_event(cpu: u32, ring: RawFd) -> io::Result<OwnedFd> {
    // wakeup_events and wakeup_watermark are 0: no number of samples wakes.
    let attr = libbpf_sys::perf_event_attr {
        type_: libbpf_sys::PERF_TYPE_SOFTWARE,
        size: size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: u64::from(libbpf_sys::PERF_COUNT_SW_BPF_OUTPUT),
        sample_type: u64::from(libbpf_sys::PERF_SAMPLE_RAW),
        ..Default::default()
    };
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
    let err = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_OUTPUT, ring) };
    if err < 0 { Err(io::Error::last_os_error()) } else { Ok(event) }
}

/// `_IO('$', 5)` of `linux/perf_event.h`.
const PERF_EVENT_IOC_SET_OUTPUT: libc::c_ulong = 0x2405;

/// The descriptor that is readable when a ring has samples.
pub fn ring_fd<'a>(rings: &'a PerfBuffer<'_>) -> BorrowedFd<'a> {
    // SAFETY: it is open for as long as the buffer is borrowed; libbpf-rs
    // answers it as a bare number.
    unsafe { BorrowedFd::borrow_raw(rings.epoll_fd()) }
}
