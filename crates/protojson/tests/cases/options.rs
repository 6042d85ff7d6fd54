use protojson::{Bytes, Enums, FieldNames, Int64, Options};

use crate::{SCHEMA, Wire, json_with};

#[track_caller]
fn check(options: impl FnOnce(&mut Options), message_type: &str, wire: Wire, expected: &str) {
    let mut chosen = Options::default();
    options(&mut chosen);
    assert_eq!(json_with(&SCHEMA, &chosen, message_type, &wire).as_deref(), Ok(expected));
}

#[test]
fn field_names_can_be_as_declared() {
    check(
        |options| options.field_names = FieldNames::Proto,
        "cases.v1.Names",
        Wire::new().varint(1, 1).varint(2, 2).varint(4, 4),
        r#"{"snake_case_name":1,"alreadyCamel":2,"renamed":4}"#,
    );
    check(
        |options| options.field_names = FieldNames::Proto,
        "cases.v2.Legacy",
        Wire::new().string(100, "x"),
        r#"{"[cases.v2.label]":"x"}"#,
    );
}

#[test]
fn int64_can_be_numbers_everywhere_except_in_map_keys() {
    let number = |options: &mut Options| options.int64 = Int64::Number;
    check(
        number,
        "cases.v1.Scalars",
        Wire::new().signed(4, -1).varint(6, u64::MAX).zigzag(8, -2).fixed64(10, 1).fixed64(12, u64::MAX),
        r#"{"int64":-1,"uint64":18446744073709551615,"sint64":-2,"fixed64":1,"sfixed64":-1}"#,
    );
    check(
        number,
        "cases.v1.Maps",
        Wire::new().message(2, Wire::new().signed(1, -1).varint(2, 1)),
        r#"{"int64s":{"-1":1}}"#,
    );
    check(number, "cases.v1.Lists", Wire::new().packed(6, &[1, 2]), r#"{"big":[-1,1]}"#);
    check(
        number,
        "cases.v1.WellKnown",
        Wire::new().message(11, Wire::new().varint(1, 1)).message(12, Wire::new()),
        r#"{"int64Value":1,"uint64Value":0}"#,
    );
}

#[test]
fn enums_can_be_numbers() {
    let number = |options: &mut Options| options.enums = Enums::Number;
    check(number, "cases.v1.Scalars", Wire::new().signed(16, -1).varint(17, 1), r#"{"color":-1,"nullValue":null}"#);
    check(number, "cases.v1.Lists", Wire::new().packed(4, &[1, 9]), r#"{"colors":[1,9]}"#);
    check(number, "cases.v1.Maps", Wire::new().message(9, Wire::new().fixed32(1, 1)), r#"{"sfixed32s":{"1":0}}"#);
    check(number, "cases.v2.Legacy", Wire::new().message(7, Wire::new()), r#"{"byName":{"":1}}"#);
}

#[test]
fn bytes_can_be_url_safe_base64() {
    check(
        |options| options.bytes = Bytes::Base64Url,
        "cases.v1.Scalars",
        Wire::new().bytes(15, b"\xfb\xff"),
        r#"{"bytes":"-_8="}"#,
    );
}

#[test]
fn defaults_are_written_for_fields_without_presence() {
    let defaults = |options: &mut Options| options.emit_defaults = true;
    check(
        defaults,
        "cases.v1.Scalars",
        Wire::new().varint(3, 5),
        concat!(
            r#"{"double":0,"float":0,"int32":5,"int64":"0","uint32":0,"uint64":"0","sint32":0,"sint64":"0","fixed32":0,"#,
            r#""fixed64":"0","sfixed32":0,"sfixed64":"0","bool":false,"string":"","bytes":"","color":"COLOR_UNSPECIFIED","#,
            r#""nullValue":null,"last":""}"#
        ),
    );
    check(defaults, "cases.v1.Presence", Wire::new().varint(1, 0), r#"{"number":0,"plain":false}"#);
    check(
        defaults,
        "cases.v2.Legacy",
        Wire::new(),
        r#"{"sizes":[],"many":[],"byName":{},"unpacked":[],"[cases.v2.counts]":[]}"#,
    );
    check(
        defaults,
        "cases.v1.WellKnown",
        Wire::new().message(1, Wire::new()),
        r#"{"timestamp":"1970-01-01T00:00:00Z","anys":[]}"#,
    );
}

#[test]
fn defaults_are_at_the_place_of_the_field_for_any_wire_order() {
    let defaults = |options: &mut Options| options.emit_defaults = true;
    let expected = r#"{"numbers":[],"texts":["a"],"inner":[],"colors":[],"doubles":[1],"big":[],"datas":[],"bools":[],"times":[]}"#;
    check(defaults, "cases.v1.Lists", Wire::new().packed(1, &[]).string(2, "a").double(5, 1.0), expected);
    check(defaults, "cases.v1.Lists", Wire::new().double(5, 1.0).string(2, "a").packed(1, &[]), expected);
}

#[test]
fn defaults_are_also_written_inside_any_and_maps() {
    let defaults = |options: &mut Options| options.emit_defaults = true;
    let any = Wire::new().string(1, "t/cases.v1.Presence");
    check(defaults, "google.protobuf.Any", any, r#"{"@type":"t/cases.v1.Presence","plain":false}"#);
    check(
        defaults,
        "cases.v1.Deep",
        Wire::new().message(4, Wire::new()),
        r#"{"level":0,"children":[],"named":{"":{"level":0,"children":[],"named":{},"note":""}},"note":""}"#,
    );
}

#[test]
fn a_redacted_field_without_presence_is_left_out_if_it_is_zero() {
    for emit_defaults in [false, true] {
        let redact = |options: &mut Options| {
            options.redact.push("plain".into());
            options.emit_defaults = emit_defaults;
        };
        let presence = "cases.v1.Presence";
        check(redact, presence, Wire::new(), "{}");
        check(redact, presence, Wire::new().varint(12, 0), "{}");
        check(redact, presence, Wire::new().varint(12, 1), r#"{"plain":null}"#);
        check(redact, presence, Wire::new().varint(12, 1).varint(12, 0), "{}");
        check(redact, presence, Wire::new().varint(12, 1).varint(1, 1).varint(12, 0), r#"{"number":1}"#);
    }
}
