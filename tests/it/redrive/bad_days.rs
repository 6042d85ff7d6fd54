//! Runs over a quarantine queue whose calls fail, that are stopped or killed, and what is known of them afterwards.

use std::process::Stdio;

use super::*;
use crate::denial::Denial;
use crate::redis::Redis;

/// Starts `redrive` in the background.
fn start(stage: &Stage, arguments: &[&str]) -> tokio::process::Child {
    let mut command = tokio::process::Command::from(protobridge());
    command.arg("redrive").args(arguments).arg("--config").arg(stage.write_files());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("the command was built with the tests")
}

pub(super) async fn deletes_that_fail_at_first_are_repeated(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, false).await;
    let events: Vec<_> = (0..12).map(|_| stage.samples.next_event(&["acme"])).collect();
    quarantine(&stage, events.iter().map(Input::body).collect()).await;
    add_the_schema(&stage);
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["DeleteMessageBatch"]).await;
    stage.config.aws.endpoint_url = Some(denial.endpoint_url.clone());
    let mut running = start(&stage, &[]);
    assert_eq!(event_ids(&stage.delivered("acme", 12).await), ids_of(&events));
    assert_eq!(stage.quarantine.depth().await, 12, "the deletes are denied");
    denial.deny(&[]);
    let code = running.wait().await.expect("the command ends").code();
    assert_eq!((code, stage.quarantine.depth().await), (Some(0), 0));
    stage.assert_nothing_more_for("acme").await;
}

pub(super) async fn events_of_a_topic_that_does_not_exist_stay_and_the_others_are_published(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, false).await;
    let missing = stage.topic_of("acme").replace("acme", "missing");
    let customers =
        format!("customers: [{{id: acme, topic: '{}'}}, {{id: hooli, topic: '{missing}'}}]", stage.topic_of("acme"));
    stage.config.route.customers_file = stage.write_file("two.yaml", &customers).into();
    let customers = ["acme", "hooli"].into_iter().cycle().take(24);
    let events: Vec<_> = customers.map(|id| (id, stage.samples.next_event(&[id]))).collect();
    quarantine(&stage, events.iter().map(|(_, event)| Input::body(event)).collect()).await;
    add_the_schema(&stage);
    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), sum(&report, "still_fail"), code), (12, 12, 1), "{report:#}");
    let for_acme = events.iter().filter(|(id, _)| *id == "acme").map(|(_, event)| event.event_id.clone()).collect();
    assert_eq!(event_ids(&stage.delivered("acme", 12).await), for_acme);
    assert_eq!(stage.quarantine.take(12).await.len(), 12);
}

pub(super) async fn a_run_that_is_stopped_returns_what_it_holds(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let broken: Vec<_> = (0..8).map(|_| Input::body(&stage.samples.malformed(&["acme"]))).collect();
    quarantine(&stage, broken).await;
    // The run polls for some seconds before it ends by itself.
    stage.config.receive.wait_seconds = 20;
    stage.config.visibility.timeout_seconds = 600;
    let mut running = start(&stage, &["--dry-run"]);
    let hidden = async || stage.quarantine.is_hidden().await.then_some(());
    wait::until("the run holds all messages", hidden).await;
    let pid = running.id().expect("the command runs");
    let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -INT {pid}")).status();
    assert!(kill.expect("a shell can be started").success());
    let code = running.wait().await.expect("the command ends").code();
    assert_eq!(code, Some(1));
    assert_eq!(stage.quarantine.take(8).await.len(), 8, "the messages are visible at once");
}

pub(super) async fn a_queue_that_gets_more_and_more_messages_has_an_end(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let broken: Vec<_> = (0..5).map(|_| Input::body(&stage.samples.malformed(&["acme"]))).collect();
    quarantine(&stage, broken).await;
    let mut listing = tokio::process::Command::from(protobridge());
    listing.args(["quarantine", "list", "--json", "--config"]).arg(stage.write_files()).stdin(Stdio::null());
    listing.stderr(Stdio::null()).kill_on_drop(true);
    let listing = listing.output();
    tokio::pin!(listing);
    // Each poll of the run finds a message.
    let foreign = || Input { body: "from another sender".to_owned(), attributes: BTreeMap::new(), group: None };
    let trickle = wait::within(Duration::from_secs(60), async || {
        stage.quarantine.send([foreign()]).await;
        None::<()>
    });
    let ended = tokio::select! {
        ended = &mut listing => ended.expect("the command runs"),
        _ = trickle => panic!("the run does not end"),
    };
    let list: Value = serde_json::from_slice(&ended.stdout).expect("the list is JSON");
    assert_eq!((sum(&list, "messages"), ended.status.code()), (5, Some(0)), "{list:#}");
    assert!(list["without_note"].as_u64() > Some(0), "{list:#}");
}

