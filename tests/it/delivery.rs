//! From a queue to a customer's topic: the forms in which events arrive, and what a customer sees of them.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use protobridge::cli::embedded::samples::{SETS, Sample};
use protobridge::message::OutcomeLabel;
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
        a_notification_of_sns_is_unwrapped,
        a_notification_with_the_payload_in_a_binary_attribute_is_unwrapped,
        an_event_without_a_type_has_that_of_its_queue,
        an_event_id_comes_from_the_attribute_before_a_field,
        an_event_without_an_id_has_that_of_its_message,
        a_trace_is_carried_on,
        every_sort_of_event_is_rendered_exactly,
    ];
    embedded: [];
    // The embedded SNS delivers nothing that has attributes to a subscription with raw delivery.
    ministack: [raw_delivery_of_sns_is_read_like_a_message];
}

/// A customer's message is this event: its JSON, and its attributes.
fn check(event: &Sample, message: &Message) {
    assert_eq!(message.json(), oracle::json(event));
    assert_eq!(message.attribute("event-type"), Some(event.message_type.as_str()));
    assert_eq!(message.attribute("customer-id"), event.customer.as_deref());
    assert_eq!(message.attribute("content-type"), Some("application/json"));
}

/// Sends an event in some form, and checks that it arrives.
async fn check_input(emulator: &Emulator, input: impl FnOnce(&Sample) -> Input) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([input(&event)]).await;
    check(&event, &stage.delivered_one("acme").await);
    stage.source.is_empty().await;
    running.stop().await;
}

/// Publishes an event in some form to a topic that the source is subscribed to, and checks that it arrives.
async fn check_notification(emulator: &Emulator, raw: bool, input: impl FnOnce(&Sample) -> Input) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let (topic, running) = (stage.input_topic(raw).await, stage.start().await);
    stage.publish(&topic, input(&event)).await;
    check(&event, &stage.delivered_one("acme").await);
    stage.source.is_empty().await;
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
    let shop = SETS.iter().find(|(name, _)| *name == "shop.binpb").expect("it is committed").1;
    let hash: String = Sha256::digest(shop)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = BTreeMap::from([
        ("content-type", "application/json"),
        ("customer-id", "acme"),
        ("event-id", &event.event_id),
        ("event-time", time.expect("the sample has a time")),
        ("event-type", &event.message_type),
        ("schema-hash", &hash),
    ]);
    let attributes: BTreeMap<&str, &str> =
        message.attributes.keys().map(|name| (name.as_str(), message.attribute(name).expect("a text"))).collect();
    assert_eq!(attributes, expected);
    assert_eq!(message.json(), json);
    stage.source.is_empty().await;
    running.stop().await;
}

async fn a_payload_in_a_binary_attribute_arrives(emulator: &Emulator) {
    check_input(emulator, Input::binary).await;
}

async fn a_payload_in_url_safe_base64_without_padding_arrives(emulator: &Emulator) {
    check_input(emulator, |event| Input { body: BASE64_URL_SAFE_NO_PAD.encode(&event.payload), ..Input::body(event) })
        .await;
}

async fn a_notification_of_sns_is_unwrapped(emulator: &Emulator) {
    check_notification(emulator, false, Input::body).await;
}

async fn a_notification_with_the_payload_in_a_binary_attribute_is_unwrapped(emulator: &Emulator) {
    // Written as SNS writes it: both emulators leave the value of a Binary attribute empty.
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

async fn raw_delivery_of_sns_is_read_like_a_message(emulator: &Emulator) {
    check_notification(emulator, true, Input::body).await;
    check_notification(emulator, true, Input::binary).await;
}

async fn an_event_without_a_type_has_that_of_its_queue(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.queues[0].default_type = Some(event.message_type.clone());
    let running = stage.start().await;
    stage.source.send([Input::body(&event).without("message-type")]).await;
    check(&event, &stage.delivered_one("acme").await);
    running.stop().await;
}

async fn an_event_id_comes_from_the_attribute_before_a_field(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event).attribute("event-id", "given")]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some("given"));
    stage.source.send([Input::body(&event)]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(event.event_id.as_str()));
    running.stop().await;
}

async fn an_event_without_an_id_has_that_of_its_message(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.taps.event_id.clear();
    let (topic, running) = (stage.input_topic(false).await, stage.start().await);
    let sns = stage.publish(&topic, Input::body(&event)).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(sns.as_str()), "the id that SNS gave");
    let sqs = stage.source.send([Input::body(&event)]).await.remove(0);
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(sqs.as_str()), "the id that SQS gave");
    running.stop().await;
}

async fn a_trace_is_carried_on(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    stage.source.send([Input::body(&event).attribute("traceparent", trace)]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("traceparent"), Some(trace));
    running.stop().await;
}

async fn every_sort_of_event_is_rendered_exactly(emulator: &Emulator) {
    const EVENTS: usize = 100;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let events: Vec<Sample> = (0..EVENTS).map(|_| stage.samples.next_event(&["acme"])).collect();
    let running = stage.start().await;
    stage.source.send(events.iter().map(Input::body)).await;

    let messages = stage.delivered("acme", EVENTS).await;

    let by_id: BTreeMap<_, _> = messages.iter().map(|message| (message.attribute("event-id"), message)).collect();
    assert_eq!(by_id.len(), EVENTS, "each event once");
    for event in &events {
        check(event, by_id[&Some(event.event_id.as_str())]);
    }
    stage.source.is_empty().await;
    assert_eq!(running.settled(OutcomeLabel::Published), EVENTS as u64);
    running.stop().await;
}
