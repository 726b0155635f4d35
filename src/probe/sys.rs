//! The calls that libbpf-rs has no safe form of. The only place with `unsafe`
//! beside the record's `Plain`.

#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_rs::{PerfBuffer, libbpf_sys};

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

/// The descriptor that is readable when a ring has samples.
pub fn ring_fd<'a>(rings: &'a PerfBuffer<'_>) -> BorrowedFd<'a> {
    // SAFETY: it is open for as long as the buffer is borrowed; libbpf-rs
    // answers it as a bare number.
    unsafe { BorrowedFd::borrow_raw(rings.epoll_fd()) }
}
