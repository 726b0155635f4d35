//! Log files: what is in them is what was counted, whatever happens to them. The
//! binary, black box; the witnesses are the files, read by other hands.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;

use common::frames::frame;
use common::host::pin_to;
use common::live::{Sender, flood};
use common::logs::{Dir, agrees, len, packets, run_flooded, start};
use common::net::Net;
use common::process::{Xdplog, assert_balanced, assert_refused, count, run, wait_until};
use nix::sys::signal::Signal;

const FORMATS: [&str; 4] = ["classic", "text", "json", "pcapng"];

#[test]
fn every_format_in_a_file() {
    for format in FORMATS {
        let (net, dir) = (Net::new(), Dir::new());
        let ended = run_flooded(&net, 20_000, &["-f", format, "-w", &dir.path("log")]);
        let summary = agrees(&net, &ended, format, &dir.files());
        assert_eq!(count(&summary, "lost"), 0);
        assert_eq!(dir.names(), ["log"]);
    }
}

#[test]
fn nothing_that_is_there_is_overwritten_unless_that_is_asked_for() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    fs::write(&path, "precious\n").unwrap();
    assert_refused(&run(&net, &["here0", "-w", &path]), &[&path, "exists already", "--overwrite"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious\n");
    assert!(!net.has_xdp(0));

    let ended = run_flooded(&net, 100, &["-w", &path, "--overwrite"]);
    agrees(&net, &ended, "classic", &dir.files());
    // An empty file has nothing to lose.
    fs::write(&path, "").unwrap();
    let ended = start(&net, &["-w", &path, "-c", "1"]);
    net.tap_there(0).send(&frame());
    assert_eq!(ended.end().code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "LOG: SRC 10.1.2.3, ACTION 2\n");
}

#[test]
fn a_start_that_is_refused_leaves_no_file_and_takes_none() {
    let (net, dir) = (Net::new(), Dir::new());
    let first = Xdplog::start(&net, &["here0"]);
    for format in FORMATS {
        for iface in ["here0", "nope0"] {
            for more in [&[][..], &["--rotate-size", "1M"], &["--overwrite"]] {
                let path = dir.path("log");
                let args = [&[iface, "-f", format, "-w", &path], more].concat();
                assert_refused(&run(&net, &args), &[iface]);
                assert_eq!(dir.names(), [""; 0], "{args:?}");
            }
        }
    }
    // Nor does what was there go.
    for name in ["log", "log-000001", "log-000002.zst"] {
        fs::write(dir.path(name), "precious").unwrap();
    }
    fs::write(dir.path("empty"), "").unwrap();
    for (name, more) in [("log", &[][..]), ("log", &["--rotate-size", "1M"]), ("empty", &[])] {
        let path = dir.path(name);
        let args = [&["here0", "-f", "pcapng", "--overwrite", "-w", &path], more].concat();
        assert_refused(&run(&net, &args), &["already runs XDP program"]);
    }
    assert_eq!(dir.names(), ["empty", "log", "log-000001", "log-000002.zst"]);
    assert_eq!(dir.files().iter().map(|path| len(path)).collect::<Vec<_>>(), [0, 8, 8, 8]);
    // On stdout, too, nothing but a log's beginning begins it.
    assert_refused(&run(&net, &["here0", "-f", "pcapng"]), &["already runs XDP program"]);
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn where_there_can_be_no_file() {
    let (net, dir) = (Net::new(), Dir::new());
    let nowhere = dir.path("no/such/log");
    assert_refused(&run(&net, &["here0", "-w", &nowhere]), &[&nowhere, "cannot open"]);
    let rotates = ["--rotate-size", "1M"];
    let args = [&["here0", "-w", &nowhere], &rotates[..]].concat();
    assert_refused(&run(&net, &args), &[&nowhere, "cannot open"]);
    assert_refused(&run(&net, &["here0", "-w", dir.0.path().to_str().unwrap()]), &["Next: "]);
    assert_refused(&run(&net, &["here0", "-w", "/proc/log"]), &["cannot open /proc/log"]);
    let args = [&["here0", "-w", "/dev/null"], &rotates[..]].concat();
    assert_refused(&run(&net, &args), &["/dev/null is no regular file", "--rotate-size"]);
    assert!(!net.has_xdp(0));
}

#[test]
fn moved_away_and_opened_anew() {
    for format in ["classic", "pcapng"] {
        let (net, dir) = (Net::new(), Dir::new());
        let path = dir.path("log");
        let xdplog = start(&net, &["-f", format, "-w", &path]);
        thread::scope(|scope| {
            let flooding = scope.spawn(|| flood(&net, 0, &frame(), 300_000));
            // As logrotate does it, over and over.
            for number in 1.. {
                let at_the_end = flooding.is_finished();
                fs::rename(&path, dir.path(&format!("log.{number:06}"))).unwrap();
                xdplog.signal(Signal::SIGHUP);
                // At once, whether packets come or not.
                wait_until("it is there again", || fs::exists(&path).unwrap());
                if at_the_end {
                    break;
                }
            }
        });
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = agrees(&net, &ended, format, &dir.files());
        assert_eq!(count(&summary, "lost"), 0);
        assert!(dir.files().len() >= 3);
    }
}

#[test]
fn opened_anew_where_it_was_not_moved_it_is_continued() {
    for format in FORMATS {
        let (net, dir) = (Net::new(), Dir::new());
        let path = dir.path("log");
        let xdplog = start(&net, &["-f", format, "-w", &path]);
        flood(&net, 0, &frame(), 1000);
        xdplog.signal(Signal::SIGHUP);
        flood(&net, 0, &frame(), 1000);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        agrees(&net, &ended, format, &dir.files());
        assert_eq!(dir.names(), ["log"]);
    }
}

#[test]
fn made_shorter_in_place_it_has_no_hole() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    let xdplog = start(&net, &["-w", &path]);
    let tap = net.tap_there(0);
    let lines = || packets("classic", Path::new(&path)).0;
    (0..3).for_each(|_| tap.send(&frame()));
    wait_until("they are written", || lines() == 3);
    // As logrotate does it with `copytruncate`.
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    tap.send(&frame());
    assert_eq!(xdplog.stop().code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "LOG: SRC 10.1.2.3, ACTION 2\n");
}

#[test]
fn it_cannot_be_opened_anew() {
    for (more, name) in [(&[][..], "log"), (&["--rotate-size", "1M"], "log-000002")] {
        let (net, dir) = (Net::new(), Dir::new());
        let (logs, moved) = (dir.path("logs"), dir.path("moved"));
        fs::create_dir(&logs).unwrap();
        let path = format!("{logs}/log");
        let xdplog = start(&net, &[&["-w", &path], more].concat());
        flood(&net, 0, &frame(), 1000);
        let only = fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
        fs::rename(only, &moved).unwrap();
        fs::remove_dir(&logs).unwrap();
        xdplog.signal(Signal::SIGHUP);
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        // That which failed is named, not what its name is made of.
        let said = format!("cannot open {logs}/{name}: No such file");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(ended.stderr.contains("Next: see what became of its directory"));
        agrees(&net, &ended, "classic", &[moved.into()]);
        assert!(!net.has_xdp(0));
    }
}

#[test]
fn a_directory_that_is_moved_takes_its_log_along() {
    for more in [&[][..], &["--rotate-size", "1M"]] {
        let (net, dir) = (Net::new(), Dir::new());
        let (logs, moved) = (dir.path("logs"), dir.path("moved"));
        fs::create_dir(&logs).unwrap();
        let xdplog = start(&net, &[&["-w", &format!("{logs}/log")], more].concat());
        flood(&net, 0, &frame(), 1000);
        fs::rename(&logs, &moved).unwrap();
        xdplog.signal(Signal::SIGHUP);
        flood(&net, 0, &frame(), 1000);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let files: Vec<PathBuf> =
            fs::read_dir(moved).unwrap().map(|entry| entry.unwrap().path()).collect();
        agrees(&net, &ended, "classic", &files);
    }
}

#[test]
fn several_readers_and_one_log() {
    let (net, dir) = (Net::new(), Dir::new());
    let cpus = thread::available_parallelism().unwrap().get();
    net.add_wide_pair(1, cpus);
    let args = ["here1", "--stats-format", "json", "--readers", "1024", "-f", "pcapng"];
    let path = dir.path("log");
    let files = ["-w", &path, "--rotate-size", "1M"];
    let xdplog = Xdplog::start(&net, &[&args[..], &files].concat());
    net.there(|| {
        thread::scope(|scope| {
            for cpu in 0..cpus {
                scope.spawn(move || {
                    pin_to(cpu);
                    Sender::new(1, 0).send(&frame(), 40_000);
                });
            }
        });
    });
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    assert_eq!(count(&summary, "seen"), net.received(1));
    let packets: Vec<_> = dir.files().iter().map(|path| packets("pcapng", path)).collect();
    assert_eq!(packets.iter().map(|p| p.0).sum::<u64>(), count(&summary, "logged"));
    assert_eq!(packets.iter().map(|p| p.1).sum::<u64>(), count(&summary, "summarised"));
    assert!(dir.files().iter().all(|path| len(path) <= 1_000_000));
}

#[test]
fn an_empty_log_is_one_all_the_same() {
    for format in FORMATS {
        let (net, dir) = (Net::new(), Dir::new());
        let xdplog = start(&net, &["-f", format, "-w", &dir.path("log")]);
        if format == "pcapng" {
            // Whoever opens it while it is made finds a log.
            wait_until("its head is there", || len(&dir.files()[0]) > 0);
        }
        assert_eq!(xdplog.stop().code(), Some(0));
        assert_eq!(packets(format, &dir.files()[0]), (0, 0));
    }
}

#[test]
fn a_process_that_is_killed_leaves_its_log_and_no_program() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    let xdplog = start(&net, &["-w", &path]);
    net.tap_there(0).send(&frame());
    wait_until("it is written", || len(Path::new(&path)) > 0);
    xdplog.signal(Signal::SIGKILL);
    assert!(!xdplog.end().status.success());
    assert!(!net.has_xdp(0));
    assert_eq!(packets("classic", Path::new(&path)), (1, 0));
}
