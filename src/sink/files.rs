//! Log files: opened without overwriting, rotated by size or age, opened again
//! by name. A file that is finished is complete by itself.

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::finished::{Finisher, remove};
use super::names::{earlier, numbered};
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
    /// What an earlier run left and is to be overwritten, until it is.
    stale: Option<Vec<PathBuf>>,
    finisher: Finisher,
}

#[derive(Debug)]
struct Current {
    output: Output,
    file: File,
    path: PathBuf,
    len: u64,
    opened: Instant,
    /// Whether it has its head.
    has_head: bool,
    /// Whether it holds records, and not just a head.
    has_records: bool,
    /// Whether this run made it.
    is_new: bool,
}

impl Files {
    /// Open the first file. Nothing is written yet, nor overwritten.
    pub fn open(plan: Plan, framing: Framing, full: Arc<Full>) -> io::Result<Files> {
        let (mut number, mut stale) = (0, Vec::new());
        if plan.rotates() {
            let (numbers, paths): (Vec<u32>, Vec<PathBuf>) =
                earlier(&plan.path)?.into_iter().unzip();
            if plan.overwrite {
                stale = paths;
            } else {
                // Numbers go on after those of earlier runs, none of which are lost.
                number = numbers.into_iter().max().unwrap_or(0);
            }
        }
        let finisher = Finisher::start(plan.compress, plan.keep)?;
        let stale = plan.overwrite.then_some(stale);
        let mut files = Files { plan, framing, full, current: None, number, stale, finisher };
        files.current = Some(files.open_next()?);
        Ok(files)
    }

    /// Where it is told that they are to be opened anew.
    pub fn full(&self) -> &Arc<Full> {
        &self.full
    }

