//! Floating-point numbers, with the shortest digits that read back as the same value, in ECMAScript's spelling.

use super::integer::{ZEROS, digits, integer, unsigned};
use crate::output::Pen;

/// Writes a double with the shortest digits that read back as the same value, in the spelling of ECMAScript's
/// `Number::toString` (ECMA-262). `-0.0` keeps its sign, and NaN and the infinities are strings.
#[inline]
pub(crate) fn double(pen: &mut Pen<'_>, value: f64) {
    let magnitude = value.abs();
    let whole = value as i64;
    if whole as f64 == value && magnitude < 1e15 && whole != 0 {
        return integer(pen, whole);
    }
    // The fast path for amounts of money and other values with one or two decimals. Among numbers of at most 15 digits,
    // only one reads back as a given double. If that number has two decimals, no shorter one exists.
    let hundredths = (magnitude * 100.0 + 0.5) as i64;
    if hundredths as f64 / 100.0 == magnitude && magnitude < 1e13 && hundredths != 0 {
        pen.chunk(b"-", usize::from(value < 0.0));
        unsigned(pen, hundredths.cast_unsigned() / 100);
        let (tenth, hundredth) = (hundredths / 10 % 10, hundredths % 10);
        return pen.chunk(&[b'.', b'0' + tenth as u8, b'0' + hundredth as u8], 3 - usize::from(hundredth == 0));
    }
    if (1e-5..1e15).contains(&magnitude) {
        return pen.short(zmij::Buffer::new().format_finite(value).as_bytes());
    }
    let (text, len) = rare(value, |value, buffer| buffer.format_finite(value));
    pen.chunk(&text, len);
}

/// Writes a float with the digits that suffice for 32 bits. Otherwise like [`double`].
#[inline(always)]
pub(crate) fn single(pen: &mut Pen<'_>, value: f32) {
    const FRACTION: u32 = (1 << 23) - 1;
    let magnitude = value.abs();
    let bits = magnitude.to_bits();
    let whole = magnitude as i32;
    // Powers of two are excluded because their two neighbors are not equally near.
    if (LOWEST..1e7).contains(&magnitude) && bits & FRACTION != 0 && whole as f32 != magnitude {
        pen.chunk(b"-", usize::from(value < 0.0));
        return decimal(pen, whole.cast_unsigned(), (bits & FRACTION) | (FRACTION + 1), 150 - (bits >> 23));
    }
    let (text, len) = rare(f64::from(value), |value, buffer| buffer.format_finite(value as f32));
    pen.chunk(&text, len);
}

/// The lowest float that [`decimal`] supports: 2^-13.
const LOWEST: f32 = 1.0 / 8192.0;
/// The number of binary places of that float: its lowest bit has the value 2^-36.
const MAX_SHIFT: u32 = 36;

/// Writes `significand / 2^shift` with the fewest digits that are nearer to it than to its neighbors. `whole` is the
/// integer part.
///
/// Finding the shortest digits is hard in general because powers of ten do not fit in a register. For the floats in
/// this range they do, so all comparisons here are exact.
#[inline(always)]
fn decimal(pen: &mut Pen<'_>, whole: u32, significand: u32, shift: u32) {
    // A step is one unit of the last decimal. `distance` is the distance between neighbors and `scaled` is the value,
    // both in units of 2^-36 steps.
    let decimals = decimals(shift);
    let distance = DISTANCES[shift as usize % DISTANCES.len()];
    let scaled = u64::from(significand) * distance;
    let floor = scaled >> MAX_SHIFT;
    // A number that ends in zero is shorter. At most one such number is near enough: nearer than half the distance
    // between neighbors, or exactly half of it if ties round to this float.
    let tens = floor / 10 * 10;
    let below = scaled - (tens << MAX_SHIFT);
    let above = (10 << MAX_SHIFT) - below;
    let near = distance + u64::from(significand.is_multiple_of(2));
    let number = if 2 * below < near {
        tens
    } else if 2 * above < near {
        tens + 10
    } else {
        // Otherwise the nearest number is written; of two equally near numbers, the even one.
        (scaled + (1 << (MAX_SHIFT - 1)) - u64::from(floor.is_multiple_of(2))) >> MAX_SHIFT
    };
    unsigned(pen, u64::from(whole));
    let mut digits8 = number.wrapping_sub(u64::from(whole) * POWERS[decimals % POWERS.len()]);
    if decimals <= 8 {
        pen.put(b".");
        digits8 *= POWERS[8 - decimals];
    } else {
        // The integer part is zero. One more digit, zero or one, comes before the eight digits.
        pen.chunk(b".00 ", decimals - 8);
        pen.put(&[b'0' + u8::from(digits8 >= POWERS[8])]);
        digits8 %= POWERS[8];
    }
    let text = digits(digits8);
    pen.chunk(&(text | ZEROS).to_le_bytes(), 8 - text.leading_zeros() as usize / 8);
}

/// Returns the number of decimals for a float whose lowest bit has the value `2^-shift`. It is the smallest number that
/// tells neighbors apart: one step is at most the distance between neighbors, and ten steps are more. 1233 / 4096
/// approximates the decimal logarithm of 2.
const fn decimals(shift: u32) -> usize {
    ((shift * 1233) >> 12) as usize + 1
}

