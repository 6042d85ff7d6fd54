//! Floating point as text: the shortest digits that read back as the same value, spelled as ECMAScript's
//! `Number.prototype.toString` does (ECMA-262, "Number::toString"), except that `-0.0` keeps its sign.

/// Text of a double. Not for NaN and infinities, which ProtoJSON writes as strings.
pub(crate) fn f64_text(value: f64) -> String {
    spell(&format!("{value:e}"))
}

/// Text of a float, with the digits that are enough for 32 bits.
pub(crate) fn f32_text(value: f32) -> String {
    spell(&format!("{value:e}"))
}

/// From Rust's `-1.25e-7`, which has the shortest digits already, to ECMAScript's placing of point and exponent.
fn spell(scientific: &str) -> String {
    let (sign, unsigned) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let Some((mantissa, exponent)) = unsigned.split_once('e') else {
        return scientific.to_owned();
    };
    let digits = mantissa.replace('.', "");
    if digits == "0" {
        return if sign.is_empty() { "0".to_owned() } else { "-0.0".to_owned() };
    }
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let count = digits.len() as i32;
    // Where the point stands, counted in digits from the left.
    let point = exponent + 1;
    if count <= point && point <= 21 {
        let zeros = "0".repeat((point - count) as usize);
        return format!("{sign}{digits}{zeros}");
    }
    if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(point as usize);
        return format!("{sign}{whole}.{fraction}");
    }
    if -6 < point && point <= 0 {
        let zeros = "0".repeat(-point as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let (first, fraction) = digits.split_at(1);
    let point = if fraction.is_empty() { "" } else { "." };
    let plus = if exponent > 0 { "+" } else { "" };
    format!("{sign}{first}{point}{fraction}e{plus}{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_spelled_as_ecmascript_does() {
        for (value, text) in [
            (1.0, "1"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (-12.5, "-12.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (123_456_789.125, "123456789.125"),
        ] {
            assert_eq!(f64_text(value), text);
        }
    }

    #[test]
    fn floats_have_the_digits_of_32_bits() {
        assert_eq!(f32_text(0.1), "0.1");
        assert_eq!(f32_text(16_777_216.0), "16777216");
        assert_eq!(f32_text(f32::MAX), "3.4028235e+38");
    }
}
