//! Log files: opened without overwriting, rotated by size or age, opened again
//! by name. A file that is finished is complete by itself.

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finished::Finisher;
use super::{Closed, Ends, Framing, Full, Mark, Output};
use crate::shutdown::Shutdown;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The file, or what the names of rotated files are made of.
    pub path: PathBuf,
    /// A file is no longer than this many bytes, unless one record is.
    pub size: Option<u64>,
    /// Nor older than this when something is written to it.
    pub interval: Option<Duration>,
    /// How many finished files to keep; `None` is all.
    pub keep: Option<usize>,
    /// Whether to compress finished files.
    pub compress: bool,
    /// Whether files of an earlier run may go.
    pub overwrite: bool,
}

impl Plan {
    /// Whether there is more than one file.
    pub fn rotates(&self) -> bool {
        self.size.is_some() || self.interval.is_some()
    }
}

/// The file that is written to, and those before it.
#[derive(Debug)]
pub struct Files {
    plan: Plan,
    framing: Framing,
    full: Arc<Full>,
    /// `None` while it could not be opened.
    current: Option<Current>,
    number: u32,
    finisher: Finisher,
}

#[derive(Debug)]
struct Current {
    output: Output,
    file: File,
    path: PathBuf,
    len: u64,
    opened: Instant,
    /// Whether it holds records, and not just a head.
    has_records: bool,
    /// Whether this run made it.
    is_new: bool,
}

impl Files {
    /// Open the first file. Nothing is written yet.
    pub fn open(plan: Plan, framing: Framing, full: Arc<Full>) -> io::Result<Files> {
        let mut number = 0;
        if plan.rotates() {
            // Numbers go on after those of earlier runs, none of which are lost.
            for (old, path) in earlier(&plan.path)? {
                if plan.overwrite {
                    fs::remove_file(path)?;
                } else {
                    number = number.max(old);
                }
            }
        }
        let finisher = Finisher::start(plan.compress, plan.keep)?;
        let mut files = Files { plan, framing, full, current: None, number, finisher };
        let current = files.open_next()?;
        files.current = Some(current);
        Ok(files)
    }

    /// Open the next file of a rotation, or the only one.
    fn open_next(&mut self) -> io::Result<Current> {
        if !self.plan.rotates() {
            let path = self.plan.path.clone();
            let (file, is_new) = create(&path, self.plan.overwrite)?;
            return self.current(file, path, 0, is_new);
        }
        loop {
            self.number += 1;
            let path = numbered(&self.plan.path, self.number);
            match create(&path, false) {
                Ok((file, is_new)) => return self.current(file, path, 0, is_new),
                // Someone else's, made meanwhile.
                Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
                Err(err) => return Err(err),
            }
        }
    }

    fn current(&self, file: File, path: PathBuf, len: u64, is_new: bool) -> io::Result<Current> {
        let output = Output::new(file.try_clone()?.into(), Arc::clone(&self.full));
        let opened = Instant::now();
        Ok(Current { output, file, path, len, opened, has_records: false, is_new })
    }

    /// Write the head of the first file.
    pub fn begin(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        let head = std::mem::take(&mut self.framing.head);
        let end = self.append(&head, &Ends::new(&[Mark::at(head.len())]), shutdown).1;
        self.framing.head = head;
        end
    }

