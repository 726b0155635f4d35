//! The ready file: it is there as long as all interfaces are watched, for those who
//! wait for that. What is watched is not known here.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::advice;
use crate::sink::{Identity, Place, check_regular, identity};

/// Where it is to be.
#[derive(Debug)]
pub struct ReadyFile {
    path: PathBuf,
    place: Place,
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
