//! Events that come more than once.

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::redis::Redis;
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [
        an_event_that_two_messages_carry_is_published_once,
        replicas_share_what_they_have_published,
        while_the_store_is_down_events_are_delivered,
    ];
    embedded: [];
    ministack: [];
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
    assert_eq!((running.settled("published"), running.settled("duplicate")), (2, 2));
    assert_eq!(running.metrics.duplicates.sum_where("cause", "producer"), 2);
    running.stop().await;
}

async fn replicas_share_what_they_have_published(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(redis) = Redis::start().await else { return };
    stage.config.dedupe.redis_url = Some(redis.url());
    let event = stage.samples.next_event(&["acme"]);
    let first = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    stage.source.is_empty().await;
    first.stop().await;

    let second = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    second.has_settled("duplicate", 1).await;
    stage.source.is_empty().await;
    stage.nothing_more_for("acme").await;
    assert_eq!(second.metrics.duplicates.sum_where("cause", "producer"), 1);
    second.stop().await;

    stage.config.dedupe.redis_prefix = "another-installation".to_owned();
    let stranger = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    stage.delivered_one("acme").await;
    stage.source.is_empty().await;
    stranger.stop().await;
}

async fn while_the_store_is_down_events_are_delivered(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let Some(mut redis) = Redis::start().await else { return };
    stage.config.dedupe.redis_url = Some(redis.url());
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
    running.has_settled("duplicate", 1).await;

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
