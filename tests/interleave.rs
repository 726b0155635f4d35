//! Packets that interleave on one CPU, as with PREEMPT_RT, and packets in the
//! middle of a flush: each is kept once, whole, and in order, or counted. First step
//! by step in every order that there is; then by real preemption where a kernel has
//! it (`tests/kernels`), as the steps are only as fine as they are cut.

mod common;

use std::cell::RefCell;
use std::mem::{offset_of, take};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::bench::Bench;
use common::frames::udp4;
use common::host::{need_root, pin_to_one_cpu};
use common::program;
use libbpf_rs::{MapCore, Object, PerfBuffer, PerfBufferBuilder, ProgramInput, libbpf_sys};
use xdplog::bpf::skel::types::knobs;
use xdplog::bpf::{ASIDE_BYTES, Ahead, FLUSH_AGAIN, FLUSH_GONE, Record, Source};
use xdplog::probe::{Flushed, Probe, Setup, ring};

/// The steps of `interleave.bpf.c`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Enter,
    Keep,
    Leave,
    ClaimAside,
    ReleaseAside,
    Claim,
    Flush,
    Due,
}

/// A packet's own steps, in their order.
const STEPS: [Step; 3] = [Step::Enter, Step::Keep, Step::Leave];

/// Packets in the order in which they came out, by number, each with what was kept
/// of its frame.
type Kept = Vec<(u32, Vec<u8>)>;

/// The program of `interleave.bpf.c`, with a ring of the CPU that it runs on.
struct Steps {
    object: Object,
    ring: PerfBuffer<'static>,
    kept: Rc<RefCell<Kept>>,
    snaplen: usize,
}

impl Steps {
    fn load(realtime: bool, snaplen: usize) -> Steps {
        need_root();
        pin_to_one_cpu();
        let ring_size = 1 << 20;
        let object = program::load("tests/bpf/interleave.bpf.c", |object| {
            let rodata = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".rodata");
            let mut map = object.maps_mut().find(|map| rodata(map.name())).unwrap();
            let bytes = map.initial_value_mut().unwrap();
            let mut set = |at: usize, value: u32| {
                bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            };
            let batch_bytes = ring::batch_bytes(ring_size);
            set(offset_of!(knobs, batch_bytes), batch_bytes);
            set(offset_of!(knobs, part), ring::part(batch_bytes));
            set(offset_of!(knobs, snaplen), snaplen as u32);
            set(offset_of!(knobs, frags), 1);
            set(offset_of!(knobs, realtime), realtime.into());
        });
        let kept = Rc::new(RefCell::new(Kept::new()));
        let (into, mut ahead) = (Rc::clone(&kept), Ahead::default());
        let mut keep = move |record: &Record, bytes: &[u8]| {
            let number = record.source_bytes().first_chunk().unwrap();
            into.borrow_mut().push((u32::from_be_bytes(*number), bytes.to_vec()));
        };
        let ring =
            PerfBufferBuilder::new(&object.maps().find(|map| map.name() == "events").unwrap())
                .pages(ring_size as usize / 4096)
                .sample_cb(move |_, data| match snaplen {
                    0 => Record::all_in(data).iter().for_each(|record| keep(record, &[])),
                    _ => ahead.captures(data, &mut keep),
                })
                .build()
                .unwrap();
        Steps { object, ring, kept, snaplen }
    }

    fn run(&self, program: &str, input: ProgramInput<'_>) -> u32 {
        let mut programs = self.object.progs_mut();
        let program = programs.find(|p| p.name() == program).unwrap();
        program.test_run(input).unwrap().return_value
    }

    /// A step of the packet `number`, which keeps its state in one of a few slots.
    fn step(&self, step: Step, slot: usize, number: u32) -> u32 {
        let mut frame = frame_of(number);
        frame[..2].copy_from_slice(&[slot as u8, step as u8]);
        self.run("step", ProgramInput { data_in: Some(&frame), ..Default::default() })
    }

    /// A packet in one go; whether it was kept.
    fn whole(&self, number: u32) -> bool {
        let [_, kept, _] = STEPS.map(|step| self.step(step, 7, number));
        kept == 1
    }

    /// The real flush.
    fn flush(&self) -> u32 {
        self.run("xdplog_flush", ProgramInput::default())
    }

    /// What came out since the last time, in order; each with the bytes of its
    /// frame that it is to have.
    fn kept(&self) -> Vec<u32> {
        self.ring.consume().unwrap();
        let kept = take(&mut *self.kept.borrow_mut());
        for (number, bytes) in &kept {
            let frame = frame_of(*number);
            let want = &frame[..frame.len().min(self.snaplen)];
            assert_eq!(bytes.len(), want.len(), "{number}");
            // The first two were another step's.
            assert_eq!(bytes.get(2..), want.get(2..), "{number}");
        }
        kept.into_iter().map(|(number, _)| number).collect()
    }

    /// The same, of all that waits, too.
    fn all(&self) -> Vec<u32> {
        assert_eq!(self.flush(), 0, "the flush finds nobody at work, and leaves nothing");
        self.kept()
    }
}

