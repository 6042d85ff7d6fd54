//! Events that arrive more than once.

use protobridge::config::FallbackPolicy;
use protobridge::message::{DuplicateCause, OutcomeLabel, RetryCause};

use crate::emulator::{Emulator, scenarios};
use crate::queue::{Input, Message};
use crate::redis::Redis;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [
        an_event_in_two_messages_is_published_once,
        events_of_two_types_or_two_customers_with_one_id_are_published,
        installations_with_topics_of_their_own_can_share_a_redis,
        a_value_in_redis_that_no_replica_writes_suppresses_no_event,
        replicas_share_the_window_of_published_events,
        an_event_waits_while_another_replica_publishes_it,
        a_claim_is_renewed_while_its_event_waits_and_an_event_that_another_replica_took_over_is_not_published,
        events_are_delivered_while_redis_is_down,
        replicas_remember_a_broadcast_until_each_customer_has_it,
    ];
    embedded: [];
    ministack: [];
}

/// Lets replicas share the window of published events. The timeout is long, because Redis can be slow on a busy
/// machine.
fn share_window(stage: &mut Stage, redis: &Redis) {
    stage.config.dedupe.redis_url = Some(redis.url());
    stage.config.dedupe.redis_timeout_ms = 10_000;
}

async fn an_event_in_two_messages_is_published_once(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let other = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([&event, &event, &other, &event].map(Input::body)).await;
    running.wait_until_received(4).await;
    stage.source.wait_until_empty().await;
    stage.delivered("acme", 2).await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!((running.settled(OutcomeLabel::Published), running.settled(OutcomeLabel::Duplicate)), (2, 2));
    assert_eq!(running.metrics.duplicates.sum_where(|labels| labels.cause == DuplicateCause::Producer), 2);
    running.stop().await;
}

async fn events_of_two_types_or_two_customers_with_one_id_are_published(emulator: &Emulator) {
    // The topic is a FIFO topic, so SNS deduplicates as well.
    let mut stage = Stage::new(emulator).await.fifo_customer("rest").await;
    stage.config.route.unknown_customer = FallbackPolicy::Topic(stage.topic_of("rest").to_owned());
    let mut event = |customer: &str, name: &str| {
        let event = stage.event_of_type(customer, &format!("shop.v1.{name}"));
        Input::body(&event).attribute("event-id", "42")
    };
    let placed = event("hooli", "OrderPlaced");
    let changed = event("hooli", "OrderStatusChanged");
    let of_other = event("initech", "OrderPlaced");
    let running = stage.start().await;
    stage.source.send([placed.clone(), changed, of_other, placed]).await;
    running.wait_until_settled(OutcomeLabel::Published, 3).await;
    running.wait_until_settled(OutcomeLabel::Duplicate, 1).await;
    stage.source.wait_until_empty().await;
    let delivered = stage.delivered("rest", 3).await;
    let attribute = |message: &Message, name: &str| message.attribute(name).expect("it has the attribute").to_owned();
    let mut delivered: Vec<_> = delivered
        .iter()
        .map(|message| ["event-id", "event-type", "customer-id"].map(|name| attribute(message, name)).join(" "))
        .collect();
    delivered.sort_unstable();
    assert_eq!(
        delivered,
        ["42 shop.v1.OrderPlaced hooli", "42 shop.v1.OrderPlaced initech", "42 shop.v1.OrderStatusChanged hooli"]
    );
    stage.assert_nothing_more_for("rest").await;
    running.stop().await;
}

async fn installations_with_topics_of_their_own_can_share_a_redis(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let mut event = None;
    for _ in 0..2 {
        let mut stage = Stage::new(emulator).await.customer("acme", "").await;
        share_window(&mut stage, &redis);
        let event = event.get_or_insert_with(|| stage.samples.next_event(&["acme"]));
        let running = stage.start().await;
        stage.source.send([Input::body(event)]).await;
        stage.delivered_one("acme").await;
        stage.source.wait_until_empty().await;
        running.stop().await;
    }
}

