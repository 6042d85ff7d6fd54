use crate::{Wire, check, error};

const SCALARS: &str = "cases.v1.Scalars";

#[test]
fn integers_of_64_bits_are_strings_and_those_of_32_bits_are_numbers() {
    check(
        SCALARS,
        Wire::new()
            .signed(3, -1)
            .signed(4, i64::MIN)
            .varint(5, u64::from(u32::MAX))
            .varint(6, u64::MAX)
            .zigzag(7, i64::from(i32::MIN))
            .zigzag(8, i64::MIN)
            .fixed32(9, u32::MAX)
            .fixed64(10, u64::MAX)
            .fixed32(11, 0x8000_0000)
            .fixed64(12, 1 << 63)
            .varint(13, 1),
        concat!(
            r#"{"int32":-1,"int64":"-9223372036854775808","uint32":4294967295,"uint64":"18446744073709551615","#,
            r#""sint32":-2147483648,"sint64":"-9223372036854775808","fixed32":4294967295,"#,
            r#""fixed64":"18446744073709551615","sfixed32":-2147483648,"sfixed64":"-9223372036854775808","bool":true}"#
        ),
    );
}

#[test]
fn values_of_32_bits_are_truncated_before_the_test_for_zero() {
    check(SCALARS, Wire::new().varint(3, 1 << 32), "{}");
    check(SCALARS, Wire::new().varint(3, (1 << 32) + 5), r#"{"int32":5}"#);
    check(SCALARS, Wire::new().varint(3, 0xffff_ffff), r#"{"int32":-1}"#);
    check(SCALARS, Wire::new().varint(5, 7 << 32), "{}");
    check(SCALARS, Wire::new().varint(7, 1 << 32 | 1), r#"{"sint32":-1}"#);
    check(SCALARS, Wire::new().varint(16, 1 << 32 | 1), r#"{"color":"COLOR_RED"}"#);
    check(SCALARS, Wire::new().varint(16, 1 << 32), "{}");
}

#[test]
fn a_bool_is_true_for_every_varint_except_zero() {
    check(SCALARS, Wire::new().varint(13, 2), r#"{"bool":true}"#);
    check(SCALARS, Wire::new().varint(13, 1 << 40), r#"{"bool":true}"#);
    check(SCALARS, Wire::new().raw(&[13 << 3, 0x80, 0x80, 0x00]), "{}");
}

#[test]
fn zeros_without_presence_are_left_out_even_if_they_are_on_the_wire() {
    let mut zeros = Wire::new().double(1, 0.0).float(2, 0.0);
    for number in 3..=8 {
        zeros = zeros.varint(number, 0);
    }
    let zeros = zeros.fixed32(9, 0).fixed64(10, 0).fixed32(11, 0).fixed64(12, 0).varint(13, 0).bytes(14, b"");
    check(SCALARS, zeros.bytes(15, b"").varint(16, 0).varint(17, 0), "{}");
}

#[test]
fn negative_zero_is_written() {
    check(SCALARS, Wire::new().double(1, -0.0).float(2, -0.0), r#"{"double":-0.0,"float":-0.0}"#);
}

#[test]
fn floating_point_numbers_are_spelled_as_in_ecmascript() {
    for (value, text) in [
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "5e-324"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (f64::NAN, r#""NaN""#),
        (-f64::NAN, r#""NaN""#),
        (f64::INFINITY, r#""Infinity""#),
        (f64::NEG_INFINITY, r#""-Infinity""#),
    ] {
        check(SCALARS, Wire::new().double(1, value), &format!(r#"{{"double":{text}}}"#));
    }
    for (value, text) in [
        (0.1f32, "0.1"),
        (16_777_216.0, "16777216"),
        (3.4028235e38, "3.4028235e+38"),
        (1e-45, "1e-45"),
        (f32::NAN, r#""NaN""#),
        (f32::NEG_INFINITY, r#""-Infinity""#),
    ] {
        check(SCALARS, Wire::new().float(2, value), &format!(r#"{{"float":{text}}}"#));
    }
}

#[test]
fn characters_that_json_or_sqs_and_sns_refuse_are_escaped() {
    for (text, json) in [
        ("\"\\/", r#"\"\\/"#),
        ("\u{8}\u{c}\n\r\t", r"\b\f\n\r\t"),
        ("\0\u{1}\u{1f}\u{7f}", "\\u0000\\u0001\\u001f\u{7f}"),
        ("\u{fffe}\u{ffff}", r"\ufffe\uffff"),
        ("\u{fffd}\u{fdd0}", "\u{fffd}\u{fdd0}"),
        ("<>&'\u{2028}\u{2029}", "<>&'\u{2028}\u{2029}"),
        ("grüße \u{1f980} \u{1fffe}\u{10ffff}", "grüße \u{1f980} \u{1fffe}\u{10ffff}"),
    ] {
        check(SCALARS, Wire::new().string(14, text), &format!(r#"{{"string":"{json}"}}"#));
    }
}

#[test]
fn a_string_that_is_not_utf_8_is_refused_with_the_offset() {
    insta::assert_snapshot!(error(SCALARS, Wire::new().bytes(14, b"ab\xffc")), @"invalid UTF-8 at byte 4 in cases.v1.Scalars.string_: string is not UTF-8");
    insta::assert_snapshot!(error(SCALARS, Wire::new().bytes(14, b"\xed\xa0\x80")), @"invalid UTF-8 at byte 2 in cases.v1.Scalars.string_: string is not UTF-8");
    insta::assert_snapshot!(error(SCALARS, Wire::new().bytes(14, b"\xc3")), @"invalid UTF-8 at byte 2 in cases.v1.Scalars.string_: string is not UTF-8");
    insta::assert_snapshot!(error(SCALARS, Wire::new().bytes(14, b"\xc0\x80")), @"invalid UTF-8 at byte 2 in cases.v1.Scalars.string_: string is not UTF-8");
}

#[test]
fn bytes_are_standard_base64_with_padding() {
    for (bytes, text) in [
        (&b"\xfb\xff"[..], "+/8="),
        (b"\xff", "/w=="),
        (b"abc", "YWJj"),
        (&[0; 4], "AAAAAA=="),
        (b"\xff\xfe\xfd", "//79"),
    ] {
        check(SCALARS, Wire::new().bytes(15, bytes), &format!(r#"{{"bytes":"{text}"}}"#));
    }
}

#[test]
fn an_enum_is_written_as_its_name_or_as_a_number_without_a_name() {
    check(SCALARS, Wire::new().varint(16, 1), r#"{"color":"COLOR_RED"}"#);
    check(SCALARS, Wire::new().varint(16, 1000), r#"{"color":"COLOR_GREEN"}"#);
    check(SCALARS, Wire::new().signed(16, -1), r#"{"color":"COLOR_BELOW"}"#);
    check(SCALARS, Wire::new().varint(16, 0xffff_ffff), r#"{"color":"COLOR_BELOW"}"#);
    check(SCALARS, Wire::new().varint(16, 5), r#"{"color":5}"#);
    check(SCALARS, Wire::new().signed(16, -7), r#"{"color":-7}"#);
}

#[test]
fn a_null_value_is_null_for_every_number() {
    check(SCALARS, Wire::new().varint(17, 3), r#"{"nullValue":null}"#);
    check("cases.v1.Presence", Wire::new().varint(7, 0), r#"{"nullValue":null}"#);
}

#[test]
fn field_numbers_of_29_bits_are_read() {
    check(SCALARS, Wire::new().string(536_870_911, "x"), r#"{"last":"x"}"#);
}

#[test]
fn names_are_camel_case_unless_the_schema_sets_json_name() {
    check(
        "cases.v1.Names",
        Wire::new().varint(1, 1).varint(2, 2).varint(3, 3).varint(4, 4),
        r#"{"snakeCaseName":1,"alreadyCamel":2,"withDigit1":3,"a \"quoted\" name":4}"#,
    );
}

#[test]
fn varints_can_be_longer_than_necessary() {
    check(SCALARS, Wire::new().raw(&[0x98, 0x00, 0x85, 0x80, 0x00]), r#"{"int32":5}"#);
    check(SCALARS, Wire::new().raw(&[14 << 3 | 2, 0x81, 0x00, b'x']), r#"{"string":"x"}"#);
}
