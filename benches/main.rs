//! What logging costs and how fast it is. Every contender runs in one run, in
//! turn, some rounds; medians and ratios are what to read. No test: nothing
//! fails here because a machine is noisy.

#[path = "../tests/common/mod.rs"]
mod common;
mod program;
mod scenes;

fn main() {
    common::need_root();
    scenes::run();
}
