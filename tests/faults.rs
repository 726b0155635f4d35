//! What happens to interfaces, limits and neighbours while xdplog runs: it goes
//! on or ends in order, the sums agree, and nothing is left behind. What would
//! change the machine itself is in machine.rs.

mod common;

use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::frames::frame;
use common::live::{Sender, flood};
use common::net::{Net, ip, ip_batch, received};
use common::process::{BIN, PATIENCE, Xdplog, assert_balanced, count};
use common::run::Run;
use libbpf_rs::{Xdp, XdpFlags, libbpf_sys};
use nix::net::if_::if_nametoindex;
use nix::sys::signal::Signal;

/// Run `f` while packets come in.
fn under_traffic<R>(net: &Net, f: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            net.there(|| {
                let sender = Sender::new(0, 0);
                while !stop.load(Ordering::Relaxed) {
                    sender.send(&frame(), 500);
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            });
        });
        // Also when `f` panics: the scope waits for the sender.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        f()
    })
}

#[test]
fn an_interface_goes_down_and_up_and_changes_its_mtu() {
    let net = Net::new();
    let run = Run::start(&net, &[]);
    under_traffic(&net, || {
        for command in ["down", "up", "mtu 9000", "mtu 1400", "down", "up", "mtu 1500"] {
            assert!(ip(&format!("-n {} link set dev here0 {command}", net.here)), "{command}");
        }
    });
    let before = net.received(0);
    flood(&net, 0, &frame(), 5000);
    assert!(net.received(0) > before, "it is up");
    run.stop();
}

#[test]
fn an_interface_that_is_renamed() {
    let net = Net::new();
    let run = Run::start(&net, &[]);
    flood(&net, 0, &frame(), 5000);
    ip_batch(&net.here, "link set dev here0 down\nlink set dev here0 name other0\n");
    ip_batch(&net.here, "link set dev other0 up\n");
    let before = net.here(|| received("other0"));
    while net.here(|| received("other0")) == before {
        flood(&net, 0, &frame(), 5000);
    }
    ip_batch(&net.here, "link set dev other0 down\nlink set dev other0 name here0\n");
    // The summary has the name that it has at the end.
    let (summary, _) = run.stop();
    assert!(count(&summary["interfaces"]["here0"], "seen") > 5000, "{summary}");
}

#[test]
fn another_program_that_tries_to_attach() {
    let net = Net::new();
    let run = Run::start(&net, &[]);
    let theirs = common::program::load("tests/bpf/traffic.bpf.c", |_| ());
    let theirs = theirs.progs().next().unwrap();
    let fd = theirs.as_fd().try_clone_to_owned().unwrap();
    under_traffic(&net, || {
        net.here(|| {
            let index = if_nametoindex("here0").unwrap() as i32;
            for flags in [XdpFlags::NONE, XdpFlags::DRV_MODE, XdpFlags::SKB_MODE] {
                let bits = flags.bits();
                assert!(Xdp::new(fd.as_fd()).attach(index, flags).is_err());
                // Where there is none of that mode there is nothing to refuse.
                let _ = Xdp::new(fd.as_fd()).detach(index, XdpFlags::from_bits_truncate(bits));
            }
        });
        assert!(net.has_xdp(0));
    });
    run.stop();
}

#[test]
fn two_at_once_on_different_interfaces() {
    let net = Net::new();
    net.add_pair(1);
    // To files: what reads a pipe is a test, which need not keep up.
    let dir = tempfile::tempdir().unwrap();
    let paths = ["0", "1"].map(|name| dir.path().join(name));
    let start = |iface, path: &std::path::Path| {
        let path = path.to_str().unwrap();
        Xdplog::start(&net, &[iface, "--stats-format", "json", "-q", "-w", path])
    };
    let (first, second) = (start("here0", &paths[0]), start("here1", &paths[1]));
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&net, 0, &frame(), 100_000));
        scope.spawn(|| flood(&net, 1, &frame(), 50_000));
    });
    let summaries = [first.stop(), second.stop()].map(|ended| ended.summary());
    for (n, (summary, path)) in summaries.iter().zip(paths).enumerate() {
        let log = common::process::Logged::read(std::fs::File::open(path).unwrap());
        assert_balanced(summary);
        assert_eq!(count(summary, "seen"), net.received(n as u32));
        assert_eq!((count(summary, "logged"), count(summary, "lost")), (log.lines, 0));
    }
}

