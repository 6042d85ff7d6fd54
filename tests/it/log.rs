//! The log answers what became of an event.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [];
    // This scenario tests the log rather than SQS and SNS, so one emulator is enough.
    embedded: [every_line_about_a_decoded_message_names_its_event];
    ministack: [];
}

async fn every_line_about_a_decoded_message_names_its_event(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage = stage.customer("off", "enabled: false").await;
    stage.config.log.level = "info,protobridge=debug".to_owned();
    stage.config.retry.max_seconds = 1;
    let mut event = |customer: &str| stage.samples.next_event(&[customer]);
    let (published, filtered, nowhere) = (event("acme"), event("off"), event("nowhere"));
    let broken = stage.samples.malformed(&["acme"]);
    let unknown = stage.samples.unknown_type(&["acme"]);
    let named = |event, id| Input::body(event).attribute("event-id", id);
    let inputs = [
        (named(&published, "e-published"), "published"),
        (named(&published, "e-published"), "duplicate suppressed"),
        (named(&filtered, "e-filtered"), "filtered"),
        (named(&nowhere, "e-nowhere"), "message cannot be published"),
        (named(&broken, "e-broken"), "message cannot be published"),
        (named(&unknown, "e-unknown"), "message will be retried"),
        (Input::body(&event_without_id(&mut stage)), "published"),
        (Input::text("not base64"), "message cannot be published"),
    ];
    let service = stage.spawn().await;
    // The id of each message, and the line that must be written about it.
    let mut expected = BTreeMap::new();
    for (input, line) in inputs {
        let id = stage.source.send([input]).await.remove(0);
        let has_line = async || {
            let is_it = |found: &Value| found["message_id"] == *id && found["message"] == line;
            service.lines().into_iter().find(is_it)
        };
        let found = wait::until(&format!("the log has {line:?} about {id}"), has_line).await;
        expected.insert(id, found["event_id"].clone());
    }
    service.terminate();
    let lines = service.wait_for_exit().await.1;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();

    let ids: Vec<&str> = expected.values().filter_map(Value::as_str).collect();
    for id in ["e-published", "e-filtered", "e-nowhere", "e-broken", "e-unknown"] {
        assert!(ids.contains(&id), "no line is about {id}: {ids:?}");
    }
    assert_eq!(
        expected.values().filter(|id| id.is_null()).count(),
        1,
        "only one message could not be opened: {expected:?}"
    );
    let about: Vec<&Value> = lines.iter().filter(|line| line.get("message_id").is_some()).collect();
    assert!(about.len() >= expected.len(), "{about:#?}");
    for line in about {
        let id = line["message_id"].as_str().expect("the id is text");
        assert_eq!(&line["event_id"], &expected[id], "{line}");
        let is_decoded = ["e-published", "e-filtered", "e-nowhere"].contains(&line["event_id"].as_str().unwrap_or(""));
        assert!(!is_decoded || line["event_type"].is_string(), "{line}");
    }
    let published: Vec<&Value> = lines.iter().filter(|line| line["message"] == "published").collect();
    assert_eq!(published.len(), 2, "{published:#?}");
    for key in ["message_id", "event_type", "event_id", "topic", "sns_message_id"] {
        assert!(published.iter().all(|line| line[key].is_string()), "{key}: {published:#?}");
    }
}

/// Returns an event whose id is a field of its own.
fn event_without_id(stage: &mut Stage) -> protobridge::cli::embedded::samples::Sample {
    stage.samples.next_event(&["acme"])
}
