//! Messages, on stderr. They are told if they can be: a stderr that is closed,
//! full, or that nobody reads must not keep xdplog from its work, and least of
//! all from stopping.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc::PIPE_BUF;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::names::plain_lines;
use crate::shutdown::Shutdown;
use crate::sink::Output;

/// How long a message waits for room.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long the last ones wait, which are the proof of the sums.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// Write `text`, lines without the last one's end. Where there is no room for
/// all of it, the rest is dropped. Whatever is in it, a terminal is not controlled
/// by it; but a name in it may hold the end of a line, unless it is made plain.
pub fn say(text: &str) {
    say_within(&format!("{}{}\n", clear(), plain_lines(text)), PATIENCE);
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
    say_within(&format!("{ERASE}{NO_WRAP}{}{WRAP}", plain_lines(text)), PATIENCE);
}

fn say_within(text: &str, patience: Duration) {
    let stderr = io::stderr();
    let (Ok(own), Ok(limit)) = (stderr.as_fd().try_clone_to_owned(), Shutdown::new()) else {
        return say_without_descriptors(text, patience);
    };
    limit.begin(patience);
    // Whom would one tell?
    let _ = Output::new(own, Arc::default()).write_all(text.as_bytes(), &limit);
}

/// There are no descriptors left, which is what the message may be about. What
/// fits into a pipe that has room surely does not block.
fn say_without_descriptors(text: &str, patience: Duration) {
    let stderr = io::stderr();
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
    let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut room, patience).is_ok_and(|ready| ready > 0) {
        let text = text.as_bytes();
        let _ = nix::unistd::write(&stderr, &text[..text.len().min(PIPE_BUF)]);
    }
}