/// Run a shell's script that ends in xdplog; whether that ran, or was refused as it
/// should be.
fn runs(net: &Net, script: &str) -> bool {
    let output = Command::new("bash").args(["-c", script]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!net.has_xdp(0), "{script}");
    if output.status.success() {
        return true;
    }
    assert_eq!(output.status.code(), Some(1), "{script}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{script}: {stderr}");
    assert!(stderr.starts_with("xdplog: ") && stderr.contains("Next: "), "{script}: {stderr}");
    false
}

/// The same, under a shell's limit.
fn runs_under(net: &Net, limit: &str) -> bool {
    let ns = &net.here;
    let xdplog = format!("exec {BIN} here0 --duration 10ms --buffer-size 64KiB");
    runs(net, &format!("ip netns exec {ns} bash -c '{limit}; {xdplog}'"))
}

/// Whether xdplog gets as far as its own `main` under a shell's limit. Where it does
/// not, the message is the dynamic loader's (ld.so(8)), and not xdplog's to word.
fn starts_under(net: &Net, limit: &str) -> bool {
    let ns = &net.here;
    let script = format!("ip netns exec {ns} bash -c '{limit}; exec {BIN} --version'");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    if output.status.success() {
        return true;
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(127), "{script}: {stderr}");
    assert!(stderr.contains("error while loading shared libraries"), "{script}: {stderr}");
    false
}

#[test]
fn a_limit_on_files_at_every_step_of_starting() {
    let net = Net::new();
    // The loader takes one descriptor at a time, the lowest that is free: how many
    // this test was handed decides where xdplog begins to speak.
    let mut limit = 4;
    while !starts_under(&net, &format!("ulimit -n {limit}")) {
        limit += 1;
        assert!(limit < 20, "with so many the loader has what it needs");
    }
    // From the first descriptor that it cannot have to the last: maps, programs,
    // and the rings of the first, second ... CPU among them.
    while !runs_under(&net, &format!("ulimit -n {limit}")) {
        limit += 1;
        assert!(limit < 1000, "at some limit it runs");
    }
    assert!(limit > 20, "{limit}");
    // A soft limit is only a default, which it may raise.
    assert!(runs_under(&net, "ulimit -Sn 20"));
}

#[test]
fn a_limit_on_files_and_many_interfaces() {
    let net = Net::new();
    let names: Vec<String> = (0..30).flat_map(|n| [format!("a{n}"), format!("b{n}")]).collect();
    let pairs = (0..30).map(|n| {
        format!("link add a{n} type veth peer name b{n}\nlink set a{n} up\nlink set b{n} up\n")
    });
    ip_batch(&net.here, &pairs.collect::<String>());
    let under = |limit: &str| {
        let script = format!("{limit}; exec {BIN} -q --duration 1ms {}", names.join(" "));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net.here, "bash", "-c", &script]);
        command.output().unwrap()
    };
    // Enough for one interface, but not for sixty, of which none is touched.
    let output = under("ulimit -n 120");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("is 120, and a run takes up to"), "{said}");
    // As much as it says is enough; and a soft limit is raised.
    let next = said.trim_end().rsplit('`').nth(1).unwrap();
    for limit in [next, "ulimit -Sn 70"] {
        let output = under(limit);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{limit}: {said}");
    }
}

#[test]
fn limits_on_memory() {
    let net = Net::new();
    // Of address space, in KiB: what is too little is refused, by the dynamic loader
    // if not by xdplog, and some is enough.
    let ran: Vec<bool> = [400_000, 200_000, 100_000, 50_000, 30_000]
        .iter()
        .map(|limit| format!("ulimit -v {limit}"))
        .map(|limit| starts_under(&net, &limit) && runs_under(&net, &limit))
        .collect();
    assert!(ran[0], "{ran:?}");
}

/// A group of processes whose memory, and the kernel's on their behalf, is limited:
/// cgroup v2's memory controller, or v1's (Documentation/admin-guide/cgroup-v2.rst).
struct MemoryGroup {
    dir: PathBuf,
    limit: &'static str,
}

