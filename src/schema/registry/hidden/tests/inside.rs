//! Marked fields inside messages, while the fields around them change.

use super::{SECRET, Snapshot, Stage, json_of, reason, record, reload, shows_secret};

const CARD: &str = "message Card { optional string holder = 1; optional string owner = 2;
    optional string number = 4 [debug_redact = true]; }";

fn proto2(body: &str) -> String {
    format!("syntax = \"proto2\";\n{body}")
}

/// Returns definitions of `M` in which field 3 leads to a marked field, each with a payload that has the secret there.
fn leading() -> Vec<(String, Vec<u8>)> {
    let card = record(4, SECRET.as_bytes());
    let plain = record(3, &card);
    let body = |field: &str| {
        format!("message M {{ {field} }} {CARD} message Wallet {{ optional Card card = 3; optional M m = 4; }}")
    };
    let bodies = [
        (body("optional Card card = 3;"), plain.clone()),
        (body("repeated Card card = 3;"), plain.clone()),
        (body("map<string, Card> card = 3;"), record(3, &record(2, &card))),
        (body("oneof one { Card card = 3; }"), plain.clone()),
        (body("optional Wallet card = 3;"), record(3, &record(3, &card))),
        (body("extensions 3 to 8; } extend M { optional Card card = 3;"), plain),
        (
            "message M { optional group Card = 3 { optional string number = 4 [debug_redact = true]; } }".to_owned(),
            [&[0x1b], &*card, &[0x1c]].concat(),
        ),
    ];
    bodies.map(|(body, payload)| (proto2(&body), payload)).to_vec()
}

/// The definitions of `M` whose field has the number or the name of a field that leads to a marked field.
const OTHERS: [&str; 14] = [
    "message M { optional bytes card = 3; }",
    "message M { optional string card = 3; }",
    "message M { repeated string card = 3; }",
    "message M { optional bytes data = 3; }",
    "message M { optional bytes card = 9; }",
    "message M { optional Other card = 3; } message Other { optional bytes number = 4; }",
    "message M { repeated Other card = 3; } message Other { optional bytes number = 4; }",
    "message M { optional group Other = 3 { optional string number = 4; } }",
    "message M { oneof one { bytes card = 3; string more = 9; } }",
    "message M { map<string, string> card = 3; }",
    "message M { map<string, bytes> card = 3; }",
    "message M { map<string, Other> card = 3; } message Other { optional bytes number = 4; }",
    "message M { optional Pair card = 3; } message Pair { optional string key = 1; optional bytes value = 2; }",
    "message M { extensions 3 to 8; } extend M { optional bytes card = 3; }",
];

#[track_caller]
fn assert_hidden(snapshot: &Snapshot, payload: &[u8], case: &str) {
    let json = json_of(snapshot, "t.M", payload).unwrap_or_default();
    assert!(!shows_secret(&json), "{json}: {case}");
}

#[test]
fn a_set_that_changes_the_type_around_a_marked_field_is_refused_at_once_and_after_a_removal() {
    let card = proto2(&format!("message Own {{}} {CARD}"));
    for (before, payload) in leading() {
        let gone = proto2("message M { optional string more = 9; }");
        for meanwhile in [None, Some((gone, "without the field")), Some((proto2("message No {}"), "without the type"))]
        {
            let registry = Stage::marked(&[]).start(&[("a.pb", &before), ("card.pb", &card)]);
            if let Some((body, what)) = &meanwhile {
                let snapshot = reload(&registry, &[("a.pb", body), ("card.pb", &card)]);
                assert_eq!(snapshot.refused(), [], "{what}: {before}");
            }
            for other in OTHERS {
                // A group has the name of its type, and an extension has its full name.
                if other.contains("card = 9") && (before.contains("group") || before.contains("extend")) {
                    continue;
                }
                let case = format!("{before} is now {other}, meanwhile {meanwhile:?}");
                let snapshot = reload(&registry, &[("a.pb", &proto2(other)), ("card.pb", &card)]);
                let reasons: Vec<String> = snapshot.refused().iter().map(ToString::to_string).collect();
                assert!(
                    reasons.len() == 1 && reasons[0].contains("can show a hidden field: t.M."),
                    "{reasons:?}: {case}"
                );
                assert_hidden(&snapshot, &payload, &case);
            }
        }
    }
}

#[test]
fn a_field_that_keeps_the_type_around_a_marked_field_is_admitted() {
    let (before, payload) = leading().swap_remove(0);
    for now in [
        "message M { repeated Card card = 3; }",
        "message M { optional Card renamed = 3; }",
        "message M { oneof one { Card card = 3; string more = 9; } }",
        "message M { optional Card card = 5; }",
        "message M { optional Card card = 5; optional Card other = 3; }",
        "message M { optional string more = 9; }",
    ] {
        let registry = Stage::marked(&[]).start(&[("a.pb", &before)]);
        let snapshot = reload(&registry, &[("a.pb", &proto2(&format!("{now} {CARD}")))]);
        assert_eq!(snapshot.refused(), [], "{now}");
        assert_hidden(&snapshot, &payload, now);
    }
}

