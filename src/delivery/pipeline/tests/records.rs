//! The rows of the journal: one per destination of each receive, or one for a receive without a destination.

use super::destinations::{arn, is_to, too_large, two_customers_with, with_note};
use super::*;
use crate::store::Store;
use crate::store::journal::{Row, Wanted, Writer};

/// Creates a journal whose rows stay in memory.
fn journal() -> Arc<Journal> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().to_owned()).unwrap();
    let (journal, _) = Writer::new(store, &config::Journal::default(), "pod-a".into(), &Arc::new(Metrics::new(false)));
    journal
}

/// What a row says about its destination: customer, outcome, reason, and whether SNS gave an id.
type Told = (Option<String>, String, Option<String>, bool);

fn told(customer: Option<&str>, outcome: &str, reason: Option<&str>, has_sns_id: bool) -> Told {
    (customer.map(str::to_owned), outcome.to_owned(), reason.map(str::to_owned), has_sns_id)
}

/// Returns the rows of the message `m-1`, in their order.
async fn rows(journal: &Journal) -> Vec<Row> {
    journal.unstored(&Wanted::Message("m-1".into())).await
}

async fn process(
    message: Message,
    answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static,
) -> (Vec<Told>, Vec<Row>) {
    let journal = journal();
    let stage = two_customers_with(Some(Arc::clone(&journal)), answer);
    stage.process(vec![message]).await;
    let rows = rows(&journal).await;
    let tell =
        |row: &Row| (row.customer.clone(), row.outcome.clone(), row.reason.clone(), row.sns_message_id.is_some());
    let mut told: Vec<Told> = rows.iter().map(tell).collect();
    told.sort();
    (told, rows)
}

#[tokio::test(start_paused = true)]
async fn each_destination_has_a_row_with_its_fate() {
    let broadcast = || heartbeat(queue(false, true), None);
    let (acme, bolt) = (Some("acme"), Some("bolt"));
    let (published, retried) = (told(bolt, "published", None, true), |who, cause| told(who, "retried", cause, false));
    let failing = |call: &Call| if is_to(call, "acme") { sns_error(500, "InternalError") } else { all_good(call) };
    let refused = |call: &Call| {
        if is_to(call, "acme") { published_as_refused() } else { all_good(call) }
    };
    let no_quarantine =
        |call: &Call| if call.operation == "SendMessageBatch" { (500, "{}".into()) } else { all_good(call) };
    type Answer = Box<dyn Fn(&Call) -> (u16, String) + Send + Sync>;
    let cases: Vec<(&str, Message, Answer, Vec<Told>)> = vec![
        ("both have it", broadcast(), Box::new(all_good), vec![told(acme, "published", None, true), published.clone()]),
        (
            "one topic is out for as long as the receipt lasts",
            broadcast(),
            Box::new(failing),
            vec![retried(acme, Some("stale_receipt")), published.clone()],
        ),
        (
            "SNS refuses the entry of one",
            broadcast(),
            Box::new(refused),
            vec![told(acme, "quarantined", Some("publish_refused"), false), published.clone()],
        ),
        (
            "one cannot get it",
            too_large(),
            Box::new(all_good),
            vec![told(acme, "quarantined", Some("too_large"), false), published.clone()],
        ),
        (
            "one cannot get it, and the quarantine queue does not answer",
            too_large(),
            Box::new(no_quarantine),
            vec![retried(acme, Some("quarantine_failed")), published],
        ),
        (
            "no type",
            Message::for_tests(queue(false, true), "CAE=", &[("message-type", "a.B")], None),
            Box::new(all_good),
            vec![told(None, "retried", Some("unknown_type"), false)],
        ),
        (
            "no payload",
            Message::for_tests(queue(false, true), "not base64!", &[], None),
            Box::new(all_good),
            vec![told(None, "quarantined", Some("bad_envelope"), false)],
        ),
    ];
    for (name, message, answer, expected) in cases {
        let (told, rows) = process(message, answer).await;
        assert_eq!(told, expected, "{name}");
        let is_whole = |row: &Row| {
            row.queue == "orders" && row.replica == "pod-a" && row.receive_count == 1 && row.settled_at >= row.sent_at
        };
        assert!(rows.iter().all(is_whole), "{name}: {rows:?}");
        let has_trail = |row: &Row| row.attempts.is_some_and(|attempts| attempts > 0) && row.published_at.is_some();
        assert!(rows.iter().filter(|row| row.outcome == "published").all(has_trail), "{name}: {rows:?}");
    }
}

