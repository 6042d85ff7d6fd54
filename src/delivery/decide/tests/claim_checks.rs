//! Tests of claim checks: which JSON is offloaded, and what its entry carries.

use super::*;
use crate::aws::sns::publish::TopicEntry;
use crate::config::ClaimCheck;
use crate::message::attributes::{EXTENDED_PAYLOAD_SIZE, TRACEPARENT, TRACESTATE};
use crate::message::envelope::{Envelope, Pointer};
use crate::route::ClaimCheckMode;

const MAX_JSON_BYTES: usize = MIB;
const OVER_BYTES: usize = 10_000;

/// Returns the [`stage`] with a bucket, and with the customers `plain`, which has no claim check, `on` and `always`. They
/// have one profile.
fn claims() -> Stage {
    let mut stage = stage();
    let plain = stage.router.customers().find(|customer| &*customer.id == "plain").unwrap();
    let customer = |id: &str, claim_check| {
        let topic = format!("arn:aws:sns:eu-west-1:123456789012:{id}.fifo").as_str().into();
        Arc::new(Customer { id: id.into(), topic, claim_check, ..Customer::clone(plain) })
    };
    let more = [customer("on", ClaimCheckMode::On), customer("always", ClaimCheckMode::Always)];
    let customers = [Arc::clone(plain)].into_iter().chain(more).collect();
    stage.router = Router::new(&config::Route::default(), customers, stage.snapshot.type_names());
    stage.set_claim_check(OVER_BYTES);
    stage
}

impl Stage {
    fn set_claim_check(&mut self, over_bytes: usize) {
        let claim_check = ClaimCheck {
            bucket: Some("acme-claims".into()),
            over_bytes,
            max_json_bytes: MAX_JSON_BYTES,
            ..ClaimCheck::default()
        };
        // The payloads are long texts in a field that names a customer.
        let route =
            config::Route { customer_mismatch: config::CustomerMismatch::Attribute, ..config::Route::default() };
        self.rules = Rules::new(&Config { claim_check, route, ..Config::default() }, MAX_ENTRY_BYTES);
    }

    fn broadcasting(mut self) -> Self {
        self.router = self.router_of(&config::Route { broadcast: vec!["t.*".into()], ..config::Route::default() });
        self
    }

    /// Returns the entry of a customer for an event with JSON of this length.
    #[track_caller]
    fn entry(&self, json: usize, customer: &str) -> TopicEntry {
        self.decide(&text(json), Some(customer)).unwrap().remove(0).entry
    }
}

fn number(entry: &TopicEntry) -> Option<&str> {
    entry.attributes.iter().find(|(name, _)| *name == EXTENDED_PAYLOAD_SIZE).map(|(_, value)| value)
}

#[test]
fn an_event_above_the_limit_of_its_customer_leaves_as_a_pointer_to_its_json() {
    let stage = claims();
    let entry = stage.entry(OVER_BYTES, "on");
    let offload = entry.offload.as_ref().unwrap();
    assert_eq!(*entry.body, Pointer { bucket: "acme-claims".into(), key: offload.key.clone() }.body());
    assert!(offload.key.starts_with("claims/on/") && offload.key.ends_with(".json"), "{}", offload.key);
    assert_eq!((offload.json.len(), number(&entry)), (OVER_BYTES, Some("10000")));
    assert_eq!(offload.sha256, <[u8; 32]>::from(Sha256::digest(&**offload.json)));
    assert_eq!(entry.size(), entry.body.len() + entry.attributes.size());
    assert!(Arc::ptr_eq(entry.json(), &offload.json));
    // The attributes and the ids are those of the JSON.
    let plain = stage.entry(100, "on");
    assert_eq!((plain.offload.as_ref(), number(&plain)), (None, None));
    assert_eq!((&plain.group, &plain.deduplication_id), (&entry.group, &entry.deduplication_id));
    assert!(entry.group.is_some());
    let own: Vec<_> = entry.attributes.iter().filter(|(name, _)| *name != EXTENDED_PAYLOAD_SIZE).collect();
    assert_eq!(own, plain.attributes.iter().collect::<Vec<_>>());
}

