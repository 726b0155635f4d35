//! BPF programs to run on frames, whoever loaded them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use libbpf_rs::libbpf_sys;

/// A program, by its descriptor.
pub struct Program(OwnedFd);

impl Program {
    /// `return XDP_PASS`: what the harness itself costs.
    pub fn empty() -> Program {
        Program::compile("benches/bpf/empty.bpf.c")
    }

    /// The only program of a C file.
    pub fn compile(source: &'static str) -> Program {
        let object = crate::common::program::load(source, |_| ());
        let program = object.progs().next().expect("a program");
        Program(program.as_fd().try_clone_to_owned().unwrap())
    }

    /// A program that another process loaded.
    pub fn by_id(id: u32) -> Program {
        // SAFETY: a system call on a number.
        Program::from_raw(unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) })
    }

    fn from_raw(fd: i32) -> Program {
        assert!(fd >= 0, "{}", std::io::Error::from_raw_os_error(-fd));
        // SAFETY: a new descriptor, nobody else's.
        Program(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Run on `frame` `repeat` times; seconds in all. By the clock on the wall:
    /// the kernel's own account leaves out the interrupts that a program causes.
    pub fn run(&self, frame: &[u8], repeat: u32) -> f64 {
        let since = Instant::now();
        let mut opts = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
            data_in: frame.as_ptr().cast(),
            data_size_in: frame.len() as u32,
            repeat: repeat as i32,
            ..Default::default()
        };
        // SAFETY: the frame outlives the call and is as long as told.
        let err = unsafe { libbpf_sys::bpf_prog_test_run_opts(self.0.as_raw_fd(), &mut opts) };
        assert_eq!(err, 0, "{}", std::io::Error::from_raw_os_error(-err));
        since.elapsed().as_secs_f64()
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
