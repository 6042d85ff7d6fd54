//! Sending quarantined messages again: a preview that says what a run does, and customers who get nothing twice.

mod bad_days;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobridge::cli::embedded::samples::{SETS, Sample};
use serde_json::Value;

use crate::command::{self, Ended, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::queue::{Input, Message};
use crate::stage::Stage;
use crate::wait;
use bad_days::{
    a_queue_that_gets_more_and_more_messages_has_an_end, a_run_that_is_stopped_returns_what_it_holds,
    deletes_that_fail_at_first_are_repeated, events_of_a_topic_that_does_not_exist_stay_and_the_others_are_published,
    the_journal_has_rows_of_the_redrive, the_quarantine_can_be_listed_and_shown,
    what_a_killed_run_published_is_not_published_again_with_redis,
};

scenarios! {
    both: [
        a_run_publishes_exactly_what_the_dry_run_says_when_a_schema_arrives_late,
        a_customer_who_had_the_event_does_not_get_it_again,
        a_run_that_reaches_some_customers_leaves_a_note_for_the_next_run,
        with_a_customer_only_that_customer_gets_the_event,
        a_message_with_ten_attributes_of_its_own_is_restored,
        messages_that_do_not_match_are_visible_again_and_unchanged,
        a_run_ends_at_its_limit,
        a_discard_deletes_what_matches,
        messages_sent_back_to_their_queue_are_the_originals,
        a_message_sent_back_takes_its_note_along_if_customers_have_the_event,
        a_message_of_another_sender_is_left_alone,
        events_of_a_group_keep_their_order,
        deletes_that_fail_at_first_are_repeated,
        events_of_a_topic_that_does_not_exist_stay_and_the_others_are_published,
        a_run_that_is_stopped_returns_what_it_holds,
        a_queue_that_gets_more_and_more_messages_has_an_end,
        the_quarantine_can_be_listed_and_shown,
        the_journal_has_rows_of_the_redrive,
    ];
    // ministack makes a hidden message visible only when somebody receives, later than its timeout.
    embedded: [what_a_killed_run_published_is_not_published_again_with_redis];
    ministack: [];
}

/// Returns a stage whose sets do not define the events of the shop, and that quarantines these at once.
async fn without_the_schema(emulator: &Emulator, is_fifo: bool) -> Stage {
    let mut stage = if is_fifo {
        Stage::fifo(emulator).await.fifo_customer("acme").await
    } else {
        Stage::new(emulator).await.customer("acme", "").await
    };
    let (name, set) = SETS.iter().find(|(name, _)| name.starts_with("protobridge")).expect("the set is embedded");
    let file = stage.write_file(name, "");
    let folder = file.with_file_name("sets");
    std::fs::create_dir(&folder).expect("the folder can be created");
    std::fs::write(folder.join(name), set).expect("the file can be written");
    stage.config.descriptors.path = folder.as_path().into();
    stage.config.retry.unknown_type_grace_seconds = 0;
    stage
}

/// The schema of the shop arrives.
fn add_the_schema(stage: &Stage) {
    for (name, set) in SETS {
        let folder = stage.config.descriptors.path.path().expect("it is a folder");
        std::fs::write(folder.join(name), set).expect("the file can be written");
    }
}

/// Sends messages to a service that quarantines all of them.
async fn quarantine(stage: &Stage, inputs: Vec<Input>) -> Vec<String> {
    let (running, count) = (stage.start().await, inputs.len());
    let before = stage.quarantine.depth().await as usize;
    let ids = stage.source.send(inputs).await;
    let all = async || (stage.quarantine.depth().await as usize == before + count).then_some(());
    wait::until("all messages are in quarantine", all).await;
    stage.source.wait_until_empty().await;
    running.stop().await;
    ids
}

/// Runs the command with the configuration of the stage.
async fn run(stage: &Stage, arguments: &str) -> Ended {
    let mut command = protobridge();
    command.args(arguments.split_whitespace()).arg("--config").arg(stage.write_files());
    tokio::task::spawn_blocking(move || command::run(&mut command, b"")).await.expect("the command can be run")
}

/// Runs `redrive --json`. Returns its report and its exit code.
async fn redrive(stage: &Stage, arguments: &str) -> (Value, i32) {
    let ended = run(stage, &format!("redrive --json {arguments}")).await;
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    (report, ended.code.expect("the command exits"))
}

/// Returns the sum of a count over the rows of a report.
fn sum(report: &Value, key: &str) -> u64 {
    let rows = report["rows"].as_array().expect("the report has rows");
    rows.iter().map(|row| row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))).sum()
}

