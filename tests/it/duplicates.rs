//! Events that come more than once.

use protobridge::message::{DuplicateCause, OutcomeLabel};

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::redis::Redis;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [
        an_event_that_two_messages_carry_is_published_once,
        replicas_share_what_they_have_published,
        what_one_replica_is_publishing_waits_at_the_other,
        while_the_store_is_down_events_are_delivered,
    ];
    embedded: [];
    ministack: [];
}

/// Lets replicas share what they have published. On a machine that is busy with other things an answer takes its time.
fn share(stage: &mut Stage, redis: &Redis) {
    stage.config.dedupe.redis_url = Some(redis.url());
    stage.config.dedupe.redis_timeout_ms = 10_000;
}

async fn an_event_that_two_messages_carry_is_published_once(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let other = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([&event, &event, &other, &event].map(Input::body)).await;
    running.has_received(4).await;
    stage.source.is_empty().await;
    stage.delivered("acme", 2).await;
    stage.nothing_more_for("acme").await;
    assert_eq!((running.settled(OutcomeLabel::Published), running.settled(OutcomeLabel::Duplicate)), (2, 2));
    assert_eq!(running.metrics.duplicates.sum_where(|labels| labels.cause == DuplicateCause::Producer), 2);
    running.stop().await;
}

async fn replicas_share_what_they_have_published(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    share(&mut stage, &redis);
    // What an emulator had chosen for a poll that the first replica dropped at its end comes back soon.
    stage.config.visibility.timeout_seconds = 5;
    let event = stage.samples.next_event(&["acme"]);
    let first = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    stage.source.is_empty().await;
    first.stop().await;

    let second = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    second.has_settled(OutcomeLabel::Duplicate, 1).await;
    stage.source.is_empty().await;
    stage.nothing_more_for("acme").await;
    assert_eq!(second.metrics.duplicates.sum_where(|labels| labels.cause == DuplicateCause::Producer), 1);
    second.stop().await;

    stage.config.dedupe.redis_prefix = "another-installation".to_owned();
    let stranger = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    stage.source.is_empty().await;
    stranger.stop().await;
}

async fn what_one_replica_is_publishing_waits_at_the_other(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    share(&mut stage, &redis);
    let event = stage.samples.next_event(&["acme"]);
    let gate = stage.gate().await;
    gate.shut();
    let slow = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    gate.someone_waits().await;

    stage.without_gate();
    let other = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    wait::until("the other gives it back", async || {
        // Either may receive the second message; at the first it waits without a word.
        let retried = other.settled(OutcomeLabel::Retried) > 0;
        (retried || slow.metrics.received.sum() == 2).then_some(())
    })
    .await;
    assert_eq!((slow.settled(OutcomeLabel::Published), other.settled(OutcomeLabel::Published)), (0, 0));
    gate.open();
    stage.source.is_empty().await;
    stage.delivered_one("acme").await;
    stage.nothing_more_for("acme").await;
    slow.stop().await;
    other.stop().await;
}

async fn while_the_store_is_down_events_are_delivered(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(mut redis) = Redis::start().await else { return };
    share(&mut stage, &redis);
    let [before, meanwhile, after] = [(); 3].map(|()| stage.samples.next_event(&["acme"]));
    let is_up = |running: &Running, up| {
        let line = format!("protobridge_dedupe_store_up {up}");
        running.metrics.render().lines().any(|found| found == line).then_some(())
    };
    let running = stage.start().await;
    stage.source.send([Input::body(&before)]).await;
    stage.delivered_one("acme").await;
    is_up(&running, 1).expect("the store answers");

    redis.stop().await;
    stage.source.send([Input::body(&meanwhile)]).await;
    stage.delivered_one("acme").await;
    wait::until("it is said that the store is down", async || is_up(&running, 0)).await;
    assert!(running.metrics.dedupe_store_errors.sum() >= 1);
    stage.source.send([Input::body(&meanwhile)]).await;
    running.has_settled(OutcomeLabel::Duplicate, 1).await;

    redis.start_again().await;
    // Whoever asks next finds it; each question is another event.
    let mut sent = 0;
    let back = async || {
        let event = if sent == 0 { after.clone() } else { stage.samples.next_event(&["acme"]) };
        sent += 1;
        stage.source.send([Input::body(&event)]).await;
        stage.delivered_one("acme").await;
        is_up(&running, 1)
    };
    wait::until("the store answers again", back).await;
    stage.source.is_empty().await;
    running.stop().await;
}
