//! Events on their path from a queue to a customer's topic: the forms of their messages, and the JSON and attributes
//! that the customer receives.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use protobridge::cli::embedded::samples::{SETS, Sample};
use protobridge::message::OutcomeLabel;
use protojson::{Schema, SchemaBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::emulator::{Emulator, scenarios};
use crate::oracle;
use crate::queue::{Input, Message};
use crate::stage::Stage;

scenarios! {
    both: [
        an_event_arrives_as_json_with_its_attributes,
        a_payload_in_a_binary_attribute_arrives,
        a_payload_in_url_safe_base64_without_padding_arrives,
        an_sns_notification_is_unwrapped,
        a_message_from_sns_raw_delivery_is_read_like_any_other,
        a_notification_with_the_payload_in_a_binary_attribute_is_unwrapped,
        an_event_without_a_type_gets_the_default_type_of_its_queue,
        the_event_id_attribute_wins_over_a_field,
        an_event_without_an_id_gets_the_id_of_its_message,
        the_trace_context_reaches_the_customer,
        every_kind_of_event_is_rendered_exactly,
    ];
    embedded: [];
    ministack: [];
}

/// Asserts that a customer's message carries the JSON and the attributes of this event.
fn check(event: &Sample, message: &Message) {
    assert_eq!(message.json(), oracle::json(event));
    assert_eq!(message.attribute("event-type"), Some(event.message_type.as_str()));
    assert_eq!(message.attribute("customer-id"), event.customer.as_deref());
    assert_eq!(message.attribute("content-type"), Some("application/json"));
}

/// Sends an event in the form that `input` gives it, and asserts that it arrives.
async fn check_input(emulator: &Emulator, input: impl FnOnce(&Sample) -> Input) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([input(&event)]).await;
    check(&event, &stage.delivered_one("acme").await);
    stage.source.wait_until_empty().await;
    running.stop().await;
}

/// Publishes an event, in the form that `input` gives it, to a topic that delivers to the source queue. Asserts that
/// the event arrives.
async fn check_notification(emulator: &Emulator, raw: bool, input: impl FnOnce(&Sample) -> Input) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let (topic, running) = (stage.input_topic(raw).await, stage.start().await);
    stage.publish(&topic, input(&event)).await;
    check(&event, &stage.delivered_one("acme").await);
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn an_event_arrives_as_json_with_its_attributes(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;

    let message = stage.delivered_one("acme").await;

    let json = oracle::json(&event);
    let time = json["meta"]["occurredAt"].as_str().or(json["commitTime"].as_str());
    let shop = SETS.iter().find(|(name, _)| *name == "shop.binpb").expect("shop.binpb is committed").1;
    // The type's set decides, whatever other sets are loaded.
    let schema = Schema::builder().set("shop.binpb", shop).and_then(SchemaBuilder::build).expect("the set links");
    let fingerprints = schema.fingerprints(|bytes| Sha256::digest(bytes).into());
    let (_, digest) = fingerprints.iter().find(|(name, _)| **name == *event.message_type).expect("the type is known");
    let hash: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = BTreeMap::from([
        ("content-type", "application/json"),
        ("customer-id", "acme"),
        ("event-id", &event.event_id),
        ("event-time", time.expect("the sample has a time")),
        ("event-type", &event.message_type),
        ("schema-hash", &hash),
    ]);
    let attributes: BTreeMap<&str, &str> = message
        .attributes
        .keys()
        .map(|name| (name.as_str(), message.attribute(name).expect("the attribute is a string")))
        .collect();
    assert_eq!(attributes, expected);
    assert_eq!(message.json(), json);
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn a_payload_in_a_binary_attribute_arrives(emulator: &Emulator) {
    check_input(emulator, Input::binary).await;
}

async fn a_payload_in_url_safe_base64_without_padding_arrives(emulator: &Emulator) {
    check_input(emulator, |event| Input { body: BASE64_URL_SAFE_NO_PAD.encode(&event.payload), ..Input::body(event) })
        .await;
}

async fn an_sns_notification_is_unwrapped(emulator: &Emulator) {
    check_notification(emulator, false, Input::body).await;
}

async fn a_notification_with_the_payload_in_a_binary_attribute_is_unwrapped(emulator: &Emulator) {
    // Write the notification by hand, as SNS does: ministack leaves the value of a Binary attribute empty.
    check_input(emulator, |event| {
        let notification = json!({
            "Type": "Notification",
            "MessageId": "0b8f1e0e-4c9d-5c63-8e2f-5f0a5f0c6a1d",
            "TopicArn": "arn:aws:sns:eu-west-1:000000000000:events",
            "Message": "-",
            "Timestamp": "2026-01-01T00:00:00.000Z",
            "MessageAttributes": {
                "message-type": { "Type": "String", "Value": event.message_type },
                "payload": { "Type": "Binary", "Value": BASE64_STANDARD.encode(&event.payload) },
            },
        });
        Input::text(notification.to_string())
    })
    .await;
}

async fn a_message_from_sns_raw_delivery_is_read_like_any_other(emulator: &Emulator) {
    check_notification(emulator, true, Input::body).await;
    check_notification(emulator, true, Input::binary).await;
}

async fn an_event_without_a_type_gets_the_default_type_of_its_queue(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.queues[0].default_type = Some(event.message_type.clone());
    let running = stage.start().await;
    stage.source.send([Input::body(&event).without("message-type")]).await;
    check(&event, &stage.delivered_one("acme").await);
    running.stop().await;
}

async fn the_event_id_attribute_wins_over_a_field(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event).attribute("event-id", "given")]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some("given"));
    stage.source.send([Input::body(&event)]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(event.event_id.as_str()));
    running.stop().await;
}

async fn an_event_without_an_id_gets_the_id_of_its_message(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.taps.event_id.clear();
    let (topic, running) = (stage.input_topic(false).await, stage.start().await);
    let sns = stage.publish(&topic, Input::body(&event)).await;
    assert_eq!(
        stage.delivered_one("acme").await.attribute("event-id"),
        Some(sns.as_str()),
        "the event id is the SNS message id"
    );
    let sqs = stage.source.send([Input::body(&event)]).await.remove(0);
    assert_eq!(
        stage.delivered_one("acme").await.attribute("event-id"),
        Some(sqs.as_str()),
        "the event id is the SQS message id"
    );
    running.stop().await;
}

async fn the_trace_context_reaches_the_customer(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    stage.source.send([Input::body(&event).attribute("traceparent", trace)]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("traceparent"), Some(trace));
    running.stop().await;
}

async fn every_kind_of_event_is_rendered_exactly(emulator: &Emulator) {
    const EVENTS: usize = 100;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let events: Vec<Sample> = (0..EVENTS).map(|_| stage.samples.next_event(&["acme"])).collect();
    let running = stage.start().await;
    stage.source.send(events.iter().map(Input::body)).await;

    let messages = stage.delivered("acme", EVENTS).await;

    let by_id: BTreeMap<_, _> = messages.iter().map(|message| (message.attribute("event-id"), message)).collect();
    assert_eq!(by_id.len(), EVENTS, "each event arrives once");
    for event in &events {
        check(event, by_id[&Some(event.event_id.as_str())]);
    }
    stage.source.wait_until_empty().await;
    assert_eq!(running.settled(OutcomeLabel::Published), EVENTS as u64);
    running.stop().await;
}
