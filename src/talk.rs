//! Messages, on stderr. They are told if they can be: a stderr that is closed,
//! full, or that nobody reads must not keep xdplog from its work, and least of
//! all from stopping.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::shutdown::Shutdown;
use crate::sink::Output;

/// How long a message waits for room.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long the last ones wait, which are the proof of the sums.
const LAST_PATIENCE: Duration = Duration::from_millis(250);

/// Write `text`, lines without the last one's end. Where there is no room for
/// all of it, the rest is dropped.
pub fn say(text: &str) {
    say_within(text, PATIENCE);
}

/// The same for what is said at the end.
pub fn say_last(text: &str) {
    say_within(text, LAST_PATIENCE);
}

fn say_within(text: &str, patience: Duration) {
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return };
    let Ok(limit) = Shutdown::new() else { return };
    limit.begin(patience);
    // Whom would one tell?
    let _ = Output::new(stderr).write_all(format!("{text}\n").as_bytes(), &limit);
}
