//! What becomes of finished files: they are compressed if that is asked for, and
//! the oldest are removed. On a thread of its own, as compressing takes time.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::names::{self, COMPRESSED, PART, numbered};
use super::open::{Place, identity, lock};
use super::{Failure, Refusal};

/// Takes finished files.
#[derive(Debug)]
pub struct Finisher {
    /// `None` where there is nothing to do about them.
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

#[derive(Debug)]
enum Task {
    /// The log begins: see to what earlier runs left.
    Begin,
    /// The file of this number is finished.
    Finish(u32),
}

/// zstd's own default.
const LEVEL: i32 = 3;

impl Finisher {
    /// Compress, or not, and keep this many of the files called after `base`, of
    /// which those of `earlier` runs are, oldest first.
    pub fn start(
        base: Place,
        compress: bool,
        keep: Option<usize>,
        earlier: Vec<u32>,
    ) -> io::Result<Finisher> {
        if !compress && keep.is_none() {
            return Ok(Finisher { tasks: None, thread: None });
        }
        let (tx, tasks) = mpsc::channel();
        let keep = keep.unwrap_or(usize::MAX);
        let work = Work { base, compress, keep, kept: earlier.into(), failed: None };
        let thread =
            thread::Builder::new().name("finisher".into()).spawn(move || work.run(&tasks))?;
        Ok(Finisher { tasks: Some(tx), thread: Some(thread) })
    }

    /// The log begins. Not before does anything go.
    pub fn begin(&self) {
        self.send(Task::Begin);
    }

    /// The file of this number is finished.
    pub fn finished(&self, number: u32) {
        self.send(Task::Finish(number));
    }

    fn send(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // It fails where the thread has died, which is told at the end; the file
            // stays as it is.
            let _ = tasks.send(task);
        }
    }

    /// Wait until all is done.
    pub fn wait(&mut self) -> Result<(), Failure> {
        self.tasks = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(done)) => done,
            Some(Err(_)) => {
                let err = io::Error::other("the thread that does so died");
                Err(Failure { doing: "compress the files of", path: None, err })
            }
        }
    }
}

/// What the thread works with.
struct Work {
    base: Place,
    compress: bool,
    keep: usize,
    /// Numbers of finished files, oldest first.
    kept: VecDeque<u32>,
    /// What failed with one file is told at the end, the first of it, and does not
    /// keep the others: least of all those that make room by going.
    failed: Option<Failure>,
}

