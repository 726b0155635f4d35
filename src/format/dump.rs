//! Bytes of a frame as hex and as ASCII, 16 a line, as tcpdump prints them below its
//! line about a packet.

#![forbid(unsafe_code)]

use super::number::HEX;

/// What is shown of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// As ASCII, too (`-X`, not `-x`).
    pub ascii: bool,
    /// From the link's header on (`-xx`, `-XX`), not from behind it.
    pub link: bool,
    /// No more than this many bytes, counted from the frame's first.
    pub snaplen: u32,
}

const PER_LINE: usize = 16;
/// Offsets have four digits at least, and more from 64 KiB on.
const BEFORE: usize = "\t0x0000:  ".len() + 4;
const HEX_WIDTH: usize = "4500 001f 0000 4000 4011 0000 0a01 0203".len();
const LINE: usize = BEFORE + HEX_WIDTH + 2 + PER_LINE + 1;

/// Bytes that a dump of so many takes at most.
pub const fn room(bytes: usize) -> usize {
    (bytes / PER_LINE + 1) * LINE
}

/// Write `bytes` to the start of `out`, which holds [`room`] for them; the number of
/// bytes written.
pub fn put(bytes: &[u8], ascii: bool, out: &mut [u8]) -> usize {
    let mut at = 0;
    for (index, bytes) in bytes.chunks(PER_LINE).enumerate() {
        at += line(index * PER_LINE, bytes, ascii, &mut out[at..at + LINE]);
    }
    at
}

/// One line; the number of bytes written.
fn line(offset: usize, bytes: &[u8], ascii: bool, out: &mut [u8]) -> usize {
    let mut at = 0;
    let mut put = |text: &[u8]| {
        out[at..at + text.len()].copy_from_slice(text);
        at += text.len();
    };
    put(b"\t0x");
    // Its lowest 8 digits, of which at least 4 are shown.
    let digits: [[u8; 2]; 4] = (offset as u32).to_be_bytes().map(|byte| HEX[usize::from(byte)]);
    let digits = digits.as_flattened();
    let zeros = digits.iter().take(4).take_while(|&&digit| digit == b'0').count();
    put(&digits[zeros..]);
    put(b": ");
    for (index, &byte) in bytes.iter().enumerate() {
        if index % 2 == 0 {
            put(b" ");
        }
        put(&HEX[usize::from(byte)]);
    }
    if ascii {
        let width = 1 + bytes.len() * 2 + bytes.len().div_ceil(2) - 1;
        put(&[b' '; HEX_WIDTH + 3][..HEX_WIDTH + 3 - width]);
        for &byte in bytes {
            put(&[if byte.is_ascii_graphic() { byte } else { b'.' }]);
        }
    }
    put(b"\n");
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(bytes: &[u8], ascii: bool) -> String {
        let mut out = vec![0; room(bytes.len())];
        let len = put(bytes, ascii, &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    /// Lines that tcpdump 4.99 printed.
    #[test]
    fn as_tcpdump_prints_them() {
        let mut bytes = b"E\x00\x00\x1f\x00\x00@\x00@\x11\x00\x00\n\x01\x02\x03\nc abc".to_vec();
        let hex = "\t0x0000:  4500 001f 0000 4000 4011 0000 0a01 0203";
        assert_eq!(dump(&bytes, false), format!("{hex}\n\t0x0010:  0a63 2061 6263\n"));
        let both = format!(
            "{hex}  E.....@.@.......\n\
             \t0x0010:  0a63 2061 6263                           .c.abc\n"
        );
        assert_eq!(dump(&bytes, true), both);
        bytes.pop();
        let odd = "\t0x0010:  0a63 2061 62                             .c.ab\n";
        assert_eq!(dump(&bytes, true).lines().last(), odd.lines().last());
        assert!(dump(&bytes, false).ends_with(":  0a63 2061 62\n"));
        assert_eq!(dump(&[], true), "");
    }

    #[test]
    fn any_length_has_room_and_offsets_grow() {
        for len in (0..200).chain([65_535, 65_536, 130_800, 1 << 20]) {
            let bytes = vec![b'~'; len];
            let text = dump(&bytes, true);
            assert_eq!(text.lines().count(), len.div_ceil(16));
            if len == 130_800 {
                assert!(text.ends_with(
                    "\t0x1fee0:  7e7e 7e7e 7e7e 7e7e 7e7e 7e7e 7e7e 7e7e  ~~~~~~~~~~~~~~~~\n"
                ));
            }
        }
    }
}
