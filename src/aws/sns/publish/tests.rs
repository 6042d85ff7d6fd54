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

/// Returns the ownership of a message for longer than any test takes.
fn owned() -> Ownership {
    Ownership::new(Instant::now(), Duration::from_secs(3_600))
}

/// Publishes entries together and waits for all results. Returns the results in the order of the entries.
async fn publish_all(
    publisher: &Publisher,
    entries: Vec<TopicEntry>,
    ownership: &Ownership,
) -> Vec<Result<Confirmed, Error>> {
    let mut results = publisher.enqueue(entries.into_iter().map(|entry| (entry, ownership.clone())).collect()).await;
    let mut all = Vec::new();
    loop {
        let next = results.next().await;
        if next.is_empty() {
            all.sort_by_key(|(index, _)| *index);
            return all.into_iter().map(|(_, result)| result).collect();
        }
        all.extend(next);
    }
}

/// Publishes these bodies at the same time against an SNS with these answers. Returns the outcome of each body.
async fn publish(
    bodies: &[&str],
    answer: impl Fn(usize, usize) -> (u16, String) + Send + Sync + 'static,
) -> (Vec<String>, Calls) {
    let (clients, calls) = clients(move |call, number| answer(number, call.count(".Message=")));
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run) =
        Publisher::new(clients.lean, &config::Publish::default(), Arc::default(), Arc::clone(&metrics));
    let running = tokio::spawn(run);
    let mut tasks = Vec::new();
    for body in bodies {
        let (publisher, entries) = (publisher.clone(), vec![entry(body)]);
        tasks.push(tokio::spawn(async move { publish_all(&publisher, entries, &owned()).await.remove(0) }));
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
    assert_eq!(metrics.published.sum(), confirmed, "only confirmed entries are counted as published");
    (outcomes, calls)
}

fn all(count: usize) -> (u16, String) {
    published(&(0..count).collect::<Vec<_>>(), &[])
}

