//! Log files on a disk that fills: nothing but whole records, and what could not be
//! written is counted. The binary, black box.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::frames::frame;
use common::live::flood;
use common::logs::{Dir, agrees, len, packets, start};
use common::net::Net;
use common::process::{BIN, PROMPT, Xdplog, count, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use nix::sys::statvfs::statvfs;

/// A directory with a file system of its own, of 1 MiB.
struct Tmpfs(Dir);

/// What that has room for.
const ROOM: u64 = 1 << 20;

impl Tmpfs {
    fn new() -> Tmpfs {
        let dir = Dir::new();
        let size = format!("size={ROOM}");
        let (kind, flags) = (Some("tmpfs"), MsFlags::empty());
        mount(Some("none"), dir.0.path(), kind, flags, Some(&*size)).expect("mount a tmpfs");
        Tmpfs(dir)
    }

    /// A file that takes most of the room, until it is removed.
    fn ballast(&self) -> PathBuf {
        let path = PathBuf::from(self.0.path("ballast"));
        fs::write(&path, vec![0; ROOM as usize / 4 * 3]).unwrap();
        path
    }

    /// Flood until nothing more can be written.
    fn fill(&self, net: &Net) {
        self.fill_by(net, 20_000);
    }

    /// The same, by so many packets at a time.
    fn fill_by(&self, net: &Net, packets: u32) {
        let left = || statvfs(self.0.0.path()).unwrap().blocks_available();
        wait_until("the disk is full", || {
            flood(net, 0, &frame(), packets);
            left() == 0
        });
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it until then.
        let _ = umount2(self.0.0.path(), MntFlags::MNT_DETACH);
    }
}

fn not_written(lost: u64) -> String {
    match lost {
        1 => "1 packet was not written".into(),
        _ => format!("{lost} packets were not written"),
    }
}

#[test]
fn a_disk_that_fills_up_ends_it_with_the_last_whole_record() {
    for more in
        [&["-f", "classic"][..], &["-f", "pcapng"], &["-f", "json", "--rotate-size", "300K"]]
    {
        let (net, disk) = (Net::new(), Tmpfs::new());
        let path = disk.0.path("log");
        let xdplog = start(&net, &[&["-w", &path], more].concat());
        flood(&net, 0, &frame(), 100_000);
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        let summary = agrees(&net, &ended, more[1], &disk.0.files());
        let (logged, lost) = (count(&summary, "logged"), count(&summary, "lost"));
        assert!(logged > 1000 && lost > 0, "{summary}");
        let said = format!("No space left on device (os error 28); {}", not_written(lost));
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(ended.stderr.contains("`--on-full wait`"), "{}", ended.stderr);
        // Of several files it is the last that is full.
        let last = disk.0.files().pop().unwrap();
        let said = format!("cannot write to {}: No space", last.display());
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(!net.has_xdp(0));
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    let mut command = Command::new("ip");
    // In units of 512 or 1024 bytes, by the shell.
    let script = format!("ulimit -f 100; exec {BIN} here0 --stats-format json -w {path} \"$@\"");
    command.args(["netns", "exec", &net.here, "sh", "-c", &script, "sh"]);
    command.stderr(Stdio::piped());
    let xdplog = Xdplog::start_command(command);
    flood(&net, 0, &frame(), 10_000);
    let ended = xdplog.end();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let summary = agrees(&net, &ended, "classic", &dir.files());
    let (logged, lost) = (count(&summary, "logged"), count(&summary, "lost"));
    assert!(logged > 1000 && lost > 0, "{summary}");
    let said = format!("File too large (os error 27); {}", not_written(lost));
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    let next = "Next: raise the limit on the size of files (`ulimit -f`)";
    assert!(ended.stderr.contains(next), "{}", ended.stderr);
}

#[test]
fn a_disk_that_fills_up_is_waited_for() {
    for (format, rotation) in
        [("classic", &[][..]), ("pcapng", &[]), ("classic", &["--rotate-size", "100K"])]
    {
        let (net, disk) = (Net::new(), Tmpfs::new());
        let ballast = disk.ballast();
        let path = disk.0.path("log");
        let args = ["-f", format, "-w", &path, "--on-full", "wait", "--buffer-size", "16KiB"];
        let xdplog = start(&net, &[&args, rotation].concat());
        disk.fill(&net);
        // More than the ring holds, while nothing can be written.
        flood(&net, 0, &frame(), 200_000);
        xdplog.hear("no room to write: waiting for it");
        assert!(net.has_xdp(0), "it goes on");
        fs::remove_file(ballast).unwrap();
        xdplog.hear("there is room to write again");
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = agrees(&net, &ended, format, &disk.0.files());
        assert_eq!(count(&summary, "lost"), 0, "{summary}");
        assert!(count(&summary, "summarised") > 0, "{summary}");
    }
}

#[test]
fn stopped_while_it_waits_for_room() {
    for format in ["classic", "pcapng"] {
        let (net, disk) = (Net::new(), Tmpfs::new());
        let path = disk.0.path("log");
        let xdplog = start(&net, &["-f", format, "-w", &path, "--on-full", "wait"]);
        disk.fill(&net);
        // What asks for the file anew finds no room for that, either.
        xdplog.signal(Signal::SIGHUP);
        xdplog.hear("no room to write: waiting for it");
        xdplog.signal(Signal::SIGTERM);
        let ended = xdplog.end();
        assert!(ended.took < *PROMPT, "{:?}", ended.took);
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        let summary = agrees(&net, &ended, format, &disk.0.files());
        let lost = count(&summary, "lost");
        assert!(lost > 0, "{summary}");
        assert!(ended.stderr.contains(&format!("{lost} packets were not")), "{}", ended.stderr);
        // Who does so already needs no advice to.
        assert!(ended.stderr.contains("Next: make room there\n"), "{}", ended.stderr);
    }
}

#[test]
fn stopped_while_a_file_opened_anew_waits_for_room_for_its_head() {
    let (net, disk) = (Net::new(), Tmpfs::new());
    let (path, moved) = (disk.0.path("log"), disk.0.path("log.1"));
    let xdplog = start(&net, &["-f", "pcapng", "-w", &path, "--on-full", "wait"]);
    net.tap_there(0).send(&frame());
    wait_until("it is written", || {
        len(Path::new(&path)) > 0 && packets("pcapng", Path::new(&path)).0 == 1
    });
    // Nothing is left to be written now, and there is no room.
    let full = fs::write(disk.0.path("ballast"), vec![0; ROOM as usize]);
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    fs::rename(&path, &moved).unwrap();
    xdplog.signal(Signal::SIGHUP);
    // Who watches is not who waits.
    xdplog.hear("no room to write: waiting for it");
    xdplog.signal(Signal::SIGTERM);
    let ended = xdplog.end();
    assert!(ended.took < *PROMPT, "{:?}", ended.took);
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    agrees(&net, &ended, "pcapng", &[moved.into()]);
    assert!(!net.has_xdp(0));
}

#[test]
fn a_file_that_is_full_is_left_for_another_when_asked() {
    for (format, rotation, names) in [
        ("classic", &[][..], ["log", "log"]),
        ("pcapng", &[], ["log", "log"]),
        ("pcapng", &["--rotate-size", "10M"], ["log-000001", "log-000002"]),
    ] {
        let (net, disk, elsewhere) = (Net::new(), Tmpfs::new(), Dir::new());
        let path = disk.0.path("log");
        let args = ["-f", format, "-w", &path, "--on-full", "wait"];
        let xdplog = start(&net, &[&args, rotation].concat());
        // What waits for room is to find it in the next file.
        disk.fill_by(&net, 2000);
        flood(&net, 0, &frame(), 1000);
        // Removed, it takes its room as long as it is open.
        let mut full = File::open(disk.0.path(names[0])).unwrap();
        fs::remove_file(disk.0.path(names[0])).unwrap();
        xdplog.signal(Signal::SIGHUP);
        let next = disk.0.path(names[1]);
        wait_until("it goes on with the next", || fs::exists(&next).unwrap());
        let copy = elsewhere.path("log");
        std::io::copy(&mut full, &mut File::create(&copy).unwrap()).unwrap();
        drop(full);
        wait_until("there is room", || len(Path::new(&next)) > 0);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
        let summary = agrees(&net, &ended, format, &[copy.into(), next.into()]);
        assert_eq!(count(&summary, "lost"), 0, "{summary}");
    }
}

#[test]
fn a_disk_without_room_to_compress_keeps_what_is_there() {
    let (net, disk) = (Net::new(), Tmpfs::new());
    // Noise, lest it is as small as nothing when compressed.
    let path = disk.0.path("log");
    let args = ["-f", "pcapng", "-w", &path, "--rotate-size", "900K", "--compress"];
    let xdplog = start(&net, &args);
    let mut noise = frame();
    noise.resize(1000, 0);
    let tap = net.tap_there(0);
    for _ in 0..600 {
        File::open("/dev/urandom").unwrap().read_exact(&mut noise[42..]).unwrap();
        tap.send(&noise);
    }
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    let name = disk.0.path("log-000001");
    assert!(
        ended.stderr.contains(&format!("cannot compress {name}: No space")),
        "{}",
        ended.stderr
    );
    // Whole, and nothing beside it.
    assert_eq!(disk.0.names(), ["log-000001"]);
    let summary = agrees(&net, &ended, "pcapng", &disk.0.files());
    assert_eq!(count(&summary, "lost"), 0, "{summary}");
}
