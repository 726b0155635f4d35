//! The kernel's verifier takes the programs, and how much it looks at to do so.
//! `tests/kernels` runs this on each kernel with each compiler's object.

mod common;

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use libbpf_rs::libbpf_sys;
use xdplog::bpf::{FAMILY_IPV4, FAMILY_IPV6, LinkType, NOT_IP_BROKEN, NOT_IP_OTHER};
use xdplog::probe::{Probe, Setup};

/// Instructions that the verifier looks at before it takes the XDP program.
fn verified(setup: &Setup) -> u32 {
    common::host::need_root();
    let probe = Probe::load(setup).unwrap();
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = size_of_val(&info) as u32;
    let fd = probe.program().as_fd().as_raw_fd();
    // SAFETY: the struct is as long as told, and asks for no arrays.
    let err = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(fd, &raw mut info, &raw mut len) };
    assert_eq!(err, 0, "{}", std::io::Error::last_os_error());
    info.verified_insns
}

#[test]
fn the_program_in_every_setup() {
    let both = FAMILY_IPV4 | FAMILY_IPV6;
    let setup = |families, ring_size| Setup {
        families,
        links: vec![LinkType::Ethernet],
        ring_size,
        overflow_sources: 65_536,
        snaplen: 0,
        sample: 0,
        rate: 0,
        not_ip: 0,
        realtime: false,
    };
    let usual = verified(&setup(both, 8 << 20));
    // What tests/kernels/run.sh shows.
    println!("verified: {usual}");
    let not_ip = NOT_IP_OTHER | NOT_IP_BROKEN;
    // The knobs are constants to the verifier: what they switch off it does not
    // look at.
    let others = [
        setup(both, 4096),
        setup(FAMILY_IPV4, 4096),
        setup(FAMILY_IPV6, 8 << 20),
        Setup { not_ip, ..setup(both, 8 << 20) },
        Setup { links: vec![LinkType::Ip], not_ip, ..setup(both, 8 << 20) },
        Setup { links: vec![LinkType::Ip], snaplen: 262_144, ..setup(both, 8 << 20) },
        Setup { snaplen: 262_144, not_ip, ..setup(both, 8 << 20) },
        Setup { realtime: true, sample: 10, rate: 1000, not_ip, ..setup(both, 8 << 20) },
        Setup { realtime: true, snaplen: 262_144, not_ip, ..setup(both, 8 << 20) },
        Setup { snaplen: 1, sample: 10, rate: 1000, not_ip, ..setup(both, 4096) },
    ];
    for setup in &others {
        // It gives up at a million.
        let others = verified(setup);
        println!("{others} for {setup:?}");
        assert!(others < 100_000, "{others} for {setup:?}");
    }
    assert!(usual < 100_000, "{usual}");
}

#[test]
fn the_programs_of_tests_and_benchmarks() {
    common::host::need_root();
    for dir in ["tests/bpf", "benches/bpf"] {
        let mut loaded = 0;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".bpf.c") {
                common::program::load(format!("{dir}/{name}").leak(), |_| ());
                loaded += 1;
            }
        }
        assert!(loaded > 0, "{dir}");
    }
}
