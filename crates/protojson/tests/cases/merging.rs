use crate::{Wire, check, error};

const PRESENCE: &str = "cases.v1.Presence";
const DEEP: &str = "cases.v1.Deep";

#[test]
fn output_is_in_the_order_of_field_numbers_for_any_wire_order() {
    check(
        PRESENCE,
        Wire::new().varint(12, 1).string(9, "b").double(4, 1.5).varint(1, 1),
        r#"{"number":1,"ratio":1.5,"b":"b","plain":true}"#,
    );
}

#[test]
fn the_last_value_of_a_singular_scalar_wins() {
    check(PRESENCE, Wire::new().varint(1, 1).varint(1, 2), r#"{"number":2}"#);
    check(PRESENCE, Wire::new().string(2, "a").varint(1, 1).string(2, "b"), r#"{"number":1,"text":"b"}"#);
    check(PRESENCE, Wire::new().varint(12, 1).varint(12, 0), "{}");
}

#[test]
fn the_parts_of_a_message_are_merged() {
    check(
        PRESENCE,
        Wire::new()
            .message(6, Wire::new().varint(1, 1).string(2, "a"))
            .varint(1, 5)
            .message(6, Wire::new().string(2, "b").varint(5, 1)),
        r#"{"number":5,"inner":{"number":1,"text":"b","color":"COLOR_RED"}}"#,
    );
    check(
        PRESENCE,
        Wire::new().message(6, Wire::new().varint(1, 1)).message(6, Wire::new()),
        r#"{"inner":{"number":1}}"#,
    );
}

#[test]
fn parts_are_merged_at_every_level() {
    let part =
        |number: u32, value: u64| Wire::new().message(1, Wire::new().message(1, Wire::new().varint(number, value)));
    check(
        DEEP,
        part(2, 7)
            .raw(&Wire::new().message(1, Wire::new().message(1, Wire::new().string(7, "x"))).0)
            .raw(&part(2, 8).0),
        r#"{"child":{"child":{"level":8,"note":"x"}}}"#,
    );
}

#[test]
fn lists_and_maps_in_the_parts_of_a_message_are_joined() {
    let part = |level: u64, key: &str| {
        Wire::new().message(3, Wire::new().varint(2, level)).message(4, Wire::new().string(1, key))
    };
    check(
        DEEP,
        Wire::new().message(1, part(1, "b")).message(1, part(2, "a")),
        r#"{"child":{"children":[{"level":1},{"level":2}],"named":{"a":{},"b":{}}}}"#,
    );
}

#[test]
fn the_last_member_of_a_oneof_wins() {
    check(PRESENCE, Wire::new().varint(8, 1).string(9, "x"), r#"{"b":"x"}"#);
    check(PRESENCE, Wire::new().string(9, "x").varint(8, 1), r#"{"a":1}"#);
    check(PRESENCE, Wire::new().varint(8, 1).string(9, "x").varint(8, 0), r#"{"a":0}"#);
    check(PRESENCE, Wire::new().varint(8, 1).varint(12, 1).varint(11, 7), r#"{"d":7,"plain":true}"#);
}

#[test]
fn a_message_in_a_oneof_merges_until_another_member_clears_it() {
    let number = || Wire::new().varint(1, 1);
    let text = || Wire::new().string(2, "x");
    check(PRESENCE, Wire::new().message(10, number()).message(10, text()), r#"{"c":{"number":1,"text":"x"}}"#);
    check(
        PRESENCE,
        Wire::new().message(10, number()).varint(12, 1).message(10, text()),
        r#"{"c":{"number":1,"text":"x"},"plain":true}"#,
    );
    check(PRESENCE, Wire::new().message(10, number()).varint(8, 1).message(10, text()), r#"{"c":{"text":"x"}}"#);
    check(PRESENCE, Wire::new().message(10, number()).varint(8, 1), r#"{"a":1}"#);
}

#[test]
fn a_replaced_value_needs_no_json_form() {
    const WELL_KNOWN: &str = "cases.v1.WellKnown";
    let late = || Wire::new().message(1, Wire::new().varint(1, 253_402_300_800));
    check(WELL_KNOWN, late().message(1, Wire::new().varint(1, 0)), r#"{"timestamp":"1970-01-01T00:00:00Z"}"#);
    let nan = || Wire::new().double(2, f64::NAN);
    check(WELL_KNOWN, Wire::new().message(5, nan().double(2, 1.0)), r#"{"value":1}"#);
    check(WELL_KNOWN, Wire::new().message(5, nan()).message(5, Wire::new().varint(4, 1)), r#"{"value":true}"#);
    let broken = || Wire::new().message(8, Wire::new().string(1, "t/cases.v1.Presence").bytes(2, &[8]));
    check(WELL_KNOWN, broken().message(8, Wire::new().bytes(2, b"")), r#"{"any":{"@type":"t/cases.v1.Presence"}}"#);
    insta::assert_snapshot!(error(WELL_KNOWN, late().message(1, Wire::new().varint(2, 1))), @"no JSON form at byte 0 in cases.v1.WellKnown.timestamp: Timestamp is not within the years 1 to 9999");
}

#[test]
fn a_required_field_can_come_in_a_later_part() {
    check(
        "cases.v2.Strict",
        Wire::new()
            .varint(1, 1)
            .string(2, "a")
            .message(3, Wire::new().varint(1, 2))
            .message(3, Wire::new().string(2, "b")),
        r#"{"id":1,"name":"a","next":{"id":2,"name":"b"}}"#,
    );
}

#[test]
fn a_timestamp_in_parts_is_one_timestamp() {
    check(
        "cases.v1.WellKnown",
        Wire::new().message(1, Wire::new().varint(1, 60)).message(1, Wire::new().varint(2, 5_000_000)),
        r#"{"timestamp":"1970-01-01T00:01:00.005Z"}"#,
    );
}

#[test]
fn a_truncated_record_is_not_completed_by_the_next_part() {
    let cut_off = Wire::new().raw(&[0x0a, 0x02, b'a']);
    for (message_type, number) in [("cases.v1.WellKnown", 16), (DEEP, 1), ("cases.v1.WellKnown", 4)] {
        let wire = Wire::new().message(number, cut_off.clone()).message(number, Wire::new().string(5, "b"));
        assert!(error(message_type, wire).contains("length 2 runs past the end; the rest has 1 bytes"), "{number}");
    }
}

#[test]
fn a_wrapper_in_parts_keeps_the_last_value() {
    check(
        "cases.v1.WellKnown",
        Wire::new().message(16, Wire::new().string(1, "a")).message(16, Wire::new()),
        r#"{"stringValue":"a"}"#,
    );
}
