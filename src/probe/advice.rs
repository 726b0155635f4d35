//! What to say when something is refused: what, on what, what next; one line
//! each. All advice lives here.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use anyhow::{Error, anyhow};
use nix::libc;

use super::drivers::Costly;
use crate::names::plain;

/// Capabilities that it takes, with their bits (`linux/capability.h`).
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
const CAP_SYS_ADMIN: u32 = 21;

/// Needed capabilities that are not in `effective`. CAP_SYS_ADMIN includes the
/// two that are newer than itself.
pub fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    NEEDED
        .iter()
        .filter(|&&(bit, _)| !(has(bit) || bit > CAP_SYS_ADMIN && has(CAP_SYS_ADMIN)))
        .map(|&(_, name)| name)
        .collect()
}

/// The process lacks these.
pub fn no_privilege(missing: &[&str]) -> Error {
    anyhow!(
        "missing privilege: {} needed to load and attach BPF programs. Next: run it with sudo",
        and(missing)
    )
}

/// `name` is none of `present`; `is_default` if it was not the user who named
/// it, `route` being the interface of the default route.
pub fn no_such_interface(
    name: &str,
    is_default: bool,
    route: Option<&str>,
    present: &[String],
) -> Error {
    let (name, present) = (plain(name), present.join(", "));
    if !is_default {
        let all = if name == "any" { ", or all that are up by `-i any`" } else { "" };
        return anyhow!(
            "no such interface: {name}. Interfaces here: {present}. Next: name one of these{all}"
        );
    }
    let next = match route {
        Some(route) => format!("run `xdplog {route}`, the interface of the default route"),
        None => "name one of these".into(),
    };
    anyhow!(
        "no interface was named, and the default, {name}, does not exist here. \
         Interfaces here: {present}. Next: {next}"
    )
}

/// The frames of this interface, whose link is of this type, begin with neither
/// Ethernet nor IP.
pub fn no_link_type(iface: &str, hardware: &str) -> Error {
    anyhow!(
        "{}: its link is of a type whose frames xdplog cannot parse, {hardware}. \
         Next: name an interface of Ethernet or IP; `ip link` tells the types, behind `link/`",
        plain(iface)
    )
}

/// An XDP program is there already; its name as far as that can be had.
pub fn occupied(iface: &str, id: u32, name: Option<&str>) -> Error {
    let name = name.map(|name| format!(" (`{name}`)")).unwrap_or_default();
    anyhow!(
        "{iface} already runs XDP program {id}{name}, which xdplog does not replace. \
         Next: see `bpftool net show dev {iface}`, and stop what put it there"
    )
}

/// The driver refused native mode.
pub fn no_native(iface: &str, err: &io::Error) -> Error {
    let why = match err.raw_os_error() {
        // ENOTSUPP is the kernel's own, with no name in user space.
        Some(libc::EOPNOTSUPP | 524) => {
            "its driver has no native XDP, or none as it is set up (see `ethtool -k`)".into()
        }
        Some(libc::ERANGE | libc::EINVAL) => {
            format!("its driver refuses it as it is set up, often for its MTU ({err})")
        }
        _ => err.to_string(),
    };
    anyhow!("{iface}: no native mode: {why}. Next: use `--mode auto` or `--mode generic`")
}

/// Attaching failed for another reason.
pub fn attach_failed(iface: &str, err: &io::Error) -> Error {
    match err.raw_os_error() {
        Some(libc::ENODEV) => anyhow!(
            "{iface} went away while it was being attached to. Next: start again when it is back"
        ),
        Some(libc::EPERM | libc::EACCES) => no_privilege(&["CAP_NET_ADMIN"]),
        Some(libc::EBUSY | libc::EEXIST) => anyhow!(
            "{iface}: an XDP program is on the device above it, or on its way ({err}). \
             Next: see `bpftool net show`"
        ),
        _ => anyhow!("cannot attach to {iface}: {err}. Next: see `dmesg` for the driver's reason"),
    }
}

/// The first Linux release with all that is used: programs can compare and
/// exchange since 5.12.
const OLDEST: (u32, u32) = (5, 12);

/// What libbpf said while loading.
#[derive(Clone, Debug, Default)]
pub struct Said {
    words: String,
    /// The last line of the verifier's log before its statistics: why it
    /// refused.
    verdict: Option<String>,
}

impl Said {
    /// Nothing yet.
    pub const fn new() -> Said {
        Said { words: String::new(), verdict: None }
    }

