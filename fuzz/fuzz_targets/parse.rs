//! Frames of any kind through the XDP program by BPF_PROG_TEST_RUN: each passes,
//! unchanged, its record says what the reference parser says, its captured bytes
//! are its first, the counters count it once, and every format takes the record.
//! What an input looks like is in `input.rs`, how a frame is run in `bench.rs`.

#![no_main]
#![forbid(unsafe_code)]

use std::cell::RefCell;

use jiff::tz::TimeZone;
use libfuzzer_sys::{Corpus, fuzz_target};
use xdplog::bpf::{
    CAPTURE_MAX, Counters, FAMILY_IPV4, LinkType, NOT_IP_BROKEN, NOT_IP_OTHER, Record,
};
use xdplog::clock::{Wall, monotonic_ns};
use xdplog::format::{Classic, Dump, Format, Json, Pcapng, Style, Text};
use xdplog::probe::Setup;
use xdplog_fuzz::common::bench::{Bench, MIN_FRAME};
use xdplog_fuzz::common::reference::{Told, XDP_PASS};
use xdplog_fuzz::input::{self, PROGRAMS, TAIL};

/// Inputs between two lines that say how many frames they were.
const SAY_EVERY: u64 = 1 << 20;

/// The program, loaded in one way, and what it should have counted by now.
struct Program {
    bench: Bench,
    snaplen: usize,
    ipv4_only: bool,
    count: Counters,
}

impl Program {
    fn new(snaplen: usize, not_ip: u32, ipv4_only: bool) -> Program {
        Program::of(LinkType::Ethernet, snaplen, not_ip, ipv4_only)
    }

    fn of(link: LinkType, snaplen: usize, not_ip: u32, ipv4_only: bool) -> Program {
        let links = vec![link];
        let mut setup = Setup { links, snaplen: snaplen as u32, not_ip, ..Bench::setup() };
        if ipv4_only {
            setup.families = FAMILY_IPV4;
        }
        let count = Counters::default();
        Program { bench: Bench::load(&setup), snaplen, ipv4_only, count }
    }

    /// Run frames, one after the other, and then compare all that came out.
    fn check(&mut self, frames: &[Vec<u8>], formats: &mut Formats) {
        let before = monotonic_ns();
        for frame in frames {
            self.bench.pass(frame);
        }
        let after = monotonic_ns();
        let mut expected = frames.iter().filter_map(|frame| {
            self.count.seen += 1;
            self.count.bytes += frame.len() as u64;
            self.count.verdicts[XDP_PASS as usize] += 1;
            let told = self.bench.reference(frame);
            match &told {
                None => self.count.not_ip += 1,
                Some(Told::Ip(parsed)) if self.ipv4_only && parsed.source.is_ipv6() => {
                    self.count.unselected += 1;
                    return None;
                }
                Some(_) => self.count.recorded += 1,
            }
            told.map(|told| (told, frame))
        });
        let mut last = before;
        self.bench.emitted(|record, bytes| {
            let (told, frame) = expected.next().expect("no more records than packets");
            let got = Told::of(record);
            assert_eq!(got, told, "left the program, right the reference: {frame:02x?}");
            assert!((last..=after).contains(&record.ts_ns()), "between before and after, in order");
            last = record.ts_ns();
            let kept = frame.len().min(self.snaplen);
            assert_eq!(bytes, &frame[..kept], "the frame's first bytes: {frame:02x?}");
            formats.check(record, bytes);
        });
        assert_eq!(expected.next(), None, "no fewer records than packets");
        drop(expected);

        assert_eq!(self.bench.counters(), self.count, "left the program's, right ours");
    }
}

/// All formats, and room for what they write.
struct Formats {
    classic: Classic,
    text: Text,
    /// With MAC addresses and all bytes.
    dumped: Text<true, true>,
    json: Json,
    pcapng: Pcapng,
    out: Vec<u8>,
}

impl Formats {
    fn new() -> Formats {
        let (names, wall) = (["eth0".to_string()], Wall::now());
        let dump = Dump { ascii: false, link: true, snaplen: u32::MAX };
        let style = Style { macs: true, dump: Some(dump), ..Style::default() };
        Formats {
            classic: Classic,
            text: Text::new(&names, wall, TimeZone::UTC, true),
            dumped: Text::styled(&names, wall, TimeZone::UTC, &[], &style),
            json: Json::new(&names, wall),
            pcapng: Pcapng::new(names.len(), wall),
            out: vec![0; 6 * CAPTURE_MAX + 1024],
        }
    }

