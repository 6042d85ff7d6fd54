//! The window of two replicas, with a real Redis: a message that one replica finishes is unfinished at the other.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use protobridge::config;
use protobridge::delivery::dedupe::{Attempt, Claim, DeliveryKey, Finished, MessageId, PublishedBefore, Taken, Window};
use protobridge::message::DuplicateCause;
use protobridge::telemetry::Metrics;

use crate::redis::Redis;

const WINDOW_SECONDS: u64 = 60;
/// The number of deliveries that a window holds.
const MAX_ENTRIES: usize = 3;

/// Returns the windows of two replicas, and a connection to the store that they share.
async fn replicas(redis: &Redis) -> ([Arc<Window>; 2], MultiplexedConnection) {
    let settings = config::Dedupe {
        redis_url: Some(redis.url()),
        // Redis can be slow on a busy machine.
        redis_timeout_ms: 10_000,
        window_seconds: WINDOW_SECONDS,
        max_entries: MAX_ENTRIES,
        ..Default::default()
    };
    let window = || Window::new(&settings, Duration::from_secs(600), Arc::new(Metrics::new(false)));
    let client = ::redis::Client::open(redis.url()).expect("the URL is valid");
    let store = client.get_multiplexed_async_connection().await.expect("Redis answers");
    ([(); 2].map(|()| window().expect("the URL can be used")), store)
}

fn key(event: &str) -> DeliveryKey {
    DeliveryKey::new("a.B", event, None, &"arn:aws:sns:eu-west-1:123456789012:acme".into())
}

async fn claim(window: &Arc<Window>, event: &str, message: MessageId) -> Result<Claim, Taken> {
    let key = key(event);
    let mut claim = window.claim(&[key], message).await.remove(0);
    window.claim_in_store(std::iter::once(Attempt { key, message, claim: &mut claim })).await;
    claim
}

async fn publish(window: &Arc<Window>, event: &str, message: MessageId) {
    window.confirm(vec![claim(window, event, message).await.expect("the delivery is free")]).await;
}

/// Publishes the event and as many others as the window holds, so that the delivery leaves it.
async fn publish_until_it_left_the_window(window: &Arc<Window>, event: &str, message: MessageId) {
    publish(window, event, message).await;
    for number in 0..MAX_ENTRIES {
        publish(window, &format!("after {event}: {number}"), MessageId::new("other")).await;
    }
}

async fn finish(window: &Window, message: MessageId, event: &str) {
    window.finish(vec![Finished { message, deliveries: vec![key(event)] }]).await;
}

/// Returns what the store has for an event: its Redis key, the value, and the seconds that are left.
async fn entry(store: &mut MultiplexedConnection, event: &str) -> (String, Option<String>, i64) {
    let key = format!("protobridge:delivery:{}", key(event).to_hex());
    let mut entry = ::redis::pipe();
    entry.get(&key).ttl(&key);
    let (value, seconds) = entry.query_async(store).await.expect("Redis answers");
    (key, value, seconds)
}

#[tokio::test]
async fn a_message_that_another_replica_finished_suppresses_no_repetition_after_the_window() {
    let Some(mut redis) = Redis::start().await else { return };
    let ([first, second], mut store) = replicas(&redis).await;
    let (message, repetition) = (MessageId::new("m-1"), MessageId::new("m-2"));
    first.begin(message, &[]).await;
    publish_until_it_left_the_window(&first, "1", message).await;
    let is_duplicate = |claim: Result<Claim, Taken>, cause| match claim {
        Err(Taken::Published(before)) => before.first == message && before.cause == cause,
        _ => false,
    };
    assert!(is_duplicate(claim(&first, "1", repetition).await, DuplicateCause::Producer), "the store knows it");

    finish(&second, message, "1").await;
    let (redis_key, _, seconds) = entry(&mut store, "1").await;
    assert!((1..=WINDOW_SECONDS as i64).contains(&seconds), "{seconds}");
    assert!(is_duplicate(claim(&first, "1", repetition).await, DuplicateCause::Producer), "the window is not over");

    // The end of the window.
    ::redis::cmd("DEL").arg(&redis_key).query_async::<()>(&mut store).await.expect("Redis answers");
    let redelivery = claim(&first, "1", message).await;
    assert!(is_duplicate(redelivery, DuplicateCause::Redelivery), "the same message is never an intended repetition");
    let claimed = claim(&first, "1", repetition).await.expect("neither replica suppresses the repetition");
    assert!(matches!(claim(&second, "1", message).await, Err(Taken::Elsewhere)), "it is claimed in the store as well");
    first.confirm(vec![claimed]).await;
    let third = claim(&second, "1", MessageId::new("m-3")).await;
    assert!(matches!(third, Err(Taken::Published(before)) if before.first == repetition));

    // A store that does not answer is no proof that a message is finished.
    first.begin(message, &[]).await;
    publish_until_it_left_the_window(&first, "2", message).await;
    redis.stop().await;
    assert!(is_duplicate(claim(&first, "2", repetition).await, DuplicateCause::Producer));
}

#[tokio::test]
async fn a_finished_message_does_not_shorten_the_deliveries_of_an_unfinished_one() {
    let Some(redis) = Redis::start().await else { return };
    let ([first, second], mut store) = replicas(&redis).await;
    let (message, repetition) = (MessageId::new("m-1"), MessageId::new("m-2"));
    first.begin(message, &[]).await;
    publish(&first, "1", message).await;
    let before = PublishedBefore::noted(message);
    second.begin(repetition, &[(key("1"), before)]).await;
    let adopted = entry(&mut store, "1").await;
    assert_eq!(adopted.1, Some(format!("published by {repetition}")));

    finish(&first, message, "1").await;
    let (_, value, seconds) = entry(&mut store, "1").await;
    assert_eq!(value, adopted.1);
    assert!(seconds > WINDOW_SECONDS as i64, "{seconds}");

    finish(&second, repetition, "1").await;
    let (redis_key, value, seconds) = entry(&mut store, "1").await;
    assert_eq!(value, adopted.1);
    assert!((1..=WINDOW_SECONDS as i64).contains(&seconds), "{seconds}");

    // An entry that the store lost is written again, because SQS can deliver the message again.
    ::redis::cmd("DEL").arg(&redis_key).query_async::<()>(&mut store).await.expect("Redis answers");
    finish(&second, repetition, "1").await;
    assert_eq!(entry(&mut store, "1").await.1, adopted.1);
}
