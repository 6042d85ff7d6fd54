//! Messages that can never be published as they are, and those that cannot be published yet.

use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobridge::cli::embedded::samples::UNKNOWN_TYPE;
use protobridge::message::{OutcomeLabel, QuarantineKind};
use tokio::time::Instant;

use crate::emulator::{Emulator, scenarios};
use crate::queue::{Input, Message};
use crate::stage::Stage;
use crate::wait;

scenarios! {
    both: [
        a_malformed_event_is_quarantined_unchanged,
        a_binary_payload_is_quarantined_unchanged,
        an_unknown_type_is_quarantined_after_its_grace,
        an_unknown_type_is_tried_again_within_its_grace,
        an_event_that_names_no_type_is_quarantined,
        a_body_that_is_no_payload_is_quarantined,
        an_event_that_is_too_large_for_its_topic_is_quarantined,
        of_ten_attributes_one_is_folded_into_the_note,
        without_a_quarantine_queue_a_message_stays_and_comes_back_ever_later,
        a_bad_message_harms_only_itself,
        a_topic_that_does_not_exist_holds_up_its_own_events_only,
    ];
    // The other one becomes slow with thousands of messages in a queue.
    embedded: [ten_thousand_poison_messages_neither_stop_nor_slow_the_good_ones];
    ministack: [];
}

/// Starts a service that tries nothing again, sends one message, and checks that it goes into quarantine for this
/// reason and is otherwise what it was. Returns what is in quarantine.
pub(crate) async fn check(mut stage: Stage, input: Input, reason: &str) -> Message {
    stage.config.retry.unknown_type_grace_seconds = 0;
    let running = stage.start().await;
    let id = stage.source.send([input.clone()]).await.remove(0);

    let mut quarantined = stage.quarantine.take_one().await;

    let note = quarantined.quarantine_note();
    assert_eq!(note["reason"], reason, "{note}");
    assert_eq!(note["queue"], stage.source.url);
    assert_eq!(note["message_id"], id);
    let noted = quarantined.attributes.remove("protobridge-quarantine").expect("it was read above");
    assert_eq!((&quarantined.body, &quarantined.attributes), (&input.body, &input.attributes), "the message itself");
    quarantined.attributes.insert("protobridge-quarantine".to_owned(), noted);
    stage.source.is_empty().await;
    assert_eq!(running.settled(OutcomeLabel::Quarantined), 1);
    assert_eq!(running.metrics.quarantined.sum_where(|labels| labels.reason.code() == reason), 1);
    running.stop().await;
    quarantined
}

async fn a_malformed_event_is_quarantined_unchanged(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.malformed(&["acme"]);
    let input = Input::body(&event).attribute("trace", "42").attribute("unicode", "Zürich ✓");
    let quarantined = check(stage, input, "malformed_protobuf").await;
    assert!(quarantined.quarantine_note()["schema_hash"].is_string(), "which schema could not read it");
}

async fn a_binary_payload_is_quarantined_unchanged(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.malformed(&["acme"]);
    check(stage, Input::binary(&event), "malformed_protobuf").await;
}

async fn an_unknown_type_is_quarantined_after_its_grace(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.unknown_type(&["acme"]);
    let quarantined = check(stage, Input::body(&event), "unknown_type").await;
    assert_eq!(quarantined.quarantine_note()["detail"], format!("no descriptor set defines {UNKNOWN_TYPE}"));
}

async fn an_unknown_type_is_tried_again_within_its_grace(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.unknown_type(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    running.has_settled(OutcomeLabel::Retried, 2).await;
    running.stop().await;
    assert_eq!((stage.source.depth().await, stage.quarantine.depth().await), (1, 0));
}

async fn an_event_that_names_no_type_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    check(stage, Input::body(&event).without("message-type"), "unknown_type").await;
}

async fn a_body_that_is_no_payload_is_quarantined(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "").await;
    let input = Input::text("{\"hello\": \"wörld\"}\n").attribute("message-type", "shop.v1.OrderPlaced");
    check(stage, input, "bad_envelope").await;
}

async fn an_event_that_is_too_large_for_its_topic_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.publish.max_batch_bytes = 1_024;
    // OrderStatusChanged {reason: "xxx…"}
    let payload = [&[0x2a, 0x80, 0x10], vec![b'x'; 2_048].as_slice()].concat();
    let input = Input::text(BASE64_STANDARD.encode(payload)).attribute("message-type", "shop.v1.OrderStatusChanged");
    check(stage, input.attribute("customer-id", "acme"), "too_large").await;
}