    fn check(&mut self, record: &Record, bytes: &[u8]) {
        let line = write(&mut self.classic, record, bytes, &mut self.out);
        if !record.is_not_ip() {
            let expected = format!("LOG: SRC {}, ACTION {}\n", record.source(), record.verdict());
            assert_eq!(line, expected.as_bytes());
        }
        let line = write(&mut self.text, record, bytes, &mut self.out);
        assert!(is_a_line(line), "{record:?}");
        let lines = write(&mut self.dumped, record, bytes, &mut self.out);
        let end = lines.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
        let (line, dump) = lines.split_at(end);
        assert!(is_a_line(line), "{record:?}");
        let digits = bytes.chunks(16).enumerate().map(|(index, bytes)| {
            let pairs =
                bytes.chunks(2).map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect());
            format!("\t0x{:04x}:  {}\n", index * 16, pairs.collect::<Vec<String>>().join(" "))
        });
        assert_eq!(dump, digits.collect::<String>().as_bytes(), "{record:?}");
        let line = write(&mut self.json, record, bytes, &mut self.out);
        assert!(is_a_line(line), "{record:?}");
        let json: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        if record.is_not_ip() {
            let known = ["src", "dst", "proto"].map(|key| json.get(key));
            assert_eq!(known, [None; 3], "{record:?}");
        } else {
            assert_eq!(json["src"], record.source().to_string());
        }
        assert_eq!(json["len"], record.len());
        let block = write(&mut self.pcapng, record, bytes, &mut self.out);
        let len = (block.len() as u32).to_ne_bytes();
        assert_eq!(block.len() % 4, 0, "{record:?}");
        assert_eq!((&block[4..8], &block[block.len() - 4..]), (&len[..], &len[..]));
    }
}

/// What a format writes into no more room than it says it takes.
fn write<'a>(
    format: &mut impl Format,
    record: &Record,
    bytes: &[u8],
    out: &'a mut [u8],
) -> &'a [u8] {
    let room = format.room(bytes.len());
    let len = format.record(record, bytes, &mut out[..room]);
    &out[..len]
}

fn is_a_line(line: &[u8]) -> bool {
    let end = line.iter().position(|&byte| byte == b'\n');
    end == Some(line.len() - 1) && line.is_ascii()
}

struct Fuzz {
    programs: [Program; PROGRAMS],
    formats: Formats,
    inputs: u64,
    frames: u64,
}

thread_local! {
    static FUZZ: RefCell<Fuzz> = RefCell::new(Fuzz {
        programs: [
            // All frames, as text has them.
            Program::new(0, NOT_IP_OTHER | NOT_IP_BROKEN, false),
            // Odd, so that bytes are padded; and short, so that headers are cut.
            Program::new(61, NOT_IP_OTHER, false),
            // All that fits.
            Program::new(CAPTURE_MAX, NOT_IP_OTHER | NOT_IP_BROKEN, false),
            Program::new(0, 0, true),
            Program::of(LinkType::Ip, 0, NOT_IP_OTHER | NOT_IP_BROKEN, false),
        ],
        formats: Formats::new(),
        inputs: 0,
        frames: 0,
    });
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((control, frames)) = input::read(data) else { return Corpus::Reject };
    let mut frames: Vec<Vec<u8>> =
        frames.filter(|frame| frame.len() >= MIN_FRAME).map(<[u8]>::to_vec).collect();
    if control.program == PROGRAMS - 1 {
        // Without Ethernet, so that the same frames mean as much.
        frames.retain(|frame| frame.len() >= 2 * MIN_FRAME);
        frames.iter_mut().for_each(|frame| drop(frame.drain(..MIN_FRAME)));
    }
    if frames.is_empty() {
        return Corpus::Reject;
    }
    if control.long {
        for frame in &mut frames {
            let len = frame.len();
            *frame = frame.iter().copied().cycle().take(len + TAIL).collect();
        }
    }
    FUZZ.with_borrow_mut(|fuzz| {
        fuzz.programs[control.program].check(&frames, &mut fuzz.formats);
        fuzz.inputs += 1;
        fuzz.frames += frames.len() as u64;
        if fuzz.inputs.is_multiple_of(SAY_EVERY) {
            eprintln!("{} inputs run, {} frames: all as they should be", fuzz.inputs, fuzz.frames);
        }
    });
    Corpus::Keep
});
