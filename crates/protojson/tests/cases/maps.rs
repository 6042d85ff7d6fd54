use crate::{Wire, check, error};

const MAPS: &str = "cases.v1.Maps";

fn entry(key: Wire, value: Wire) -> Wire {
    key.raw(&value.0)
}

#[test]
fn entries_are_sorted_by_key_as_numbers() {
    let mut wire = Wire::new();
    for key in [10, -1, 9, i64::from(i32::MIN), 0] {
        wire = wire.message(1, Wire::new().signed(1, key).varint(2, 1));
    }
    check(MAPS, wire, r#"{"int32s":{"-2147483648":1,"-1":1,"0":1,"9":1,"10":1}}"#);
    let mut wire = Wire::new();
    for key in [10, -1, 9, i64::MIN, 0, i64::MAX] {
        wire = wire.message(2, Wire::new().signed(1, key).varint(2, 1));
    }
    check(
        MAPS,
        wire,
        r#"{"int64s":{"-9223372036854775808":"1","-1":"1","0":"1","9":"1","10":"1","9223372036854775807":"1"}}"#,
    );
}

#[test]
fn every_kind_of_key_is_sorted() {
    let of = |keys: [Wire; 2], value: Wire| keys.map(|key| entry(key, value.clone()));
    let w = Wire::new;
    for (number, entries, expected) in [
        (
            3,
            of([w().varint(1, 4_294_967_295), w().varint(1, 9)], w().varint(2, 1)),
            r#""uint32s":{"9":true,"4294967295":true}"#,
        ),
        (
            4,
            of([w().varint(1, u64::MAX), w().varint(1, 9)], w().varint(2, 1)),
            r#""uint64s":{"9":"1","18446744073709551615":"1"}"#,
        ),
        (5, of([w().zigzag(1, 1), w().zigzag(1, -1)], w().float(2, 0.5)), r#""sint32s":{"-1":0.5,"1":0.5}"#),
        (6, of([w().zigzag(1, 1), w().zigzag(1, -1)], w().double(2, -0.0)), r#""sint64s":{"-1":-0.0,"1":-0.0}"#),
        (
            7,
            of([w().fixed32(1, u32::MAX), w().fixed32(1, 2)], w().bytes(2, b"a")),
            r#""fixed32s":{"2":"YQ==","4294967295":"YQ=="}"#,
        ),
        (
            8,
            of([w().fixed64(1, u64::MAX), w().fixed64(1, 2)], w().string(2, "a")),
            r#""fixed64s":{"2":"a","18446744073709551615":"a"}"#,
        ),
        (
            9,
            of([w().fixed32(1, 2), w().fixed32(1, u32::MAX)], w().varint(2, 1)),
            r#""sfixed32s":{"-1":"COLOR_RED","2":"COLOR_RED"}"#,
        ),
        (10, of([w().fixed64(1, 2), w().fixed64(1, u64::MAX)], w().message(2, w())), r#""sfixed64s":{"-1":{},"2":{}}"#),
        (11, of([w().varint(1, 1), w().varint(1, 0)], w().string(2, "a")), r#""bools":{"false":"a","true":"a"}"#),
        (12, of([w().string(1, "b"), w().string(1, "a\"")], w().string(2, "x")), r#""strings":{"a\"":"x","b":"x"}"#),
    ] {
        let [one, other] = entries;
        check(MAPS, w().message(number, one.clone()).message(number, other.clone()), &format!("{{{expected}}}"));
        check(MAPS, w().message(number, other).message(number, one), &format!("{{{expected}}}"));
    }
}

#[test]
fn string_keys_are_sorted_by_their_bytes() {
    let mut wire = Wire::new();
    for key in ["b", "\u{1f980}", "a\n", "", "aa", "\u{ffff}", "a"] {
        wire = wire.message(12, Wire::new().string(1, key));
    }
    check(
        MAPS,
        wire,
        "{\"strings\":{\"\":\"\",\"a\":\"\",\"a\\n\":\"\",\"aa\":\"\",\"b\":\"\",\"\\uffff\":\"\",\"\u{1f980}\":\"\"}}",
    );
}

#[test]
fn the_last_of_several_entries_with_one_key_wins() {
    let entry = |key: &str, value: &str| Wire::new().string(1, key).string(2, value);
    check(MAPS, Wire::new().message(12, entry("a", "1")).message(12, entry("a", "2")), r#"{"strings":{"a":"2"}}"#);
    check(
        MAPS,
        Wire::new()
            .message(12, entry("b", "1"))
            .message(12, entry("a", "2"))
            .message(12, entry("b", "3"))
            .message(12, entry("a", "4")),
        r#"{"strings":{"a":"4","b":"3"}}"#,
    );
    check(
        MAPS,
        Wire::new()
            .message(13, Wire::new().string(1, "a").message(2, Wire::new().varint(1, 1)))
            .message(13, Wire::new().string(1, "a").message(2, Wire::new().string(2, "x"))),
        r#"{"messages":{"a":{"text":"x"}}}"#,
    );
}

#[test]
fn a_missing_key_or_value_is_the_default() {
    check(MAPS, Wire::new().message(1, Wire::new()), r#"{"int32s":{"0":0}}"#);
    check(MAPS, Wire::new().message(12, Wire::new()), r#"{"strings":{"":""}}"#);
    check(
        MAPS,
        Wire::new().message(7, Wire::new()).message(9, Wire::new()).message(11, Wire::new()),
        r#"{"fixed32s":{"0":""},"sfixed32s":{"0":"COLOR_UNSPECIFIED"},"bools":{"false":""}}"#,
    );
    check(
        MAPS,
        Wire::new().message(10, Wire::new()).message(13, Wire::new()).message(14, Wire::new()).message(15, Wire::new()),
        r#"{"sfixed64s":{"0":{}},"messages":{"":{}},"times":{"":"1970-01-01T00:00:00Z"},"values":{"":null}}"#,
    );
}

#[test]
fn an_entry_can_have_any_order_and_the_last_key_and_value_win_or_merge() {
    check(MAPS, Wire::new().message(12, Wire::new().string(2, "v").string(1, "k")), r#"{"strings":{"k":"v"}}"#);
    check(
        MAPS,
        Wire::new().message(12, Wire::new().string(1, "a").string(2, "b").string(1, "c").varint(9, 1).string(2, "d")),
        r#"{"strings":{"c":"d"}}"#,
    );
    check(
        MAPS,
        Wire::new().message(
            13,
            Wire::new().message(2, Wire::new().varint(1, 1)).string(1, "k").message(2, Wire::new().string(2, "t")),
        ),
        r#"{"messages":{"k":{"number":1,"text":"t"}}}"#,
    );
}

#[test]
fn a_key_or_value_of_another_wire_type_is_skipped() {
    check(
        MAPS,
        Wire::new().message(12, Wire::new().varint(1, 1).string(2, "v").fixed32(2, 1)),
        r#"{"strings":{"":"v"}}"#,
    );
}

#[test]
fn a_map_split_by_other_fields_is_joined() {
    check(
        MAPS,
        Wire::new().message(1, Wire::new().varint(1, 2)).message(12, Wire::new()).message(1, Wire::new().varint(1, 1)),
        r#"{"int32s":{"1":0,"2":0},"strings":{"":""}}"#,
    );
}

#[test]
fn a_replaced_entry_must_be_well_formed_but_needs_no_json_form() {
    let late = Wire::new().varint(1, 253_402_300_800);
    let entry = |value: &Wire| Wire::new().string(1, "k").message(2, value.clone());
    check(
        MAPS,
        Wire::new().message(14, entry(&late)).message(14, entry(&Wire::new())),
        r#"{"times":{"k":"1970-01-01T00:00:00Z"}}"#,
    );
    insta::assert_snapshot!(error(MAPS, Wire::new().message(14, entry(&Wire::new())).message(14, entry(&late))), @"no JSON form at byte 14 in cases.v1.Maps.times.value: Timestamp is not within the years 1 to 9999");
    insta::assert_snapshot!(error(MAPS, Wire::new().message(14, entry(&Wire::new().raw(&[8]))).message(14, entry(&Wire::new()))), @"malformed protobuf at byte 8 in cases.v1.Maps.times.value: varint runs past the end");
}

#[test]
fn a_map_with_many_shuffled_keys_is_sorted() {
    let keys: Vec<u64> = (0..1000).map(|index| index * 7919 % 1000).collect();
    let mut wire = Wire::new();
    for key in &keys {
        wire = wire.message(4, Wire::new().varint(1, *key).varint(2, *key));
    }
    let entries: Vec<String> = (0..1000).map(|key| format!(r#""{key}":"{key}""#)).collect();
    check(MAPS, wire, &format!(r#"{{"uint64s":{{{}}}}}"#, entries.join(",")));
}