    /// Open the next file of a rotation, or the only one.
    fn open_next(&mut self) -> io::Result<Current> {
        if !self.plan.rotates() {
            let path = self.plan.path.clone();
            // An empty file has nothing to lose.
            let is_empty = fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == 0);
            let (file, is_new) = create(&path, self.plan.overwrite || is_empty)?;
            return self.current(file, path, is_new);
        }
        loop {
            let number = self.number.checked_add(1).ok_or(io::ErrorKind::AlreadyExists)?;
            let path = numbered(&self.plan.path, number);
            let overwrite = self.stale.as_ref().is_some_and(|stale| stale.contains(&path));
            let opened = create(&path, overwrite);
            // Someone else's, made meanwhile, is passed over.
            let is_taken =
                matches!(&opened, Err(err) if err.kind() == io::ErrorKind::AlreadyExists);
            if opened.is_ok() || is_taken {
                self.number = number;
            }
            if !is_taken {
                let (file, is_new) = opened?;
                return self.current(file, path, is_new);
            }
        }
    }

    fn current(&self, file: File, path: PathBuf, is_new: bool) -> io::Result<Current> {
        Ok(Current {
            output: Output::new(file.try_clone()?.into(), Arc::clone(&self.full)),
            len: file.metadata()?.len(),
            file,
            path,
            opened: Instant::now(),
            has_head: false,
            has_records: false,
            is_new,
        })
    }

    /// Be ready for records: in the file that is asked for, behind its head.
    pub fn begin(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        self.overwrite().map_err(Closed::Failed)?;
        loop {
            let ready = match self.full.is_anew() {
                true => self.reopen(shutdown),
                false => Ok(()),
            };
            match ready.and_then(|()| self.write_head(shutdown)) {
                Err(Closed::Anew) => {}
                ended => return ended,
            }
        }
    }

    /// Only now, when there is something to log, does what was there go.
    fn overwrite(&mut self) -> io::Result<()> {
        let (Some(stale), Some(current)) = (self.stale.take(), &mut self.current) else {
            return Ok(());
        };
        for path in stale.into_iter().filter(|path| *path != current.path) {
            remove(&path)?;
        }
        current.len = 0;
        current.file.set_len(0)
    }

    fn write_head(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        if self.current.as_ref().is_none_or(|current| current.has_head) {
            return Ok(());
        }
        let head = self.framing.head.as_ref().map_or_else(Vec::new, |head| head());
        let end = self.append(&head, &Ends::new(&[Mark::at(head.len())]), shutdown).1;
        if let (Ok(()), Some(current)) = (&end, &mut self.current) {
            current.has_head = true;
        }
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
            let (written, end) = self.write_some(&bytes[done..], &ends.from(done), shutdown);
            done += written;
            match end {
                // What is left goes into the next file.
                Ok(()) | Err(Closed::Anew) => {}
                Err(_) => return (done, end),
            }
        }
        (done, Ok(()))
    }

    /// Write what belongs into the current file, or where that is nothing, go on
    /// to the next.
    fn write_some(
        &mut self,
        bytes: &[u8],
        ends: &Ends<'_>,
        shutdown: &Shutdown,
    ) -> (usize, Result<(), Closed>) {
        if let Err(closed) = self.begin(shutdown) {
            return (0, Err(closed));
        }
        let Some(to) = self.fits(bytes.len(), ends) else {
            return (0, self.rotate(shutdown));
        };
        let (written, end) = self.append(&bytes[..to], ends, shutdown);
        if let Some(current) = &mut self.current {
            current.has_records |= written > 0;
        }
        (written, end)
    }

    /// How much of `len` bytes belongs into the current file; `None` if nothing.
    fn fits(&self, len: usize, ends: &Ends<'_>) -> Option<usize> {
        let Some(current) = &self.current else { return None };
        let is_old = self.plan.interval.is_some_and(|age| current.opened.elapsed() >= age);
        if is_old && current.has_records {
            return None;
        }
        let Some(size) = self.plan.size else { return Some(len) };
        let tail = self.framing.tail_len as u64;
        let room = size.saturating_sub(current.len + tail);
        match ends.floor(usize::try_from(room).unwrap_or(usize::MAX).min(len)) {
            to if to > 0 => Some(to),
            // A record that is longer than a file may be gets one of its own.
            _ if !current.has_records => Some(ends.after(0)),
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
        let Some(current) = &mut self.current else { return (0, Ok(())) };
        let (out, end) = current.output.write_all(bytes, shutdown);
        let written = if end.is_ok() { out } else { ends.floor(out) };
        if written < out {
            let excess = (out - written) as u64;
            let len = current.file.metadata().map(|meta| meta.len());
            // Where this fails, too, there is nothing that could be done.
            let _ = len.and_then(|len| current.file.set_len(len.saturating_sub(excess)));
        }
        current.len += written as u64;
        (written, end)
    }

    /// Finish the current file and open the next.
    fn rotate(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        self.end_current(shutdown)?;
        self.current = Some(self.open_patiently(shutdown, Files::open_next)?);
        Ok(())
    }

    /// A file, too, may find no room to be made.
    fn open_patiently(
        &mut self,
        shutdown: &Shutdown,
        open: impl Fn(&mut Files) -> io::Result<Current>,
    ) -> Result<Current, Closed> {
        loop {
            match open(self) {
                Ok(current) => return Ok(current),
                Err(err) => self.full.wait_after(err, shutdown)?,
            }
        }
    }

    /// Write the tail, and let go of the current file.
    fn end_current(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        let has_head = self.current.as_ref().is_some_and(|current| current.has_head);
        let tail = if has_head { (self.framing.tail)() } else { Vec::new() };
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
    fn reopen(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        let ended = match self.end_current(shutdown) {
            // Its tail found no room, and is no record.
            Err(Closed::Anew) => Ok(()),
            ended => ended,
        };
        self.full.set_anew(false);
        ended?;
        let open = if self.plan.rotates() { Files::open_next } else { Files::open_again };
        self.current = Some(self.open_patiently(shutdown, open)?);
        Ok(())
    }

    fn open_again(&mut self) -> io::Result<Current> {
        let path = self.plan.path.clone();
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let is_new = file.metadata()?.len() == 0;
        self.current(file, path, is_new)
    }

    /// Finish: the tail, unless it `is_closed`.
    pub fn finish(&mut self, is_closed: bool, shutdown: &Shutdown) -> Result<(), Closed> {
        // Too late for that.
        self.full.set_anew(false);
        if is_closed {
            self.current = None;
            return Ok(());
        }
        self.end_current(shutdown)
    }

    /// Wait until all is done about finished files, compressing them for one.
    pub fn wait(&mut self) -> io::Result<()> {
        self.finisher.wait()
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

/// Open the file, and whether this made it; what is there already only if it
/// `may_be_there`.
fn create(path: &Path, may_be_there: bool) -> io::Result<(File, bool)> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Appending, lest there is a hole where someone else made it shorter.
    match OpenOptions::new().append(true).create_new(true).open(path) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists && may_be_there => {
            Ok((OpenOptions::new().append(true).open(path)?, false))
        }
        opened => opened.map(|file| (file, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(plan: Plan, head: &[u8], tail: &'static [u8]) -> Files {
        let head = head.to_vec();
        let framing = Framing {
            head: Some(Box::new(move || head.clone())),
            tail: Box::new(|| tail.to_vec()),
            tail_len: tail.len(),
        };
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

    #[test]
    fn what_is_there_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "precious").unwrap();
        assert_eq!(create(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let plan = Plan { path: path.clone(), overwrite: true, ..Plan::default() };
        let mut over = files(plan, b"<", b">");
        over.abandon();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious", "not before it begins");
        let shutdown = Shutdown::new().unwrap();
        let mut over = files(over.plan, b"<", b">");
        over.begin(&shutdown).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "<");
        fs::write(&path, "").unwrap();
        // An empty one has nothing to lose.
        files(Plan { path, ..Plan::default() }, b"", b"").begin(&shutdown).unwrap();
    }
}
