//! The XDP program under BPF_PROG_TEST_RUN, loaded and with rings, but not
//! attached to anything. What a frame's record has to say is the reference's
//! business, and where frames come from the caller's.

use std::cell::RefCell;

use libbpf_rs::ProgramInput;
use nix::unistd::{SysconfVar, sysconf};
use xdplog::bpf::{
    Ahead, Counters, FAMILY_IPV4, FAMILY_IPV6, LinkType, NOT_IP_BROKEN, NOT_IP_OTHER, Record,
};
use xdplog::probe::{Batches, CounterMap, Flushed, Probe, Ring, Setup};

use super::host::{need_root, pin_to_one_cpu};
use super::reference::{Told, XDP_PASS};

/// BPF_PROG_TEST_RUN refuses what has no Ethernet header.
pub const MIN_FRAME: usize = 14;

pub struct Bench {
    probe: Probe,
    batches: Batches,
    counters: CounterMap,
    rings: RefCell<Vec<Ring>>,
    /// What came out of the program; kept, so as not to be allocated anew.
    out: RefCell<Vec<u8>>,
    captures: bool,
    not_ip: u32,
    link: LinkType,
}

/// Of a ring.
fn pages(bytes: u64) -> usize {
    let page = sysconf(SysconfVar::PAGE_SIZE).unwrap().unwrap();
    bytes.div_ceil(page as u64).next_power_of_two() as usize
}

impl Bench {
    pub fn new() -> Bench {
        Bench::load(&Bench::setup())
    }

    /// All frames of one interface, without their bytes.
    pub fn setup() -> Setup {
        Setup {
            families: FAMILY_IPV4 | FAMILY_IPV6,
            links: vec![LinkType::Ethernet],
            ring_size: 1 << 20,
            overflow_sources: 16,
            snaplen: 0,
            sample: 0,
            rate: 0,
            not_ip: NOT_IP_OTHER | NOT_IP_BROKEN,
            realtime: false,
        }
    }

    pub fn load(setup: &Setup) -> Bench {
        need_root();
        // The batch is the CPU's that the program runs on.
        pin_to_one_cpu();
        let probe = Probe::load(setup).unwrap();
        Bench {
            rings: RefCell::new(probe.open_rings(pages(setup.ring_size)).unwrap()),
            batches: probe.batches().unwrap(),
            counters: probe.counters().unwrap(),
            out: RefCell::default(),
            captures: setup.snaplen > 0,
            not_ip: setup.not_ip,
            link: setup.links[0],
            probe,
        }
    }

    /// Put one frame through: it passes, unchanged.
    pub fn pass(&self, frame: &[u8]) {
        let mut out = self.out.borrow_mut();
        // More than the frame, so that one that has grown is seen whole.
        let room = frame.len() + 64;
        if out.len() < room {
            out.resize(room, 0);
        }
        let input = ProgramInput {
            data_in: Some(frame),
            data_out: Some(&mut out[..room]),
            ..ProgramInput::default()
        };
        let output = self.probe.program().test_run(input).unwrap();
        assert_eq!(output.return_value, XDP_PASS, "{frame:02x?}");
        assert_eq!(output.data.as_deref(), Some(frame), "the frame is unchanged");
    }

    /// What the program has made of the frames since the last time, in order:
    /// records, and bytes of the frames where these are captured.
    pub fn emitted(&self, mut each: impl FnMut(&Record, &[u8])) {
        let mut rings = self.rings.borrow_mut();
        let mut ahead = vec![Ahead::default(); rings.len()];
        // Twice, where the batch waits because the ring is full.
        for _ in 0..2 {
            let flushed = self.batches.flush(0);
            for (ring, ahead) in rings.iter_mut().zip(&mut ahead) {
                let read = ring.samples.read(|data| {
                    if self.captures {
                        ahead.captures(data, &mut each);
                    } else {
                        Record::all_in(data).iter().for_each(|record| each(record, &[]));
                    }
                });
                read.unwrap();
            }
            if flushed == Flushed::Done {
                return;
            }
        }
        panic!("something else is at work on the batch");
    }

    /// The counters of the first interface.
    pub fn counters(&self) -> Counters {
        self.counters.read().unwrap()[0]
    }

    /// Run one frame through; its record, if it has one.
    pub fn run(&self, frame: &[u8]) -> Option<Record> {
        self.pass(frame);
        let mut records = Vec::new();
        self.emitted(|record, _| records.push(*record));
        assert!(records.len() <= 1, "one record a frame");
        records.pop()
    }

    /// What the record of this frame should tell.
    pub fn reference(&self, frame: &[u8]) -> Option<Told> {
        match self.link {
            LinkType::Ethernet => Told::reference(frame, self.not_ip),
            LinkType::Ip => Told::reference_raw(frame, self.not_ip),
        }
    }

    /// Run a frame and compare with the reference.
    pub fn check(&self, frame: &[u8]) {
        let got = self.run(frame).map(|record| Told::of(&record));
        let want = self.reference(frame);
        assert_eq!(got, want, "left the program, right the reference: {frame:02x?}");
    }
}
