use crate::{Wire, check, error};

const WELL_KNOWN: &str = "cases.v1.WellKnown";

fn any(url: &str, value: Wire) -> Wire {
    Wire::new().string(1, url).message(2, value)
}

#[track_caller]
fn check_any(any: Wire, expected: &str) {
    check(WELL_KNOWN, Wire::new().message(8, any), &format!(r#"{{"any":{expected}}}"#));
}

#[test]
fn the_type_comes_first_and_the_fields_follow_in_the_same_object() {
    check_any(
        any("type.googleapis.com/cases.v1.Presence", Wire::new().varint(1, 1).string(2, "x")),
        r#"{"@type":"type.googleapis.com/cases.v1.Presence","number":1,"text":"x"}"#,
    );
    check_any(
        any("type.googleapis.com/cases.v1.Presence", Wire::new().string(2, "x").varint(1, 1)),
        r#"{"@type":"type.googleapis.com/cases.v1.Presence","number":1,"text":"x"}"#,
    );
    check_any(any("x/cases.v1.Presence", Wire::new()), r#"{"@type":"x/cases.v1.Presence"}"#);
}

#[test]
fn a_type_url_can_be_the_full_name_alone_and_is_written_as_sent() {
    check_any(any("cases.v1.Presence", Wire::new().varint(1, 1)), r#"{"@type":"cases.v1.Presence","number":1}"#);
    check_any(any("google.protobuf.Int32Value", Wire::new()), r#"{"@type":"google.protobuf.Int32Value","value":0}"#);
    check_any(any("/cases.v1.Presence", Wire::new()), r#"{"@type":"/cases.v1.Presence"}"#);
    check_any(any("a/b/cases.v1.Presence", Wire::new()), r#"{"@type":"a/b/cases.v1.Presence"}"#);
}

#[test]
fn a_well_known_type_with_its_own_json_form_is_under_value() {
    check_any(
        any("t/google.protobuf.Timestamp", Wire::new()),
        r#"{"@type":"t/google.protobuf.Timestamp","value":"1970-01-01T00:00:00Z"}"#,
    );
    check_any(
        any("t/google.protobuf.Int64Value", Wire::new().varint(1, 1)),
        r#"{"@type":"t/google.protobuf.Int64Value","value":"1"}"#,
    );
    check_any(any("t/google.protobuf.Value", Wire::new()), r#"{"@type":"t/google.protobuf.Value","value":null}"#);
    check_any(any("t/google.protobuf.Struct", Wire::new()), r#"{"@type":"t/google.protobuf.Struct","value":{}}"#);
    check_any(any("t/google.protobuf.Empty", Wire::new()), r#"{"@type":"t/google.protobuf.Empty"}"#);
}

#[test]
fn an_any_in_an_any_is_under_value() {
    let inner = any("t/cases.v1.Presence", Wire::new().varint(1, 1));
    check_any(
        any("t/google.protobuf.Any", inner),
        r#"{"@type":"t/google.protobuf.Any","value":{"@type":"t/cases.v1.Presence","number":1}}"#,
    );
    check_any(any("t/google.protobuf.Any", Wire::new()), r#"{"@type":"t/google.protobuf.Any","value":{}}"#);
}

#[test]
fn an_empty_any_is_an_empty_object() {
    check_any(Wire::new(), "{}");
    check_any(Wire::new().string(1, "").bytes(2, b""), "{}");
}

#[test]
fn url_and_value_can_come_in_any_order_and_the_last_of_each_wins() {
    let value = Wire::new().varint(1, 1);
    check_any(
        Wire::new().message(2, value.clone()).string(1, "t/a").string(1, "t/cases.v1.Presence"),
        r#"{"@type":"t/cases.v1.Presence","number":1}"#,
    );
    check(
        WELL_KNOWN,
        Wire::new().message(8, Wire::new().message(2, value)).message(8, Wire::new().string(1, "t/cases.v1.Presence")),
        r#"{"any":{"@type":"t/cases.v1.Presence","number":1}}"#,
    );
}

#[test]
fn a_list_holds_several_anys() {
    check(
        WELL_KNOWN,
        Wire::new().message(18, any("t/google.protobuf.Empty", Wire::new())).message(18, Wire::new()),
        r#"{"anys":[{"@type":"t/google.protobuf.Empty"},{}]}"#,
    );
}

#[test]
fn an_unknown_type_is_refused() {
    let of = |any: Wire| error(WELL_KNOWN, Wire::new().message(8, any));
    insta::assert_snapshot!(of(any("t/cases.v1.Nothing", Wire::new())), @"no JSON form at byte 2 in cases.v1.WellKnown.any: Any holds the unknown message type cases.v1.Nothing");
    insta::assert_snapshot!(of(any("cases.v1.Nothing", Wire::new())), @"no JSON form at byte 2 in cases.v1.WellKnown.any: Any holds the unknown message type cases.v1.Nothing");
    insta::assert_snapshot!(of(any("cases.v1.Presence/", Wire::new())), @"no JSON form at byte 2 in cases.v1.WellKnown.any: Any does not name the type of its value");
    insta::assert_snapshot!(of(Wire::new().bytes(2, b"x")), @"no JSON form at byte 2 in cases.v1.WellKnown.any: Any does not name the type of its value");
    insta::assert_snapshot!(of(Wire::new().bytes(1, b"/\xff")), @"invalid UTF-8 at byte 5 in cases.v1.WellKnown.any: string is not UTF-8");
}

#[test]
fn an_error_inside_an_any_has_the_offset_and_the_path() {
    insta::assert_snapshot!(error(WELL_KNOWN, Wire::new().message(8, any("t/cases.v1.Presence", Wire::new().raw(&[8])))), @"malformed protobuf at byte 26 in cases.v1.WellKnown.any.number: varint runs past the end");
}
