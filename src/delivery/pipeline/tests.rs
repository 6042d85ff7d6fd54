mod claims;
mod destinations;
mod records;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use tokio::time::Instant;

use super::*;
use crate::aws::scripted::{Call, Calls, clients, published, sns_error, sqs_batch};
use crate::aws::sqs::Receipt;
use crate::aws::sqs::budget::Budget;
use crate::aws::sqs::visibility::Visibility;
use crate::config::{self, Config};
use crate::delivery::{Recorders, Wired, wire};
use crate::message::{DuplicateCause, Message, OutcomeLabel, QuarantineKind, Queue, RetryCause};
use crate::route::{ClaimCheckMode, Router};
use crate::schema::registry::{Profiles, Registry};
use crate::telemetry::UNKNOWN_TYPE;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A pipeline with the sample descriptors and the customer acme, and the parts around it.
struct Stage {
    pipeline: Arc<Pipeline>,
    visibility: Visibility,
    metrics: Arc<Metrics>,
    budget: Budget,
    calls: Calls,
}

fn stage(grace: u64, answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static) -> Stage {
    let mut config = Config::default();
    config.retry.unknown_type_grace_seconds = grace;
    stage_of(config, &[("acme", "default")], answer)
}

/// Creates a pipeline with these customers, each with the name of its profile.
fn stage_of(
    config: Config,
    customers: &[(&str, &str)],
    answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static,
) -> Stage {
    stage_with(None, config, customers, answer)
}

/// Creates a pipeline like [`stage_of`], with a journal.
fn stage_with(
    journal: Option<Arc<Journal>>,
    mut config: Config,
    customers: &[(&str, &str)],
    answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static,
) -> Stage {
    let (clients, calls) = clients(move |call, _| answer(call));
    config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:{customer}".into());
    config.publish.max_attempts = 1;
    let metrics = Arc::new(Metrics::new(false));
    config.descriptors.path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
    let profiles = Arc::new(Profiles::new(&config.profiles));
    let registry = Registry::load(&config.descriptors, &config.taps, Arc::clone(&profiles));
    let snapshot = registry.unwrap().current();
    // With a bucket, each customer but plain has claim checks.
    let has_bucket = config.claim_check.bucket.is_some();
    let customer = |(id, profile): &(&str, &str)| {
        let has_claims = has_bucket && *id != "plain";
        Arc::new(crate::route::Customer {
            id: (*id).into(),
            topic: format!("arn:aws:sns:eu-west-1:123456789012:{id}").into(),
            events: vec![crate::route::Glob::new("*")],
            profile: profiles.find(profile).unwrap(),
            enabled: true,
            canary: false,
            claim_check: if has_claims { ClaimCheckMode::Always } else { ClaimCheckMode::Off },
        })
    };
    let customers = customers.iter().map(customer).collect();
    let router = Router::new(&config.route, customers, snapshot.type_names());
    let routes = Arc::new(Routes::of(&config.route, router, snapshot));
    config.visibility.timeout_seconds = TIMEOUT.as_secs() as u32;
    let definitions = (routes, Default::default());
    let queues = [Arc::new(Queue::for_tests())];
    let wired = wire(
        &config,
        &clients,
        &queues,
        definitions,
        (Traces::default(), Recorders { journal, ..Recorders::default() }),
        &metrics,
    )
    .unwrap();
    let Wired { pipeline, visibility, mut tasks, .. } = wired;
    tasks.detach_all();
    let budget = Budget::new(10, 1 << 20, [&Queue::for_tests().url], &metrics);
    Stage { pipeline, visibility, budget, metrics, calls }
}

impl Stage {
    /// Processes these messages until none is in flight.
    async fn process(&self, messages: Vec<Message>) {
        let mut reserved = self.budget.reserve(&Queue::for_tests().url).await;
        let receipt = |index| {
            Receipt::for_tests(&format!("receipt-{index}"), &self.visibility, reserved.split(1), Instant::now())
        };
        let receipts: Vec<Receipt> = (0..messages.len()).map(receipt).collect();
        let received = messages.into_iter().zip(receipts).map(|(message, receipt)| Received { message, receipt });
        self.accept(received.collect()).await;
    }

    async fn accept(&self, received: Vec<Received>) {
        let tasks = TaskTracker::new();
        self.pipeline.accept(&Tasks::new(tasks.clone(), CancellationToken::new()), received);
        tasks.close();
        tasks.wait().await;
        let empty = async {
            while self.visibility.in_flight() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, empty).await.expect("every message is settled");
    }

