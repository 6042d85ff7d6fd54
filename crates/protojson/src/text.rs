//! JSON text: strings, integers, floating point, bytes.

use base64_simd::{STANDARD, URL_SAFE};

/// Appends a string with its quotes, escaped: `"`, `\`, the controls, and U+FFFE and U+FFFF, because SQS and SNS refuse
/// those two raw.
///
/// # Errors
/// The position of the first byte that is not UTF-8; what was appended until then stays.
#[inline]
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), usize> {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes)?;
    }
    out.push(b'"');
    Ok(())
}

/// Whether every byte stands for itself: printable ASCII without quote and backslash. Written so that the compiler
/// turns it into vector compares.
#[inline(always)]
fn is_plain(bytes: &[u8]) -> bool {
    const LANES: usize = 16;
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte >= 0x80);
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    for chunk in chunks {
        if chunk.iter().fold(false, |any, byte| any | special(*byte)) {
            return false;
        }
    }
    !rest.iter().fold(false, |any, byte| any | special(*byte))
}

#[inline(never)]
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), usize> {
    if simdutf8::basic::from_utf8(bytes).is_err() {
        return Err(std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| 0));
    }
    let mut rest = bytes;
    while let Some(at) = next_special(rest) {
        out.extend_from_slice(&rest[..at]);
        let taken = escape(out, &rest[at..]);
        rest = &rest[at + taken..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Where the next byte stands that has to be escaped, or that may begin U+FFFE or U+FFFF.
#[inline(always)]
fn next_special(bytes: &[u8]) -> Option<usize> {
    const LANES: usize = 16;
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0xef);
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    for (index, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(false, |any, byte| any | special(*byte)) {
            let within = chunk.iter().position(|byte| special(*byte));
            return within.map(|at| index * LANES + at);
        }
    }
    rest.iter().position(|byte| special(*byte)).map(|at| chunks.len() * LANES + at)
}

/// Escapes what stands at the start, and returns how many bytes that was.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match bytes[0] {
        0xef => {
            return match bytes {
                [0xef, 0xbf, 0xbe, ..] => {
                    out.extend_from_slice(b"\\ufffe");
                    3
                }
                [0xef, 0xbf, 0xbf, ..] => {
                    out.extend_from_slice(b"\\uffff");
                    3
                }
                _ => {
                    out.push(0xef);
                    1
                }
            };
        }
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        control => {
            let [high, low] = [HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return 1;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
    1
}

/// Appends bytes in base64 with padding, with quotes.
#[inline]
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8], url_safe: bool) {
    out.push(b'"');
    if url_safe {
        URL_SAFE.encode_append(bytes, out);
    } else {
        STANDARD.encode_append(bytes, out);
    }
    out.push(b'"');
}

/// Appends an integer.
#[inline(always)]
pub(crate) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer between quotes.
#[inline(always)]
pub(crate) fn quoted_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.push(b'"');
    integer(out, value);
    out.push(b'"');
}

/// Appends a double: the shortest digits that read back as the same value, spelled as ECMAScript's `Number::toString`
/// (ECMA-262) does, except that `-0.0` keeps its sign; NaN and infinities as strings.
#[inline]
pub(crate) fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        float(out, buffer.format_finite(value), value == 0.0 && value.is_sign_negative());
    } else {
        not_finite(out, value);
    }
}

/// Appends a float, with the digits that are enough for 32 bits; otherwise as [`double`].
#[inline]
pub(crate) fn single(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        let mut buffer = zmij::Buffer::new();
        float(out, buffer.format_finite(value), value == 0.0 && value.is_sign_negative());
    } else {
        not_finite(out, f64::from(value));
    }
}

#[cold]
fn not_finite(out: &mut Vec<u8>, value: f64) {
    let text: &[u8] = if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend_from_slice(text);
}

/// From the formatter's spelling to ECMAScript's: `1.0` is `1`, and the exponent begins at 21 digits, with a sign.
#[inline(always)]
fn float(out: &mut Vec<u8>, shortest: &str, is_negative_zero: bool) {
    let bytes = shortest.as_bytes();
    if is_negative_zero {
        return out.extend_from_slice(b"-0.0");
    }
    if bytes.contains(&b'e') {
        return exponent(out, shortest);
    }
    out.extend_from_slice(bytes.strip_suffix(b".0").unwrap_or(bytes));
}

/// Places the digits of `-1.25e-7` as ECMAScript does.
#[cold]
fn exponent(out: &mut Vec<u8>, scientific: &str) {
    let unsigned = match scientific.strip_prefix('-') {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => scientific,
    };
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (first, fraction) = mantissa.split_at(1);
    let fraction = fraction.trim_start_matches('.');
    let fraction = if fraction == "0" { "" } else { fraction };
    let after = fraction.len() as i32;
    let zeros = |out: &mut Vec<u8>, count: i32| out.resize(out.len() + count as usize, b'0');
    if (0..21).contains(&exponent) {
        out.extend_from_slice(first.as_bytes());
        if after <= exponent {
            out.extend_from_slice(fraction.as_bytes());
            zeros(out, exponent - after);
        } else {
            let (whole, rest) = fraction.split_at(exponent as usize);
            out.extend_from_slice(whole.as_bytes());
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
    } else if (-6..0).contains(&exponent) {
        out.extend_from_slice(b"0.");
        zeros(out, -exponent - 1);
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(fraction.as_bytes());
    } else {
        out.extend_from_slice(first.as_bytes());
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction.as_bytes());
        }
        out.extend_from_slice(if exponent > 0 { b"e+" } else { b"e" });
        integer(out, exponent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_double(value: f64, expected: &str) {
        let mut out = Vec::new();
        double(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
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
    fn every_power_of_ten_reads_back_and_has_an_exponent_only_where_ecmascript_has() {
        for exponent in -324..=308 {
            for mantissa in ["1", "1.5", "9.87654321", "-3.25"] {
                let value: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
                if value.is_infinite() {
                    continue;
                }
                let mut out = Vec::new();
                double(&mut out, value);
                let text = String::from_utf8(out).unwrap();
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
            let mut out = Vec::new();
            single(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn strings_are_escaped_wherever_the_special_character_stands() {
        for at in 0..70 {
            for (special, expected) in [
                ("\"", "\\\""),
                ("\\", "\\\\"),
                ("\n", "\\n"),
                ("\u{1f}", "\\u001f"),
                ("ü", "ü"),
                ("\u{ffff}", "\\uffff"),
                ("\u{fffd}", "\u{fffd}"),
                ("\u{fffe}", "\\ufffe"),
                ("\u{7f}", "\u{7f}"),
            ] {
                let (before, after) = ("x".repeat(at), "y".repeat(70 - at));
                let mut out = Vec::new();
                string(&mut out, format!("{before}{special}{after}").as_bytes()).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), format!("\"{before}{expected}{after}\""));
            }
        }
    }

    #[test]
    fn a_string_that_is_not_utf_8_says_where() {
        assert_eq!(string(&mut Vec::new(), b"abc\xff"), Err(3));
        assert_eq!(string(&mut Vec::new(), b"\xed\xa0\x80"), Err(0), "a surrogate");
    }
}
