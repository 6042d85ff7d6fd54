//! Checks that the fingerprint of a type changes if its JSON can change, and only then.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/source.rs"]
mod source;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use protojson::{DescriptorSet, Schema};
use source::{proto2, proto3};

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (seed, part) in digest.chunks_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (seed, bytes).hash(&mut hasher);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    digest
}

/// Returns the fingerprints of the types in the package `t` by name, of sets of proto2 files with these bodies.
fn fingerprints(bodies: &[&str]) -> BTreeMap<String, [u8; 32]> {
    let sets = bodies.iter().zip(["a", "b", "c"]).map(|(body, name)| DescriptorSet::link(name, &proto2(body)).unwrap());
    let reconciled = Schema::reconcile(&sets.collect::<Vec<_>>());
    assert!(reconciled.contradictions.is_empty(), "{bodies:?}: {:?}", reconciled.contradictions);
    of(&reconciled.schema)
}

fn of(schema: &Schema) -> BTreeMap<String, [u8; 32]> {
    let all = schema.fingerprints(digest).into_iter().map(|(name, digest)| (name.to_string(), digest));
    all.filter(|(name, _)| name.starts_with("t.")).collect()
}

const M: &str =
    "message M { optional string id = 1; optional Inner inner = 2; optional E e = 3; extensions 100 to 200; }
                 message Inner { optional int32 x = 1; } enum E { A = 0; B = 1; }";

#[test]
fn a_fingerprint_changes_with_the_json_of_its_type() {
    let base = fingerprints(&[M])["t.M"];
    for (what, sets) in [
        ("a new field", vec![M.replacen("message M {", "message M { optional int32 n = 9;", 1)]),
        ("another JSON name", vec![M.replacen("id = 1", "id = 1 [json_name = \"ID\"]", 1)]),
        ("another type", vec![M.replacen("string id", "bytes id", 1)]),
        ("a required field", vec![M.replacen("optional string", "required string", 1)]),
        ("a list", vec![M.replacen("optional string", "repeated string", 1)]),
        ("an enum value", vec![M.replacen("B = 1;", "B = 1; C = 2;", 1)]),
        ("the default of an enum", vec![M.replacen("A = 0; B = 1;", "B = 1; A = 0;", 1)]),
        ("a field inside", vec![M.replacen("int32 x = 1;", "int32 x = 1; optional int32 y = 2;", 1)]),
        ("a mark", vec![M.replacen("id = 1", "id = 1 [debug_redact = true]", 1)]),
        ("a mark of another set", vec![M.to_owned(), M.replacen("id = 1", "id = 1 [debug_redact = true]", 1)]),
        (
            "a mark inside, of another set",
            vec![M.to_owned(), "message Inner { optional int32 x = 1 [debug_redact = true]; }".to_owned()],
        ),
        ("an enum of another set", vec![M.to_owned(), "enum E { A = 0; B = 1; C = 2; }".to_owned()]),
        (
            "a type of another set",
            vec![M.to_owned(), "message Inner { optional int32 x = 1; optional int32 y = 2; }".to_owned()],
        ),
        ("an extension of another set", vec![M.to_owned(), format!("{M} extend M {{ optional string note = 100; }}")]),
    ] {
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        assert_ne!(fingerprints(&sets)["t.M"], base, "{what}");
    }
}

#[test]
fn a_fingerprint_depends_on_nothing_that_leaves_the_json_as_it_is() {
    let base = fingerprints(&[M])["t.M"];
    for (what, sets) in [
        ("another type", vec![format!("message Around {{ optional M m = 1; }} {M} message Last {{}}")]),
        ("a comment", vec![M.replacen("optional string", "/* The id. */ optional string", 1)]),
        ("a deprecated field", vec![M.replacen("id = 1", "id = 1 [deprecated = true]", 1)]),
        ("a deprecated value", vec![M.replacen("B = 1", "B = 1 [deprecated = true]", 1)]),
        ("a default", vec![M.replacen("id = 1", "id = 1 [default = \"x\"]", 1)]),
        ("a reserved number", vec![M.replacen("extensions", "reserved 7; extensions", 1)]),
        (
            "another order",
            vec![
                "enum E { A = 0; B = 1; } message Inner { optional int32 x = 1; }
             message M { optional E e = 3; extensions 100 to 200; optional Inner inner = 2; optional string id = 1; }"
                    .to_owned(),
            ],
        ),
        (
            "other sets",
            vec![
                "message Other { optional int32 x = 1; }".to_owned(),
                M.to_owned(),
                "message Inner { optional int32 x = 1; }".to_owned(),
            ],
        ),
    ] {
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let reversed: Vec<&str> = sets.iter().rev().copied().collect();
        assert_eq!((fingerprints(&sets)["t.M"], fingerprints(&reversed)["t.M"]), (base, base), "{what}");
    }
}

#[test]
fn a_fingerprint_covers_the_types_inside_and_no_types_around() {
    let types = |y: &str, z: &str| {
        fingerprints(&[&format!(
            "message Top {{ map<string, Left> left = 1; }}
             message Left {{ optional Right right = 1; repeated Leaf leaf = 2; {y} }}
             message Right {{ optional Left left = 1; }} message Leaf {{ {z} }} message Apart {{}}"
        )])
    };
    let base = types("", "");
    let changed = |types: BTreeMap<String, [u8; 32]>| {
        let changed = types.into_iter().filter(|(name, digest)| base[name] != *digest);
        changed.map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(changed(types("optional int32 y = 3;", "")), ["t.Left", "t.Right", "t.Top"]);
    assert_eq!(changed(types("", "optional int32 z = 1;")), ["t.Leaf", "t.Left", "t.Right", "t.Top"]);
    // Two types with the same fields differ in their names.
    let distinct: HashMap<[u8; 32], &String> = base.iter().map(|(name, digest)| (*digest, name)).collect();
    assert_eq!(distinct.len(), base.len());
}

#[test]
fn the_same_fields_have_one_fingerprint_in_either_syntax() {
    let fingerprint = |bytes: &[u8]| of(&Schema::builder().set("a", bytes).unwrap().build().unwrap())["t.M"];
    let two = proto2("message M { optional int32 x = 1; repeated M inner = 2; }");
    let three = proto3("message M { optional int32 x = 1; repeated M inner = 2; }");
    assert_eq!(fingerprint(&two), fingerprint(&three));
    // Only one of them refuses strings that are not UTF-8, whatever the options say.
    let [two, three] = [proto2("message M { repeated string x = 1; }"), proto3("message M { repeated string x = 1; }")];
    assert_ne!(fingerprint(&two), fingerprint(&three));
}