/// Answers that SNS refuses the only entry of a call.
fn published_as_refused() -> (u16, String) {
    published(&[], &[(0, "InvalidParameter", true)])
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_names_the_message_that_was_published() {
    let journal = journal();
    let stage = stage_with(Some(Arc::clone(&journal)), Config::default(), &[("acme", "default")], all_good);
    let with_id = |message_id: &str| {
        let mut message = Message { message_id: message_id.into(), ..heartbeat(queue(false, true), None) };
        message.attributes.extend(Message::for_tests(queue(false, true), "", &[("event-id", "e-1")], None).attributes);
        message
    };
    let first = "5f0c39b1-2f6c-4f0a-9a55-000000000001";
    stage.process(vec![with_id(first)]).await;
    stage.process(vec![with_id("5f0c39b1-2f6c-4f0a-9a55-000000000002")]).await;
    stage.process(vec![with_id(first)]).await;
    let rows = journal.unstored(&Wanted::Event("e-1".into())).await;
    let duplicates: Vec<&Row> = rows.iter().filter(|row| row.outcome == "duplicate").collect();
    let published: Vec<&Row> = rows.iter().filter(|row| row.outcome == "published").collect();
    assert_eq!((rows.len(), duplicates.len(), published.len()), (3, 2, 1));
    assert!(duplicates.iter().all(|row| row.first_message_id.as_deref() == Some(first)), "{duplicates:?}");
    for row in duplicates {
        let cause = if row.message_id == first { "redelivery" } else { "producer" };
        assert_eq!(row.duplicate_cause.as_deref(), Some(cause));
        assert!(row.topic.as_deref() == Some(&arn(row.customer.as_deref().unwrap())) && row.sns_message_id.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_published_again_has_rows_for_the_destinations_of_its_note_too() {
    let journal = journal();
    let stage = two_customers_with(Some(Arc::clone(&journal)), all_good);
    let note = serde_json::json!({
        "message_id": "m-1", "event_type": "protobridge.v1.Heartbeat", "event_id": "m-1",
        "delivered": [{"topic": arn("acme"), "customer": "acme"}],
    });
    let message = with_note(heartbeat(queue(false, true), None), &note);
    let reserved = stage.budget.reserve(&Queue::for_tests().url).await.split(1);
    let receipt = Receipt::for_tests("receipt", &stage.visibility, reserved, Instant::now());
    receipt.hold.mark_stale();
    stage.accept(vec![Received { message, receipt }]).await;
    let mut rows = journal.unstored(&Wanted::Message("m-2".into())).await;
    rows.sort_by(|one, other| one.customer.cmp(&other.customer));
    let told: Vec<_> = rows.iter().map(|row| (row.customer.as_deref(), &*row.outcome, row.redrive)).collect();
    assert_eq!(told, [(Some("acme"), "duplicate", true), (Some("bolt"), "retried", true)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_dropped_before_it_is_settled_was_abandoned() {
    let journal = journal();
    let stage = two_customers_with(Some(Arc::clone(&journal)), all_good);
    let reserved = stage.budget.reserve(&Queue::for_tests().url).await.split(1);
    let receipt = Receipt::for_tests("receipt", &stage.visibility, reserved, Instant::now());
    let (tasks, abort) = (TaskTracker::new(), CancellationToken::new());
    abort.cancel();
    let received = Received { message: heartbeat(queue(false, true), None), receipt };
    stage.pipeline.accept(&Tasks::new(tasks.clone(), abort), vec![received]);
    tasks.close();
    tasks.wait().await;
    let rows = rows(&journal).await;
    assert_eq!(rows.iter().map(|row| (&*row.outcome, &row.topic)).collect::<Vec<_>>(), [("abandoned", &None)]);
}
