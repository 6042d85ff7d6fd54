//! Stopping with messages in flight. Messages that finish in time are published; the others become visible again.

use crate::emulator::{Emulator, scenarios};
use crate::gate::Gate;
use crate::queue::Input;
use crate::stage::Stage;
use crate::{http, wait};

scenarios! {
    both: [
        messages_in_flight_finish_and_no_more_are_received,
        messages_that_miss_the_drain_timeout_become_visible_at_once,
        sigterm_withdraws_readiness_drains_and_exits_with_0,
        a_second_signal_ends_the_process_at_once,
    ];
    embedded: [];
    ministack: [];
}

/// Creates a stage with a shut gate and with events in its source queue.
async fn stage(emulator: &Emulator, events: usize) -> (Stage, Gate) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let inputs: Vec<_> = (0..events).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    stage.source.send(inputs).await;
    let gate = stage.gate().await;
    gate.shut();
    (stage, gate)
}

async fn messages_in_flight_finish_and_no_more_are_received(emulator: &Emulator) {
    let (mut stage, gate) = stage(emulator, 5).await;
    let running = stage.start().await;
    running.wait_until_received(5).await;
    let address = running.address;
    // Messages can be received a moment before the service says that it runs.
    let ready = async || http::get(address, "/readyz").await.ok().filter(|answer| answer.status == 200);
    wait::until("the service is ready", ready).await;

    let stopping = tokio::spawn(running.stop());
    let unready = async || http::get(address, "/readyz").await.ok().filter(|answer| answer.status == 503);
    let answer = wait::until("readiness is withdrawn", unready).await;
    assert_eq!(answer.body, "draining\n");
    assert_eq!(http::get(address, "/livez").await.expect("the service is alive").status, 200);
    stage.source.send([Input::body(&stage.samples.next_event(&["acme"]))]).await;
    gate.open();

    assert_eq!(stopping.await.expect("the service stops").returned, 0);
    stage.delivered("acme", 5).await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(stage.source.depth().await, 1, "the event sent after the signal is still on the queue");
}

async fn messages_that_miss_the_drain_timeout_become_visible_at_once(emulator: &Emulator) {
    let (mut stage, _gate) = stage(emulator, 5).await;
    stage.config.visibility.timeout_seconds = 3_600;
    // The drain timeout is longer than a poll, so that no poll is left when the service returns the messages.
    stage.config.shutdown.drain_timeout_seconds = 2;
    let running = stage.start().await;
    running.wait_until_received(5).await;

    assert_eq!(running.stop().await.returned, 5);

    let messages = stage.source.take(5).await;
    assert!(messages.iter().all(|message| message.receive_count == 2), "{messages:#?}");
    stage.assert_nothing_more_for("acme").await;
}

async fn sigterm_withdraws_readiness_drains_and_exits_with_0(emulator: &Emulator) {
    let (stage, gate) = stage(emulator, 5).await;
    let service = stage.spawn().await;
    assert_eq!(service.get("/readyz").await.expect("the service runs").status, 200);
    gate.wait_for_publish().await;

    service.terminate();
    let unready = async || service.get("/readyz").await.ok().filter(|answer| answer.status == 503);
    wait::until("readiness is withdrawn", unready).await;
    gate.open();

    let (status, log) = service.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains(r#""message":"stopped""#)), "{log}");
    stage.delivered("acme", 5).await;
    stage.source.wait_until_empty().await;
}

async fn a_second_signal_ends_the_process_at_once(emulator: &Emulator) {
    let (stage, gate) = stage(emulator, 5).await;
    let service = stage.spawn().await;
    gate.wait_for_publish().await;
    service.terminate();
    let draining = async || service.get("/readyz").await.ok().filter(|answer| answer.status == 503);
    wait::until("the service drains", draining).await;
    service.terminate();
    let (status, log) = service.wait_for_exit().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!(stage.source.depth().await, 5, "no message is lost");
}
