use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::base::http::Network;
use crate::config::{Descriptors, Profile, Taps};
use crate::message::Queue;
use crate::route::{Customer, Glob};
use crate::schema::registry::{Profiles, Registry};

const MIB: usize = 1 << 20;
const MAX_ENTRY_BYTES: usize = 256 << 10;

const NODE: &str = r#"
    syntax = "proto3";
    package t;
    import "google/protobuf/any.proto";
    enum Color { A_NAME_OF_AN_ENUM_VALUE_THAT_HAS_46_CHARACTERS = 0; }
    message Node {
      string tenant = 1;
      repeated Color colors = 2;
      repeated Node children = 3;
      int64 first_of_some_numbers = 4;
      int64 second_of_some_numbers = 5;
      bool and_a_flag = 6;
      google.protobuf.Any any = 7;
    }
"#;

/// Rules with a type `t.Node`, and a customer for each profile: `plain`, `full` (with defaults) and `slim` (a node without
/// its children and colors). The customer `gone` is disabled.
struct Stage {
    rules: Rules,
    snapshot: Arc<Snapshot>,
    router: Router,
    schemas: Schemas,
}

fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.proto"), NODE).unwrap();
    let set = protox::compile(["t.proto"], [folder.path()]).unwrap();
    std::fs::write(folder.path().join("t.binpb"), prost::Message::encode_to_vec(&set)).unwrap();
    let config = Config {
        profiles: [
            ("full".to_owned(), Profile { emit_defaults: true, ..Profile::default() }),
            ("slim".to_owned(), Profile { drop: vec!["children".into(), "colors".into()], ..Profile::default() }),
        ]
        .into(),
        taps: Taps { customer: vec!["tenant".into()], ..Taps::default() },
        descriptors: Descriptors { path: folder.path().to_owned(), ..Descriptors::default() },
        ..Config::default()
    };
    let profiles = Arc::new(Profiles::new(&config.profiles));
    let customer = |id: &str, profile: &str| {
        Arc::new(Customer {
            id: id.into(),
            topic: format!("arn:aws:sns:eu-west-1:123456789012:{id}").as_str().into(),
            events: vec![Glob::new("*")],
            profile: profiles.find(profile).unwrap(),
            enabled: id != "gone",
        })
    };
    let customers = [("plain", "default"), ("full", "full"), ("slim", "slim"), ("gone", "full")];
    let customers = customers.map(|(id, profile)| customer(id, profile)).to_vec();
    let snapshot = Registry::load(&config.descriptors, &config.taps, Arc::clone(&profiles)).unwrap().current();
    let router = Router::new(&config.route, customers, snapshot.type_names());
    let schemas = Schemas::new(&config.confluent, None, &Network::default()).unwrap();
    Stage { rules: Rules::new(&config, MAX_ENTRY_BYTES), snapshot, router, schemas }
}

impl Stage {
    /// Decides about a payload. The customer is the one of the attribute, if there is one.
    fn decide(&self, payload: &[u8], customer: Option<&str>) -> Result<Vec<Delivery>, Outcome> {
        let mut attributes = vec![("message-type", "t.Node"), ("content-encoding", "gzip")];
        attributes.extend(customer.map(|customer| ("customer-id", customer)));
        let body = BASE64_STANDARD.encode(gzip(payload));
        let message = Message::for_tests(Queue::for_tests(), &body, &attributes, None);
        let Opened::Ready(envelope) = self.rules.open(&message, None, &self.schemas) else { panic!("it opens") };
        let context = Context { snapshot: &self.snapshot, router: &self.router, schemas: &self.schemas };
        self.rules.decide(context, &message, &envelope, &TraceHeaders::default()).decision
    }

    #[track_caller]
    fn too_large(&self, payload: &[u8], customer: Option<&str>) -> String {
        match self.decide(payload, customer) {
            Err(Outcome::Quarantine(reason)) if reason.kind == QuarantineKind::TooLarge => reason.detail,
            other => panic!("{other:?}"),
        }
    }
}

