mod definitions;
mod history;
mod inside;

use std::fs;

use crate::config;
use crate::schema::registry::{Error, File, ProfileId, Profiles, Refused, Registry, Reloaded, Snapshot};
use std::sync::Arc;

/// A registry whose only profile hides fields, and the folder that it was loaded from.
struct Stage {
    folder: tempfile::TempDir,
    settings: config::Descriptors,
    profile: config::Profile,
}

impl Stage {
    fn new(redact: &[&str], accepted: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let settings = config::Descriptors {
            path: folder.path().into(),
            may_become_visible: owned(accepted),
            ..config::Descriptors::default()
        };
        Self { folder, settings, profile: config::Profile { redact: owned(redact), ..config::Profile::default() } }
    }

    /// A stage whose profile hides the fields that are marked with `debug_redact`.
    fn marked(accepted: &[&str]) -> Self {
        let mut stage = Self::new(&[], accepted);
        stage.profile.redact_marked = true;
        stage.profile.bytes = config::Bytes::Hex;
        stage
    }

    /// Loads these sets as a start does.
    fn load(&self, sets: &[(&str, &str)]) -> Result<Registry, Error> {
        for (name, body) in sets {
            fs::write(self.folder.path().join(name), set(body)).unwrap();
        }
        let profiles = Profiles::new(&[("default".to_owned(), self.profile.clone())].into());
        Registry::load(&self.settings, &config::Taps::default(), Arc::new(profiles))
    }

    fn start(&self, sets: &[(&str, &str)]) -> Registry {
        self.load(sets).unwrap()
    }
}

/// Compiles a set of the package `t`: of proto3, or of proto2 if the text begins with `syntax`.
fn set(body: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let syntax = if body.starts_with("syntax") { "" } else { "syntax = \"proto3\";" };
    let (syntax, body) = body.split_once("\n").filter(|_| syntax.is_empty()).unwrap_or((syntax, body));
    fs::write(folder.path().join("t.proto"), format!("{syntax} package t; {body}")).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("t.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

/// Offers these sets while the service runs.
fn reload(registry: &Registry, sets: &[(&str, &str)]) -> Arc<Snapshot> {
    let files = sets.iter().map(|(name, body)| File { name: (*name).to_owned(), content: Ok(set(body)) });
    let Reloaded { snapshot, .. } = registry.admit(&files.collect::<Vec<_>>()).expect("the sets differ");
    snapshot
}

/// Returns the reason of the only refusal.
#[track_caller]
fn reason(snapshot: &Snapshot) -> (&str, &str) {
    let [Refused { name, reason, .. }] = snapshot.refused() else { panic!("{:?}", snapshot.refused()) };
    (name, reason)
}

fn json(snapshot: &Snapshot, payload: &[u8]) -> String {
    json_of(snapshot, "t.Order", payload).unwrap()
}

/// Returns the JSON of a payload, or `None` if the type is unknown or the payload has no JSON.
fn json_of(snapshot: &Snapshot, message_type: &str, payload: &[u8]) -> Option<String> {
    let mut json = Vec::new();
    snapshot.find(message_type)?.plan(ProfileId::default()).transcode(payload, &mut json).ok()?;
    Some(String::from_utf8(json).unwrap())
}

const SECRET: &str = "s3cr3t";

/// Whether the secret is in the JSON, as it is or inside bytes in hexadecimal digits.
fn shows_secret(json: &str) -> bool {
    json.contains(SECRET) || json.contains(&hex::encode(SECRET))
}

/// Returns a record of the wire format with a length.
fn record(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, value.len() as u8], value].concat()
}

const MARKED: &str = "message Order { string id = 1; string pan = 4 [debug_redact = true]; }";
const CARD: &str = "message Order { Card card = 2; } message Card { string holder = 1; string number = 4; }";

