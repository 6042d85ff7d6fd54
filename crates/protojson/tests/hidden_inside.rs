//! Checks that a marked field inside a message stays hidden, whatever another set makes of the fields around it.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/source.rs"]
mod source;
#[path = "support/wire.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod wire;

use std::time::Duration;

use protojson::{Bytes, DescriptorSet, Options, Rule, Schema};
use source::proto2;
use wire::Wire;

const SECRET: &str = "s3cr3t";

/// A type `M` whose field 3 holds a card with a marked number.
const CARD: &str = "message Card { optional string holder = 1; optional string owner = 2;
    optional string number = 4 [debug_redact = true]; }";

fn link(name: &str, body: &str) -> DescriptorSet {
    DescriptorSet::link(name, &proto2(body)).unwrap()
}

fn join<const N: usize>(sets: [&DescriptorSet; N]) -> Schema {
    Schema::reconcile(sets).schema
}

fn redact_marked() -> Options {
    let mut options = Options::default();
    options.redact_marked = true;
    // The bytes of the secret have the same digits wherever they are.
    options.bytes = Bytes::Hex;
    options
}

/// Returns the JSON of an `M`.
fn json(schema: &Schema, payload: &[u8]) -> String {
    let mut json = Vec::new();
    match schema.plan("t.M", &redact_marked()).unwrap().transcode(payload, &mut json) {
        Ok(_) => String::from_utf8(json).unwrap(),
        Err(error) => error.to_string(),
    }
}

/// Whether the secret is in the JSON, as it is or inside bytes.
fn shows_secret(json: &str) -> bool {
    let digits: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    json.contains(SECRET) || json.contains(&digits)
}

/// Returns `M`s whose field 3 has a card with the secret: as a message, as a group, and as the value of a map.
fn payloads() -> [Vec<u8>; 3] {
    let card = || Wire::new().string(4, SECRET);
    let entry = Wire::new().string(1, "key").message(2, card());
    let group = [&[0x1b], &*card().0, &[0x1c]].concat();
    [Wire::new().message(3, card()).0, group, Wire::new().message(3, entry).0]
}

/// Definitions in which field 3 leads to a mark.
fn leading() -> Vec<(&'static str, DescriptorSet)> {
    let fields = [
        "optional Card card = 3;",
        "repeated Card card = 3;",
        "map<string, Card> card = 3;",
        "oneof one { Card card = 3; }",
        "optional Wallet card = 3;",
        "extensions 3 to 8; } extend M { optional Card card = 3;",
        "optional group Card = 3 { optional string number = 4 [debug_redact = true]; }",
    ];
    let body = |field: &str| match field.contains("group") {
        true => format!("message M {{ {field} }}"),
        false => {
            format!("message M {{ {field} }} {CARD} message Wallet {{ optional Card card = 1; optional M m = 2; }}")
        }
    };
    fields.map(|field| (field, link("own", &body(field)))).to_vec()
}

/// Other definitions of field 3 of `M`.
const OTHERS: [&str; 13] = [
    "optional bytes card = 3; optional string more = 9;",
    "optional string card = 3; optional string more = 9;",
    "repeated string card = 3; optional string more = 9;",
    "optional bytes data = 3; optional string more = 9;",
    "optional Other card = 3; optional string more = 9;",
    "repeated Other card = 3; optional string more = 9;",
    "optional group Group = 3 { optional string number = 4; } optional string more = 9;",
    "oneof one { bytes card = 3; string more = 9; }",
    "map<string, string> card = 3; optional string more = 9;",
    "map<string, bytes> card = 3; optional string more = 9;",
    "map<string, Other> card = 3; optional string more = 9;",
    "optional Pair card = 3; optional string more = 9;",
    "optional string more = 9; extensions 3 to 8; } extend M { optional bytes card = 3;",
];

