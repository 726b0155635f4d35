//! The generated skeleton, and the Rust mirror of `record.h`. Nothing here
//! decides.

mod batch;
mod link;
mod record;

use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plain::Plain;

pub use self::batch::{Ahead, Waiting};
pub use self::link::{Broken, Carried, Link, LinkType, Llc};

/// What libbpf-cargo generated from `xdplog.bpf.c`.
#[allow(clippy::all, clippy::pedantic, missing_docs, unsafe_code, unused)]
#[rustfmt::skip]
pub mod skel {
    include!(concat!(env!("OUT_DIR"), "/xdplog.skel.rs"));
}

/// Interfaces that one run can watch.
pub const MAX_IFACES: usize = 64;
/// Bytes in one batch at most.
pub const BATCH_BYTES: usize = 65472;
/// Bytes that can wait aside of a batch.
pub const ASIDE_BYTES: usize = 32_768;
/// Bytes of one frame that are captured in one batch at most.
pub const CAPTURE_MAX: usize = BATCH_BYTES - size_of::<Capture>();
/// Samples that the rest of a frame comes in at most.
pub const AHEAD_MAX: usize = 4;
/// Bytes are read from no offset beyond this (`bpf_xdp_pointer()` of the kernel's
/// `net/core/filter.c`).
pub const OFFSET_MAX: usize = 0xffff;
/// A batch older than this many ns goes out with the next packet.
pub const BATCH_AGE_NS: u64 = 1_000_000;
/// What the flush program answers: something waits on, try again.
pub const FLUSH_AGAIN: u32 = 1;
/// Something waits, and its CPU has no ring that it could go to.
pub const FLUSH_GONE: u32 = 2;
/// Bit of `knobs.families` for IPv4.
pub const FAMILY_IPV4: u32 = 1;
/// Bit of `knobs.families` for IPv6.
pub const FAMILY_IPV6: u32 = 2;

/// Bit of `knobs.not_ip`: record frames of other kinds than IP.
pub const NOT_IP_OTHER: u32 = 1;
/// Bit of `knobs.not_ip`: record IP without a usable header.
pub const NOT_IP_BROKEN: u32 = 2;

const VLAN_PRESENT: u16 = 0x1000;
const VLAN_ID: u16 = 0x0fff;
const REC_IPV6: u8 = 0x01;
const REC_FRAGMENT: u8 = 0x02;
const REC_L4: u8 = 0x04;
const REC_TRUNCATED: u8 = 0x08;
const REC_AHEAD: u8 = 0x10;
const REC_TCP_FLAGS: u8 = 0x20;
const REC_NOT_IP: u8 = 0x40;
const REC_LEN_MASK: u32 = 0x00ff_ffff;
const REC_VERDICT_SHIFT: u32 = 24;

const IPPROTO_ICMP: u8 = 1;
const IPPROTO_ICMPV6: u8 = 58;

/// One packet: `struct record` of `record.h`, as the kernel wrote it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    ts_lo: u32,
    ts_hi: u32,
    saddr: [u8; 16],
    daddr: [u8; 16],
    l4: [u8; 4],
    verdict_len: u32,
    rule: u32,
    vlan: [u16; 3],
    rxq: u16,
    iface: u8,
    proto: u8,
    tcp_flags: u8,
    flags: u8,
}

/// One CPU's counters of one interface: `struct counters`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that reached the program.
    pub seen: u64,
    /// Frames that are not IP, or without a usable header of it, and not recorded.
    pub not_ip: u64,
    /// IP packets of a family that was not asked for.
    pub unselected: u64,
    /// Packets left out by `--sample` and `--rate-limit`.
    pub sampled_out: u64,
    /// Packets that found no room, and were counted by source.
    pub overflowed: u64,
    /// Packets recorded for user space.
    pub recorded: u64,
    /// Bytes of all frames.
    pub bytes: u64,
    /// Frames by verdict, those of `enum xdp_action` first.
    pub verdicts: [u64; VERDICTS],
}

/// What packets that find no room are counted by: `struct overflow_key`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct OverflowKey {
    addr: [u8; 16],
    iface: u8,
    verdict: u8,
    flags: u8,
    zero: u8,
}

/// Verdicts told apart in counts.
pub const VERDICTS: usize = 8;

/// Whom packets that found no room came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This address.
    Ip(IpAddr),
    /// This MAC address; they are not IP.
    Mac([u8; 6]),
    /// Nobody that would be told: no IP, on a link without MAC addresses.
    Nobody,
    /// All sources that the table had no room for.
    Others,
}

/// Packets of one source, verdict and interface that found no room, within some
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Who sent them.
    pub source: Source,
    /// XDP's verdict.
    pub verdict: u8,
    /// The interface's slot, below [`MAX_IFACES`].
    pub slot: usize,
    /// How many there were.
    pub count: u64,
    /// They came after this time: `CLOCK_MONOTONIC`, ns.
    pub since_ns: u64,
    /// And until this one.
    pub until_ns: u64,
}

