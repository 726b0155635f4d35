//! Log files and what is in them, and that this is what was counted.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::frames::frame;
use super::json;
use super::live::flood;
use super::net::Net;
use super::pcapng::Capture;
use super::process::{Ended, Logged, Xdplog, assert_balanced, count};

/// A directory for logs.
pub struct Dir(pub TempDir);

impl Dir {
    pub fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    /// All that is in it, by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    pub fn names(&self) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
        self.files().into_iter().map(name).collect()
    }
}

/// Bytes in a file, if it is there.
pub fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Packets in a file: one by one, and in summaries. All of it has to be whole
/// records.
pub fn packets(format: &str, path: &Path) -> (u64, u64) {
    let mut bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd::decode_all(&bytes[..]).unwrap();
    }
    if format != "pcapng" {
        return lines(format, &bytes);
    }
    let (mut logged, mut summarised) = (0, 0);
    for section in Capture::sections(&bytes) {
        assert!(section.packets.iter().all(|packet| packet.len as usize == packet.data.len()));
        logged += section.packets.len() as u64;
        summarised += section.summarised();
    }
    (logged, summarised)
}

/// The same of what a reader who left early got.
pub fn packets_cut(format: &str, log: &[u8]) -> (u64, u64) {
    if format != "pcapng" {
        let whole = log.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        return lines(format, &log[..whole]);
    }
    let capture = Capture::read_cut(log);
    (capture.packets.len() as u64, capture.summarised())
}

/// Packets of whole lines.
fn lines(format: &str, log: &[u8]) -> (u64, u64) {
    let text = std::str::from_utf8(log).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    match format {
        "classic" => {
            let log = Logged::read(log);
            (log.lines, log.summarised)
        }
        "json" => json::packets(&json::objects(text)),
        _ => text_lines(text),
    }
}

/// Packets of lines in the format text, all of them [`frame`].
fn text_lines(text: &str) -> (u64, u64) {
    let (mut logged, mut summarised) = (0, 0);
    for line in text.lines() {
        assert!(line.contains(" here"), "{line}");
        match line.split_once(": summary of ") {
            Some((_, rest)) => {
                let unit = if rest.starts_with("1 ") { " packet" } else { " packets" };
                let packets = rest.strip_suffix(unit).unwrap_or_else(|| panic!("{line}"));
                summarised += packets.parse::<u64>().unwrap();
            }
            None => {
                assert!(line.contains(": udp, length 60"), "{line}");
                logged += 1;
            }
        }
    }
    (logged, summarised)
}

/// What is counted is what is in `files`, and nothing is counted twice.
pub fn agrees(net: &Net, ended: &Ended, format: &str, files: &[PathBuf]) -> Value {
    let summary = ended.summary();
    assert_balanced(&summary);
    let (seen, received) = (count(&summary, "seen"), net.received(0));
    if ended.code() == Some(0) {
        assert_eq!(seen, received, "as many as the interface received");
    } else {
        // It ended by itself, maybe while packets still came.
        assert!(seen <= received, "{seen} of {received}");
    }
    let (mut logged, mut summarised) = (0, 0);
    for path in files {
        let packets = packets(format, path);
        logged += packets.0;
        summarised += packets.1;
    }
    let counted = (count(&summary, "logged"), count(&summary, "summarised"));
    assert_eq!((logged, summarised), counted, "{summary}, {}", ended.stderr);
    summary
}

/// Start on here0, with the summary as JSON.
pub fn start(net: &Net, args: &[&str]) -> Xdplog {
    Xdplog::start(net, &[&["here0", "--stats-format", "json"], args].concat())
}

/// Run with a flood of so many packets; ends well.
pub fn run_flooded(net: &Net, count: u32, args: &[&str]) -> Ended {
    let xdplog = start(net, args);
    flood(net, 0, &frame(), count);
    let ended = xdplog.stop();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended
}
