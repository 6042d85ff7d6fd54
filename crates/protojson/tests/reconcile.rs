//! Checks which definitions are in force if sets contradict each other.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "support/random.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod random;
#[path = "support/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use protojson::{DescriptorSet, Reconciled, Schema};
use random::Random;
use source::proto2;

fn reconcile(bodies: &[(String, String)]) -> Reconciled {
    let sets: Vec<DescriptorSet> =
        bodies.iter().map(|(name, body)| DescriptorSet::link(name, &proto2(body)).unwrap()).collect();
    Schema::reconcile(&sets)
}

fn named(bodies: &[&str]) -> Vec<(String, String)> {
    ["a", "b", "c", "d"].iter().zip(bodies).map(|(name, body)| ((*name).to_owned(), (*body).to_owned())).collect()
}

/// Returns the names of the types in force in the package `t`.
fn in_force(reconciled: &Reconciled) -> BTreeSet<&str> {
    reconciled.schema.messages().map(|(name, _)| name).filter(|name| name.starts_with("t.")).collect()
}

/// Returns the first word of each contradiction, with the set that lost it.
fn lost(reconciled: &Reconciled) -> BTreeSet<(String, String)> {
    let lost = reconciled.contradictions.iter().map(|error| {
        let text = error.to_string();
        let rest = text.strip_prefix(&format!("descriptor set {}: ", error.set())).unwrap();
        (rest.split(' ').next().unwrap().to_owned(), error.set().to_owned())
    });
    lost.collect()
}

/// One set wins the message and the other one wins the enum inside it, if each is decided by itself.
const CROSSING: [&str; 3] = [
    "message M { optional E e = 1; optional int32 x = 2; optional int32 y = 3; } enum E { A = 0; B = 1; }",
    "message M { optional E e = 1; optional string x = 2; } enum E { A = 0; C = 1; }",
    "enum E { A = 0; C = 1; }",
];

#[test]
fn a_message_and_an_enum_inside_it_that_different_sets_win_do_not_withhold_each_other() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let sets = named(&CROSSING);
        let sets: Vec<_> = order.iter().map(|at| sets[*at].clone()).collect();
        let reconciled = reconcile(&sets);
        assert_eq!(in_force(&reconciled), ["t.M"].into());
        assert_eq!(reconciled.withheld, []);
        assert_eq!(lost(&reconciled), [("t.E".to_owned(), "a".to_owned())].into());
        // The definition of the set that has the enum in force serves.
        let payload = reconciled.schema.wire_from_json("t.M", br#"{"e":"C","x":"text"}"#).unwrap();
        assert!(payload.is_ok(), "{payload:?}");
    }
}

