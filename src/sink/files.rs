//! Log files: opened without overwriting, rotated by size or age, opened again
//! by name. A file that is finished is complete by itself.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::current::Current;
use super::finished::Finisher;
use super::names::{LAST, earlier, is_taken, numbered, own};
use super::open::{Identity, Place, check_regular};
use super::{Closed, Ends, Failure, Framing, Full, Mark, Refusal};
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
    base: Place,
    framing: Framing,
    full: Arc<Full>,
    /// `None` before the first is open, and while the next could not be opened.
    current: Option<Current>,
    /// The file before it.
    previous: Option<Identity>,
    number: u32,
    /// Whether the log has begun.
    has_begun: bool,
    finisher: Finisher,
}

impl Files {
    /// Open the first file called after `base`, which `plan.path` is. Nothing is
    /// written yet, and what there is to overwrite is left as it is.
    pub fn open(
        plan: Plan,
        base: Place,
        framing: Framing,
        full: Arc<Full>,
    ) -> Result<Files, Failure> {
        let at_base = |err| Failure { doing: "open", path: Some(base.path()), err };
        let mut before = Vec::new();
        if plan.rotates() && !plan.overwrite {
            before = earlier(&base).map_err(at_base)?;
        }
        // Numbers go on after those of earlier runs, none of which are lost.
        let number = before.last().copied().unwrap_or(0);
        let finisher =
            Finisher::start(base.clone(), plan.compress, plan.keep, before).map_err(at_base)?;
        if plan.overwrite {
            check_replaceable(&plan, &base).map_err(at_base)?;
        }
        let mut files = Files {
            plan,
            base,
            framing,
            full,
            current: None,
            previous: None,
            number,
            has_begun: false,
            finisher,
        };
        if !files.plan.overwrite {
            files.current = Some(files.open_next()?);
        }
        Ok(files)
    }

    /// Where it is told that they are to be opened anew.
    pub fn full(&self) -> &Arc<Full> {
        &self.full
    }

    /// Open the next file of a rotation, or the only one.
    fn open_next(&mut self) -> Result<Current, Failure> {
        if !self.plan.rotates() {
            return named("open", &self.base, self.open_only());
        }
        loop {
            let number = self.number + 1;
            let place = numbered(&self.base, number);
            if number > LAST {
                let err = io::Error::other("there are no more numbers");
                return named("open", &place, Err(err));
            }
            // Someone else's, made meanwhile, is passed over.
            let made = is_taken(&self.base, number).and_then(|is_taken| match is_taken {
                true => Err(ErrorKind::AlreadyExists.into()),
                false => place.create(),
            });
            let is_taken = matches!(&made, Err(err) if err.kind() == ErrorKind::AlreadyExists);
            if made.is_ok() || is_taken {
                self.number = number;
            }
            if !is_taken {
                let current =
                    made.and_then(|file| Current::new(file, place.clone(), true, &self.full));
                return named("open", &place, current.map(|file| file.numbered(number)));
            }
        }
    }

    /// Make the only file. An empty one has nothing to lose, and is taken.
    fn open_only(&self) -> io::Result<Current> {
        let place = &self.base;
        match place.create() {
            Err(err) if err.kind() == ErrorKind::AlreadyExists => {
                if let Some(stat) = place.look()? {
                    check_regular(&stat)?;
                    if stat.st_size != 0 {
                        return Err(err);
                    }
                }
                let current = Current::new(place.take(None)?, place.clone(), false, &self.full)?;
                if current.len == 0 { Ok(current) } else { Err(err) }
            }
            created => Current::new(created?, place.clone(), true, &self.full),
        }
    }

    /// Be ready for records: in the file that is asked for, behind its head.
    pub fn begin(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        loop {
            match self.begin_once(shutdown) {
                Err(Closed::Anew) => {}
                ended => return ended,
            }
        }
    }

    fn begin_once(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        if !self.has_begun {
            self.has_begun = true;
            // Only now, when there is something to log, does what was there go.
            if self.plan.overwrite {
                self.overwrite().map_err(Closed::Failed)?;
            }
            self.finisher.begin();
        }
        if self.full.is_anew() {
            self.reopen(shutdown)?;
        }
        if self.current.is_none() {
            self.current = Some(self.open_patiently(shutdown, Files::open_next)?);
        }
        self.write_head(shutdown)
    }

