use crate::{Wire, check};

const PRESENCE: &str = "cases.v1.Presence";

#[test]
fn an_empty_payload_is_an_empty_object() {
    check(PRESENCE, Wire::new(), "{}");
}

#[test]
fn fields_with_presence_keep_their_zeros() {
    check(
        PRESENCE,
        Wire::new().varint(1, 0).string(2, "").bytes(3, b"").double(4, 0.0).varint(5, 0).message(6, Wire::new()),
        r#"{"number":0,"text":"","data":"","ratio":0,"color":"COLOR_UNSPECIFIED","inner":{}}"#,
    );
}

#[test]
fn members_of_a_oneof_have_presence() {
    check(PRESENCE, Wire::new().varint(8, 0), r#"{"a":0}"#);
    check(PRESENCE, Wire::new().string(9, ""), r#"{"b":""}"#);
    check(PRESENCE, Wire::new().message(10, Wire::new()), r#"{"c":{}}"#);
    check(PRESENCE, Wire::new().varint(11, 0), r#"{"d":"COLOR_UNSPECIFIED"}"#);
}

#[test]
fn a_known_field_with_another_wire_type_is_skipped() {
    check(PRESENCE, Wire::new().string(1, "x").fixed32(1, 1).fixed64(1, 1).group(1, Wire::new()), "{}");
    check(PRESENCE, Wire::new().varint(2, 1).varint(1, 3), r#"{"number":3}"#);
    check(PRESENCE, Wire::new().group(6, Wire::new().varint(1, 1)), "{}");
    check(PRESENCE, Wire::new().varint(6, 1), "{}");
    check(PRESENCE, Wire::new().fixed32(4, 1), "{}");
}

#[test]
fn a_member_with_another_wire_type_does_not_clear_a_oneof() {
    check(PRESENCE, Wire::new().varint(8, 1).varint(9, 1), r#"{"a":1}"#);
}

#[test]
fn unknown_fields_are_skipped_with_any_contents() {
    let unknown = Wire::new()
        .varint(100, 1)
        .fixed32(101, 2)
        .fixed64(102, 3)
        .bytes(103, b"\xff\xff\xff")
        .group(104, Wire::new().varint(1, 1).group(2, Wire::new().bytes(3, b"\xff")).group(104, Wire::new()));
    check(PRESENCE, unknown.clone(), "{}");
    check(
        PRESENCE,
        unknown.clone().varint(1, 1).raw(&unknown.0).message(6, unknown.clone().varint(12, 1)).raw(&unknown.0),
        r#"{"number":1,"inner":{"plain":true}}"#,
    );
}
