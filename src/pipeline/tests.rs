use tokio::time::Instant;

use super::*;
use crate::aws::scripted::{Call, Calls, clients, published, sns_error, sqs_batch};
use crate::receive::{Budget, Source};
use crate::registry::Profiles;
use crate::route::Router;
use crate::visibility::Visibility;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A pipeline with the sample descriptors and the customer acme, and what surrounds it.
struct Stage {
    pipeline: Arc<Pipeline>,
    visibility: Visibility,
    metrics: Arc<Metrics>,
    budget: Budget,
    calls: Calls,
}

fn stage(grace: u64, answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static) -> Stage {
    let (clients, calls) = clients(move |call, _| answer(call));
    let mut config = Config::default();
    config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:{customer}".into());
    config.retry.unknown_type_grace_seconds = grace;
    config.publish.max_attempts = 1;
    let metrics = Arc::new(Metrics::new(false));
    config.descriptors.path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
    let profiles = Arc::new(Profiles::new(&config.profiles));
    let registry = Registry::load(&config.descriptors, &config.taps, profiles);
    let registry = Arc::new(registry.unwrap());
    let acme = crate::route::Customer {
        id: "acme".into(),
        topic: "arn:aws:sns:eu-west-1:123456789012:acme".into(),
        events: vec![crate::route::Glob::new("*")],
        profile: Default::default(),
        enabled: true,
    };
    let router = Router::new(&config.route, vec![Arc::new(acme)], registry.current().type_names());
    let routes = Arc::new(Routes::of(&config.route, router));
    let (publisher, run) =
        Publisher::new(clients.data_plane.clone(), &config.publish, Arc::default(), Arc::clone(&metrics));
    tokio::spawn(run);
    let (quarantine, run) = Quarantine::new(clients.sqs.clone(), Arc::clone(&metrics));
    tokio::spawn(run);
    let (releaser, run) = Releaser::new(clients.sqs.clone(), Arc::clone(&metrics));
    tokio::spawn(run);
    let (deleter, run) = Deleter::new(clients.data_plane.clone(), Arc::clone(&metrics));
    tokio::spawn(run);
    let window = Window::new(&config.dedupe, TIMEOUT, Arc::clone(&metrics)).unwrap();
    let outside = Outside {
        objects: crate::objects::Objects::new(&config, &clients.shared).unwrap(),
        schemas: crate::confluent::Schemas::new(&config.confluent, None).unwrap(),
    };
    let ends = Ends { window, publisher, quarantine, releaser, deleter, traces: Traces::default() };
    Stage {
        pipeline: Arc::new(Pipeline::new(&config, outside, registry, routes, ends, Arc::clone(&metrics))),
        visibility: Visibility::new(clients.sqs, Arc::clone(&metrics), TIMEOUT),
        budget: Budget::new(10, 1 << 20, Arc::clone(&metrics)),
        metrics,
        calls,
    }
}

impl Stage {
    /// Lets the pipeline carry these messages, until nothing is in flight.
    async fn carry(&self, messages: Vec<Message>) {
        let mut reserved = self.budget.reserve().await;
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

    /// The operations called, in order.
    fn operations(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|call| call.operation.clone()).collect()
    }

    /// How many messages had this outcome.
    fn outcome(&self, outcome: &str) -> u64 {
        self.metrics.settled.sum_where("outcome", outcome)
    }
}

fn source(fifo: bool, quarantine: bool) -> Source {
    let quarantine = quarantine.then(|| "https://sqs.eu-west-1.amazonaws.com/1/quarantine".into());
    Source { fifo, quarantine, ..Source::for_tests() }
}

/// A heartbeat of acme's, which is a broadcast.
fn heartbeat(source: Source, group: Option<&str>) -> Message {
    Message::for_tests(source, "CgFh", &[("message-type", "protobridge.v1.Heartbeat")], group)
}

/// SNS and SQS as they should be.
fn all_good(call: &Call) -> (u16, String) {
    match call.operation.as_str() {
        "PublishBatch" => published(&(0..call.count(".Message=")).collect::<Vec<_>>(), &[]),
        _ => sqs_batch(call, &[]),
    }
}

