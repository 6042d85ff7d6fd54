use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::aws::scripted::{Calls, clients, published, sns_error};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";

fn entry(body: &str) -> TopicEntry {
    TopicEntry {
        topic: TOPIC.into(),
        customer: None,
        event_type: "a.B".into(),
        body: Arc::new(body.to_owned()),
        attributes: EntryAttributes::default(),
        group: None,
        deduplication_id: None,
    }
}

/// A message that stays ours for the length of a test.
fn ours() -> Ownership {
    Ownership::new(Instant::now(), Duration::from_secs(3_600))
}

/// Publishes entries together, until each has its verdict; in the order of the entries.
async fn publish_all(
    publisher: &Publisher,
    entries: Vec<TopicEntry>,
    ownership: &Ownership,
) -> Vec<Result<Confirmed, Error>> {
    let mut verdicts = publisher.enqueue(entries.into_iter().map(|entry| (entry, ownership.clone())).collect()).await;
    let mut all = Vec::new();
    loop {
        let next = verdicts.next().await;
        if next.is_empty() {
            all.sort_by_key(|(index, _)| *index);
            return all.into_iter().map(|(_, verdict)| verdict).collect();
        }
        all.extend(next);
    }
}

/// Publishes these bodies at the same time, with these answers to the calls; the outcome of each.
async fn publish(
    bodies: &[&str],
    answer: impl Fn(usize, usize) -> (u16, String) + Send + Sync + 'static,
) -> (Vec<String>, Calls) {
    let (clients, calls) = clients(move |call, number| answer(number, call.count(".Message=")));
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run) =
        Publisher::new(clients.data_plane, &config::Publish::default(), Arc::default(), Arc::clone(&metrics));
    let running = tokio::spawn(run);
    let mut tasks = Vec::new();
    for body in bodies {
        let (publisher, entries) = (publisher.clone(), vec![entry(body)]);
        tasks.push(tokio::spawn(async move { publish_all(&publisher, entries, &ours()).await.remove(0) }));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(match task.await.unwrap() {
            Ok(_) => "confirmed".to_owned(),
            Err(error) if error.is_retryable() => format!("retry: {}", error.failure),
            Err(error) => format!("refused: {}", error.failure),
        });
    }
    drop(publisher);
    running.await.unwrap();
    let confirmed = outcomes.iter().filter(|outcome| *outcome == "confirmed").count() as u64;
    assert_eq!(metrics.published.sum(), confirmed, "what is counted as published was confirmed");
    (outcomes, calls)
}

fn all(count: usize) -> (u16, String) {
    published(&(0..count).collect::<Vec<_>>(), &[])
}

