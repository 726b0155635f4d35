//! What rotated files are called: names that sort as the files were made, and are
//! found again. Nothing is opened here.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Digits of a number in a name: names sort as the files were made.
const DIGITS: usize = 6;

/// `dir/log.json` as `dir/log-000001.json`.
pub fn numbered(path: &Path, number: u32) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{number:0DIGITS$}{extension}"))
}

/// A file's name up to its extension, and that with its dot.
fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = match text(path.extension()) {
        none if none.is_empty() => none,
        extension => format!(".{extension}"),
    };
    (text(path.file_stem()), extension)
}

/// The files of earlier runs: numbers and paths.
pub fn earlier(path: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
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
        // Named as those are that are made here, so that they compare.
        found.extend(number.map(|number| (number, path.with_file_name(&name))));
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
        assert_eq!(found[0].1, numbered(&dir.path().join("l.json"), 1));
    }
}
