//! What to say about packets that were lost, by whose doing.

#![forbid(unsafe_code)]

use std::path::Path;

use anyhow::{Error, anyhow};

use crate::names::plain;
use crate::probe::advice::packets;

/// So many packets were lost.
fn lost(count: u64) -> String {
    format!("{} {} lost", packets(count), if count == 1 { "was" } else { "were" })
}

/// It was time to stop, and what reads stdout, or the pipe at `path`, did not.
pub fn not_read_in_time(path: Option<&Path>, count: u64) -> Error {
    let from = path.map_or("stdout".into(), plain);
    anyhow!(
        "what reads {from} did not read on when it was time to stop; {}. \
         Next: let it read to the end, or write to a file with `-w FILE`",
        lost(count)
    )
}

/// What read the pipe that was named for the log went away.
pub fn reader_left(path: &Path, count: u64) -> Error {
    anyhow!("what reads {} went away; {}. Next: start both again", plain(path), lost(count))
}

/// The kernel's samples could not be read any more.
pub fn reading_failed(err: &Error, count: u64) -> Error {
    anyhow!("{err:#}; {}. Next: start again, and please report this", lost(count))
}

/// A reader's thread came upon what must not be.
pub fn reader_died() -> Error {
    anyhow!("a thread that reads packets died")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_told_with_the_next_step() {
        let pipe = Path::new("/l");
        for (err, text) in [
            (
                not_read_in_time(None, 1),
                "what reads stdout did not read on when it was time to stop; 1 packet was lost. Next: ",
            ),
            (
                not_read_in_time(Some(pipe), 2),
                "what reads /l did not read on when it was time to stop; 2 packets were lost. Next: ",
            ),
            (reader_left(pipe, 2), "what reads /l went away; 2 packets were lost. Next: "),
            (
                reading_failed(&reader_died(), 3),
                "a thread that reads packets died; 3 packets were lost. Next: ",
            ),
        ] {
            assert!(err.to_string().starts_with(text), "{err}");
        }
    }
}
