//! Writing pieces of a line into a buffer, fast: addresses, numbers, times.
//! What a line looks like is not known here.

#![forbid(unsafe_code)]

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest IPv6 address in RFC 5952's form.
pub const MAX_IPV6: usize = 39;

/// Every octet in decimal, followed by a dot, and its length with the dot. A
/// fixed copy of four bytes is faster than one of the exact length.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([b'.'; 4], 0); 256];
    let mut i = 0;
    while i < 256 {
        let (hundreds, tens, ones) = ((i / 100) as u8, (i / 10 % 10) as u8, (i % 10) as u8);
        table[i] = if i >= 100 {
            ([b'0' + hundreds, b'0' + tens, b'0' + ones, b'.'], 4)
        } else if i >= 10 {
            ([b'0' + tens, b'0' + ones, b'.', b'.'], 3)
        } else {
            ([b'0' + ones, b'.', b'.', b'.'], 2)
        };
        i += 1;
    }
    table
};

/// 00 to 99.
static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// Write an octet and a dot at `at`; where the next byte goes.
#[inline]
pub fn octet(value: u8, out: &mut [u8], at: usize) -> usize {
    let (text, len) = &OCTETS[usize::from(value)];
    out[at..at + 4].copy_from_slice(text);
    at + usize::from(*len)
}

/// Write the first four bytes as an IPv4 address at `at`. Four bytes beyond its
/// longest form have to be there.
#[inline]
pub fn ipv4(addr: &[u8; 16], out: &mut [u8], mut at: usize) -> usize {
    for &byte in &addr[..4] {
        at = octet(byte, out, at);
    }
    at - 1
}

/// Write an IPv6 address as RFC 5952 has it; its length.
pub fn ipv6(addr: &[u8; 16], out: &mut [u8]) -> usize {
    let groups: [u16; 8] =
        std::array::from_fn(|i| u16::from_be_bytes([addr[2 * i], addr[2 * i + 1]]));
    if groups[..6] == [0, 0, 0, 0, 0, 0xffff] {
        // RFC 5952, section 5: an IPv4-mapped address ends in dots.
        let mut at = 0;
        for &byte in b"::ffff:" {
            at = put(byte, out, at);
        }
        for &byte in &addr[12..] {
            at = octet(byte, out, at);
        }
        return at - 1;
    }

    let (zeros_from, zeros_to) = longest_zeros(&groups);
    let mut at = 0;
    let mut i = 0;
    while i < 8 {
        if i == zeros_from {
            at = put(b':', out, at);
            at = put(b':', out, at);
            i = zeros_to;
            continue;
        }
        if i > 0 && i != zeros_to {
            at = put(b':', out, at);
        }
        at = hex(groups[i], out, at);
        i += 1;
    }
    at
}

/// The first of the longest runs of two or more zero groups; (8, 8) if none.
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut from) = ((8, 8), 0);
    for (i, &group) in groups.iter().enumerate() {
        if group != 0 {
            from = i + 1;
        } else if i + 1 - from > (best.1 - best.0).max(1) {
            best = (from, i + 1);
        }
    }
    best
}

#[inline]
fn hex(group: u16, out: &mut [u8], mut at: usize) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (16 - group.leading_zeros()).div_ceil(4).max(1);
    for i in (0..digits).rev() {
        at = put(DIGITS[usize::from(group >> (4 * i) & 0xf)], out, at);
    }
    at
}

#[inline]
fn put(byte: u8, out: &mut [u8], at: usize) -> usize {
    out[at] = byte;
    at + 1
}