/// SNS does not know the topic.
fn no_topic(call: &Call) -> (u16, String) {
    if call.operation == "PublishBatch" { sns_error(404, "NotFound") } else { all_good(call) }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_after_its_publish_was_confirmed() {
    let stage = stage(0, all_good);
    stage.carry(vec![heartbeat(source(false, true), None)]).await;
    assert_eq!(stage.operations(), ["PublishBatch", "DeleteMessageBatch"]);
    assert_eq!(stage.outcome("published"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_from_quarantine_keeps_the_event_id_that_it_had() {
    let stage = stage(0, all_good);
    let noted = [("message-type", "protobridge.v1.Heartbeat"), ("protobridge-quarantine", r#"{"message_id":"m-0"}"#)];
    stage.carry(vec![Message::for_tests(source(false, true), "CgFh", &noted, None)]).await;
    let calls = stage.calls.lock().unwrap();
    assert!(calls[0].body.contains("StringValue=m-0"), "{}", calls[0].body);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_publish_failed_is_given_back_later_and_not_deleted() {
    let stage = stage(0, no_topic);
    stage.carry(vec![heartbeat(source(false, true), None)]).await;
    assert_eq!(stage.operations(), ["PublishBatch", "ChangeMessageVisibilityBatch"]);
    assert_eq!(stage.calls.lock().unwrap()[1].count("\"VisibilityTimeout\":0"), 0);
    assert_eq!(stage.outcome("retried"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_into_quarantine_before_it_is_deleted() {
    let stage = stage(0, all_good);
    stage.carry(vec![Message::for_tests(source(false, true), "not base64!", &[], None)]).await;
    assert_eq!(stage.operations(), ["SendMessageBatch", "DeleteMessageBatch"]);
    assert_eq!(stage.metrics.quarantined.sum_where("reason", "bad_envelope"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_quarantine_or_when_it_fails_the_message_stays_on_its_queue() {
    let broken = |call: &Call| if call.operation == "SendMessageBatch" { (500, "{}".into()) } else { all_good(call) };
    let without = (false, all_good as fn(&Call) -> _, "no_quarantine_queue");
    for (has_quarantine, answer, cause) in [without, (true, broken, "quarantine_failed")] {
        let stage = stage(0, answer);
        stage.carry(vec![Message::for_tests(source(false, has_quarantine), "not base64!", &[], None)]).await;
        assert_eq!(stage.operations().last().unwrap(), "ChangeMessageVisibilityBatch");
        assert_eq!((stage.outcome("retried"), stage.outcome("quarantined")), (1, 0));
        assert_eq!(stage.metrics.retried.totals(), [(vec!["orders".to_owned(), cause.to_owned()], 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_type_waits_for_its_schema_until_the_grace_is_over() {
    for (grace, outcome, waiting) in [(600, "retried", 1), (0, "quarantined", 0)] {
        let stage = stage(grace, all_good);
        stage.carry(vec![Message::for_tests(source(false, true), "CAE=", &[("message-type", "a.B")], None)]).await;
        assert_eq!(stage.outcome(outcome), 1, "{:?}", stage.metrics.settled.totals());
        assert_eq!(stage.metrics.settled.sum_where("event_type", "unknown"), 1, "labels stay bounded");
        assert_eq!(stage.metrics.retried.sum_where("cause", "unknown_type"), waiting);
    }
}

#[tokio::test(start_paused = true)]
async fn the_type_is_that_of_the_first_that_names_one() {
    use config::Framing::{Any, CloudEvents, Confluent, None as Bare};
    const HEARTBEAT: &str = "protobridge.v1.Heartbeat";
    let text = |number: u8, text: &[u8]| [&[number << 3 | 2, text.len() as u8], text].concat();
    let any = |url: &str| [text(1, url.as_bytes()), text(2, b"\x0a\x01a")].concat();
    let event = |kind: &str, data: Vec<u8>| {
        [text(1, b"7"), text(2, b"/a"), text(3, b"1.0"), text(4, kind.as_bytes()), data].concat()
    };
    let (url, other) = (format!("type.googleapis.com/{HEARTBEAT}"), "type.googleapis.com/a.B");
    let bare = b"\x0a\x01a".to_vec();
    let confluent = b"\0\0\0\0\x07\0\x0a\x01a".to_vec();
    let (stated, in_content_type) = (Some(("message-type", ".protobridge.v1.Heartbeat")), "x/y; proto=a.B");
    let content_type = Some(("content-type", "x/y; proto=protobridge.v1.Heartbeat"));
    for (framing, payload, attribute, default, expected) in [
        (Bare, bare.clone(), stated, Some("a.B"), "published"),
        (Bare, bare.clone(), content_type, Some("a.B"), "published"),
        (Bare, bare.clone(), Some(("content-type", in_content_type)), Some(HEARTBEAT), "quarantined"),
        (Bare, bare.clone(), None, Some(HEARTBEAT), "published"),
        (Bare, bare.clone(), None, None, "quarantined"),
        (Any, any(other), stated, None, "published"),
        (Any, any(&url), None, Some("a.B"), "published"),
        (Any, any(other), None, Some(HEARTBEAT), "quarantined"),
        // The URL beside the data knows better than the event around it, and a `type` is often none of ours.
        (CloudEvents, event("shop.v1.OrderPlaced", text(8, &any(&url))), None, None, "published"),
        (CloudEvents, event(HEARTBEAT, text(6, &bare)), None, Some("a.B"), "published"),
        (CloudEvents, event("com.example.beat", text(6, &bare)), None, Some(HEARTBEAT), "published"),
        (CloudEvents, event("com.example.beat", text(6, &bare)), None, None, "quarantined"),
        // There is neither a file of schemas nor a registry, so nobody asks for the id.
        (Confluent, confluent.clone(), None, Some(HEARTBEAT), "published"),
        (Confluent, confluent, None, None, "quarantined"),
    ] {
        let stage = stage(0, all_good);
        let default_type = default.map(str::to_owned);
        let source = Source { framing, default_type, ..source(false, true) };
        let body = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &payload);
        let attributes: Vec<_> = attribute.into_iter().collect();
        stage.carry(vec![Message::for_tests(source, &body, &attributes, None)]).await;
        assert_eq!(stage.outcome(expected), 1, "{framing:?} {payload:?} {attribute:?} {default:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_message_that_has_to_wait_its_group_waits_and_other_groups_do_not() {
    let stage = stage(0, |call| {
        if call.operation != "PublishBatch" {
            return all_good(call);
        }
        let failing = |(_, entry): &(usize, &str)| entry.contains("first");
        let (bad, good): (Vec<_>, Vec<_>) = call.body.split(".Message=").skip(1).enumerate().partition(failing);
        let bad: Vec<_> = bad.iter().map(|(index, _)| (*index, "InternalError", false)).collect();
        published(&good.iter().map(|(index, _)| *index).collect::<Vec<_>>(), &bad)
    });
    // The source of the heartbeat is its only field: "first", "then" and "other".
    let message = |body: &str, group| Message { body: body.to_owned(), ..heartbeat(source(true, true), Some(group)) };
    stage.carry(vec![message("CgVmaXJzdA==", "a"), message("CgR0aGVu", "a"), message("CgVvdGhlcg==", "b")]).await;
    assert_eq!((stage.outcome("published"), stage.outcome("retried")), (1, 2));
    let retried = |cause| stage.metrics.retried.sum_where("cause", cause);
    assert_eq!((retried("publish"), retried("group_order")), (1, 1));
    let calls = stage.calls.lock().unwrap();
    assert!(calls.iter().all(|call| call.operation != "PublishBatch" || !call.body.contains("then")));
    assert_eq!(calls.iter().filter(|call| call.operation == "DeleteMessageBatch").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_a_new_owner_is_neither_published_nor_deleted_nor_given_back() {
    let stage = stage(0, all_good);
    let receipt =
        Receipt::for_tests("receipt", &stage.visibility, stage.budget.reserve().await.split(1), Instant::now());
    receipt.hold.mark_stale();
    stage.accept(vec![Received { message: heartbeat(source(false, true), None), receipt }]).await;
    assert_eq!(stage.operations(), [""; 0]);
    assert_eq!(stage.outcome("retried"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_published_is_not_published_again_but_deleted() {
    let stage = stage(0, all_good);
    let again = Message { message_id: "m-2".into(), ..heartbeat(source(false, true), None) };
    let with_id = |mut message: Message| {
        let attributes = Message::for_tests(source(false, true), "", &[("event-id", "e-1")], None).attributes;
        message.attributes.extend(attributes);
        message
    };
    stage.carry(vec![with_id(heartbeat(source(false, true), None)), with_id(again)]).await;
    stage.carry(vec![with_id(heartbeat(source(false, true), None))]).await;
    assert_eq!((stage.outcome("published"), stage.outcome("duplicate")), (1, 2));
    let entries: usize = stage.calls.lock().unwrap().iter().map(|call| call.count(".Message=")).sum();
    assert_eq!(entries, 1, "the second waited for the first, though both came at once");
    assert_eq!(stage.metrics.duplicates.sum_where("cause", "producer"), 1);
    assert_eq!(stage.metrics.duplicates.sum_where("cause", "redelivery"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_failed_is_not_taken_for_a_duplicate() {
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_failing = Arc::clone(&failing);
    let stage =
        stage(
            0,
            move |call| {
                if is_failing.load(std::sync::atomic::Ordering::Relaxed) { no_topic(call) } else { all_good(call) }
            },
        );
    stage.carry(vec![heartbeat(source(false, true), None)]).await;
    failing.store(false, std::sync::atomic::Ordering::Relaxed);
    stage.carry(vec![heartbeat(source(false, true), None)]).await;
    assert_eq!((stage.outcome("retried"), stage.outcome("published"), stage.outcome("duplicate")), (1, 1, 0));
}

#[test]
fn a_panic_over_one_message_is_a_retry_that_says_so() {
    let outcome = caught::<()>(|| panic!("no such {}", "index")).unwrap().unwrap_err();
    let Outcome::Retry(retry) = outcome else { panic!("{outcome:?}") };
    assert_eq!((retry.cause, &*retry.detail), (Cause::Defect, "a defect of protobridge: no such index"));
    assert!(matches!(caught(|| Some(Ok(7))), Some(Ok(7))));
}

#[test]
fn the_delay_doubles_with_each_receive_and_is_never_zero() {
    let retry = config::Retry { min_seconds: 2, max_seconds: 60, unknown_type_grace_seconds: 0 };
    for (count, range) in [(0, 1..=2), (1, 1..=2), (2, 2..=4), (4, 8..=16), (50, 30..=60)] {
        for _ in 0..100 {
            let delay = settle::delay(&retry, count).as_secs();
            assert!(range.contains(&delay), "receive {count}: {delay} s");
        }
    }
}
