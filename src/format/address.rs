//! Addresses as text, fast: RFC 5952's form for IPv6, dots for IPv4.

#![forbid(unsafe_code)]

/// The longest IPv6 address in RFC 5952's form.
pub const MAX_IPV6: usize = 39;

/// What an address is written into. It is more than four times the longest that
/// an octet can be as far as the compiler sees, which then needs no bounds checks.
pub const WINDOW: usize = 64;

/// Every octet in decimal, followed by a dot, in the lowest four bytes; its length
/// with the dot in the four highest bits. One load is faster than two, and a fixed
/// copy of four bytes than one of the exact length.
static OCTETS: [u64; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (hundreds, tens, ones) = ((i / 100) as u8, (i / 10 % 10) as u8, (i % 10) as u8);
        let (text, len) = if i >= 100 {
            ([b'0' + hundreds, b'0' + tens, b'0' + ones, b'.'], 4)
        } else if i >= 10 {
            ([b'0' + tens, b'0' + ones, b'.', b'.'], 3)
        } else {
            ([b'0' + ones, b'.', b'.', b'.'], 2)
        };
        table[i] = u32::from_le_bytes(text) as u64 | len << 60;
        i += 1;
    }
    table
};

/// Write an octet and a dot at `at`; where the next byte goes.
#[inline]
pub fn octet(value: u8, out: &mut [u8], at: usize) -> usize {
    let entry = OCTETS[usize::from(value)];
    out[at..at + 4].copy_from_slice(&(entry as u32).to_le_bytes());
    at + (entry >> 60) as usize
}

/// Write an address, network order, IPv4 in the first four bytes; and a dot behind
/// it, which comes for free. Its length with the dot: less than [`WINDOW`], which
/// the compiler sees, too.
#[inline]
pub fn address_dot(bytes: &[u8; 16], is_ipv6: bool, out: &mut [u8; WINDOW]) -> usize {
    if is_ipv6 {
        return ipv6_dot(bytes, out) & (WINDOW - 1);
    }
    let mut at = 0;
    for &byte in &bytes[..4] {
        at = octet(byte, out, at);
    }
    at
}

fn ipv6_dot(bytes: &[u8; 16], out: &mut [u8]) -> usize {
    let groups: [u16; 8] =
        std::array::from_fn(|i| u16::from_be_bytes([bytes[2 * i], bytes[2 * i + 1]]));
    if groups[..6] == [0, 0, 0, 0, 0, 0xffff] {
        // RFC 5952, section 5: an IPv4-mapped address ends in dots.
        let mut at = 0;
        for &byte in b"::ffff:" {
            at = put(byte, out, at);
        }
        for &byte in &bytes[12..] {
            at = octet(byte, out, at);
        }
        return at;
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
    put(b'.', out, at)
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
