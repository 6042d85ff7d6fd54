//! Checks that a type knows the extensions of all sets, whatever the names and the order of the sets.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod random;
#[path = "support/source.rs"]
mod source;

use protojson::{Additions, DescriptorSet, Options, Schema, SchemaError, SchemaErrorKind};
use random::Random;

const CORE: &str = r#"syntax = "proto2"; package x;
    message Order { optional string id = 1; extensions 100 to 199; }
    message Envelope { optional Order order = 1; }"#;

/// Returns the set of CORE and a file of the package `y` that imports it.
fn extending(body: &str) -> Vec<u8> {
    let text = format!(r#"syntax = "proto2"; package y; import "core.proto"; {body}"#);
    source::set("ext.proto", &[("core.proto", CORE), ("ext.proto", &text)])
}

fn core() -> Vec<u8> {
    source::set("core.proto", &[("core.proto", CORE)])
}

fn join(sets: &[(&str, &[u8])]) -> Result<Schema, SchemaError> {
    let sets: Vec<DescriptorSet> = sets.iter().map(|(name, bytes)| DescriptorSet::link(name, bytes).unwrap()).collect();
    Schema::join(&sets)
}

#[track_caller]
fn json(schema: &Schema, full_name: &str, payload: &[u8]) -> String {
    let mut json = Vec::new();
    schema.plan(full_name, &Options::default()).unwrap().transcode(payload, &mut json).unwrap();
    String::from_utf8(json).unwrap()
}

/// An order with the text "n" in field 100 and the number 7 in field 101.
const ORDER: &[u8] = b"\x0a\x01a\xa2\x06\x01n\xa8\x06\x07";
/// An envelope of that order.
const ENVELOPE: &[u8] = b"\x0a\x0a\x0a\x01a\xa2\x06\x01n\xa8\x06\x07";

const NOTE: &str = "extend x.Order { optional string note = 100; }";
const WEIGHT: &str = "extend x.Order { optional int32 weight = 101; }";

#[test]
fn a_type_knows_the_extensions_of_all_sets() {
    let (core, note, weight) = (core(), extending(NOTE), extending(WEIGHT));
    let both = r#"{"id":"a","[y.note]":"n","[y.weight]":7}"#;
    let only_note = r#"{"id":"a","[y.note]":"n"}"#;
    for (sets, expected) in [
        (vec![&core], r#"{"id":"a"}"#),
        (vec![&note], only_note),
        (vec![&core, &note], only_note),
        (vec![&note, &core], only_note),
        (vec![&note, &weight], both),
        (vec![&weight, &note], both),
        (vec![&core, &weight, &note], both),
        (vec![&note, &note, &weight], both),
    ] {
        let names = ["a", "b", "c"];
        let sets: Vec<(&str, &[u8])> = names.iter().copied().zip(sets.iter().map(|set| &***set)).collect();
        let schema = join(&sets).unwrap();
        assert_eq!(json(&schema, "x.Order", ORDER), expected);
        assert_eq!(json(&schema, "x.Envelope", ENVELOPE), format!(r#"{{"order":{expected}}}"#));
        let written: serde_json::Value = serde_json::from_str(expected).unwrap();
        let described = schema.json_schema("x.Envelope", &Options::default(), Additions::Accepted).unwrap();
        let properties = described["$defs"]["x_Order"]["properties"].as_object().unwrap();
        assert!(properties.keys().eq(written.as_object().unwrap().keys()), "{described}");
        assert!(jsonschema::is_valid(&described, &serde_json::json!({"order": written})));
    }
}

#[test]
fn the_description_of_an_extension_is_the_comment_of_its_own_set() {
    let (core, note) = (core(), extending("extend x.Order {\n// A remark.\noptional string note = 100; }"));
    let schema = join(&[("a", &core), ("b", &note)]).unwrap();
    let described = schema.json_schema("x.Order", &Options::default(), Additions::Accepted).unwrap();
    assert_eq!(described["$defs"]["x_Order"]["properties"]["[y.note]"]["description"], "A remark.");
}

#[test]
fn a_type_inside_another_type_has_the_definition_that_serves() {
    let file =
        |body: &str| source::proto3(&format!("message Outer {{ Inner inner = 1; map<int32, Inner> map = 2; }} {body}"));
    let small = file("message Inner { E e = 1; } enum E { A = 0; }");
    let large = file("message Inner { E e = 1; int32 more = 2; } enum E { A = 0; B = 1; }");
    for sets in [[("a", &*small), ("b", &*large)], [("a", &*large), ("b", &*small)]] {
        let schema = join(&sets).unwrap();
        let expected = r#"{"inner":{"e":"B","more":5},"map":{"1":{"e":"B","more":5}}}"#;
        let payload = b"\x0a\x04\x08\x01\x10\x05\x12\x08\x08\x01\x12\x04\x08\x01\x10\x05";
        assert_eq!(json(&schema, "t.Outer", payload), expected);
        assert!(schema.check_tap("t.Outer", "inner.more").unwrap().is_ok());
    }
}

#[test]
fn extensions_that_contradict_each_other_are_a_conflict_and_the_error_names_both() {
    let note = extending(NOTE);
    for (body, expected) in [
        (
            "extend x.Order { optional int32 note = 100; }",
            "extension [y.note] of x.Order is defined differently in a; ",
        ),
        (
            "extend x.Order { repeated string note = 100; }",
            "extension [y.note] of x.Order is defined differently in a; ",
        ),
        (
            "extend x.Order { optional string memo = 100; }",
            "extension [y.memo] of x.Order has number 100, which is [y.note] in a; ",
        ),
        (
            "extend x.Order { optional string note = 101; }",
            "extension [y.note] is number 101 of x.Order, and number 100 of x.Order in a; ",
        ),
    ] {
        let other = extending(body);
        let error = join(&[("a", &note), ("b", &other)]).unwrap_err();
        assert_eq!((error.kind(), error.set(), error.other()), (SchemaErrorKind::Conflict, "b", Some("a")), "{error}");
        assert!(error.to_string().starts_with(&format!("descriptor set b: {expected}")), "{error}");
    }
}

#[test]
fn an_extension_with_the_number_of_a_field_is_a_conflict() {
    let grown =
        r#"syntax = "proto2"; package x; message Order { optional string id = 1; optional string note = 100; }"#;
    let grown = source::set("core.proto", &[("core.proto", grown)]);
    let note = extending(NOTE);
    for (sets, expected) in [
        (
            [("a", &*note), ("b", &*grown)],
            "descriptor set b: field x.Order.note has number 100, which is extension [y.note] in a; ",
        ),
        (
            [("a", &*grown), ("b", &*note)],
            "descriptor set b: extension [y.note] of x.Order has number 100, which is field note in a; ",
        ),
    ] {
        let error = join(&sets).unwrap_err();
        assert_eq!((error.kind(), error.set(), error.other()), (SchemaErrorKind::Conflict, "b", Some("a")), "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn different_options_with_one_number_are_no_conflict() {
    // Teams choose the numbers of their options by themselves, and no event holds options.
    let option = |name: &str| {
        let text = format!(
            r#"syntax = "proto2"; package {name}; import "google/protobuf/descriptor.proto";
               extend google.protobuf.FieldOptions {{ optional string {name} = 50001; }}
               message M {{ optional int32 a = 1 [({name}) = "x"]; }}"#
        );
        source::set("options.proto", &[("options.proto", &text)])
    };
    let (one, other) = (option("one"), option("other"));
    let schema = join(&[("a", &one), ("b", &other)]).unwrap();
    assert_eq!(json(&schema, "google.protobuf.FieldOptions", b"\x18\x01\x8a\xb5\x18\x01x"), r#"{"deprecated":true}"#);
    let schema = join(&[("a", &one)]).unwrap();
    let with_option = r#"{"deprecated":true,"[one.one]":"x"}"#;
    assert_eq!(json(&schema, "google.protobuf.FieldOptions", b"\x18\x01\x8a\xb5\x18\x01x"), with_option);
}

/// Splits random extensions over sets with random names in a random order, some of them in several sets.
#[test]
fn the_json_does_not_depend_on_the_split_of_extensions_over_sets() {
    let mut random = Random::seeded(15);
    let lines = |picked: &[usize]| -> String {
        picked.iter().map(|at| format!("extend x.Order {{ optional int32 e{at} = {}; }}", 100 + at)).collect()
    };
    for _ in 0..40 {
        let count = 1 + random.below(6);
        let all: Vec<usize> = (0..count).collect();
        let whole = extending(&lines(&all));
        let whole = join(&[("all", &whole)]).unwrap();
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); 1 + random.below(4)];
        for at in &all {
            let (home, copy) = (random.below(parts.len()), random.below(parts.len()));
            parts[home].push(*at);
            if copy != home && random.one_in(3) {
                parts[copy].push(*at);
            }
        }
        let mut sets: Vec<(String, Vec<u8>)> = parts
            .iter()
            .map(|part| {
                (format!("{}.binpb", random.next()), if part.is_empty() { core() } else { extending(&lines(part)) })
            })
            .collect();
        random.shuffle(&mut sets);
        let sets: Vec<(&str, &[u8])> = sets.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
        let split = join(&sets).unwrap();
        for name in ["x.Order", "x.Envelope"] {
            let payload = whole.sample(name).unwrap();
            assert_eq!(payload, split.sample(name).unwrap(), "{parts:?}");
            assert_eq!(json(&whole, name, &payload), json(&split, name, &payload), "{parts:?}");
            let described =
                |schema: &Schema| schema.json_schema(name, &Options::default(), Additions::Accepted).unwrap();
            assert_eq!(described(&whole), described(&split), "{parts:?}");
        }
    }
}

fn reconcile(sets: &[(&str, Vec<u8>)]) -> protojson::Reconciled {
    let sets: Vec<DescriptorSet> = sets.iter().map(|(name, bytes)| DescriptorSet::link(name, bytes).unwrap()).collect();
    Schema::reconcile(&sets)
}

#[test]
fn each_copy_of_a_losing_extension_is_reported_for_its_set() {
    let (note, other) = (extending(NOTE), |kind: &str, name: &str, number: u32| {
        extending(&format!("extend x.Order {{ optional {kind} {name} = {number}; }}"))
    });
    let field = r#"syntax = "proto2"; package x; message Order { optional string id = 1; optional int32 f = 100; }"#;
    let field = source::set("core.proto", &[("core.proto", field)]);
    for (sets, losers) in [
        // Two sets have the extension that serves, and each of the others loses.
        (
            vec![
                &note,
                &note,
                &other("int32", "note", 100),
                &other("string", "memo", 100),
                &other("string", "note", 101),
            ],
            vec!["c", "d", "e"],
        ),
        // Two sets have the extension that loses.
        (vec![&note, &note, &note, &other("string", "memo", 100), &other("string", "memo", 100)], vec!["d", "e"]),
        // A field has the number of two extensions.
        (vec![&field, &note, &other("string", "memo", 100)], vec!["b", "c"]),
    ] {
        let sets: Vec<(&str, Vec<u8>)> = ["a", "b", "c", "d", "e"].into_iter().zip(sets.into_iter().cloned()).collect();
        let reconciled = reconcile(&sets);
        let mut found: Vec<&str> = reconciled.contradictions.iter().map(SchemaError::set).collect();
        found.sort_unstable();
        assert_eq!(found, losers, "{:#?}", reconciled.contradictions);
    }
}

#[test]
fn an_extension_is_left_out_only_if_it_contradicts_one_that_serves() {
    // `memo` loses its name to number 101, so it does not take number 100 from `note`.
    let sets = [
        ("a", extending("extend x.Order { optional string note = 100; }")),
        ("b", extending("extend x.Order { optional string memo = 100; }")),
        ("c", extending("extend x.Order { optional string memo = 100; }")),
        ("d", extending("extend x.Order { optional string memo = 101; }")),
        ("e", extending("extend x.Order { optional string memo = 101; }")),
        ("f", extending("extend x.Order { optional string memo = 101; }")),
    ];
    let reconciled = reconcile(&sets);
    let losers: Vec<&str> = reconciled.contradictions.iter().map(SchemaError::set).collect();
    assert_eq!(losers, ["b", "c"]);
    let served = json(&reconciled.schema, "x.Order", b"\xa2\x06\x01n\xaa\x06\x01m");
    assert_eq!(served, r#"{"[y.note]":"n","[y.memo]":"m"}"#);
}

#[test]
fn an_extension_whose_type_is_withheld_is_reported() {
    let set = |enumeration: &str, more: &str| {
        extending(&format!("{enumeration} extend x.Order {{ optional E kind = 100; {more} }}"))
    };
    let (good, bad) = ("enum E { A = 0; B = 1; }", "enum E { A = 0; C = 1; }");
    let owner = ("a", set(good, ""));
    let agreeing = ("b", extending(good));
    let losing = ("c", set(bad, "repeated E kinds = 101; optional string text = 102;"));
    let reconciled = reconcile(&[owner, agreeing.clone(), losing.clone()]);
    // The first set has the extension `kind` too, and its type is in force.
    let expected = [("[y.kinds] of x.Order".to_owned(), "c".to_owned())];
    assert_eq!((&*reconciled.withheld_extensions, reconciled.contradictions.len()), (&expected[..], 1));
    let served = json(&reconciled.schema, "x.Order", b"\xa0\x06\x01\xb2\x06\x01t");
    assert_eq!(served, r#"{"[y.kind]":"B","[y.text]":"t"}"#);
    let third = ("d", extending(good));
    let reconciled = reconcile(&[agreeing, losing, third]);
    let withheld: Vec<&str> = reconciled.withheld_extensions.iter().map(|(extension, _)| &**extension).collect();
    assert_eq!(withheld, ["[y.kind] of x.Order", "[y.kinds] of x.Order"]);
}

/// Returns the processor time of this thread, which does not depend on the load of the machine.
fn processor_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::try_from(time).unwrap()
}

/// The time limit is far above the time that this takes, and below the time of one pass over the sets per clash.
#[test]
fn thousands_of_clashing_extensions_are_decided_at_once() {
    const CLASHES: usize = 3_000;
    let core = CORE.replace("199", "99999");
    let set = |kind: &str, name: &str| {
        let fields: String = (0..CLASHES).map(|at| format!("optional {kind} {name}{at} = {};", 100 + at)).collect();
        let text = format!(r#"syntax = "proto2"; package y; import "core.proto"; extend x.Order {{ {fields} }}"#);
        source::set("ext.proto", &[("core.proto", &core), ("ext.proto", &text)])
    };
    let sets = [("a", set("string", "e")), ("b", set("int32", "e")), ("c", set("string", "f"))];
    let sets = sets.map(|(name, bytes)| DescriptorSet::link(name, &bytes).unwrap());
    let start = processor_time();
    let reconciled = Schema::reconcile(&sets);
    let elapsed = processor_time() - start;
    assert_eq!(reconciled.contradictions.len(), 2 * CLASHES);
    assert!(elapsed < std::time::Duration::from_secs(10), "{elapsed:?}");
}
