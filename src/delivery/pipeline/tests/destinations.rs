//! Events with several destinations: each destination is decided by itself, and keeps what it has.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::message::attributes::QUARANTINE_NOTE;

/// Longer than the window of duplicates.
const LONGER: Duration = Duration::from_secs(3_600);

/// Creates a pipeline with the customers acme and bolt. Bolt's profile leaves out the sender and the time of a heartbeat.
fn two_customers(answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static) -> Stage {
    two_customers_with(None, answer)
}

/// Creates a pipeline like [`two_customers`], with a journal.
pub(super) fn two_customers_with(
    journal: Option<Arc<Journal>>,
    answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static,
) -> Stage {
    let mut config = Config::default();
    let slim = config::Profile { drop: vec!["source".into(), "sent_at".into()], ..config::Profile::default() };
    config.profiles.insert("slim".to_owned(), slim);
    config.publish.max_batch_bytes = 1_024;
    stage_with(journal, config, &[("acme", "default"), ("bolt", "slim")], answer)
}

/// Creates a heartbeat whose JSON is too large for acme's topic.
pub(super) fn too_large() -> Message {
    let mut payload = Vec::new();
    prost::encoding::string::encode(1, &"a".repeat(1_024), &mut payload);
    Message { body: BASE64_STANDARD.encode(payload), ..heartbeat(queue(false, true), None) }
}

/// Creates a heartbeat whose time ProtoJSON cannot represent.
fn unrenderable() -> Message {
    Message {
        body: BASE64_STANDARD.encode(b"\x1a\x07\x08\x80\x80\x80\x80\x80\x40"),
        ..heartbeat(queue(false, true), None)
    }
}

pub(super) fn arn(customer: &str) -> String {
    format!("arn:aws:sns:eu-west-1:123456789012:{customer}")
}

pub(super) fn with_note(mut message: Message, note: &serde_json::Value) -> Message {
    message.message_id = "m-2".to_owned();
    let noted = Message::for_tests(queue(false, true), "", &[(QUARANTINE_NOTE, &note.to_string())], None);
    message.attributes.extend(noted.attributes);
    message
}

impl Stage {
    /// Returns the number of entries that were published to a customer's topic.
    fn entries(&self, customer: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        let to_topic = calls.iter().filter(|call| call.operation == "PublishBatch" && is_to(call, customer));
        to_topic.map(|call| call.count(".Message=")).sum()
    }

    /// Returns the note of the message that was quarantined last.
    fn note(&self) -> serde_json::Value {
        let calls = self.calls.lock().unwrap();
        let sent = calls.iter().rfind(|call| call.operation == "SendMessageBatch").unwrap();
        let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
        let note = &body["Entries"][0]["MessageAttributes"][QUARANTINE_NOTE]["StringValue"];
        serde_json::from_str(note.as_str().unwrap()).unwrap()
    }
}

/// Whether a call publishes to the topic of a customer.
pub(super) fn is_to(call: &Call, customer: &str) -> bool {
    let parameter = format!("TopicArn={}&", arn(customer).replace(':', "%3A"));
    format!("{}&", call.body).contains(&parameter)
}

