use tokio::time::{advance, sleep};

use super::*;
use crate::aws::scripted::{Call, Calls, clients, sqs_batch};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Starts a visibility task whose calls `answer` answers.
fn visibility(answer: impl Fn(&Call, usize) -> (u16, String) + Send + Sync + 'static) -> (Visibility, Calls) {
    let (clients, calls) = clients(answer);
    let visibility = Visibility::new(clients.lean, Arc::new(Metrics::new(false)), TIMEOUT);
    tokio::spawn(visibility.clone().keep_hidden());
    (visibility, calls)
}

fn hold(visibility: &Visibility, name: &str) -> Hold {
    let message = Message::for_tests(Queue::for_tests(), "", &[], None);
    visibility.hold(&message, &name.into(), Instant::now())
}

#[tokio::test(start_paused = true)]
async fn messages_are_extended_in_batches_before_they_lapse() {
    let (visibility, calls) = visibility(|call, _| sqs_batch(call, &[]));
    let holds: Vec<Hold> = (0..12).map(|n| hold(&visibility, &format!("receipt-{n}"))).collect();
    sleep(Duration::from_secs(29)).await;
    assert_eq!(calls.lock().unwrap().len(), 2, "twelve messages need two batches");
    assert_eq!(calls.lock().unwrap().iter().map(|call| call.count("\"VisibilityTimeout\":30")).sum::<usize>(), 12);
    sleep(Duration::from_secs(60)).await;
    assert!(calls.lock().unwrap().len() >= 8);
    assert!(holds.iter().all(|hold| !hold.is_stale()));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_hold_stops_the_extension() {
    let (visibility, calls) = visibility(|call, _| sqs_batch(call, &[]));
    drop(hold(&visibility, "receipt"));
    sleep(Duration::from_secs(120)).await;
    assert_eq!((calls.lock().unwrap().len(), visibility.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn only_the_receipt_that_sqs_does_not_know_goes_stale() {
    let (visibility, _) = visibility(|call, _| {
        // The order within a batch is not fixed, so the receipt handle selects the entry to refuse.
        let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
        let refused = body["Entries"].as_array().unwrap().iter().position(|entry| entry["ReceiptHandle"] == "gone");
        sqs_batch(call, &refused.map(|at| (at, "ReceiptHandleIsInvalid", true)).into_iter().collect::<Vec<_>>())
    });
    let (gone, kept) = (hold(&visibility, "gone"), hold(&visibility, "kept"));
    sleep(Duration::from_secs(25)).await;
    assert!(gone.is_stale() && !kept.is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_extended_in_time_goes_stale() {
    let (visibility, calls) = visibility(|_, _| (500, "{}".to_owned()));
    let hold = hold(&visibility, "receipt");
    sleep(Duration::from_secs(25)).await;
    assert!(!hold.is_stale() && calls.lock().unwrap().len() >= 2, "the extension is repeated while there is time");
    sleep(Duration::from_secs(10)).await;
    assert!(hold.is_stale());
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_message_is_made_visible_at_once() {
    let (visibility, calls) = visibility(|call, _| sqs_batch(call, &[]));
    let _hold = hold(&visibility, "receipt");
    advance(Duration::from_secs(1)).await;
    assert_eq!(visibility.return_to_queue(visibility.unfinished()).await, 1);
    assert_eq!(calls.lock().unwrap()[0].count("\"VisibilityTimeout\":0"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_the_oldest_message_counts_from_its_sent_time() {
    let (visibility, _) = visibility(|call, _| sqs_batch(call, &[]));
    let hold = |seconds| {
        let mut message = Message::for_tests(Queue::for_tests(), "", &[], None);
        message.sent = SystemTime::now() - Duration::from_secs(seconds);
        visibility.hold(&message, &"receipt".into(), Instant::now())
    };
    let shown = || {
        visibility.update_age_gauges();
        visibility.metrics.oldest_message.sum()
    };
    let (stuck, young) = (hold(900), hold(2));
    assert_eq!(shown(), 900);
    drop(young);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(shown(), 900, "the message is still in flight");
    drop(stuck);
    assert_eq!(shown(), 0, "no message is in flight, and none was received recently");
}

#[tokio::test(start_paused = true)]
async fn a_visibility_timeout_counts_from_before_the_answer_arrives_but_not_from_before_the_call() {
    let (visibility, _) = visibility(|call, _| sqs_batch(call, &[]));
    let called = Instant::now();
    for (answered_after, counted_after) in [(0, 0), (1_000, 0), (7_500, 0), (8_000, 500), (20_000, 12_500)] {
        let counted = visibility.counted_from(called, called + Duration::from_millis(answered_after));
        assert_eq!(counted - called, Duration::from_millis(counted_after), "answered after {answered_after} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_stays_ours_after_a_failure_that_is_not_about_its_receipt() {
    let (visibility, calls) =
        visibility(|call, number| sqs_batch(call, if number < 2 { &[(0, "KmsAccessDenied", true)] } else { &[] }));
    let hold = hold(&visibility, "receipt");
    sleep(Duration::from_secs(45)).await;
    assert!(!hold.is_stale() && calls.lock().unwrap().len() >= 3, "the extension is repeated and succeeds");
}
