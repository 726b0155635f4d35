//! Messages, on stderr. They are told if they can be: a stderr that is closed,
//! full, or that nobody reads must not keep xdplog from its work, and least of
//! all from stopping.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc::PIPE_BUF;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::names::plain_lines;
use crate::shutdown::Shutdown;
use crate::sink::{Closed, Output};

/// How long a message waits for room.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long the last ones wait, which are the proof of the sums.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// Whether the last message found no room in its time.
static STUCK: AtomicBool = AtomicBool::new(false);

/// How long the next message may wait. Behind one that found no room none does, until
/// one has found some: with many interfaces there can be many at once, and each would
/// keep its caller from stopping.
fn patience(is_stuck: &AtomicBool) -> Duration {
    if is_stuck.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE }
}

/// Write `text`, lines without the last one's end. Where there is no room for
/// all of it, the rest is dropped. Whatever is in it, a terminal is not controlled
/// by it; but a name in it may hold the end of a line, unless it is made plain.
pub fn say(text: &str) {
    say_within(&format!("{}{}\n", clear(), plain_lines(text)), patience(&STUCK));
}

/// The same for what is said at the end.
pub fn say_last(text: &str) {
    say_within(&format!("{}{}\n", clear(), plain_lines(text)), LAST_PATIENCE);
}

/// Say in one line where the program panicked. The standard library would wait for a
/// stderr that nobody reads.
pub fn say_panics() {
    panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string().replace('\n', " ");
        say_last(&format!("xdplog: a bug: {panic}. Next: please report this"));
    }));
}

/// Whether the last thing said was a live line, in which the cursor still is.
static LIVE: AtomicBool = AtomicBool::new(false);

/// Go to the start of the line and erase it: ECMA-48, EL.
const ERASE: &str = "\r\x1b[K";

/// What does not fit in the line is not to go on in the next, where it would not
/// be erased: DECAWM, off and on.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

fn clear() -> &'static str {
    if LIVE.swap(false, Ordering::Relaxed) { ERASE } else { "" }
}

/// Say it in place of what was last said this way; for a terminal.
pub fn say_live(text: &str) {
    LIVE.store(true, Ordering::Relaxed);
    say_within(&format!("{ERASE}{NO_WRAP}{}{WRAP}", plain_lines(text)), patience(&STUCK));
}

fn say_within(text: &str, patience: Duration) {
    let stderr = io::stderr();
    let (Ok(own), Ok(limit)) = (stderr.as_fd().try_clone_to_owned(), Shutdown::new()) else {
        return say_without_descriptors(text, patience);
    };
    limit.begin(patience);
    write(own, text, &limit, &STUCK);
}

/// Write what there is room for in time, and see whether that was all.
fn write(to: OwnedFd, text: &str, limit: &Shutdown, is_stuck: &AtomicBool) {
    let (_, written) = Output::new(to, Arc::default()).write_all(text.as_bytes(), limit);
    // Whom would one tell of what failed?
    is_stuck.store(matches!(written, Err(Closed::OutOfTime)), Ordering::Relaxed);
}

/// There are no descriptors left, which is what the message may be about. What
/// fits into a pipe that has room surely does not block.
fn say_without_descriptors(text: &str, patience: Duration) {
    let stderr = io::stderr();
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
    let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let has_room = poll(&mut room, patience).is_ok_and(|ready| ready > 0);
    STUCK.store(!has_room, Ordering::Relaxed);
    if has_room {
        let text = text.as_bytes();
        let _ = nix::unistd::write(&stderr, &text[..text.len().min(PIPE_BUF)]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use nix::fcntl::OFlag;

    use super::*;

    #[test]
    fn behind_a_message_that_found_no_room_none_waits() {
        let (mut reader, writer) = io::pipe().unwrap();
        let is_stuck = AtomicBool::new(false);
        // As long as a message may wait; and how long that was.
        let say = |text: &str| {
            let (limit, patience) = (Shutdown::new().unwrap(), patience(&is_stuck));
            limit.begin(patience);
            write(writer.try_clone().unwrap().into(), text, &limit, &is_stuck);
            patience
        };
        assert_eq!(say(&"x".repeat(1 << 20)), PATIENCE, "more than the pipe holds");
        for _ in 0..60 {
            assert_eq!(say("renamed"), Duration::ZERO);
        }
        nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all);
        assert!(all.iter().all(|&byte| byte == b'x'), "there was no room for the others");
        // What has room is told, and the next may wait again.
        assert_eq!(say("there"), Duration::ZERO);
        let _ = reader.read_to_end(&mut all);
        assert!(all.ends_with(b"there"));
        assert_eq!(say("and again"), PATIENCE);
    }
}
