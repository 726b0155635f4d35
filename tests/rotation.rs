//! Logs of several files: begun by size or age, compressed, the oldest removed, and
//! those of earlier runs. The binary, black box; the witnesses are the files.

mod common;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use common::frames::frame;
use common::live::flood;
use common::logs::{Dir, agrees, len, packets, run_flooded, start};
use common::net::Net;
use common::process::{Xdplog, assert_balanced, assert_refused, count, run, wait_until};
use nix::sys::signal::Signal;

#[test]
fn rotated_by_size() {
    for (format, size) in [("classic", 1_000_000), ("json", 10_000_000), ("pcapng", 5_000_000)] {
        let (net, dir) = (Net::new(), Dir::new());
        let bound = size.to_string();
        let args = ["-f", format, "-w", &dir.path("log.x"), "--rotate-size", &bound];
        let xdplog = start(&net, &args);
        flood(&net, 0, &frame(), 300_000);
        // What is only summarised fills no files.
        wait_until("some files are full", || {
            flood(&net, 0, &frame(), 50_000);
            dir.names().len() > 3
        });
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        let summary = agrees(&net, &ended, format, &dir.files());
        assert_eq!(count(&summary, "lost"), 0);
        let names = dir.names();
        let numbered = (1..=names.len()).map(|number| format!("log-{number:06}.x"));
        assert!(numbered.eq(names.iter().cloned()), "{names:?}");
        assert!(names.len() > 3, "{names:?}");
        for path in dir.files() {
            assert!(len(&path) <= size, "{path:?}: {}", len(&path));
        }
    }
}

#[test]
fn a_file_gets_one_record_where_it_may_not_be_longer() {
    for format in ["classic", "pcapng"] {
        let (net, dir) = (Net::new(), Dir::new());
        let args = ["-f", format, "-w", &dir.path("log"), "--rotate-size", "1"];
        let ended = run_flooded(&net, 50, &args);
        agrees(&net, &ended, format, &dir.files());
        for path in dir.files() {
            assert_eq!(packets(format, &path), (1, 0), "{path:?}");
        }
    }
}

#[test]
fn rotated_by_age() {
    let (net, dir) = (Net::new(), Dir::new());
    let xdplog = start(&net, &["-w", &dir.path("log"), "--rotate-interval", "30ms"]);
    let tap = net.tap_there(0);
    let lines = || dir.files().iter().map(|path| packets("classic", path).0).sum::<u64>();
    for sent in 1..=4 {
        tap.send(&frame());
        wait_until("it is written", || lines() == sent);
        // By then its file is too old for the next.
        thread::sleep(Duration::from_millis(30));
    }
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    agrees(&net, &ended, "classic", &dir.files());
    for path in dir.files() {
        assert_eq!(packets("classic", &path), (1, 0), "{path:?}");
    }
}

#[test]
fn only_the_last_are_kept() {
    let (net, dir) = (Net::new(), Dir::new());
    let args = ["-w", &dir.path("log"), "--rotate-size", "100K", "--rotate-keep", "3"];
    let ended = run_flooded(&net, 100_000, &args);
    assert_balanced(&ended.summary());
    let names = dir.names();
    assert_eq!(names.len(), 3, "{names:?}");
    let number = |name: &String| name.strip_prefix("log-").unwrap().parse::<u32>().unwrap();
    let last = number(&names[2]);
    assert!(last > 3);
    assert_eq!(names.iter().map(number).collect::<Vec<_>>(), [last - 2, last - 1, last]);
}

#[test]
fn those_of_earlier_runs_count_among_the_last() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    run_flooded(&net, 20_000, &["-w", &path, "--rotate-size", "100K", "--compress"]);
    let first = dir.names().len();
    assert!(first > 4, "{:?}", dir.names());
    // Others' are none of them.
    fs::write(dir.path("log-20261123"), "precious").unwrap();
    let keep = ["-w", &path, "--rotate-size", "100M", "--rotate-keep", "3"];
    run_flooded(&net, 100, &keep);
    let last = format!("log-{:06}", first + 1);
    let before = [format!("log-{:06}.zst", first - 1), format!("log-{first:06}.zst")];
    assert_eq!(dir.names(), [&before[..], &[last, "log-20261123".into()]].concat());
    // Nor does the number grow of those that each of which is killed leaves behind.
    for _ in 0..5 {
        let xdplog = start(&net, &keep);
        wait_until("the oldest went", || dir.names().len() <= 1 + 3 + 1);
        xdplog.signal(Signal::SIGKILL);
        assert!(!xdplog.end().status.success());
    }
    // What a start that is refused would remove stays.
    let names = dir.names();
    assert_refused(&run(&net, &[&["nope0"], &keep[..]].concat()), &["nope0"]);
    assert_eq!(dir.names(), names);
}

#[test]
fn compressed() {
    for format in ["classic", "pcapng"] {
        let (net, dir) = (Net::new(), Dir::new());
        let args = ["-f", format, "-w", &dir.path("log"), "--rotate-size", "1M", "--compress"];
        let ended = run_flooded(&net, 100_000, &args);
        agrees(&net, &ended, format, &dir.files());
        let names = dir.names();
        let numbered = (1..=names.len()).map(|number| format!("log-{number:06}.zst"));
        assert!(numbered.eq(names.iter().cloned()), "{names:?}");
    }
}

