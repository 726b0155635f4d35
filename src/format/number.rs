//! Numbers as text, fast.

#![forbid(unsafe_code)]

/// 000 to 999, the first digit in the lowest byte; and behind these 00 to 99,
/// likewise.
static DIGITS: [u32; 1100] = {
    let mut table = [0; 1100];
    let mut i = 0;
    while i < 1000 {
        let (hundreds, tens, ones) = ((i / 100) as u8, (i / 10 % 10) as u8, (i % 10) as u8);
        table[i] = u32::from_le_bytes([b'0' + hundreds, b'0' + tens, b'0' + ones, 0]);
        if i < 100 {
            table[1000 + i] = table[i] >> 8;
        }
        i += 1;
    }
    table
};

/// The two hex digits of each byte.
pub static HEX: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        let digits = b"0123456789abcdef";
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// The three digits of a number below 1000, the first in the lowest byte.
#[inline]
pub fn three(number: u32) -> u64 {
    DIGITS[number as usize].into()
}

/// The two digits of a number below 100, likewise.
#[inline]
fn two(number: u32) -> u64 {
    DIGITS[1000 + number as usize].into()
}

/// A number of five digits at most, and behind it a text of three bytes at most:
/// in one word, the first byte lowest, and how many bytes there are.
#[inline]
pub fn small<const N: usize>(number: u32, text: &[u8; N]) -> (u64, usize) {
    const { assert!(N <= 3) };
    let text = text.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    // With leading zeros, which are then shifted out.
    let word = two(number / 1000) | three(number % 1000) << 16 | text << 40;
    // A zero is 0x30, and no other digit is; the last digit is never 0x40.
    let zeros = (word ^ 0x40_3030_3030).trailing_zeros() & !7;
    (word >> zeros, 5 + N - (zeros / 8) as usize)
}

/// Write any number but zero at `at`; where the next byte goes.
#[cold]
pub fn large(number: u64, out: &mut [u8], at: usize) -> usize {
    let mut digits = [0; 20];
    let (mut rest, mut from) = (number, digits.len());
    while rest > 0 {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = &digits[from..];
    out[at..at + digits.len()].copy_from_slice(digits);
    at + digits.len()
}
