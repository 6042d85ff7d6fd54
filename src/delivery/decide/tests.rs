mod claim_checks;
mod customers;
mod heartbeats;
mod sizes;

use std::io::Write as _;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::base::http::Network;
use crate::config::{Descriptors, FallbackPolicy, Profile, Taps};
use crate::message::Queue;
use crate::route::{Customer, Glob};
use crate::schema::registry::{Profiles, Registry};

const MIB: usize = 1 << 20;
const MAX_ENTRY_BYTES: usize = 256 << 10;

const REST: &str = "arn:aws:sns:eu-west-1:123456789012:rest.fifo";

const NODE: &str = r#"
    syntax = "proto3";
    package t;
    import "google/protobuf/any.proto";
    import "google/protobuf/timestamp.proto";
    enum Color { A_NAME_OF_AN_ENUM_VALUE_THAT_HAS_46_CHARACTERS = 0; }
    message Node {
      string tenant = 1;
      repeated Color colors = 2;
      repeated Node children = 3;
      int64 first_of_some_numbers = 4;
      int64 second_of_some_numbers = 5;
      bool and_a_flag = 6;
      google.protobuf.Timestamp at = 7;
      google.protobuf.Any any = 8;
    }
"#;

/// Rules with a type `t.Node`, and a customer for each profile: `plain`, `full` (with defaults) and `slim` (a node without
/// its children, its colors and its time). The customer `gone` is disabled. Events of other customers go to the FIFO topic
/// [`REST`].
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
            (
                "slim".to_owned(),
                Profile { drop: vec!["children".into(), "colors".into(), "at".into()], ..Profile::default() },
            ),
        ]
        .into(),
        taps: Taps { customer: vec!["tenant".into()], ..Taps::default() },
        descriptors: Descriptors { path: folder.path().into(), ..Descriptors::default() },
        route: config::Route {
            unknown_customer: FallbackPolicy::Topic(REST.to_owned()),
            without_customer: FallbackPolicy::Topic(REST.to_owned()),
            ..config::Route::default()
        },
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
            canary: false,
            claim_check: Default::default(),
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
        self.decided(payload, customer).decision.map(|deliveries| deliveries.to_publish)
    }

    fn context(&self) -> Context<'_> {
        Context { snapshot: &self.snapshot, router: &self.router, schemas: &self.schemas }
    }

    fn decided(&self, payload: &[u8], customer: Option<&str>) -> Decided {
        let mut attributes = vec![("message-type", "t.Node"), ("content-encoding", "gzip"), ("event-id", "42")];
        attributes.extend(customer.map(|customer| ("customer-id", customer)));
        let body = BASE64_STANDARD.encode(gzip(payload));
        let message = Message {
            // The time is a part of the entry's size.
            sent: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            ..Message::for_tests(Queue::for_tests(), &body, &attributes, None)
        };
        let Opened::Ready(envelope) = self.rules.open(&message, None, &self.schemas) else { panic!("it opens") };
        self.rules.decide(self.context(), &message, &envelope, &TraceHeaders::default())
    }

    /// Returns a router of the same customers with other settings.
    fn router_of(&self, settings: &config::Route) -> Router {
        Router::new(settings, self.router.customers().cloned().collect(), self.snapshot.type_names())
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

/// Returns a time that ProtoJSON cannot represent.
fn unrenderable() -> Vec<u8> {
    b"\x3a\x07\x08\x80\x80\x80\x80\x80\x40".to_vec()
}

#[test]
fn the_profile_of_the_topic_decides_what_cannot_be_rendered() {
    let stage = stage();
    let of = |customer: &str| [unrenderable(), tenant(customer)].concat();
    for customer in [None, Some("slim")] {
        let deliveries = stage.decide(&of("slim"), customer).unwrap();
        assert_eq!(*deliveries[0].entry.body, r#"{"tenant":"slim"}"#, "{customer:?}");
    }
    for (payload, kind) in [
        (of("plain"), QuarantineKind::Unrenderable),
        ([of("slim"), vec![0x0a, 0x20]].concat(), QuarantineKind::MalformedProtobuf),
    ] {
        let reason = stage.decide(&payload, None).unwrap_err();
        assert!(matches!(&reason, Outcome::Quarantine(reason) if reason.kind == kind), "{reason:?}");
    }
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

#[test]
fn a_glue_schema_version_names_the_type_and_an_unknown_one_gets_the_grace_period() {
    let version = "07070707-0707-0707-0707-070707070707";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("schemas: [{{id: {version}, types: [t.Node, t.Absent]}}]")).unwrap();
    let Stage { rules, snapshot, router, schemas } = stage();
    let mut rules = rules.with_glue(glue::Schemas::load(file.path()).unwrap());
    let context = Context { snapshot: &snapshot, router: &router, schemas: &schemas };
    let mut event_type = |id: u8, index: u8, grace| {
        rules.unknown_type_grace = Duration::from_secs(grace);
        let queue = Queue { framing: config::Framing::Glue, default_type: Some("t.Node".into()), ..Queue::for_tests() };
        let body = BASE64_STANDARD.encode([&[3, 0], &[id; 16][..], &[index]].concat());
        let message = Message::for_tests(queue, &body, &[], None);
        let Opened::Ready(envelope) = rules.open(&message, None, &schemas) else { panic!("it opens") };
        match rules.event_type(context, &message, &envelope) {
            Ok(event_type) => event_type.name.to_string(),
            Err(Outcome::Retry(reason)) => format!("retry: {}", reason.detail),
            Err(Outcome::Quarantine(reason)) => format!("{}: {}", reason.kind, reason.detail),
            Err(other) => panic!("{other:?}"),
        }
    };
    // The names are sorted, so t.Absent is message 0.
    assert_eq!(event_type(7, 1, 0), "t.Node");
    assert_eq!(event_type(7, 0, 0), "unknown_type: no descriptor set defines t.Absent");
    let unknown = "`glue.schemas_file` has no schema version 08080808-0808-0808-0808-080808080808; add it and restart protobridge";
    assert_eq!(event_type(8, 0, 600), format!("retry: {unknown}"));
    assert_eq!(event_type(8, 0, 0), format!("unknown_type: {unknown}"));
    assert!(event_type(7, 2, 0).starts_with("unknown_type: there is no message 2 of Glue schema version"));
}

#[test]
fn an_event_that_arrives_as_json_is_read_by_its_type_and_rendered_in_the_profile_of_its_customer() {
    let mut stage = stage();
    let text = |number: u8, text: &str| [&[number << 3 | 2, text.len() as u8], text.as_bytes()].concat();
    let decide = |stage: &Stage, data: &str| {
        let event = [text(1, "7"), text(2, "/shop"), text(3, "1.0"), text(4, "t.Node"), text(7, data)].concat();
        let queue = Queue { framing: config::Framing::CloudEvents, ..Queue::for_tests() };
        let message = Message::for_tests(queue, &BASE64_STANDARD.encode(event), &[], None);
        let Opened::Ready(envelope) = stage.rules.open(&message, None, &stage.schemas) else { panic!("it opens") };
        let context = Context { snapshot: &stage.snapshot, router: &stage.router, schemas: &stage.schemas };
        stage.rules.decide(context, &message, &envelope, &TraceHeaders::default()).decision
    };
    // The tenant is read from the event, and the profile `slim` drops its children.
    let deliveries =
        decide(&stage, r#"{"children":[{"tenant":"secret"}],"tenant":"slim","first_of_some_numbers":7}"#).unwrap();
    let [Delivery { entry, .. }] = &deliveries.to_publish[..] else { panic!("{deliveries:?}") };
    assert_eq!(*entry.body, r#"{"tenant":"slim","firstOfSomeNumbers":"7"}"#);
    for (data, expected) in [
        (r#"{"tenant":7}"#, "t.Node.tenant: expected a string at line 1 column 11"),
        (r#"{"unknown":7}"#, "t.Node: it has no field `unknown` at line 1 column 10"),
        ("hello", "expected value at line 1 column 1"),
    ] {
        let Err(Outcome::Quarantine(reason)) = decide(&stage, data) else { panic!("{data}") };
        assert_eq!(reason.kind, QuarantineKind::MalformedProtobuf);
        assert_eq!(reason.detail, format!("the data of the CloudEvent is not the JSON of t.Node: {expected}"));
    }
    stage.rules.envelope.max_payload_bytes = 5;
    let Err(Outcome::Quarantine(reason)) = decide(&stage, r#"{"tenant":"slim"}"#) else { panic!("it is too large") };
    assert_eq!(reason.kind, QuarantineKind::BadEnvelope);
    assert_eq!(
        reason.detail,
        "the JSON data of the CloudEvent has 6 bytes in the wire format of t.Node; to allow this size, raise \
         `envelope.max_payload_bytes` (5)"
    );
}

#[test]
fn json_data_is_large_if_its_wire_format_can_be() {
    let stage = stage();
    let text = |number: u8, text: &str| [&[number << 3 | 2, text.len() as u8], text.as_bytes()].concat();
    let is_large = |bytes: usize| {
        let data = format!("{{{}}}", " ".repeat(bytes - 2));
        let mut event = [text(1, "7"), text(2, "/shop"), text(3, "1.0"), text(4, "t.Node")].concat();
        prost::encoding::string::encode(7, &data, &mut event);
        let queue = Queue { framing: config::Framing::CloudEvents, ..Queue::for_tests() };
        let message = Message::for_tests(queue, &BASE64_STANDARD.encode(event), &[], None);
        stage.rules.open_small(&message, None, &stage.schemas).is_err()
    };
    assert!(!is_large(LARGE / 6) && is_large(LARGE / 6 + 1));
}

/// Returns a node with an Any of this type. Its value is `value`.
fn any(name: &str, value: &[u8]) -> Vec<u8> {
    let url = format!("t/{name}");
    let mut any = [&[0x0a, url.len() as u8], url.as_bytes()].concat();
    if !value.is_empty() {
        any.extend([&[0x12, value.len() as u8], value].concat());
    }
    [&[0x42, any.len() as u8], &*any].concat()
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

#[test]
fn a_late_type_in_an_any_holds_back_only_events_of_which_a_destination_needs_it() {
    let mut stage = stage();
    let inside = any("t.Late", b"");
    let child = |tenant: &[u8]| [tenant, &[0x1a, inside.len() as u8], &inside].concat();
    // The profile `slim` drops the children. The customer is read from the payload, so another profile is tried first.
    let deliveries = stage.decide(&child(&tenant("slim")), None).unwrap();
    assert_eq!(deliveries[0].entry.customer.as_deref(), Some("slim"));
    stage.router = stage.router_of(&config::Route { broadcast: vec!["t.*".into()], ..config::Route::default() });
    let decide = |is_late: bool| {
        let body = BASE64_STANDARD.encode(child(b""));
        let mut message = Message::for_tests(Queue::for_tests(), &body, &[("message-type", "t.Node")], None);
        if is_late {
            message.first_received = std::time::UNIX_EPOCH;
        }
        let Opened::Ready(envelope) = stage.rules.open(&message, None, &stage.schemas) else { panic!("it opens") };
        let context = Context { snapshot: &stage.snapshot, router: &stage.router, schemas: &stage.schemas };
        stage.rules.decide(context, &message, &envelope, &TraceHeaders::default()).decision
    };
    let Err(Outcome::Retry(retry)) = decide(false) else { panic!("all destinations wait") };
    assert_eq!(retry.cause, RetryCause::UnknownType);
    let Deliveries { to_publish, refused, .. } = decide(true).unwrap();
    let customers: Vec<_> = to_publish.iter().map(|delivery| delivery.entry.customer.as_deref()).collect();
    assert_eq!(customers, [Some("slim")]);
    assert_eq!(refused.unwrap().kind, QuarantineKind::UnknownType);
}