#[test]
fn a_refusal_names_the_field_the_type_with_the_mark_and_the_acknowledgment() {
    let before = proto2(&format!("message M {{ optional Card card = 3; }} {CARD}"));
    let now = proto2(&format!("message M {{ repeated bytes card = 3; }} {CARD}"));
    let registry = Stage::marked(&[]).start(&[("a.pb", &before)]);
    let snapshot = reload(&registry, &[("a.pb", &now)]);
    let (name, reason) = reason(&snapshot);
    assert_eq!(name, "a.pb");
    assert_eq!(
        reason,
        "descriptor set a.pb: it can show a hidden field: t.M.card: debug_redact hides a field inside t.Card, and card \
         = 3 has the type repeated bytes now, and the profile `default` hides only what has the option \
         (redaction_removed); undo the change, or correct the path of the profile; if customers may see the field, \
         add `t.M.card` to `descriptors.may_become_visible`"
    );
    // Acknowledged by the field around the marked one, or by the marked one. Or no profile depends on the option.
    for stage in [Stage::marked(&["t.M.card"]), Stage::marked(&["t.Card.number"]), Stage::new(&[], &[])] {
        let registry = stage.start(&[("a.pb", &before)]);
        assert_eq!(reload(&registry, &[("a.pb", &now)]).refused(), []);
    }
}

#[test]
fn a_field_with_the_json_name_of_a_marked_field_is_hidden_or_its_set_is_refused() {
    let marked = "message M { string user_ssn = 3 [debug_redact = true]; }";
    for other in
        ["string userSsn = 9;", "string x = 9 [json_name = \"userSsn\"];", "string x = 9 [json_name = \"user_ssn\"];"]
    {
        let other = format!("message M {{ {other} }}");
        let registry = Stage::marked(&[]).start(&[("a.pb", marked)]);
        let snapshot = reload(&registry, &[("a.pb", &other)]);
        assert!(reason(&snapshot).1.contains("can show a hidden field: t.M.user_ssn"), "{other}");
        // Both sets are in force, and the unmarked definition serves.
        let more = format!("{other} message Own {{}}");
        let snapshot = Stage::marked(&[]).start(&[("a.pb", marked), ("b.pb", &other), ("c.pb", &more)]).current();
        let json = json_of(&snapshot, "t.M", &record(9, SECRET.as_bytes())).unwrap();
        assert!(json.contains("[REDACTED]") && !shows_secret(&json), "{json}: {other}");
    }
}

/// Set `a` marks the field inside, and the definition of the other sets serves.
#[test]
fn a_field_that_a_set_hides_around_its_mark_stays_hidden_when_that_set_is_removed() {
    let (own, payload) = leading().swap_remove(0);
    let other = proto2("message M { optional bytes card = 3; }");
    let more = proto2("message M { optional bytes card = 3; } message Own {}");
    let sets = [("a.pb", &*own), ("b.pb", &*other), ("c.pb", &*more)];
    let registry = Stage::marked(&[]).start(&sets);
    assert_hidden(&registry.current(), &payload, "at the start");
    assert_eq!(registry.current().refused().len(), 1, "the definition of set a loses");
    let snapshot = reload(&registry, &sets[1..]);
    assert!(
        snapshot
            .refused()
            .iter()
            .any(|refused| refused.reason.contains("its removal can show a hidden field: t.M.card"))
    );
    assert_hidden(&snapshot, &payload, "set a is removed");
}

#[test]
fn a_field_that_another_set_hides_by_its_name_stays_hidden_when_it_is_renamed() {
    for own in [
        format!("message M {{ optional Card card = 3; }} {CARD}"),
        "message M { optional string card = 3 [debug_redact = true]; }".to_owned(),
    ] {
        let own = proto2(&own);
        let sets = |name: &str| {
            let fields = format!("message M {{ optional bytes {name} = 7; }}");
            [proto2(&fields), proto2(&format!("{fields} message Own {{}}"))]
        };
        let [b, c] = sets("card");
        let registry = Stage::marked(&[]).start(&[("a.pb", &own), ("b.pb", &b), ("c.pb", &c)]);
        let payload = record(7, SECRET.as_bytes());
        assert_eq!(json_of(&registry.current(), "t.M", &payload).as_deref(), Some(r#"{"card":null}"#));
        let [b, c] = sets("data");
        let snapshot = reload(&registry, &[("a.pb", &own), ("b.pb", &b), ("c.pb", &c)]);
        let shows =
            snapshot.refused().iter().any(|refused| refused.reason.contains("can show a hidden field: t.M.card"));
        assert!(shows, "{:?}", snapshot.refused());
        assert!(!shows_secret(&json_of(&snapshot, "t.M", &payload).unwrap()));
    }
}
