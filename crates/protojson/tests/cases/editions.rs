//! A descriptor set of edition 2023. It is written by hand, because protox does not compile editions.

use protojson::{InvalidUtf8, Options, Schema};

use crate::{Wire, json_with};

const OPTIONAL: u64 = 1;
const REPEATED: u64 = 3;
const INT32: u64 = 5;
const STRING: u64 = 9;
const MESSAGE: u64 = 11;
const ENUM: u64 = 14;

// The features, with the numbers of descriptor.proto.
fn explicit() -> Wire {
    Wire::new().varint(1, 1)
}
fn implicit() -> Wire {
    Wire::new().varint(1, 2)
}
fn required() -> Wire {
    Wire::new().varint(1, 3)
}
fn delimited() -> Wire {
    Wire::new().varint(5, 2)
}
fn length_prefixed() -> Wire {
    Wire::new().varint(5, 1)
}

/// Returns a FieldDescriptorProto without options.
fn field(name: &str, number: u64, label: u64, kind: u64, type_name: &str) -> Wire {
    let field = Wire::new().string(1, name).varint(3, number).varint(4, label).varint(5, kind);
    if type_name.is_empty() { field } else { field.string(6, type_name) }
}

/// Adds FieldOptions with features.
fn with(field: Wire, features: Wire) -> Wire {
    field.message(8, Wire::new().message(21, features))
}

fn schema(edition: u64, file_features: Wire) -> Schema {
    let in_oneof = |field: Wire, oneof: u64| field.varint(9, oneof);
    let entry = Wire::new()
        .string(1, "MapEntry")
        .message(2, field("key", 1, OPTIONAL, STRING, ""))
        .message(2, field("value", 2, OPTIONAL, MESSAGE, ".ed.Inner"))
        .message(7, Wire::new().varint(7, 1));
    let outer = Wire::new()
        .string(1, "Outer")
        .message(2, field("from_file", 1, OPTIONAL, INT32, ""))
        .message(2, with(field("explicit", 2, OPTIONAL, INT32, ""), explicit()))
        .message(2, with(field("implicit", 3, OPTIONAL, INT32, ""), implicit()))
        .message(2, field("inner", 4, OPTIONAL, MESSAGE, ".ed.Inner"))
        .message(2, with(field("group", 5, OPTIONAL, MESSAGE, ".ed.Inner"), delimited()))
        .message(2, with(field("prefixed", 6, REPEATED, MESSAGE, ".ed.Inner"), length_prefixed()))
        .message(2, field("map", 7, REPEATED, MESSAGE, ".ed.Outer.MapEntry"))
        .message(2, in_oneof(field("one", 8, OPTIONAL, INT32, ""), 0))
        .message(2, in_oneof(with(field("other", 9, OPTIONAL, STRING, ""), Wire::new().varint(4, 2)), 0))
        .message(2, with(field("color", 10, OPTIONAL, ENUM, ".ed.Color"), explicit()))
        .message(2, field("numbers", 11, REPEATED, INT32, ""))
        .message(2, field("text", 12, OPTIONAL, STRING, ""))
        .message(3, entry)
        .message(8, Wire::new().string(1, "choice"));
    let strict = Wire::new().string(1, "Strict").message(2, with(field("id", 1, OPTIONAL, INT32, ""), required()));
    let inner = Wire::new().string(1, "Inner").message(2, with(field("id", 1, OPTIONAL, INT32, ""), explicit()));
    let color = Wire::new()
        .string(1, "Color")
        .message(2, Wire::new().string(1, "UNKNOWN").varint(2, 0))
        .message(2, Wire::new().string(1, "RED").varint(2, 1));
    let file = Wire::new()
        .string(1, "ed.proto")
        .string(2, "ed")
        .message(4, outer)
        .message(4, strict)
        .message(4, inner)
        .message(5, color)
        .message(8, Wire::new().message(50, file_features))
        .string(12, "editions")
        .varint(14, edition);
    let set = Wire::new().message(1, file);
    Schema::builder().set("ed.binpb", &set.0).unwrap().build().unwrap()
}

