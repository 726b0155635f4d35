//! Writing pieces of a line into a buffer, fast: addresses, numbers, times.
//! What a line looks like is not known here.

#![forbid(unsafe_code)]

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest IPv6 address in RFC 5952's form.
pub const MAX_IPV6: usize = 39;

/// Every octet in decimal, followed by a dot, and its length with the dot. A
/// fixed copy of four bytes is faster than one of the exact length.
const OCTETS: [([u8; 4], u8); 256] = {
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
const PAIRS: [[u8; 2]; 100] = {
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

/// A line that is being written.
#[derive(Debug)]
pub struct Line<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Line<'a> {
    /// At the start of `out`, which has to have room for all that is written,
    /// and for 8 bytes more.
    pub fn new(out: &'a mut [u8]) -> Line<'a> {
        Line { out, at: 0 }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.at
    }

    /// Text as it is.
    #[inline]
    pub fn put(&mut self, text: &[u8]) {
        self.out[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }

    /// A space for each byte that `width` is beyond the `from`th.
    pub fn pad(&mut self, from: usize, width: usize) {
        while self.at < from + width {
            self.put(b" ");
        }
    }

    /// An address, network order; IPv4 in the first four bytes.
    #[inline]
    pub fn address(&mut self, bytes: &[u8; 16], is_ipv6: bool) {
        if is_ipv6 {
            self.at += ipv6(bytes, &mut self.out[self.at..]);
        } else {
            self.at = ipv4(bytes, self.out, self.at);
        }
    }

    /// A number in decimal.
    #[inline]
    pub fn number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let (mut rest, mut from) = (number, digits.len());
        while rest >= 100 {
            from -= 2;
            digits[from..from + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        from -= 2;
        digits[from..from + 2].copy_from_slice(&PAIRS[rest as usize]);
        from += usize::from(rest < 10);
        self.put(&digits[from..]);
    }

    /// `pairs` digits, two each, of a number with leading zeros.
    #[inline]
    fn digits<const PAIRS_OF: usize>(&mut self, number: u32) {
        let mut rest = number;
        let at = self.at;
        let out = &mut self.out[at..at + 2 * PAIRS_OF];
        for pair in out.chunks_exact_mut(2).rev() {
            pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        self.at += 2 * PAIRS_OF;
    }

    /// Nanoseconds of a second as nine digits.
    #[inline]
    pub fn nanoseconds(&mut self, ns: u32) {
        self.put(&[b'0' + (ns / 100_000_000 % 10) as u8]);
        self.digits::<4>(ns % 100_000_000);
    }

    /// Nanoseconds of a second as six digits of microseconds.
    #[inline]
    pub fn microseconds(&mut self, ns: u32) {
        self.digits::<3>(ns / 1000);
    }
}

/// Times down to the second, as a text that is made anew only when the second
/// is another.
#[derive(Clone, Debug)]
pub struct Seconds {
    zone: TimeZone,
    with_date: bool,
    second: u64,
    text: [u8; 20],
    len: usize,
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

impl Seconds {
    /// `2026-11-23T19:07:15`, in UTC.
    pub fn date_and_time() -> Seconds {
        Seconds::new(TimeZone::UTC, true)
    }

    /// `19:07:15`, as clocks in `zone` show it.
    pub fn time_of_day(zone: TimeZone) -> Seconds {
        Seconds::new(zone, false)
    }

    fn new(zone: TimeZone, with_date: bool) -> Seconds {
        let mut seconds = Seconds { zone, with_date, second: u64::MAX, text: [b' '; 20], len: 0 };
        seconds.set(0);
        seconds
    }

    /// The text of the second that `ns` since 1970 are in; and the rest, in ns.
    #[inline]
    pub fn of(&mut self, ns: u64) -> (&[u8], u32) {
        let second = ns / SECOND;
        if second != self.second {
            self.set(second);
        }
        (&self.text[..self.len], (ns % SECOND) as u32)
    }

    fn set(&mut self, second: u64) {
        let time = Timestamp::from_second(second as i64).unwrap_or(Timestamp::MAX);
        let time = self.zone.to_datetime(time);
        let mut line = Line::new(&mut self.text);
        if self.with_date {
            line.digits::<2>(time.year().unsigned_abs().into());
            for (before, number) in [(b"-", time.month()), (b"-", time.day())] {
                line.put(before);
                line.digits::<1>(number.unsigned_abs().into());
            }
            line.put(b"T");
        }
        line.digits::<1>(time.hour().unsigned_abs().into());
        for number in [time.minute(), time.second()] {
            line.put(b":");
            line.digits::<1>(number.unsigned_abs().into());
        }
        self.len = line.len();
        self.second = second;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut out = [0; 64];
        let mut line = Line::new(&mut out);
        write(&mut line);
        let len = line.len();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn times() {
        let mut utc = Seconds::date_and_time();
        let at = 1_795_460_835_u64;
        assert_eq!(utc.of(at * SECOND + 7), (&b"2026-11-23T19:07:15"[..], 7));
        assert_eq!(utc.of((at + 1) * SECOND).0, b"2026-11-23T19:07:16");
        assert_eq!(utc.of(0).0, b"1970-01-01T00:00:00");
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut local = Seconds::time_of_day(berlin);
        assert_eq!(local.of(at * SECOND).0, b"20:07:15");
        assert_eq!(local.of((at - 200 * 86400) * SECOND).0, b"21:07:15", "in summer");
        assert_eq!(written(|line| line.nanoseconds(1_020_304)), "001020304");
        assert_eq!(written(|line| line.microseconds(987_654_321)), "987654");
    }

    proptest! {
        #[test]
        fn numbers(number: u64, small in 0u64..1000) {
            prop_assert_eq!(written(|line| line.number(number)), number.to_string());
            prop_assert_eq!(written(|line| line.number(small)), small.to_string());
        }
    }
}
