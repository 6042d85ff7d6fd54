//! Tests of the outages of topics and of SNS.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_out_keeps_few_entries_in_memory_and_the_others_go_on() {
    let (clients, _) = clients(|call, _| match call.body.contains("globex") {
        true => sns_error(400, "KMSDisabled"),
        false => all(call.count(".Message=")),
    });
    let (publisher, run, _, outages) =
        publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let broken = |count| (0..count).map(|_| TopicEntry { topic: TOPIC.replace("acme", "globex").into(), ..entry("1") });
    let mut first = publisher.enqueue(broken(10).map(|entry| (ready(entry), owned())).collect()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let topic = Domain::Topic(TOPIC.replace("acme", "globex").into());
    assert!(outages.is_out(&topic) && !outages.is_out(&Domain::Account), "{outages:?}");
    let mut results = publisher.enqueue(broken(1_000).map(|entry| (ready(entry), owned())).collect()).await;
    let mut turned_away = 0;
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(60), results.next()).await {
        turned_away += next.len();
        assert!(next.iter().all(|(_, result)| result.as_ref().unwrap_err().turned_away_by().is_some()));
    }
    assert_eq!(turned_away, 1_000 - (100 - 10));
    assert_eq!(outages.room(&topic), 0);
    assert!(publish_all(&publisher, vec![entry("1")], &owned()).await[0].is_ok());
    assert!(tokio::time::timeout(Duration::from_secs(600), first.next()).await.is_err(), "the first ones still wait");
}

#[tokio::test(start_paused = true)]
async fn sns_is_out_if_several_topics_fail_and_none_succeeds() {
    let (clients, _) = clients(|_, _| sns_error(503, "ServiceUnavailable"));
    let (publisher, run, _, outages) =
        publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let of = |topic: &str| (ready(TopicEntry { topic: TOPIC.replace("acme", topic).into(), ..entry("1") }), owned());
    let entries = ["acme", "globex", "initech"].into_iter().flat_map(|topic| (0..500).map(move |_| of(topic)));
    let mut results = publisher.enqueue(entries.collect()).await;
    let turned_away = tokio::time::timeout(Duration::from_secs(600), results.next()).await;
    assert!(turned_away.is_err(), "all entries wait: {}", turned_away.unwrap().len());
    assert!(outages.is_out(&Domain::Account));
}

#[tokio::test(start_paused = true)]
async fn the_outage_of_a_topic_that_no_entry_needs_ends_after_ten_minutes() {
    let (clients, _) = clients(|_, _| sns_error(400, "KMSDisabled"));
    let metrics = Arc::new(Metrics::new(false));
    let (publisher, run, _, outages) = publisher(clients.lean, &config::Publish::default(), metrics);
    tokio::spawn(run);
    let short = Ownership::new(Instant::now(), Duration::from_secs(120));
    assert!(publish_all(&publisher, vec![entry("{}")], &short).await[0].is_err(), "its message has a new owner");
    let topic = Domain::Topic(TOPIC.into());
    tokio::time::sleep(Duration::from_secs(9 * 60)).await;
    assert!(outages.is_out(&topic));
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert!(!outages.is_out(&topic));
    assert_eq!(outages.room(&topic), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn parked_messages_are_requested_if_sns_is_out_and_no_entry_is_left_to_probe_it() {
    let (clients, _) = clients(|_, number| match number {
        0..=20 => sns_error(503, "ServiceUnavailable"),
        _ => all(1),
    });
    let (publisher, run, _, outages) =
        publisher(clients.lean, &config::Publish::default(), Arc::new(Metrics::new(false)));
    tokio::spawn(run);
    let other = Domain::SchemaRegistry;
    let short = Ownership::new(Instant::now(), Duration::from_secs(120));
    let lost = publish_all(&publisher, vec![entry("lost")], &short);
    let still_waits = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        (outages.is_out(&Domain::Account), outages.room(&other))
    };
    let (lost, still_waits) = tokio::join!(lost, still_waits);
    assert!(lost[0].is_err(), "its message has a new owner");
    assert_eq!(still_waits, (true, 0), "the entry probes");
    assert_eq!((outages.is_out(&Domain::Account), outages.room(&other)), (true, 10));
    assert!(publish_all(&publisher, vec![entry("probe")], &owned()).await[0].is_ok());
    assert_eq!((outages.is_out(&Domain::Account), outages.room(&other)), (false, usize::MAX));
}