async fn a_value_in_redis_that_no_replica_writes_suppresses_no_event(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    share_window(&mut stage, &redis);
    let client = redis::Client::open(redis.url()).expect("the URL is valid");
    let mut store = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let event = stage.samples.next_event(&["acme"]);
    let mut key = String::new();
    for planted in ["", "published by another", "claimed by another", "a list"] {
        match planted {
            "" => {}
            "a list" => {
                let mut plant = redis::pipe();
                plant.del(&key).rpush(&key, "an element");
                plant.query_async::<()>(&mut store).await.expect("Redis answers");
            }
            value => redis::cmd("SET").arg(&key).arg(value).query_async(&mut store).await.expect("Redis answers"),
        }
        // Each replica remembers only what it published itself.
        let running = stage.start().await;
        stage.source.send([Input::body(&event)]).await;
        stage.delivered_one("acme").await;
        stage.source.wait_until_empty().await;
        assert_eq!(running.metrics.dedupe_store_invalid.sum(), u64::from(!planted.is_empty()), "{planted}");
        assert_eq!(running.metrics.dedupe_store_errors.sum(), 0, "{planted}: the store answered");
        running.stop().await;
        let keys = redis::cmd("KEYS").arg("*").query_async::<Vec<String>>(&mut store).await;
        [key] = keys.expect("Redis answers").try_into().expect("there is one key");
        let value = redis::cmd("GET").arg(&key).query_async::<String>(&mut store).await.expect("Redis answers");
        assert!(value.starts_with("published by ") && value.len() == 49, "the publish replaced the value: {value}");
    }
}

async fn replicas_share_the_window_of_published_events(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    share_window(&mut stage, &redis);
    // The first replica can stop during a poll for which the emulator has already hidden messages. A short timeout
    // makes them visible again soon.
    stage.config.visibility.timeout_seconds = 5;
    let event = stage.samples.next_event(&["acme"]);
    let first = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    stage.source.wait_until_empty().await;
    first.stop().await;

    let second = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    second.wait_until_settled(OutcomeLabel::Duplicate, 1).await;
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(second.metrics.duplicates.sum_where(|labels| labels.cause == DuplicateCause::Producer), 1);
    second.stop().await;

    stage.config.dedupe.redis_prefix = "another-installation".to_owned();
    let stranger = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    stage.source.wait_until_empty().await;
    stranger.stop().await;
}

async fn an_event_waits_while_another_replica_publishes_it(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    share_window(&mut stage, &redis);
    let event = stage.samples.next_event(&["acme"]);
    let gate = stage.gate().await;
    gate.shut();
    let slow = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    gate.wait_for_publish().await;

    stage.without_gate();
    let other = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    wait::until("a replica has received the second message and waits with it", async || {
        // Either replica can receive the second message. The other replica retries it; in the slow replica it waits for
        // the first message without an outcome.
        let retried = other.settled(OutcomeLabel::Retried) > 0;
        (retried || slow.metrics.received.sum() == 2).then_some(())
    })
    .await;
    assert_eq!((slow.settled(OutcomeLabel::Published), other.settled(OutcomeLabel::Published)), (0, 0));
    gate.open();
    stage.source.wait_until_empty().await;
    stage.delivered_one("acme").await;
    stage.assert_nothing_more_for("acme").await;
    slow.stop().await;
    other.stop().await;
}

async fn a_claim_is_renewed_while_its_event_waits_and_an_event_that_another_replica_took_over_is_not_published(
    emulator: &Emulator,
) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    share_window(&mut stage, &redis);
    // Claims expire after twice this time.
    stage.config.visibility.timeout_seconds = 5;
    stage.config.publish.max_concurrent_calls = 1;
    stage.config.publish.linger_ms = 0;
    let [first, waiting] = [(); 2].map(|()| stage.samples.next_event(&["acme"]));
    let gate = stage.gate().await;
    gate.shut();
    let running = stage.start().await;
    stage.source.send([Input::body(&first)]).await;
    gate.wait_for_publish().await;
    let client = redis::Client::open(redis.url()).expect("the URL is valid");
    let mut store = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let mut keys = async || {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*:delivery:*").query_async(&mut store).await.expect("Redis answers");
        keys
    };
    let claim_of_first = keys().await;
    stage.source.send([Input::body(&waiting)]).await;
    let claim = wait::until("the second event is claimed", async || {
        keys().await.into_iter().find(|key| !claim_of_first.contains(key))
    })
    .await;

    let mut last = i64::MAX;
    wait::until("the claim is renewed", async || {
        let left: i64 = redis::cmd("PTTL").arg(&claim).query_async(&mut store).await.expect("Redis answers");
        let is_renewed = left > last;
        last = left;
        is_renewed.then_some(())
    })
    .await;

    let taken = redis::cmd("SET").arg(&claim).arg("claimed by 0123456789abcdef").query_async::<()>(&mut store).await;
    taken.expect("Redis answers");
    // The first of two more renewals has found the other claim.
    let mut renewals = 0;
    last = i64::MAX;
    wait::until("two renewals came after the other claim", async || {
        let left = redis::cmd("PTTL").arg(&claim_of_first[0]).query_async::<i64>(&mut store).await;
        let left = left.expect("Redis answers");
        renewals += u32::from(left > last);
        last = left;
        (renewals == 2).then_some(())
    })
    .await;
    gate.open();
    stage.delivered_one("acme").await;
    running.wait_until_settled(OutcomeLabel::Retried, 1).await;
    let elsewhere = running.metrics.retried.sum_where(|labels| labels.cause == RetryCause::ClaimedElsewhere);
    assert_eq!(running.settled(OutcomeLabel::Retried), elsewhere);
    stage.assert_nothing_more_for("acme").await;
    running.stop().await;
}