    /// Returns the operations that were called, in order.
    fn operations(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|call| call.operation.clone()).collect()
    }

    /// Returns the number of messages with this outcome.
    fn outcome(&self, outcome: OutcomeLabel) -> u64 {
        self.metrics.settled.sum_where(|labels| labels.outcome == outcome)
    }
}

fn queue(is_fifo: bool, has_quarantine: bool) -> Queue {
    let quarantine = has_quarantine.then(|| "https://sqs.eu-west-1.amazonaws.com/1/quarantine".into());
    let queue = Queue::for_tests();
    let url = if is_fifo { format!("{}.fifo", queue.url).as_str().into() } else { queue.url.clone() };
    Queue { url, quarantine, ..queue }
}

/// Creates a heartbeat, which is broadcast to acme.
fn heartbeat(queue: Queue, group: Option<&str>) -> Message {
    Message::for_tests(queue, "CgFh", &[("message-type", "protobridge.v1.Heartbeat")], group)
}

/// Answers every call with success.
fn all_good(call: &Call) -> (u16, String) {
    match call.operation.as_str() {
        "PublishBatch" => published(&(0..call.count(".Message=")).collect::<Vec<_>>(), &[]),
        _ => sqs_batch(call, &[]),
    }
}

/// Answers that SNS does not know the topic.
fn no_topic(call: &Call) -> (u16, String) {
    if call.operation == "PublishBatch" { sns_error(404, "NotFound") } else { all_good(call) }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_after_its_publish_was_confirmed() {
    let stage = stage(0, all_good);
    stage.process(vec![heartbeat(queue(false, true), None)]).await;
    assert_eq!(stage.operations(), ["PublishBatch", "DeleteMessageBatch"]);
    assert_eq!(stage.outcome(OutcomeLabel::Published), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_back_from_quarantine_keeps_its_event_id() {
    let stage = stage(0, all_good);
    let noted = [("message-type", "protobridge.v1.Heartbeat"), ("protobridge-quarantine", r#"{"message_id":"m-0"}"#)];
    stage.process(vec![Message::for_tests(queue(false, true), "CgFh", &noted, None)]).await;
    let calls = stage.calls.lock().unwrap();
    assert!(calls[0].body.contains("StringValue=m-0"), "{}", calls[0].body);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_topic_does_not_exist_waits_and_costs_no_receive() {
    let stage = stage(0, no_topic);
    stage.process(vec![heartbeat(queue(false, true), None)]).await;
    // Nothing extends the visibility timeout here, so the wait ends with it.
    assert!(stage.operations().iter().all(|operation| operation == "PublishBatch"), "{:?}", stage.operations());
    let retried = |cause| stage.metrics.retried.sum_where(|labels| labels.cause == cause);
    assert_eq!((stage.outcome(OutcomeLabel::Retried), retried(RetryCause::StaleReceipt)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_into_quarantine_before_it_is_deleted() {
    let stage = stage(0, all_good);
    stage.process(vec![Message::for_tests(queue(false, true), "not base64!", &[], None)]).await;
    assert_eq!(stage.operations(), ["SendMessageBatch", "DeleteMessageBatch"]);
    assert_eq!(stage.metrics.quarantined.sum_where(|labels| labels.reason == QuarantineKind::BadEnvelope), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_quarantined_stays_on_its_queue() {
    let broken = |call: &Call| if call.operation == "SendMessageBatch" { (500, "{}".into()) } else { all_good(call) };
    let without = (false, all_good as fn(&Call) -> _, RetryCause::NoQuarantineQueue);
    for (has_quarantine, answer, cause) in [without, (true, broken, RetryCause::QuarantineFailed)] {
        let stage = stage(0, answer);
        stage.process(vec![Message::for_tests(queue(false, has_quarantine), "not base64!", &[], None)]).await;
        assert_eq!(stage.operations().last().unwrap(), "ChangeMessageVisibilityBatch");
        assert_eq!((stage.outcome(OutcomeLabel::Retried), stage.outcome(OutcomeLabel::Quarantined)), (1, 0));
        let retried = stage.metrics.retried.sum_by(|labels| Some((labels.queue.to_owned(), labels.cause)));
        assert_eq!(retried.into_iter().collect::<Vec<_>>(), [(("orders".to_owned(), cause), 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_type_is_retried_until_the_grace_period_ends() {
    for (grace, outcome, waiting) in [(600, OutcomeLabel::Retried, 1), (0, OutcomeLabel::Quarantined, 0)] {
        let stage = stage(grace, all_good);
        stage.process(vec![Message::for_tests(queue(false, true), "CAE=", &[("message-type", "a.B")], None)]).await;
        assert_eq!(stage.outcome(outcome), 1, "{:?}", stage.metrics.settled);
        let unknown = stage.metrics.settled.sum_where(|labels| labels.event_type == UNKNOWN_TYPE);
        assert_eq!(unknown, 1, "labels stay bounded");
        assert_eq!(stage.metrics.retried.sum_where(|labels| labels.cause == RetryCause::UnknownType), waiting);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_present_source_names_the_type() {
    use config::Framing::{Any, CloudEvents, Confluent, Delimited, Glue, None as Bare};
    const HEARTBEAT: &str = "protobridge.v1.Heartbeat";
    let text = |number: u8, text: &[u8]| [&[number << 3 | 2, text.len() as u8], text].concat();
    let any = |url: &str| [text(1, url.as_bytes()), text(2, b"\x0a\x01a")].concat();
    let event = |kind: &str, data: Vec<u8>| {
        [text(1, b"7"), text(2, b"/a"), text(3, b"1.0"), text(4, kind.as_bytes()), data].concat()
    };
    let (url, other) = (format!("type.googleapis.com/{HEARTBEAT}"), "type.googleapis.com/a.B");
    let bare = b"\x0a\x01a".to_vec();
    let confluent = b"\0\0\0\0\x07\0\x0a\x01a".to_vec();
    let glue = [&[3, 0], &[7; 16][..], b"\0\x0a\x01a"].concat();
    let (stated, in_content_type) = (Some(("message-type", ".protobridge.v1.Heartbeat")), "x/y; proto=a.B");
    let content_type = Some(("content-type", "x/y; proto=protobridge.v1.Heartbeat"));
    for (framing, payload, attribute, default, expected) in [
        (Bare, bare.clone(), stated, Some("a.B"), OutcomeLabel::Published),
        (Bare, bare.clone(), content_type, Some("a.B"), OutcomeLabel::Published),
        (Bare, bare.clone(), Some(("content-type", in_content_type)), Some(HEARTBEAT), OutcomeLabel::Quarantined),
        (Bare, bare.clone(), None, Some(HEARTBEAT), OutcomeLabel::Published),
        (Bare, bare.clone(), None, None, OutcomeLabel::Quarantined),
        (Any, any(other), stated, None, OutcomeLabel::Published),
        (Any, any(&url), None, Some("a.B"), OutcomeLabel::Published),
        (Any, any(other), None, Some(HEARTBEAT), OutcomeLabel::Quarantined),
        // The type URL beside the data takes precedence over the CloudEvent, whose `type` often names no message type.
        (CloudEvents, event("shop.v1.OrderPlaced", text(8, &any(&url))), None, None, OutcomeLabel::Published),
        (CloudEvents, event(HEARTBEAT, text(6, &bare)), None, Some("a.B"), OutcomeLabel::Published),
        (CloudEvents, event("com.example.beat", text(6, &bare)), None, Some(HEARTBEAT), OutcomeLabel::Published),
        (CloudEvents, event("com.example.beat", text(6, &bare)), None, None, OutcomeLabel::Quarantined),
        // Without a schemas file and a registry, the schema id is not looked up.
        (Confluent, confluent.clone(), None, Some(HEARTBEAT), OutcomeLabel::Published),
        (Confluent, confluent, None, None, OutcomeLabel::Quarantined),
        (Glue, glue.clone(), None, Some(HEARTBEAT), OutcomeLabel::Published),
        (Glue, glue.clone(), stated, None, OutcomeLabel::Published),
        (Glue, glue, None, None, OutcomeLabel::Quarantined),
        (Delimited, b"\x03\x0a\x01a".to_vec(), None, Some(HEARTBEAT), OutcomeLabel::Published),
        // A CloudEvent without data is an empty message.
        (CloudEvents, event(HEARTBEAT, Vec::new()), None, None, OutcomeLabel::Published),
    ] {
        let stage = stage(0, all_good);
        let default_type = default.map(str::to_owned);
        let queue = Queue { framing, default_type, ..queue(false, true) };
        let body = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &payload);
        let attributes: Vec<_> = attribute.into_iter().collect();
        stage.process(vec![Message::for_tests(queue, &body, &attributes, None)]).await;
        assert_eq!(stage.outcome(expected), 1, "{framing:?} {payload:?} {attribute:?} {default:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retried_message_holds_back_its_group_only() {
    let stage = stage(0, |call| {
        if call.operation != "PublishBatch" {
            return all_good(call);
        }
        let failing = |(_, entry): &(usize, &str)| entry.contains("first");
        let (bad, good): (Vec<_>, Vec<_>) = call.body.split(".Message=").skip(1).enumerate().partition(failing);
        let bad: Vec<_> = bad.iter().map(|(index, _)| (*index, "InternalError", false)).collect();
        published(&good.iter().map(|(index, _)| *index).collect::<Vec<_>>(), &bad)
    });
    // The heartbeat's field `source` is its only field: "first", "then" and "other".
    let message = |body: &str, group| {
        let message_id = format!("m-{body}");
        Message { body: body.to_owned(), message_id, ..heartbeat(queue(true, true), Some(group)) }
    };
    stage.process(vec![message("CgVmaXJzdA==", "a"), message("CgR0aGVu", "a"), message("CgVvdGhlcg==", "b")]).await;
    assert_eq!((stage.outcome(OutcomeLabel::Published), stage.outcome(OutcomeLabel::Retried)), (1, 2));
    let retried = |cause| stage.metrics.retried.sum_where(|labels| labels.cause == cause);
    assert_eq!((retried(RetryCause::Publish), retried(RetryCause::GroupOrder)), (1, 1));
    let calls = stage.calls.lock().unwrap();
    assert!(calls.iter().all(|call| call.operation != "PublishBatch" || !call.body.contains("then")));
    assert_eq!(calls.iter().filter(|call| call.operation == "DeleteMessageBatch").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_a_new_owner_is_left_alone() {
    let stage = stage(0, all_good);
    let receipt = Receipt::for_tests(
        "receipt",
        &stage.visibility,
        stage.budget.reserve(&Queue::for_tests().url).await.split(1),
        Instant::now(),
    );
    receipt.hold.mark_stale();
    stage.accept(vec![Received { message: heartbeat(queue(false, true), None), receipt }]).await;
    assert_eq!(stage.operations(), [""; 0]);
    assert_eq!(stage.outcome(OutcomeLabel::Retried), 1);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_deleted_without_a_publish() {
    let stage = stage(0, all_good);
    let again = Message { message_id: "m-2".into(), ..heartbeat(queue(false, true), None) };
    let with_id = |mut message: Message| {
        let attributes = Message::for_tests(queue(false, true), "", &[("event-id", "e-1")], None).attributes;
        message.attributes.extend(attributes);
        message
    };
    stage.process(vec![with_id(heartbeat(queue(false, true), None)), with_id(again)]).await;
    stage.process(vec![with_id(heartbeat(queue(false, true), None))]).await;
    assert_eq!((stage.outcome(OutcomeLabel::Published), stage.outcome(OutcomeLabel::Duplicate)), (1, 2));
    let entries: usize = stage.calls.lock().unwrap().iter().map(|call| call.count(".Message=")).sum();
    assert_eq!(entries, 1, "the second message waited for the first");
    let duplicates = |cause| stage.metrics.duplicates.sum_where(|labels| labels.cause == cause);
    assert_eq!((duplicates(DuplicateCause::Producer), duplicates(DuplicateCause::Redelivery)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_publish_is_not_taken_for_a_duplicate() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_failing = Arc::clone(&failing);
    let stage =
        stage(
            0,
            move |call| {
                if is_failing.load(std::sync::atomic::Ordering::Relaxed) { no_topic(call) } else { all_good(call) }
            },
        );
    stage.process(vec![heartbeat(queue(false, true), None)]).await;
    failing.store(false, std::sync::atomic::Ordering::Relaxed);
    stage.process(vec![heartbeat(queue(false, true), None)]).await;
    assert_eq!(
        (
            stage.outcome(OutcomeLabel::Retried),
            stage.outcome(OutcomeLabel::Published),
            stage.outcome(OutcomeLabel::Duplicate)
        ),
        (1, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_payload_waits_for_its_turn_and_the_others_of_its_batch_do_not() {
    let stage = stage(0, all_good);
    let mut turns = Vec::new();
    while let Ok(turn) = tokio::time::timeout(Duration::from_millis(1), stage.pipeline.rules.turn()).await {
        turns.push(turn);
    }
    let event = |id, body: &str| {
        let attributes = [("message-type", "protobridge.v1.Heartbeat"), ("event-id", id)];
        Message::for_tests(queue(false, true), body, &attributes, None)
    };
    let mut payload = Vec::new();
    prost::encoding::string::encode(1, &"a".repeat(200_000), &mut payload);
    let large = BASE64_STANDARD.encode(payload);
    let waiting = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let published = stage.outcome(OutcomeLabel::Published);
        turns.clear();
        published
    };
    let batch = vec![event("large", &large), event("small", "CgFh")];
    let ((), published) = tokio::join!(stage.process(batch), waiting);
    assert_eq!((published, stage.metrics.settled.sum()), (1, 2));
}