/// A piece of text up to N bytes long. It is copied whole, however long it is:
/// a copy of a size that the compiler knows is a few instructions, any other a
/// call. What is behind its end is then written over.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Chunk<N> {
    /// The parts one behind the other; what goes beyond N bytes is left out.
    pub const fn of(parts: &[&[u8]]) -> Chunk<N> {
        let (mut bytes, mut len, mut part) = ([b' '; N], 0, 0);
        while part < parts.len() {
            let text = parts[part];
            let mut i = 0;
            while i < text.len() && len < N {
                bytes[len] = text[i];
                len += 1;
                i += 1;
            }
            part += 1;
        }
        Chunk { bytes, len: len as u8 }
    }

    /// Its text.
    pub fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
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

    /// A text that was prepared.
    #[inline]
    pub fn chunk<const N: usize>(&mut self, chunk: &Chunk<N>) {
        *self.next() = chunk.bytes;
        self.at += usize::from(chunk.len);
    }

    /// An address, network order; IPv4 in the first four bytes.
    #[inline]
    pub fn address(&mut self, bytes: &[u8; 16], is_ipv6: bool) {
        if is_ipv6 {
            self.at += ipv6(bytes, &mut self.out[self.at..]);
            return;
        }
        let out = self.next::<32>();
        let mut len = 0;
        for &byte in &bytes[..4] {
            // Masked as a line's end is: an address is 15 bytes at most.
            len = octet(byte, out, len & 15);
        }
        self.at += len - 1;
    }

    /// A number in decimal.
    #[inline]
    pub fn number(&mut self, number: u64) {
        match u32::try_from(number) {
            Ok(small @ 0..100_000) => self.small(small),
            _ => self.large(number),
        }
    }

    /// A number of five digits at most: all of them with leading zeros, in one
    /// word, which is then shifted to where the number begins.
    #[inline]
    fn small(&mut self, number: u32) {
        let (first, rest) = (number / 10_000, number % 10_000);
        let word =
            u64::from(first + u32::from(b'0')) | pair(rest / 100) << 8 | pair(rest % 100) << 24;
        // A zero is 0x30, and no other digit is; the last one stays.
        let zeros = ((word ^ 0x30_3030_3030) | 1 << 32).trailing_zeros() & !7;
        self.word(word >> zeros);
        self.at += (5 - zeros / 8) as usize;
    }

    #[cold]
    fn large(&mut self, number: u64) {
        let mut digits = [0; 20];
        let (mut rest, mut from) = (number, digits.len());
        while rest > 0 {
            from -= 1;
            digits[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.put_slow(&digits[from..]);
    }

    /// Eight bytes at once, the lowest first.
    #[inline]
    fn word(&mut self, word: u64) {
        *self.next() = word.to_le_bytes();
    }

    /// Nanoseconds of a second as nine digits.
    #[inline]
    pub fn nanoseconds(&mut self, ns: u32) {
        self.put(&[b'0' + (ns / 100_000_000 % 10) as u8]);
        let (high, low) = (ns % 100_000_000 / 10_000, ns % 10_000);
        self.word(four(high) | four(low) << 32);
        self.at += 8;
    }

    /// Nanoseconds of a second as six digits of microseconds.
    #[inline]
    pub fn microseconds(&mut self, ns: u32) {
        let us = ns / 1000;
        self.word(four(us / 100 % 10_000) | pair(us % 100) << 32);
        self.at += 6;
    }
}

/// The two digits of a number below 100, the first in the lowest byte.
#[inline]
fn pair(number: u32) -> u64 {
    u16::from_le_bytes(PAIRS[number as usize]).into()
}

/// The four digits of a number below 10,000, likewise.
#[inline]
fn four(number: u32) -> u64 {
    pair(number / 100) | pair(number % 100) << 16
}

/// Times down to the second, as a text that is made anew only when the second
/// is another.
#[derive(Clone, Debug)]
pub struct Seconds {
    zone: TimeZone,
    /// What precedes the time, and how that is written.
    before: &'static str,
    how: &'static str,
    second: u64,
    text: Chunk<32>,
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

impl Seconds {
    /// `2026-11-23T19:07:15.`, in UTC, with what is put before it.
    pub fn date_and_time(before: &'static str) -> Seconds {
        Seconds::new(TimeZone::UTC, before, "%Y-%m-%dT%H:%M:%S.")
    }

    /// `19:07:15.`, as clocks in `zone` show it.
    pub fn time_of_day(zone: TimeZone) -> Seconds {
        Seconds::new(zone, "", "%H:%M:%S.")
    }

    fn new(zone: TimeZone, before: &'static str, how: &'static str) -> Seconds {
        let mut seconds = Seconds { zone, before, how, second: 0, text: Chunk::of(&[]) };
        seconds.set(0);
        seconds
    }

    /// The text of the second that `ns` since 1970 are in; and the rest, in ns.
    #[inline]
    pub fn of(&mut self, ns: u64) -> (&Chunk<32>, u32) {
        let second = ns / SECOND;
        if second != self.second {
            self.set(second);
        }
        (&self.text, (ns % SECOND) as u32)
    }

    #[cold]
    fn set(&mut self, second: u64) {
        let time = Timestamp::from_second(second as i64).unwrap_or(Timestamp::MAX);
        let time = self.zone.to_datetime(time).strftime(self.how).to_string();
        self.text = Chunk::of(&[self.before.as_bytes(), time.as_bytes()]);
        self.second = second;
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
    fn times() {
        let mut utc = Seconds::date_and_time("at ");
        let mut text = |ns: u64| {
            let (chunk, ns) = utc.of(ns);
            (String::from_utf8(chunk.text().to_vec()).unwrap(), ns)
        };
        let at = 1_795_460_835_u64;
        assert_eq!(text(at * SECOND + 7), ("at 2026-11-23T19:07:15.".into(), 7));
        assert_eq!(text((at + 1) * SECOND).0, "at 2026-11-23T19:07:16.");
        assert_eq!(text(0).0, "at 1970-01-01T00:00:00.");
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut local = Seconds::time_of_day(berlin);
        assert_eq!(local.of(at * SECOND).0.text(), b"20:07:15.");
        assert_eq!(local.of((at - 200 * 86400) * SECOND).0.text(), b"21:07:15.", "in summer");
        assert_eq!(written(|line| line.nanoseconds(1_020_304)), "001020304");
        assert_eq!(written(|line| line.microseconds(987_654_321)), "987654");
    }

    #[test]
    fn small_numbers() {
        for number in (0..1100).chain(9990..10_010).chain(99_990..100_010) {
            assert_eq!(written(|line| line.number(number)), number.to_string());
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
