//! The health of a service whose queues are missing or denied: readiness, `/status`, and a start that requires health.

use std::net::SocketAddr;

use serde_json::Value;

use crate::command::{self, Ended, protobridge};
use crate::denial::Denial;
use crate::emulator::{Emulator, scenarios};
use crate::http::Answer;
use crate::queue::{Input, Queue};
use crate::stage::Stage;
use crate::{http, wait};

scenarios! {
    both: [
        a_denied_role_keeps_the_service_unready_until_it_is_allowed_to_receive,
        a_missing_queue_stops_no_other_queue_and_is_received_from_once_it_exists,
        a_start_that_requires_health_fails_and_names_the_queue,
    ];
    embedded: [a_healthy_start_with_required_health_runs];
    ministack: [];
}

async fn ready(address: SocketAddr) -> Answer {
    http::get(address, "/readyz").await.expect("the service runs")
}

/// Returns a queue of `/status` once it is in this state.
async fn queue_in_state(address: SocketAddr, index: usize, state: &str) -> Value {
    wait::until(&format!("queue {index} is {state}"), async || {
        let status = http::get(address, "/status").await.expect("the service runs").json();
        Some(status["queues"][index].clone()).filter(|queue| queue["state"] == state)
    })
    .await
}

async fn a_denied_role_keeps_the_service_unready_until_it_is_allowed_to_receive(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["*"]).await;
    stage.config.aws.endpoint_url = Some(denial.endpoint_url.clone());
    stage.config.queues[0].name = Some("events".to_owned());
    let input = Input::body(&stage.samples.next_event(&["acme"]));
    stage.source.send([input]).await;
    let running = stage.start().await;
    let address = running.address;

    let queue = queue_in_state(address, 0, "denied").await;
    let Answer { status, body } = ready(address).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.starts_with("starting: no queue could be received from since the start\nqueue events ("), "{body}");
    for text in ["no policy allows ReceiveMessage", "allow sqs:ReceiveMessage on arn:aws:sqs:", "docs/iam.md"] {
        let trouble = &queue["trouble"];
        let report = format!("{} {}", trouble["error"], trouble["way_out"]);
        assert!(body.contains(text) && report.contains(text), "{text}: {body}\n{queue}");
    }
    let metrics = http::get(address, "/metrics").await.expect("the service runs").body;
    assert!(metrics.contains("protobridge_queue_up{queue=\"events\"} 0"), "{metrics}");
    assert_eq!(http::get(address, "/livez").await.expect("the service runs").status, 200);

    denial.deny(&[]);
    wait::until("the service is ready", async || (ready(address).await.body == "running\n").then_some(())).await;
    stage.delivered("acme", 1).await;
    assert!(queue_in_state(address, 0, "receiving").await.get("trouble").is_none());
    // A service that was ready stays ready, and names the trouble.
    denial.deny(&["ReceiveMessage"]);
    queue_in_state(address, 0, "denied").await;
    let Answer { status, body } = ready(address).await;
    assert!(status == 200 && body.starts_with("running\nqueue events ("), "{body}");
    running.stop().await;
}

async fn a_missing_queue_stops_no_other_queue_and_is_received_from_once_it_exists(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let name = format!("{}-late", stage.source.url.rsplit('/').next().expect("a URL has a path"));
    let late = stage.source.url.replace(stage.source.url.rsplit('/').next().expect("a URL has a path"), &name);
    let first = protobridge::config::Queue { url: late.clone(), ..stage.config.queues[0].clone() };
    stage.config.queues.insert(0, first);
    let events = [0, 1].map(|_| Input::body(&stage.samples.next_event(&["acme"])));
    let [event, late_event] = events;
    stage.source.send([event]).await;
    let running = stage.start().await;
    let address = running.address;

    stage.delivered("acme", 1).await;
    let missing = queue_in_state(address, 0, "missing").await;
    let way_out = missing["trouble"]["way_out"].as_str().expect("a missing queue has a way out");
    assert!(way_out.starts_with("create it, or correct `queues[0].url`"), "{way_out}");
    let Answer { status, body } = ready(address).await;
    assert!(status == 200 && body.starts_with("running\n") && body.contains(&late), "{body}");

    let created = Queue::create(emulator, &name).await;
    created.send([late_event]).await;
    stage.delivered("acme", 1).await;
    assert_eq!(ready(address).await.body, "running\n");
    running.stop().await;
}

/// Runs `protobridge run` with these arguments, without a log, until it exits.
async fn run(stage: &Stage, arguments: &[&str]) -> Ended {
    let config = stage.write_files();
    let mut command = protobridge();
    command.arg("run").arg("--config").arg(config).args(arguments).env("PROTOBRIDGE_LOG_LEVEL", "off");
    let run = move || command::run(&mut command, b"");
    tokio::task::spawn_blocking(run).await.expect("the task does not panic")
}

async fn a_start_that_requires_health_fails_and_names_the_queue(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let mut missing = stage.config.queues[0].clone();
    missing.url = missing.url.replace("/stage-", "/nowhere-");
    stage.config.queues.push(missing);
    let ended = run(&stage, &["--require-healthy=1"]).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: not healthy within 1 s:\n  queue nowhere-"), "{}", ended.stderr);
    assert!(ended.stderr.contains("; create it, or correct `queues[1].url`"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 2, "only the missing queue is named: {}", ended.stderr);
}

async fn a_healthy_start_with_required_health_runs(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "").await;
    let service = stage.spawn_with(&["--require-healthy"]).await;
    assert_eq!(service.get("/readyz").await.expect("the service runs").status, 200);
    service.terminate();
    let (status, log) = service.wait_for_exit().await;
    assert_eq!(status.code(), Some(0), "{log}");
}
