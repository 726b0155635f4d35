//! Makes the fuzz target's first inputs, from captures: the one that `capture`
//! writes, of the tests' table of frames, and any pcap or pcapng of Ethernet
//! frames besides. Nothing is fuzzed here.
//!
//! ```text
//! seed capture FILE.pcap
//! seed corpus DIRECTORY CAPTURE...
//! ```

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

// Instrumented code calls libFuzzer's part of it, here too.
use libfuzzer_sys as _;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::{Block, PcapNgReader};
use xdplog_fuzz::common::bench::MIN_FRAME;
use xdplog_fuzz::common::table::table;
use xdplog_fuzz::input::{self, Control, MAX_FRAMES, PROGRAMS};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["capture", file] => capture(Path::new(file)),
        ["corpus", directory, ref captures @ ..] => corpus(Path::new(directory), captures),
        _ => Err("usage: seed capture FILE.pcap | seed corpus DIRECTORY CAPTURE...".into()),
    }
}

/// Each frame of the table whole, cut in the middle of its headers, and with
/// bytes changed, as a capture that any tool reads.
fn capture(file: &Path) -> Result<()> {
    let mut writer = PcapWriter::new(BufWriter::new(File::create(file)?))?;
    let mut frames = 0u64;
    let mut write = |frame: &[u8], whole: usize| {
        frames += 1;
        let packet = PcapPacket::new(Duration::from_micros(frames), whole as u32, frame);
        writer.write_packet(&packet).map(drop)
    };
    // The same capture every time.
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % end
    };
    for (_, frame) in table() {
        write(&frame, frame.len())?;
        let headers = frame.len().min(120);
        for _ in 0..2 {
            let cut = MIN_FRAME + below(headers - MIN_FRAME);
            write(&frame[..cut], frame.len())?;
        }
        for _ in 0..2 {
            let mut changed = frame.clone();
            for _ in 0..=below(4) {
                // Behind the addresses, which mean nothing to anyone here.
                changed[12 + below(headers - 12)] = below(256) as u8;
            }
            write(&changed, frame.len())?;
        }
    }
    println!("{}: {frames} frames", file.display());
    Ok(())
}

/// One input for each frame of the captures, and one for each few of them.
fn corpus(directory: &Path, captures: &[&str]) -> Result<()> {
    fs::create_dir_all(directory)?;
    let mut inputs = 0;
    for path in captures {
        let frames = read(Path::new(path)).map_err(|err| format!("{path}: {err}"))?;
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let alone = frames
            .chunks(1)
            .enumerate()
            .map(|(i, frame)| (Control { program: i % PROGRAMS, long: i % 31 == 0 }, frame));
        let several = frames
            .chunks(MAX_FRAMES / 2)
            .enumerate()
            .map(|(i, frames)| (Control { program: i % PROGRAMS, long: false }, frames));
        for (control, frames) in alone.chain(several) {
            let input = input::write(control, frames);
            let mut hash = DefaultHasher::new();
            input.hash(&mut hash);
            fs::write(directory.join(format!("seed-{:016x}", hash.finish())), input)?;
            inputs += 1;
        }
    }
    println!("{}: {inputs} inputs from {} captures", directory.display(), captures.len());
    Ok(())
}

/// The Ethernet frames of a pcap or pcapng.
fn read(path: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = fs::read(path)?;
    let mut frames = Vec::new();
    // The type of a section header block, the same in any byte order.
    if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        let mut reader = PcapNgReader::new(&bytes[..])?;
        let mut ethernet = Vec::new();
        while let Some(block) = reader.next_block() {
            let (iface, frame) = match block? {
                Block::SectionHeader(_) => {
                    ethernet.clear();
                    continue;
                }
                Block::InterfaceDescription(iface) => {
                    ethernet.push(iface.linktype == DataLink::ETHERNET);
                    continue;
                }
                Block::EnhancedPacket(packet) => (packet.interface_id as usize, packet.data),
                Block::SimplePacket(packet) => (0, packet.data),
                _ => continue,
            };
            if ethernet.get(iface) == Some(&true) {
                frames.push(frame.into_owned());
            }
        }
    } else {
        let mut reader = PcapReader::new(&bytes[..])?;
        if reader.header().datalink != DataLink::ETHERNET {
            return Err("it holds no Ethernet frames".into());
        }
        while let Some(packet) = reader.next_packet() {
            frames.push(packet?.data.into_owned());
        }
    }
    frames.retain(|frame| frame.len() >= MIN_FRAME);
    Ok(frames)
}
