//! Paths, while several sets define the types on them, and around Anys.

use super::{SECRET, Stage, json_of, reason, record, reload, shows_secret};

/// A definition of `M` that has the hidden field, and one in which the same number has another name. The types around
/// the second one make it win.
const OWN: &str = "message M { string ssn = 3; string id = 1; }";
const OTHER: &str = "message M { string note = 3; string ssn = 5; }
    message Holds { M m = 1; } message HoldsToo { M m = 1; }";

#[test]
fn a_started_and_a_running_service_hide_the_field_of_a_path_in_each_definition() {
    for path in ["ssn", "t.M/ssn"] {
        let sets = [("a.pb", OWN), ("b.pb", OTHER)];
        let payload = record(3, SECRET.as_bytes());
        let started = Stage::new(&[path], &[]).start(&sets).current();
        let running = Stage::new(&[path], &[]).start(&sets[..1]);
        for snapshot in [started, reload(&running, &sets)] {
            let json = json_of(&snapshot, "t.M", &payload).unwrap();
            assert!(!shows_secret(&json), "{json} with {path}");
        }
        let alone = json_of(&Stage::new(&[], &[]).start(&sets).current(), "t.M", &payload).unwrap();
        assert_eq!(alone, format!(r#"{{"note":"{SECRET}"}}"#), "the other definition serves");
    }
}

#[test]
fn a_field_stays_hidden_after_the_definition_with_its_path_is_gone() {
    let registry = Stage::new(&["t.M/ssn"], &[]).start(&[("a.pb", OWN), ("b.pb", OTHER)]);
    let snapshot = reload(&registry, &[("a.pb", "message Unrelated {}"), ("b.pb", OTHER)]);
    let json = json_of(&snapshot, "t.M", &record(3, SECRET.as_bytes())).unwrap_or_default();
    assert!(!shows_secret(&json), "{json}: {:?}", snapshot.refused());
}

#[test]
fn a_set_that_changes_the_type_of_an_any_is_refused_if_a_profile_hides_fields_by_paths() {
    let body = |field: &str| {
        format!(
            "syntax = \"proto3\";\nimport \"google/protobuf/any.proto\"; message Card {{ string number = 1; }}
             message M {{ string id = 1; {field} }} message E {{ string type_url = 1; bytes value = 2; }}"
        )
    };
    let any = body("google.protobuf.Any d = 5;");
    for field in ["bytes d = 5;", "E d = 5;", "bytes data = 5;", "map<string, bytes> d = 5;"] {
        for path in ["t.Card/number", "number"] {
            let registry = Stage::new(&[path], &[]).start(&[("a.pb", &any)]);
            let snapshot = reload(&registry, &[("a.pb", &body(field))]);
            assert_eq!(snapshot.refused().len(), 1, "{field} is not refused");
            let (_, reason) = reason(&snapshot);
            assert!(reason.contains("can show a hidden field: t.M.d: "), "{reason}");
            let accepted = Stage::new(&[path], &["t.M.d"]).start(&[("a.pb", &any)]);
            assert_eq!(reload(&accepted, &[("a.pb", &body(field))]).refused(), []);
        }
        let without_paths = Stage::new(&[], &[]).start(&[("a.pb", &any)]);
        assert_eq!(reload(&without_paths, &[("a.pb", &body(field))]).refused(), [], "{field}");
    }
}

#[test]
fn of_two_sets_the_one_that_shows_an_any_as_bytes_is_refused_at_a_start_and_at_a_reload() {
    let head = "syntax = \"proto3\";\nimport \"google/protobuf/any.proto\"; message Card { string number = 1; }";
    let own = format!("{head} message M {{ google.protobuf.Any d = 5; }}");
    let other = "message M { bytes d = 5; } message Holds { M m = 1; } message HoldsToo { M m = 1; }";
    for [own_name, other_name] in [["a.pb", "b.pb"], ["b.pb", "a.pb"]] {
        let sets = [(own_name, &*own), (other_name, other)];
        let started = Stage::new(&["t.Card/number"], &[]).start(&sets).current();
        let running = Stage::new(&["t.Card/number"], &[]).start(&sets[..1]);
        for snapshot in [started, reload(&running, &sets)] {
            assert_eq!(reason(&snapshot).0, other_name, "{:?}", snapshot.refused());
        }
    }
}

#[test]
fn harmless_changes_around_an_any_are_admitted() {
    let body = |field: &str| {
        format!(
            "syntax = \"proto3\";\nimport \"google/protobuf/any.proto\"; message Card {{ string number = 1; }}
             message M {{ string id = 1; {field} }}"
        )
    };
    let any = body("google.protobuf.Any d = 5;");
    for field in [
        "repeated google.protobuf.Any d = 5;",
        "google.protobuf.Any renamed = 5;",
        "google.protobuf.Any d_old = 5; string d = 8;",
        "",
    ] {
        let registry = Stage::new(&["t.Card/number"], &[]).start(&[("a.pb", &any)]);
        assert_eq!(reload(&registry, &[("a.pb", &body(field))]).refused(), [], "{field}");
    }
}

#[test]
fn a_pattern_of_types_requires_no_field_of_the_types_inside_them() {
    let order = |inside: &str| format!("message Order {{ string ssn = 1; {inside} }}");
    let registry = Stage::new(&["t.Order*/ssn"], &[]).start(&[("a.pb", &order(""))]);
    assert_eq!(reload(&registry, &[("a.pb", &order("message Line { string text = 1; }"))]).refused(), []);
    let missing = format!("{} message OrderPaid {{ string id = 1; }}", order(""));
    assert_eq!(reload(&registry, &[("a.pb", &missing)]).refused().len(), 1);
}
