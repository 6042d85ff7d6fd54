mod outages;
mod trails;

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::aws::outages::Domain;
use crate::aws::scripted::{Calls, clients, published, sns_error};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:acme";

fn entry(body: &str) -> TopicEntry {
    TopicEntry {
        topic: TOPIC.into(),
        customer: None,
        event_type: "a.B".into(),
        offload: None,
        body: Arc::new(body.to_owned()),
        attributes: EntryAttributes::default(),
        group: None,
        deduplication_id: None,
    }
}

/// Creates a publisher for an in-flight budget of 4,000 messages. Returns it with its task, its rate and the outages.
fn publisher(
    lean: LeanClient,
    settings: &config::Publish,
    metrics: Arc<Metrics>,
) -> (Publisher, impl Future<Output = ()> + Send + 'static, Arc<Rate>, Arc<Outages>) {
    let (rate, outages) = (Arc::<Rate>::default(), Arc::new(Outages::new(Arc::clone(&metrics))));
    let settings = (settings, (4_000, 64 << 20));
    let (publisher, run) = Publisher::new(lean, settings, Arc::clone(&rate), Arc::clone(&outages), metrics);
    (publisher, run, rate, outages)
}

/// Returns an entry without a claim check as one that can be published.
fn ready(entry: TopicEntry) -> ReadyEntry {
    entry.ready().expect("the entry has no claim check")
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
    let mut results =
        publisher.enqueue(entries.into_iter().map(|entry| (ready(entry), ownership.clone())).collect()).await;
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
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::clone(&metrics));
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
            Err(error) if error.is_retryable() => format!("retry: {}", error.unpublished.failure),
            Err(error) => format!("refused: {}", error.unpublished.failure),
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
async fn each_confirmation_has_its_topic_and_the_message_id_that_sns_gave() {
    let (clients, _) =
        clients(|_, number| if number == 0 { published(&[1], &[(0, "Throttled", true)]) } else { all(1) });
    let settings = config::Publish::default();
    let (publisher, run, ..) = publisher(clients.lean, &settings, Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let results = publish_all(&publisher, vec![entry("1"), entry("2")], &owned()).await;
    let confirmed: Vec<&Confirmed> = results.iter().map(|result| result.as_ref().unwrap()).collect();
    // The first entry was sent again, alone, and is the entry 0 of the second call.
    assert_eq!(confirmed.iter().map(|confirmed| confirmed.message_id()).collect::<Vec<_>>(), ["m-0", "m-1"]);
    assert!(confirmed.iter().all(|confirmed| confirmed.topic().as_str() == TOPIC));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_a_canary_shares_is_billed_to_the_customer_of_its_events() {
    let (clients, calls) = clients(|call, _| all(call.count(".Message=")));
    let metrics = Arc::new(Metrics::new(true));
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::clone(&metrics));
    let running = tokio::spawn(run);
    let event = TopicEntry { customer: Some("acme".into()), ..entry("event") };
    publish_all(&publisher, vec![entry("canary"), event], &owned()).await;
    publish_all(&publisher, vec![entry("canary")], &owned()).await;
    drop(publisher);
    running.await.unwrap();
    assert_eq!(calls.lock().unwrap().len(), 2);
    let billed = |customer| metrics.billable.sum_where(|labels| labels.customer == customer);
    use crate::telemetry::CustomerLabel::{Id, NoCustomer};
    assert_eq!((billed(Id("acme")), billed(NoCustomer)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn billable_requests_are_counted_by_the_bytes_of_the_entries() {
    let (clients, _) = clients(|call, _| all(call.count(".Message=")));
    let metrics = Arc::new(Metrics::new(true));
    let settings = config::Publish::default();
    let (publisher, run, ..) = publisher(clients.lean, &settings, Arc::clone(&metrics));
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
    assert_eq!(outcomes, ["confirmed", "refused: InvalidParameter: scripted (request r-1)"]);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_split_until_the_culprit_stands_alone() {
    let (clients, calls) = clients(|call, _| {
        let count = call.count(".Message=");
        if call.body.contains("poison") { sns_error(400, "InvalidParameter") } else { all(count) }
    });
    let settings = config::Publish { linger_ms: 1_000, ..Default::default() };
    let (publisher, run, ..) = publisher(clients.lean, &settings, Arc::new(Metrics::new(false)));
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

/// Sends entries to a topic whose calls are answered like this for ten minutes, and then with success. Returns the number
/// of calls in the ten minutes.
async fn outlast(entries: usize, answer: impl Fn() -> (u16, String) + Send + Sync + 'static) -> usize {
    let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (clients, calls) = clients({
        let works = Arc::clone(&works);
        move |call, _| {
            if works.load(std::sync::atomic::Ordering::Relaxed) { all(call.count(".Message=")) } else { answer() }
        }
    });
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run, _, outages) = publisher(clients.lean, &config::Publish::default(), metrics);
    tokio::spawn(run);
    let publishing = tokio::spawn(async move {
        publish_all(&publisher, (0..entries).map(|number| entry(&number.to_string())).collect(), &owned()).await
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    let during = calls.lock().unwrap().len();
    assert!(!publishing.is_finished(), "no entry has a result");
    assert!(outages.is_out(&Domain::Topic(TOPIC.into())));
    works.store(true, std::sync::atomic::Ordering::Relaxed);
    let results = tokio::time::timeout(Duration::from_secs(60), publishing).await.unwrap().unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(outages.current().is_empty());
    during
}

#[tokio::test(start_paused = true)]
async fn an_entry_waits_for_a_topic_that_accepts_nothing_and_costs_two_calls_per_minute() {
    for (status, code) in [
        (404, "NotFound"),
        (403, "AuthorizationError"),
        (403, "ExpiredToken"),
        (503, "ServiceUnavailable"),
        (400, "KMSDisabled"),
        (400, "KMSInvalidState"),
        (400, "KMSNotFound"),
        (400, "EndpointDisabled"),
        (400, "InvalidAction"),
    ] {
        let calls = outlast(2, move || sns_error(status, code)).await;
        assert!((25..=60).contains(&calls), "{code}: {calls} calls in ten minutes");
    }
    for status in [400, 403, 413, 502] {
        let page = "<html><body>blocked by the proxy</body></html>";
        let calls = outlast(2, move || (status, page.to_owned())).await;
        assert!((25..=60).contains(&calls), "{status}: {calls} calls in ten minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_that_refuses_every_entry_is_not_blamed_on_the_entries() {
    let calls = outlast(10, || sns_error(400, "InvalidParameter")).await;
    assert!(calls <= 80, "{calls} calls in ten minutes");
    let calls =
        outlast(10, || published(&[], &(0..10).map(|n| (n, "InvalidParameter", true)).collect::<Vec<_>>())).await;
    assert!(calls <= 80, "{calls} calls in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn one_entry_that_sns_refuses_again_and_again_is_refused() {
    let (outcomes, calls) = publish(&["1"], |_, _| sns_error(400, "InvalidParameter")).await;
    let attempts = config::Publish::default().max_attempts;
    assert_eq!(outcomes, [format!("refused: InvalidParameter: scripted (request r-{attempts})")]);
    assert_eq!(calls.lock().unwrap().len(), attempts as usize);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_fails_while_its_topic_accepts_others_is_retryable_after_the_configured_attempts() {
    let (clients, calls) = clients(|call, _| {
        let entries = call.body.split(".Message=").skip(1).enumerate();
        let (bad, good): (Vec<_>, Vec<_>) = entries.partition(|(_, entry)| entry.contains("poison"));
        let bad: Vec<_> = bad.iter().map(|(index, _)| (*index, "InternalError", false)).collect();
        published(&good.iter().map(|(index, _)| *index).collect::<Vec<_>>(), &bad)
    });
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let others = tokio::spawn({
        let publisher = publisher.clone();
        async move {
            loop {
                publish_all(&publisher, vec![entry("good")], &owned()).await;
            }
        }
    });
    let error = publish_all(&publisher, vec![entry("poison")], &owned()).await.remove(0).unwrap_err();
    others.abort();
    assert!(error.is_retryable() && error.turned_away_by().is_none(), "{error}");
    let attempts = calls.lock().unwrap().iter().filter(|call| call.body.contains("poison")).count();
    assert_eq!(attempts, config::Publish::default().max_attempts as usize);
}

#[tokio::test(start_paused = true)]
async fn an_event_for_two_topics_has_a_result_for_each() {
    let (clients, _) = clients(|call, _| match call.body.contains("globex") {
        true => sns_error(400, "InvalidParameter"),
        false => all(call.count(".Message=")),
    });
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let other = TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") };
    let mut results = publish_all(&publisher, vec![entry("1"), other], &owned()).await;
    let error = results.remove(1).unwrap_err();
    assert!(results[0].is_ok(), "the other topic does not affect this one");
    assert!(!error.is_retryable() && error.to_string().contains("globex"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_result_does_not_wait_for_the_results_of_other_topics() {
    let failing = std::sync::atomic::AtomicBool::new(true);
    let (clients, _) = clients(move |call, _| {
        let fails = call.body.contains("globex") && failing.swap(false, std::sync::atomic::Ordering::Relaxed);
        if fails { sns_error(503, "ServiceUnavailable") } else { all(call.count(".Message=")) }
    });
    let settings = config::Publish::default();
    let (publisher, run, ..) = publisher(clients.lean, &settings, Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let later = TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") };
    let mut results = publisher.enqueue(vec![(ready(later), owned()), (ready(entry("2")), owned())]).await;
    for expected in [1, 0] {
        let arrived = results.next().await;
        assert!(matches!(&arrived[..], [(index, Ok(_))] if *index == expected), "{expected}: {arrived:?}");
    }
    assert!(results.next().await.is_empty(), "each entry has one result");
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_retryable_if_the_publishers_task_has_ended() {
    let (clients, _) = clients(|_, _| all(1));
    let (publisher, run, ..) = publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    drop(run);
    let owned = owned();
    let publish = tokio::time::timeout(Duration::from_secs(1), publish_all(&publisher, vec![entry("1")], &owned));
    assert!(publish.await.unwrap().remove(0).unwrap_err().is_retryable());
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_not_published_after_its_message_was_lost_or_its_caller_left() {
    let (clients, calls) = clients(|call, _| all(call.count(".Message=")));
    let settings = config::Publish { linger_ms: 5_000, ..Default::default() };
    let (publisher, run, ..) = publisher(clients.lean, &settings, Arc::new(Metrics::new(false)));
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
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run, rate, outages) = publisher(clients.lean, &config::Publish::default(), metrics);
    tokio::spawn(run);
    let of = |topic: &str| TopicEntry { topic: TOPIC.replace("acme", topic).into(), ..entry("1") };
    let entries = |topic: &str, count| (0..count).map(|_| (ready(of(topic)), owned())).collect::<Vec<_>>();
    let _throttled = publisher.enqueue(entries("acme", 3_000)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!publisher.backpressure().is_high());
    let mut later = publisher.enqueue(entries("acme", 1)).await;
    let turned_away = later.next().await;
    assert!(turned_away[0].1.as_ref().unwrap_err().turned_away_by().is_some(), "a quarter of the budget waits already");
    assert_eq!(outages.room(&Domain::Topic(TOPIC.into())), 0);
    let started = Instant::now();
    assert!(
        publish_all(&publisher, (0..3_000).map(|_| of("globex")).collect(), &owned()).await.iter().all(Result::is_ok)
    );
    assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
    let report = rate.report();
    assert_eq!((report.limit, report.topics.len()), (None, 1));
    assert!((10.0..20.0).contains(&report.topics[0].limit), "close to one batch per second: {report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_in_trouble_has_no_room_while_large_entries_fill_its_share_of_the_bytes() {
    let (clients, _) = clients(|_, _| sns_error(400, "KMSThrottling"));
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run, _, outages) = publisher(clients.lean, &config::Publish::default(), metrics);
    tokio::spawn(run);
    let large = || (ready(entry(&"x".repeat(250_000))), owned());
    let _waiting = publisher.enqueue((0..70).map(|_| large()).collect()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let turned_away = publisher.enqueue(vec![large()]).await.next().await;
    assert!(turned_away[0].1.as_ref().unwrap_err().turned_away_by().is_some(), "16 MiB wait already");
    assert_eq!(outages.room(&Domain::Topic(TOPIC.into())), 0);
}
