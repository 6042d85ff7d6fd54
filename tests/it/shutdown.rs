//! Stopping with messages in flight: what can finish does, and what cannot is given back.

use crate::emulator::{Emulator, scenarios};
use crate::gate::Gate;
use crate::queue::Input;
use crate::stage::Stage;
use crate::{http, wait};

scenarios! {
    both: [
        what_is_in_flight_finishes_and_nothing_more_is_received,
        what_does_not_finish_in_time_is_visible_again_at_once,
        sigterm_withdraws_readiness_drains_and_exits_with_0,
        a_second_signal_ends_the_process_at_once,
    ];
    embedded: [];
    ministack: [];
}

/// A stage with a gate that is shut, and events in its source queue.
async fn stage(emulator: &Emulator, events: usize) -> (Stage, Gate) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let inputs: Vec<_> = (0..events).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    stage.source.send(inputs).await;
    let gate = stage.gate().await;
    gate.shut();
    (stage, gate)
}

async fn what_is_in_flight_finishes_and_nothing_more_is_received(emulator: &Emulator) {
    let (mut stage, gate) = stage(emulator, 5).await;
    let running = stage.start().await;
    running.has_received(5).await;
    let address = running.app.admin_address();

    let stopping = tokio::spawn(running.stop());
    let unready = async || http::get(address, "/readyz").await.ok().filter(|answer| answer.status == 503);
    let answer = wait::until("readiness is withdrawn", unready).await;
    assert_eq!(answer.body, "draining\n");
    assert_eq!(http::get(address, "/livez").await.expect("it is alive").status, 200);
    stage.source.send([Input::body(&stage.samples.next_event(&["acme"]))]).await;
    gate.open();

    assert_eq!(stopping.await.expect("it stops").returned, 0);
    stage.delivered("acme", 5).await;
    stage.nothing_more_for("acme").await;
    assert_eq!(stage.source.depth().await, 1, "what came after the signal");
}

async fn what_does_not_finish_in_time_is_visible_again_at_once(emulator: &Emulator) {
    let (mut stage, _gate) = stage(emulator, 5).await;
    stage.config.visibility.timeout_seconds = 3_600;
    // Longer than a poll, so that none is under way any more.
    stage.config.shutdown.drain_timeout_seconds = 2;
    let running = stage.start().await;
    running.has_received(5).await;

    assert_eq!(running.stop().await.returned, 5);

    let messages = stage.source.take(5).await;
    assert!(messages.iter().all(|message| message.receive_count == 2), "{messages:#?}");
    stage.nothing_more_for("acme").await;
}

async fn sigterm_withdraws_readiness_drains_and_exits_with_0(emulator: &Emulator) {
    let (stage, gate) = stage(emulator, 5).await;
    let service = stage.spawn().await;
    assert_eq!(service.get("/readyz").await.expect("it runs").status, 200);
    gate.someone_waits().await;

    service.terminate();
    let unready = async || service.get("/readyz").await.ok().filter(|answer| answer.status == 503);
    wait::until("readiness is withdrawn", unready).await;
    gate.open();

    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains(r#""message":"stopped""#)), "{log}");
    stage.delivered("acme", 5).await;
    stage.source.is_empty().await;
}

async fn a_second_signal_ends_the_process_at_once(emulator: &Emulator) {
    let (stage, gate) = stage(emulator, 5).await;
    let service = stage.spawn().await;
    gate.someone_waits().await;
    service.terminate();
    let draining = async || service.get("/readyz").await.ok().filter(|answer| answer.status == 503);
    wait::until("it drains", draining).await;
    service.terminate();
    let (status, log) = service.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!(stage.source.depth().await, 5, "nothing is lost by it");
}
