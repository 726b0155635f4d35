//! What another user put in the way, who can make files where the log is, and would
//! have root write elsewhere: nothing is followed. The binary, black box.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::frames::frame;
use common::live::flood;
use common::logs::{Dir, agrees, run_flooded, start};
use common::net::Net;
use common::process::{BIN, Xdplog, assert_refused, run, wait_until};
use nix::sys::signal::Signal;

/// The other user's: `nobody`.
const UID: u32 = 65534;

/// A directory of the other user's, in one where `victim` is root's.
struct Theirs {
    dir: Dir,
    victim: PathBuf,
}

impl Theirs {
    fn new() -> Theirs {
        let dir = Dir::new();
        fs::set_permissions(dir.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let victim = PathBuf::from(dir.path("victim"));
        fs::create_dir(dir.path("theirs")).unwrap();
        chown(dir.path("theirs"), Some(UID), Some(UID)).unwrap();
        Theirs { dir, victim }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path(&format!("theirs/{name}"))
    }

    /// What the other user does there.
    fn does(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        command.current_dir(self.path("")).args(args).uid(UID).gid(UID);
        assert!(command.status().unwrap().success(), "{program} {args:?}");
    }

    /// Plant this under `name`. A hard link is made for them: to a file that they may
    /// not read they can make one only where `fs.protected_hardlinks` is 0.
    fn plant(&self, what: &str, name: &str) {
        let victim = self.victim.to_str().unwrap();
        match what {
            "symbolic link" => self.does("ln", &["-s", victim, name]),
            "hard link" => fs::hard_link(victim, self.path(name)).unwrap(),
            "own file" => self.does("touch", &[name]),
            "pipe" => self.does("mkfifo", &[name]),
            _ => unreachable!("{what}"),
        }
    }

    fn assert_unharmed(&self, content: Option<&str>) {
        assert_eq!(fs::read_to_string(&self.victim).ok().as_deref(), content);
    }
}

/// What can be planted, and what is said about it.
const PLANTS: [(&str, &str); 4] = [
    ("symbolic link", "it is a symbolic link"),
    ("hard link", "one file with 2 names"),
    ("own file", "it belongs to another user, of uid 65534"),
    ("pipe", "it is no regular file"),
];

fn mode_and_owner(path: &Path) -> (u32, u32) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.mode() & 0o7777, meta.uid())
}

#[test]
fn before_the_start() {
    let net = Net::new();
    for (what, said) in PLANTS {
        let theirs = Theirs::new();
        fs::write(&theirs.victim, "").unwrap();
        theirs.plant(what, "log");
        let log = theirs.path("log");
        if what == "pipe" {
            // In one's own directory a pipe is what the log is to go to. In one that
            // all can write to, it is a trap.
            let shared = fs::Permissions::from_mode(0o1777);
            fs::set_permissions(theirs.path(""), shared).unwrap();
            chown(theirs.path(""), Some(0), Some(0)).unwrap();
            let said = "it belongs to another user, of uid 65534";
            assert_refused(&run(&net, &["here0", "-w", &log]), &[&log, said]);
            continue;
        }
        assert_refused(&run(&net, &["here0", "-w", &log]), &[&log, said]);
        theirs.assert_unharmed(Some(""));
    }
    // Nor is one followed that leads nowhere yet.
    let theirs = Theirs::new();
    theirs.plant("symbolic link", "log");
    let log = theirs.path("log");
    for more in [&[][..], &["--overwrite"]] {
        let args = [&["here0", "-w", &log], more].concat();
        assert_refused(&run(&net, &args), &["it is a symbolic link"]);
        theirs.assert_unharmed(None);
    }
}

#[test]
fn what_is_overwritten_is_only_a_name() {
    let net = Net::new();
    for what in ["hard link", "own file"] {
        let theirs = Theirs::new();
        fs::write(&theirs.victim, "precious").unwrap();
        theirs.plant(what, "log");
        let log = theirs.path("log");
        let ended = run_flooded(&net, 100, &["-w", &log, "--overwrite"]);
        assert!(ended.stderr.contains("\"lost\":0"));
        theirs.assert_unharmed(Some("precious"));
        assert_eq!(mode_and_owner(log.as_ref()), (0o600, 0), "and the log is nobody else's");
    }
    // A link under a number is none of this log's files, be it a hard one.
    let theirs = Theirs::new();
    fs::write(&theirs.victim, "precious").unwrap();
    theirs.plant("symbolic link", "log-000001");
    theirs.plant("hard link", "log-000002");
    let args = ["-w", &theirs.path("log"), "--overwrite", "--rotate-size", "1M"];
    run_flooded(&net, 100, &args);
    theirs.assert_unharmed(Some("precious"));
    assert!(fs::symlink_metadata(theirs.path("log-000001")).unwrap().is_symlink());
    let hard_link = fs::metadata(theirs.path("log-000002")).unwrap();
    assert_eq!(hard_link.ino(), fs::metadata(&theirs.victim).unwrap().ino());
    assert_eq!(mode_and_owner(theirs.path("log-000003").as_ref()), (0o600, 0));
}