/// Frames of different lengths, none alike.
fn frame_of(number: u32) -> Vec<u8> {
    let len = 60 + number as usize % 5 * 33;
    let mut frame: Vec<u8> = (0..len).map(|at| (at as u32 ^ number) as u8).collect();
    frame[2..6].copy_from_slice(&number.to_be_bytes());
    frame
}

/// All orders in which packets that have so many steps left each can make them.
fn orders(left: &mut [usize], so_far: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
    if left.iter().all(|&left| left == 0) {
        return each(so_far);
    }
    for packet in 0..left.len() {
        if left[packet] > 0 {
            left[packet] -= 1;
            so_far.push(packet);
            orders(left, so_far, each);
            so_far.pop();
            left[packet] += 1;
        }
    }
}

/// Two and three packets in every order of their steps: all are kept, and one that
/// was done before another began comes before it.
#[test]
fn packets_in_every_order_of_their_steps() {
    for (packets, snaplen, runs) in [(2, 0, 20), (2, 100, 20), (3, 0, 1680), (3, 100, 1680)] {
        let steps = Steps::load(true, snaplen);
        let (mut made, mut next) = (0, 1);
        // A batch that is due goes out with each packet, another one with a flush.
        for due in [false, true] {
            orders(&mut vec![STEPS.len(); packets], &mut Vec::new(), &mut |order| {
                let number = |packet: usize| next + packet as u32;
                let mut done = vec![0; packets];
                // Those that were done when it began.
                let mut before = vec![Vec::new(); packets];
                for &packet in order {
                    let step = STEPS[done[packet]];
                    if step == Step::Enter {
                        before[packet] = (0..packets).filter(|&p| done[p] == STEPS.len()).collect();
                        if due {
                            steps.step(Step::Due, packet, 0);
                        }
                    }
                    let answer = steps.step(step, packet, number(packet));
                    assert!(step != Step::Keep || answer == 1, "{order:?}: one is not kept");
                    done[packet] += 1;
                }
                let all = steps.all();
                let at = |packet: usize| all.iter().position(|&n| n == number(packet));
                for (packet, before) in before.iter().enumerate() {
                    assert!(at(packet).is_some(), "{order:?}: {packet} is not in {all:?}");
                    for &earlier in before {
                        assert!(at(earlier) < at(packet), "{order:?}: {all:?} from {next}");
                    }
                }
                assert_eq!(all.len(), packets, "{order:?}: {all:?}");
                next += packets as u32;
                made += 1;
            });
        }
        assert_eq!(made, 2 * runs);
    }
}

/// The last one that leaves emits what was put aside, if that is due: nothing is
/// left to a flush that nobody knows to be needed.
#[test]
fn what_was_put_aside_is_not_left_behind() {
    let steps = Steps::load(true, 0);
    orders(&mut [STEPS.len(); 2], &mut Vec::new(), &mut |order| {
        let mut done = [0; 2];
        // A flush has found nothing.
        assert_eq!(steps.flush(), 0);
        for &packet in order {
            steps.step(STEPS[done[packet]], packet, packet as u32);
            done[packet] += 1;
        }
        let mut kept = steps.kept();
        let by_flush = steps.all();
        // One that had not yet told of itself when the other emitted may wait for
        // the flush that this one's sample brings.
        assert!(!kept.is_empty(), "{order:?}: {by_flush:?} waits");
        kept.extend(by_flush);
        kept.sort_unstable();
        assert_eq!(kept, [0, 1], "{order:?}");
    });
}

