//! Log files: what is in them is what was counted, whatever happens to them. The
//! binary, black box; the witnesses are the files, read by other hands.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::frames::frame;
use common::host::pin_to;
use common::live::{Sender, flood};
use common::logs::{Dir, agrees, len, packets, run_flooded, start};
use common::net::Net;
use common::process::{
    BIN, Logged, Xdplog, assert_balanced, assert_refused, command, count, run, wait_until,
};
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
fn a_dash_is_stdout_and_devices_are_written_to() {
    let net = Net::new();
    let tap = net.tap_there(0);
    let send_to = |path: &str| {
        let xdplog = start(&net, &["-w", path]);
        (0..3).for_each(|_| tap.send(&frame()));
        xdplog
    };
    assert_eq!(send_to("-").stop().lines().len(), 3);
    let ended = send_to("/dev/null").stop();
    assert_eq!((ended.code(), count(&ended.summary(), "logged")), (Some(0), 3));
    // It ends by itself, and says how many were not written.
    let ended = send_to("/dev/full").end();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let summary = ended.summary();
    assert_balanced(&summary);
    let lost = count(&summary, "lost");
    assert!(lost > 0 && count(&summary, "logged") == 0, "{summary}");
    let said = format!("cannot write to /dev/full: No space left on device (os error 28); {lost}");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
}

/// Run by a shell, with descriptors as `redirected`, and with stderr collected.
fn start_redirected(net: &Net, args: &str, redirected: &str) -> Command {
    let mut command = Command::new("ip");
    let script = format!("exec {BIN} here0 --stats-format json {args} \"$@\" {redirected}");
    command.args(["netns", "exec", &net.here, "sh", "-c", &script, "sh"]);
    command.stderr(Stdio::piped());
    command
}

#[test]
fn a_stdout_that_is_closed_is_refused() {
    let (net, dir) = (Net::new(), Dir::new());
    let log = dir.path("log");
    for (args, redirected, said) in [
        ("", ">&-", "stdout is closed, or not open for writing"),
        ("-w -", ">&-", "stdout is closed, or not open for writing"),
        ("-f pcapng", "</dev/null >&-", "stdout is closed"),
        ("", "1</dev/null", "stdout is closed, or not open for writing"),
        ("-w /dev/stdout", ">&-", "cannot open /dev/stdout: Bad file descriptor"),
        ("-w /dev/fd/7", "", "cannot open /dev/fd/7: Bad file descriptor"),
        ("-w /dev/fd/7", "7</dev/null", "cannot open /dev/fd/7: Bad file descriptor"),
    ] {
        let output = start_redirected(&net, args, redirected).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args} {redirected}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(said) && stderr.contains("Next: "), "{stderr}");
    }
    // Who writes elsewhere does not need it; /dev/null is as good as any place.
    for (args, redirected) in [(format!("-w {log}"), ">&-"), (String::new(), ">/dev/null")] {
        let xdplog = Xdplog::start_command(start_redirected(&net, &args, redirected));
        net.tap_there(0).send(&frame());
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        assert_eq!(count(&ended.summary(), "logged"), 1);
    }
    assert_eq!(packets("classic", log.as_ref()), (1, 0));
}

#[test]
fn names_of_descriptors_are_those() {
    let (net, dir) = (Net::new(), Dir::new());
    for (format, name, number) in
        [("classic", "/dev/stdout", 1), ("pcapng", "/dev/fd/1", 1), ("json", "/proc/self/fd/9", 9)]
    {
        let path = dir.path(format);
        let (args, to) = (format!("-f {format} -w {name}"), format!("{number}>{path}"));
        let xdplog = Xdplog::start_command(start_redirected(&net, &args, &to));
        flood(&net, 0, &frame(), 10);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = ended.summary();
        let logged = (count(&summary, "logged"), count(&summary, "summarised"));
        assert_eq!(packets(format, path.as_ref()), logged);
        assert!(logged.0 > 0);
    }
}

#[test]
fn a_pipe_without_a_reader_is_told() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("pipe");
    nix::unistd::mkfifo(&*path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = command(&net, &["here0", "-q", "-c", "1", "-w", &path]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains(&format!("{path} is a pipe that nobody reads yet")), "{said}");
    assert!(!net.has_xdp(0), "nothing is attached before");
    let mut reader = File::open(&path).unwrap();
    wait_until("it is attached", || net.has_xdp(0));
    let tap = net.tap_there(0);
    // Attached is not yet ready.
    let log = thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).map(|_| log)
    });
    while child.try_wait().unwrap().is_none() {
        tap.send(&frame());
        thread::yield_now();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(log.join().unwrap().unwrap(), "LOG: SRC 10.1.2.3, ACTION 2\n");
    said.clear();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "once, and nothing else");
}

#[test]
fn a_pipe_by_its_name() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("pipe");
    nix::unistd::mkfifo(&*path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = thread::spawn({
        let path = path.clone();
        move || Logged::read(File::open(path).unwrap())
    });
    let ended = run_flooded(&net, 1000, &["-w", &path]);
    let (log, summary) = (reader.join().unwrap(), ended.summary());
    assert_balanced(&summary);
    assert_eq!(
        (count(&summary, "logged"), count(&summary, "summarised")),
        (log.lines, log.summarised)
    );
}

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
