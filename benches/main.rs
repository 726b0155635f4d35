//! What logging costs and how fast it is, side by side with others that log
//! packets. All contenders run in one run, in turn, some rounds; medians and
//! ratios are what to read. No test: nothing fails here because a machine is
//! noisy. It does fail where its own counts do not agree.
//!
//! `make bench`, or `make bench-short` for one round of each; `make bench-xdpdump`
//! runs it in a virtual machine, for those that write frames alone.

#[path = "../tests/common/mod.rs"]
mod common;
mod contender;
mod formatting;
mod measure;
mod program;
mod report;

use std::path::PathBuf;

fn main() {
    common::host::need_root();
    // cargo bench says --bench; what else there is, is ours.
    let asked = |what| std::env::args().any(|arg| arg == what);
    if asked("--captures") {
        return print!("{}", report::captures(&measure::captures()));
    }
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench");
    std::fs::create_dir_all(&out).unwrap();
    let results = measure::all(&measure::Plan::new(asked("--short")));
    report::write(&results, &out);
}
