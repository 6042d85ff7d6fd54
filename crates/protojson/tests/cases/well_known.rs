use crate::{Wire, check, error};

const WELL_KNOWN: &str = "cases.v1.WellKnown";

fn seconds_and_nanos(seconds: i64, nanos: i64) -> Wire {
    Wire::new().signed(1, seconds).signed(2, nanos)
}

#[track_caller]
fn check_timestamp(seconds: i64, nanos: i64, expected: &str) {
    check(
        WELL_KNOWN,
        Wire::new().message(1, seconds_and_nanos(seconds, nanos)),
        &format!(r#"{{"timestamp":"{expected}"}}"#),
    );
}

#[track_caller]
fn check_duration(seconds: i64, nanos: i64, expected: &str) {
    check(
        WELL_KNOWN,
        Wire::new().message(2, seconds_and_nanos(seconds, nanos)),
        &format!(r#"{{"duration":"{expected}"}}"#),
    );
}

#[test]
fn timestamps_are_rfc_3339_with_0_3_6_or_9_digits() {
    check_timestamp(0, 0, "1970-01-01T00:00:00Z");
    check_timestamp(1_767_323_045, 600_000_000, "2026-01-02T03:04:05.600Z");
    check_timestamp(1, 1_000_000, "1970-01-01T00:00:01.001Z");
    check_timestamp(1, 1_000, "1970-01-01T00:00:01.000001Z");
    check_timestamp(1, 1, "1970-01-01T00:00:01.000000001Z");
    check_timestamp(1, 999_999_999, "1970-01-01T00:00:01.999999999Z");
    check_timestamp(-1, 999_999_999, "1969-12-31T23:59:59.999999999Z");
    check_timestamp(951_782_399, 0, "2000-02-28T23:59:59Z");
    check_timestamp(951_782_400, 0, "2000-02-29T00:00:00Z");
    check_timestamp(-2_203_891_200, 0, "1900-03-01T00:00:00Z");
    check_timestamp(-62_135_596_800, 0, "0001-01-01T00:00:00Z");
    check_timestamp(253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z");
}

#[test]
fn timestamps_out_of_range_are_refused() {
    let of = |seconds, nanos| error(WELL_KNOWN, Wire::new().message(1, seconds_and_nanos(seconds, nanos)));
    insta::assert_snapshot!(of(253_402_300_800, 0), @"no JSON form at byte 2 in cases.v1.WellKnown.timestamp: Timestamp is not within the years 1 to 9999");
    insta::assert_snapshot!(of(0, 1_000_000_000), @"no JSON form at byte 2 in cases.v1.WellKnown.timestamp: nanos of Timestamp are not within 0 to 999999999");
    assert_eq!(of(-62_135_596_801, 0), of(i64::MIN, 0));
    assert_eq!(of(0, -1), of(0, i64::from(i32::MIN)));
}

#[test]
fn durations_are_signed_seconds() {
    check_duration(0, 0, "0s");
    check_duration(1, 500_000_000, "1.500s");
    check_duration(0, -500_000_000, "-0.500s");
    check_duration(-3, -1, "-3.000000001s");
    check_duration(0, 1_000, "0.000001s");
    check_duration(315_576_000_000, 999_999_999, "315576000000.999999999s");
    check_duration(-315_576_000_000, -999_999_999, "-315576000000.999999999s");
}

#[test]
fn durations_out_of_range_or_of_mixed_sign_are_refused() {
    let of = |seconds, nanos| error(WELL_KNOWN, Wire::new().message(2, seconds_and_nanos(seconds, nanos)));
    insta::assert_snapshot!(of(315_576_000_001, 0), @"no JSON form at byte 2 in cases.v1.WellKnown.duration: seconds of Duration are not within ±315576000000");
    insta::assert_snapshot!(of(0, 1_000_000_000), @"no JSON form at byte 2 in cases.v1.WellKnown.duration: nanos of Duration are not within ±999999999");
    insta::assert_snapshot!(of(1, -1), @"no JSON form at byte 2 in cases.v1.WellKnown.duration: seconds and nanos of Duration differ in sign");
    assert_eq!(of(-1, 1), of(1, -1));
    assert_eq!(of(i64::MIN, 0), of(315_576_000_001, 0));
}

#[test]
fn a_field_mask_is_written_as_camel_case_paths() {
    let of = |paths: &[&str]| Wire::new().message(3, paths.iter().fold(Wire::new(), |wire, path| wire.string(1, path)));
    check(WELL_KNOWN, of(&[]), r#"{"mask":""}"#);
    check(WELL_KNOWN, of(&["a", "foo_bar.baz_qux", "x1.y_z"]), r#"{"mask":"a,fooBar.bazQux,x1.yZ"}"#);
    check(WELL_KNOWN, of(&["*", "_a._b"]), r#"{"mask":"*,A.B"}"#);
    for path in [
        "fooBar", "foo__bar", "foo_1", "foo_", "foo_.bar", "a,b", "a b", "é", "", "a.", ".a", "a..b", "1a", "a.1b",
        "a*",
    ] {
        assert!(error(WELL_KNOWN, of(&[path])).starts_with("no JSON form at byte "), "{path}");
    }
    insta::assert_snapshot!(error(WELL_KNOWN, of(&["ok", "foo_1"])), @"no JSON form at byte 12 in cases.v1.WellKnown.mask: FieldMask path does not survive conversion to lowerCamelCase and back");
}

#[test]
fn struct_value_and_list_value_are_plain_json() {
    let number = |value: f64| Wire::new().double(2, value);
    let entry = |key: &str, value: Wire| Wire::new().string(1, key).message(2, value);
    let list = Wire::new().message(1, number(-0.0)).message(1, Wire::new().varint(1, 0)).message(1, Wire::new());
    check(
        WELL_KNOWN,
        Wire::new().message(
            4,
            Wire::new()
                .message(1, entry("z", number(1.0)))
                .message(1, entry("a", Wire::new().message(6, list)))
                .message(
                    1,
                    entry("m", Wire::new().message(5, Wire::new().message(1, entry("", Wire::new().varint(4, 0))))),
                )
                .message(1, entry("a\"", Wire::new().string(3, "\n"))),
        ),
        r#"{"struct":{"a":[-0.0,null,null],"a\"":"\n","m":{"":false},"z":1}}"#,
    );
    check(WELL_KNOWN, Wire::new().message(4, Wire::new()).message(6, Wire::new()), r#"{"struct":{},"list":[]}"#);
}

#[test]
fn the_last_of_equal_struct_keys_wins() {
    let entry = |key: &str, value: f64| Wire::new().string(1, key).message(2, Wire::new().double(2, value));
    check(
        WELL_KNOWN,
        Wire::new().message(
            4,
            Wire::new().message(1, entry("b", 1.0)).message(1, entry("a", 2.0)).message(1, entry("b", 3.0)),
        ),
        r#"{"struct":{"a":2,"b":3}}"#,
    );
}

#[test]
fn a_value_is_written_as_its_last_kind_or_null() {
    let of = |value: Wire| Wire::new().message(5, value);
    let list = |value: u64| Wire::new().message(6, Wire::new().message(1, Wire::new().varint(4, value)));
    check(WELL_KNOWN, of(Wire::new()), r#"{"value":null}"#);
    check(WELL_KNOWN, of(Wire::new().varint(1, 0)), r#"{"value":null}"#);
    check(WELL_KNOWN, of(Wire::new().string(3, "")), r#"{"value":""}"#);
    check(WELL_KNOWN, of(Wire::new().string(3, "x").varint(4, 1)), r#"{"value":true}"#);
    check(WELL_KNOWN, of(Wire::new().varint(4, 1).string(3, "x").varint(9, 9)), r#"{"value":"x"}"#);
    check(WELL_KNOWN, of(list(1).raw(&list(0).0)), r#"{"value":[true,false]}"#);
    check(WELL_KNOWN, of(list(1).varint(4, 1).raw(&list(0).0)), r#"{"value":[false]}"#);
    check(WELL_KNOWN, of(list(1)).raw(&of(list(0)).0), r#"{"value":[true,false]}"#);
}

#[test]
fn a_value_that_is_not_finite_is_refused() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(error(WELL_KNOWN, Wire::new().message(5, Wire::new().double(2, value))), @"no JSON form at byte 3 in cases.v1.WellKnown.value.number_value: number_value of Value is NaN or infinite, which a JSON number cannot express");
        }
    }
}

#[test]
fn wrappers_are_written_as_the_value_inside() {
    let one = |number, value| Wire::new().message(number, value);
    for (wire, expected) in [
        (one(9, Wire::new().double(1, 1.5)), r#"{"doubleValue":1.5}"#),
        (one(10, Wire::new().float(1, 0.1)), r#"{"floatValue":0.1}"#),
        (one(11, Wire::new().signed(1, -1)), r#"{"int64Value":"-1"}"#),
        (one(12, Wire::new().varint(1, u64::MAX)), r#"{"uint64Value":"18446744073709551615"}"#),
        (one(13, Wire::new().signed(1, -1)), r#"{"int32Value":-1}"#),
        (one(14, Wire::new().varint(1, 1)), r#"{"uint32Value":1}"#),
        (one(15, Wire::new().varint(1, 1)), r#"{"boolValue":true}"#),
        (one(16, Wire::new().string(1, "x")), r#"{"stringValue":"x"}"#),
        (one(17, Wire::new().bytes(1, b"x")), r#"{"bytesValue":"eA=="}"#),
    ] {
        check(WELL_KNOWN, wire, expected);
    }
}

#[test]
fn empty_wrappers_are_the_default_value() {
    let mut wire = Wire::new().message(7, Wire::new().varint(1, 1));
    for number in 9..=17 {
        wire = wire.message(number, Wire::new());
    }
    check(
        WELL_KNOWN,
        wire,
        concat!(
            r#"{"empty":{},"doubleValue":0,"floatValue":0,"int64Value":"0","uint64Value":"0","int32Value":0,"#,
            r#""uint32Value":0,"boolValue":false,"stringValue":"","bytesValue":""}"#
        ),
    );
}

#[test]
fn well_known_types_can_be_the_root() {
    check("google.protobuf.Timestamp", Wire::new(), r#""1970-01-01T00:00:00Z""#);
    check("google.protobuf.Int64Value", Wire::new().varint(1, 1), r#""1""#);
    check("google.protobuf.Value", Wire::new(), "null");
    check("google.protobuf.Struct", Wire::new(), "{}");
    check("google.protobuf.ListValue", Wire::new().message(1, Wire::new().varint(4, 1)), "[true]");
    check("google.protobuf.FieldMask", Wire::new().string(1, "a_b"), r#""aB""#);
    check("google.protobuf.Empty", Wire::new().varint(1, 1), "{}");
}