/// Where another packet is at work aside, too, one finds no place: it is counted.
#[test]
fn one_without_a_place_is_told() {
    let steps = Steps::load(true, 100);
    assert_eq!(steps.step(Step::Enter, 0, 1), 1, "the claim");
    assert_eq!(steps.step(Step::ClaimAside, 0, 0), 1);
    assert!(!steps.whole(2), "no place");
    // What is put aside by whoever is at work there is not lost by those that leave.
    assert_eq!(steps.step(Step::Keep, 0, 1), 1);
    steps.step(Step::Leave, 0, 1);
    assert_eq!(steps.flush(), FLUSH_AGAIN, "one is at work");
    steps.step(Step::ReleaseAside, 0, 0);
    assert!(steps.whole(3));
    assert_eq!(steps.all(), [1, 3]);
}

/// Packets in the middle of a flush, which has found something or nothing: they
/// come out behind what was there, and before what comes later. As many as have
/// room; each that has none is told.
#[test]
fn packets_in_the_middle_of_a_flush() {
    for (realtime, snaplen) in [(false, 0), (false, 150), (true, 0), (true, 150)] {
        let steps = Steps::load(realtime, snaplen);
        for before in [0, 1, 100] {
            for between in [0, 1, 5, 100, 1000] {
                let mut kept: Vec<u32> = (1..=before).filter(|&n| steps.whole(n)).collect();
                assert_eq!(kept.len() as u32, before);
                assert_eq!(steps.step(Step::Claim, 0, 0), 1);
                assert_eq!(steps.flush(), FLUSH_AGAIN, "another flush leaves it alone");
                let nested: Vec<u32> =
                    (before + 1..=before + between).filter(|&n| steps.whole(n)).collect();
                // Not one is kept any more once there is no room.
                if snaplen == 0 {
                    assert_eq!(nested.len(), (between as usize).min(ASIDE_BYTES / 64));
                }
                assert!(nested.len() as u32 >= between.min(100));
                kept.extend(nested);
                assert_eq!(steps.step(Step::Flush, 0, 0), 0, "all went out");
                let after = before + between + 1;
                assert!(steps.whole(after));
                kept.push(after);
                assert_eq!(steps.all(), kept, "{realtime} {before} {between}");
            }
        }
    }
}

/// What could not be emitted after a flush goes out with the next packet, before
/// that one.
#[test]
fn what_waits_aside_comes_before_the_next() {
    for realtime in [false, true] {
        let steps = Steps::load(realtime, 0);
        assert!(steps.whole(1));
        assert_eq!(steps.step(Step::Claim, 0, 0), 1);
        assert!(steps.whole(2));
        // The next one comes in between.
        assert_eq!(steps.step(Step::ClaimAside, 0, 0), 1);
        assert_eq!(steps.step(Step::Flush, 0, 0), FLUSH_AGAIN, "something waits");
        steps.step(Step::ReleaseAside, 0, 0);
        assert!(steps.whole(3) && steps.whole(4));
        assert_eq!(steps.all(), [1, 2, 3, 4]);
    }
}

/// A batch whose CPU has no ring is told to whoever flushes it, and counted where
/// user space looks; it keeps what it has.
#[test]
fn a_cpu_without_a_ring() {
    let Steps { object, ring, kept: _, snaplen: _ } = Steps::load(false, 0);
    // Which takes the map's entries along.
    drop(ring);
    let map = |name: &str| object.maps().find(|map| map.name() == name).unwrap();
    let ringless = || {
        let value = map("ringless").lookup(&[0; 4], libbpf_rs::MapFlags::ANY).unwrap().unwrap();
        u64::from_ne_bytes(value.try_into().unwrap())
    };
    let run = |name: &str, frame: &[u8]| {
        let program = object.progs_mut().find(|p| p.name() == name).unwrap();
        let data_in = (!frame.is_empty()).then_some(frame);
        program.test_run(ProgramInput { data_in, ..Default::default() }).unwrap().return_value
    };
    assert_eq!(run("xdplog_flush", &[]), 0, "nothing waits");
    assert_eq!(ringless(), 0);
    for step in STEPS {
        let mut frame = frame_of(1);
        frame[..2].copy_from_slice(&[0, step as u8]);
        run("step", &frame);
    }
    assert_eq!(ringless(), 1, "it was due");
    assert_eq!(run("xdplog_flush", &[]), FLUSH_GONE);
    assert_eq!(ringless(), 2);
}

