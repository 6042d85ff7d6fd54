use protojson::{Bytes, Enums, FieldNames, Int64, InvalidUtf8, Options, UnknownAny};

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
fn bytes_can_be_hexadecimal_everywhere() {
    let hex = |options: &mut Options| options.bytes = Bytes::Hex;
    let all: Vec<u8> = (0..=255).collect();
    for length in [1, 2, 15, 16, 17, 255, 256] {
        let digits: String = all[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = format!(r#"{{"bytes":"{digits}"}}"#);
        check(hex, "cases.v1.Scalars", Wire::new().bytes(15, &all[..length]), &expected);
    }
    check(hex, "cases.v1.Lists", Wire::new().bytes(7, b"\xab").bytes(7, b""), r#"{"datas":["ab",""]}"#);
    check(hex, "google.protobuf.BytesValue", Wire::new().bytes(1, b"\x0f"), r#""0f""#);
    check(hex, "google.protobuf.BytesValue", Wire::new(), "\"\"");
}

fn unknown_any() -> Wire {
    Wire::new().message(8, Wire::new().string(1, "t/cases.v1.Nothing").bytes(2, b"\xfb\xff"))
}

fn accept_unknown(options: &mut Options) {
    options.unknown_any = UnknownAny::Bytes;
}

#[test]
fn an_any_of_unknown_type_can_be_its_bytes() {
    let well_known = "cases.v1.WellKnown";
    check(accept_unknown, well_known, unknown_any(), r#"{"any":{"@type":"t/cases.v1.Nothing","value":"+/8="}}"#);
    let parts = Wire::new().message(8, Wire::new().bytes(2, b"x")).message(8, Wire::new().string(1, "Nothing"));
    check(accept_unknown, well_known, parts, r#"{"any":{"@type":"Nothing","value":"eA=="}}"#);
    check(accept_unknown, well_known, Wire::new().message(8, Wire::new()), r#"{"any":{}}"#);
    let nameless = Wire::new().message(8, Wire::new().bytes(2, b"x"));
    check(accept_unknown, well_known, nameless, r#"{"any":{"@type":"","value":"eA=="}}"#);
    let inside = Wire::new().string(1, "t/google.protobuf.Any").message(2, Wire::new().string(1, "a\"b"));
    let expected = r#"{"@type":"t/google.protobuf.Any","value":{"@type":"a\"b","value":""}}"#;
    check(accept_unknown, "google.protobuf.Any", inside, expected);
    let known = Wire::new().message(8, Wire::new().string(1, "t/cases.v1.Presence"));
    check(accept_unknown, well_known, known, r#"{"any":{"@type":"t/cases.v1.Presence"}}"#);
    let hex = |options: &mut Options| {
        accept_unknown(options);
        options.bytes = Bytes::Hex;
    };
    check(hex, well_known, unknown_any(), r#"{"any":{"@type":"t/cases.v1.Nothing","value":"fbff"}}"#);
}

#[test]
fn an_any_of_unknown_type_has_no_bytes_if_the_options_hide_fields() {
    type Hide = fn(&mut Options);
    let hide: [Hide; 4] = [
        |options| options.redact_marked = true,
        |options| options.redact.push("secret".into()),
        |options| options.drop.push("secret".into()),
        |options| options.include.push("any".into()),
    ];
    for hide in hide {
        let options = |options: &mut Options| {
            accept_unknown(options);
            hide(options);
        };
        let expected = r#"{"any":{"@type":"t/cases.v1.Nothing","value":null}}"#;
        check(options, "cases.v1.WellKnown", unknown_any(), expected);
    }
}

fn replace(options: &mut Options) {
    options.invalid_utf8 = InvalidUtf8::Replace;
}

#[track_caller]
fn refuses_utf8(message_type: &str, wire: &Wire) {
    let mut options = Options::default();
    replace(&mut options);
    let error = json_with(&SCHEMA, &options, message_type, wire).expect_err("the payload must be refused");
    assert!(error.starts_with("invalid UTF-8 at byte "), "{error}");
}

#[test]
fn invalid_utf8_can_be_replaced_in_proto2() {
    let unchecked = "cases.v2.Unchecked";
    check(replace, unchecked, Wire::new().bytes(1, b"M\xfcller \"x\""), "{\"text\":\"M\u{fffd}ller \\\"x\\\"\"}");
    check(replace, unchecked, Wire::new().string(1, "Müller"), r#"{"text":"Müller"}"#);
    let lines = Wire::new().bytes(2, b"\xff").string(2, "a").bytes(2, &[&b"x".repeat(40)[..], b"\xe2\x82"].concat());
    let expected = format!("{{\"lines\":[\"\u{fffd}\",\"a\",\"{}\u{fffd}\"]}}", "x".repeat(40));
    check(replace, unchecked, lines, &expected);
    let entry = Wire::new().string(1, "k").bytes(2, b"\xff");
    check(replace, unchecked, Wire::new().message(3, entry), "{\"notes\":{\"k\":\"\u{fffd}\"}}");
    check(replace, "cases.v2.Legacy", Wire::new().bytes(100, b"\xff"), "{\"[cases.v2.label]\":\"\u{fffd}\"}");
    // Replaced values, in order and out of order.
    check(replace, unchecked, Wire::new().bytes(1, b"\xff").string(1, "x"), r#"{"text":"x"}"#);
    let twice = Wire::new().message(3, Wire::new().bytes(2, b"\xff").bytes(2, b"\xfe"));
    check(replace, unchecked, twice.bytes(1, b"\xff"), "{\"text\":\"\u{fffd}\",\"notes\":{\"\":\"\u{fffd}\"}}");
}

#[test]
fn invalid_utf8_is_never_replaced_in_proto3_map_keys_and_well_known_types() {
    refuses_utf8("cases.v1.Scalars", &Wire::new().bytes(14, b"\xff"));
    refuses_utf8("cases.v2.Unchecked", &Wire::new().message(3, Wire::new().bytes(1, b"\xff")));
    refuses_utf8("google.protobuf.StringValue", &Wire::new().bytes(1, b"\xff"));
    refuses_utf8("google.protobuf.Value", &Wire::new().bytes(3, b"\xff"));
    refuses_utf8("google.protobuf.Any", &Wire::new().bytes(1, b"/\xff"));
}

#[test]
fn a_tapped_string_is_never_replaced_because_two_ids_could_become_equal() {
    let mut options = Options::default();
    replace(&mut options);
    let plan = SCHEMA.plan("cases.v2.Unchecked", &options).unwrap().with_tap("text").unwrap();
    let transcode = |wire: Wire| {
        let (mut json, mut taps) = (Vec::new(), protojson::Taps::new());
        let result = plan.transcode_tapped(&wire.0, &mut json, &mut taps);
        result.map(|()| (String::from_utf8(json).unwrap(), taps.get(0).map(str::to_owned)))
    };
    let invalid = || Wire::new().bytes(1, b"a\xff");
    for wire in [invalid(), Wire::new().string(2, "x").bytes(1, b"a\xff")] {
        assert_eq!(transcode(wire).unwrap_err().kind(), protojson::ErrorKind::InvalidUtf8);
    }
    let untapped = Wire::new().string(1, "id").bytes(2, b"\xff");
    let expected = "{\"text\":\"id\",\"lines\":[\"\u{fffd}\"]}".to_owned();
    assert_eq!(transcode(untapped).unwrap(), (expected, Some("id".to_owned())));
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
