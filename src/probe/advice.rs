//! What to say when something is refused: what, on what, what next; one line
//! each. All advice lives here.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use anyhow::{Error, anyhow};
use nix::libc;

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
    let present = present.join(", ");
    if !is_default {
        return anyhow!(
            "no such interface: {name}. Interfaces here: {present}. Next: name one of these"
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

/// An XDP program is there already; its id and name as far as they are known.
pub fn occupied(iface: &str, id: Option<u32>, name: Option<&str>) -> Error {
    let program = match (id, name) {
        (Some(id), Some(name)) => format!("XDP program {id} (`{name}`)"),
        (Some(id), None) => format!("XDP program {id}"),
        (None, _) => "an XDP program, itself or through the device above it".into(),
    };
    anyhow!(
        "{iface} already runs {program}, which xdplog does not replace. \
         Next: see `bpftool net show dev {iface}`, and stop what put it there"
    )
}

/// The driver refused native mode.
pub fn no_native(iface: &str, err: &io::Error) -> Error {
    let why = match err.raw_os_error() {
        // ENOTSUPP is the kernel's own, with no name in user space.
        Some(libc::EOPNOTSUPP | 524) => "its driver has no native XDP".into(),
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
        Some(libc::ENODEV) => anyhow!("{iface} went away while it was being attached to"),
        Some(libc::EPERM | libc::EACCES) => no_privilege(&["CAP_NET_ADMIN"]),
        _ => anyhow!("cannot attach to {iface}: {err}"),
    }
}

/// The first Linux release with all that is used: a program can be run on a
/// given CPU since 5.10.
const OLDEST: (u32, u32) = (5, 10);

/// The kernel refused the program. `log` is what libbpf said about it.
pub fn load_failed(err: &io::Error, release: &str, log: &str) -> Error {
    if let Some(version) = version(release)
        && version < OLDEST
    {
        return anyhow!(
            "Linux {release} is too old: xdplog needs {}.{} or newer. Next: update the kernel",
            OLDEST.0,
            OLDEST.1
        );
    }
    match err.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => anyhow!(
            "the kernel refused to load the BPF program: {err}. Next: run it as root of the \
             machine, not of a container, with kernel lockdown off (/sys/kernel/security/lockdown)"
        ),
        _ => {
            let log = log.split_whitespace().collect::<Vec<_>>().join(" ");
            let said = if log.is_empty() { String::new() } else { format!(" libbpf said: {log}.") };
            anyhow!(
                "Linux {release} refused the BPF program: {err}.{said} \
                 Next: report this with the line above"
            )
        }
    }
}

/// No ring of any size could be had.
pub fn no_ring(err: &io::Error) -> Error {
    anyhow!(
        "cannot create the perf ring buffers: {err}. \
         Next: free memory, or raise the limit on locked memory (`ulimit -l`)"
    )
}

/// Whether a smaller ring might be had where this one was not.
pub fn is_memory_limit(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(libc::EPERM | libc::ENOMEM | libc::EINVAL))
}

/// A smaller ring than wanted was had.
pub fn smaller_ring(wanted: u64, got: u64, err: &io::Error) -> String {
    let kib = |bytes: u64| format!("{} KiB", bytes / 1024);
    format!(
        "the kernel refused a ring of {} per CPU ({err}); using {}. The limit is RLIMIT_MEMLOCK \
         (`ulimit -l`) plus kernel.perf_event_mlock_kb; CAP_IPC_LOCK lifts it",
        kib(wanted),
        kib(got)
    )
}

/// Standard output failed.
pub fn output_failed(err: &io::Error, dropped: u64) -> Error {
    let next = match err.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
        _ => "see where stdout leads",
    };
    anyhow!("cannot write to stdout: {err}; {dropped} packets were not written. Next: {next}")
}

/// Packets found no room: for how long in all, and how many of how many since
/// it was last said.
pub fn in_summary(time: Duration, summarised: u64, seen: u64) -> String {
    format!(
        "in summary for {:.1} s: {summarised} of {seen} packets ({:.1} %) counted by source, as \
         what reads the log does not keep up (a larger --buffer-size bridges bursts)",
        time.as_secs_f64(),
        summarised as f64 / seen.max(1) as f64 * 100.0
    )
}

/// The last interface was deleted.
pub fn deserted() -> Error {
    anyhow!("no interface is left to watch. Next: start again when it is back")
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
        for (err, parts) in [
            (no_privilege(&["CAP_BPF"]), &["CAP_BPF is needed", "sudo"][..]),
            (no_privilege(&["CAP_BPF", "CAP_PERFMON"]), &["CAP_BPF and CAP_PERFMON are needed"]),
            (no_such_interface("eht0", false, None, &present), &["eht0", "lo, enp1s0"]),
            (
                no_such_interface("eth0", true, Some("enp1s0"), &present),
                &["the default, eth0, does not exist", "`xdplog enp1s0`"],
            ),
            (no_such_interface("eth0", true, None, &present), &["name one of these"]),
            (
                occupied("eth0", Some(412), Some("fw")),
                &["eth0 already runs XDP program 412 (`fw`)"],
            ),
            (occupied("eth0", None, None), &["eth0 already runs"]),
            (no_native("wg0", &os(libc::EOPNOTSUPP)), &["wg0", "--mode generic"]),
            (no_native("wg0", &os(libc::ERANGE)), &["MTU"]),
            (
                load_failed(&os(libc::EINVAL), "4.19.0-27-amd64", ""),
                &["4.19.0-27-amd64 is too old"],
            ),
            (load_failed(&os(libc::EPERM), "6.1.0", ""), &["lockdown"]),
            (load_failed(&os(libc::EINVAL), "6.1.0", "one\ntwo\n"), &["libbpf said: one two"]),
            (no_ring(&os(libc::ENOMEM)), &["ulimit -l"]),
            (deserted(), &["no interface is left"]),
            (output_failed(&os(libc::ENOSPC), 7), &["7 packets", "make room"]),
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