#[test]
fn a_marked_field_stays_hidden_if_another_set_has_another_type_around_it() {
    let (leading, mut shown) = (leading(), 0);
    for fields in OTHERS {
        let other = format!(
            "message M {{ {fields} }} message Other {{ optional bytes number = 4; }}
             message Pair {{ optional string key = 1; optional bytes value = 2; }}"
        );
        // Two sets agree with each other, so their definition serves.
        let (one, two) = (link("one", &other), link("two", &format!("{other} message Own {{}}")));
        shown += payloads().iter().filter(|payload| shows_secret(&json(&join([&one]), payload))).count();
        for (field, own) in &leading {
            let joined = join([&one, own, &two]);
            for payload in payloads() {
                let json = json(&joined, &payload);
                assert!(!shows_secret(&json), "{json} of {field} and {fields}");
            }
        }
    }
    assert!(shown > 15, "only {shown} cases show the secret without the mark");
}

#[test]
fn a_field_with_the_same_type_around_a_mark_is_not_hidden() {
    let own = link("own", &format!("message M {{ optional Card card = 3; }} {CARD}"));
    for field in [
        "optional Card card = 3;",
        "repeated Card card = 3;",
        "optional Card renamed = 3;",
        "oneof one { Card card = 3; }",
    ] {
        let body = format!("message M {{ {field} optional string more = 9; }} {CARD}");
        let joined = join([&own, &link("one", &body), &link("two", &format!("{body} message Own {{}}"))]);
        let card = Wire::new().string(1, "holder").string(4, SECRET);
        let json = json(&joined, &Wire::new().message(3, card).0);
        assert!(json.contains(r#"{"holder":"holder","number":"[REDACTED]"}"#), "{json} of {field}");
    }
}

/// An entry of a map, read as a card, has the card of the entry in its second field. A card, read as an entry, has its
/// first field in the key.
#[test]
fn a_list_has_another_type_around_a_mark_than_a_map_of_the_same_messages() {
    let body = |field: &str| {
        format!(
            "message M {{ {field} card = 3; }}
             message Card {{ optional string number = 1 [debug_redact = true]; optional string owner = 2; }}"
        )
    };
    let card = || Wire::new().string(1, SECRET);
    let (map, list) = (body("map<string, Card>"), body("repeated Card"));
    for (own, other, payload) in [(&map, &list, Wire::new().string(1, "key").message(2, card())), (&list, &map, card())]
    {
        let payload = Wire::new().message(3, payload).0;
        let (own, one, two) = (link("own", own), link("one", other), link("two", &format!("{other} message Own {{}}")));
        assert!(shows_secret(&json(&join([&one]), &payload)), "{other}");
        let json = json(&join([&own, &one, &two]), &payload);
        assert_eq!(json, r#"{"card":null}"#, "{other}");
    }
}

/// The compiler that these tests use refuses two fields with one JSON name. Other compilers accept them.
#[test]
fn a_new_field_with_the_name_of_a_field_around_a_mark_is_shown_unless_both_fields_have_their_declared_names_in_json() {
    let schema = |card: &str, other: &str| {
        let field =
            |name: &str, number, kind| Wire::new().string(1, name).varint(3, number).varint(4, 1).varint(5, kind);
        let number = field("number", 4, 9).message(8, Wire::new().varint(16, 1));
        let holder = Wire::new().string(1, "M").message(2, field(card, 3, 11).string(6, ".t.Card"));
        let file = Wire::new()
            .string(1, "t.proto")
            .string(2, "t")
            .message(4, Wire::new().string(1, "Card").message(2, number))
            .message(4, holder.message(2, field(other, 9, 12)));
        join([&DescriptorSet::link("own", &Wire::new().message(1, file).0).unwrap()])
    };
    let older = schema("the_card", "note");
    let before = older.marked_fields(|_, _| true);
    for (card, other, expected) in [
        ("the_card", "note", vec![]),
        ("renamed", "note", vec![]),
        ("renamed", "the_card", vec!["the_card"]),
        ("renamed", "theCard", vec!["the_card"]),
        ("the_card", "theCard", vec![]),
    ] {
        let now = schema(card, other);
        let shown: Vec<&str> = now.shown(&before).iter().map(|shown| shown.field.name()).collect();
        assert_eq!(shown, expected, "{card} and {other}");
        let mut changes = now.changes(&older);
        changes.retain(|change| change.rule == Rule::RedactionRemoved);
        assert_eq!(changes.len(), expected.len(), "{changes:?} of {card} and {other}");
        // The definition does not hide its own fields.
        let json = json(&now, &Wire::new().string(9, "text").0);
        assert!(json.contains("74657874"), "{json} of {card} and {other}");
    }
}

/// An Any can hold every type, and so every marked field.
#[test]
fn a_field_that_is_an_any_in_another_set_is_hidden_if_any_field_is_marked() {
    let file = |card: &str| {
        let text = format!(
            "syntax = \"proto2\"; package t; import \"google/protobuf/any.proto\";
             message M {{ optional google.protobuf.Any card = 3; }} {card}"
        );
        DescriptorSet::link("own", &source::set("test.proto", &[("test.proto", &text)])).unwrap()
    };
    let body = "message M { optional bytes card = 3; }";
    let (one, two) = (link("one", body), link("two", &format!("{body} message Own {{}}")));
    let any = Wire::new().string(1, "x/t.Card").message(2, Wire::new().string(4, SECRET));
    let payload = Wire::new().message(3, any).0;
    for (card, is_shown) in [(CARD, false), ("message Card { optional string number = 4; }", true)] {
        assert_eq!(shows_secret(&json(&join([&file(card), &one, &two]), &payload)), is_shown, "{card}");
    }
}

/// Returns the processor time of this thread, which does not depend on the load of the machine.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

/// Returns a set of types that all lead to the marked field of `T0`, each with a field of this name.
fn generated(types: usize, name: &str) -> Vec<u8> {
    let field = |name: &str, number, label, of: &str| {
        Wire::new().string(1, name).varint(3, number).varint(4, label).varint(5, 11).string(6, of)
    };
    let text = |name: &str, number| Wire::new().string(1, name).varint(3, number).varint(4, 1).varint(5, 9);
    let mark = Wire::new().varint(16, 1);
    let first = Wire::new().string(1, "T0").message(2, text("number", 4).message(8, mark));
    let mut file = Wire::new().string(1, "t.proto").string(2, "t").message(4, first);
    for at in 1..types {
        let [one, other] = [at / 2, at - 1].map(|inner| format!(".t.T{inner}"));
        let entry =
            Wire::new().string(1, "MapEntry").message(2, text("key", 1)).message(2, field("value", 2, 1, ".t.T0"));
        let message = Wire::new()
            .string(1, &format!("T{at}"))
            .message(2, field("one", 1, 1, &one))
            .message(2, field("other", 2, 3, &other))
            .message(2, field("map", 3, 3, &format!(".t.T{at}.MapEntry")))
            .message(2, text(name, 4 + u64::from(name.as_bytes()[0] - b'a')))
            .message(3, entry.message(7, Wire::new().varint(7, 1)));
        file = file.message(4, message);
    }
    Wire::new().message(1, file).0
}

/// Every type leads to a mark, and every definition differs between the sets. The time limit is far above the time that
/// this takes, and below the time of one pass over the sets per type.
#[test]
fn thousands_of_types_that_lead_to_marks_are_joined_and_compared_at_once() {
    const TYPES: usize = 3_000;
    let sets = ["a", "b", "c"].map(|name| DescriptorSet::link(name, &generated(TYPES, name)).unwrap());
    let before = Schema::reconcile(&sets[..2]).schema;
    let start = processor_time();
    let schema = Schema::reconcile(&sets).schema;
    let joined = processor_time();
    let marked = schema.marked_fields(|_, _| true);
    let collected = processor_time();
    let shown = schema.shown(&marked).len();
    let checked = processor_time();
    let redactions = schema.changes(&before).iter().filter(|change| change.rule == Rule::RedactionRemoved).count();
    let compared = processor_time();
    let [join, collect, check, compare] = [joined - start, collected - joined, checked - collected, compared - checked];
    println!("join {join:?}, collect {collect:?}, check {check:?}, compare {compare:?}");
    assert_eq!((marked.len(), shown, redactions), (3 * TYPES - 2, 0, 0));
    assert!(compared - start < Duration::from_secs(20), "{join:?}, {collect:?}, {check:?}, {compare:?}");
}
