//! Checks several sets that define the same name, and the changes between two schemas that break consumers of the JSON.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/source.rs"]
mod source;

use protojson::{DescriptorSet, Options, Schema, SchemaError};
use source::{proto2, proto3};

fn join(sets: &[(&str, &str)]) -> Result<Schema, SchemaError> {
    let sets: Vec<DescriptorSet> =
        sets.iter().map(|(name, body)| DescriptorSet::link(name, &proto3(body)).unwrap()).collect();
    Schema::join(&sets)
}

const SMALL: &str = "message Money { string currency = 1; } enum Color { RED = 0; }";
const LARGE: &str = "message Money { string currency = 1; int64 units = 2; oneof x { bool y = 3; } }
                     enum Color { RED = 0; BLUE = 1; }";

#[test]
fn the_larger_of_two_compatible_definitions_serves_in_either_order() {
    for sets in [[("small", SMALL), ("large", LARGE)], [("large", LARGE), ("small", SMALL)]] {
        let schema = join(&sets).unwrap();
        let mut json = Vec::new();
        let plan = schema.plan("t.Money", &Options::default()).unwrap();
        plan.transcode(b"\x0a\x03EUR\x10\x05", &mut json).unwrap();
        assert_eq!(json, br#"{"currency":"EUR","units":"5"}"#);
        let outgrown: Vec<String> =
            schema.outgrown().iter().map(|o| format!("{} of {} by {}", o.full_name, o.set, o.by)).collect();
        assert_eq!(outgrown, ["t.Color of small by large", "t.Money of small by large"]);
    }
}

#[test]
fn identical_definitions_in_two_sets_count_as_one() {
    assert_eq!(join(&[("one", SMALL), ("other", SMALL)]).unwrap().outgrown(), []);
}

#[test]
fn sets_that_contradict_each_other_are_refused_and_the_error_names_both_and_the_element() {
    for (other, element) in [
        ("message Money { int32 currency = 1; }", "field currency"),
        ("message Money { string currency = 2; string more = 3; }", "field currency"),
        ("message Money { string code = 1; }", "field currency"),
        ("enum Color { RED = 0; GREEN = 2; } message Money { string currency = 1 [json_name = \"c\"]; }", "currency"),
        ("enum Color { ROT = 0; }", "value RED"),
    ] {
        let error = join(&[("one", SMALL), ("two", other)]).unwrap_err();
        assert_eq!((error.set(), error.other()), ("two", Some("one")), "{other}");
        assert!(error.to_string().contains(element), "{error}");
    }
    // Each set adds a different field.
    let (one, two) = ("message M { int32 a = 1; int32 b = 2; }", "message M { int32 a = 1; int32 c = 3; }");
    assert!(join(&[("one", one), ("two", two)]).is_err());
}

#[test]
fn definitions_that_give_different_json_contradict_each_other() {
    for (one, other) in [
        (
            "message M { map<string, int32> a = 1; int32 x = 2; }",
            "message M { map<string, string> a = 1; int32 y = 3; }",
        ),
        ("message M { map<string, int32> a = 1; }", "message M { map<string, int64> a = 1; }"),
    ] {
        for sets in [[("a", one), ("b", other)], [("a", other), ("b", one)]] {
            let error = join(&sets).expect_err(one).to_string();
            assert!(error.contains("t.M is defined differently in a (look at field a)"), "{error}");
        }
    }
    // In proto2 the field has presence, and in proto3 it has not.
    let body = "message M { optional string a = 1; }";
    let proto2 = DescriptorSet::link("a", &proto2(body)).unwrap();
    let file = r#"syntax = "proto3"; package t; message M { string a = 1; }"#;
    let proto3 = DescriptorSet::link("b", &source::set("test.proto", &[("test.proto", file)])).unwrap();
    assert!(Schema::join([&proto2, &proto3]).is_err());
    assert!(Schema::join([&proto3, &proto2]).is_err());
}

#[test]
fn definitions_that_differ_in_marks_alone_agree() {
    for (one, other) in [
        ("message M { string a = 1 [debug_redact = true]; }", "message M { string a = 1; }"),
        (
            "message M { string a = 1 [debug_redact = true, deprecated = true]; }",
            "message M { string a = 1 [deprecated = true]; int32 b = 2; }",
        ),
        (
            "message M { map<string, int32> a = 1 [debug_redact = true]; }",
            "message M { map<string, int32> a = 1 [debug_redact = false]; }",
        ),
    ] {
        join(&[("a", one), ("b", other)]).unwrap();
        join(&[("a", other), ("b", one)]).unwrap();
    }
}

#[test]
fn a_mark_in_another_set_is_a_change_of_an_unchanged_type_and_names_the_sets_with_the_mark() {
    let link =
        |name: &str, fields: &str| DescriptorSet::link(name, &proto3(&format!("message M {{ {fields} }}"))).unwrap();
    // Its larger definition serves in both schemas.
    let unchanged = link("z", "string a = 1; string b = 2;");
    let marked = Schema::join([&unchanged, &link("B", "string a = 1 [debug_redact = true];")]).unwrap();
    let plain = Schema::join([&unchanged, &link("B", "string a = 1;")]).unwrap();
    for (before, now, expected) in [
        (&marked, &plain, "t.M.a: the option debug_redact was removed (redaction_removed)"),
        (&plain, &marked, "t.M.a: the option debug_redact was added (redaction_added)"),
    ] {
        let changes = now.changes(before);
        let [change] = &*changes else { panic!("{changes:?}") };
        assert_eq!((&*change.to_string(), &*change.sets[0]), (expected, "B"));
    }
}

fn check(before: &str, now: &str, expected: &[&str]) {
    check_schemas(&join(&[("before", before)]).unwrap(), &join(&[("now", now)]).unwrap(), expected);
}

fn check_schemas(before: &Schema, now: &Schema, expected: &[&str]) {
    let changes: Vec<String> = now.breaking_changes(before).iter().map(ToString::to_string).collect();
    assert_eq!(changes, expected);
    assert_eq!(now.breaking_changes(now), []);
}

#[test]
fn additions_are_no_breaking_changes() {
    check(SMALL, LARGE, &[]);
    check("message M { int32 a = 1; }", "message M { int32 a = 1; } message N {}", &[]);
    check("message M { int32 a = 1; }", "message M { optional int32 a = 1; reserved 5; }", &[]);
}

#[test]
fn a_redaction_that_is_removed_breaks_and_one_that_is_added_does_not() {
    let (marked, plain) = ("message M { string a = 1 [debug_redact = true]; }", "message M { string a = 1; }");
    check(marked, plain, &["t.M.a: the option debug_redact was removed (redaction_removed)"]);
    check(plain, marked, &[]);
    let (before, now) = (join(&[("before", plain)]).unwrap(), join(&[("now", marked)]).unwrap());
    let added: Vec<String> = now.changes(&before).iter().map(ToString::to_string).collect();
    assert_eq!(added, ["t.M.a: the option debug_redact was added (redaction_added)"]);
}

#[test]
fn a_mark_inside_a_field_that_gets_another_type_is_a_redaction_that_is_removed() {
    let card = "message Card { string number = 4 [debug_redact = true]; } message Wallet { Card card = 1; }";
    let removed = |now: &str| format!("debug_redact hides a field inside t.Card, and {now} now (redaction_removed)");
    for (before, now, expected) in [
        (
            "Card card = 3;",
            "repeated Card card = 3;",
            vec!["t.M.card: a single value is now a list (cardinality_changed)".to_owned()],
        ),
        (
            "Card card = 3;",
            "bytes card = 3;",
            vec![
                "t.M.card: t.Card is now bytes (type_changed)".to_owned(),
                format!("t.M.card: {}", removed("card = 3 has the type bytes")),
            ],
        ),
        (
            "Wallet card = 3;",
            "repeated Card card = 3;",
            vec![
                "t.M.card: a single value is now a list (cardinality_changed)".to_owned(),
                "t.M.card: debug_redact hides a field inside t.Wallet, and card = 3 has the type repeated t.Card now \
                 (redaction_removed)"
                    .to_owned(),
            ],
        ),
        (
            "map<string, Card> card = 3;",
            "repeated Card card = 3;",
            vec![
                "t.M.card: a map is now a list (cardinality_changed)".to_owned(),
                "t.M.card: debug_redact hides a field inside a map of t.Card, and card = 3 has the type repeated \
                 t.Card now (redaction_removed)"
                    .to_owned(),
            ],
        ),
        (
            "Card card = 3;",
            "string card = 7;",
            vec![
                "t.M.card: number 3 is now 7 (field_renumbered)".to_owned(),
                format!("t.M.card: {}", removed("card = 7 has the type string")),
            ],
        ),
        (
            "Card card = 3;",
            "bytes card = 3 [debug_redact = true];",
            vec!["t.M.card: t.Card is now bytes (type_changed)".to_owned()],
        ),
        ("bytes card = 3;", "Card card = 3;", vec!["t.M.card: bytes is now t.Card (type_changed)".to_owned()]),
    ] {
        let [before, now] = [before, now].map(|field| format!("message M {{ {field} }} {card}"));
        check(&before, &now, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // A marked field that has another number now.
    check(
        "message M { string user_ssn = 3 [debug_redact = true]; }",
        "message M { string userSsn = 5; }",
        &[
            "t.M.user_ssn: field 3 was removed (field_removed)",
            "t.M.user_ssn: the option debug_redact was removed (redaction_removed)",
        ],
    );
}

/// The larger definition of set `b` serves in both schemas, and hides the field only while set `a` leads to a mark.
#[test]
fn a_field_that_another_set_hides_around_its_mark_becomes_visible_and_hidden_with_that_set() {
    let own = "message M { Card card = 3; } message Card { string number = 4 [debug_redact = true]; }";
    let link = |name: &str, body: &str| DescriptorSet::link(name, &proto3(body)).unwrap();
    let [b, c] = ["b", "c"].map(|name| link(name, &format!("message M {{ bytes card = 3; }} message Own{name} {{}}")));
    let with = Schema::reconcile([&link("a", own), &b, &c]).schema;
    let without =
        Schema::reconcile([&link("a", "message Card { string number = 4 [debug_redact = true]; }"), &b, &c]).schema;
    for (before, now, expected) in [
        (
            &with,
            &without,
            "t.M.card: debug_redact hides a field inside t.Card, and card = 3 has the type bytes now (redaction_removed)",
        ),
        (
            &without,
            &with,
            "t.M.card: the type t.Card of another set has a field with the option debug_redact (redaction_added)",
        ),
    ] {
        let changes = now.changes(before);
        let [change] = &*changes else { panic!("{changes:?}") };
        assert_eq!((&*change.to_string(), &*change.sets[0]), (expected, "a"));
    }
}

#[test]
fn each_breaking_change_names_the_type_the_element_and_the_change() {
    for (before, now, expected) in [
        ("message M { int32 a = 1; }", "", "t.M: the message type was removed (message_removed)"),
        ("message M { int32 a = 1; }", "message M {}", "t.M.a: field 1 was removed (field_removed)"),
        (
            "message M { int32 a_b = 1; }",
            "message M { int32 a_c = 1; }",
            r#"t.M.a_b: "aB" is now "aC" in JSON (field_renamed)"#,
        ),
        (
            "message M { int32 a = 1; }",
            r#"message M { int32 a = 1 [json_name = "x"]; }"#,
            r#"t.M.a: "a" is now "x" in JSON (field_renamed)"#,
        ),
        ("message M { int32 a = 1; }", "message M { int32 a = 2; }", "t.M.a: number 1 is now 2 (field_renumbered)"),
        ("message M { int32 a = 1; }", "message M { int64 a = 1; }", "t.M.a: int32 is now int64 (type_changed)"),
        (
            "message M { N a = 1; } message N {} message O {}",
            "message M { O a = 1; } message N {} message O {}",
            "t.M.a: t.N is now t.O (type_changed)",
        ),
        (
            "message M { int32 a = 1; }",
            "message M { repeated int32 a = 1; }",
            "t.M.a: a single value is now a list (cardinality_changed)",
        ),
        (
            "message M { map<string, int32> a = 1; }",
            "message M { map<string, int64> a = 1; }",
            "t.M.a: map<string, int32> is now map<string, int64> (type_changed)",
        ),
        (
            "message M { E a = 1; } enum E { X = 0; Y = 1; }",
            "message M { E a = 1; } enum E { X = 0; Z = 1; }",
            "t.M.a: value 1 of t.E was Y and is Z (enum_value_renamed)",
        ),
        (
            "message M { map<string, E> a = 1; } enum E { X = 0; Y = 1; }",
            "message M { map<string, E> a = 1; } enum E { X = 0; }",
            "t.M.a: value Y of t.E was removed; the JSON now shows 1 (enum_value_removed)",
        ),
    ] {
        check(before, now, &[expected]);
    }
}

/// Joins proto2 sets.
fn join2(sets: &[(&str, &str)]) -> Schema {
    let sets: Vec<DescriptorSet> =
        sets.iter().map(|(name, body)| DescriptorSet::link(name, &proto2(body)).unwrap()).collect();
    Schema::join(&sets).unwrap()
}

const M: &str = "message M { optional int32 a = 1; extensions 100 to 199; } enum E { X = 1; Y = 2; }";

#[test]
fn changes_of_extensions_are_changes_of_the_type_that_they_extend() {
    for (before, now, expected) in [
        ("optional int32 x = 100;", "", "t.M.[t.x]: extension 100 was removed (field_removed)"),
        (
            "optional int32 x = 100;",
            "optional int32 y = 100;",
            r#"t.M.[t.x]: "[t.x]" is now "[t.y]" in JSON (field_renamed)"#,
        ),
        ("optional int32 x = 100;", "optional int32 x = 101;", "t.M.[t.x]: number 100 is now 101 (field_renumbered)"),
        ("optional int32 x = 100;", "optional int64 x = 100;", "t.M.[t.x]: int32 is now int64 (type_changed)"),
        (
            "optional int32 x = 100;",
            "repeated int32 x = 100;",
            "t.M.[t.x]: a single value is now a list (cardinality_changed)",
        ),
    ] {
        let extend = |field: &str| if field.is_empty() { M.to_owned() } else { format!("{M} extend M {{ {field} }}") };
        let (before, now) = (extend(before), extend(now));
        check_schemas(&join2(&[("before", &before)]), &join2(&[("now", &now)]), &[expected]);
        // The set that serves the type did not change.
        let core = DescriptorSet::link("core", &proto2(M)).unwrap();
        let schema =
            |name: &str, body: &str| Schema::join([&core, &DescriptorSet::link(name, &proto2(body)).unwrap()]).unwrap();
        let (before, now) = (schema("ext", &before), schema("ext", &now));
        check_schemas(&before, &now, &[expected]);
        let [change] = &*now.breaking_changes(&before) else { panic!("{expected}") };
        assert!(change.sets.contains(&"ext".to_owned()), "{change:?}");
        check_schemas(&schema("ext", M), &before, &[]);
    }
    let value = |second: &str| format!("{} extend M {{ optional E x = 100; }}", M.replace("Y = 2", second));
    check_schemas(
        &join2(&[("a", &value("Y = 2"))]),
        &join2(&[("a", &value("Z = 2"))]),
        &["t.M.[t.x]: value 2 of t.E was Y and is Z (enum_value_renamed)"],
    );
}

#[test]
fn the_field_that_takes_the_place_of_an_extension_has_another_name_in_json() {
    check_schemas(
        &join2(&[("a", &format!("{M} extend M {{ optional int32 x = 100; }}"))]),
        &join2(&[("a", "message M { optional int32 a = 1; optional int32 x = 100; } enum E { X = 1; Y = 2; }")]),
        &[r#"t.M.[t.x]: "[t.x]" is now "x" in JSON (field_renamed)"#],
    );
}

#[test]
fn a_field_that_becomes_required_or_is_added_as_required_breaks_producers() {
    let optional = join2(&[("a", "message M { optional int32 a = 1; }")]);
    let required = join2(&[("a", "message M { required int32 a = 1; }")]);
    let added = join2(&[("a", "message M { optional int32 a = 1; required int32 b = 2; }")]);
    let now_required = "t.M.a: it is required now, so payloads without it cannot be published (field_required)";
    check_schemas(&optional, &required, &[now_required]);
    check_schemas(&required, &optional, &[]);
    check_schemas(
        &optional,
        &added,
        &["t.M.b: the new field is required, so payloads without it cannot be published (field_required)"],
    );
}

#[test]
fn an_enum_that_another_set_made_smaller_changes_the_json_of_an_unchanged_set() {
    let link = |name: &str, values: &str| {
        DescriptorSet::link(name, &proto2(&format!("message M {{ optional E e = 1; }} enum E {{ {values} }}"))).unwrap()
    };
    let unchanged = link("a", "X = 0;");
    let before = Schema::join([&unchanged, &link("b", "X = 0; Y = 1;")]).unwrap();
    let now = Schema::join([&unchanged, &link("b", "X = 0;")]).unwrap();
    let changes = now.breaking_changes(&before);
    let [change] = &*changes else { panic!("{changes:?}") };
    assert_eq!(change.to_string(), "t.M.e: value Y of t.E was removed; the JSON now shows 1 (enum_value_removed)");
    assert_eq!(change.sets, ["b", "a"]);
}
