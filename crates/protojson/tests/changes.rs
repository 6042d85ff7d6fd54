//! Checks several sets that define the same name, and the changes between two schemas that break consumers of the JSON.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/source.rs"]
mod source;

use protojson::{DescriptorSet, Options, Schema, SchemaError};
use source::proto3;

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
        ("enum Color { RED = 0; GREEN = 2; } message Money { string currency = 1 [deprecated = true]; }", "currency"),
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

fn check(before: &str, now: &str, expected: &[&str]) {
    let (before, now) = (join(&[("before", before)]).unwrap(), join(&[("now", now)]).unwrap());
    let changes: Vec<String> = now.breaking_changes(&before).iter().map(ToString::to_string).collect();
    assert_eq!(changes, expected);
    assert_eq!(now.breaking_changes(&now), []);
}

#[test]
fn additions_are_no_breaking_changes() {
    check(SMALL, LARGE, &[]);
    check("message M { int32 a = 1; }", "message M { int32 a = 1; } message N {}", &[]);
    check("message M { int32 a = 1; }", "message M { optional int32 a = 1; reserved 5; }", &[]);
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
