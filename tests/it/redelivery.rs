//! Messages that SQS delivers a second time, and messages that it must not deliver again.

use protobridge::message::OutcomeLabel;
use protobridge::telemetry::{CallLabels, CallResult, Operation};

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [
        the_next_service_publishes_what_a_killed_one_had_received,
        a_message_stays_hidden_while_its_publish_lasts,
    ];
    embedded: [];
    ministack: [];
}

async fn the_next_service_publishes_what_a_killed_one_had_received(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let inputs: Vec<_> = (0..5).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    stage.config.visibility.timeout_seconds = 5;
    let gate = stage.gate().await;
    gate.shut();
    let service = stage.spawn().await;
    stage.source.send(inputs).await;
    gate.wait_for_publish().await;
    service.kill().await;
    // Dropping the gate also drops the publish call that waits in it.
    drop(gate);
    stage.assert_nothing_more_for("acme").await;

    stage.without_gate();
    let running = stage.start().await;

    stage.delivered("acme", 5).await;
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn a_message_stays_hidden_while_its_publish_lasts(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.visibility.timeout_seconds = 5;
    let gate = stage.gate().await;
    gate.shut();
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    // The service extends the visibility when half of the timeout is left, so the first timeout has passed at the
    // second extension.
    let extensions = running
        .metrics
        .calls
        .with(&CallLabels { operation: Operation::ChangeMessageVisibilityBatch, result: CallResult::Ok });
    wait::until("the visibility was extended twice", async || (extensions.get() >= 2).then_some(())).await;
    assert!(stage.source.take_some(1).await.is_empty(), "the message is hidden from other consumers");
    gate.open();
    stage.delivered_one("acme").await;
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!((running.metrics.received.sum(), running.settled(OutcomeLabel::Published)), (1, 1));
    running.stop().await;
}
