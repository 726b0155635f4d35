//! Files by name, in a directory that is opened once: created, taken over, renamed
//! and removed there without following what someone else may have put in their
//! place. What is written to them is not known here.
//!
//! xdplog is mostly run by root, and its log may be in a directory where others
//! can make files, too. Who could have it follow a link would have root write to a
//! file of their choice.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{AccessFlags, Uid, UnlinkatFlags, faccessat, linkat, unlinkat};

/// Readable and writable for who runs xdplog, and for nobody else.
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// What every opening has: no link is followed, and no terminal taken.
const ALWAYS: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Why a file that is there is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is a symbolic link.
    Link,
    /// It is no regular file.
    NoFile,
    /// It has several names: to write to it is to write to the others.
    Names(u64),
    /// Who runs xdplog is not its owner, who this user is.
    Owner(u32),
    /// Another xdplog writes to it.
    Used,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Link => write!(f, "it is a symbolic link, which is not followed"),
            Refusal::NoFile => write!(f, "it is no regular file"),
            Refusal::Names(count) => write!(f, "it is one file with {count} names (hard links)"),
            Refusal::Owner(uid) => write!(f, "it belongs to another user, of uid {uid}"),
            Refusal::Used => write!(f, "another xdplog writes to it"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::other(refusal)
    }
}

/// What tells a file from all others while it exists: its device, and its number
/// there.
pub type Identity = (u64, u64);

/// Which file this is.
pub fn identity(file: &File) -> io::Result<Identity> {
    file.metadata().map(|meta| (meta.dev(), meta.ino()))
}

