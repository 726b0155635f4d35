//! The descriptors that this process was started with: which of them were closed,
//! and which can be written to. Nothing is opened here, nor written.
//!
//! Rust's runtime opens /dev/null in place of a standard descriptor that is closed
//! (`sanitize_standard_fds` of its `sys/pal/unix`), before `main` is. What is written
//! there would count as written. So this looks before that.

#![allow(unsafe_code)]

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::libc;

/// A bit for each standard descriptor that was closed, by its number.
static CLOSED: AtomicU8 = AtomicU8::new(0);

// SAFETY: the section is one of pointers to functions that the loader calls, one
// after the other, before anything of Rust's runtime is set up: `look` takes no
// arguments, uses nothing of it, and returns.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        for number in 0..3 {
            // SAFETY: a system call that touches no memory.
            if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
                CLOSED.fetch_or(1 << number, Ordering::Relaxed);
            }
        }
    }
    look
};

/// Whether this standard descriptor was closed; of others nothing is known.
pub fn was_closed(number: RawFd) -> bool {
    (0..3).contains(&number) && CLOSED.load(Ordering::Relaxed) >> number & 1 == 1
}

/// Whether this descriptor was handed on, and to be written to. Those that this
/// process opened itself close when a program is executed, which others cannot.
pub fn is_writable(number: RawFd) -> io::Result<bool> {
    let info = match fs::read_to_string(format!("/proc/self/fdinfo/{number}")) {
        Err(err) if err.kind() == ErrorKind::NotFound && Path::new("/proc/self").exists() => {
            return Ok(false);
        }
        info => info?,
    };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    // proc_pid_fdinfo(5): in octal.
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0);
    Ok(flags & libc::O_ACCMODE != libc::O_RDONLY && flags & libc::O_CLOEXEC == 0)
}

/// The descriptor that a path names, if it is one of the names that the kernel and
/// udev have for them.
pub fn named(path: &Path) -> Option<RawFd> {
    let path = path.to_str()?;
    let number = match path {
        "/dev/stdin" => return Some(0),
        "/dev/stdout" => return Some(1),
        "/dev/stderr" => return Some(2),
        _ => ["/dev/fd/", "/proc/self/fd/"].iter().find_map(|dir| path.strip_prefix(dir))?,
    };
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn names_of_descriptors() {
        for (path, number) in [
            ("/dev/stdout", Some(1)),
            ("/dev/fd/63", Some(63)),
            ("/proc/self/fd/2", Some(2)),
            ("/dev/fd/", None),
            ("/dev/fd/+1", None),
            ("/dev/null", None),
            ("stdout", None),
        ] {
            assert_eq!(named(Path::new(path)), number, "{path}");
        }
    }

    #[test]
    fn ones_own_descriptors_are_not_handed_on() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_writable(file.as_raw_fd()).unwrap());
        assert!(!is_writable(RawFd::MAX).unwrap());
        assert!(!was_closed(file.as_raw_fd()));
    }
}
