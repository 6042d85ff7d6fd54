//! Checks which fields a path of the options leads to, and whether a field that was hidden still is.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod random;
#[path = "support/source.rs"]
mod source;

use protojson::{DescriptorSet, FieldPath, MarkedField, Options, Schema, Visibility};
use random::Random;
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
        ("cards.number", Some(vec![3, 2, 4])),
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
        (&dropped, &[3, 2, 4], Visibility::Visible),
        (&marked, &[3, 2, 4], Visibility::Hidden),
        // The key of a map is visible, and the entries of a map have no other fields than the key and the value.
        (&marked, &[3, 1], Visibility::Visible),
        (&plain, &[3, 4], Visibility::Absent),
        (&plain, &[2, 9], Visibility::Absent),
        // The bytes can hold a message that was there before.
        (&plain, &[5, 4], Visibility::Visible),
    ] {
        assert_eq!(schema.visibility("t.Order", options, numbers), expected, "{numbers:?} {options:?}");
    }
}

#[test]
fn a_mark_applies_to_the_number_the_name_and_the_json_name_of_a_field() {
    let before = marked(&schema("message Card { string the_number = 4 [debug_redact = true]; }"));
    let [field] = before.as_slice() else { panic!("{before:?}") };
    assert_eq!((field.message_type(), field.name(), field.number()), ("t.Card", "the_number", 4));
    assert_eq!((field.sets(), field.inner()), (&["shop".to_owned()][..], None));
    for (card, is_shown) in [
        ("string the_number = 4 [debug_redact = true];", false),
        ("string the_number = 4;", true),
        ("string pan = 4;", true),
        ("string the_number = 5;", true),
        ("string theNumber = 5;", true),
        (r#"string pan = 5 [json_name = "theNumber"];"#, true),
        ("string theNumber = 5 [debug_redact = true];", false),
        ("string pan = 5;", false),
        ("", false),
    ] {
        let now = schema(&format!("message Card {{ string holder = 1; {card} }}"));
        let shown = now.shown(&before);
        let sets: Vec<&str> = shown.iter().map(|shown| shown.set).collect();
        assert_eq!(sets, if is_shown { vec!["shop"] } else { vec![] }, "{card}");
        let is_same = card.starts_with("string the_number = 4 [");
        assert_eq!(marked(&now).iter().any(|other| other.key() == field.key()), is_same, "{card}");
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

/// Returns the fields that must stay hidden.
fn marked(schema: &Schema) -> Vec<MarkedField> {
    schema.marked_fields(|_, _| true)
}

/// Joins sets of proto2 files, which can contradict each other.
fn reconcile(bodies: &[&str]) -> protojson::Reconciled {
    let sets: Vec<DescriptorSet> = bodies
        .iter()
        .zip(["a", "b", "c"])
        .map(|(body, name)| DescriptorSet::link(name, &proto2(body)).unwrap())
        .collect();
    Schema::reconcile(&sets)
}

fn redact_marked() -> Options {
    let mut options = Options::default();
    options.redact_marked = true;
    options
}

#[test]
fn a_field_is_hidden_if_any_set_marks_it_whichever_definition_serves() {
    const MARK: &str = "[debug_redact = true]";
    let order = |fields: &str| format!("message Order {{ {fields} extensions 100 to 199; }}");
    let serving = order("optional string id = 1; optional string pan = 4;");
    // Each case has a set beside the set that serves, the number of contradictions, and the numbers of hidden fields.
    for (what, one, other, contradictions, hidden) in [
        ("no mark", serving.clone(), serving.clone(), 0, &[][..]),
        (
            "marks crosswise",
            order(&format!("optional string id = 1 {MARK}; optional string pan = 4;")),
            order(&format!("optional string id = 1; optional string pan = 4 {MARK};")),
            0,
            &[1, 4],
        ),
        ("a smaller definition", serving.clone(), order(&format!("optional string pan = 4 {MARK};")), 0, &[4]),
        (
            "a losing definition",
            serving.clone(),
            order(&format!("optional int32 id = 1; optional string pan = 4 {MARK}; optional string more = 5;")),
            1,
            &[4],
        ),
        ("the number of a field", serving.clone(), order(&format!("optional string number = 4 {MARK};")), 1, &[4]),
        ("the name of a field", serving.clone(), order(&format!("optional string pan = 9 {MARK};")), 1, &[4]),
        (
            "a name and a number",
            order("optional string id = 1; optional string pan = 4; optional string number = 5;"),
            order(&format!("optional string number = 4 {MARK};")),
            1,
            &[4, 5],
        ),
        (
            "the JSON name of a field",
            order("optional string id = 1; optional string userPan = 4;"),
            order(&format!("optional string user_pan = 9 {MARK};")),
            1,
            &[4],
        ),
        (
            "the JSON name that another field is given",
            order("optional string id = 1; optional string pan = 4 [json_name = \"userPan\"];"),
            order(&format!("optional string user_pan = 9 {MARK};")),
            1,
            &[4],
        ),
        (
            "a type that holds a losing definition",
            format!("{serving} enum E {{ A = 0; B = 1; }}"),
            format!(
                "{} enum E {{ A = 0; C = 1; }}",
                order(&format!("optional string id = 1; optional string pan = 4 {MARK}; optional E e = 6;"))
            ),
            1,
            &[4],
        ),
        (
            "an extension",
            format!("{serving} extend Order {{ optional string note = 100; }}"),
            format!("{serving} extend Order {{ optional string note = 100 {MARK}; }}"),
            0,
            &[100],
        ),
        (
            "a losing extension",
            format!("{serving} extend Order {{ optional string note = 100; }}"),
            format!("{serving} extend Order {{ optional int32 memo = 100 {MARK}; }}"),
            1,
            &[100],
        ),
        (
            "the name of an extension",
            format!("{serving} extend Order {{ optional string note = 100; }}"),
            format!("{serving} extend Order {{ optional string note = 101 {MARK}; }}"),
            1,
            &[100],
        ),
    ] {
        // Two sets have the definition that serves. With a set of its own, no definition is marked.
        let unmarked = one.replace(MARK, "");
        for sets in [[&*one, &*other, &*unmarked], [&*unmarked, &*other, &*one], [&*other, &*one, &*unmarked]] {
            let reconciled = reconcile(&sets);
            assert_eq!(reconciled.contradictions.len(), contradictions, "{what}: {:?}", reconciled.contradictions);
            let visible = |number: &u32| {
                reconciled.schema.visibility("t.Order", &redact_marked(), &[*number]) == Visibility::Hidden
            };
            let found: Vec<u32> = [1, 4, 5, 100].into_iter().filter(visible).collect();
            assert_eq!(found, hidden, "{what}");
        }
    }
}

#[test]
fn a_mark_is_gone_only_when_the_last_set_has_removed_it() {
    let marked = "message Card { optional string number = 4 [debug_redact = true]; }";
    let losing = "message Card { optional int32 holder = 1; optional string number = 4 [debug_redact = true]; }";
    let plain = "message Card { optional string holder = 1; optional string number = 4; } message Own {}";
    let before = self::marked(&reconcile(&[marked, losing, plain]).schema);
    let [field] = before.as_slice() else { panic!("{before:?}") };
    assert_eq!(field.sets(), ["a", "b"]);
    for (sets, unmarked) in [
        (vec![marked, plain], None),
        (vec![plain, losing], None),
        (vec![plain, &losing.replace(" [debug_redact = true]", "")], Some("a")),
        (vec![plain], Some("a")),
        (vec!["message Own {}"], None),
    ] {
        let now = reconcile(&sets).schema;
        assert_eq!(now.shown(&before).first().map(|shown| shown.set), unmarked, "{sets:?}");
    }
}

/// Joins random definitions of a type, some of whose fields are marked, and compares with the union of the marks.
#[test]
fn the_hidden_fields_are_the_union_of_the_marks_of_all_sets() {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut random = Random::seeded(16);
    let (mut contradictions, mut hidden) = (0, 0);
    for case in 0..200 {
        let mut marks: Vec<(u32, &str)> = Vec::new();
        let mut definition = || {
            let mut names = NAMES;
            if random.one_in(2) {
                let (one, other) = (random.below(6), random.below(6));
                names.swap(one, other);
            }
            let mut body = String::new();
            for (number, name) in (1..).zip(names) {
                if random.one_in(2) {
                    continue;
                }
                let kind = if random.one_in(6) { "int32" } else { "string" };
                let is_marked = random.one_in(4);
                marks.extend(is_marked.then_some((number, name)));
                let mark = if is_marked { " [debug_redact = true]" } else { "" };
                body.push_str(&format!("optional {kind} {name} = {number}{mark}; "));
            }
            format!("message M {{ {body} }}")
        };
        let sets = [definition(), definition(), definition()];
        let reconciled = reconcile(&sets.each_ref().map(|set| &**set));
        for name in NAMES {
            let trail = reconciled.schema.trail("t.M", FieldPath::new(name)).unwrap();
            let Some(number) = trail.numbers.first().copied() else { continue };
            let is_hidden = marks.iter().any(|mark| mark.0 == number || mark.1 == name);
            let expected = if is_hidden { Visibility::Hidden } else { Visibility::Visible };
            let found = reconciled.schema.visibility("t.M", &redact_marked(), &[number]);
            assert_eq!(found, expected, "case {case}: {name} in {sets:?}");
            hidden += usize::from(is_hidden);
        }
        // Marks contradict nothing.
        let plain = sets.each_ref().map(|set| set.replace(" [debug_redact = true]", ""));
        let plain = reconcile(&plain.each_ref().map(|set| &**set));
        assert_eq!(reconciled.contradictions.len(), plain.contradictions.len(), "case {case}: {sets:?}");
        contradictions += usize::from(!plain.contradictions.is_empty());
    }
    assert!(contradictions > 50 && hidden > 200, "{contradictions} contradictions, {hidden} hidden fields");
}
