//! Hidden fields stay hidden when a descriptor set changes, on a real file system with real events.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protobridge::config::{OnBreak, Profile};
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::{ReloadResult, SetState};

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::reload::{schemas, set, stage, wait_until_known, wait_until_refused};
use crate::stage::{Running, Stage};
use crate::wait;

scenarios! {
    both: [];
    // These scenarios test the file system rather than SQS and SNS, so one emulator is enough.
    embedded: [
        two_replicas_refuse_a_set_that_removes_debug_redact,
        a_set_that_changes_the_type_around_a_marked_field_is_refused_until_it_is_acknowledged,
        a_set_that_renames_a_redacted_field_is_refused_until_it_is_acknowledged,
        a_late_type_without_the_field_of_its_path_is_refused,
    ];
    ministack: [];
}

fn write(folder: &Path, fields: &str) {
    fs::write(folder.join("fresh.binpb"), set("Paid", fields)).expect("the file can be written");
}

/// Sends a `fresh.v1.Paid` whose field 4 is `4111`, and returns the JSON that arrives.
async fn paid(stage: &Stage) -> String {
    paid_with(stage, b"4111").await
}

/// Sends a `fresh.v1.Paid` whose field 4 has these four bytes, and returns the JSON that arrives.
async fn paid_with(stage: &Stage, value: &[u8; 4]) -> String {
    let payload = BASE64_STANDARD.encode([&[0x22, 0x04], value.as_slice()].concat());
    let input = Input::text(payload).attribute("message-type", "fresh.v1.Paid").attribute("customer-id", "acme");
    stage.source.send([input]).await;
    stage.delivered_one("acme").await.body
}

async fn wait_until_admitted(running: &Running) {
    let admitted = || running.metrics.reloads.sum_where(|labels| labels.result == ReloadResult::Admitted);
    wait::until("the set is admitted", async || (admitted() > 0).then_some(())).await;
}

fn refused(running: &Running) -> u64 {
    running.metrics.descriptor_sets.sum_where(|labels| labels.state == SetState::Refused)
}

async fn two_replicas_refuse_a_set_that_removes_debug_redact(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    stage.config.profiles.insert("default".to_owned(), Profile { redact_marked: true, ..Profile::default() });
    write(&folder, "string number = 4 [debug_redact = true];");
    let replicas = [stage.start().await, stage.start().await];
    write(&folder, "string number = 4;");
    for running in &replicas {
        let reason = wait_until_refused(running, "fresh.binpb").await;
        assert!(reason.contains("fresh.v1.Paid.number: the option debug_redact was removed"), "{reason}");
        assert!(reason.ends_with("add `fresh.v1.Paid.number` to `descriptors.may_become_visible`"), "{reason}");
    }
    for _ in 0..3 {
        assert_eq!(paid(&stage).await, r#"{"number":"[REDACTED]"}"#);
    }
    // The owner restores the option.
    write(&folder, "string number = 4 [debug_redact = true]; string more = 5;");
    for running in replicas {
        wait::until("the set is in force", async || (refused(&running) == 0).then_some(())).await;
        assert_eq!(schemas(&running).await["refused"].as_array().map(Vec::len), Some(0));
        running.stop().await;
    }
}

async fn a_set_that_changes_the_type_around_a_marked_field_is_refused_until_it_is_acknowledged(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    stage.config.profiles.insert("default".to_owned(), Profile { redact_marked: true, ..Profile::default() });
    write(&folder, "message Card { string number = 6 [debug_redact = true]; } Card card = 4;");
    let running = stage.start().await;
    write(&folder, "string card = 4;");
    let reason = wait_until_refused(&running, "fresh.binpb").await;
    let text = "debug_redact hides a field inside fresh.v1.Paid.Card, and card = 4 has the type string now";
    assert!(reason.contains(text), "{reason}");
    assert!(reason.ends_with("add `fresh.v1.Paid.card` to `descriptors.may_become_visible`"), "{reason}");
    // The field 6 of the card has the text `11`.
    assert_eq!(paid_with(&stage, b"2\x0211").await, r#"{"card":{"number":"[REDACTED]"}}"#);
    running.stop().await;
    stage.config.descriptors.may_become_visible = vec!["fresh.v1.Paid.card".into()];
    write(&folder, "message Card { string number = 6 [debug_redact = true]; } Card card = 4;");
    let running = stage.start().await;
    write(&folder, "string card = 4;");
    wait_until_admitted(&running).await;
    assert_eq!(paid_with(&stage, b"2\x0211").await, r#"{"card":"2\u000211"}"#);
    running.stop().await;
}

async fn a_set_that_renames_a_redacted_field_is_refused_until_it_is_acknowledged(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let profile = Profile { redact: vec!["fresh.v1.Paid/number".into()], ..Profile::default() };
    stage.config.profiles.insert("default".to_owned(), profile);
    for policy in [OnBreak::Warn, OnBreak::Refuse] {
        stage.config.descriptors.on_break = policy;
        write(&folder, "string number = 4;");
        let running = stage.start().await;
        write(&folder, "string pan = 4;");
        let reason = wait_until_refused(&running, "fresh.binpb").await;
        assert!(
            reason.contains("fresh.v1.Paid.number: the profile `default` hides `fresh.v1.Paid/number`"),
            "{reason}"
        );
        assert_eq!(paid(&stage).await, r#"{"number":"[REDACTED]"}"#);
        running.stop().await;
    }
    // A start refuses the set too, and the other sets are in force.
    let running = stage.start().await;
    assert_eq!((refused(&running), schemas(&running).await["types"].get("fresh.v1.Paid")), (1, None));
    running.stop().await;
    stage.config.descriptors.may_become_visible = vec!["fresh.v1.Paid.number".into()];
    let running = stage.start().await;
    assert_eq!(refused(&running), 0);
    assert_eq!(paid(&stage).await, r#"{"pan":"4111"}"#);
    assert_eq!(running.settled(OutcomeLabel::Published), 1);
    running.stop().await;
}

async fn a_late_type_without_the_field_of_its_path_is_refused(emulator: &Emulator) {
    let (mut stage, folder) = stage(emulator).await;
    let profile = Profile { drop: vec!["fresh.v1.Paid/number".into()], ..Profile::default() };
    stage.config.profiles.insert("default".to_owned(), profile);
    let running = stage.start().await;
    write(&folder, "string pan = 4;");
    let reason = wait_until_refused(&running, "fresh.binpb").await;
    assert!(reason.contains("`fresh.v1.Paid/number`, and the type has no such field"), "{reason}");
    write(&folder, "string number = 4;");
    wait_until_known(&running, "fresh.v1.Paid").await;
    assert_eq!(running.metrics.reloads.sum_where(|labels| labels.result == ReloadResult::Admitted), 1);
    assert_eq!(paid(&stage).await, "{}");
    running.stop().await;
}