#[test]
fn a_set_that_removes_debug_redact_is_refused_under_every_policy_and_the_value_stays_hidden() {
    for policy in [config::OnBreak::Warn, config::OnBreak::Refuse] {
        let mut stage = Stage::marked(&[]);
        stage.settings.on_break = policy;
        let registry = stage.start(&[("a.pb", MARKED)]);
        for pan in ["string pan = 4;", "string number = 4;", "string pan = 5;"] {
            let snapshot = reload(&registry, &[("a.pb", &format!("message Order {{ string id = 1; {pan} }}"))]);
            let (name, reason) = reason(&snapshot);
            assert_eq!(name, "a.pb");
            assert_eq!(
                reason,
                "descriptor set a.pb: it can show a hidden field: t.Order.pan: the option debug_redact was removed, \
                 and the profile `default` hides it only by that (redaction_removed); undo the change, or correct the \
                 path of the profile; if customers may see the field, add `t.Order.pan` to `descriptors.may_become_visible`",
                "{pan}"
            );
            assert_eq!(json(&snapshot, b"\x22\x01s"), r#"{"pan":"[REDACTED]"}"#);
        }
    }
}

#[test]
fn a_removed_debug_redact_is_admitted_if_it_is_acknowledged_or_if_no_profile_depends_on_it() {
    for (stage, breaking) in [(Stage::marked(&["t.Order.pan"]), 1), (Stage::new(&[], &[]), 0)] {
        let registry = stage.start(&[("a.pb", MARKED)]);
        let files = [File { name: "a.pb".into(), content: Ok(set(&MARKED.replace(" [debug_redact = true]", ""))) }];
        let Reloaded { snapshot, changes, .. } = registry.admit(&files).unwrap();
        assert_eq!((snapshot.refused(), changes.len()), (&[][..], breaking));
    }
}

#[test]
fn a_field_stays_hidden_until_the_last_set_has_removed_its_mark() {
    let other = "message Order { string id = 1; string pan = 4; } message Other { string x = 1; }";
    // The definition of `b.pb` loses, and marks the field.
    let losing = "message Order { int32 id = 1; string pan = 4 [debug_redact = true]; }";
    let (plain, payload) = (MARKED.replace(" [debug_redact = true]", ""), b"\x22\x01s");
    for marking in [losing, MARKED] {
        let stage = Stage::marked(&[]);
        let sets = |a, b| [("a.pb", a), ("b.pb", b), ("c.pb", other)];
        let registry = stage.start(&sets(MARKED, marking));
        let hidden = r#"{"pan":"[REDACTED]"}"#;
        assert_eq!(json(&registry.current(), payload), hidden);
        // Another set still marks the field.
        let snapshot = reload(&registry, &sets(&plain, marking));
        assert!(!snapshot.refused().iter().any(|refused| refused.name == "a.pb"), "{:?}", snapshot.refused());
        assert_eq!(json(&snapshot, payload), hidden);
        // The last mark is removed, with its set or without it.
        let unmarked = marking.replace(" [debug_redact = true]", "");
        for (sets, what) in
            [(sets(&plain, &unmarked).to_vec(), "it"), (vec![("a.pb", &*plain), ("c.pb", other)], "its removal")]
        {
            let snapshot = reload(&registry, &sets);
            let [Refused { name, reason, .. }] = snapshot.refused() else { panic!("{:?}", snapshot.refused()) };
            let expected = format!(
                "descriptor set b.pb: {what} can show a hidden field: t.Order.pan: the option debug_redact was removed"
            );
            assert!(name == "b.pb" && reason.starts_with(&expected), "{name}: {reason}");
            assert_eq!(json(&snapshot, payload), hidden);
        }
        // The platform team accepts it.
        let mut stage = Stage::marked(&["t.Order.pan"]);
        stage.settings.on_break = config::OnBreak::Refuse;
        let registry = stage.start(&sets(&plain, marking));
        assert_eq!(json(&registry.current(), payload), hidden);
        assert_eq!(json(&reload(&registry, &sets(&plain, &unmarked)), payload), r#"{"pan":"s"}"#);
    }
}

/// The type `Order` holds a definition that loses against the other sets, so it is in force nowhere.
#[test]
fn a_set_that_takes_a_hidden_field_out_of_force_by_a_contradiction_is_refused_and_no_innocent_set() {
    let innocent = ["message Other { string x = 1; }", "message Other { string x = 1; string y = 2; }"];
    let order = "message Order { string id = 1; Card card = 2; } message Card { string number = 4; Kind kind = 5; }
        enum Kind { ZERO = 0; ONE = 1; }";
    let contradicting = ["q.pb", "r.pb", "s.pb"].map(|name| {
        (name, format!("enum Kind {{ ZERO = 0; TWO = 2; }} message {} {{ Kind kind = 1; }}", name.replace('.', "_")))
    });
    for (count, expected) in [(2, vec!["r.pb"]), (3, vec!["r.pb", "s.pb"])] {
        let registry = Stage::new(&["card.number"], &[]).start(&[("a.pb", innocent[0]), ("b.pb", order)]);
        let mut sets = vec![("a.pb", innocent[1]), ("b.pb", order)];
        sets.extend(contradicting[..count].iter().map(|(name, body)| (*name, &**body)));
        let snapshot = reload(&registry, &sets);
        let refused = snapshot.refused().iter().filter(|refused| !refused.partly);
        let refused: Vec<&str> = refused.map(|refused| &*refused.name).collect();
        assert_eq!(refused, expected, "{:?}", snapshot.refused());
        let has_reason = |refused: &Refused| refused.reason.contains("no other message type has that path");
        assert!(snapshot.refused().iter().any(has_reason), "{:?}", snapshot.refused());
        assert_eq!(json(&snapshot, b"\x12\x03\x22\x01s"), r#"{"card":{"number":"[REDACTED]"}}"#);
        assert_eq!(snapshot.sets()[0].bytes, set(innocent[1]).len(), "the innocent set is in force");
    }
}

#[test]
fn a_set_that_renames_a_field_of_a_path_is_refused_and_the_set_of_the_field_is_blamed() {
    let stage = Stage::new(&["card.number"], &[]);
    let registry = stage.start(&[("a.pb", "message Other { string x = 1; }"), ("b.pb", CARD)]);
    let renamed = CARD.replace("number", "pan");
    let snapshot = reload(&registry, &[("a.pb", "message Other { string x = 1; string y = 2; }"), ("b.pb", &renamed)]);
    let (name, reason) = reason(&snapshot);
    assert_eq!(name, "b.pb");
    assert!(
        reason.contains(
            "t.Order.card.number: the profile `default` hides `card.number`, which no longer leads to a field"
        ) && reason.ends_with("add `t.Order.card.number` to `descriptors.may_become_visible`"),
        "{reason}"
    );
    assert_eq!(json(&snapshot, b"\x12\x03\x22\x01s"), r#"{"card":{"number":"[REDACTED]"}}"#);
    // The harmless set of the other team is in force.
    assert!(snapshot.changes(&stage.start(&[]).current()).is_empty());
    assert_eq!(snapshot.sets()[0].bytes, set("message Other { string x = 1; string y = 2; }").len());
}

#[test]
fn a_set_in_which_the_path_leads_to_another_field_is_refused() {
    let registry = Stage::new(&["card.number"], &[]).start(&[("a.pb", CARD)]);
    let swapped = CARD.replace("string number = 4", "string pan = 4; string number = 5");
    let snapshot = reload(&registry, &[("a.pb", &swapped)]);
    assert!(reason(&snapshot).1.contains("which is the name of another field now"), "{:?}", snapshot.refused());
}

#[test]
fn a_renamed_field_is_admitted_if_the_profile_hides_both_names() {
    let stage = Stage::new(&["card.number", "card.pan"], &["t.Order.card.pan"]);
    let registry = stage.start(&[("a.pb", CARD)]);
    let snapshot = reload(&registry, &[("a.pb", &CARD.replace("number", "pan"))]);
    assert_eq!(snapshot.refused(), []);
    assert_eq!(json(&snapshot, b"\x12\x03\x22\x01s"), r#"{"card":{"pan":"[REDACTED]"}}"#);
}

#[test]
fn a_hidden_field_cannot_return_visible_after_its_mark_moved_to_another_name() {
    let registry = Stage::marked(&[]).start(&[("a.pb", MARKED)]);
    let renamed = "message Order { string id = 1; string note = 4 [debug_redact = true]; }";
    assert_eq!(reload(&registry, &[("a.pb", renamed)]).refused(), [], "the number is still marked");
    let visible = renamed.replace('}', "string pan = 5; }");
    let snapshot = reload(&registry, &[("a.pb", &visible)]);
    let (name, reason) = reason(&snapshot);
    assert_eq!(name, "a.pb");
    assert!(reason.contains("it can show a hidden field: t.Order.pan"), "{reason}");
}

/// The path leads to the number 3 first. After it has led to another number, the number 3 must still not be shown.
#[test]
fn a_hidden_field_cannot_return_visible_after_its_path_led_to_another_number() {
    let registry = Stage::new(&["ssn"], &[]).start(&[("a.pb", "message Order { string ssn = 3; }")]);
    let payload = record(3, SECRET.as_bytes());
    for (fields, is_refused) in [
        ("string ssn = 4; string note = 3;", true),
        ("string ssn = 4;", false),
        ("string ssn = 4; string note = 3;", true),
        ("string ssn = 5;", false),
        ("string ssn = 5; string note = 4;", true),
        ("string ssn = 5; string note = 3;", true),
        ("string ssn = 3;", false),
    ] {
        let snapshot = reload(&registry, &[("a.pb", &format!("message Order {{ {fields} }}"))]);
        assert_eq!(!snapshot.refused().is_empty(), is_refused, "{fields}: {:?}", snapshot.refused());
        assert!(!json(&snapshot, &payload).contains(SECRET), "{fields}");
    }
}

/// An entry of a map, read as a card, has the card of the entry in the field `owner`.
#[test]
fn a_path_through_a_map_does_not_lead_to_the_same_field_as_a_path_through_a_list() {
    let order = |field: &str| {
        format!("message Order {{ {field} cards = 3; }} message Card {{ bytes owner = 2; string number = 4; }}")
    };
    let (map, list) = (order("map<string, Card>"), order("repeated Card"));
    for (before, now) in [(&map, &list), (&list, &map)] {
        let mut stage = Stage::new(&["cards.number"], &[]);
        stage.profile.bytes = config::Bytes::Hex;
        let registry = stage.start(&[("a.pb", before)]);
        let snapshot = reload(&registry, &[("a.pb", now)]);
        let card = record(4, SECRET.as_bytes());
        let payload = record(3, &if before == &map { record(2, &card) } else { card });
        let json = json(&snapshot, &payload);
        assert!(!shows_secret(&json), "{json}: {:?}", snapshot.refused());
        assert_eq!(snapshot.refused().is_empty(), before == &list, "{:?}", snapshot.refused());
    }
}

#[test]
fn a_hidden_field_cannot_return_visible_after_a_removal() {
    let other = ("b.pb", "message Other { string x = 1; }");
    // The type is gone meanwhile.
    let registry = Stage::marked(&[]).start(&[("a.pb", MARKED), other]);
    let snapshot = reload(&registry, &[other]);
    assert_eq!((snapshot.refused(), snapshot.find("t.Order").is_some()), (&[][..], false));
    let plain = MARKED.replace(" [debug_redact = true]", "");
    let snapshot = reload(&registry, &[("c.pb", &plain), other]);
    assert_eq!(reason(&snapshot).0, "c.pb");
    let snapshot = reload(&registry, &[("c.pb", MARKED), other]);
    assert_eq!(snapshot.refused(), []);
    // The field is gone meanwhile.
    let snapshot = reload(&registry, &[("c.pb", "message Order { string id = 1; }"), other]);
    assert_eq!(snapshot.refused(), []);
    let snapshot = reload(&registry, &[("c.pb", &plain), other]);
    assert_eq!(reason(&snapshot).0, "c.pb");
}

#[test]
fn a_path_without_types_must_match_in_a_type_or_be_acknowledged() {
    let unmatched = |stage: &Stage| {
        let paths = stage.start(&[("a.pb", CARD)]).unmatched_paths();
        paths.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(unmatched(&Stage::new(&["card.number"], &[])), [""; 0]);
    assert_eq!(
        unmatched(&Stage::new(&["card.nmber"], &[])),
        ["profiles.default.redact: no message type has the field path `card.nmber`, so it hides nothing; correct it; \
          if its type comes later, write `TYPE/card.nmber` with the full name of the type"]
    );
    assert_eq!(unmatched(&Stage::new(&["card.number.x"], &[])).len(), 1);
    let accepted = Stage::new(&["card.nmber"], &["t.Order.card.nmber"]);
    assert_eq!(unmatched(&accepted), [""; 0]);
    assert_eq!(
        texts(&accepted.start(&[]).path_warnings()),
        ["profiles.default.redact: no message type has the field path `card.nmber`, so it hides nothing"]
    );
}

#[test]
fn a_path_with_types_must_match_in_each_of_them_at_the_start_and_when_the_type_comes() {
    let stage = Stage::new(&["t.Order*/card.number"], &[]);
    let registry = stage.start(&[("b.pb", "message Other { string x = 1; }")]);
    assert_eq!(
        texts(&registry.path_warnings()),
        ["profiles.default.redact: no descriptor set has a message type t.Order* yet, so `t.Order*/card.number` \
          hides nothing"]
    );
    let late = format!("{CARD} message OrderPaid {{ string id = 1; }}");
    let snapshot = reload(&registry, &[("a.pb", &late), ("b.pb", "message Other { string x = 1; }")]);
    let (name, reason) = reason(&snapshot);
    assert_eq!(name, "a.pb");
    let expected =
        "t.OrderPaid.card.number: the profile `default` hides `t.Order*/card.number`, and the type has no such";
    assert!(reason.contains(expected), "{reason}");
    let snapshot = reload(&registry, &[("a.pb", CARD), ("b.pb", "message Other { string x = 1; }")]);
    assert_eq!(json(&snapshot, b"\x12\x03\x22\x01s"), r#"{"card":{"number":"[REDACTED]"}}"#);
    // At a start the other sets are in force; a set alone stops the start.
    let sets = [("a.pb", &*late), ("b.pb", "message Other { string x = 1; }")];
    let started = stage.start(&sets).current();
    assert_eq!(self::reason(&started).0, "a.pb");
    assert!(started.find("t.Order").is_none() && started.find("t.Other").is_some());
    let error = Stage::new(&["t.Order/card.nmber"], &[]).load(&[("a.pb", CARD)]).unwrap_err();
    assert!(matches!(error, Error::ShowsHiddenField(_)), "{error}");
}

#[test]
fn the_removal_of_the_last_type_with_a_path_is_refused() {
    let other = ("b.pb", "message Other { string x = 1; }");
    let registry = Stage::new(&["card.number"], &[]).start(&[("a.pb", CARD), other]);
    let snapshot = reload(&registry, &[other]);
    let (name, reason) = reason(&snapshot);
    assert!(name == "a.pb" && reason.contains("its removal can show a hidden field"), "{name}: {reason}");
    assert!(snapshot.find("t.Order").is_some());
}

#[test]
fn an_unmatched_path_is_no_error_while_a_refused_set_can_have_its_type() {
    let stage = Stage::new(&["card.number"], &[]);
    fs::write(stage.folder.path().join("broken.pb"), b"no set").unwrap();
    let registry = stage.start(&[("b.pb", "message Other { string x = 1; }")]);
    assert_eq!((registry.unmatched_paths().len(), registry.path_warnings().len()), (0, 1));
}

fn texts(warnings: &[config::Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}
