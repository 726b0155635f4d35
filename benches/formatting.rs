//! What formatting alone costs: records in memory, bytes out, nothing else.

use std::time::Instant;

use jiff::tz::TimeZone;
use xdplog::bpf::Record;
use xdplog::clock::Wall;
use xdplog::format::{Classic, Format, Json, Pcapng, Text};
use xdplog::sink::BUFFER;

/// Records as a sample holds them: TCP over IPv4 from as many addresses, one a
/// microsecond.
const RECORDS: usize = 1000;

/// ns per record, and bytes.
type Cost = (f64, f64);

/// Each format's cost.
pub fn all(rounds: usize) -> [(&'static str, Cost); 4] {
    let names = ["eth0".to_string()];
    let wall = Wall::now();
    [
        ("xdplog", cost(Classic, rounds)),
        ("xdplog -f text", cost(Text::new(&names, wall, TimeZone::UTC, false), rounds)),
        ("xdplog -f json", cost(Json::new(&names, wall), rounds)),
        ("xdplog -f pcapng", cost(Pcapng::new(1, wall), rounds)),
    ]
}

/// Bytes as `record.h` lays them out.
fn records() -> Vec<u8> {
    let one = |i: u32| {
        let mut bytes = [0u8; 64];
        bytes[..8].copy_from_slice(&(1_000_000_000 + 1000 * u64::from(i)).to_le_bytes());
        bytes[8..12].copy_from_slice(&(0xc0a8_0100 + i).to_be_bytes());
        bytes[24..28].copy_from_slice(&[10, 99, 0, 1]);
        bytes[40..44].copy_from_slice(&[0xd4, 0x31, 1, 0xbb]);
        bytes[44..48].copy_from_slice(&(2u32 << 24 | 60).to_le_bytes());
        bytes[61] = 6;
        bytes[62] = 0x10;
        // Ports and TCP flags were read.
        bytes[63] = 0x24;
        bytes
    };
    (0..RECORDS as u32).flat_map(one).collect()
}

/// By itself, so that no format is compiled together with another.
#[inline(never)]
fn cost<F: Format>(mut format: F, rounds: usize) -> Cost {
    let bytes = records();
    // Aligned by the allocator; all_in answers nothing where it is not.
    let records = Record::all_in(&bytes);
    assert_eq!(records.len(), RECORDS);
    let frame = if F::CAPTURES { &[0x5a; 60][..] } else { &[] };
    // Begun anew where the next one may not fit, as a sink does.
    let mut out = vec![0; BUFFER];
    let (mut written, mut len) = (0, 0);
    let since = Instant::now();
    for _ in 0..rounds {
        for record in records {
            if out.len() - len < F::MAX_LEN + frame.len() {
                std::hint::black_box(&out);
                written += len;
                len = 0;
            }
            len += format.record(record, frame, &mut out[len..]);
        }
    }
    std::hint::black_box(&out);
    let ns = since.elapsed().as_secs_f64() * 1e9 / (rounds * RECORDS) as f64;
    (ns, (written + len) as f64 / (rounds * RECORDS) as f64)
}
