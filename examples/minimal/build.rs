//! Compiles src/minimal.bpf.c and generates its skeleton: Rust types for its
//! programs and maps.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

fn main() {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap();
    let vmlinux = env::current_dir().unwrap().join("../../vmlinux").join(arch);
    println!("cargo::rerun-if-changed=src/minimal.bpf.c");
    SkeletonBuilder::new()
        .source("src/minimal.bpf.c")
        .clang_args(["-I".into(), vmlinux.into_os_string()])
        .build_and_generate(PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("minimal.skel.rs"))
        .expect("clang compiles src/minimal.bpf.c (`make deps` installs it)");
}