/// Lock a file that is written to for as long as the answer lives, so that others see
/// that it is. Fails where one does already; `None` where the file system has no locks.
/// One that `is_new` can only be locked by who looks for a moment whether it is.
pub fn lock(file: &File, is_new: bool) -> io::Result<Option<Flock<File>>> {
    let how = match is_new {
        true => FlockArg::LockExclusive,
        false => FlockArg::LockExclusiveNonblock,
    };
    match Flock::lock(file.try_clone()?, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Err(Refusal::Used.into()),
        Err(_) => Ok(None),
    }
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Place {
    dir: Arc<OwnedFd>,
    /// What the directory was called when it was opened; for messages only.
    called: PathBuf,
    name: OsString,
}

impl Place {
    /// Where `path` is. Links on the way to it are who gave it's own choice, and
    /// followed now, once. Fails where there is no such directory.
    pub fn of(path: &Path) -> io::Result<Place> {
        let name = match path.file_name() {
            Some(name) if !path.as_os_str().as_bytes().ends_with(b"/") => name.to_os_string(),
            _ => return Err(ErrorKind::IsADirectory.into()),
        };
        let called = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let dir = if called.as_os_str().is_empty() { Path::new(".") } else { &called };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(dir, flags, Mode::empty())?;
        Ok(Place { dir: Arc::new(dir), called, name })
    }

    /// Whether it is the same name in the same directory, however either was called.
    pub fn is_same(&self, other: &Place) -> bool {
        let dir = |place: &Place| fstat(&*place.dir).map(|stat| (stat.st_dev, stat.st_ino));
        self.name == other.name && dir(self).is_ok_and(|this| dir(other) == Ok(this))
    }

    /// Another name in the same directory.
    pub fn beside(&self, name: OsString) -> Place {
        Place { name, ..self.clone() }
    }

    /// This name with `more` behind it.
    pub fn with(&self, more: &str) -> Place {
        let mut name = self.name.clone();
        name.push(more);
        self.beside(name)
    }

    /// The name.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// What it is called in messages.
    pub fn path(&self) -> PathBuf {
        self.called.join(&self.name)
    }

    /// What is there, without following a link; `None` if nothing is.
    pub fn look(&self) -> io::Result<Option<FileStat>> {
        match fstatat(&*self.dir, &*self.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    /// Whether it is this file.
    pub fn is(&self, file: Identity) -> bool {
        matches!(self.look(), Ok(Some(stat)) if (stat.st_dev, stat.st_ino) == file)
    }

    /// All names in the directory.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::openat(&*self.dir, ".", flags, Mode::empty())?;
        let name = |entry: nix::Result<nix::dir::Entry>| {
            entry.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_os_string())
        };
        dir.iter().map(|entry| name(entry).map_err(io::Error::from)).collect()
    }

    /// Whether names can be made and removed here, as far as permissions tell.
    pub fn check_writable(&self) -> io::Result<()> {
        let access = AccessFlags::W_OK | AccessFlags::X_OK;
        Ok(faccessat(&*self.dir, ".", access, AtFlags::AT_EACCESS)?)
    }

    /// Make a file that was not there, to be appended to, lest there is a hole
    /// where someone else makes it shorter.
    pub fn create(&self) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_EXCL;
        self.open(flags, MODE)
    }

    /// Open the file that is there to append to it: if it is `mine`, which was open
    /// before, or else a regular file of who runs xdplog with no other name. Another
    /// user could have put it there for root to fill a file of theirs, or by a hard
    /// link one that they cannot write to.
    pub fn take(&self, mine: Option<Identity>) -> io::Result<File> {
        // What is no regular file may take long to open, and do something.
        if let Some(stat) = self.look()? {
            check_regular(&stat)?;
        }
        let file = self.open(OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK, MODE)?;
        let stat = fstat(&file)?;
        check_regular(&stat)?;
        if mine != Some((stat.st_dev, stat.st_ino)) {
            if stat.st_nlink != 1 {
                return Err(Refusal::Names(stat.st_nlink).into());
            }
            if stat.st_uid != Uid::effective().as_raw() {
                return Err(Refusal::Owner(stat.st_uid).into());
            }
        }
        Ok(file)
    }

    /// Open the regular file that is there to read it.
    pub fn read(&self) -> io::Result<File> {
        let file = self.open(OFlag::O_RDONLY | OFlag::O_NONBLOCK, MODE)?;
        check_regular(&fstat(&file)?)?;
        Ok(file)
    }

    /// Whether another xdplog writes to the file that is there.
    pub fn is_used(&self) -> bool {
        self.read().is_ok_and(|file| lock(&file, false).is_err())
    }

    /// Open the pipe or device that is there to write to it. For a pipe without a
    /// reader this takes until there is one; `alone` is called before.
    pub fn device(&self, alone: impl FnOnce()) -> io::Result<File> {
        let file = match self.open(OFlag::O_WRONLY | OFlag::O_NONBLOCK, MODE) {
            Err(err) if err.raw_os_error() == Some(Errno::ENXIO as i32) && self.is_pipe()? => {
                alone();
                self.open(OFlag::O_WRONLY, MODE)?
            }
            opened => opened?,
        };
        // It may be another than that which was looked at.
        let meta = file.metadata()?;
        match meta.is_file() {
            true => Err(ErrorKind::AlreadyExists.into()),
            false if meta.file_type().is_fifo() => self.check_pipe(meta.uid()).map(|()| file),
            false => Ok(file),
        }
    }

    fn is_pipe(&self) -> io::Result<bool> {
        let Some(stat) = self.look()? else { return Ok(false) };
        let is_pipe = kind(&stat) == SFlag::S_IFIFO;
        if is_pipe {
            self.check_pipe(stat.st_uid)?;
        }
        Ok(is_pipe)
    }

    /// Refuse another user's pipe where others than the directory's owner can make
    /// one: who waits for root to come by reads all packets. It is the rule of
    /// `fs.protected_fifos` (proc_sys_fs(5)), which holds for files to be created
    /// only.
    fn check_pipe(&self, owner: u32) -> io::Result<()> {
        let dir = fstat(&*self.dir)?;
        let is_shared =
            Mode::from_bits_truncate(dir.st_mode).intersects(Mode::S_IWGRP | Mode::S_IWOTH);
        match owner == Uid::effective().as_raw() || owner == dir.st_uid || !is_shared {
            true => Ok(()),
            false => Err(Refusal::Owner(owner).into()),
        }
    }

    fn open(&self, flags: OFlag, mode: Mode) -> io::Result<File> {
        match openat(&*self.dir, &*self.name, flags | ALWAYS, mode) {
            Ok(fd) => Ok(fd.into()),
            Err(Errno::ELOOP) => Err(Refusal::Link.into()),
            Err(err) => Err(err.into()),
        }
    }

    /// Give what is there another name, which nothing has yet.
    pub fn rename(&self, to: &Place) -> io::Result<()> {
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(&*self.dir, &*self.name, &*to.dir, &*to.name, flags) {
            // Some file systems cannot, NFS for one; most of them can do this.
            Err(Errno::EINVAL) => {
                linkat(&*self.dir, &*self.name, &*to.dir, &*to.name, AtFlags::empty())?;
                self.remove()
            }
            renamed => Ok(renamed?),
        }
    }

    /// Remove the name, if it is there.
    pub fn remove(&self) -> io::Result<()> {
        match unlinkat(&*self.dir, &*self.name, UnlinkatFlags::NoRemoveDir) {
            // Someone else removed it: fine.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }
}

/// The kind of what was looked at.
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Refuse what is no regular file.
pub fn check_regular(stat: &FileStat) -> io::Result<()> {
    match kind(stat) {
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFLNK => Err(Refusal::Link.into()),
        SFlag::S_IFDIR => Err(ErrorKind::IsADirectory.into()),
        _ => Err(Refusal::NoFile.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn refusal(err: io::Error) -> Refusal {
        *err.get_ref().and_then(|err| err.downcast_ref()).unwrap_or_else(|| panic!("{err}"))
    }

    #[test]
    fn what_is_made_is_ones_own_and_new() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of(&dir.path().join("log")).unwrap();
        let file = place.create().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(place.is(identity(&file).unwrap()));
        assert_eq!(place.create().unwrap_err().kind(), ErrorKind::AlreadyExists);
        // Wherever its directory is called to by then.
        let moved = dir.path().with_extension("moved");
        fs::rename(dir.path(), &moved).unwrap();
        place.beside("other".into()).create().unwrap();
        assert!(moved.join("other").exists());
        fs::rename(&moved, dir.path()).unwrap();
        place.with(".x").create().unwrap();
        assert_eq!(place.rename(&place.with(".x")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        place.rename(&place.with(".y")).unwrap();
        let mut names = place.names().unwrap();
        names.retain(|name| name != "." && name != "..");
        names.sort();
        assert_eq!(names, ["log.x", "log.y", "other"]);
        for name in ["", "/", "..", "dir/", "dir/.."] {
            let err = Place::of(Path::new(name)).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::IsADirectory, "{name:?}");
        }
    }

    #[test]
    fn what_someone_else_could_have_put_there_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| Place::of(&dir.path().join(name)).unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "").unwrap();
        symlink(&victim, dir.path().join("link")).unwrap();
        symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
        for name in ["link", "dangling"] {
            assert_eq!(refusal(place(name).take(None).unwrap_err()), Refusal::Link);
            assert_eq!(refusal(place(name).read().unwrap_err()), Refusal::Link);
            assert_eq!(place(name).create().unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert!(!dir.path().join("nowhere").exists());
        let mine = identity(&place("victim").take(None).unwrap()).unwrap();
        fs::hard_link(&victim, dir.path().join("hard")).unwrap();
        assert_eq!(refusal(place("hard").take(None).unwrap_err()), Refusal::Names(2));
        // But what was open before is the same, whoever gave it more names.
        place("victim").take(Some(mine)).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), MODE).unwrap();
        assert_eq!(refusal(place("pipe").take(None).unwrap_err()), Refusal::NoFile);
    }
}