#[track_caller]
fn check(file_features: Wire, message_type: &str, wire: Wire, expected: &str) {
    for edition in [1000, 1001] {
        let schema = schema(edition, file_features.clone());
        let found = json_with(&schema, &Options::default(), message_type, &wire).unwrap_or_else(|error| error);
        assert_eq!(found, expected, "edition {edition}");
    }
}

#[test]
fn presence_is_explicit_unless_a_feature_says_otherwise() {
    let zeros = || Wire::new().varint(1, 0).varint(2, 0).varint(3, 0).string(12, "");
    check(Wire::new(), "ed.Outer", zeros(), r#"{"fromFile":0,"explicit":0,"text":""}"#);
    check(implicit(), "ed.Outer", zeros(), r#"{"explicit":0}"#);
}

#[test]
fn members_of_oneofs_and_messages_have_presence_under_every_feature() {
    check(implicit(), "ed.Outer", Wire::new().message(4, Wire::new()).varint(8, 0), r#"{"inner":{},"one":0}"#);
    check(implicit(), "ed.Outer", Wire::new().varint(10, 0), r#"{"color":"UNKNOWN"}"#);
}

#[test]
fn a_delimited_field_is_read_as_a_group_and_its_length_prefixed_form_is_skipped() {
    check(Wire::new(), "ed.Outer", Wire::new().group(5, Wire::new().varint(1, 1)), r#"{"group":{"id":1}}"#);
    check(Wire::new(), "ed.Outer", Wire::new().message(5, Wire::new().varint(1, 1)), "{}");
}

#[test]
fn messages_of_a_delimited_file_are_groups_except_map_entries_and_values() {
    let entry = Wire::new().string(1, "k").message(2, Wire::new().varint(1, 1));
    check(
        delimited(),
        "ed.Outer",
        Wire::new().group(4, Wire::new().varint(1, 1)).message(6, Wire::new().varint(1, 2)).message(7, entry),
        r#"{"inner":{"id":1},"prefixed":[{"id":2}],"map":{"k":{"id":1}}}"#,
    );
}

#[test]
fn a_missing_legacy_required_field_is_an_error() {
    check(Wire::new(), "ed.Strict", Wire::new().varint(1, 0), r#"{"id":0}"#);
    check(Wire::new(), "ed.Strict", Wire::new(), "required field missing at byte 0 in ed.Strict: id is not set");
}

#[test]
fn lists_are_read_both_packed_and_unpacked() {
    check(Wire::new(), "ed.Outer", Wire::new().varint(11, 1).packed(11, &[2, 3]), r#"{"numbers":[1,2,3]}"#);
}

#[test]
fn only_strings_without_validation_are_replaced() {
    let mut replacing = Options::default();
    replacing.invalid_utf8 = InvalidUtf8::Replace;
    let [none, verify] = [3, 2].map(|mode| Wire::new().varint(4, mode));
    let found = |file_features: &Wire| {
        json_with(&schema(1000, file_features.clone()), &replacing, "ed.Outer", &Wire::new().bytes(12, b"\xff"))
    };
    assert_eq!(found(&none).as_deref(), Ok("{\"text\":\"\u{fffd}\"}"));
    assert!(found(&verify).is_err() && found(&Wire::new()).is_err());
    let checked = |file_features: &Wire| {
        json_with(&schema(1000, file_features.clone()), &replacing, "ed.Outer", &Wire::new().bytes(9, b"\xff"))
    };
    assert!(checked(&none).is_err(), "the feature of the field takes precedence");
}

#[test]
fn strings_are_validated() {
    check(
        Wire::new(),
        "ed.Outer",
        Wire::new().bytes(12, b"\xff"),
        "invalid UTF-8 at byte 2 in ed.Outer.text: string is not UTF-8",
    );
}