async fn events_are_delivered_while_redis_is_down(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(mut redis) = Redis::start().await else { return };
    share_window(&mut stage, &redis);
    let [before, meanwhile, after] = [(); 3].map(|()| stage.samples.next_event(&["acme"]));
    let is_up = |running: &Running, up| {
        let line = format!("protobridge_dedupe_store_up {up}");
        running.metrics.render().lines().any(|found| found == line).then_some(())
    };
    let running = stage.start().await;
    stage.source.send([Input::body(&before)]).await;
    stage.delivered_one("acme").await;
    is_up(&running, 1).expect("Redis answers");

    redis.stop().await;
    stage.source.send([Input::body(&meanwhile)]).await;
    stage.delivered_one("acme").await;
    wait::until("the metrics report that Redis is down", async || is_up(&running, 0)).await;
    assert!(running.metrics.dedupe_store_errors.sum() >= 1);
    stage.source.send([Input::body(&meanwhile)]).await;
    running.wait_until_settled(OutcomeLabel::Duplicate, 1).await;

    redis.restart().await;
    // The service notices the restart at its next request to Redis. Each event makes one.
    let mut sent = 0;
    let back = async || {
        let event = if sent == 0 { after.clone() } else { stage.samples.next_event(&["acme"]) };
        sent += 1;
        stage.source.send([Input::body(&event)]).await;
        stage.delivered_one("acme").await;
        is_up(&running, 1)
    };
    wait::until("the metrics report that Redis is up again", back).await;
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn replicas_remember_a_broadcast_until_each_customer_has_it(emulator: &Emulator) {
    const WINDOW_SECONDS: u64 = 60;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let Some(redis) = Redis::start().await else { return };
    share_window(&mut stage, &redis);
    stage.config.dedupe.window_seconds = WINDOW_SECONDS;
    stage.config.visibility.timeout_seconds = 5;
    // The event waits for the missing topic, so the drain does not end before its timeout.
    stage.config.shutdown.drain_timeout_seconds = 1;
    let (acme, globex) = (stage.topic_of("acme").to_owned(), stage.topic_of("globex").to_owned());
    let customers =
        |globex: &str| format!("customers: [{{id: acme, topic: '{acme}'}}, {{id: globex, topic: '{globex}'}}]");
    stage.config.route.customers_file =
        stage.write_file("missing.yaml", &customers(&globex.replace("globex", "none"))).into();
    let heartbeat = stage.samples.heartbeat();
    let first = stage.start().await;
    stage.source.send([Input::body(&heartbeat)]).await;
    stage.delivered_one("acme").await;
    let client = redis::Client::open(redis.url()).expect("the URL is valid");
    let mut store = client.get_multiplexed_async_connection().await.expect("Redis answers");
    // Returns the times that are left of the published deliveries, in seconds.
    let mut left = async || {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*:delivery:*").query_async(&mut store).await.expect("Redis answers");
        let mut left = Vec::new();
        for key in keys {
            let value: String = redis::cmd("GET").arg(&key).query_async(&mut store).await.expect("Redis answers");
            let seconds: u64 = redis::cmd("TTL").arg(&key).query_async(&mut store).await.expect("Redis answers");
            left.extend(value.starts_with("published").then_some(seconds));
        }
        left
    };
    wait::until("the delivery to acme is remembered for long", async || {
        let left = left().await;
        (left.len() == 1 && left[0] > WINDOW_SECONDS).then_some(())
    })
    .await;
    first.stop().await;

    stage.config.route.customers_file = stage.write_file("both.yaml", &customers(&globex)).into();
    let second = stage.start().await;
    stage.delivered_one("globex").await;
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    wait::until("both deliveries are remembered for the time of the window", async || {
        let left = left().await;
        (left.len() == 2 && left.iter().all(|seconds| *seconds <= WINDOW_SECONDS)).then_some(())
    })
    .await;
    second.stop().await;
}