fn event_ids(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().filter_map(|message| message.attribute("event-id")).map(str::to_owned).collect()
}

fn ids_of(events: &[Sample]) -> BTreeSet<String> {
    events.iter().map(|event| event.event_id.clone()).collect()
}

async fn a_run_publishes_exactly_what_the_dry_run_says_when_a_schema_arrives_late(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, false).await;
    let events: Vec<_> = (0..37).map(|_| stage.samples.next_event(&["acme"])).collect();
    let broken = stage.samples.malformed(&["acme"]);
    let inputs = events.iter().chain([&broken]).map(Input::body).collect();
    let ids = quarantine(&stage, inputs).await;

    // Nothing helps before the schema is there.
    let (report, code) = redrive(&stage, "--dry-run").await;
    assert_eq!((sum(&report, "would_publish"), sum(&report, "still_fail"), code), (0, 38, 1), "{report:#}");
    let row = &report["rows"][0];
    assert!(row["causes"][0]["why"].as_str().is_some_and(|why| why.starts_with("unknown_type: ")), "{row:#}");
    assert!(row["type"].as_str().is_some_and(|name| name.starts_with("shop.v1.")), "{row:#}");

    add_the_schema(&stage);
    let (forecast, code) = redrive(&stage, "--dry-run --show 2").await;
    assert_eq!((sum(&forecast, "would_publish"), sum(&forecast, "still_fail"), code), (37, 1, 1), "{forecast:#}");
    assert_eq!(forecast["examples"].as_array().map(Vec::len), Some(2));
    let text = run(&stage, "redrive --dry-run --type shop.v1.* --type a.b.C").await;
    eprintln!("{}", text.stdout);
    let lines = [
        "Would publish 37 event(s) and delete 37 of 38 message(s) that match.",
        "1 still fails, unknown_type shop.v1.",
    ];
    assert!(lines.iter().all(|line| text.stdout.contains(line)), "{text:#?}");
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(stage.quarantine.depth().await, 38);

    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), sum(&report, "still_fail"), code), (37, 1, 1), "{report:#}");
    let counts = |report: &Value, published: &str| -> Vec<Value> {
        let rows = report["rows"].as_array().expect("the report has rows").iter();
        rows.map(|row| serde_json::json!([row["reason"], row["type"], row[published], row["causes"]])).collect()
    };
    assert_eq!(counts(&forecast, "would_publish"), counts(&report, "published"));
    assert_eq!(event_ids(&stage.delivered("acme", 37).await), ids_of(&events));
    stage.assert_nothing_more_for("acme").await;
    let left = stage.quarantine.take_one().await;
    assert_eq!(left.quarantine_note()["message_id"], *ids.last().expect("messages were sent"));
}

/// Returns a stage on which every event of this kind is for acme and for hooli, and is too large for acme.
async fn too_large_for_acme(emulator: &Emulator) -> (Stage, Input) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("hooli", "profile: slim").await;
    let slim = protobridge::config::Profile { drop: vec!["reason".to_owned()], ..Default::default() };
    stage.config.profiles.insert("slim".to_owned(), slim);
    stage.config.route.broadcast = vec!["shop.v1.OrderStatusChanged".to_owned()];
    stage.config.publish.max_batch_bytes = 1_024;
    stage.config.retry.unknown_type_grace_seconds = 0;
    // OrderStatusChanged {reason: "xxx…"}
    let payload = [&[0x2a, 0x80, 0x10], vec![b'x'; 2_048].as_slice()].concat();
    let input = Input::text(BASE64_STANDARD.encode(payload)).attribute("message-type", "shop.v1.OrderStatusChanged");
    (stage, input)
}

const LARGE: usize = 262_144;

