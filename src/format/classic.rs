//! The line that xdplog began with: `LOG: SRC 192.168.1.205, ACTION 2`.

use std::io::Write as _;

use super::Format;
use super::address::{MAX_IPV6, WINDOW, address_dot, octet};
use super::link::Mac;
use crate::bpf::{Record, Source, Summary};

/// Source address and numeric verdict, one line a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Classic;

const PREFIX: &[u8; 9] = b"LOG: SRC ";
const ACTION: &[u8; 9] = b", ACTION ";

impl Format for Classic {
    const MAX_LEN: usize = PREFIX.len() + WINDOW + ACTION.len() + 2 * "255\n".len();

    #[inline]
    fn record(&mut self, record: &Record, _: &[u8], out: &mut [u8]) -> usize {
        // One bounds check for the line: what follows is within a length that the
        // compiler knows.
        let Some(out) = out.first_chunk_mut::<{ Self::MAX_LEN }>() else {
            return 0;
        };
        let (prefix, rest) = out.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        let Some(window) = rest.first_chunk_mut() else { return 0 };
        // Over the dot behind it.
        let mut at = address_dot(record.source_bytes(), record.is_ipv6(), window) - 1;
        rest[at..at + ACTION.len()].copy_from_slice(ACTION);
        at = octet(record.verdict(), rest, at + ACTION.len());
        // The dot behind the last octet is where the line ends.
        rest[at - 1] = b'\n';
        PREFIX.len() + at
    }

    const MAX_SUMMARY_LEN: usize =
        PREFIX.len() + MAX_IPV6 + ACTION.len() + "255, COUNT 18446744073709551615\n".len();

    fn summary(&mut self, summary: &Summary, out: &mut [u8]) -> usize {
        let &Summary { source, verdict, count, .. } = summary;
        let room = out.len();
        let mut rest = out;
        // A few lines a second at most: the standard library is fast enough.
        let written = match source {
            Source::Ip(addr) => writeln!(rest, "LOG: SRC {addr}, ACTION {verdict}, COUNT {count}"),
            // Of pcapng, which uses these lines.
            Source::Mac(mac) => {
                writeln!(rest, "LOG: SRC {}, ACTION {verdict}, COUNT {count}", Mac(mac))
            }
            Source::Nobody => writeln!(rest, "LOG: SRC none, ACTION {verdict}, COUNT {count}"),
            Source::Others => writeln!(rest, "LOG: SRC other, ACTION {verdict}, COUNT {count}"),
        };
        // It fits, by the length above.
        written.map_or(0, |()| room - rest.len())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn line(record: &Record) -> String {
        let mut out = [0; Classic::MAX_LEN];
        let len = Classic.record(record, &[], &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    fn check(addr: IpAddr, verdict: u8) {
        let record = Record::for_test(addr, verdict);
        assert_eq!(line(&record), format!("LOG: SRC {addr}, ACTION {verdict}\n"));
    }

    #[test]
    fn the_line() {
        let record = Record::for_test("192.168.1.205".parse().unwrap(), 2);
        assert_eq!(line(&record), "LOG: SRC 192.168.1.205, ACTION 2\n");
    }

    #[test]
    fn summaries() {
        let line = |source: Option<&str>, count| {
            let source = source.map_or(Source::Others, |addr| Source::Ip(addr.parse().unwrap()));
            let summary = Summary { source, verdict: 2, slot: 0, count, since_ns: 1, until_ns: 2 };
            let mut out = [0; Classic::MAX_SUMMARY_LEN];
            let len = Classic.summary(&summary, &mut out);
            String::from_utf8(out[..len].to_vec()).unwrap()
        };
        assert_eq!(line(Some("10.0.0.7"), 48213), "LOG: SRC 10.0.0.7, ACTION 2, COUNT 48213\n");
        assert_eq!(line(None, 1), "LOG: SRC other, ACTION 2, COUNT 1\n");
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert!(line(Some(longest), u64::MAX).ends_with(", COUNT 18446744073709551615\n"));
    }

    #[test]
    fn the_longest_lines_fit() {
        check("255.255.255.255".parse().unwrap(), 255);
        check(Ipv6Addr::from_bits(u128::MAX).into(), 255);
        check("::ffff:255.255.255.255".parse().unwrap(), 255);
    }

    #[test]
    fn addresses_of_every_shape() {
        for addr in [
            "::",
            "::1",
            "1::",
            "fe80::1",
            "2001:db8::1:0:0:1",
            "2001:0:0:1::1",
            "1:0:2:3:4:5:6:7",
            "::2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "0.0.0.0",
            "10.0.0.1",
            "100.99.9.10",
        ] {
            check(addr.parse().unwrap(), 2);
        }
    }

    proptest! {
        #[test]
        fn ipv4_as_the_standard_library_has_it(addr: std::net::Ipv4Addr, verdict: u8) {
            check(addr.into(), verdict);
        }

        // Groups that are zero more often than not, so that runs come up.
        #[test]
        fn ipv6_as_the_standard_library_has_it(
            groups in prop::array::uniform8(prop_oneof![Just(0u16), Just(0u16), any::<u16>()]),
            verdict: u8,
        ) {
            check(Ipv6Addr::from(groups).into(), verdict);
        }
    }
}