#[tokio::test(start_paused = true)]
async fn an_event_that_one_destination_cannot_get_reaches_the_others_before_it_is_quarantined() {
    for (message, reason, kind) in [
        (too_large(), "too_large", QuarantineKind::TooLarge),
        (unrenderable(), "unrenderable", QuarantineKind::Unrenderable),
    ] {
        let stage = two_customers(all_good);
        stage.process(vec![message]).await;
        assert_eq!(stage.operations(), ["PublishBatch", "SendMessageBatch", "DeleteMessageBatch"], "{reason}");
        assert_eq!((stage.entries("acme"), stage.entries("bolt")), (0, 1), "{reason}");
        let note = stage.note();
        assert_eq!((&note["reason"], &note["event_id"]), (&reason.into(), &"m-1".into()));
        assert_eq!(note["delivered"], serde_json::json!([{"topic": arn("bolt"), "customer": "bolt"}]));
        let detail = note["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("cannot be published to {}: ", arn("acme"))), "{detail}");
        assert_eq!(stage.outcome(OutcomeLabel::Quarantined), 1);
        assert_eq!(stage.metrics.quarantined.sum_where(|labels| labels.reason == kind), 1);
        assert_eq!(stage.metrics.published.sum(), 1, "the delivery to bolt counts as published");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_quarantined_reaches_no_destination_again() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let stage = two_customers(move |call| match &*call.operation {
        "SendMessageBatch" if broken.load(Ordering::Relaxed) => (500, "{}".into()),
        _ => all_good(call),
    });
    for _ in 0..3 {
        stage.process(vec![too_large()]).await;
        tokio::time::sleep(LONGER).await;
    }
    is_broken.store(false, Ordering::Relaxed);
    stage.process(vec![too_large()]).await;
    assert_eq!((stage.entries("acme"), stage.entries("bolt")), (0, 1));
    assert_eq!(stage.note()["delivered"], serde_json::json!([{"topic": arn("bolt"), "customer": "bolt"}]));
    assert_eq!((stage.outcome(OutcomeLabel::Retried), stage.outcome(OutcomeLabel::Quarantined)), (3, 1));
    let duplicates = stage.metrics.duplicates.sum_where(|labels| labels.cause == DuplicateCause::Redelivery);
    assert_eq!(duplicates, 3);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_out_for_longer_than_the_window_lets_no_other_topic_have_the_event_again() {
    let is_out = Arc::new(AtomicBool::new(true));
    let out = Arc::clone(&is_out);
    let stage =
        two_customers(
            move |call| {
                if out.load(Ordering::Relaxed) && is_to(call, "acme") { no_topic(call) } else { all_good(call) }
            },
        );
    for _ in 0..4 {
        stage.process(vec![heartbeat(queue(false, true), None)]).await;
        tokio::time::sleep(LONGER).await;
    }
    assert_eq!((stage.outcome(OutcomeLabel::Retried), stage.entries("bolt")), (4, 1));
    is_out.store(false, Ordering::Relaxed);
    stage.process(vec![heartbeat(queue(false, true), None)]).await;
    assert_eq!((stage.outcome(OutcomeLabel::Published), stage.entries("bolt")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_back_from_quarantine_is_published_only_to_the_destinations_that_lack_it() {
    let note = |delivered: serde_json::Value| {
        let event_type = "protobridge.v1.Heartbeat";
        serde_json::json!({"message_id": "m-1", "event_type": event_type, "event_id": "m-1", "delivered": delivered})
    };
    let [acme, bolt] = ["acme", "bolt"].map(|id| serde_json::json!({"topic": arn(id), "customer": id}));
    let another_topic = serde_json::json!({"topic": arn("former"), "customer": "bolt"});
    let mut of_another_event = note(serde_json::json!([acme, bolt]));
    of_another_event["event_id"] = "m-9".into();
    for (note, entries, outcome) in [
        (note(serde_json::json!([bolt])), (1, 0), OutcomeLabel::Published),
        (note(serde_json::json!([acme, bolt])), (0, 0), OutcomeLabel::Duplicate),
        (note(serde_json::json!([another_topic])), (1, 1), OutcomeLabel::Published),
        (of_another_event, (1, 1), OutcomeLabel::Published),
    ] {
        let stage = two_customers(all_good);
        stage.process(vec![with_note(heartbeat(queue(false, true), None), &note)]).await;
        assert_eq!((stage.entries("acme"), stage.entries("bolt")), entries, "{note}");
        assert_eq!(stage.outcome(outcome), 1, "{note}");
        assert_eq!(stage.operations().last().unwrap(), "DeleteMessageBatch");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_quarantined_again_keeps_the_destinations_of_its_first_note() {
    let stage = two_customers(all_good);
    stage.process(vec![too_large()]).await;
    let first = stage.note();
    stage.process(vec![with_note(too_large(), &first)]).await;
    assert_eq!((stage.note()["delivered"].clone(), stage.entries("bolt")), (first["delivered"].clone(), 1));
}