#[test]
fn a_second_run_goes_on_with_the_next_number() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    // The first compresses, the second does not: a number is a number.
    run_flooded(&net, 10_000, &["-w", &path, "--rotate-size", "100K", "--compress"]);
    let first: Vec<(PathBuf, Vec<u8>)> =
        dir.files().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    run_flooded(&net, 10_000, &["-w", &path, "--rotate-size", "100K"]);
    for (path, bytes) in &first {
        assert!(fs::read(path).unwrap() == *bytes, "{path:?} is as it was");
    }
    let names = dir.names();
    let numbers: Vec<u32> = names.iter().map(|name| name[4..10].parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=names.len() as u32), "{names:?}");
    assert!(names.len() > first.len());
    // What has another name is not touched, whatever is overwritten.
    let others = ["log-1", "log-20261123", "log-0000001", "log-000001.gz"];
    for name in others {
        fs::write(dir.path(name), "precious").unwrap();
    }
    // All that this log's files may be called is.
    fs::write(dir.path("log-000099.zst.part"), "half").unwrap();
    let before = net.received(0);
    let ended = run_flooded(&net, 100, &["-w", &path, "--rotate-size", "1M", "--overwrite"]);
    let mut left = [&others[..], &["log-000001"]].concat();
    left.sort();
    assert_eq!(dir.names(), left);
    for name in others {
        assert_eq!(fs::read_to_string(dir.path(name)).unwrap(), "precious");
        fs::remove_file(dir.path(name)).unwrap();
    }
    let logged = packets("classic", &dir.files()[0]).0;
    assert_eq!(logged, count(&ended.summary(), "logged"));
    assert_eq!(count(&ended.summary(), "seen"), net.received(0) - before);
}

/// Each goes on with the next number, and neither takes what the other writes to.
#[test]
fn two_runs_of_one_log() {
    let (net, dir) = (Net::new(), Dir::new());
    net.add_pair(1);
    let path = dir.path("log");
    let args = ["-w", &path, "--rotate-size", "20K", "--rotate-keep", "1"];
    let first = start(&net, &args);
    let tap = net.tap_there(0);
    tap.send(&frame());
    let log = dir.path("log-000001");
    wait_until("it is written", || len(log.as_ref()) > 0);
    let others = [&["here1"], &args[..]].concat();
    let refused = run(&net, &[&others[..], &["--overwrite"]].concat());
    assert_refused(&refused, &["another xdplog writes to it"]);
    let second = Xdplog::start(&net, &others);
    wait_until("it has removed the oldest of its own", || {
        flood(&net, 1, &frame(), 1000);
        !dir.names().contains(&"log-000002".into())
    });
    assert_eq!(second.stop().code(), Some(0));
    tap.send(&frame());
    let ended = first.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    agrees(&net, &ended, "classic", &[log.into()]);
}

#[test]
fn numbers_end() {
    let (net, dir) = (Net::new(), Dir::new());
    fs::write(dir.path("log-9999998"), "").unwrap();
    let args = ["-w", &dir.path("log"), "--rotate-size", "1M"];
    run_flooded(&net, 10, &args);
    assert_eq!(dir.names(), ["log-9999998", "log-9999999"]);
    let refused = run(&net, &[&["here0"], &args[..]].concat());
    assert_refused(&refused, &["log-10000000: there are no more numbers"]);
    assert_eq!(dir.names(), ["log-9999998", "log-9999999"]);
}

#[test]
fn what_is_compressed_already_is_not_overwritten() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    for name in ["log-000001.zst", "log-000003.zst.part"] {
        fs::write(dir.path(name), "precious").unwrap();
    }
    let args = ["-w", &path, "--rotate-size", "1M", "--compress"];
    run_flooded(&net, 100, &args);
    // The number of one that is being compressed is taken, too.
    assert_eq!(dir.names(), ["log-000001.zst", "log-000003.zst.part", "log-000004.zst"]);
    // Someone makes one meanwhile.
    let xdplog = start(&net, &args);
    fs::write(dir.path("log-000005.zst"), "precious").unwrap();
    flood(&net, 0, &frame(), 100);
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let said = format!("cannot compress {path}-000005: File exists");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    for name in ["log-000001.zst", "log-000003.zst.part", "log-000005.zst"] {
        assert_eq!(fs::read_to_string(dir.path(name)).unwrap(), "precious");
    }
    let ours = [dir.path("log-000004.zst").into(), dir.path("log-000005").into()];
    let logged: u64 = ours.iter().map(|path: &PathBuf| packets("classic", path).0).sum();
    assert_eq!(logged, net.received(0));
}

#[test]
fn a_rotated_log_goes_on_to_the_next_file_when_asked() {
    let (net, dir) = (Net::new(), Dir::new());
    let xdplog = start(&net, &["-w", &dir.path("log"), "--rotate-size", "500K"]);
    thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&net, 0, &frame(), 300_000));
        while !flooding.is_finished() {
            let before = dir.files().len();
            xdplog.signal(Signal::SIGHUP);
            wait_until("there is another", || dir.files().len() > before);
        }
    });
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let summary = agrees(&net, &ended, "classic", &dir.files());
    assert_eq!(count(&summary, "lost"), 0);
}

#[test]
fn a_count_is_exact_over_all_files() {
    let (net, dir) = (Net::new(), Dir::new());
    let xdplog = start(&net, &["-w", &dir.path("log"), "--rotate-size", "20K", "-c", "5000"]);
    flood(&net, 0, &frame(), 20_000);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_balanced(&ended.summary());
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(dir.files().iter().map(lines).sum::<usize>(), 5000);
}