#[test]
fn among_the_numbers_of_a_log() {
    let (net, theirs) = (Net::new(), Theirs::new());
    // As /tmp is.
    fs::set_permissions(theirs.path(""), fs::Permissions::from_mode(0o1777)).unwrap();
    chown(theirs.path(""), Some(0), Some(0)).unwrap();
    let log = theirs.path("log.json");
    let args = ["-f", "json", "-w", &log, "--rotate-size", "1M", "--rotate-keep", "3"];
    let run_again = |more: &[&str]| run_flooded(&net, 10, &[&args[..], more].concat());
    (0..3).for_each(|_| drop(run_again(&[])));
    let planted = ["log-000003.json.zst", "log-9000001.json", "log-9999999.json"];
    theirs.does("touch", &planted);
    let names = || {
        let names = fs::read_dir(theirs.path("")).unwrap();
        let mut names: Vec<_> =
            names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !planted.contains(&&**name));
        names.sort();
        names
    };
    assert_eq!(names(), ["log-000001.json", "log-000002.json", "log-000003.json"]);
    // Only root's count among those that are kept, and to find the next number.
    run_again(&[]);
    assert_eq!(names(), ["log-000002.json", "log-000003.json", "log-000004.json"]);
    // Only root's go, and what else has a number keeps it.
    run_again(&["--overwrite"]);
    assert_eq!(names(), ["log-000001.json"]);
    for name in planted {
        assert_eq!(mode_and_owner(theirs.path(name).as_ref()).1, UID, "{name}");
    }
}

#[test]
fn while_it_is_opened_anew() {
    for (what, said) in PLANTS {
        let (net, theirs) = (Net::new(), Theirs::new());
        let existed = (what == "hard link").then_some("precious");
        if let Some(content) = existed {
            fs::write(&theirs.victim, content).unwrap();
        }
        let log = theirs.path("log");
        let xdplog = start(&net, &["-w", &log]);
        flood(&net, 0, &frame(), 100);
        theirs.does("mv", &["log", "log.1"]);
        theirs.plant(what, "log");
        xdplog.signal(Signal::SIGHUP);
        let ended = xdplog.end();
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        for part in [&*format!("cannot open {log}: "), said, "Next: see who put it there"] {
            assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
        }
        theirs.assert_unharmed(existed);
        agrees(&net, &ended, "classic", &[theirs.path("log.1").into()]);
        assert!(!net.has_xdp(0));
    }
}

#[test]
fn while_it_is_rotated() {
    // The number of a name that is there when the next file is made is passed over.
    for name in ["log-000001", "log-000001.zst", "log-000001.zst.part", "log"] {
        let (net, theirs) = (Net::new(), Theirs::new());
        fs::write(&theirs.victim, "precious").unwrap();
        theirs.plant("symbolic link", name);
        let args = ["-w", &theirs.path("log"), "--rotate-size", "1M", "--compress"];
        let ended = run_flooded(&net, 100, &args);
        let number = if name == "log" { 1 } else { 2 };
        let made = theirs.path(&format!("log-00000{number}.zst"));
        agrees(&net, &ended, "classic", &[made.into()]);
        theirs.assert_unharmed(Some("precious"));
    }
    // One that is put there later keeps the file from being compressed, and no more.
    for name in ["log-000001.zst", "log-000001.zst.part"] {
        let (net, theirs) = (Net::new(), Theirs::new());
        fs::write(&theirs.victim, "precious").unwrap();
        let log = theirs.path("log");
        let xdplog = start(&net, &["-w", &log, "--rotate-size", "1M", "--compress"]);
        theirs.plant("symbolic link", name);
        flood(&net, 0, &frame(), 100);
        let ended = xdplog.stop();
        assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
        let said = format!("cannot compress {log}-000001: ");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        theirs.assert_unharmed(Some("precious"));
        agrees(&net, &ended, "classic", &[format!("{log}-000001").into()]);
    }
}

#[test]
fn for_the_ready_file() {
    let (net, theirs) = (Net::new(), Theirs::new());
    let ready = theirs.path("ready");
    let args = ["here0", "--ready-file", &ready];
    theirs.plant("symbolic link", "ready");
    assert_refused(&run(&net, &args), &[&ready, "it is a symbolic link"]);
    theirs.assert_unharmed(None);
    theirs.does("rm", &["ready"]);
    // Nor is one followed that is put there later, here while a pipe has no reader.
    let pipe = theirs.dir.path("pipe");
    nix::unistd::mkfifo(&*pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut late = common::process::command(&net, &[&args[..], &["-w", &pipe]].concat());
    let mut late = late.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(late.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    theirs.plant("symbolic link", "ready");
    let _reader = File::open(&pipe).unwrap();
    assert_eq!(late.wait().unwrap().code(), Some(1));
    stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains(&format!("cannot create the ready file {ready}")), "{said}");
    theirs.assert_unharmed(None);
    assert!(!net.has_xdp(0));
    theirs.does("rm", &["ready"]);
    // What replaced it is not what is removed at the end.
    let mut xdplog = command_ready(&net, &ready);
    wait_until("it is ready", || fs::exists(&ready).unwrap());
    assert_eq!(mode_and_owner(ready.as_ref()), (0o600, 0));
    theirs.does("mv", &["ready", "ready.1"]);
    theirs.does("touch", &["ready"]);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(xdplog.id() as i32), Signal::SIGINT).unwrap();
    assert!(xdplog.wait().unwrap().success());
    assert_eq!(mode_and_owner(ready.as_ref()).1, UID);
}

