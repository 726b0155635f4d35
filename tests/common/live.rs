//! Traffic at full speed: BPF_PROG_TEST_RUN sends live frames through a program
//! that redirects them into a veth end.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::{Object, libbpf_sys};
use nix::net::if_::if_nametoindex;

use super::net::{Net, transmitted};
use super::program;

/// Frames that a veth has room for (`VETH_RING_SIZE` of drivers/net/veth.c).
const VETH_ROOM: u32 = 256;

/// Frames that are sent at once at most by those who wait for them to arrive.
const LONGEST_BURST: u32 = 16_384;

/// Send `frame` into `thereN` until it arrived `count` times at `hereN`, which has
/// to have an XDP program: see [`Sender::send_all`].
pub fn flood(net: &Net, n: u32, frame: &[u8], count: u32) {
    net.there(|| Sender::new(n, 0).send_all(frame, count));
}

/// The same with UDP over IPv4 from `sources` addresses in turn, 11.0.0.0 on.
pub fn flood_sources(net: &Net, n: u32, sources: u32, count: u32) {
    let frame = super::frames::udp4([11, 0, 0, 0].into(), 18);
    net.there(|| Sender::new(n, sources).send_all(&frame, count));
}

/// Sends live frames; to be made and used in the namespace "there".
pub struct Sender {
    program: Object,
    into: String,
}

impl Sender {
    /// Into `thereN`. IPv4 frames get one of `sources` addresses each, in turn,
    /// 11.0.0.0 and on; with 0 they keep their own.
    pub fn new(n: u32, sources: u32) -> Sender {
        Sender::from(n, [11, 0, 0, 0].into(), sources)
    }

    /// The same with other addresses than those.
    pub fn from(n: u32, first: Ipv4Addr, sources: u32) -> Sender {
        let into = format!("there{n}");
        let ifindex = if_nametoindex(&*into).unwrap();
        let program = program::load("tests/bpf/traffic.bpf.c", |object| {
            let mut rodata = object
                .maps_mut()
                .find(|map| map.name().to_string_lossy().ends_with(".rodata"))
                .expect("the program has knobs");
            let knobs = [ifindex, sources, first.to_bits()].map(u32::to_ne_bytes).concat();
            rodata.initial_value_mut().unwrap()[..12].copy_from_slice(&knobs);
        });
        Sender { program, into }
    }

    /// As fast as it goes, until so many arrived, or none does any more. A veth
    /// drops what of a burst it has no room for where the CPU that empties it is
    /// late, as one is that is busy or emulated: then more are sent, in bursts that
    /// get smaller. To be the only one who sends into this veth.
    pub fn send_all(&self, frame: &[u8], count: u32) {
        let before = transmitted(&self.into);
        let so_far = || (transmitted(&self.into) - before) as u32;
        let (mut arrived, mut burst, mut in_vain) = (0, LONGEST_BURST, 0);
        while arrived < count && in_vain < 100 {
            let sent = burst.min(count - arrived);
            self.send(frame, sent);
            if so_far() < arrived + sent {
                // For the CPU to empty it.
                thread::sleep(Duration::from_millis(1));
            }
            let now = so_far();
            burst = if now < arrived + sent { burst / 2 } else { burst * 2 };
            burst = burst.clamp(VETH_ROOM, LONGEST_BURST);
            in_vain = if now == arrived { in_vain + 1 } else { 0 };
            arrived = now;
        }
    }

    /// As fast as it goes, whether they arrive or not.
    pub fn send(&self, frame: &[u8], count: u32) {
        let program = self.program.progs().next().unwrap();
        let mut opts = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
            data_in: frame.as_ptr().cast(),
            data_size_in: frame.len() as u32,
            repeat: count as i32,
            flags: libbpf_sys::BPF_F_TEST_XDP_LIVE_FRAMES,
            ..Default::default()
        };
        // SAFETY: the frame outlives the call, and is as long as told.
        let err = unsafe {
            libbpf_sys::bpf_prog_test_run_opts(program.as_fd().as_raw_fd(), &raw mut opts)
        };
        assert_eq!(err, 0, "send live frames: {}", std::io::Error::from_raw_os_error(-err));
    }

    /// At `rate` packets a second for `time`, in portions of a millisecond's.
    pub fn send_paced(&self, frame: &[u8], rate: f64, time: Duration) {
        let start = Instant::now();
        let mut sent = 0u64;
        while start.elapsed() < time {
            let due = (start.elapsed().as_secs_f64() * rate) as u64 + 1;
            if due > sent {
                self.send(frame, (due - sent) as u32);
                sent = due;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}
