//! What becomes of finished files: they are compressed if that is asked for, and
//! the oldest are removed. On a thread of its own, as compressing takes time.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::names::plain;

/// Takes finished files.
#[derive(Debug)]
pub struct Finisher {
    /// `None` where there is nothing to do about them.
    files: Option<Sender<PathBuf>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// zstd's own default.
const LEVEL: i32 = 3;

impl Finisher {
    /// Compress, or not, and keep this many of the files that are handed in.
    pub fn start(compress: bool, keep: Option<usize>) -> io::Result<Finisher> {
        if !compress && keep.is_none() {
            return Ok(Finisher { files: None, thread: None });
        }
        let (tx, files) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("finisher".into())
            .spawn(move || finish(&files, compress, keep.unwrap_or(usize::MAX)))?;
        Ok(Finisher { files: Some(tx), thread: Some(thread) })
    }

    /// A file is finished.
    pub fn finished(&self, path: PathBuf) {
        if let Some(files) = &self.files {
            // It fails where the thread has ended with an error, which is told
            // at the end; the file stays as it is.
            let _ = files.send(path);
        }
    }

    /// Wait until all is done.
    pub fn wait(&mut self) -> io::Result<()> {
        self.files = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(io::Error::other("the thread that compresses died")),
        }
    }
}

/// What fails with one file is told at the end, the first of it, and does not
/// keep the others: least of all those that make room by going.
fn finish(files: &Receiver<PathBuf>, compress: bool, keep: usize) -> io::Result<()> {
    let (mut kept, mut failed) = (VecDeque::new(), None);
    let mut note = |what: &str, path: &Path, err: io::Error| {
        let words = format!("cannot {what} {}: {err}", plain(path));
        failed.get_or_insert(io::Error::new(err.kind(), words));
    };
    for path in files {
        kept.push_back(match compress.then(|| compressed(&path)) {
            None => path,
            Some(Ok(compressed)) => compressed,
            Some(Err(err)) => {
                note("compress", &path, err);
                path
            }
        });
        while kept.len() > keep {
            if let Some(oldest) = kept.pop_front()
                && let Err(err) = remove(&oldest)
            {
                note("remove", &oldest, err);
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Remove a file, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Someone else removed it: fine.
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Compress a file in place; its new name. The file is there under one of the
/// two names at any time, and whole.
fn compressed(path: &Path) -> io::Result<PathBuf> {
    let with = |suffix: &str| PathBuf::from([path.as_os_str(), suffix.as_ref()].join("".as_ref()));
    let (part, done) = (with(".zst.part"), with(".zst"));
    let copied = copy_compressed(path, &part).and_then(|()| fs::rename(&part, &done));
    if let Err(err) = copied {
        let _ = fs::remove_file(&part);
        return Err(err);
    }
    fs::remove_file(path)?;
    Ok(done)
}

fn copy_compressed(from: &Path, to: &Path) -> io::Result<()> {
    let from = File::open(from)?;
    let to = OpenOptions::new().write(true).create(true).truncate(true).open(to)?;
    zstd::stream::copy_encode(from, &to, LEVEL)?;
    // On the disk before the only other copy goes.
    to.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compressed_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut finisher = Finisher::start(true, Some(2)).unwrap();
        for name in ["1", "2", "3"] {
            let path = dir.path().join(name);
            fs::write(&path, name.repeat(1000)).unwrap();
            finisher.finished(path);
        }
        finisher.wait().unwrap();
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["2.zst", "3.zst"]);
        let text = zstd::decode_all(File::open(dir.path().join("3.zst")).unwrap()).unwrap();
        assert_eq!(text, "3".repeat(1000).into_bytes());
    }

    #[test]
    fn a_file_that_cannot_be_compressed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "text").unwrap();
        // In the way of the new name.
        fs::create_dir_all(dir.path().join("log.zst/x")).unwrap();
        let mut finisher = Finisher::start(true, None).unwrap();
        finisher.finished(path.clone());
        assert!(finisher.wait().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert!(!dir.path().join("log.zst.part").exists());
    }
}
