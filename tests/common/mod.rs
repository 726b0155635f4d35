//! What the black-box tests stand on: a pair of network namespaces joined by a
//! veth pair, traffic in them, and the binary running in one. Everything is
//! made by the test that uses it and goes when that ends, failed or not.
//!
//! The namespace "here" is where xdplog runs, on the interface `here0`; "there"
//! is the far end, `there0`, where traffic comes from.

#![allow(dead_code)] // Each test file uses its own part of this.

pub mod bench;
pub mod frames;
pub mod host;
pub mod json;
pub mod link;
pub mod live;
pub mod logs;
pub mod net;
pub mod pcapng;
pub mod process;
pub mod program;
pub mod reference;
pub mod run;
pub mod table;
