//! Integers, converted many digits at once.

use crate::output::Pen;

/// Writes an integer.
#[inline(always)]
pub(crate) fn integer(pen: &mut Pen<'_>, value: i64) {
    // The sign is always written, but it is kept only for negative numbers.
    pen.chunk(b"-", usize::from(value < 0));
    unsigned(pen, value.unsigned_abs());
}

/// Writes an integer between quotes.
#[inline(always)]
pub(crate) fn quoted_integer(pen: &mut Pen<'_>, value: i64) {
    pen.chunk(b"\"-", 1 + usize::from(value < 0));
    unsigned(pen, value.unsigned_abs());
    pen.put(b"\"");
}

/// Writes an unsigned integer between quotes.
#[inline(always)]
pub(crate) fn quoted_unsigned(pen: &mut Pen<'_>, value: u64) {
    pen.put(b"\"");
    unsigned(pen, value);
    pen.put(b"\"");
}

/// Writes an unsigned integer.
#[inline(always)]
pub(crate) fn unsigned(pen: &mut Pen<'_>, value: u64) {
    const EIGHT: u64 = 100_000_000;
    if value < EIGHT {
        return leading(pen, value);
    }
    let (high, low) = (value / EIGHT, value % EIGHT);
    if high < EIGHT {
        leading(pen, high);
    } else {
        leading(pen, high / EIGHT);
        pen.put(&(digits(high % EIGHT) | ZEROS).to_le_bytes());
    }
    pen.put(&(digits(low) | ZEROS).to_le_bytes());
}

/// The text of eight `0` digits.
pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Writes a number of at most eight digits.
#[inline(always)]
fn leading(pen: &mut Pen<'_>, value: u64) {
    if value < 10_000 {
        let value = value as u32;
        let pairs = (value << 16) - ((value * 5_243) >> 19) * ((100 << 16) - 1);
        let digits = (pairs << 8) - (((pairs * 103) >> 10) & 0x000f_000f) * ((10 << 8) - 1);
        let zeros = (digits | 1 << 31).trailing_zeros() / 8;
        return pen.chunk(&((digits | 0x3030_3030) >> (8 * zeros)).to_le_bytes(), 4 - zeros as usize);
    }
    let digits = digits(value);
    // The highest bit keeps the last digit even if it is zero.
    let zeros = (digits | 1 << 63).trailing_zeros() / 8;
    pen.chunk(&((digits | ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
}

/// Returns the eight digits of a number below 10^8, the first digit in the lowest byte. All digits are computed at
/// once, in fields of 32, then 16, then 8 bits, with multiplications instead of divisions.
#[inline(always)]
pub(super) fn digits(value: u64) -> u64 {
    let fours = (value << 32) - value / 10_000 * ((10_000 << 32) - 1);
    let pairs = (fours << 16) - (((fours * 10_486) >> 20) & 0x0000_007f_0000_007f) * ((100 << 16) - 1);
    digits_of_pairs(pairs)
}

/// Returns the eight digits of four numbers below 100, the first of which is in the lowest 16 bits. The first digit is
/// in the lowest byte.
#[inline(always)]
pub(super) fn digits_of_pairs(pairs: u64) -> u64 {
    (pairs << 8) - (((pairs * 103) >> 10) & 0x000f_000f_000f_000f) * ((10 << 8) - 1)
}
