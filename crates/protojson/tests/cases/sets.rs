//! An Any whose type is defined in another descriptor set of the schema. Neither set imports the other.

use protojson::{Options, Schema};

use crate::{Wire, json_with};

/// Returns the set of one file in this package, `file.proto`: `message Holder { google.protobuf.Any any = 1; repeated
/// google.protobuf.Any anys = 2; int64 number = 3; }`.
fn set(package: &str) -> Vec<u8> {
    let field = |name: &str, number, label, kind| {
        Wire::new().string(1, name).varint(3, number).varint(4, label).varint(5, kind)
    };
    let message = Wire::new()
        .string(1, "Holder")
        .message(2, field("any", 1, 1, 11).string(6, ".google.protobuf.Any"))
        .message(2, field("anys", 2, 3, 11).string(6, ".google.protobuf.Any"))
        .message(2, field("number", 3, 1, 3));
    let file = Wire::new()
        .string(1, &format!("{package}.proto"))
        .string(2, package)
        .string(3, "google/protobuf/any.proto")
        .message(4, message)
        .string(12, "proto3");
    Wire::new().message(1, file).0
}

#[track_caller]
fn check(wire: Wire, expected: &str) {
    let sets = [("here.binpb", set("here")), ("there.binpb", set("there"))];
    // The result does not depend on the order of the sets.
    for [first, second] in [[&sets[0], &sets[1]], [&sets[1], &sets[0]]] {
        let schema = Schema::builder().set(first.0, &first.1).unwrap().set(second.0, &second.1).unwrap();
        let schema = schema.build().unwrap();
        assert_eq!(json_with(&schema, &Options::default(), "here.Holder", &wire).as_deref(), Ok(expected));
    }
}

fn any(full_name: &str, value: Wire) -> Wire {
    Wire::new().string(1, &format!("t/{full_name}")).message(2, value)
}

fn number(value: u64) -> Wire {
    Wire::new().varint(3, value)
}

#[test]
fn an_any_can_hold_a_type_of_another_set() {
    check(
        Wire::new().message(1, any("there.Holder", number(1))).varint(3, 2),
        r#"{"any":{"@type":"t/there.Holder","number":"1"},"number":"2"}"#,
    );
    check(
        Wire::new().message(2, any("there.Holder", number(1))).message(2, any("here.Holder", number(2))),
        r#"{"anys":[{"@type":"t/there.Holder","number":"1"},{"@type":"t/here.Holder","number":"2"}]}"#,
    );
}

#[test]
fn nested_anys_can_alternate_between_sets() {
    let innermost = any("there.Holder", number(3));
    let inner = any("here.Holder", Wire::new().message(1, innermost).varint(3, 2));
    check(
        Wire::new().message(1, any("there.Holder", Wire::new().message(1, inner.clone()).varint(3, 1))),
        r#"{"any":{"@type":"t/there.Holder","any":{"@type":"t/here.Holder","any":{"@type":"t/there.Holder","number":"3"},"number":"2"},"number":"1"}}"#,
    );
    check(
        Wire::new().message(1, any("google.protobuf.Any", any("there.Holder", Wire::new().message(2, inner)))),
        r#"{"any":{"@type":"t/google.protobuf.Any","value":{"@type":"t/there.Holder","anys":[{"@type":"t/here.Holder","any":{"@type":"t/there.Holder","number":"3"},"number":"2"}]}}}"#,
    );
}

#[test]
fn an_any_of_another_set_can_have_records_out_of_order() {
    let value = || Wire::new().varint(3, 1).message(1, any("here.Holder", number(2)));
    check(
        Wire::new().varint(3, 3).message(1, Wire::new().message(2, value()).string(1, "t/there.Holder")),
        r#"{"any":{"@type":"t/there.Holder","any":{"@type":"t/here.Holder","number":"2"},"number":"1"},"number":"3"}"#,
    );
}
