//! Checks which fields a path of the options leads to, and whether a field that was hidden still is.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/source.rs"]
mod source;

use protojson::{DescriptorSet, FieldPath, Options, Schema, Visibility};
use source::{proto2, proto3};

const SHOP: &str = "
    message Order { string id = 1; Card card = 2; map<string, Card> cards = 3; repeated Card list = 4; bytes raw = 5; }
    message Card { string holder = 1; string number = 4 [debug_redact = true]; }";

fn schema(body: &str) -> Schema {
    Schema::join(&[DescriptorSet::link("shop", &proto3(body)).unwrap()]).unwrap()
}

#[test]
fn a_path_leads_through_messages_lists_and_the_values_of_maps() {
    let schema = schema(SHOP);
    for (path, expected) in [
        ("card", Some(vec![2])),
        ("card.number", Some(vec![2, 4])),
        ("cards.number", Some(vec![3, 4])),
        ("list.number", Some(vec![4, 4])),
        ("card.pan", None),
        ("id.number", None),
        ("cards.value.number", None),
        ("cardNumber", None),
    ] {
        let trail = schema.trail("t.Order", FieldPath::new(path)).unwrap();
        assert_eq!(trail.is_complete.then_some(trail.numbers), expected, "{path}");
    }
    assert_eq!(schema.trail("t.Nothing", FieldPath::new("card")), None);
}

#[test]
fn a_path_does_not_lead_into_a_type_with_a_json_form_of_its_own() {
    let body = "message Order { google.protobuf.Timestamp at = 1; google.protobuf.Any any = 2; }";
    let imports = r#"import "google/protobuf/timestamp.proto"; import "google/protobuf/any.proto";"#;
    let file = format!(r#"syntax = "proto3"; package t; {imports} {body}"#);
    let set = DescriptorSet::link("shop", &source::set("test.proto", &[("test.proto", &file)])).unwrap();
    let schema = Schema::join(&[set]).unwrap();
    for (path, expected) in [("at", true), ("at.seconds", false), ("any.value", false)] {
        assert_eq!(schema.trail("t.Order", FieldPath::new(path)).unwrap().is_complete, expected, "{path}");
    }
}

#[test]
fn a_trail_names_the_sets_beginning_with_the_one_where_the_path_ends() {
    let sets = [
        ("order", "message Order { Card card = 1; } message Card { string holder = 1; }"),
        ("card", "message Card { string holder = 1; string number = 4; }"),
    ];
    let sets = sets.map(|(name, body)| DescriptorSet::link(name, &proto3(body)).unwrap());
    let schema = Schema::join(&sets).unwrap();
    for path in ["card.number", "card.pan"] {
        assert_eq!(schema.trail("t.Order", FieldPath::new(path)).unwrap().sets, ["card", "order"], "{path}");
    }
}

#[test]
fn a_field_is_visible_unless_an_option_hides_it_or_the_schema_lacks_it() {
    let paths = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let (mut plain, mut dropped, mut marked) = (Options::default(), Options::default(), Options::default());
    plain.redact = paths(&["t.Other/card"]);
    dropped.drop = paths(&["t.Order/card.number"]);
    marked.redact_marked = true;
    let schema = schema(SHOP);
    for (options, numbers, expected) in [
        (&plain, &[2, 4][..], Visibility::Visible),
        (&dropped, &[2, 4], Visibility::Hidden),
        (&dropped, &[3, 4], Visibility::Visible),
        (&marked, &[3, 4], Visibility::Hidden),
        (&plain, &[2, 9], Visibility::Absent),
        // The bytes can hold a message that was there before.
        (&plain, &[5, 4], Visibility::Visible),
    ] {
        assert_eq!(schema.visibility("t.Order", options, numbers), expected, "{numbers:?} {options:?}");
    }
}

#[test]
fn a_mark_applies_to_the_name_and_to_the_number_of_a_field() {
    let before = schema(SHOP).marked_fields();
    let [field] = before.as_slice() else { panic!("{before:?}") };
    assert_eq!((&*field.message_type, &*field.name, field.number, &*field.set), ("t.Card", "number", 4, "shop"));
    for (card, unmarked) in [
        ("string holder = 1; string number = 4 [debug_redact = true];", None),
        ("string holder = 1; string number = 4;", Some("shop")),
        ("string holder = 1; string pan = 4;", Some("shop")),
        ("string holder = 1; string number = 5;", Some("shop")),
        ("string holder = 1;", None),
    ] {
        let now = schema(&format!("message Card {{ {card} }}"));
        assert_eq!(now.set_that_unmarks(field), unmarked, "{card}");
        assert_eq!(now.has_marked_field(field), unmarked.is_some() || card.contains("debug_redact"), "{card}");
    }
}

#[test]
fn an_extension_is_hidden_by_its_name_in_brackets() {
    let body = "message Order { optional string id = 1; extensions 100 to 199; }
                extend Order { optional string note = 100; }";
    let schema = Schema::join(&[DescriptorSet::link("shop", &proto2(body)).unwrap()]).unwrap();
    let mut options = Options::default();
    options.redact = vec!["t.Order/[t.note]".to_owned()];
    assert!(schema.trail("t.Order", FieldPath::new(&options.redact[0])).unwrap().is_complete);
    let mut json = Vec::new();
    let plan = schema.plan("t.Order", &options).unwrap();
    plan.transcode(b"\x0a\x01a\xa2\x06\x06secret", &mut json).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"id":"a","[t.note]":"[REDACTED]"}"#);
}
