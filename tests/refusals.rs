//! What is refused: one clear line with the next step, a non-zero exit, nothing
//! changed. The binary, black box.

mod common;

use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use common::frames::udp4;
use common::net::{Net, ip, ip_batch};
use common::process::{BIN, Xdplog, assert_balanced, assert_refused, count, run};
use libbpf_rs::{Xdp, XdpFlags};

#[test]
fn no_such_interface() {
    let net = Net::new();
    assert_refused(&run(&net, &["nope0"]), &["no such interface: nope0", " lo,", ", here0. "]);
    // One of several: none is attached to.
    assert_refused(&run(&net, &["here0", "nope0"]), &["nope0"]);
    assert!(!net.has_xdp(0));
}

#[test]
fn no_eth0_to_default_to() {
    let net = Net::new();
    assert_refused(&run(&net, &[]), &["the default, eth0, does not exist", " lo,", ", here0. "]);
    ip_batch(&net.here, "route add default via 10.99.0.2\n");
    assert_refused(&run(&net, &[]), &["`xdplog here0`, the interface of the default route"]);
}

#[test]
fn missing_privilege() {
    let net = Net::new();
    for (drop, named) in [
        ("cap_net_admin", "CAP_NET_ADMIN is needed"),
        ("cap_bpf,cap_sys_admin", "CAP_BPF is needed"),
        ("cap_perfmon,cap_sys_admin", "CAP_PERFMON is needed"),
    ] {
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &net.here,
                "capsh",
                &format!("--drop={drop}"),
                "--shell=/bin/sh",
            ])
            .args(["--", "-c", &format!("exec {BIN} here0")])
            .output()
            .expect("capsh (`make deps`)");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(named) && stderr.contains("sudo"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert!(!net.has_xdp(0));
}

#[test]
fn an_interface_that_already_runs_a_program() {
    let net = Net::new();
    let first = Xdplog::start(&net, &["here0"]);
    for mode in ["auto", "native", "generic"] {
        let ended = run(&net, &["here0", "--mode", mode]);
        assert_refused(&ended, &["here0 already runs XDP program ", "(`xdplog`)"]);
    }
    // The first is not disturbed.
    net.tap_there(0).send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
    assert_eq!(first.stop().lines(), ["LOG: SRC 10.1.2.3, ACTION 2"]);
}

#[test]
fn a_program_of_someone_elses_is_named_and_kept() {
    let net = Net::new();
    let theirs = common::program::load("tests/bpf/traffic.bpf.c", |_| ());
    let theirs = theirs.progs().next().unwrap();
    for flags in [XdpFlags::SKB_MODE, XdpFlags::DRV_MODE] {
        // By netlink, as ip and most others do it.
        let fd = theirs.as_fd().try_clone_to_owned().unwrap();
        let index = net.here(|| nix::net::if_::if_nametoindex("here0").unwrap()) as i32;
        let bits = flags.bits();
        net.here(|| {
            let flags = XdpFlags::from_bits_truncate(bits);
            Xdp::new(fd.as_fd()).attach(index, flags).unwrap();
        });
        for mode in ["auto", "native", "generic"] {
            let ended = run(&net, &["here0", "--mode", mode]);
            assert_refused(&ended, &["here0 already runs XDP program ", "(`traffic`)"]);
        }
        assert!(net.has_xdp(0));
        net.here(|| {
            let flags = XdpFlags::from_bits_truncate(bits);
            Xdp::new(fd.as_fd()).detach(index, flags).unwrap();
        });
    }
}

#[test]
fn rings_larger_than_memory() {
    let net = Net::new();
    for size in ["64GiB", "1EiB"] {
        assert_refused(&run(&net, &["here0", "--buffer-size", size]), &["--buffer-size"]);
    }
}

