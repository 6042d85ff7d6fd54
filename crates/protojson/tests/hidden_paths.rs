//! Checks that a path of `redact` or `drop` hides the fields that it leads to in each set, whichever definition serves,
//! and that a path of `include` shows nothing if it leads nowhere.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/source.rs"]
mod source;
#[path = "support/wire.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod wire;

use protojson::{Bytes, DescriptorSet, Options, Schema};
use source::proto2;
use wire::Wire;

const SECRET: &str = "s3cr3t";

const CARD: &str = "message Card { optional string holder = 1; optional string number = 4; }
    message Wallet { optional Card card = 1; }";

fn link(name: &str, body: &str) -> DescriptorSet {
    DescriptorSet::link(name, &proto2(body)).unwrap()
}

/// Joins the set of an owner with two sets that agree on another definition, which serves.
fn join(own: &str, other: &str) -> Schema {
    let (own, one) = (link("own", own), link("one", other));
    Schema::reconcile([&own, &one, &link("two", &format!("{other} message Agrees {{}}"))]).schema
}

fn json(schema: &Schema, options: &Options, payload: &Wire) -> String {
    let mut options = options.clone();
    // The bytes of the secret have the same digits wherever they are.
    options.bytes = Bytes::Hex;
    let mut json = Vec::new();
    match schema.plan("t.M", &options).unwrap().transcode(&payload.0, &mut json) {
        Ok(_) => String::from_utf8(json).unwrap(),
        Err(error) => error.to_string(),
    }
}

/// Whether the secret is in the JSON, as it is or inside bytes.
fn shows_secret(json: &str) -> bool {
    let digits: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    json.contains(SECRET) || json.contains(&digits)
}

/// Returns options whose list has this path.
fn with_path(list: &str, path: &str) -> Options {
    let mut options = Options::default();
    match list {
        "drop" => options.drop.push(path.to_owned()),
        "redact" => options.redact.push(path.to_owned()),
        _ => options.include.push(path.to_owned()),
    }
    options
}

#[test]
fn a_path_hides_a_field_whichever_definition_around_it_serves() {
    let card = || Wire::new().string(4, SECRET);
    let entry = || Wire::new().string(1, "key").message(2, card());
    let mut shown = 0;
    for (field, path, payload) in [
        ("optional Card card = 3;", "card.number", Wire::new().message(3, card())),
        ("repeated Card card = 3;", "card.number", Wire::new().message(3, card())),
        ("oneof one { Card card = 3; }", "card.number", Wire::new().message(3, card())),
        ("map<string, Card> card = 3;", "card.number", Wire::new().message(3, entry())),
        ("optional Wallet card = 3;", "card.card.number", Wire::new().message(3, Wire::new().message(1, card()))),
        ("extensions 3 to 8; } extend M { optional Card card = 3;", "[t.card].number", Wire::new().message(3, card())),
        ("optional string card = 3;", "card", Wire::new().string(3, SECRET)),
    ] {
        let own = format!("message M {{ {field} }} {CARD}");
        for fields in [
            "optional bytes card = 3;",
            "optional string card = 3;",
            "repeated bytes note = 3;",
            "optional string note = 3; optional string card = 7;",
            "optional Other card = 3;",
            "repeated Other card = 3;",
            "map<string, bytes> card = 3;",
            "map<string, Other> card = 3;",
            "optional Pair card = 3;",
            "oneof one { bytes card = 3; string another = 9; }",
            "extensions 3 to 8; } extend M { optional bytes card = 3;",
        ] {
            let other = format!(
                "message M {{ optional string more = 10; {fields} }} message Pair {{ optional bytes value = 2; }}
                 message Other {{ optional string number = 6; optional bytes first = 1; optional bytes raw = 4; }}"
            );
            shown += usize::from(shows_secret(&json(&join("message N {}", &other), &Options::default(), &payload)));
            let joined = join(&own, &other);
            for (list, path) in
                [("redact", path.to_owned()), ("drop", path.to_owned()), ("redact", format!("t.M/{path}"))]
            {
                let json = json(&joined, &with_path(list, &path), &payload);
                assert!(!shows_secret(&json), "{json}: {list} {path} of {field} and {fields}");
            }
        }
    }
    assert!(shown > 30, "only {shown} cases show the secret without a path");
}

#[test]
fn a_path_hides_the_same_field_inside_a_type_that_another_set_serves() {
    let own = "message M { optional Card card = 3; } message Card { optional string number = 1; }";
    let other = "message M { optional Card card = 3; }
        message Card { optional string raw = 1; optional string number = 2; optional string more = 3; }";
    let schema = join(own, other);
    let payload = Wire::new().message(3, Wire::new().string(1, SECRET).string(3, "more"));
    let json = json(&schema, &with_path("redact", "t.M/card.number"), &payload);
    assert!(!shows_secret(&json) && !json.contains("raw\":\"s"), "{json}");
}

#[test]
fn a_path_that_is_the_same_in_all_definitions_hides_nothing_else() {
    let body = "message M { optional Card card = 3; optional string more = 9; }";
    let schema = join(&format!("message M {{ optional Card card = 3; }} {CARD}"), &format!("{body} {CARD}"));
    let payload = Wire::new().message(3, Wire::new().string(1, "holder").string(4, SECRET)).string(9, "more");
    let json = json(&schema, &with_path("redact", "card.number"), &payload);
    assert_eq!(json, r#"{"card":{"holder":"holder","number":"[REDACTED]"},"more":"more"}"#);
}

#[test]
fn an_include_path_shows_nothing_of_a_field_that_it_does_not_lead_through() {
    let card = Wire::new().string(1, "holder").string(4, SECRET);
    for (fields, payload, expected) in [
        ("optional Card card = 3;", Wire::new().message(3, card), r#"{"card":{"holder":"holder"}}"#),
        ("optional bytes card = 3;", Wire::new().string(3, SECRET), "{}"),
        ("repeated string card = 3;", Wire::new().string(3, SECRET), "{}"),
        ("map<string, bytes> card = 3;", Wire::new().message(3, Wire::new().string(1, "k").string(2, SECRET)), "{}"),
        ("oneof one { string card = 3; }", Wire::new().string(3, SECRET), "{}"),
    ] {
        let set = link("own", &format!("message M {{ {fields} }} {CARD}"));
        let schema = Schema::reconcile([&set]).schema;
        let json = json(&schema, &with_path("include", "card.holder"), &payload);
        assert_eq!(json, expected, "{fields}");
    }
}
