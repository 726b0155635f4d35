//! BPF programs of the tests' and benchmarks' own, compiled when they are
//! needed: the build of xdplog itself knows nothing of them. Compiled beforehand
//! where there is no compiler: XDPLOG_TEST_OBJECTS names a directory in which the
//! objects are kept once they were made (tests/kernels).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::{Object, ObjectBuilder, OpenObject, libbpf_sys};

/// Load the program of a C file of this repository; `set_up` gets it before.
pub fn load(source: &'static str, set_up: impl FnOnce(&mut OpenObject)) -> Object {
    static COMPILED: Mutex<BTreeMap<&str, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = compiled.entry(source).or_insert_with(|| compile(source));
    let mut object = ObjectBuilder::default().open_memory(bytes).unwrap();
    drop(compiled);
    set_up(&mut object);
    object.load().unwrap()
}

fn compile(source: &str) -> Vec<u8> {
    let kept = std::env::var_os("XDPLOG_TEST_OBJECTS")
        .map(|dir| PathBuf::from(dir).join(source.replace('/', "_")).with_extension("o"));
    if let Some(kept) = kept.as_ref().filter(|kept| kept.exists()) {
        return std::fs::read(kept).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let object = dir.path().join("program.o");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".into());
    // libbpf's headers, as build.rs has them for the real program.
    let headers = dir.path().join("bpf");
    std::fs::create_dir(&headers).unwrap();
    for (name, text) in libbpf_sys::API_HEADERS {
        std::fs::write(headers.join(name), text).unwrap();
    }
    let status = Command::new(clang)
        .args(["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-I"])
        .arg(root.join("vmlinux").join(std::env::consts::ARCH))
        .arg("-I")
        .arg(dir.path())
        .arg("-c")
        .arg(root.join(source))
        .arg("-o")
        .arg(&object)
        .status()
        .expect("clang is installed (`make deps`)");
    assert!(status.success(), "compile {source}");
    if let Some(kept) = kept {
        std::fs::copy(&object, kept).unwrap();
    }
    std::fs::read(&object).unwrap()
}
