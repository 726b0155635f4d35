//! xdplog logs every packet that arrives at a network interface, with the
//! verdict that XDP gave it. The command is described by `xdplog --help`; the
//! design by `ARCHITECTURE.md`.
//!
//! ```text
//!           kernel, per CPU, no locks                  user space
//! packet -> parse -> account -> batch --perf ring--> reader -> format -> sink
//!                       |         |                    ^                  stdout
//!                       |         +- no room: counted by source, summarised
//!                       +- counters ----------------> ledger -> report    stderr
//!                              control (tokio): signals, time, interfaces
//! ```
//!
//! Data flows one way, and nothing downstream calls upstream: slowness shows
//! up as a full ring, and a full ring as a number that is exact.

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod advice;
pub mod app;
pub mod bpf;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod format;
pub mod hotplug;
pub mod iface_names;
pub mod inherited;
pub mod ledger;
pub mod list;
pub mod mailbox;
pub mod names;
pub mod pressure;
pub mod probe;
pub mod reader;
pub mod ready;
pub mod report;
pub mod shutdown;
pub mod signals;
pub mod sink;
pub mod status;
pub mod talk;
pub mod target;
pub mod usage;
