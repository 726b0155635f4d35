//! Compiles src/bpf/xdplog.bpf.c and generates its skeleton into OUT_DIR.
//! Nothing else is built here.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "src/bpf/xdplog.bpf.c";

fn main() -> Result<()> {
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
             Next: run `make vmlinux` on an {arch} machine and commit the file"
        );
    }

    let mut builder = SkeletonBuilder::new();
    builder.source(Path::new(SOURCE)).obj(out.join("xdplog.bpf.o")).clang_args(
        ["-Wall", "-Werror", "-mcpu=v3", "-I"]
            .into_iter()
            .map(Into::into)
            .chain([vmlinux.into_os_string()]),
    );
    // CLANG=clang-19 builds with another compiler than the one in PATH.
    if let Some(clang) = env::var_os("CLANG") {
        builder.clang(PathBuf::from(clang));
    }
    builder.build_and_generate(out.join("xdplog.skel.rs")).with_context(|| {
        format!("cannot compile {SOURCE} (it takes clang 14 or newer; `make deps` installs it)")
    })
}