fn gzip(payload: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

/// Returns almost 4 MiB of empty children.
fn children() -> Vec<u8> {
    [0x1a, 0x00].repeat(2 * MIB - 16)
}

/// Returns 3 MiB of packed colors.
fn colors() -> Vec<u8> {
    let mut payload = vec![0x12, 0x80, 0x80, 0xc0, 0x01];
    payload.resize(payload.len() + 3 * MIB, 0);
    payload
}

fn tenant(id: &str) -> Vec<u8> {
    let mut payload = vec![0x0a, id.len() as u8];
    payload.extend_from_slice(id.as_bytes());
    payload
}

#[test]
fn empty_messages_whose_defaults_would_fill_a_gigabyte_are_too_large_at_once() {
    assert!(gzip(&children()).len() < 5_000);
    let detail = stage().too_large(&children(), Some("full"));
    let topic = "arn:aws:sns:eu-west-1:123456789012:full";
    let end = format!(" in t.Node.children: it exceeds the limit of {MAX_ENTRY_BYTES} bytes that {topic} accepts");
    assert!(detail.starts_with("JSON too large at byte ") && detail.ends_with(&end), "{detail}");
}

#[test]
fn packed_enums_with_a_long_name_are_too_large_at_once() {
    let detail = stage().too_large(&colors(), Some("plain"));
    assert!(detail.contains(" in t.Node.colors: it exceeds the limit of 262144 bytes that "), "{detail}");
}

#[test]
fn an_event_that_only_its_attributes_make_too_large_has_the_sizes_in_its_detail() {
    let detail = stage().too_large(&text(MAX_ENTRY_BYTES - 100), Some("plain"));
    assert!(detail.contains(" bytes of JSON and attributes exceed the 262144 that arn:"), "{detail}");
}

/// Returns a node whose JSON has this length in bytes.
fn text(json: usize) -> Vec<u8> {
    let len = json - r#"{"tenant":""}"#.len();
    let mut payload = vec![0x0a, (len & 0x7f) as u8 | 0x80, (len >> 7 & 0x7f) as u8 | 0x80, (len >> 14) as u8];
    payload.resize(payload.len() + len, b'x');
    payload
}

#[test]
fn the_profile_of_the_topic_decides_what_is_too_large() {
    // The customer comes from a tap, so the default profile renders first, and its JSON is too large.
    let payload = [children(), tenant("slim")].concat();
    let deliveries = stage().decide(&payload, None).unwrap();
    assert_eq!(*deliveries[0].entry.body, r#"{"tenant":"slim"}"#);
}

#[test]
fn an_event_that_a_rule_drops_is_filtered_however_large_its_json_is() {
    let payload = [tenant("gone"), children()].concat();
    assert!(matches!(stage().decide(&payload, None), Err(Outcome::Filtered(_))));
    assert!(matches!(stage().decide(&payload, Some("gone")), Err(Outcome::Filtered(_))));
}

#[test]
fn a_payload_is_large_by_its_size_after_decompression_and_no_more_of_it_is_decompressed() {
    let stage = stage();
    let open = |payload: &[u8], encoding: &str| {
        let message = Message::for_tests(
            Queue::for_tests(),
            &BASE64_STANDARD.encode(payload),
            &[("message-type", "t.Node"), ("content-encoding", encoding)],
            None,
        );
        stage.rules.open_small(&message, None, &stage.schemas).is_err_and(|IsLarge| true)
    };
    assert!(open(&gzip(&children()), "gzip") && open(&children()[..LARGE + 1], "identity"));
    assert!(!open(&gzip(&children()[..LARGE]), "gzip") && !open(&children()[..LARGE / 2], "identity"));
    // The checksum at the end would show that this is no gzip.
    let mut broken = gzip(&children());
    broken.truncate(2_000);
    assert!(open(&broken, "gzip"));
}

/// Returns a node with an Any of this type. Its value is `value`.
fn any(name: &str, value: &[u8]) -> Vec<u8> {
    let url = format!("t/{name}");
    let mut any = [&[0x0a, url.len() as u8], url.as_bytes()].concat();
    if !value.is_empty() {
        any.extend([&[0x12, value.len() as u8], value].concat());
    }
    [&[0x3a, any.len() as u8], &*any].concat()
}

#[test]
fn a_type_that_is_unknown_inside_an_any_has_the_same_grace_period_as_outside() {
    let stage = stage();
    let decide = |payload: &[u8], message_type: &str, is_late: bool| {
        let body = BASE64_STANDARD.encode(payload);
        let attributes = [("message-type", message_type), ("customer-id", "plain")];
        let mut message = Message::for_tests(Queue::for_tests(), &body, &attributes, None);
        if is_late {
            message.first_received = std::time::UNIX_EPOCH;
        }
        let Opened::Ready(envelope) = stage.rules.open(&message, None, &stage.schemas) else { panic!("it opens") };
        let context = Context { snapshot: &stage.snapshot, router: &stage.router, schemas: &stage.schemas };
        stage.rules.decide(context, &message, &envelope, &TraceHeaders::default()).decision
    };
    // In an Any, in an Any in an Any, in the child of a child.
    let inside = any("t.Late", b"");
    let nested = any("t.Node", &inside);
    let child = [&[0x1a, inside.len() as u8], &*inside].concat();
    for (payload, message_type) in [
        (&b""[..], "t.Late"),
        (&inside, "t.Node"),
        (&nested, "t.Node"),
        (&child, "t.Node"),
        (&any("t.Late", b"x"), "t.Node"),
    ] {
        let Err(Outcome::Retry(retry)) = decide(payload, message_type, false) else { panic!("{payload:?}") };
        assert_eq!(retry.cause, RetryCause::UnknownType);
        assert!(retry.detail.contains("t.Late"), "{}", retry.detail);
        let Err(Outcome::Quarantine(reason)) = decide(payload, message_type, true) else { panic!("{payload:?}") };
        assert_eq!(reason.kind, QuarantineKind::UnknownType);
        assert!(reason.detail.contains("t.Late"), "{}", reason.detail);
    }
    // No set that arrives later changes these.
    for (payload, kind) in
        [(any("", b"x"), QuarantineKind::Unrenderable), (any("t.Node", b"\x0a"), QuarantineKind::MalformedProtobuf)]
    {
        let Err(Outcome::Quarantine(reason)) = decide(&payload, "t.Node", false) else { panic!("{payload:?}") };
        assert_eq!(reason.kind, kind, "{}", reason.detail);
    }
}