fn command_ready(net: &Net, ready: &str) -> std::process::Child {
    let mut command = common::process::command(net, &["here0", "--ready-file", ready]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn the_ready_file_is_there_as_long_as_it_is_ready() {
    let (net, dir) = (Net::new(), Dir::new());
    let ready = dir.path("ready");
    // One that a killed run left is no more as soon as anything is done, be it to
    // refuse that.
    for args in
        [&["nope0"][..], &["here0", "-w", "/no/such/file"], &["here0", "--buffer-size", "1000GiB"]]
    {
        fs::write(&ready, "").unwrap();
        assert_refused(&run(&net, &[args, &["--ready-file", &ready]].concat()), &[]);
        assert_eq!(dir.names(), [""; 0], "{args:?}");
    }
    for args in [
        &["--no-such-option", "--ready-file", &ready][..],
        &[&format!("--ready-file={ready}"), "-c", "0"],
    ] {
        fs::write(&ready, "").unwrap();
        assert_eq!(run(&net, args).code(), Some(2));
        assert_eq!(dir.names(), [""; 0], "{args:?}");
    }
    // A log of that name would be taken for it.
    for log in [ready.clone(), dir.path("./ready")] {
        let ended = run(&net, &["here0", "--ready-file", &ready, "-w", &log]);
        assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("--write and --ready-file both name"), "{}", ended.stderr);
        assert_eq!(dir.names(), [""; 0]);
    }
    let first = Xdplog::start(&net, &["here0"]);
    fs::write(&ready, "").unwrap();
    let args = ["here0", "--ready-file", &ready];
    assert_refused(&run(&net, &args), &["already runs XDP program"]);
    assert_eq!(dir.names(), [""; 0]);
    assert_eq!(first.stop().code(), Some(0));
    // A pipe that nobody reads is waited for before anything is logged.
    fs::write(&ready, "").unwrap();
    let pipe = dir.path("pipe");
    nix::unistd::mkfifo(&*pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut waiting = common::process::command(&net, &[&args[..], &["-w", &pipe]].concat());
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("nobody reads yet"), "{line}");
    assert_eq!(dir.names(), ["pipe"]);
    waiting.kill().unwrap();
    waiting.wait().unwrap();

    let mut xdplog = command_ready(&net, &ready);
    wait_until("it is ready", || fs::exists(&ready).unwrap());
    assert!(net.has_xdp(0));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(xdplog.id() as i32), Signal::SIGTERM)
        .unwrap();
    assert!(xdplog.wait().unwrap().success());
    assert_eq!(dir.names(), ["pipe"]);
    // What is no ready file is left alone.
    fs::write(&ready, "precious").unwrap();
    assert_refused(&run(&net, &args), &[&ready, "it exists, and is no ready file"]);
    assert_eq!(fs::read_to_string(&ready).unwrap(), "precious");
}

/// Whatever the umask would allow.
#[test]
fn all_that_is_made_is_ones_own() {
    let (net, dir) = (Net::new(), Dir::new());
    let path = dir.path("log");
    for args in [format!("-w {path}"), format!("-w {path}.r --rotate-size 2K --compress")] {
        let mut command = Command::new("ip");
        let script = format!("umask 0; exec {BIN} here0 --stats-format json {args} \"$@\"");
        command.args(["netns", "exec", &net.here, "sh", "-c", &script, "sh"]);
        let xdplog = Xdplog::start_command(command);
        flood(&net, 0, &frame(), 100);
        assert_eq!(xdplog.stop().code(), Some(0));
    }
    let files = dir.files();
    assert!(files.len() > 2, "{files:?}");
    for path in files {
        assert_eq!(mode_and_owner(&path), (0o600, 0), "{path:?}");
    }
    // Directories stay as they are, and files that were there before, empty.
    let before = dir.path("before");
    fs::write(&before, "").unwrap();
    for (path, mode) in [(dir.0.path(), 0o755), (before.as_ref(), 0o640)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    run_flooded(&net, 10, &["-w", &before]);
    assert_eq!(mode_and_owner(before.as_ref()), (0o640, 0));
    assert_eq!(mode_and_owner(dir.0.path()), (0o755, 0));
}