#[test]
fn types_that_hold_each_other_are_in_force_together() {
    // Each of the two sets has the larger definition of one of the types.
    let one = "message A { optional B b = 1; optional int32 x = 2; optional int32 y = 3; }
               message B { optional A a = 1; optional int32 z = 2; }";
    let other = "message A { optional B b = 1; optional string x = 2; }
                 message B { optional A a = 1; optional string z = 2; optional int32 y = 3; }";
    for sets in [[one, other], [other, one]] {
        let reconciled = reconcile(&named(&sets));
        assert_eq!(in_force(&reconciled), ["t.A", "t.B"].into());
        let served = reconciled.schema.wire_from_json("t.A", br#"{"x":1,"y":2,"b":{"z":3}}"#).unwrap();
        assert!(served.is_ok(), "one set serves both types: {served:?}");
    }
}

/// Checks which sets lose which types. All types are in force.
#[track_caller]
fn check_losers(sets: &[(&str, &str)], types: &[&str], losers: &[(&str, &str)]) {
    let owned = |(one, other): &(&str, &str)| ((*one).to_owned(), (*other).to_owned());
    let mut sets: Vec<(String, String)> = sets.iter().map(owned).collect();
    for _ in 0..sets.len() {
        sets.rotate_left(1);
        let reconciled = reconcile(&sets);
        assert_eq!(in_force(&reconciled), types.iter().copied().collect());
        assert_eq!(lost(&reconciled), losers.iter().map(owned).collect());
    }
}

#[test]
fn among_types_that_hold_each_other_the_set_that_wins_first_wins_again() {
    let one =
        "message X { optional Y y = 1; optional int32 a = 2; } message Y { optional X x = 1; optional int32 c = 2; }";
    let more = "message Y { optional string c = 2; }";
    // More sets agree on the other definition of `Y`.
    let sets = [("a", one), ("b", "message X { optional string a = 2; }"), ("c", more), ("d", more)];
    check_losers(&sets, &["t.X", "t.Y"], &[("t.X", "b"), ("t.Y", "c"), ("t.Y", "d")]);
}

#[test]
fn a_definition_that_lost_against_one_that_is_withheld_later_serves() {
    let cycle = "message N1 { optional N2 n = 1; optional string x = 5; }
        message N2 { optional N3 n = 1; optional string a = 2; } message N3 { optional N1 n = 1; }";
    let first = "message N1 { optional int32 x = 5; } message N3 { optional string c = 2; }";
    // It wins `N2` against `b`, and then loses `N3`, which its `N2` holds, against `p`.
    let second = "message N2 { optional N3 n = 1; optional int32 a = 2; } message N3 { optional int32 c = 2; }";
    let sets =
        [("r", cycle), ("p", first), ("s", first), ("q", second), ("b", "message N2 { optional string a = 2; }")];
    check_losers(&sets, &["t.N1", "t.N2", "t.N3"], &[("t.N1", "r"), ("t.N3", "q")]);
}

#[test]
fn definitions_whose_common_larger_one_is_withheld_contradict_each_other() {
    let larger = "message M1 { optional M2 m = 1; optional int32 a = 2; optional int32 b = 3; }
        message M2 { optional M1 m = 1; optional string x = 2; }";
    let winner = "message M1 { optional int32 a = 2; }
        message M2 { optional M1 m = 1; optional int32 x = 2; optional int32 y = 3; }";
    let sets = [("b", larger), ("a", winner), ("c", "message M1 { optional int32 b = 3; }")];
    check_losers(&sets, &["t.M1", "t.M2"], &[("t.M2", "b"), ("t.M1", "c")]);
}

#[test]
fn a_chain_of_contradicting_types_is_decided_at_once() {
    const TYPES: usize = 1_000;
    let set = |kind: &str| {
        let holder = |at: usize| format!("message M{at} {{ optional M{} inner = 1; optional {kind} x = 2; }}", at - 1);
        let types: String = (1..TYPES).map(holder).collect();
        format!("message M0 {{ optional {kind} x = 2; }} {types}")
    };
    let reconciled = reconcile(&named(&[&set("int32"), &set("string")]));
    assert_eq!((in_force(&reconciled).len(), reconciled.contradictions.len()), (TYPES, 1));
}

/// A random type: its fields, each with a variant that decides the type of the field, and the types that it holds.
type Type = (Vec<(u32, usize)>, BTreeSet<usize>);

/// The types of a random set by number. A type with a number below [`ENUMS`] is an enum.
type Types = BTreeMap<usize, Type>;

const ENUMS: usize = 2;
const TYPES: usize = 6;

/// Returns a random set. Every type that a type holds is in the set.
fn random_types(random: &mut Random<'_>) -> Types {
    let mut types = Types::new();
    let mut open = vec![random.below(TYPES), random.below(TYPES)];
    while let Some(at) = open.pop() {
        if types.contains_key(&at) {
            continue;
        }
        let variant = |random: &mut Random<'_>| if random.one_in(3) { random.below(2) } else { 0 };
        let mut fields = Vec::new();
        for number in 1..4 {
            if random.one_in(2) {
                fields.push((number, variant(random)));
            }
        }
        let mut held = BTreeSet::new();
        while at >= ENUMS && random.one_in(2) {
            held.insert(random.below(TYPES));
        }
        open.extend(&held);
        types.insert(at, (fields, held));
    }
    types
}

fn text(types: &Types) -> String {
    let mut text = String::new();
    for (at, (fields, held)) in types {
        if *at < ENUMS {
            let values: String =
                fields.iter().map(|(number, variant)| format!("E{at}_{number}_{variant} = {number}; ")).collect();
            text.push_str(&format!("enum T{at} {{ E{at}_ZERO = 0; {values} }} "));
            continue;
        }
        let fields: String = fields
            .iter()
            .map(|(number, variant)| format!("optional {} f{number} = {number}; ", ["string", "int32"][*variant]))
            .collect();
        let held: String = held.iter().map(|held| format!("optional T{held} h{held} = {}; ", 10 + held)).collect();
        text.push_str(&format!("message T{at} {{ {fields} {held} }} "));
    }
    text
}

/// Returns the types that a type of a set holds, directly or inside another type.
fn held_by(types: &Types, at: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> = types[&at].1.iter().copied().collect();
    while let Some(held) = open.pop() {
        if reached.insert(held) {
            open.extend(&types[&held].1);
        }
    }
    reached
}

/// A name is in force, unless in every set that defines it, the definition holds a losing definition of another name.
#[test]
fn a_name_is_in_force_unless_each_of_its_definitions_holds_a_losing_definition_of_another_name() {
    let mut random = Random::seeded(17);
    let (mut with_contradictions, mut nowhere) = (0, 0);
    for case in 0..600 {
        let sets: Vec<Types> = (0..2 + random.below(3)).map(|_| random_types(&mut random)).collect();
        let texts: Vec<String> = sets.iter().map(text).collect();
        let mut bodies = named(&texts.iter().map(|text| &**text).collect::<Vec<_>>());
        let reconciled = reconcile(&bodies);
        let (lost, serving) = (lost(&reconciled), in_force(&reconciled));
        let has_lost = |at: usize, set: &str| lost.contains(&(format!("t.T{at}"), set.to_owned()));
        with_contradictions += usize::from(!lost.is_empty());
        for at in ENUMS..TYPES {
            let defining: Vec<(&str, &Types)> =
                ["a", "b", "c", "d"].into_iter().zip(&sets).filter(|(_, types)| types.contains_key(&at)).collect();
            let holds_loser = |(set, types): &(&str, &Types)| {
                held_by(types, at).into_iter().any(|held| held != at && has_lost(held, set))
            };
            let expected = !defining.iter().all(holds_loser);
            let name = format!("t.T{at}");
            assert_eq!(serving.contains(&*name), expected, "case {case}: {name} of {texts:#?}, lost {lost:?}");
            let is_withheld = reconciled.withheld.iter().any(|(withheld, _)| *withheld == name);
            assert_eq!(is_withheld, !expected && !defining.is_empty(), "case {case}: {name} of {texts:#?}");
            nowhere += usize::from(is_withheld);
        }
        random.shuffle(&mut bodies);
        let shuffled = reconcile(&bodies);
        assert_eq!((in_force(&shuffled), self::lost(&shuffled)), (serving, lost), "case {case}: {texts:#?}");
        assert_eq!(shuffled.withheld, reconciled.withheld);
        assert_eq!(shuffled.schema.breaking_changes(&reconciled.schema), []);
        assert_eq!(reconciled.schema.breaking_changes(&shuffled.schema), []);
    }
    assert!(with_contradictions > 200 && nowhere > 50, "{with_contradictions} with contradictions, {nowhere} nowhere");
}

/// Options of the elements of a schema that a team defines for itself.
const OWN_OPTIONS: &str = "import \"google/protobuf/descriptor.proto\";
    extend google.protobuf.MessageOptions { optional string m = 50001; }
    extend google.protobuf.EnumOptions { optional string e = 50001; }
    extend google.protobuf.EnumValueOptions { optional string v = 50001; }
    extend google.protobuf.FieldOptions { optional string f = 50001; }
    extend google.protobuf.OneofOptions { optional string o = 50001; }";

#[test]
fn only_options_that_change_the_json_contradict() {
    let message = |options: &str, fields: &str| format!("{OWN_OPTIONS} message M {{ {options} {fields} }}");
    let field = "optional int32 x = 1;";
    // The definition without the options has one more field, so that it cannot be the smaller one.
    let of_message = |options: &str| [message("", &format!("{field} optional int32 y = 2;")), message(options, field)];
    let of_field = |one: &str, other: &str| [message("", one), message("", other)];
    let in_oneof = |options: &str| {
        let oneof = format!("oneof o {{ {options} int32 x = 1; int32 y = 2; }}");
        of_field("oneof o { int32 x = 1; int32 y = 2; }", &oneof)
    };
    let of_enum = |one: &str, other: &str| {
        [one, other].map(|values| format!("{OWN_OPTIONS} message M {{}} enum E {{ {values} }}"))
    };
    for (what, sets, agrees) in [
        ("a deprecated message", of_message("option deprecated = true;"), true),
        ("no accessor", of_message("option no_standard_descriptor_accessor = true;"), true),
        ("an option of a message", of_message("option (m) = \"x\";"), true),
        ("a deprecated field", of_field(field, "optional int32 x = 1 [deprecated = true];"), true),
        (
            "a number in JavaScript",
            of_field("optional int64 x = 1;", "optional int64 x = 1 [jstype = JS_STRING];"),
            true,
        ),
        ("a cord", of_field("optional bytes x = 1;", "optional bytes x = 1 [ctype = CORD];"), true),
        ("a lazy field", of_field("optional M x = 1;", "optional M x = 1 [lazy = true];"), true),
        ("a packed list", of_field("repeated int32 x = 1;", "repeated int32 x = 1 [packed = true];"), true),
        ("a default", of_field(field, "optional int32 x = 1 [default = 5];"), true),
        ("a mark", of_field(field, "optional int32 x = 1 [debug_redact = true];"), true),
        ("an option of a field", of_field(field, "optional int32 x = 1 [(f) = \"x\"];"), true),
        ("an option of a oneof", in_oneof("option (o) = \"x\";"), true),
        ("a deprecated enum", of_enum("A = 0;", "option deprecated = true; A = 0;"), true),
        ("aliases", of_enum("A = 0;", "option allow_alias = true; A = 0; B = 0;"), true),
        ("an option of an enum", of_enum("A = 0;", "option (e) = \"x\"; A = 0;"), true),
        ("a deprecated value", of_enum("A = 0;", "A = 0 [deprecated = true];"), true),
        ("an option of a value", of_enum("A = 0;", "A = 0 [(v) = \"x\"];"), true),
        ("a JSON name", of_field(field, "optional int32 x = 1 [json_name = \"X\"];"), false),
        ("a required field", of_field(field, "required int32 x = 1;"), false),
        ("a list", of_field(field, "repeated int32 x = 1;"), false),
        ("another number", of_field(field, "optional int32 x = 2;"), false),
        ("another type", of_field(field, "optional sint32 x = 1;"), false),
        ("a oneof", of_field(field, "oneof o { int32 x = 1; int32 y = 2; }"), false),
        ("another number of a value", of_enum("A = 0;", "A = 1;"), false),
        (
            "another order of aliases",
            of_enum("option allow_alias = true; A = 0; B = 0;", "option allow_alias = true; B = 0; A = 0;"),
            false,
        ),
    ] {
        for [one, other] in [[&sets[0], &sets[1]], [&sets[1], &sets[0]]] {
            let reconciled = reconcile(&named(&[one, other]));
            assert_eq!(reconciled.contradictions.is_empty(), agrees, "{what}: {:?}", reconciled.contradictions);
        }
    }
    let [plain, set] = ["", "option message_set_wire_format = true;"]
        .map(|options| format!("message M {{ {options} extensions 4 to max; }}"));
    assert_eq!(lost(&reconcile(&named(&[&plain, &set]))).len(), 1);
}
