//! The ready file: it is there as long as all interfaces are watched, for those who
//! wait for that. What is watched is not known here.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::advice;
use crate::sink::{Identity, Place, check_regular, identity};
use crate::usage::UsageError;

/// Where it is to be.
#[derive(Debug)]
pub struct ReadyFile {
    path: PathBuf,
    place: Place,
}

/// Remove what an earlier run left also where the arguments, the program's name being
/// the first, are refused: as far as it can be told from them what it is called.
pub fn clear_of_refused(args: impl Iterator<Item = OsString>) {
    const OPTION: &[u8] = b"--ready-file";
    let args: Vec<OsString> = args.skip(1).collect();
    let named = args.iter().enumerate().find_map(|(at, arg)| {
        match arg.as_bytes().strip_prefix(OPTION)? {
            [] => args.get(at + 1).map(OsString::as_os_str),
            [b'=', path @ ..] => Some(OsStr::from_bytes(path)),
            _ => None,
        }
    });
    if let Some(path) = named {
        // The refusal of the arguments is what is told.
        let _ = ReadyFile::clear(Path::new(path));
    }
}

/// It is there, until this is dropped.
#[derive(Debug)]
pub struct Ready {
    place: Place,
    identity: Identity,
}

impl ReadyFile {
    /// Remove one that an earlier run left, which would tell who waits for it too
    /// early. What is not one, an empty file, is left alone and refused.
    pub fn clear(path: &Path) -> Result<ReadyFile> {
        let cleared = Place::of(path).and_then(|place| {
            if let Some(stat) = place.look()? {
                check_regular(&stat)?;
                if stat.st_size != 0 {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                place.remove()?;
            }
            place.check_writable()?;
            Ok(place)
        });
        match cleared {
            Ok(place) => Ok(ReadyFile { path: path.to_path_buf(), place }),
            Err(err) => Err(advice::ready_file(path, &err)),
        }
    }

    /// Fails where the log is to be written to the same file, which would then be there
    /// before anything is watched.
    pub fn check_is_not(&self, log: &Path) -> Result<(), UsageError> {
        // Where there is no such directory, whoever opens the log says so.
        if Place::of(log).is_ok_and(|log| log.is_same(&self.place)) {
            return Err(UsageError::new(
                format!("--write and --ready-file both name {}", log.display()),
                "give each a file of its own",
            ));
        }
        Ok(())
    }

    /// Create it.
    pub fn create(&self) -> Result<Ready> {
        // Closed at once, as there are those who wait for that.
        let created: io::Result<Identity> = self.place.create().and_then(|file| identity(&file));
        match created {
            Ok(identity) => Ok(Ready { place: self.place.clone(), identity }),
            Err(err) => Err(advice::ready_file(&self.path, &err)),
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if self.place.is(self.identity) {
            // Where it cannot be removed, the next run does, or says why not.
            let _ = self.place.remove();
        }
    }
}
