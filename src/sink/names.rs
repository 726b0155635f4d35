//! What rotated files are called: names that sort as the files were made, and are
//! found again. Nothing is opened here.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::stat::SFlag;
use nix::unistd::Uid;

use super::open::{Place, kind};

/// Digits of a number in a name: names sort as the files were made.
const DIGITS: usize = 6;

/// The last number. With another digit, names would be what others make of a date,
/// `log-20261123.json`, and such files not be told from this log's.
pub const LAST: u32 = 9_999_999;

/// Behind the name of a file that is compressed.
pub const COMPRESSED: &str = ".zst";

/// The same while that is under way.
pub const PART: &str = ".zst.part";

/// `log.json` as `log-000001.json`.
pub fn numbered(base: &Place, number: u32) -> Place {
    let (mut name, extension) = parts(base.name());
    name.push(format!("-{number:0DIGITS$}"));
    name.push(extension);
    base.beside(name)
}

/// A file's name up to its extension, and that with its dot.
fn parts(name: &OsStr) -> (OsString, OsString) {
    let name = Path::new(name);
    let mut extension = OsString::new();
    if let Some(text) = name.extension() {
        extension.push(".");
        extension.push(text);
    }
    (name.file_stem().unwrap_or_default().to_os_string(), extension)
}

/// All names that the file of a number may have.
pub fn all(base: &Place, number: u32) -> [Place; 3] {
    let plain = numbered(base, number);
    [plain.with(PART), plain.with(COMPRESSED), plain]
}

/// Whether anything has one of these names.
pub fn is_taken(base: &Place, number: u32) -> io::Result<bool> {
    for place in all(base, number) {
        if place.look()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The number of a file of the log called `base` that has this name: exactly as
/// [`numbered`] makes it, be it compressed, wholly or in part.
fn number(base: &OsStr, name: &OsStr) -> Option<u32> {
    let (stem, extension) = parts(base);
    let rest = name.as_bytes().strip_prefix(stem.as_bytes())?.strip_prefix(b"-")?;
    let suffixes = [PART, COMPRESSED].map(str::as_bytes);
    let rest = suffixes.iter().find_map(|&suffix| rest.strip_suffix(suffix)).unwrap_or(rest);
    let digits = rest.strip_suffix(extension.as_bytes())?;
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let is_ours = (1..=LAST).contains(&number) && format!("{number:0DIGITS$}").as_bytes() == digits;
    is_ours.then_some(number)
}

/// The names that the file of a number has which this log made: what there is to
/// remove.
pub fn own(base: &Place, number: u32) -> io::Result<Vec<Place>> {
    let mut found = Vec::new();
    for place in all(base, number) {
        if is_own(&place)? {
            found.push(place);
        }
    }
    Ok(found)
}

/// Whether what is there can be this log's: a regular file of who runs xdplog, with no
/// other name. Where others can make files, too, theirs would have one's own go as the
/// older ones, or leave no number.
fn is_own(place: &Place) -> io::Result<bool> {
    let Some(stat) = place.look()? else { return Ok(false) };
    let is_mine = stat.st_uid == Uid::effective().as_raw();
    Ok(kind(&stat) == SFlag::S_IFREG && is_mine && stat.st_nlink == 1)
}

/// The numbers of the files of earlier runs, each once, in their order.
pub fn earlier(base: &Place) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for name in base.names()? {
        let Some(number) = number(base.name(), &name) else { continue };
        if is_own(&base.beside(name))? {
            found.push(number);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_sort_and_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| Place::of(&dir.path().join(name)).unwrap();
        assert_eq!(numbered(&place("l.json"), 7).name(), "l-000007.json");
        assert_eq!(numbered(&place("log"), 1_234_567).name(), "log-1234567");
        let base = place("l.json");
        let ours = [
            "l-000001.json",
            "l-000012.json.zst",
            "l-000012.json",
            "l-000013.json.zst.part",
            "l-1000000.json",
        ];
        let others = [
            "l.json",
            "l-1.json",
            "l-x.json",
            "l-000000.json",
            "l-0000014.json",
            "l-+00015.json",
            "l-20261123.json",
            "l-4000000000.json",
            "l-000016.json.gz",
            "l-000017.zst",
            "m-000099.json",
        ];
        for name in ours.iter().chain(&others) {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("l-000018.json")).unwrap();
        std::os::unix::fs::symlink("m-000099.json", dir.path().join("l-000019.json")).unwrap();
        fs::hard_link(dir.path().join("m-000099.json"), dir.path().join("l-000020.json")).unwrap();
        assert_eq!(earlier(&base).unwrap(), [1, 12, 13, 1_000_000]);
        for (number, taken, own) in [
            (1, true, 1),
            (2, false, 0),
            (12, true, 2),
            (13, true, 1),
            (18, true, 0),
            (20, true, 0),
        ] {
            assert_eq!(is_taken(&base, number).unwrap(), taken, "{number}");
            assert_eq!(super::own(&base, number).unwrap().len(), own, "{number}");
        }
    }

    #[test]
    fn a_name_may_be_of_any_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OsStr::from_bytes(b"l\xff.\xfe"));
        let base = Place::of(&path).unwrap();
        assert_eq!(numbered(&base, 3).name().as_bytes(), b"l\xff-000003.\xfe");
        numbered(&base, 3).create().unwrap();
        assert_eq!(earlier(&base).unwrap(), [3]);
    }
}
