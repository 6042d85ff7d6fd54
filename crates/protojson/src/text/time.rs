//! Timestamps in RFC 3339.

use super::integer::{ZEROS, digits, digits_of_pairs};
use crate::output::Pen;

/// Writes a timestamp in RFC 3339 between quotes. `seconds` counts from 1970-01-01 and must be in the years 0 to 9999.
#[inline(always)]
pub(crate) fn timestamp(pen: &mut Pen<'_>, seconds: i64, nanos: u32) {
    const DAY: i64 = 86_400;
    // The days count from 0000-03-01, so that no number is negative.
    const EPOCH: i64 = 719_468 * DAY;
    let seconds = (seconds + EPOCH).cast_unsigned();
    let (days, second) = ((seconds / DAY as u64) as u32, (seconds % DAY as u64) as u32);
    let (year, month, day) = civil(days);
    let date = four([year / 100, year % 100, month, day]);
    let time = four([0, second / 3_600, second / 60 % 60, second % 60]);
    pen.put(b"\"");
    // YYYYMMDD becomes YYYY-MM-DD, and 00HHMMSS becomes HH:MM:SS.
    let dashes = u64::from(b'-') << 32 | u64::from(b'-') << 56;
    pen.put(&((date & 0xffff_ffff) | ((date >> 32 & 0xffff) << 40) | dashes).to_le_bytes());
    pen.put(&((date >> 48) as u16).to_le_bytes());
    pen.put(b"T");
    let colons = u64::from(b':') << 16 | u64::from(b':') << 40;
    pen.put(&((time >> 16 & 0xffff) | ((time >> 32 & 0xffff) << 24) | (time >> 48 << 48) | colons).to_le_bytes());
    fraction(pen, nanos);
    pen.put(b"Z\"");
}

/// Returns the digits of four numbers below 100 as text.
#[inline(always)]
fn four([first, second, third, fourth]: [u32; 4]) -> u64 {
    digits_of_pairs(u64::from(first | second << 16) | u64::from(third | fourth << 16) << 32) | ZEROS
}

/// Writes nanoseconds below one second as a point with 3, 6 or 9 digits. Writes nothing for zero.
#[inline(always)]
pub(crate) fn fraction(pen: &mut Pen<'_>, nanos: u32) {
    let (first, last) = (digits(u64::from(nanos / 10)), nanos % 10);
    let significant = if last == 0 { 8 - first.leading_zeros() as usize / 8 } else { 9 };
    let len = if nanos == 0 { 0 } else { 1 + significant.next_multiple_of(3) };
    let text = (u128::from(first | ZEROS) << 8) | (u128::from(last | 0x30) << 72) | u128::from(b'.');
    pen.chunk(&text.to_le_bytes(), len);
}

/// Returns the year, month and day of a day counted from 0000-03-01, in the proleptic Gregorian calendar. Years begin
/// in March here, so that the leap day is the last day of its year. Multiplications replace divisions (Neri and
/// Schneider, <https://doi.org/10.1002/spe.3172>).
#[inline(always)]
fn civil(days: u32) -> (u32, u32, u32) {
    let century = (4 * days + 3) / 146_097;
    let day_of_century = (4 * days + 3) % 146_097 / 4;
    let scaled = 2_939_745 * u64::from(4 * day_of_century + 3);
    let year_of_century = (scaled >> 32) as u32;
    let day_of_year = scaled as u32 / 2_939_745 / 4;
    let scaled = 2_141 * day_of_year + 197_913;
    let (month, day) = (scaled >> 16, (scaled & 0xffff) / 2_141 + 1);
    let is_next_year = u32::from(day_of_year >= 306);
    (100 * century + year_of_century + is_next_year, month - 12 * is_next_year, day)
}
