//! Replicas that share one queue and are killed repeatedly.

use std::collections::BTreeMap;

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::redis::Redis;
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [two_replicas_lose_no_event_while_one_is_killed_repeatedly];
    embedded: [];
    ministack: [];
}

const ROUNDS: usize = 20;
const EVENTS_PER_ROUND: usize = 50;
/// Two batches: 0 events were seen in dozens of runs.
const MAX_REPEATED_WITH_REDIS: usize = 20;
/// Five batches: 7 events were seen.
const MAX_REPEATED_ALONE: usize = 50;

async fn two_replicas_lose_no_event_while_one_is_killed_repeatedly(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.visibility.timeout_seconds = 5;
    // The replicas share the window of published events, except for publishes that a killed replica did not record.
    let redis = Redis::start().await;
    stage.config.dedupe.redis_url = redis.as_ref().map(Redis::url);
    stage.config.dedupe.redis_timeout_ms = 10_000;
    let seed = std::env::var("PROTOBRIDGE_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("the seed is a number"));
    eprintln!("PROTOBRIDGE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let mut delivered: BTreeMap<String, u32> = BTreeMap::new();
    let mut sent = Vec::new();
    let mut replicas = [stage.spawn().await, stage.spawn().await];
    for round in 0..ROUNDS {
        let next = stage.spawn().await;
        let events: Vec<_> = (0..EVENTS_PER_ROUND).map(|_| stage.samples.next_event(&["acme"])).collect();
        sent.extend(events.iter().map(|event| event.event_id.clone()));
        let source = stage.source.clone();
        let sending = tokio::spawn(async move { source.send(events.iter().map(Input::body)).await });
        // Kill at a random moment while this round's events are on their way.
        let moment = delivered.len() + random.usize(0..EVENTS_PER_ROUND / 2);
        wait::until("some events are delivered", async || {
            collect(&stage, &mut delivered).await;
            (delivered.len() >= moment).then_some(())
        })
        .await;
        std::mem::replace(&mut replicas[round % 2], next).kill().await;
        sending.await.expect("the messages are sent");
    }
    wait::until("every event is delivered", async || {
        collect(&stage, &mut delivered).await;
        (delivered.len() >= sent.len()).then_some(())
    })
    .await;
    stage.source.wait_until_empty().await;
    collect(&stage, &mut delivered).await;
    assert!(sent.iter().all(|id| delivered.contains_key(id)) && delivered.len() == sent.len());
    let repeated = delivered.values().filter(|count| **count > 1).count();
    eprintln!("{} events, {ROUNDS} kills, {repeated} events delivered more than once", sent.len());
    // An event that was published but not yet recorded at a kill arrives twice. With Redis that is the moment between the
    // answer of SNS and the write to Redis; without Redis it is the time until the delete. Few kills hit either, and each
    // hits one batch.
    let max_repeated = if redis.is_some() { MAX_REPEATED_WITH_REDIS } else { MAX_REPEATED_ALONE };
    assert!(repeated <= max_repeated, "{repeated} events were delivered more than once; {max_repeated} are expected");
}

async fn collect(stage: &Stage, delivered: &mut BTreeMap<String, u32>) {
    loop {
        let messages = stage.queue_of("acme").take_some(0).await;
        if messages.is_empty() {
            return;
        }
        for message in messages {
            let message = message.unwrapped();
            let id = message.attribute("event-id").expect("every event has an id").to_owned();
            *delivered.entry(id).or_default() += 1;
        }
    }
}