    /// Bytes in the current file.
    pub fn current_len(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.len)
    }

    /// Write all of `bytes`, each record whole into one file. How many bytes
    /// went out, and why not all; the file then ends with a whole record.
    pub fn write(
        &mut self,
        bytes: &[u8],
        ends: &Ends<'_>,
        shutdown: &Shutdown,
    ) -> (usize, Result<(), Closed>) {
        let mut done = 0;
        while done < bytes.len() {
            let to = match self.fits(done, bytes.len(), ends) {
                Some(to) => to,
                None => match self.rotate(shutdown) {
                    // The head alone may be more than fits: one record at least.
                    Ok(()) => self.fits(done, bytes.len(), ends).unwrap_or(ends.after(done)),
                    Err(closed) => return (done, Err(closed)),
                },
            };
            let (written, end) = self.append(&bytes[done..to], &ends.from(done), shutdown);
            done += written;
            if let Some(current) = &mut self.current {
                current.has_records |= written > 0;
            }
            if end.is_err() {
                return (done, end);
            }
        }
        (done, Ok(()))
    }

    /// Where the part ends that belongs into the current file, beginning with
    /// `done`; `None` if that is nothing.
    fn fits(&self, done: usize, len: usize, ends: &Ends<'_>) -> Option<usize> {
        let Some(current) = &self.current else { return None };
        let is_old = self.plan.interval.is_some_and(|age| current.opened.elapsed() >= age);
        if is_old && current.has_records {
            return None;
        }
        let Some(size) = self.plan.size else { return Some(len) };
        let tail = self.framing.tail_len as u64;
        let room = size.saturating_sub(current.len + tail);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        match ends.floor(done.saturating_add(room).min(len)) {
            to if to > done => Some(to),
            // A record that is longer than a file may be gets one of its own.
            _ if !current.has_records => Some(ends.after(done)),
            _ => None,
        }
    }

    /// Write to the current file. If that fails, what is in it of a record that
    /// is not whole is taken back.
    fn append(
        &mut self,
        bytes: &[u8],
        ends: &Ends<'_>,
        shutdown: &Shutdown,
    ) -> (usize, Result<(), Closed>) {
        let Some(current) = &mut self.current else { return (0, Err(Closed::OutOfTime)) };
        let (mut written, end) = current.output.write_all(bytes, shutdown);
        if end.is_err() {
            written = ends.floor(written);
            // Where this fails, too, there is nothing that could be done.
            let _ = current.file.set_len(current.len + written as u64);
        }
        current.len += written as u64;
        (written, end)
    }

    /// Finish the current file and begin the next.
    fn rotate(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        self.end_current(shutdown)?;
        let next = self.open_next().map_err(Closed::Failed)?;
        self.current = Some(next);
        self.begin(shutdown)
    }

    fn end_current(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        let tail = (self.framing.tail)();
        let end = self.append(&tail, &Ends::new(&[Mark::at(tail.len())]), shutdown).1;
        if let Some(current) = self.current.take()
            && self.plan.rotates()
        {
            self.finisher.finished(current.path);
        }
        end
    }

    /// Finish the file and open it by its name again: it was moved away, or
    /// else is continued. Where there is rotation, go on to the next.
    pub fn reopen(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        if self.plan.rotates() {
            return self.rotate(shutdown);
        }
        self.end_current(shutdown)?;
        let path = self.plan.path.clone();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let current = file.and_then(|file| {
            let len = file.metadata()?.len();
            self.current(file, path, len, len == 0)
        });
        self.current = Some(current.map_err(Closed::Failed)?);
        self.begin(shutdown)
    }

    /// Finish: the tail, unless it `is_closed`, and what there is to do about
    /// finished files.
    pub fn finish(&mut self, is_closed: bool, shutdown: &Shutdown) -> Result<(), Closed> {
        let end = if is_closed {
            self.current = None;
            Ok(())
        } else {
            self.end_current(shutdown)
        };
        end.and(self.finisher.wait().map_err(Closed::Failed))
    }

    /// Remove the file that was opened and holds nothing.
    pub fn abandon(&mut self) {
        if let Some(current) = self.current.take()
            && current.is_new
            && !current.has_records
        {
            let _ = fs::remove_file(current.path);
        }
    }
}

/// Make the file, and whether it is new. What is there is not overwritten unless
/// that is asked for; an empty file has nothing to lose.
fn create(path: &Path, overwrite: bool) -> io::Result<(File, bool)> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
            let is_empty = fs::metadata(path).is_ok_and(|meta| meta.len() == 0);
            if !overwrite && !is_empty {
                return Err(err);
            }
            let file = OpenOptions::new().write(true).truncate(true).open(path)?;
            Ok((file, false))
        }
        opened => opened.map(|file| (file, true)),
    }
}

/// Digits of a number in a name: names sort as the files were made.
const DIGITS: usize = 6;

/// `dir/log.json` as `dir/log-000001.json`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{number:0DIGITS$}{extension}"))
}

/// A file's name up to its extension, and that with its dot.
fn parts(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = match text(path.extension()) {
        none if none.is_empty() => none,
        extension => format!(".{extension}"),
    };
    (text(path.file_stem()), extension)
}

/// The files of earlier runs: numbers and paths.
fn earlier(path: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let (stem, extension) = parts(path);
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let number = name
            .strip_prefix(&stem)
            .and_then(|rest| rest.strip_prefix('-'))
            .map(|rest| rest.strip_suffix(".zst").unwrap_or(rest))
            .and_then(|rest| rest.strip_suffix(&extension))
            .filter(|digits| digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        found.extend(number.map(|number| (number, dir.join(&name))));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_and_are_found_again() {
        assert_eq!(numbered(Path::new("a/log.json"), 7), Path::new("a/log-000007.json"));
        assert_eq!(numbered(Path::new("log"), 1_234_567), Path::new("log-1234567"));
        let dir = tempfile::tempdir().unwrap();
        for name in ["l-000001.json", "l-000012.json.zst", "l-1.json", "l-x.json", "m-000099.json"]
        {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let mut found = earlier(&dir.path().join("l.json")).unwrap();
        found.sort();
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [1, 12]);
    }

    fn files(plan: Plan, head: &[u8], tail: &'static [u8]) -> Files {
        let framing =
            Framing { head: head.to_vec(), tail: Box::new(|| tail.to_vec()), tail_len: tail.len() };
        Files::open(plan, framing, Arc::new(Full::new(false))).unwrap()
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
        assert_eq!(read_all(dir.path()), ["c", "d"]);
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "precious").unwrap();
        assert_eq!(create(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!create(&path, true).unwrap().1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert!(create(&path, false).is_ok(), "an empty one has nothing to lose");
    }
}