/// `struct batch` without its records, which follow it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchHead {
    /// Bytes that wait in the batch.
    pub used: u32,
    /// A program is at work on the batch.
    pub busy: u32,
    /// A packet at or after this time (`CLOCK_MONOTONIC`, ns) emits it.
    pub due_ns: u64,
    /// Why nothing could be emitted the last time, if so.
    pub blocked: u32,
    /// Bytes that wait behind those of the batch.
    pub aside_used: u32,
    /// A program is at work there.
    pub aside_busy: u32,
    zero: u32,
    /// What `--sample` counts by.
    pub sampling: u64,
    reserved: [u64; 3],
}

/// What precedes the bytes of a captured frame: `struct capture`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Capture {
    rec: Record,
    cap_len: u32,
    ahead: u32,
}

// SAFETY: repr(C), integers only, no padding (the sizes below leave room for
// none), so every bit pattern is a value.
#[allow(unsafe_code)]
unsafe impl Plain for Record {}
// SAFETY: as for Record.
#[allow(unsafe_code)]
unsafe impl Plain for Counters {}
// SAFETY: as for Record.
#[allow(unsafe_code)]
unsafe impl Plain for BatchHead {}
// SAFETY: as for Record.
#[allow(unsafe_code)]
unsafe impl Plain for OverflowKey {}
// SAFETY: as for Record, whose alignment it has.
#[allow(unsafe_code)]
unsafe impl Plain for Capture {}

/// Stop the build if a field is not where `record.h` has it. The generated
/// skeleton holds the C compiler's own layout, so a constant and a C type
/// cannot drift apart unseen either.
macro_rules! same_layout {
    ($rust:ty, $c:ty, $size:literal, $($field:ident $at:literal)+) => {
        const _: () = {
            assert!(size_of::<$rust>() == $size && size_of::<$c>() >= $size);
            $(assert!(offset_of!($rust, $field) == $at && offset_of!($c, $field) == $at);)+
        };
    };
}

same_layout!(Record, skel::types::record, 64,
    ts_lo 0 ts_hi 4 saddr 8 daddr 24 l4 40 verdict_len 44 rule 48 vlan 52
    rxq 58 iface 60 proto 61 tcp_flags 62 flags 63);
same_layout!(Capture, skel::types::capture, 72, rec 0 cap_len 64 ahead 68);
same_layout!(Counters, skel::types::counters, 120,
    seen 0 not_ip 8 unselected 16 sampled_out 24 overflowed 32 recorded 40 bytes 48
    verdicts 56);
same_layout!(OverflowKey, skel::types::overflow_key, 20,
    addr 0 iface 16 verdict 17 flags 18 zero 19);
same_layout!(BatchHead, skel::types::batch, 64,
    used 0 busy 4 due_ns 8 blocked 16 aside_used 20 aside_busy 24 zero 28 sampling 32
    reserved 40);
const _: () = {
    assert!(align_of::<Record>() <= 4);
    assert!(align_of::<Capture>() <= 4);
    assert!(offset_of!(skel::types::batch, data) == size_of::<BatchHead>());
    assert!(offset_of!(skel::types::batch, aside) == size_of::<BatchHead>() + BATCH_BYTES);
    assert!(size_of::<skel::types::batch>() == 64 + 2 * BATCH_BYTES + 256);
    assert!(size_of::<skel::types::knobs>() == 44);
};

/// The address that these flags say the bytes hold.
fn address(bytes: &[u8; 16], flags: u8) -> IpAddr {
    match bytes {
        _ if flags & REC_IPV6 != 0 => Ipv6Addr::from(*bytes).into(),
        &[a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d).into(),
    }
}

impl Summary {
    /// An entry of the table of sources, counted in the time from `since_ns` to
    /// `until_ns`; `None` if it is none.
    pub fn from_entry(key: &[u8], count: &[u8], since_ns: u64, until_ns: u64) -> Option<Summary> {
        let mut k = OverflowKey::default();
        plain::copy_from_bytes(&mut k, key).ok()?;
        Some(Summary {
            source: k.source(),
            verdict: k.verdict,
            slot: usize::from(k.iface).min(MAX_IFACES - 1),
            count: u64::from_ne_bytes(count.try_into().ok()?),
            since_ns,
            until_ns,
        })
    }
}

impl OverflowKey {
    fn source(&self) -> Source {
        match self.addr {
            _ if self.flags & REC_NOT_IP == 0 => Source::Ip(address(&self.addr, self.flags)),
            [.., 0, _, _, _, _, _, _, _, _, _] => Source::Nobody,
            [a, b, c, d, e, f, ..] => Source::Mac([a, b, c, d, e, f]),
        }
    }
}

impl Counters {
    /// One CPU's counters as read from the map; `None` if they are none.
    pub fn from_bytes(value: &[u8]) -> Option<Counters> {
        let mut counters = Counters::default();
        plain::copy_from_bytes(&mut counters, value).ok()?;
        Some(counters)
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.not_ip += other.not_ip;
        self.unselected += other.unselected;
        self.sampled_out += other.sampled_out;
        self.overflowed += other.overflowed;
        self.recorded += other.recorded;
        self.bytes += other.bytes;
        for (all, more) in self.verdicts.iter_mut().zip(other.verdicts) {
            *all += more;
        }
    }
}
