//! Messages that can never be published, and messages that cannot be published yet.

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
        an_unknown_type_is_quarantined_after_its_grace_period,
        an_unknown_type_is_retried_within_its_grace_period,
        an_event_without_a_type_is_quarantined,
        a_body_without_a_payload_is_quarantined,
        an_event_too_large_for_its_topic_is_quarantined,
        one_of_ten_attributes_moves_into_the_note,
        a_message_without_a_quarantine_queue_is_retried_with_growing_delays,
        a_bad_message_does_not_affect_other_messages,
        a_missing_topic_delays_only_its_own_events,
    ];
    // ministack becomes slow with thousands of messages in a queue.
    embedded: [ten_thousand_poison_messages_do_not_slow_the_good_ones];
    ministack: [];
}

/// Sends one message to a service that does not wait for unknown types. Asserts that the message is quarantined for
/// this reason, unchanged except for the note. Returns the quarantined message.
pub(crate) async fn check(mut stage: Stage, input: Input, reason: &str) -> Message {
    stage.config.retry.unknown_type_grace_seconds = 0;
    let running = stage.start().await;
    let id = stage.source.send([input.clone()]).await.remove(0);

    let mut quarantined = stage.quarantine.take_one().await;

    let note = quarantined.quarantine_note();
    assert_eq!(note["reason"], reason, "{note}");
    assert_eq!(note["queue"], stage.source.url);
    assert_eq!(note["message_id"], id);
    let noted = quarantined.attributes.remove("protobridge-quarantine").expect("the note is present");
    assert_eq!(
        (&quarantined.body, &quarantined.attributes),
        (&input.body, &input.attributes),
        "the body and the attributes are unchanged"
    );
    quarantined.attributes.insert("protobridge-quarantine".to_owned(), noted);
    stage.source.wait_until_empty().await;
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
    assert!(
        quarantined.quarantine_note()["schema_hash"].is_string(),
        "the note names the schema that cannot decode the message"
    );
}

async fn a_binary_payload_is_quarantined_unchanged(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.malformed(&["acme"]);
    check(stage, Input::binary(&event), "malformed_protobuf").await;
}

async fn an_unknown_type_is_quarantined_after_its_grace_period(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.unknown_type(&["acme"]);
    let quarantined = check(stage, Input::body(&event), "unknown_type").await;
    assert_eq!(quarantined.quarantine_note()["detail"], format!("no descriptor set defines {UNKNOWN_TYPE}"));
}

async fn an_unknown_type_is_retried_within_its_grace_period(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.unknown_type(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    running.wait_until_settled(OutcomeLabel::Retried, 2).await;
    running.stop().await;
    assert_eq!((stage.source.depth().await, stage.quarantine.depth().await), (1, 0));
}

async fn an_event_without_a_type_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    check(stage, Input::body(&event).without("message-type"), "unknown_type").await;
}

async fn a_body_without_a_payload_is_quarantined(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "").await;
    let input = Input::text("{\"hello\": \"wörld\"}\n").attribute("message-type", "shop.v1.OrderPlaced");
    check(stage, input, "bad_envelope").await;
}

async fn an_event_too_large_for_its_topic_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.publish.max_batch_bytes = 1_024;
    // OrderStatusChanged {reason: "xxx…"}
    let payload = [&[0x2a, 0x80, 0x10], vec![b'x'; 2_048].as_slice()].concat();
    let input = Input::text(BASE64_STANDARD.encode(payload)).attribute("message-type", "shop.v1.OrderStatusChanged");
    check(stage, input.attribute("customer-id", "acme"), "too_large").await;
}

async fn one_of_ten_attributes_moves_into_the_note(emulator: &Emulator) {
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
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn a_message_without_a_quarantine_queue_is_retried_with_growing_delays(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.malformed(&["acme"]);
    stage.config.queues[0].quarantine_url = None;
    let running = stage.start().await;
    let sent = Instant::now();
    stage.source.send([Input::body(&event)]).await;
    running.wait_until_settled(OutcomeLabel::Retried, 4).await;
    assert!(sent.elapsed() >= Duration::from_secs(1 + 1 + 2), "the delays are 1 s, 1 to 2 s, and 2 to 4 s");
    running.stop().await;
    let left = stage.source.take_one().await;
    assert_eq!(
        (left.body, left.receive_count),
        (Input::body(&event).body, 5),
        "the message is still on the queue, unchanged"
    );
}

async fn a_bad_message_does_not_affect_other_messages(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let mut inputs: Vec<Input> = (0..9).map(|_| Input::body(&stage.samples.next_event(&["acme"]))).collect();
    let bad = Input::body(&stage.samples.malformed(&["acme"]));
    inputs.insert(4, bad.clone());
    stage.source.send(inputs).await;
    let running = stage.start().await;
    stage.delivered("acme", 9).await;
    assert_eq!(stage.quarantine.take_one().await.body, bad.body);
    stage.source.wait_until_empty().await;
    assert_eq!((running.settled(OutcomeLabel::Published), running.settled(OutcomeLabel::Quarantined)), (9, 1));
    assert_eq!(running.settled(OutcomeLabel::Retried), 0);
    running.stop().await;
}

async fn a_missing_topic_delays_only_its_own_events(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let missing = stage.topic_of("acme").replace("acme", "missing");
    let customers =
        format!("customers: [{{id: acme, topic: '{}'}}, {{id: hooli, topic: '{missing}'}}]", stage.topic_of("acme"));
    stage.config.route.customers_file = stage.write_file("two.yaml", &customers).into();
    let events: Vec<_> =
        (0..10).map(|n| stage.samples.next_event(&[if n % 2 == 0 { "acme" } else { "hooli" }])).collect();
    stage.source.send(events.iter().map(Input::body)).await;
    // The events of the missing topic wait for it, so the drain does not end before its timeout.
    stage.config.shutdown.drain_timeout_seconds = 1;
    let running = stage.start().await;
    stage.delivered("acme", 5).await;
    let out = async || running.metrics.outages.sum_where(|labels| labels.name == missing).gt(&0).then_some(());
    wait::until("the missing topic counts as out", out).await;
    running.wait_until_settled(OutcomeLabel::Published, 5).await;
    assert_eq!(running.settled(OutcomeLabel::Retried), 0, "the events that wait cost no receives");
    running.stop().await;
    assert_eq!((stage.source.depth().await, stage.quarantine.depth().await), (5, 0));
}

async fn ten_thousand_poison_messages_do_not_slow_the_good_ones(emulator: &Emulator) {
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
    let quarantined = wait::until("half of the good messages are published", half).await;
    assert!(
        quarantined < POISON as u64 * 3 / 4,
        "the good messages wait for the poison: {quarantined} are already quarantined"
    );
    running.wait_until_settled(OutcomeLabel::Quarantined, POISON as u64).await;
    running.wait_until_settled(OutcomeLabel::Published, GOOD as u64).await;
    stage.source.wait_until_empty().await;
    stage.delivered("acme", GOOD).await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(stage.quarantine.depth().await as usize, POISON);
    // Each message was received once, so none was retried and no visibility timeout ended early.
    assert_eq!(running.metrics.received.sum(), (POISON + GOOD) as u64);
    let malformed = running.metrics.quarantined.sum_where(|labels| labels.reason == QuarantineKind::MalformedProtobuf);
    assert_eq!(malformed, POISON as u64);
    running.stop().await;
}
