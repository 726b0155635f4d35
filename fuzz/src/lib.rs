//! What the fuzz target and its seeds share: the form of an input, and the parts
//! of the tests that both need. Nothing here runs the program or writes a file.

#![forbid(unsafe_code)]

pub mod input;

/// The same frames, reference and bench as the tests'.
#[path = "../../tests/common"]
pub mod common {
    pub mod bench;
    pub mod frames;
    pub mod host;
    pub mod reference;
    pub mod table;
}