/// Threads that the scheduler preempts in the middle of a packet, where the kernel is
/// one that lets it.
const THREADS: u8 = 4;
const PACKETS: u32 = 400_000;

/// Run a program on `frame` so often, on the CPU of this thread.
fn run_often(program: i32, frame: &[u8], times: u32) {
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
        data_in: frame.as_ptr().cast(),
        data_size_in: frame.len() as u32,
        repeat: times as i32,
        ..Default::default()
    };
    // SAFETY: the frame outlives the call, and is as long as told.
    let err = unsafe { libbpf_sys::bpf_prog_test_run_opts(program, &raw mut opts) };
    assert_eq!(err, 0, "{}", std::io::Error::from_raw_os_error(-err));
}

/// The real program, in several threads of one CPU, while another flushes: each
/// packet has one fate, and those of a thread are in order.
#[test]
fn threads_of_one_cpu() {
    for snaplen in [0, 60] {
        need_root();
        let setup = Setup { realtime: true, snaplen, ..Bench::setup() };
        let probe = Probe::load(&setup).unwrap();
        let mut rings = probe.open_rings(setup.ring_size as usize / 4096).unwrap();
        let (batches, counters) = (probe.batches().unwrap(), probe.counters().unwrap());
        let mut overflow = probe.overflow().unwrap();
        let program = probe.program().as_fd().as_raw_fd();
        let frames: Vec<Vec<u8>> =
            (0..THREADS).map(|n| udp4(Ipv4Addr::new(11, 0, 0, n), 18)).collect();
        let mut got = [0; THREADS as usize];
        let mut last = [0; THREADS as usize];
        let running = AtomicUsize::new(THREADS.into());
        thread::scope(|scope| {
            for frame in &frames {
                let running = &running;
                scope.spawn(move || {
                    pin_to_one_cpu();
                    for _ in 0..PACKETS / 1000 {
                        run_often(program, frame, 1000);
                    }
                    running.fetch_sub(1, Ordering::Release);
                });
            }
            let mut ahead = Ahead::default();
            let mut take = |record: &Record, bytes: &[u8]| {
                let n = usize::from(record.source_bytes()[3]);
                assert!(record.ts_ns() > last[n], "{n}: in order");
                assert_eq!(bytes, &frames[n][..snaplen as usize], "{n}");
                last[n] = record.ts_ns();
                got[n] += 1u64;
            };
            loop {
                let are_running = running.load(Ordering::Acquire) > 0;
                let flushed = batches.flush(0);
                rings
                    .iter_mut()
                    .find(|ring| ring.cpu == 0)
                    .unwrap()
                    .samples
                    .read(|data| match snaplen {
                        0 => Record::all_in(data).iter().for_each(|record| take(record, &[])),
                        _ => ahead.captures(data, &mut take),
                    })
                    .unwrap();
                if flushed == Flushed::Done && !are_running {
                    break;
                }
            }
        });
        // What the last flush emitted was read after it.
        let count = counters.read().unwrap()[0];
        let sent = u64::from(THREADS) * u64::from(PACKETS);
        assert_eq!((count.seen, count.verdicts[2]), (sent, sent));
        assert_eq!(count.bytes, sent * frames[0].len() as u64);
        assert_eq!(count.recorded, got.iter().sum::<u64>());
        assert_eq!(count.overflowed, sent - count.recorded);
        let mut summaries = Vec::new();
        overflow.drain(&mut summaries).unwrap();
        for summary in summaries {
            let Source::Ip(IpAddr::V4(source)) = summary.source else { panic!("{summary:?}") };
            got[usize::from(source.octets()[3])] += summary.count;
        }
        assert_eq!(got, [u64::from(PACKETS); THREADS as usize]);
    }
}