/// The value of the lowest bit in steps, by shift, in units of `2^-MAX_SHIFT`. In these units all entries are integers.
const DISTANCES: [u64; 64] = {
    let mut distances = [0; 64];
    let mut shift = 0;
    while shift <= MAX_SHIFT {
        distances[shift as usize] = POWERS[decimals(shift)] << (MAX_SHIFT - shift);
        shift += 1;
    }
    distances
};

/// Powers of ten.
const POWERS: [u64; 16] = {
    let mut powers = [1; 16];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

/// Formats any value. `format` formats the finite ones except zero.
#[cold]
#[inline(never)]
fn rare(value: f64, format: fn(f64, &mut zmij::Buffer) -> &str) -> ([u8; Pen::ROOM], usize) {
    let mut window = [0; Pen::WINDOW];
    let mut pen = Pen::new(&mut window);
    if value.is_nan() {
        pen.put(b"\"NaN\"");
    } else if value.is_infinite() {
        pen.slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else if value == 0.0 {
        pen.slice(if value.is_sign_negative() { b"-0.0" } else { b"0" });
    } else {
        finite(&mut pen, format(value, &mut zmij::Buffer::new()));
    }
    let len = pen.len();
    let mut text = [0; Pen::ROOM];
    text.copy_from_slice(&window[..Pen::ROOM]);
    (text, len)
}

/// Converts the formatter's spelling to ECMAScript's: `1.0` becomes `1`, exponents are used from 21 digits before the
/// point on, and they have a sign.
fn finite(pen: &mut Pen<'_>, shortest: &str) {
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return pen.slice(shortest.strip_suffix(".0").unwrap_or(shortest).as_bytes());
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    pen.chunk(b"-", mantissa.len() - unsigned.len());
    let (first, fraction) = unsigned.split_at(1);
    let fraction = fraction.trim_start_matches('.');
    let fraction = if fraction == "0" { "" } else { fraction };
    if (0..21).contains(&exponent) {
        let (before, after) = fraction.split_at(fraction.len().min(exponent as usize));
        pen.slice(first.as_bytes());
        pen.slice(before.as_bytes());
        for _ in before.len()..exponent as usize {
            pen.put(b"0");
        }
        if !after.is_empty() {
            pen.put(b".");
            pen.slice(after.as_bytes());
        }
    } else if (-6..0).contains(&exponent) {
        pen.put(b"0.");
        for _ in exponent + 1..0 {
            pen.put(b"0");
        }
        pen.slice(first.as_bytes());
        pen.slice(fraction.as_bytes());
    } else {
        pen.slice(first.as_bytes());
        if !fraction.is_empty() {
            pen.put(b".");
            pen.slice(fraction.as_bytes());
        }
        pen.put(b"e");
        pen.chunk(b"+", usize::from(exponent > 0));
        integer(pen, i64::from(exponent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    fn check_double(value: f64, expected: &str) {
        let mut out = Output::default();
        out.write(|pen| double(pen, value));
        assert_eq!(String::from_utf8(out.into_bytes()).unwrap(), expected);
    }

    #[test]
    fn doubles_are_spelled_as_ecmascript_does() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (-12.5, "-12.5"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (1.2345e17, "123450000000000000"),
            (1e20, "100000000000000000000"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (-1.5e300, "-1.5e+300"),
            (1e-5, "0.00001"),
            (1.25e-6, "0.00000125"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-1.25e-7, "-1.25e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (123_456_789.125, "123456789.125"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            check_double(value, text);
        }
    }

    #[test]
    fn every_power_of_ten_reads_back_and_has_an_exponent_only_if_ecmascript_uses_one() {
        for exponent in -324..=308 {
            for mantissa in ["1", "1.5", "9.87654321", "-3.25"] {
                let value: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
                if value.is_infinite() {
                    continue;
                }
                let mut out = Output::default();
                out.write(|pen| double(pen, value));
                let text = String::from_utf8(out.into_bytes()).unwrap();
                assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
                let magnitude = value.abs();
                let scientific = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
                assert_eq!(text.contains('e'), scientific, "{text}");
                assert!(!text.ends_with(".0") || text == "-0.0", "{text}");
            }
        }
    }

    #[test]
    fn floats_have_the_digits_of_32_bits() {
        for (value, text) in [(0.1f32, "0.1"), (16_777_216.0, "16777216"), (f32::MAX, "3.4028235e+38"), (1e-7, "1e-7")]
        {
            let mut out = Output::default();
            out.write(|pen| single(pen, value));
            assert_eq!(String::from_utf8(out.into_bytes()).unwrap(), text);
        }
    }

    fn check_single(value: f32) {
        let mut out = Output::default();
        out.write(|pen| single(pen, value));
        let (text, len) = rare(f64::from(value), |value, buffer| buffer.format_finite(value as f32));
        assert_eq!(str::from_utf8(&out.into_bytes()).unwrap(), str::from_utf8(&text[..len]).unwrap());
    }

    #[test]
    fn floats_have_the_same_digits_as_the_general_formatter_gives() {
        // Checking every float takes minutes. A prime step covers every exponent and all patterns of digits.
        let step = std::env::var("FLOAT_STEP").map_or(1009, |step| step.parse().unwrap());
        let (first, last) = (0.000_05f32.to_bits(), 2e7f32.to_bits());
        for bits in (first..last).step_by(step) {
            check_single(f32::from_bits(bits));
        }
    }
}