#[test]
fn each_mode_offloads_exactly_the_events_that_it_names() {
    let stage = claims();
    let json = |entry_bytes: usize| entry_bytes - stage.entry(100, "on").attributes.size();
    let is_offloaded = |json: usize, customer: &str| stage.entry(json, customer).offload.is_some();
    assert!(!is_offloaded(json(OVER_BYTES), "on") && is_offloaded(json(OVER_BYTES) + 1, "on"));
    assert!(is_offloaded(13, "always") && is_offloaded(MAX_JSON_BYTES, "always") && is_offloaded(MAX_JSON_BYTES, "on"));
    assert!(!is_offloaded(200_000, "plain"));
}

#[test]
fn events_that_a_topic_cannot_take_are_offloaded_below_over_bytes_too() {
    let mut stage = claims();
    stage.set_claim_check(2 * MAX_ENTRY_BYTES);
    assert!(stage.entry(MAX_ENTRY_BYTES, "on").offload.is_some());
    assert!(stage.entry(MAX_ENTRY_BYTES - 2_000, "on").offload.is_none());
}

#[test]
fn without_a_bucket_no_customer_has_a_claim_check() {
    let mut stage = claims();
    stage.rules.claim_check = None;
    assert!(stage.entry(100, "always").offload.is_none());
    let detail = stage.too_large(&text(MAX_ENTRY_BYTES + 1), Some("always"));
    assert!(detail.contains("`publish.max_batch_bytes`"), "{detail}");
}

#[test]
fn json_beyond_a_limit_is_refused_by_the_destinations_with_this_limit_only_and_the_detail_has_the_way_out() {
    let stage = claims().broadcasting();
    let decide = |json: usize| {
        let decided = stage.decided(&text(json), None);
        let customer = |id: &Option<Arc<str>>| id.as_deref().unwrap_or("none").to_owned();
        let mut refused: Vec<_> = decided.refused.iter().map(|refused| customer(&refused.recipient.customer)).collect();
        refused.sort_unstable();
        let deliveries = decided.decision.map_or_else(|_| Vec::new(), |deliveries| deliveries.to_publish);
        let mut published: Vec<_> = deliveries.iter().map(|delivery| customer(&delivery.entry.customer)).collect();
        published.sort_unstable();
        let bodies: Vec<_> = deliveries.iter().map(|delivery| Arc::as_ptr(delivery.entry.json())).collect();
        assert!(bodies.windows(2).all(|two| two[0] == two[1]), "one profile, one JSON");
        let details: Vec<_> = decided.refused.into_iter().map(|refused| refused.reason.detail).collect();
        (published.join(" "), refused.join(" "), details)
    };
    let (published, refused, details) = decide(MAX_ENTRY_BYTES + 1);
    assert_eq!((published.as_str(), refused.as_str()), ("always on", "plain"));
    assert!(details[0].contains("set `claim_check: on` for customer plain "), "{details:?}");
    let (published, refused, details) = decide(MAX_JSON_BYTES + 1);
    assert_eq!((published.as_str(), refused.as_str()), ("", "always on plain"));
    let of_claims: Vec<_> = details.iter().filter(|detail| detail.contains("`claim_check.max_json_bytes`")).collect();
    assert_eq!(of_claims.len(), 2, "{details:?}");
    assert_eq!(decide(100).1, "");
}

