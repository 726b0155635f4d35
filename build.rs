//! Compiles src/bpf/xdplog.bpf.c and generates its skeleton into OUT_DIR.
//! Nothing else is built here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "src/bpf/xdplog.bpf.c";

fn main() {
    // Not by returning it: that would print a backtrace where one is asked for.
    if let Err(err) = build() {
        eprintln!("error: {err:#}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    println!("cargo::rerun-if-changed=src/bpf");
    println!("cargo::rerun-if-changed=vmlinux");
    println!("cargo::rerun-if-env-changed=CLANG");

    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").context("cargo sets CARGO_CFG_TARGET_ARCH")?;
    // Absolute, as the compiler may be started in another directory.
    let vmlinux = env::current_dir()?.join("vmlinux").join(&arch);
    if !vmlinux.join("vmlinux.h").is_file() {
        bail!(
            "no kernel types for {arch}: vmlinux/{arch}/vmlinux.h is missing. \
             Next: run `make vmlinux` on such a machine and commit the file"
        );
    }

    // CLANG=clang-19 builds with another compiler than the one in PATH.
    let clang = PathBuf::from(env::var_os("CLANG").unwrap_or_else(|| "clang".into()));
    if let Err(err) = Command::new(&clang).arg("--version").output() {
        bail!(
            "cannot run {}, which compiles {SOURCE}: {err}. Next: `make deps`, or as root \
             `apt-get install clang` (Debian, Ubuntu) or `dnf install clang` (Fedora)",
            clang.display()
        );
    }

    let mut builder = SkeletonBuilder::new();
    builder.source(Path::new(SOURCE)).obj(out.join("xdplog.bpf.o")).clang_args(
        ["-Wall", "-Werror", "-mcpu=v3", "-I"]
            .into_iter()
            .map(Into::into)
            .chain([vmlinux.into_os_string()]),
    );
    builder.clang(&clang);
    builder
        .build_and_generate(out.join("xdplog.skel.rs"))
        .with_context(|| format!("cannot compile {SOURCE}; it takes clang 14 or newer"))
}