    /// Add a message: the verifier's log, which is many lines, or a line.
    pub fn add(&mut self, message: &str) {
        if message.trim_end().lines().count() == 1 {
            self.words.push_str(message.trim_end());
            self.words.push(' ');
            return;
        }
        let log = message.lines().take_while(|line| !line.starts_with("processed "));
        self.verdict = log.filter(|line| !line.is_empty()).last().map(str::to_string);
    }
}

/// libbpf-rs tells this one by its words only.
fn is_fd_limit(err: &io::Error) -> bool {
    err.to_string().contains("Too many open files")
}

/// The kernel refused the program.
pub fn load_failed(err: &io::Error, release: &str, said: &Said) -> Error {
    if let Some(version) = version(release)
        && version < OLDEST
    {
        return anyhow!(
            "Linux {release} is too old: xdplog needs {}.{} or newer. Next: update the kernel",
            OLDEST.0,
            OLDEST.1
        );
    }
    if let Some(verdict) = &said.verdict {
        return anyhow!(
            "the verifier of Linux {release} refused the BPF program: {verdict}. \
             Next: report this with the line above"
        );
    }
    match err.raw_os_error() {
        _ if is_fd_limit(err) => {
            anyhow!("cannot load the BPF program: {err}. Next: raise `ulimit -n`")
        }
        Some(libc::ENOMEM) => anyhow!(
            "cannot load the BPF program: {err}. \
             Next: free memory, or give a smaller --overflow-sources"
        ),
        Some(libc::EPERM) => anyhow!(
            "the kernel refused to load the BPF program: {err}. Next: run it as root of the \
             machine, not of a container, with kernel lockdown off (/sys/kernel/security/lockdown)"
        ),
        _ => anyhow!(
            "Linux {release} refused the BPF program: {err} ({}). \
             Next: report this with the line above",
            said.words.trim_end()
        ),
    }
}

/// The limit on open files is too low.
pub fn too_few_descriptors(limit: u64, needed: u64) -> Error {
    anyhow!(
        "the limit on open files is {limit}, and a run takes up to {needed}. \
         Next: raise it with `ulimit -n {needed}`"
    )
}

/// The kernel has no helper to copy from a frame.
pub fn no_capture() -> Error {
    anyhow!(
        "this kernel cannot hand out the bytes of frames, which pcapng, -e, -x and -X take: that \
         came with Linux 5.18. Next: update the kernel, or do without them"
    )
}

/// No ring of any size could be had.
pub fn no_ring(err: &io::Error) -> Error {
    if is_fd_limit(err) {
        return anyhow!("cannot create the perf ring buffers: {err}. Next: raise `ulimit -n`");
    }
    anyhow!(
        "cannot create the perf ring buffers: {err}. \
         Next: free memory, or raise the limit on locked memory (`ulimit -l`)"
    )
}

/// Whether a smaller ring might be had where this one was not.
pub fn is_memory_limit(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(libc::EPERM | libc::ENOMEM | libc::EINVAL))
}

/// Rings of this size would take more than half of the machine's memory.
pub fn ring_too_large(ring: u64, cpus: u64, memory: u64) -> Error {
    anyhow!(
        "rings of {} MiB for each of {cpus} CPUs are more than half of the {} MiB of memory here. \
         Next: give a smaller --buffer-size",
        ring >> 20,
        memory >> 20
    )
}

/// The tables of overflowing packets would take more than half of memory.
pub fn tables_too_large(tables: u64, memory: u64) -> Error {
    anyhow!(
        "tables for that many sources take {} MiB, more than half of the {} MiB of memory here. \
         Next: give a smaller --overflow-sources",
        tables >> 20,
        memory >> 20
    )
}

/// A CPU that came online got no ring.
pub fn no_late_ring(cpu: u32, err: &io::Error) -> String {
    let next = match is_fd_limit(err) {
        true => "raise `ulimit -n`",
        false => "start it again, with a smaller --buffer-size if memory is short",
    };
    format!(
        "CPU {cpu} came online, and the kernel refused a ring for it ({err}): its packets are \
         summarised. Next: {next}"
    )
}

/// A smaller ring than wanted was had.
pub fn smaller_ring(wanted: u64, got: u64, err: &io::Error) -> String {
    let why = match err.raw_os_error() {
        Some(libc::EPERM) => {
            "The limit is RLIMIT_MEMLOCK (`ulimit -l`) plus kernel.perf_event_mlock_kb; \
             CAP_IPC_LOCK lifts it"
        }
        _ => "The kernel has no memory for more, or no table that large",
    };
    format!(
        "the kernel refused a ring of {} KiB per CPU ({err}); using {} KiB. {why}",
        wanted / 1024,
        got / 1024
    )
}