#[test]
fn a_message_of_the_limit_names_it_and_the_way_out() {
    let stage = claims();
    insta::assert_snapshot!(stage.too_large(&text(MAX_JSON_BYTES + 1), Some("on")), @"JSON too large at byte 1048568 in t.Node: it exceeds the limit of 1048576 bytes (`claim_check.max_json_bytes`) for arn:aws:sns:eu-west-1:123456789012:on.fifo; raise the limit, or drop fields in the profile");
    insta::assert_snapshot!(stage.too_large(&text(MAX_ENTRY_BYTES + 1), Some("plain")), @"JSON too large at byte 262136 in t.Node: it exceeds the limit of 262144 bytes that arn:aws:sns:eu-west-1:123456789012:plain accepts (`publish.max_batch_bytes`); set `claim_check: on` for customer plain in the customers file, or raise this key and the `MaximumMessageSize` of the topic, at most to 1 MiB");
    insta::assert_snapshot!(stage.too_large(&text(MAX_ENTRY_BYTES - 100), Some("plain")), @"262207 bytes of JSON and attributes exceed the limit of 262144 bytes that arn:aws:sns:eu-west-1:123456789012:plain accepts (`publish.max_batch_bytes`); set `claim_check: on` for customer plain in the customers file, or raise this key and the `MaximumMessageSize` of the topic, at most to 1 MiB");
}

#[test]
fn each_customer_has_an_object_of_its_own_and_a_retry_has_the_same_one() {
    let stage = claims();
    let key = |payload: &[u8], customer: &str| {
        stage.decide(payload, Some(customer)).unwrap().remove(0).entry.offload.unwrap().key
    };
    let payload = text(OVER_BYTES);
    assert_eq!(key(&payload, "on"), key(&payload, "on"));
    let rest = |key: &str| key.rsplit('/').next().unwrap().to_owned();
    assert_eq!(rest(&key(&payload, "on")), rest(&key(&payload, "always")));
    assert_ne!(key(&payload, "on"), key(&payload, "always"));
    // The same event id, and another JSON.
    assert_ne!(key(&payload, "on"), key(&text(OVER_BYTES + 1), "on"));
}

#[test]
fn the_size_of_the_json_is_an_attribute_beside_all_others() {
    let stage = claims();
    let attributes = [("message-type", "t.Node"), ("customer-id", "on")];
    let body = BASE64_STANDARD.encode(text(OVER_BYTES));
    let message = Message::for_tests(Queue::for_tests(), &body, &attributes, None);
    let Opened::Ready(envelope) = stage.rules.open(&message, None, &stage.schemas) else { panic!("it opens") };
    let trace = TraceHeaders { traceparent: "p".into(), tracestate: "s".into() };
    let decided = stage.rules.decide(stage.context(), &message, &envelope, &trace);
    let attributes = decided.decision.unwrap().to_publish.remove(0).entry.attributes;
    let names: Vec<_> = attributes.iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), &names[6..]), (9, &[TRACEPARENT, TRACESTATE, EXTENDED_PAYLOAD_SIZE][..]));
}

#[test]
fn large_json_of_a_claim_check_waits_for_a_turn_and_no_other_json_does() {
    let stage = claims();
    let is_large = |payload: &[u8], customer: &str| {
        let attributes = [("message-type", "t.Node"), ("content-encoding", "gzip"), ("customer-id", customer)];
        let body = BASE64_STANDARD.encode(gzip(payload));
        let message = Message::for_tests(Queue::for_tests(), &body, &attributes, None);
        let decide = |envelope: &Envelope<'_>| {
            let trace = TraceHeaders::default();
            stage.rules.decide_small(stage.context(), &message, envelope, &trace).is_err_and(|IsLarge| true)
        };
        match stage.rules.open_small(&message, None, &stage.schemas) {
            Ok(Opened::Ready(envelope)) => decide(&envelope),
            _ => panic!("the payload is small"),
        }
    };
    // 200 KiB of packed colors become 10 MB of JSON.
    let mut colors = vec![0x12, 0x80, 0x80, 0x0c];
    colors.resize(colors.len() + 3 * 65_536, 0);
    assert!(is_large(&colors, "on") && !is_large(&colors, "plain"));
    assert!(!is_large(&text(MAX_ENTRY_BYTES - 1_000), "on"));
    let detail = stage.too_large(&colors, Some("on"));
    assert!(detail.contains("it exceeds the limit of 1048576 bytes (`claim_check.max_json_bytes`)"), "{detail}");
}