pub(super) async fn the_quarantine_can_be_listed_and_shown(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.retry.unknown_type_grace_seconds = 0;
    let (unknown, _) = of_two_reasons(&mut stage).await;
    let ended = run(&stage, "quarantine list --json").await;
    let list: Value = serde_json::from_str(&ended.stdout).expect("the list is JSON");
    let rows: BTreeSet<_> = list["rows"]
        .as_array()
        .expect("the list has rows")
        .iter()
        .map(|row| format!("{} {} {}", row["reason"], row["type"], row["messages"]))
        .collect();
    let name = protobridge::cli::embedded::samples::UNKNOWN_TYPE;
    assert!(rows.contains(&format!("\"unknown_type\" \"{name}\" 3")), "{rows:?}");
    assert_eq!((rows.len(), ended.code), (2, Some(0)), "{rows:?}");
    let text = run(&stage, "quarantine list").await.stdout;
    eprintln!("{text}");
    assert!(text.starts_with("REASON") && text.contains(name), "{text}");

    let shown = run(&stage, "quarantine show --reason unknown_type --limit 1").await;
    let note: Value = serde_json::from_str(&shown.stdout).expect("one message is shown");
    assert_eq!((&note["note"]["reason"], shown.code), (&"unknown_type".into(), Some(0)));
    assert!(unknown.iter().all(|input| !shown.stdout.contains(&input.body)), "the payload is not shown");
    let id = note["message_id"].as_str().expect("the message has an id");
    let shown = run(&stage, &format!("quarantine show {id} --payload")).await;
    let shown: Value = serde_json::from_str(&shown.stdout).expect("one message is shown");
    assert!(unknown.iter().any(|input| shown["payload"]["body"] == *input.body), "{shown:#}");
    assert_eq!(run(&stage, "quarantine show no-such-id").await.code, Some(1));
    assert_eq!(stage.quarantine.take(6).await.len(), 6, "all messages are visible again");
}

pub(super) async fn the_journal_has_rows_of_the_redrive(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, false).await;
    let event = stage.samples.next_event(&["acme"]);
    let folder = stage.write_file("x", "").with_file_name("store");
    std::fs::create_dir(&folder).expect("the folder can be created");
    stage.config.store.url = Some(format!("file://{}", folder.display()));
    let ids = quarantine(&stage, vec![Input::body(&event)]).await;
    add_the_schema(&stage);
    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), code), (1, 0), "{report:#}");
    let traced = run(&stage, &format!("trace {} --from 1h --json", event.event_id)).await;
    let story: Value = serde_json::from_str(&traced.stdout).unwrap_or_else(|error| panic!("{error}: {traced:#?}"));
    let rows = story.to_string();
    assert!(rows.contains("\"redrive\":true") && rows.contains(&ids[0]), "{story:#}");
    assert!(rows.contains("\"redrive-"), "the rows name the run: {story:#}");
}

pub(super) async fn what_a_killed_run_published_is_not_published_again_with_redis(emulator: &Emulator) {
    let Some(redis) = Redis::start().await else { return };
    let mut stage = without_the_schema(emulator, false).await;
    stage.config.dedupe.redis_url = Some(redis.url());
    stage.config.dedupe.redis_timeout_ms = 10_000;
    stage.config.visibility.timeout_seconds = 5;
    let events: Vec<_> = (0..4).map(|_| stage.samples.next_event(&["acme"])).collect();
    quarantine(&stage, events.iter().map(Input::body).collect()).await;
    add_the_schema(&stage);
    let endpoint = stage.config.aws.endpoint_url.clone();
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["DeleteMessageBatch"]).await;
    stage.config.aws.endpoint_url = Some(denial.endpoint_url.clone());
    let mut running = start(&stage, &[]);
    assert_eq!(event_ids(&stage.delivered("acme", 4).await), ids_of(&events));
    running.kill().await.expect("the command can be killed");
    assert_eq!(stage.quarantine.depth().await, 4);
    stage.config.aws.endpoint_url = endpoint;
    // The messages are hidden until their visibility timeouts lapse, so the first runs can see fewer.
    let mut had = 0;
    while had < 4 {
        let (report, _) = redrive(&stage, "").await;
        assert_eq!(sum(&report, "published"), 0, "{report:#}");
        had += sum(&report, "have_it");
    }
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(stage.quarantine.depth().await, 0);
}
