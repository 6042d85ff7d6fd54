//! What SQS hands out a second time, and what it must not.

use protobridge::message::OutcomeLabel;
use protobridge::telemetry::{CallLabels, CallResult, Operation};

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [
        what_a_killed_service_had_received_is_published_by_the_next,
        a_message_stays_hidden_for_as_long_as_its_publish_takes,
    ];
    embedded: [];
    ministack: [];
}

async fn what_a_killed_service_had_received_is_published_by_the_next(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let inputs: Vec<_> = (0..5).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    stage.config.visibility.timeout_seconds = 5;
    let gate = stage.gate().await;
    gate.shut();
    let service = stage.spawn().await;
    stage.source.send(inputs).await;
    gate.someone_waits().await;
    service.kill().await;
    // What waits there dies with it.
    drop(gate);
    stage.nothing_more_for("acme").await;

    stage.without_gate();
    let running = stage.start().await;

    stage.delivered("acme", 5).await;
    stage.source.is_empty().await;
    running.stop().await;
}

async fn a_message_stays_hidden_for_as_long_as_its_publish_takes(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.visibility.timeout_seconds = 5;
    let gate = stage.gate().await;
    gate.shut();
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    // Each extension comes when half of the timeout is left, so the first timeout is over with the second.
    let extensions = running
        .metrics
        .calls
        .with(&CallLabels { operation: Operation::ChangeMessageVisibilityBatch, result: CallResult::Ok });
    wait::until("the visibility was extended twice", async || (extensions.get() >= 2).then_some(())).await;
    assert!(stage.source.take_some(1).await.is_empty(), "nobody else gets it");
    gate.open();
    stage.delivered_one("acme").await;
    stage.source.is_empty().await;
    stage.nothing_more_for("acme").await;
    assert_eq!((running.metrics.received.sum(), running.settled(OutcomeLabel::Published)), (1, 1));
    running.stop().await;
}