/// Help, or what is generated, cannot be printed.
pub fn cannot_print(err: &io::Error) -> Error {
    anyhow!("cannot write to stdout: {err}. Next: see where stdout leads")
}

/// An interface is left out of all that are up.
pub fn left_out_occupied(iface: &str, id: u32) -> String {
    let iface = plain(iface);
    format!(
        "{iface} is left out, as it already runs XDP program {id}. \
         Next: see `bpftool net show dev {iface}`"
    )
}

/// The same, for what attaching to it failed of.
pub fn left_out(err: &Error) -> String {
    format!("left out: {err:#}")
}

/// All that are up is none.
pub fn none_is_up() -> Error {
    anyhow!("no interface is up that could be watched. Next: see `xdplog -D`")
}

/// All that are up is more than can be watched.
pub fn too_many_are_up(count: usize, most: usize) -> Error {
    anyhow!(
        "{count} interfaces are up, and one run watches {most} at most. Next: name them with -i, \
         in several runs"
    )
}

/// No packet comes from an interface that nobody set up.
pub fn is_down(iface: &str) -> String {
    format!(
        "{iface} is down, and no packet comes before it is up. \
         Next: `ip link set dev {iface} up`"
    )
}

/// Packets found no room: for how long in all, and how many of how many since
/// it was last said.
pub fn in_summary(time: Duration, summarised: u64, seen: u64) -> String {
    format!(
        "in summary for {:.1} s: {summarised} of {} ({:.1} %) counted by source, as what reads \
         the log does not keep up (a larger --buffer-size bridges bursts)",
        time.as_secs_f64(),
        packets(seen),
        summarised as f64 / seen.max(1) as f64 * 100.0
    )
}

/// An interface was deleted, and others are left or not.
pub fn deleted(iface: &str) -> String {
    format!("{iface}: the interface was deleted. Next: start again when it is back")
}

/// The program on an interface was detached by somebody else, and others are left or
/// not.
pub fn detached(iface: &str) -> String {
    format!(
        "{iface}: xdplog's program was detached by somebody else, so that no more is logged of \
         it. Next: see who did that, as `bpftool link detach` does, and start again"
    )
}

/// An interface is called `to` now; in the log `logged`, which is the same unless
/// another has that name there.
pub fn renamed(from: &str, to: &str, logged: &str) -> String {
    let (from, to) = (plain(from), plain(to));
    if to == plain(logged) {
        return format!("{from}: the interface is called {to} from here on");
    }
    format!("{from}: the interface is called {to}, as another one is; it is logged as {from}")
}

/// An interface was moved, and is called `to` there, if that can be seen, and
/// `logged` in the log.
pub fn moved(from: &str, to: Option<&str>, logged: &str) -> String {
    let name = match to {
        Some(to) if to == from => String::new(),
        Some(to) => format!(", where it is called {}", plain(to)),
        None => ", where its name cannot be seen".into(),
    };
    format!(
        "{}: the interface was moved to another network namespace{name}; its packets are logged \
         as of {}",
        plain(from),
        plain(logged)
    )
}

/// Generic mode was taken on these interfaces, as it costs less than native mode.
pub fn generic_costs_less(ifaces: &[&str], costs: &Costly) -> String {
    format!(
        "{}: on {} generic mode {}; native mode {}",
        list(ifaces),
        costs.driver,
        costs.generic,
        costs.native
    )
}

/// Attaching in generic mode turned these features off, and nothing turns them on
/// again.
pub fn features_lost(iface: &str, lost: &[String]) -> String {
    let iface = plain(iface);
    let on: Vec<String> = lost.iter().map(|feature| format!("{} on", plain(feature))).collect();
    format!(
        "{iface}: generic mode turned off {}, which stays off. Next: afterwards run \
         `ethtool -K {iface} {}`",
        lost.iter().map(plain).collect::<Vec<_>>().join(", "),
        on.join(" ")
    )
}

/// Native mode was asked for on these interfaces, where it is dear.
pub fn native_is_dear(ifaces: &[&str], costs: &Costly) -> String {
    format!(
        "{}: native mode on {} {}. Next: leave out --mode native, unless it is meant",
        list(ifaces),
        costs.driver,
        costs.native
    )
}

fn list(ifaces: &[&str]) -> String {
    ifaces.iter().map(plain).collect::<Vec<_>>().join(", ")
}

/// The last interface was deleted, or detached from.
pub fn deserted() -> Error {
    anyhow!("no interface is left to watch. Next: see above what became of it, and start again")
}

/// What is read of the kernel is not there.
pub fn not_mounted(dir: &str, kind: &str) -> Error {
    anyhow!("{dir} is not mounted, and xdplog reads it. Next: run `mount -t {kind} {kind} {dir}`")
}