#[tokio::test(start_paused = true)]
async fn entries_of_one_topic_travel_in_one_call() {
    let (outcomes, calls) = publish(&["1", "2", "3"], |_, count| all(count)).await;
    assert_eq!(outcomes, ["confirmed"; 3]);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_billed_by_the_bytes_of_its_entries() {
    let (clients, _) = clients(|call, _| all(call.count(".Message=")));
    let metrics = Arc::new(Metrics::new(true));
    let settings = config::Publish::default();
    let (publisher, run) = Publisher::new(clients.data_plane, &settings, Arc::default(), Arc::clone(&metrics));
    tokio::spawn(run);
    let body = "x".repeat(65 * 1024);
    let entry = TopicEntry { customer: Some("acme".into()), ..entry(&body) };
    assert!(publish_all(&publisher, vec![entry], &ours()).await[0].is_ok());
    assert_eq!(metrics.billable.sum_where(|labels| labels.customer.is("acme")), 2);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_entry_is_sent_again_alone_even_if_it_is_called_the_senders_fault() {
    let (outcomes, calls) = publish(&["1", "2", "3"], |number, count| match number {
        0 => published(&[0, 2], &[(1, "Throttled", true)]),
        _ => all(count),
    })
    .await;
    assert_eq!(outcomes, ["confirmed"; 3]);
    let calls = calls.lock().unwrap();
    assert_eq!((calls.len(), calls[1].count(".Message=")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_the_answer_leaves_out_is_not_taken_for_published() {
    let (outcomes, calls) = publish(&["1", "2"], |number, count| match number {
        0 => published(&[1], &[]),
        _ => all(count),
    })
    .await;
    assert_eq!(outcomes, ["confirmed"; 2]);
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_entry_harms_only_itself() {
    let (outcomes, calls) = publish(&["1", "2"], |_, _| published(&[0], &[(1, "InvalidParameter", true)])).await;
    assert_eq!(outcomes, ["confirmed", "refused: InvalidParameter: scripted"]);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_split_until_the_culprit_stands_alone() {
    let (clients, calls) = clients(|call, _| {
        let count = call.count(".Message=");
        if call.body.contains("poison") { sns_error(400, "InvalidParameter") } else { all(count) }
    });
    let settings = config::Publish { linger_ms: 1_000, ..Default::default() };
    let (publisher, run) = Publisher::new(clients.data_plane, &settings, Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let bodies = ["1", "2", "3", "poison", "5"].map(|body| {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            publish_all(&publisher, vec![entry(body)], &ours()).await.remove(0).map_err(|error| error.is_retryable())
        })
    });
    let mut outcomes = Vec::new();
    for body in bodies {
        outcomes.push(body.await.unwrap().err());
    }
    assert_eq!(outcomes, [None, None, None, Some(false), None]);
    assert!(calls.lock().unwrap().len() <= 7);
}

#[tokio::test(start_paused = true)]
async fn a_missing_topic_is_not_the_messages_fault() {
    let (outcomes, calls) = publish(&["1", "2"], |_, _| sns_error(404, "NotFound")).await;
    assert_eq!(outcomes, ["retry: NotFound: scripted (request r-1)"; 2]);
    assert_eq!(calls.lock().unwrap().len(), 1, "asking again at once would not help");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_failing_in_passing_goes_back_after_the_configured_attempts() {
    let (outcomes, calls) = publish(&["1"], |_, _| sns_error(503, "ServiceUnavailable")).await;
    assert_eq!(outcomes, ["retry: ServiceUnavailable: scripted (request r-1)"]);
    assert_eq!(calls.lock().unwrap().len(), config::Publish::default().max_attempts as usize);
}

#[tokio::test(start_paused = true)]
async fn an_event_for_two_topics_has_a_verdict_for_each() {
    let (clients, _) =
        clients(
            |call, _| {
                if call.body.contains("globex") { sns_error(404, "NotFound") } else { all(call.count(".Message=")) }
            },
        );
    let (publisher, run) =
        Publisher::new(clients.data_plane, &config::Publish::default(), Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let other = TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") };
    let mut verdicts = publish_all(&publisher, vec![entry("1"), other], &ours()).await;
    let error = verdicts.remove(1).unwrap_err();
    assert!(verdicts[0].is_ok(), "each topic for itself");
    assert!(error.is_retryable() && error.to_string().contains("globex"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_does_not_wait_for_those_of_other_topics() {
    let failing = std::sync::atomic::AtomicBool::new(true);
    let (clients, _) = clients(move |call, _| {
        let fails = call.body.contains("globex") && failing.swap(false, std::sync::atomic::Ordering::Relaxed);
        if fails { sns_error(503, "ServiceUnavailable") } else { all(call.count(".Message=")) }
    });
    let settings = config::Publish::default();
    let (publisher, run) = Publisher::new(clients.data_plane, &settings, Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let later = TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") };
    let mut verdicts = publisher.enqueue(vec![(later, ours()), (entry("2"), ours())]).await;
    for expected in [1, 0] {
        let arrived = verdicts.next().await;
        assert!(matches!(&arrived[..], [(index, Ok(_))] if *index == expected), "{expected}: {arrived:?}");
    }
    assert!(verdicts.next().await.is_empty(), "each has one");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_whose_task_is_gone_confirms_nothing() {
    let (clients, _) = clients(|_, _| all(1));
    let (publisher, run) =
        Publisher::new(clients.data_plane, &config::Publish::default(), Arc::default(), Arc::new(Metrics::new(false)));
    drop(run);
    let ours = ours();
    let publish = tokio::time::timeout(Duration::from_secs(1), publish_all(&publisher, vec![entry("1")], &ours));
    assert!(publish.await.unwrap().remove(0).unwrap_err().is_retryable());
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_message_got_a_new_owner_while_it_waited_is_not_published() {
    let (clients, calls) = clients(|call, _| all(call.count(".Message=")));
    let settings = config::Publish { linger_ms: 5_000, ..Default::default() };
    let (publisher, run) = Publisher::new(clients.data_plane, &settings, Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let (brief, ours) = (Ownership::new(Instant::now(), Duration::from_secs(1)), ours());
    let given_up = publish_all(&publisher, vec![entry("nobody waits")], &ours);
    let (lost, kept, _) = tokio::join!(
        publish_all(&publisher, vec![entry("lost")], &brief),
        publish_all(&publisher, vec![entry("kept")], &ours),
        tokio::time::timeout(Duration::from_secs(1), given_up),
    );
    assert!(lost[0].as_ref().unwrap_err().is_retryable());
    assert!(kept[0].is_ok());
    let calls = calls.lock().unwrap();
    assert_eq!((calls.len(), calls[0].count(".Message=")), (1, 1));
    assert!(calls[0].body.contains("kept"), "{}", calls[0].body);
}