impl Work {
    fn run(mut self, tasks: &Receiver<Task>) -> Result<(), Failure> {
        for task in tasks {
            match task {
                Task::Begin => {
                    self.trim();
                    if self.compress {
                        self.go_on();
                    }
                }
                Task::Finish(number) => {
                    if self.compress {
                        let plain = numbered(&self.base, number);
                        self.note("compress", &plain, compress(&plain));
                    }
                    self.kept.push_back(number);
                    self.trim();
                }
            }
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// Remove the oldest that are too many.
    fn trim(&mut self) {
        while self.kept.len() > self.keep {
            let Some(oldest) = self.kept.pop_front() else { return };
            let places = match names::own(&self.base, oldest) {
                Ok(places) => places,
                Err(err) => {
                    self.note("remove", &numbered(&self.base, oldest), Err(err));
                    continue;
                }
            };
            if places.iter().any(Place::is_used) {
                // Of another run, which goes on, and is not finished then.
                continue;
            }
            for place in places {
                let removed = place.remove();
                self.note("remove", &place, removed);
            }
        }
    }

    /// Compress what a run that was killed was about to.
    fn go_on(&mut self) {
        for number in self.kept.clone() {
            let plain = numbered(&self.base, number);
            let is_there = |place: &Place| matches!(place.look(), Ok(Some(_)));
            if is_there(&plain) && is_there(&plain.with(PART)) {
                match compress(&plain) {
                    // Another one is about to, which still runs.
                    Err(err) if is_used(&err) => {}
                    compressed => self.note("compress", &plain, compressed),
                }
            }
        }
    }

    fn note(&mut self, doing: &'static str, place: &Place, done: io::Result<()>) {
        if let Err(err) = done {
            self.failed.get_or_insert(Failure { doing, path: Some(place.path()), err });
        }
    }
}

/// Compress a file in place. It is there under one of the two names at any time,
/// and whole.
fn compress(plain: &Place) -> io::Result<()> {
    let part = plain.with(PART);
    let mut file = create_part(&part)?;
    let _lock = lock(&file, true)?;
    let copied = copy(plain, &mut file).and_then(|()| part.rename(&plain.with(COMPRESSED)));
    if let Err(err) = copied {
        // What cannot be removed stays, and is no worse than that.
        let _ = part.remove();
        return Err(err);
    }
    plain.remove()
}

fn is_used(err: &io::Error) -> bool {
    err.get_ref().and_then(|err| err.downcast_ref()) == Some(&Refusal::Used)
}

/// Make the file to compress into. One that is there and not used is of a run that
/// was killed, and is removed.
fn create_part(part: &Place) -> io::Result<File> {
    match part.create() {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            let stale = part.take(None)?;
            let _lock = lock(&stale, false)?;
            if part.is(identity(&stale)?) {
                part.remove()?;
            }
            part.create()
        }
        created => created,
    }
}

fn copy(from: &Place, to: &mut File) -> io::Result<()> {
    zstd::stream::copy_encode(from.read()?, &mut *to, LEVEL)?;
    // On the disk before the only other copy goes.
    to.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn start(dir: &Path, compress: bool, keep: Option<usize>, earlier: Vec<u32>) -> Finisher {
        let base = Place::of(&dir.join("log")).unwrap();
        Finisher::start(base, compress, keep, earlier).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_compressed_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut finisher = start(dir.path(), true, Some(2), vec![]);
        for number in 1..=3 {
            let path = dir.path().join(format!("log-00000{number}"));
            fs::write(&path, number.to_string().repeat(1000)).unwrap();
            finisher.finished(number);
        }
        finisher.wait().unwrap();
        assert_eq!(names(dir.path()), ["log-000002.zst", "log-000003.zst"]);
        let file = File::open(dir.path().join("log-000003.zst")).unwrap();
        assert_eq!(zstd::decode_all(file).unwrap(), "3".repeat(1000).into_bytes());
    }

    #[test]
    fn those_of_earlier_runs_count_but_not_before_the_log_begins() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["log-000001", "log-000002.zst", "log-000002.zst.part", "log-000003"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let before = names(dir.path());
        start(dir.path(), false, Some(1), vec![1, 2, 3]).wait().unwrap();
        assert_eq!(names(dir.path()), before);
        let mut finisher = start(dir.path(), false, Some(1), vec![1, 2, 3]);
        finisher.begin();
        finisher.wait().unwrap();
        assert_eq!(names(dir.path()), ["log-000003"]);
    }

    #[test]
    fn what_a_killed_run_was_about_to_compress_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log-000001"), "whole").unwrap();
        fs::write(dir.path().join("log-000001.zst.part"), "half").unwrap();
        // That of one which still runs is left to it.
        fs::write(dir.path().join("log-000002"), "whole").unwrap();
        let busy = Place::of(&dir.path().join("log-000002.zst.part")).unwrap();
        let busy = lock(&create_part(&busy).unwrap(), true).unwrap();
        let mut finisher = start(dir.path(), true, None, vec![1, 2]);
        finisher.begin();
        finisher.wait().unwrap();
        drop(busy);
        assert_eq!(names(dir.path()), ["log-000001.zst", "log-000002", "log-000002.zst.part"]);
        let file = File::open(dir.path().join("log-000001.zst")).unwrap();
        assert_eq!(zstd::decode_all(file).unwrap(), b"whole");
    }

    #[test]
    fn a_file_that_cannot_be_compressed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log-000001");
        fs::write(&path, "text").unwrap();
        // In the way of the new name.
        fs::write(dir.path().join("log-000001.zst"), "precious").unwrap();
        let mut finisher = start(dir.path(), true, None, vec![]);
        finisher.finished(1);
        let failure = finisher.wait().unwrap_err();
        assert_eq!((failure.doing, failure.path), ("compress", Some(path)));
        assert_eq!(names(dir.path()), ["log-000001", "log-000001.zst"]);
        assert_eq!(fs::read_to_string(dir.path().join("log-000001.zst")).unwrap(), "precious");
    }
}