    /// Remove what is to be overwritten. It is not written over: so nothing is
    /// followed, whatever it is by then; who has it open, or by another name, keeps
    /// it; and the log is nobody else's.
    fn overwrite(&self) -> Result<(), Failure> {
        let stale = match self.plan.rotates() {
            false => vec![self.base.clone()],
            true => {
                let list = || -> io::Result<Vec<Place>> {
                    let each = earlier(&self.base)?.into_iter().map(|each| own(&self.base, each));
                    Ok(each.collect::<io::Result<Vec<_>>>()?.concat())
                };
                named("list the files of", &self.base, list())?
            }
        };
        stale.iter().try_for_each(|place| named("overwrite", place, place.remove()))
    }

    fn write_head(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        let Some(current) = self.current.as_mut().filter(|current| !current.has_head) else {
            return Ok(());
        };
        let head = self.framing.head.as_ref().map_or_else(Vec::new, |head| head());
        current.append(&head, &Ends::new(&[Mark::at(head.len())]), shutdown).1?;
        current.has_head = true;
        Ok(())
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

    /// Write what belongs into the current file, or where that is nothing, let go
    /// of it.
    fn write_some(
        &mut self,
        bytes: &[u8],
        ends: &Ends<'_>,
        shutdown: &Shutdown,
    ) -> (usize, Result<(), Closed>) {
        if let Err(closed) = self.begin(shutdown) {
            return (0, Err(closed));
        }
        let Some(current) = &mut self.current else { return (0, Ok(())) };
        let Some(to) = current.fits(bytes.len(), ends, &self.plan, self.framing.tail_len) else {
            return (0, self.end_current(shutdown));
        };
        let (written, end) = current.append(&bytes[..to], ends, shutdown);
        current.has_records |= written > 0;
        (written, end)
    }

    /// A file, too, may find no room to be made.
    fn open_patiently(
        &mut self,
        shutdown: &Shutdown,
        open: impl Fn(&mut Files) -> Result<Current, Failure>,
    ) -> Result<Current, Closed> {
        loop {
            match open(self) {
                Ok(current) => return Ok(current),
                Err(failure) => self.full.wait_after(failure, shutdown)?,
            }
        }
    }

    /// Write the tail, and let go of the current file.
    fn end_current(&mut self, shutdown: &Shutdown) -> Result<(), Closed> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let tail = if current.has_head { (self.framing.tail)() } else { Vec::new() };
        let end = current.append(&tail, &Ends::new(&[Mark::at(tail.len())]), shutdown).1;
        self.previous = Some(current.identity);
        if self.plan.rotates() {
            self.finisher.finished(current.number);
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

    fn open_again(&mut self) -> Result<Current, Failure> {
        let place = &self.base;
        let opened = loop {
            match place.create() {
                Err(err) if err.kind() == ErrorKind::AlreadyExists => {}
                created => break created.map(|file| (file, true)),
            }
            match place.take(self.previous) {
                // Moved away in between.
                Err(err) if err.kind() == ErrorKind::NotFound => {}
                taken => break taken.map(|file| (file, false)),
            }
        };
        let current =
            opened.and_then(|(file, is_new)| Current::new(file, place.clone(), is_new, &self.full));
        named("open", place, current)
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
    pub fn wait(&mut self) -> Result<(), Failure> {
        self.finisher.wait()
    }

    /// Remove the file that was opened and holds nothing.
    pub fn abandon(&mut self) {
        if let Some(current) = self.current.take() {
            current.abandon();
        }
    }
}

/// What was done at `place`, or failed there.
fn named<T>(doing: &'static str, place: &Place, done: io::Result<T>) -> Result<T, Failure> {
    done.map_err(|err| Failure { doing, path: Some(place.path()), err })
}

/// Whether what is there can be overwritten, as far as can be told without doing
/// so: a name can be made, and is not one that someone uses for something else.
fn check_replaceable(plan: &Plan, base: &Place) -> io::Result<()> {
    base.check_writable()?;
    let is_used = match base.look()? {
        _ if plan.rotates() => {
            earlier(base)?.into_iter().any(|number| numbered(base, number).is_used())
        }
        Some(stat) => check_regular(&stat).map(|()| base.is_used())?,
        None => false,
    };
    if is_used { Err(Refusal::Used.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
