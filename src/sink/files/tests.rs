//! Files in a directory of their own: what is in each, and which are there. No
//! process is run.

use std::fs;
use std::path::Path;

use super::*;

fn files(plan: Plan, head: &[u8], tail: &'static [u8]) -> Files {
    let head = head.to_vec();
    let framing = Framing {
        head: Some(Box::new(move || head.clone())),
        tail: Box::new(|| tail.to_vec()),
        tail_len: tail.len(),
    };
    let base = Place::of(&plan.path).unwrap();
    Files::open(plan, base, framing, Arc::new(Full::new(false))).unwrap()
}

fn read_all(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn each_file_is_complete_and_no_longer_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let plan = Plan { path, size: Some(12), ..Plan::default() };
    let shutdown = Shutdown::new().unwrap();
    let mut files = files(plan.clone(), b"<", b">");
    files.begin(&shutdown).unwrap();
    // Records of 4 bytes, of which two fit with head and tail; one that is
    // longer than a file may be; and one more.
    let bytes = b"aaaabbbbccccLONG LONG LONG!dddd";
    let marks = [4, 8, 12, 27, 31].map(Mark::at);
    let (done, end) = files.write(bytes, &Ends::new(&marks), &shutdown);
    assert!(end.is_ok() && done == bytes.len());
    files.finish(false, &shutdown).unwrap();
    files.wait().unwrap();
    assert_eq!(read_all(dir.path()), ["<aaaabbbb>", "<cccc>", "<LONG LONG LONG!>", "<dddd>"]);

    // A second run goes on after the first.
    let mut again = self::files(plan.clone(), b"<", b">");
    again.begin(&shutdown).unwrap();
    again.finish(false, &shutdown).unwrap();
    assert_eq!(read_all(dir.path()).len(), 5);
    // And overwrites only when it may.
    let mut over = self::files(Plan { overwrite: true, ..plan }, b"<", b">");
    over.begin(&shutdown).unwrap();
    over.finish(false, &shutdown).unwrap();
    assert_eq!(read_all(dir.path()), ["<>"]);
}

#[test]
fn by_age_and_only_so_many_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let interval = Some(Duration::ZERO);
    let path = dir.path().join("log");
    let plan = Plan { path, interval, keep: Some(2), ..Plan::default() };
    let shutdown = Shutdown::new().unwrap();
    let mut files = files(plan, b"", b"");
    for text in ["a", "b", "c", "d"] {
        assert!(files.write(text.as_bytes(), &Ends::new(&[Mark::at(1)]), &shutdown).1.is_ok());
    }
    files.finish(false, &shutdown).unwrap();
    files.wait().unwrap();
    assert_eq!(read_all(dir.path()), ["c", "d"]);
}

/// Planted after it was looked at, and before it is overwritten.
#[test]
fn what_is_overwritten_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, victim) = (dir.path().join("log"), dir.path().join("victim"));
    fs::write(&victim, "precious").unwrap();
    let shutdown = Shutdown::new().unwrap();
    for (size, name) in [(None, "log"), (Some(100), "log-000001")] {
        let place = dir.path().join(name);
        fs::write(&place, "old").unwrap();
        let plan = Plan { path: path.clone(), overwrite: true, size, ..Plan::default() };
        let mut over = files(plan, b"<", b">");
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(&victim, &place).unwrap();
        over.begin(&shutdown).unwrap();
        over.finish(false, &shutdown).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        // A link is none of the numbered files.
        let written = if size.is_some() { dir.path().join("log-000002") } else { place };
        assert!(fs::symlink_metadata(&written).unwrap().is_file());
        assert_eq!(fs::read_to_string(written).unwrap(), "<>");
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, "precious").unwrap();
    let (plan, base) = (Plan { path: path.clone(), ..Plan::default() }, Place::of(&path).unwrap());
    let err = Files::open(plan, base, Framing::default(), Arc::default()).unwrap_err().err;
    assert_eq!(err.kind(), ErrorKind::AlreadyExists);
    let plan = Plan { path: path.clone(), overwrite: true, ..Plan::default() };
    let mut over = files(plan, b"<", b">");
    over.abandon();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious", "not before it begins");
    let shutdown = Shutdown::new().unwrap();
    let mut over = files(over.plan, b"<", b">");
    over.begin(&shutdown).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "<");
    drop(over);
    fs::write(&path, "").unwrap();
    // An empty one has nothing to lose.
    files(Plan { path, ..Plan::default() }, b"", b"").begin(&shutdown).unwrap();
}
