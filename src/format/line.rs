//! A line that is written piece by piece. What it looks like is not known here.

#![forbid(unsafe_code)]

use std::fmt;

use super::address::{WINDOW, address_dot};
use super::number::{HEX, large, small, three};

/// A piece of text less than N bytes long, and its length in the last byte. It is
/// copied whole, however long it is: a copy of a size that the compiler knows is a
/// few instructions, any other a call. What is behind its end is then written over.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<const N: usize>([u8; N]);

impl<const N: usize> Chunk<N> {
    /// The parts one behind the other; what finds no room is left out.
    pub const fn of(parts: &[&[u8]]) -> Chunk<N> {
        let (mut bytes, mut len, mut part) = ([b' '; N], 0, 0);
        while part < parts.len() {
            let text = parts[part];
            let mut i = 0;
            while i < text.len() && len < N - 1 {
                bytes[len] = text[i];
                len += 1;
                i += 1;
            }
            part += 1;
        }
        bytes[N - 1] = len as u8;
        Chunk(bytes)
    }

    /// Its text.
    #[cfg(test)]
    pub fn text(&self) -> &[u8] {
        &self.0[..self.len()]
    }

    #[inline]
    fn len(&self) -> usize {
        const { assert!(N <= 256) };
        usize::from(self.0[N - 1])
    }
}

/// No line is longer than this: a power of two.
pub const ROOM: usize = 512;

/// What a line is written into: behind its end there is room for the largest
/// chunk, 128 bytes.
pub const BUFFER: usize = ROOM + 128;

/// A line that is being written. The end is masked before each use, which changes
/// nothing, as no line is longer than [`ROOM`], and keeps all that is written
/// within a length that the compiler knows: there are no bounds checks.
#[derive(Debug)]
pub struct Line<'a> {
    out: &'a mut [u8; BUFFER],
    at: usize,
}

impl<'a> Line<'a> {
    /// At the start of `out`, which holds [`BUFFER`] bytes at least.
    pub fn new(out: &'a mut [u8]) -> Line<'a> {
        let Some(out) = out.first_chunk_mut() else {
            unreachable!("there is room for what a format says that it needs")
        };
        Line { out, at: 0 }
    }

    /// Where the next N bytes go.
    #[inline]
    fn next<const N: usize>(&mut self) -> &mut [u8; N] {
        const { assert!(N <= BUFFER - ROOM) };
        match self.out[self.at & (ROOM - 1)..].first_chunk_mut() {
            Some(next) => next,
            None => unreachable!("the mask leaves room for the largest chunk"),
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.at
    }

    /// A text that the compiler knows.
    #[inline]
    pub fn put<const N: usize>(&mut self, text: &[u8; N]) {
        *self.next() = *text;
        self.at += N;
    }

    /// Any other text.
    pub fn put_slow(&mut self, text: &[u8]) {
        self.out[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }

    /// Take back the last N bytes, of which there are as many.
    #[inline]
    pub fn back<const N: usize>(&mut self, _: &[u8; N]) {
        self.at -= N;
    }

    /// A text that was prepared.
    #[inline]
    pub fn chunk<const N: usize>(&mut self, chunk: &Chunk<N>) {
        self.next::<N>().copy_from_slice(&chunk.0);
        self.at += chunk.len();
    }

    /// An address, network order; IPv4 in the first four bytes.
    #[inline]
    pub fn address(&mut self, bytes: &[u8; 16], is_ipv6: bool) {
        self.at += address_dot(bytes, is_ipv6, self.next::<WINDOW>()) - 1;
    }

    /// An address, a dot and a port, and behind these up to three bytes.
    #[inline]
    pub fn endpoint<const N: usize>(
        &mut self,
        bytes: &[u8; 16],
        is_ipv6: bool,
        port: u16,
        text: &[u8; N],
    ) {
        let out = self.next::<{ WINDOW + 8 }>();
        let Some(window) = out.first_chunk_mut() else { unreachable!("it is longer") };
        let dot = address_dot(bytes, is_ipv6, window);
        let (word, len) = small(port.into(), text);
        out[dot..dot + 8].copy_from_slice(&word.to_le_bytes());
        self.at += dot + len;
    }

    /// A number in decimal.
    #[inline]
    pub fn number(&mut self, number: u64) {
        self.number_and(number, b"");
    }

    /// A number in decimal, and behind it up to three bytes, which come for free.
    #[inline]
    pub fn number_and<const N: usize>(&mut self, number: u64, text: &[u8; N]) {
        if let Ok(number @ 0..100_000) = u32::try_from(number) {
            let (word, len) = small(number, text);
            self.word(word);
            self.at += len;
        } else {
            // No method of a line, whose end is then always in a register.
            self.at = large(number, self.out, self.at);
            self.put(text);
        }
    }

    /// Eight bytes at once, the lowest first.
    #[inline]
    fn word(&mut self, word: u64) {
        *self.next() = word.to_le_bytes();
    }

    /// Nanoseconds of a millisecond as six digits.
    #[inline]
    pub fn nanoseconds(&mut self, ns: u32) {
        self.six(ns);
    }

    /// A number below a million as six digits.
    #[inline]
    pub fn six(&mut self, number: u32) {
        self.word(three(number / 1000) | three(number % 1000) << 24);
        self.at += 6;
    }

    /// A MAC address: `02:00:00:00:00:0b`.
    pub fn mac(&mut self, bytes: [u8; 6]) {
        for byte in bytes {
            let [high, low] = HEX[usize::from(byte)];
            self.put(&[high, low, b':']);
        }
        self.back(b":");
    }

    /// Nanoseconds of a millisecond as three digits of microseconds.
    #[inline]
    pub fn microseconds(&mut self, ns: u32) {
        self.word(three(ns / 1000));
        self.at += 3;
    }
}

/// For what is rare. Cannot fail.
impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put_slow(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut out = [0; BUFFER];
        let mut line = Line::new(&mut out);
        write(&mut line);
        let len = line.len();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn parts_of_a_millisecond() {
        assert_eq!(written(|line| line.nanoseconds(20_304)), "020304");
        assert_eq!(written(|line| line.nanoseconds(999_999)), "999999");
        assert_eq!(written(|line| line.microseconds(987_654)), "987");
        assert_eq!(written(|line| line.microseconds(1_999)), "001");
    }

    #[test]
    fn endpoints() {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[10, 200, 0, 99]);
        let written = |is_ipv6, port| written(|line| line.endpoint(&bytes, is_ipv6, port, b" > "));
        assert_eq!(written(false, 0), "10.200.0.99.0 > ");
        assert_eq!(written(false, 65535), "10.200.0.99.65535 > ");
        assert_eq!(written(true, 53), "ac8:63::.53 > ");
    }

    #[test]
    fn small_numbers() {
        for number in (0..1100).chain(9990..10_010).chain(99_990..100_010) {
            assert_eq!(written(|line| line.number(number)), number.to_string());
            assert_eq!(written(|line| line.number_and(number, b"abc")), format!("{number}abc"));
        }
    }

    proptest! {
        #[test]
        fn numbers(number: u64, bits in 0u32..64) {
            let number = number >> bits;
            prop_assert_eq!(written(|line| line.number(number)), number.to_string());
        }
    }
}