async fn a_customer_who_had_the_event_does_not_get_it_again(emulator: &Emulator) {
    let (mut stage, input) = too_large_for_acme(emulator).await;
    quarantine(&stage, vec![input]).await;
    let first = stage.delivered_one("hooli").await;

    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), sum(&report, "still_fail"), code), (0, 1, 1), "{report:#}");
    stage.config.publish.max_batch_bytes = LARGE;
    let (report, code) = redrive(&stage, "--dry-run").await;
    assert_eq!((sum(&report, "would_publish"), sum(&report, "have_it"), code), (1, 1, 0), "{report:#}");
    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), sum(&report, "have_it"), code), (1, 1, 0), "{report:#}");
    let second = stage.delivered_one("acme").await;
    assert_eq!(first.attribute("event-id"), second.attribute("event-id"), "the event keeps its id");
    assert_eq!(first.attribute("event-time"), second.attribute("event-time"), "the event keeps its time");
    stage.assert_nothing_more_for("hooli").await;
    assert_eq!(stage.quarantine.depth().await, 0);
}

/// Quarantines a message that is too large for both customers. From then on, it is too large for acme only.
async fn too_large_for_both_at_first(emulator: &Emulator) -> Stage {
    let (mut stage, input) = too_large_for_acme(emulator).await;
    let slim = stage.config.profiles.insert("slim".to_owned(), protobridge::config::Profile::default());
    quarantine(&stage, vec![input]).await;
    stage.config.profiles.insert("slim".to_owned(), slim.expect("the profile was there"));
    stage
}

async fn a_run_that_reaches_some_customers_leaves_a_note_for_the_next_run(emulator: &Emulator) {
    let mut stage = too_large_for_both_at_first(emulator).await;
    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), sum(&report, "still_fail"), code), (1, 1, 1), "{report:#}");
    stage.delivered_one("hooli").await;
    assert_eq!(stage.quarantine.depth().await, 1, "a copy takes the place of the message");
    stage.config.publish.max_batch_bytes = LARGE;
    let (report, code) = redrive(&stage, "--reason too_large").await;
    assert_eq!((sum(&report, "published"), sum(&report, "have_it"), code), (1, 1, 0), "{report:#}");
    stage.delivered_one("acme").await;
    stage.assert_nothing_more_for("hooli").await;
    assert_eq!(stage.quarantine.depth().await, 0);
}

async fn with_a_customer_only_that_customer_gets_the_event(emulator: &Emulator) {
    let mut stage = too_large_for_both_at_first(emulator).await;
    stage.config.publish.max_batch_bytes = LARGE;
    let (report, code) = redrive(&stage, "--customer nobody").await;
    assert_eq!((report["matched"].as_u64(), report["untouched"].as_u64(), code), (Some(0), Some(1), 0), "{report:#}");
    for (round, published) in [1, 0].into_iter().enumerate() {
        let (report, code) = redrive(&stage, "--customer hooli").await;
        let counts = (sum(&report, "published"), sum(&report, "stay_for_other_customers"), code);
        assert_eq!(counts, (published, 1, 0), "round {round}: {report:#}");
    }
    stage.delivered_one("hooli").await;
    stage.assert_nothing_more_for("acme").await;
    let (report, code) = redrive(&stage, "--customer acme").await;
    assert_eq!((sum(&report, "published"), sum(&report, "left"), code), (1, 1, 0), "{report:#}");
    stage.delivered_one("acme").await;
    stage.assert_nothing_more_for("hooli").await;
    assert_eq!(stage.quarantine.depth().await, 0);
}

async fn a_message_with_ten_attributes_of_its_own_is_restored(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, false).await;
    let event = stage.samples.next_event(&["acme"]);
    // The type is the smallest attribute, so the note has it.
    let names: Vec<String> = (1..=9).map(|n| format!("attribute-{n}")).collect();
    let input = names.iter().fold(Input::body(&event), |input, name| input.attribute(name, &"x".repeat(100)));
    assert_eq!(input.attributes.len(), 10);
    quarantine(&stage, vec![input]).await;
    add_the_schema(&stage);
    let (report, code) = redrive(&stage, &format!("--type {}", event.message_type)).await;
    assert_eq!((sum(&report, "published"), code), (1, 0), "{report:#}");
    assert_eq!(event_ids(&stage.delivered("acme", 1).await), ids_of(&[event]));
    assert_eq!(stage.quarantine.depth().await, 0);
}

