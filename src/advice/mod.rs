//! What to say when something is refused or fails: what, on what, what next; one
//! line each. Nothing is looked up here.

#![forbid(unsafe_code)]

mod files;
mod losses;

pub use self::files::{
    binary_to_terminal, cannot_open, disk_full, no_reader, no_rotation, no_stdout, output_failed,
    ready_file,
};
pub use self::losses::{not_read_in_time, reader_died, reader_left, reading_failed};
