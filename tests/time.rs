//! Times are right in a time namespace, too, whose clocks are not those that the
//! kernel side has. A clock that is stepped is in machine.rs.

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::frames::udp4;
use common::json;
use common::live::flood_sources;
use common::net::Net;
use common::process::{BIN, Xdplog, count};

/// A time in a log.
fn time(value: &serde_json::Value) -> SystemTime {
    humantime::parse_rfc3339(value.as_str().unwrap()).unwrap()
}

#[test]
fn times_in_a_time_namespace() {
    // As far behind as the machine is up, if that is no more.
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    let behind = format!("-{}", uptime.min(3600) / 2);
    for (monotonic, boottime) in
        [("86400", "0"), ("86400", "864000"), ("0", "864000"), (&behind, "0")]
    {
        let net = Net::new();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &net.here, "unshare", "-T"]);
        command.args(["--monotonic", monotonic, "--boottime", boottime]);
        command.args([BIN, "here0", "-f", "json", "--stats-format", "json"]);
        command.args(["--mode", "native", "--buffer-size", "4KiB", "--readers", "1"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = SystemTime::now();
        let mut xdplog = Xdplog::start_command(command);
        let mut stdout = xdplog.stdout();
        let log = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
        net.tap_there(0).send(&udp4([10, 0, 0, 1].into(), 18));
        // More than the ring holds: summaries have times, too.
        xdplog.park();
        flood_sources(&net, 0, 3, 5000);
        xdplog.unpark();
        let ended = xdplog.stop();
        let ended_at = SystemTime::now();
        assert!(count(&ended.summary(), "summarised") > 1000, "{}", ended.stderr);
        let mut times = 0;
        for object in json::objects(&log.join().unwrap()) {
            let is_summary = object.get("event").is_some();
            for key in if is_summary { &["since", "time"][..] } else { &["time"] } {
                // The wall clock and the other may differ by what is noise.
                let slack = Duration::from_millis(10);
                let at = time(&object[*key]);
                let then = began - slack..=ended_at + slack;
                assert!(then.contains(&at), "{monotonic} {boottime}: {object}");
                times += 1 + u32::from(is_summary) * 1_000_000;
            }
        }
        // Of packets, and of summaries, both.
        assert!(times % 1_000_000 > 0 && times > 1_000_000, "{times}");
    }
}