/// Quarantines three unknown events and three malformed ones. Returns the input of each.
async fn of_two_reasons(stage: &mut Stage) -> (Vec<Input>, Vec<Input>) {
    let unknown: Vec<_> = (0..3).map(|_| Input::body(&stage.samples.unknown_type(&["acme"]))).collect();
    let malformed = Input::body(&stage.samples.malformed(&["acme"]));
    let malformed: Vec<_> = (0..3).map(|n| malformed.clone().attribute("number", &n.to_string())).collect();
    quarantine(stage, unknown.iter().chain(&malformed).cloned().collect()).await;
    (unknown, malformed)
}

/// Returns the bodies and the attributes of messages in quarantine, without their notes.
fn originals(messages: &[Message]) -> BTreeSet<String> {
    let original = |message: &Message| {
        let mut attributes = message.attributes.clone();
        attributes.remove("protobridge-quarantine");
        format!("{} {attributes:?}", message.body)
    };
    messages.iter().map(original).collect()
}

fn inputs(inputs: &[Input]) -> BTreeSet<String> {
    inputs.iter().map(|input| format!("{} {:?}", input.body, input.attributes)).collect()
}

async fn messages_that_do_not_match_are_visible_again_and_unchanged(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.retry.unknown_type_grace_seconds = 0;
    let (unknown, malformed) = of_two_reasons(&mut stage).await;
    // Longer than the test waits for a message: one that was not returned is missed.
    stage.config.visibility.timeout_seconds = 600;
    for filter in ["--type a.b.*", "--quarantined-before 1h", "--reason too_large", "--customer acme"] {
        let (report, code) = redrive(&stage, &format!("--dry-run {filter}")).await;
        let counts = (report["matched"].as_u64(), report["untouched"].as_u64(), code);
        assert_eq!(counts, (Some(0), Some(6), 0), "{filter}: {report:#}");
    }
    let (report, code) = redrive(&stage, "--discard --yes --reason unknown_type").await;
    assert_eq!((sum(&report, "left"), report["untouched"].as_u64(), code), (3, Some(3), 0), "{report:#}");
    // They are visible at once: the receive does not wait for the end of a visibility timeout.
    let left = stage.quarantine.take(3).await;
    assert_eq!(originals(&left), inputs(&malformed));
    assert!(left.iter().all(|message| message.quarantine_note()["reason"] == "malformed_protobuf"));
    assert!(originals(&left).is_disjoint(&inputs(&unknown)));
}

async fn a_run_ends_at_its_limit(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, false).await;
    let events: Vec<_> = (0..12).map(|_| stage.samples.next_event(&["acme"])).collect();
    quarantine(&stage, events.iter().map(Input::body).collect()).await;
    add_the_schema(&stage);
    let (report, code) = redrive(&stage, "--limit 5 --dry-run").await;
    assert_eq!((sum(&report, "would_publish"), report["end"].as_str(), code), (5, Some("limit"), 0), "{report:#}");
    let (report, code) = redrive(&stage, "--limit 5").await;
    assert_eq!((sum(&report, "published"), report["end"].as_str(), code), (5, Some("limit"), 0), "{report:#}");
    stage.delivered("acme", 5).await;
    let (report, _) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), report["end"].as_str()), (7, Some("empty")), "{report:#}");
    stage.delivered("acme", 7).await;
}

async fn a_discard_deletes_what_matches(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.retry.unknown_type_grace_seconds = 0;
    of_two_reasons(&mut stage).await;
    let refused = run(&stage, "redrive --discard").await;
    assert_eq!(refused.code, Some(2), "it asks, and there is no terminal: {refused:#?}");
    let (report, code) = redrive(&stage, "--discard --dry-run").await;
    assert_eq!((sum(&report, "would_leave"), code, stage.quarantine.depth().await), (6, 0, 6), "{report:#}");
    let (report, code) = redrive(&stage, "--discard --yes").await;
    assert_eq!((sum(&report, "left"), code, stage.quarantine.depth().await), (6, 0, 0), "{report:#}");
}