impl MemoryGroup {
    fn new() -> MemoryGroup {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let (root, limit) = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find_map(|mount| {
                let root = PathBuf::from(mount[1]);
                let hands_on = fs::read_to_string(root.join("cgroup.subtree_control"));
                match mount[2] {
                    "cgroup" if mount[3].split(',').any(|option| option == "memory") => {
                        Some((root, "memory.limit_in_bytes"))
                    }
                    "cgroup2" if hands_on.is_ok_and(|all| all.contains("memory")) => {
                        Some((root, "memory.max"))
                    }
                    _ => None,
                }
            })
            .expect("a hierarchy of groups with limits on memory");
        let dir = root.join(format!("xdplog-test-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        MemoryGroup { dir, limit }
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.dir);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// Tables of a million sources, some 200 MB, of which there is too little for the
/// first, for the second, and enough.
#[test]
fn no_memory_for_the_tables_of_sources() {
    let net = Net::new();
    let group = MemoryGroup::new();
    let ran: Vec<bool> = [30, 60, 90, 120, 150, 500]
        .iter()
        .map(|mib| {
            // Only upwards: what was charged may take a moment to be given back.
            fs::write(group.dir.join(group.limit), (mib << 20).to_string()).unwrap();
            let (dir, ns) = (group.dir.display(), &net.here);
            let xdplog = format!("{BIN} here0 --duration 10ms --overflow-sources 1000000");
            // From outside, as ip-netns(8) mounts a /sys of its own.
            let script = format!("echo $$ >{dir}/cgroup.procs && exec ip netns exec {ns} {xdplog}");
            runs(&net, &script)
        })
        .collect();
    assert!(!ran[0] && !ran[1] && ran[5], "{ran:?}");
}

/// Whether a program or map of this id is there.
fn exists(kind: Kind, id: u32) -> bool {
    // SAFETY: system calls on numbers; a new descriptor is closed at once.
    unsafe {
        let fd = match kind {
            Kind::Program => libbpf_sys::bpf_prog_get_fd_by_id(id),
            Kind::Map => libbpf_sys::bpf_map_get_fd_by_id(id),
        };
        fd >= 0 && {
            drop(OwnedFd::from_raw_fd(fd));
            true
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Program,
    Map,
}

/// The program on `here0` with its maps.
fn loaded(net: &Net) -> Vec<(Kind, u32)> {
    let text = net.here(|| common::net::run("ip", &["-o", "link", "show", "here0"]));
    let id = text.split("prog/xdp id ").nth(1).and_then(|rest| rest.split(' ').next());
    let id: u32 = id.unwrap_or_else(|| panic!("a program in {text}")).parse().unwrap();
    let text = common::net::run("bpftool", &["-j", "prog", "show", "id", &id.to_string()]);
    let program: serde_json::Value = serde_json::from_str(&text).unwrap();
    let maps = program["map_ids"].as_array().unwrap();
    let maps = maps.iter().map(|id| (Kind::Map, id.as_u64().unwrap() as u32));
    maps.chain([(Kind::Program, id)]).collect()
}

#[test]
fn started_and_stopped_two_hundred_times_under_traffic() {
    let net = Net::new();
    let namespaces = || std::fs::read_dir("/run/netns").unwrap().count();
    let (mut all, before) = (Vec::new(), namespaces());
    under_traffic(&net, || {
        for round in 0..200 {
            let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
            let xdplog = Xdplog::start_to(&net, &["here0", "-q"], null.into());
            if round % 20 == 0 {
                all.extend(loaded(&net));
            }
            // Every other one has no chance to clean up.
            if round % 2 == 0 {
                xdplog.signal(Signal::SIGKILL);
                xdplog.end();
            } else {
                assert_eq!(xdplog.stop().code(), Some(0), "round {round}");
            }
            assert!(!net.has_xdp(0), "round {round}");
        }
    });
    assert!(all.len() >= 50, "{}", all.len());
    // The kernel frees what nobody holds a little later.
    let since = Instant::now();
    while let Some(left) = all.iter().find(|&&(kind, id)| exists(kind, id)) {
        assert!(since.elapsed() < PATIENCE, "{left:?} is left");
        std::thread::yield_now();
    }
    // Other tests make theirs, and remove them, meanwhile.
    let since = Instant::now();
    while namespaces() > before {
        assert!(since.elapsed() < PATIENCE, "namespaces are left");
        std::thread::yield_now();
    }
}