#[tokio::test(start_paused = true)]
async fn entries_of_one_topic_are_sent_in_one_call() {
    let (outcomes, calls) = publish(&["1", "2", "3"], |_, count| all(count)).await;
    assert_eq!(outcomes, ["confirmed"; 3]);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn billable_requests_are_counted_by_the_bytes_of_the_entries() {
    let (clients, _) = clients(|call, _| all(call.count(".Message=")));
    let metrics = Arc::new(Metrics::new(true));
    let settings = config::Publish::default();
    let (publisher, run) = Publisher::new(clients.lean, &settings, Arc::default(), Arc::clone(&metrics));
    tokio::spawn(run);
    let body = "x".repeat(65 * 1024);
    let entry = TopicEntry { customer: Some("acme".into()), ..entry(&body) };
    assert!(publish_all(&publisher, vec![entry], &owned()).await[0].is_ok());
    assert_eq!(metrics.billable.sum_where(|labels| labels.customer.is("acme")), 2);
}

#[tokio::test(start_paused = true)]
async fn only_the_throttled_entry_is_sent_again_even_if_sns_blames_the_sender() {
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
    let (publisher, run) = Publisher::new(clients.lean, &settings, Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let bodies = ["1", "2", "3", "poison", "5"].map(|body| {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            publish_all(&publisher, vec![entry(body)], &owned()).await.remove(0).map_err(|error| error.is_retryable())
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
async fn an_entry_for_a_missing_topic_is_retryable() {
    let (outcomes, calls) = publish(&["1", "2"], |_, _| sns_error(404, "NotFound")).await;
    assert_eq!(outcomes, ["retry: NotFound: scripted (request r-1)"; 2]);
    assert_eq!(calls.lock().unwrap().len(), 1, "a second call at once would fail as well");
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_key_the_address_or_a_proxy_is_not_blamed_on_the_entry() {
    for code in ["KMSDisabled", "KMSInvalidState", "KMSNotFound", "EndpointDisabled", "InvalidAction"] {
        let (outcomes, calls) = publish(&["1", "2"], move |_, _| sns_error(400, code)).await;
        assert_eq!(outcomes, vec![format!("retry: {code}: scripted (request r-1)"); 2]);
        assert_eq!(calls.lock().unwrap().len(), 1, "{code}: neither a second call nor a split can help");
    }
    for status in [400, 403, 413] {
        let page = "<html><body>blocked by the proxy</body></html>";
        let (outcomes, calls) = publish(&["1"], move |_, _| (status, page.to_owned())).await;
        assert_eq!(outcomes, [format!("retry: answered with HTTP status {status} (request r-1)")]);
        assert_eq!(calls.lock().unwrap().len(), config::Publish::default().max_attempts as usize, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_retryable_after_the_configured_attempts_failed() {
    let (outcomes, calls) = publish(&["1"], |_, _| sns_error(503, "ServiceUnavailable")).await;
    assert_eq!(outcomes, ["retry: ServiceUnavailable: scripted (request r-1)"]);
    assert_eq!(calls.lock().unwrap().len(), config::Publish::default().max_attempts as usize);
}

#[tokio::test(start_paused = true)]
async fn an_event_for_two_topics_has_a_result_for_each() {
    let (clients, _) =
        clients(
            |call, _| {
                if call.body.contains("globex") { sns_error(404, "NotFound") } else { all(call.count(".Message=")) }
            },
        );
    let (publisher, run) =
        Publisher::new(clients.lean, &config::Publish::default(), Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let other = TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") };
    let mut results = publish_all(&publisher, vec![entry("1"), other], &owned()).await;
    let error = results.remove(1).unwrap_err();
    assert!(results[0].is_ok(), "the other topic does not affect this one");
    assert!(error.is_retryable() && error.to_string().contains("globex"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_result_does_not_wait_for_the_results_of_other_topics() {
    let failing = std::sync::atomic::AtomicBool::new(true);
    let (clients, _) = clients(move |call, _| {
        let fails = call.body.contains("globex") && failing.swap(false, std::sync::atomic::Ordering::Relaxed);
        if fails { sns_error(503, "ServiceUnavailable") } else { all(call.count(".Message=")) }
    });
    let settings = config::Publish::default();
    let (publisher, run) = Publisher::new(clients.lean, &settings, Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let later = TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") };
    let mut results = publisher.enqueue(vec![(later, owned()), (entry("2"), owned())]).await;
    for expected in [1, 0] {
        let arrived = results.next().await;
        assert!(matches!(&arrived[..], [(index, Ok(_))] if *index == expected), "{expected}: {arrived:?}");
    }
    assert!(results.next().await.is_empty(), "each entry has one result");
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_retryable_if_the_publishers_task_has_ended() {
    let (clients, _) = clients(|_, _| all(1));
    let (publisher, run) =
        Publisher::new(clients.lean, &config::Publish::default(), Arc::default(), Arc::new(Metrics::new(false)));
    drop(run);
    let owned = owned();
    let publish = tokio::time::timeout(Duration::from_secs(1), publish_all(&publisher, vec![entry("1")], &owned));
    assert!(publish.await.unwrap().remove(0).unwrap_err().is_retryable());
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_not_published_after_its_message_was_lost_or_its_caller_left() {
    let (clients, calls) = clients(|call, _| all(call.count(".Message=")));
    let settings = config::Publish { linger_ms: 5_000, ..Default::default() };
    let (publisher, run) = Publisher::new(clients.lean, &settings, Arc::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let (brief, owned) = (Ownership::new(Instant::now(), Duration::from_secs(1)), owned());
    let abandoned = publish_all(&publisher, vec![entry("abandoned")], &owned);
    let (lost, kept, _) = tokio::join!(
        publish_all(&publisher, vec![entry("lost")], &brief),
        publish_all(&publisher, vec![entry("kept")], &owned),
        tokio::time::timeout(Duration::from_secs(1), abandoned),
    );
    assert!(lost[0].as_ref().unwrap_err().is_retryable());
    assert!(kept[0].is_ok());
    let calls = calls.lock().unwrap();
    assert_eq!((calls.len(), calls[0].count(".Message=")), (1, 1));
    assert!(calls[0].body.contains("kept"), "{}", calls[0].body);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_topic_holds_back_neither_another_topic_nor_receives() {
    let (clients, _) = clients(|call, number| match call.count(".Message=") {
        // The first calls of the topic are accepted, so that its rate is found. Then its key is throttled for good.
        count if call.body.contains("globex") || number < 2 => all(count),
        _ => sns_error(400, "KMSThrottling"),
    });
    let (settings, rate) = (config::Publish::default(), Arc::<Rate>::default());
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run) = Publisher::new(clients.lean, &settings, Arc::clone(&rate), metrics);
    tokio::spawn(run);
    let of = |topic: &str| TopicEntry { topic: TOPIC.replace("acme", topic).into(), ..entry("1") };
    let entries = |topic: &str, count| (0..count).map(|_| (of(topic), owned())).collect::<Vec<_>>();
    let _throttled = publisher.enqueue(entries("acme", 3_000)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!publisher.backpressure().is_high());
    let started = Instant::now();
    assert!(
        publish_all(&publisher, (0..3_000).map(|_| of("globex")).collect(), &owned()).await.iter().all(Result::is_ok)
    );
    assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
    let report = rate.report();
    assert_eq!((report.limit, report.topics.len(), report.topics[0].limit), (None, 1, 10.0));
}
