use std::sync::Arc;

use crate::config;
use crate::schema::registry::tests::compile;
use crate::schema::registry::{File, Profiles, Registry};

/// Returns the warnings about taps for a set of the package `t` with this body.
fn warnings(body: &str, taps: &str, profiles: &str, may_become_visible: &[&str]) -> Vec<String> {
    let taps: config::Taps = serde_json::from_str(taps).unwrap();
    let profiles = Arc::new(Profiles::new(&serde_json::from_str(profiles).unwrap()));
    let settings = config::Descriptors {
        may_become_visible: may_become_visible.iter().map(|name| (*name).to_owned()).collect(),
        ..config::Descriptors::default()
    };
    let files =
        [File { name: "a.pb".to_owned(), content: Ok(compile(&format!("syntax = \"proto3\"; package t; {body}"))) }];
    let registry = Registry::of(&files, &settings, &taps, profiles).unwrap();
    registry.tap_warnings().iter().map(ToString::to_string).collect()
}

const ORDER: &str = "message Order { string id = 1; Card card = 2; string at = 3; } \
                     message Card { string number = 4 [debug_redact = true]; string holder = 5; }";

#[test]
fn a_tap_that_publishes_a_hidden_field_has_a_warning() {
    let taps = |purpose: &str, path: &str| format!(r#"{{"{purpose}": ["{path}"]}}"#);
    for (purpose, shown) in [
        ("customer", "as the attribute `customer-id`, and in the topic's name if that names the customer"),
        ("event_id", "as the attribute `event-id`"),
        ("event_time", "as the attribute `event-time`"),
        ("ordering", "as the message group on a FIFO topic"),
    ] {
        for (path, profile) in [
            ("id", r#"{"redact": ["id"]}"#),
            ("id", r#"{"drop": ["t.Ord*/id"]}"#),
            ("card.holder", r#"{"redact": ["card.holder"]}"#),
            ("card.holder", r#"{"drop": ["card"]}"#),
            ("card.number", r#"{"redact_marked": true}"#),
        ] {
            let found = warnings(ORDER, &taps(purpose, path), &format!(r#"{{"web": {profile}, "all": {{}}}}"#), &[]);
            assert_eq!(
                found,
                [format!(
                    "taps.{purpose}: consumers see `{path}` of t.Order {shown}, and the profile `web` hides that \
                     field; remove the tap, or let the profile show the field; if consumers may see the value, add \
                     `t.Order.{path}` to `descriptors.may_become_visible`"
                )],
                "{path} {profile}"
            );
        }
    }
}

#[test]
fn a_tap_of_a_field_that_is_not_hidden_has_no_warning() {
    for (path, profile, may_become_visible) in [
        ("id", r#"{"redact": ["card.holder"], "drop": ["at"], "redact_marked": true}"#, &[][..]),
        ("card.holder", r#"{"redact": ["holder", "t.Card/holder"], "redact_marked": true}"#, &[]),
        ("id", r#"{"redact": ["t.Other/id", "at"], "drop": ["t.Card/number"]}"#, &[]),
        // An include list chooses what a consumer needs; it hides nothing.
        ("id", r#"{"include": ["card"]}"#, &[]),
        ("id", r#"{"redact": ["id"]}"#, &["t.Order.id"]),
        ("card.number", r#"{"redact_marked": true}"#, &["t.Order.card.number"]),
    ] {
        let taps = format!(r#"{{"event_id": ["{path}", "no.such"]}}"#);
        let found = warnings(ORDER, &taps, &format!(r#"{{"web": {profile}}}"#), may_become_visible);
        assert_eq!(found, [""; 0], "{path} {profile}");
    }
}

#[test]
fn one_warning_names_the_types_and_profiles_that_one_correction_concerns() {
    let body = format!("{ORDER} message Refund {{ string id = 1; }} message Note {{ Order id = 1; }}");
    let profiles =
        r#"{"web": {"redact": ["id"]}, "app": {"drop": ["t.Order/id"]}, "default": {"redact": ["t.Refund/id"]}}"#;
    let found = warnings(&body, r#"{"event_id": ["id"]}"#, profiles, &[]);
    let named: Vec<&str> = found.iter().map(|text| text.split_once("; remove").unwrap().0).collect();
    assert_eq!(
        named,
        [
            "taps.event_id: consumers see `id` of t.Refund as the attribute `event-id`, and the profiles `default`, \
             `web` hide that field",
            "taps.event_id: consumers see `id` of t.Order as the attribute `event-id`, and the profiles `app`, `web` \
             hide that field",
        ]
    );
    let both = warnings(&body, r#"{"event_id": ["id"]}"#, r#"{"web": {"redact": ["id"]}}"#, &[]);
    assert!(both[0].contains("consumers see `id` of t.Order, t.Refund as the attribute"), "{both:?}");
    assert!(both[0].ends_with("add the field of each type, such as `t.Order.id`, to `descriptors.may_become_visible`"));
    let body: String = (0..5).map(|at| format!("message M{at} {{ string id = 1; }}")).collect();
    let many = warnings(&body, r#"{"event_id": ["id"]}"#, r#"{"web": {"redact": ["id"]}}"#, &[]);
    assert!(many[0].contains("`id` of t.M0, t.M1, t.M2 and 2 more message type(s) as the attribute"), "{many:?}");
}