async fn messages_sent_back_to_their_queue_are_the_originals(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.retry.unknown_type_grace_seconds = 0;
    let event = stage.samples.malformed(&["acme"]);
    let mut large = (1..=8).fold(Input::body(&event), |input, n| input.attribute(&format!("attribute-{n}"), "text"));
    let number = MessageAttributeValue::builder().data_type("Number").string_value("7").build();
    large.attributes.insert("number".to_owned(), number.expect("the data type is given"));
    let sent = vec![Input::body(&event), Input::binary(&event), large];
    quarantine(&stage, sent.clone()).await;
    let (report, code) = redrive(&stage, "--to-source --dry-run").await;
    assert_eq!((sum(&report, "would_leave"), code, stage.source.depth().await), (3, 0, 0), "{report:#}");
    let (report, code) = redrive(&stage, "--to-source").await;
    assert_eq!((sum(&report, "left"), code, stage.quarantine.depth().await), (3, 0, 0), "{report:#}");
    let back = stage.source.take(3).await;
    assert_eq!(originals(&back), inputs(&sent));
    assert!(back.iter().all(|message| message.attribute("protobridge-quarantine").is_none()));
}

async fn a_message_sent_back_takes_its_note_along_if_customers_have_the_event(emulator: &Emulator) {
    let (mut stage, input) = too_large_for_acme(emulator).await;
    let ten = (1..=9).fold(input.clone(), |input, n| input.attribute(&format!("attribute-{n}"), "some text"));
    let ids = quarantine(&stage, vec![input, ten]).await;
    stage.delivered("hooli", 2).await;
    stage.config.publish.max_batch_bytes = LARGE;
    let (report, code) = redrive(&stage, "--to-source").await;
    assert_eq!((sum(&report, "left"), sum(&report, "still_fail"), code), (1, 1, 1), "{report:#}");
    let cause = &report["rows"][0]["causes"][0];
    assert_eq!(cause["first_message_id"], ids[1], "{cause:#}");
    assert!(cause["why"].as_str().is_some_and(|why| why.contains("ten") || why.contains("10")), "{cause:#}");
    let running = stage.start().await;
    stage.delivered_one("acme").await;
    stage.source.wait_until_empty().await;
    running.stop().await;
    stage.assert_nothing_more_for("hooli").await;
    // The other one can be sent in place.
    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), sum(&report, "have_it"), code), (1, 1, 0), "{report:#}");
    stage.delivered_one("acme").await;
    stage.assert_nothing_more_for("hooli").await;
}

async fn a_message_of_another_sender_is_left_alone(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "").await;
    let elsewhere = serde_json::json!({"reason": "unknown_type", "queue": "https://h/1/other", "message_id": "m-1",
        "quarantined_at": "2026-01-01T00:00:00Z"});
    let of_other_queue = Input::text("CAE=").attribute("protobridge-quarantine", &elsewhere.to_string());
    let sent = [Input::text("no note"), of_other_queue];
    stage.quarantine.send(sent.clone()).await;
    let (report, code) = redrive(&stage, "--discard --yes").await;
    let counts = (report["matched"].as_u64(), report["untouched"].as_u64(), report["without_note"].as_u64(), code);
    assert_eq!(counts, (Some(0), Some(1), Some(1), 0), "{report:#}");
    let bodies: BTreeSet<_> = stage.quarantine.take(2).await.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, sent.map(|input| input.body).into());
}

async fn events_of_a_group_keep_their_order(emulator: &Emulator) {
    let mut stage = without_the_schema(emulator, true).await;
    let events: Vec<_> = (0..15).map(|_| stage.samples.next_event(&["acme"])).collect();
    let groups = ["a", "b", "c"].into_iter().cycle();
    let inputs = events.iter().zip(groups.clone()).map(|(event, group)| Input::body(event).group(group)).collect();
    quarantine(&stage, inputs).await;
    add_the_schema(&stage);
    let (report, code) = redrive(&stage, "").await;
    assert_eq!((sum(&report, "published"), code), (15, 0), "{report:#}");
    let messages = stage.delivered("acme", 15).await;
    for wanted in ["a", "b", "c"] {
        let of_group = messages.iter().filter(|message| message.group.as_deref() == Some(wanted));
        let delivered: Vec<_> = of_group.filter_map(|message| message.attribute("event-id")).collect();
        let sent = events.iter().zip(groups.clone()).filter(|(_, group)| *group == wanted);
        let sent: Vec<_> = sent.map(|(event, _)| event.event_id.as_str()).collect();
        assert_eq!(delivered, sent, "group {wanted}");
    }
    assert_eq!(stage.quarantine.depth().await, 0);
}