async fn of_ten_attributes_one_is_folded_into_the_note(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.malformed(&["acme"]);
    let names: Vec<String> = (1..=8).map(|n| format!("attribute-{n}")).collect();
    let mut input = names.iter().fold(Input::body(&event), |input, name| input.attribute(name, "some text"));
    let number = MessageAttributeValue::builder().data_type("Number").string_value("7").build();
    input.attributes.insert("number".to_owned(), number.expect("the data type is given"));
    let running = stage.start().await;
    stage.source.send([input.clone()]).await;

    let quarantined = stage.quarantine.take_one().await;

    let folded = &quarantined.quarantine_note()["folded"];
    assert_eq!(*folded, serde_json::json!({"name": "number", "data_type": "Number", "string_value": "7"}));
    assert_eq!((input.attributes.len(), quarantined.attributes.len()), (10, 10));
    let kept = input.attributes.iter().filter(|(name, _)| *name != "number");
    for (name, value) in kept {
        assert_eq!(quarantined.attributes.get(name), Some(value));
    }
    stage.source.is_empty().await;
    running.stop().await;
}

async fn without_a_quarantine_queue_a_message_stays_and_comes_back_ever_later(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.malformed(&["acme"]);
    stage.config.queues[0].quarantine_url = None;
    let running = stage.start().await;
    let sent = Instant::now();
    stage.source.send([Input::body(&event)]).await;
    running.has_settled(OutcomeLabel::Retried, 4).await;
    assert!(sent.elapsed() >= Duration::from_secs(1 + 1 + 2), "delays of 1 s, 1 to 2 s, 2 to 4 s lie between");
    running.stop().await;
    let left = stage.source.take_one().await;
    assert_eq!((left.body, left.receive_count), (Input::body(&event).body, 5), "still there, as it was");
}

async fn a_bad_message_harms_only_itself(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let mut inputs: Vec<Input> = (0..9).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    let bad = Input::body(&stage.samples.malformed(&["acme"]));
    inputs.insert(4, bad.clone());
    stage.source.send(inputs).await;
    let running = stage.start().await;
    stage.delivered("acme", 9).await;
    assert_eq!(stage.quarantine.take_one().await.body, bad.body);
    stage.source.is_empty().await;
    assert_eq!((running.settled(OutcomeLabel::Published), running.settled(OutcomeLabel::Quarantined)), (9, 1));
    assert_eq!(running.settled(OutcomeLabel::Retried), 0);
    running.stop().await;
}

async fn a_topic_that_does_not_exist_holds_up_its_own_events_only(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let nowhere = stage.topic_of("acme").replace("acme", "nowhere");
    let acme =
        format!("customers: [{{id: acme, topic: '{}'}}, {{id: hooli, topic: '{nowhere}'}}]", stage.topic_of("acme"));
    stage.config.route.customers_file = stage.write_file("two.yaml", &acme);
    let events: Vec<_> =
        (0..10).map(|n| stage.samples.next_event(&[if n % 2 == 0 { "acme" } else { "hooli" }])).collect();
    stage.source.send(events.iter().map(Input::body)).await;
    let running = stage.start().await;
    stage.delivered("acme", 5).await;
    running.has_settled(OutcomeLabel::Retried, 5).await;
    running.stop().await;
    assert_eq!((stage.source.depth().await, stage.quarantine.depth().await), (5, 0));
}

async fn ten_thousand_poison_messages_neither_stop_nor_slow_the_good_ones(emulator: &Emulator) {
    const POISON: usize = 10_000;
    const GOOD: usize = 500;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let poison = Input::body(&stage.samples.malformed(&["acme"]));
    let good: Vec<Input> = (0..GOOD).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    for good in good.chunks(10) {
        stage.source.send(std::iter::repeat_n(poison.clone(), POISON / GOOD * good.len())).await;
        stage.source.send(good.iter().cloned()).await;
    }
    let running = stage.start().await;
    let half = async || {
        (running.settled(OutcomeLabel::Published) >= GOOD as u64 / 2)
            .then(|| running.settled(OutcomeLabel::Quarantined))
    };
    let quarantined = wait::until("half of the good ones are published", half).await;
    assert!(quarantined < POISON as u64 * 3 / 4, "the good ones wait for the poison: {quarantined} are through");
    running.has_settled(OutcomeLabel::Quarantined, POISON as u64).await;
    running.has_settled(OutcomeLabel::Published, GOOD as u64).await;
    stage.source.is_empty().await;
    stage.delivered("acme", GOOD).await;
    stage.nothing_more_for("acme").await;
    assert_eq!(stage.quarantine.depth().await as usize, POISON);
    // Each was received once: none was given back, none lapsed, none took a turn of another.
    assert_eq!(running.metrics.received.sum(), (POISON + GOOD) as u64);
    let malformed = running.metrics.quarantined.sum_where(|labels| labels.reason == QuarantineKind::MalformedProtobuf);
    assert_eq!(malformed, POISON as u64);
    running.stop().await;
}
