//! Compiles the tutorial's XDP program.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=tutorial.bpf.c");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("tutorial.bpf.o");
    let status = Command::new(env::var("CLANG").unwrap_or_else(|_| "clang".into()))
        .args(["-g", "-O2", "-target", "bpf", "-Wall", "-Werror", "-c", "tutorial.bpf.c", "-o"])
        .arg(out)
        .status()
        .expect("clang is installed");
    assert!(status.success());
}
