//! Traffic at full speed: BPF_PROG_TEST_RUN sends live frames through a program
//! of four instructions that redirects them into a veth end.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use nix::net::if_::if_nametoindex;

use super::net::Net;

/// Send `frame` `count` times into `thereN`, so that it arrives at `hereN`,
/// which has to have an XDP program. May lose some where the veth's queue is
/// full: the interface's counters tell.
pub fn flood(net: &Net, n: u32, frame: &[u8], count: u32) {
    net.there(|| {
        let index = if_nametoindex(&*format!("there{n}")).unwrap();
        send(&redirect_to(index), frame, count);
    });
}

/// r1 = ifindex; r2 = 0; bpf_redirect(); exit
fn redirect_to(ifindex: u32) -> OwnedFd {
    let insn = |code: u8, dst: u8, imm: i32| {
        let mut insn = libbpf_sys::bpf_insn { code, imm, ..Default::default() };
        insn.set_dst_reg(dst);
        insn
    };
    let program = [
        insn(0xb7, 1, ifindex as i32),
        insn(0xb7, 2, 0),
        insn(0x85, 0, libbpf_sys::BPF_FUNC_redirect as i32),
        insn(0x95, 0, 0),
    ];
    // SAFETY: name and license end in NUL, the program is as long as told, and
    // no options are given. What comes back is a new descriptor or an error.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"redirect".as_ptr(),
            c"GPL".as_ptr(),
            program.as_ptr(),
            program.len() as _,
            std::ptr::null_mut(),
        )
    };
    assert!(fd >= 0, "load the redirecting program: {}", std::io::Error::from_raw_os_error(-fd));
    // SAFETY: it is new and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn send(program: &OwnedFd, frame: &[u8], count: u32) {
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
        data_in: frame.as_ptr().cast(),
        data_size_in: frame.len() as u32,
        repeat: count as i32,
        flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
        ..Default::default()
    };
    // SAFETY: the frame outlives the call, and is as long as told.
    let err = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut opts) };
    assert_eq!(err, 0, "send live frames: {}", std::io::Error::from_raw_os_error(-err));
}