/// So many packets, in words.
pub fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn and(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        [first @ .., last] => format!("{} and {last} are", first.join(", ")),
        [] => "a capability is".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn capabilities() {
        assert_eq!(missing_capabilities(u64::MAX), [""; 0]);
        assert_eq!(missing_capabilities(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_capabilities(1 << 21), ["CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(1 << 12 | 1 << 38), ["CAP_BPF"]);
    }

    #[test]
    fn every_refusal_is_one_line_with_the_next_step() {
        let present = ["lo".to_string(), "enp1s0".to_string()];
        let (mut said, mut verified) = (Said::new(), Said::new());
        said.add("one\n");
        said.add("two\n");
        verified.add("-- BEGIN\n0: (bf) r6 = r1\nR1 !read_ok\nprocessed 1 insns\n-- END\n");
        for (err, parts) in [
            (no_privilege(&["CAP_BPF"]), &["CAP_BPF is needed", "sudo"][..]),
            (no_privilege(&["CAP_BPF", "CAP_PERFMON"]), &["CAP_BPF and CAP_PERFMON are needed"]),
            (no_such_interface("eht0", false, None, &present), &["eht0", "lo, enp1s0"]),
            (no_such_interface("any", false, None, &present), &["interface: any", "`-i any`"]),
            (
                no_such_interface("eth0", true, Some("enp1s0"), &present),
                &["the default, eth0, does not exist", "`xdplog enp1s0`"],
            ),
            (no_such_interface("eth0", true, None, &present), &["name one of these"]),
            (occupied("eth0", 412, Some("fw")), &["eth0 already runs XDP program 412 (`fw`)"]),
            (occupied("eth0", 412, None), &["eth0 already runs XDP program 412,"]),
            (no_native("wg0", &os(libc::EOPNOTSUPP)), &["wg0", "--mode generic"]),
            (no_native("wg0", &os(libc::ERANGE)), &["MTU"]),
            (
                load_failed(&os(libc::EINVAL), "4.19.0-27-amd64", &Said::new()),
                &["4.19.0-27-amd64 is too old"],
            ),
            (load_failed(&os(libc::EPERM), "6.1.0", &Said::new()), &["lockdown"]),
            (
                load_failed(&os(libc::EINVAL), "6.1.0", &said),
                &["refused the BPF program", "one two"],
            ),
            (
                load_failed(&os(libc::EACCES), "6.1.0", &verified),
                &["verifier of Linux 6.1.0", "R1 !read_ok"],
            ),
            (ring_too_large(8 << 30, 4, 16 << 30), &["--buffer-size"]),
            (attach_failed("eth0", &os(libc::EBUSY)), &["device above"]),
            (attach_failed("eth0", &os(libc::EIO)), &["cannot attach to eth0", "dmesg"]),
            (no_ring(&os(libc::ENOMEM)), &["ulimit -l"]),
            (no_ring(&os(libc::EMFILE)), &["ulimit -n"]),
            (tables_too_large(9 << 30, 16 << 30), &["--overflow-sources"]),
            (load_failed(&os(libc::ENOMEM), "6.1.0", &Said::new()), &["--overflow-sources"]),
            (load_failed(&os(libc::EMFILE), "6.1.0", &Said::new()), &["ulimit -n"]),
            (too_few_descriptors(16, 60), &["is 16", "ulimit -n 60"]),
            (no_capture(), &["5.18", "pcapng, -e, -x and -X"]),
            (
                anyhow!(features_lost("eth0", &["rx-lro".into(), "rx-gro-hw".into()])),
                &["eth0: ", "rx-lro, rx-gro-hw", "`ethtool -K eth0 rx-lro on rx-gro-hw on`"],
            ),
            (deserted(), &["no interface is left"]),
            (not_mounted("/sys", "sysfs"), &["/sys is not", "`mount -t sysfs sysfs /sys`"]),
            (no_link_type("can0", "ARPHRD 280 (can)"), &["can0: ", "280 (can)", "ip link"]),
            (none_is_up(), &["xdplog -D"]),
            (too_many_are_up(65, 64), &["65 interfaces", "64 at most", "-i"]),
            (cannot_print(&os(libc::ENOSPC)), &["cannot write to stdout", "No space"]),
        ] {
            let text = format!("{err:#}");
            assert!(!text.contains('\n'), "{text}");
            assert!(text.contains("Next: "), "{text}");
            for part in parts {
                assert!(text.contains(part), "{part:?} in {text:?}");
            }
        }
    }
}
