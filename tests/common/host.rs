//! What a test needs of the machine itself: root, and a CPU to stay on. Nothing
//! here makes or changes anything outside of the test's own thread.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Needing root and not having it is a failure, never a skip.
pub fn need_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests load BPF programs and make network namespaces, which takes root: \
         run `make test`, or `cargo test`, which asks sudo for it"
    );
}

/// Keep this thread on CPU 0 from here on.
pub fn pin_to_one_cpu() {
    pin_to(0);
}

/// Keep this thread on a CPU from here on.
pub fn pin_to(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &cpus).expect("pin to a CPU");
}

/// The CPUs that this thread may run on.
pub fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("see the CPUs");
    (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap()).collect()
}