#[test]
fn an_interface_by_two_of_its_names_is_one() {
    let net = Net::new();
    ip_batch(&net.here, "link property add dev here0 altname other0\n");
    let ended = run(&net, &["here0", "other0", "--duration", "20ms"]);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn one_of_several_interfaces_is_taken() {
    let net = Net::new();
    net.add_pair(1);
    let first = Xdplog::start(&net, &["here1"]);
    let ended = run(&net, &["here0", "here1"]);
    assert_refused(&ended, &["here1 already runs"]);
    assert!(!net.has_xdp(0), "what was attached before the refusal is detached");
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn native_mode_where_the_driver_has_none() {
    let net = Net::new();
    assert_refused(
        &run(&net, &["lo", "--mode", "native"]),
        &["lo: no native mode", "--mode generic"],
    );
}

#[test]
fn a_full_disk_under_stdout() {
    let net = Net::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let xdplog = Xdplog::start_to(&net, &["here0", "-q"], Stdio::from(full));
    let tap = net.tap_there(0);
    for _ in 0..3 {
        tap.send(&udp4(Ipv4Addr::new(10, 1, 2, 3), 18));
    }
    let ended = xdplog.end();
    assert_refused(&ended, &["cannot write to stdout", "No space left", "were not written"]);
    assert!(!net.has_xdp(0));
}

#[test]
fn an_interface_that_is_deleted() {
    let net = Net::new();
    net.add_pair(1);
    let mut xdplog = Xdplog::start(&net, &["here0", "here1", "--stats-format", "json"]);
    let lines = xdplog.lines();
    let send = |n: u32| net.tap_there(n).send(&udp4(Ipv4Addr::new(10, 0, n as u8, 1), 18));
    let next = || lines.recv_timeout(common::process::PATIENCE).unwrap().0;
    send(0);
    assert_eq!(next(), "LOG: SRC 10.0.0.1, ACTION 2");
    assert!(ip(&format!("-n {} link del here0", net.here)));
    // It goes on with the other,
    send(1);
    assert_eq!(next(), "LOG: SRC 10.0.1.1, ACTION 2");
    // and ends when none is left.
    assert!(ip(&format!("-n {} link del here1", net.here)));
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    for said in ["here0: the interface was deleted", "here1: the interface was deleted", "Next: "] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    let summary = ended.summary();
    assert_eq!(count(&summary["interfaces"]["here0"], "logged"), 1, "{summary}");
    assert_eq!(count(&summary["interfaces"]["here1"], "logged"), 1, "{summary}");
}

/// Detach the program on an interface of this namespace, as its owner does not.
fn detach(iface: &str) {
    let shown = common::net::run("ip", &["-o", "link", "show", iface]);
    let id = shown.split("prog/xdp id ").nth(1).and_then(|rest| rest.split(' ').next());
    let id: u64 = id.unwrap_or_else(|| panic!("a program in {shown}")).parse().unwrap();
    let links = common::net::run("bpftool", &["-j", "link", "show"]);
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    let link = links.as_array().unwrap().iter().find(|link| link["prog_id"] == id).unwrap();
    common::net::run("bpftool", &["link", "detach", "id", &link["id"].to_string()]);
}

#[test]
fn a_program_that_somebody_else_detaches() {
    let net = Net::new();
    net.add_pair(1);
    let mut xdplog = Xdplog::start(&net, &["here0", "here1", "--stats-format", "json"]);
    let lines = xdplog.lines();
    let send = |n: u32| net.tap_there(n).send(&udp4(Ipv4Addr::new(10, 0, n as u8, 1), 18));
    let next = || lines.recv_timeout(common::process::PATIENCE).unwrap().0;
    send(0);
    assert_eq!(next(), "LOG: SRC 10.0.0.1, ACTION 2");
    net.here(|| detach("here0"));
    xdplog.hear("here0: xdplog's program was detached by somebody else");
    send(1);
    assert_eq!(next(), "LOG: SRC 10.0.1.1, ACTION 2");
    net.here(|| detach("here1"));
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(!ended.stderr.contains("deleted"), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.starts_with("xdplog: no interface is left to watch. Next: "), "{last}");
    assert_balanced(&ended.summary());
    assert_eq!(count(&ended.summary(), "logged"), 2);
}

#[test]
fn what_is_not_mounted_is_told_with_how_to_mount_it() {
    let net = Net::new();
    for (dir, next) in
        [("/proc", "mount -t proc proc /proc"), ("/sys", "mount -t sysfs sysfs /sys")]
    {
        // In a mount namespace of its own, something else in its place.
        let script = format!("mount -t tmpfs none {dir} && exec {BIN} here0");
        let output = Command::new("ip")
            .args(["netns", "exec", &net.here, "unshare", "-m", "sh", "-c", &script])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(&format!("{dir} is not mounted")), "{stderr}");
        assert!(stderr.contains(&format!("Next: run `{next}`")), "{stderr}");
    }
}

/// What a shell script says on stderr that runs xdplog here, and ends well.
fn succeeds(net: &Net, script: &str) -> String {
    let output =
        Command::new("ip").args(["netns", "exec", &net.here, "sh", "-c", script]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    stderr
}

#[test]
fn a_limit_on_locked_memory_gives_a_smaller_ring_and_a_warning() {
    let net = Net::new();
    let script = format!(
        "ulimit -l 64; exec capsh --drop=cap_ipc_lock --shell=/bin/sh -- -c \
         'exec {BIN} here0 --buffer-size 64MiB --duration 100ms --stats-format json'"
    );
    let stderr = succeeds(&net, &script);
    assert!(stderr.contains("refused a ring of 65536 KiB per CPU"), "{stderr}");
    assert!(stderr.contains("RLIMIT_MEMLOCK"), "{stderr}");
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let net = Net::new();
    for args in [&["--frobnicate"][..], &["-c", "0"], &["-4", "-6"], &["--duration", "soon"]] {
        let ended = run(&net, args);
        assert_eq!(ended.code(), Some(2), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let ended = run(&net, &["--help"]);
    assert_eq!(ended.code(), Some(0));
    assert!(ended.stdout.contains("--buffer-size") && ended.stderr.is_empty());
}

#[test]
fn a_ready_file_that_cannot_be_made() {
    let net = Net::new();
    let ended = run(&net, &["here0", "-q", "--ready-file", "/proc/no/such/dir"]);
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains("/proc/no/such/dir"), "{}", ended.stderr);
    assert!(!net.has_xdp(0));
}

#[test]
fn it_runs_without_the_kernels_type_information() {
    let net = Net::new();
    // A mount namespace of its own, in which nobody finds any BTF.
    let script = format!(
        "mount -t tmpfs none /sys/kernel/btf && exec {BIN} here0 --duration 50ms --stats-format json"
    );
    let stderr = succeeds(&net, &script);
    assert!(stderr.contains(r#"{"seen":"#), "{stderr}");
}
