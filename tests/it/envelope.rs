//! The layers around a payload and the sources of its type, as the encoders of producers write them.

use std::io::Write as _;
use std::sync::atomic::Ordering;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use protobridge::cli::embedded::samples::Sample;
use protobridge::config::Framing;
use protobridge::message::OutcomeLabel;

use crate::emulator::{Emulator, scenarios};
use crate::encoder::{self, SchemaRegistry, Wrapped};
use crate::queue::{Input, Message, Queue};
use crate::stage::Stage;
use crate::{oracle, quarantine, wait};

scenarios! {
    both: [
        a_content_type_names_the_type,
        a_gzip_bomb_is_quarantined_unchanged,
        a_payload_without_the_framing_of_its_queue_is_quarantined_unchanged,
        a_pointer_to_a_forbidden_bucket_is_quarantined_unchanged,
    ];
    embedded: [];
    // The encoders need Python, as ministack does. The embedded emulator has no S3.
    ministack: [
        a_content_encoding_is_decoded,
        an_any_names_its_type,
        a_cloud_event_gives_type_id_time_and_customer,
        a_cloud_event_gives_the_type_of_its_data_in_three_ways,
        a_cloud_event_of_an_unknown_type_is_quarantined,
        confluent_schema_ids_are_looked_up_in_the_file,
        confluent_schema_ids_are_looked_up_in_the_registry,
        messages_wait_while_the_registry_is_down,
        a_payload_in_s3_is_fetched,
        a_notification_can_point_to_s3,
        a_pointer_to_a_missing_object_is_retried_and_then_quarantined,
        an_object_over_the_payload_limit_is_not_fetched,
    ];
}

/// Creates a stage with the customer acme and a queue with this framing. Returns it with an event.
async fn stage(emulator: &Emulator, framing: Framing) -> (Stage, Sample) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.queues[0].framing = framing;
    let event = stage.samples.next_event(&["acme"]);
    (stage, event)
}

/// Returns a message without attributes whose body is the payload as base64.
fn bare(payload: &[u8]) -> Input {
    Input::text(BASE64_STANDARD.encode(payload))
}

fn gzip(payload: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(payload).expect("a write to memory does not fail");
    encoder.finish().expect("a write to memory does not fail")
}

/// Sends one message and asserts that it arrives as this event. Returns the customer's message.
async fn assert_arrives(stage: &Stage, input: Input, event: &Sample) -> Message {
    let running = stage.start().await;
    stage.source.send([input]).await;
    let message = stage.delivered_one("acme").await;
    check(&message, event);
    stage.source.wait_until_empty().await;
    running.stop().await;
    message
}

fn check(message: &Message, event: &Sample) {
    assert_eq!(message.json(), oracle::json(event));
    assert_eq!(message.attribute("event-type"), Some(event.message_type.as_str()));
}

fn detail(message: &Message) -> String {
    message.quarantine_note()["detail"].as_str().expect("a note has a detail").to_owned()
}

async fn a_content_type_names_the_type(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::None).await;
    let content_type = format!("application/x-protobuf; messageType=\"{}\"", event.message_type);
    assert_arrives(&stage, bare(&event.payload).attribute("content-type", &content_type), &event).await;
    let content_type = format!("application/protobuf; proto=.{}", event.message_type);
    assert_arrives(
        &stage,
        bare(&event.payload).attribute("content-type", &content_type).attribute("event-id", "2"),
        &event,
    )
    .await;
}

async fn a_content_encoding_is_decoded(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::None).await;
    for encoding in ["gzip", "zstd"] {
        let Wrapped { payload, .. } = encoder::wrap(&event, &[encoding], &[]).await;
        let input = bare(&payload).attribute("message-type", &event.message_type).attribute("event-id", encoding);
        assert_arrives(&stage, input.attribute("content-encoding", encoding), &event).await;
    }
}

async fn a_gzip_bomb_is_quarantined_unchanged(emulator: &Emulator) {
    let (mut stage, event) = stage(emulator, Framing::None).await;
    stage.config.envelope.max_payload_bytes = 1024 * 1024;
    let bomb = bare(&gzip(&vec![0; 100 * 1024 * 1024]));
    let input = bomb.attribute("message-type", &event.message_type).attribute("content-encoding", "gzip");
    assert_eq!(
        detail(&quarantine::check(stage, input, "bad_envelope").await),
        "the payload has more than 1048576 bytes after its gzip is decompressed; to allow this size, raise \
         `envelope.max_payload_bytes`"
    );
}

async fn a_payload_without_the_framing_of_its_queue_is_quarantined_unchanged(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::Confluent).await;
    let quarantined = quarantine::check(stage, Input::body(&event), "bad_envelope").await;
    let detail = detail(&quarantined);
    assert!(detail.starts_with("the payload is not in Confluent's wire format, although"), "{detail}");
}

async fn an_any_names_its_type(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::Any).await;
    let Wrapped { payload, .. } = encoder::wrap(&event, &["any"], &[]).await;
    assert_arrives(&stage, bare(&payload), &event).await;
    let Wrapped { payload, .. } = encoder::wrap(&event, &["any", "zstd"], &[]).await;
    let input = bare(&payload).attribute("content-encoding", "zstd").attribute("event-id", "2");
    assert_arrives(&stage, input, &event).await;
}

async fn a_cloud_event_gives_type_id_time_and_customer(emulator: &Emulator) {
    let (mut stage, event) = stage(emulator, Framing::CloudEvents).await;
    stage.config.taps = Default::default();
    let kind = format!("type={}", event.message_type);
    let attributes = [kind.as_str(), "id=e-1", "time=2026-01-02T03:04:05.600Z", "customerid=acme"];
    let Wrapped { payload, .. } = encoder::wrap(&event, &["cloudevents-binary"], &attributes).await;

    let message = assert_arrives(&stage, bare(&payload), &event).await;

    assert_eq!(message.attribute("event-id"), Some("https://shop.example/orders|e-1"));
    assert_eq!(message.attribute("event-time"), Some("2026-01-02T03:04:05.6Z"));
    assert_eq!(message.attribute("customer-id"), Some("acme"));
}

async fn a_cloud_event_gives_the_type_of_its_data_in_three_ways(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::CloudEvents).await;
    let schema = format!("dataschema=https://shop.example/schemas/{}", event.message_type);
    let content_type = format!("datacontenttype=application/protobuf; proto={}", event.message_type);
    for (form, attribute) in [
        ("cloudevents-binary", schema.as_str()),
        ("cloudevents-binary", content_type.as_str()),
        ("cloudevents-proto", "datacontenttype=application/protobuf"),
    ] {
        let Wrapped { payload, .. } = encoder::wrap(&event, &[form], &[attribute]).await;
        assert_arrives(&stage, bare(&payload).attribute("event-id", attribute), &event).await;
    }
}

async fn a_cloud_event_of_an_unknown_type_is_quarantined(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::CloudEvents).await;
    let Wrapped { payload, .. } = encoder::wrap(&event, &["cloudevents-binary"], &[]).await;
    let quarantined = quarantine::check(stage, bare(&payload), "unknown_type").await;
    assert_eq!(detail(&quarantined), "no descriptor set defines com.example.happened, which the CloudEvent names");
}

/// The source that defines the order of the types in `shop/v1/order.proto`.
const ORDER_PROTO: &str = include_str!("../../proto/examples/shop/v1/order.proto");

async fn confluent_schema_ids_are_looked_up_in_the_file(emulator: &Emulator) {
    let (mut stage, _) = stage(emulator, Framing::Confluent).await;
    // Use a type that is not the first in its file.
    let event = stage.event_of_type("acme", "shop.v1.OrderShipped");
    let Wrapped { payload, schemas } = encoder::wrap(&event, &["confluent"], &[]).await;
    let names = ORDER_PROTO.lines().filter_map(|line| line.strip_prefix("message ")?.split_whitespace().next());
    let types: Vec<String> = names.map(|name| format!("shop.v1.{name}")).collect();
    let id = schemas.keys().last().expect("at least one schema is registered");
    let file = stage.write_file("schemas.yaml", &format!("schemas: [{{id: {id}, types: [{}]}}]", types.join(", ")));
    stage.config.confluent.schemas_file = Some(file);
    assert_arrives(&stage, bare(&payload), &event).await;

    stage.config.confluent.schemas_file = Some(stage.write_file("none.yaml", "schemas: []"));
    let quarantined = quarantine::check(stage, bare(&payload), "unknown_type").await;
    let expected = format!("`confluent.schemas_file` has no schema {id}; add it, or set `registry_url`");
    assert_eq!(detail(&quarantined), expected);
}

async fn confluent_schema_ids_are_looked_up_in_the_registry(emulator: &Emulator) {
    let (mut stage, _) = stage(emulator, Framing::Confluent).await;
    let event = stage.event_of_type("acme", "shop.v1.OrderShipped");
    let Wrapped { payload, schemas } = encoder::wrap(&event, &["confluent"], &[]).await;
    let registry = SchemaRegistry::start(schemas).await;
    stage.config.confluent.registry_url = Some(registry.url.clone());
    let running = stage.start().await;
    stage.source.send((0..20).map(|n| bare(&payload).attribute("event-id", &n.to_string()))).await;
    for message in stage.delivered("acme", 20).await {
        check(&message, &event);
    }
    stage.source.wait_until_empty().await;
    assert_eq!(registry.requests.load(Ordering::Relaxed), 1, "the schema id is looked up once");
    running.stop().await;

    let mut unknown = payload;
    unknown[1] = 1;
    let quarantined = quarantine::check(stage, bare(&unknown), "unknown_type").await;
    let id = u32::from_be_bytes(unknown[1..5].try_into().expect("four bytes"));
    assert_eq!(detail(&quarantined), format!("the schema registry has no schema {id}"));
}

async fn messages_wait_while_the_registry_is_down(emulator: &Emulator) {
    let (mut stage, event) = stage(emulator, Framing::Confluent).await;
    let Wrapped { payload, schemas } = encoder::wrap(&event, &["confluent"], &[]).await;
    let registry = SchemaRegistry::start(schemas).await;
    registry.is_up.store(false, Ordering::Relaxed);
    stage.config.confluent.registry_url = Some(registry.url.clone());
    stage.config.retry.unknown_type_grace_seconds = 0;
    let running = stage.start().await;
    stage.source.send([bare(&payload)]).await;
    let is_out = async || (running.metrics.outages.sum() > 0).then_some(());
    wait::until("the registry is known to be out", is_out).await;
    registry.is_up.store(true, Ordering::Relaxed);
    check(&stage.delivered_one("acme").await, &event);
    assert_eq!(running.settled(OutcomeLabel::Retried), 0, "the outage costs no receive");
    running.stop().await;
}

/// Creates a stage whose service can read from this bucket. Returns it with an event.
async fn stage_with_bucket(emulator: &Emulator, bucket: &str) -> (Stage, Sample) {
    let (mut stage, event) = stage(emulator, Framing::None).await;
    stage.config.envelope.s3_buckets = vec!["other-events".to_owned(), bucket.to_owned()];
    (stage, event)
}

async fn a_payload_in_s3_is_fetched(emulator: &Emulator) {
    for (bucket, legacy) in [("large-events", false), ("legacy-events", true)] {
        let (stage, event) = stage_with_bucket(emulator, bucket).await;
        let running = stage.start().await;
        encoder::send_through_s3(emulator, &stage.source, bucket, &event, legacy).await;
        check(&stage.delivered_one("acme").await, &event);
        stage.source.wait_until_empty().await;
        let count = running.metrics.settled.sum_where(|labels| labels.event_type == event.message_type);
        assert_eq!(count, 1, "the event counts under its type, which is known only after the fetch");
        running.stop().await;
    }
}

/// Stores an event in S3 with the extended client. Returns the pointer message that the client sends.
async fn pointer(emulator: &Emulator, bucket: &str, event: &Sample) -> Input {
    let queue = Queue::create(emulator, &format!("{bucket}-pointers")).await;
    encoder::send_through_s3(emulator, &queue, bucket, event, false).await;
    let Message { body, attributes, .. } = queue.take_one().await;
    Input { body, attributes, group: None }
}

async fn a_notification_can_point_to_s3(emulator: &Emulator) {
    let (stage, event) = stage_with_bucket(emulator, "noted-events").await;
    let pointer = pointer(emulator, "noted-events", &event).await;
    let (topic, running) = (stage.input_topic(false).await, stage.start().await);
    stage.publish(&topic, pointer).await;
    check(&stage.delivered_one("acme").await, &event);
    running.stop().await;
}

async fn a_pointer_to_a_forbidden_bucket_is_quarantined_unchanged(emulator: &Emulator) {
    let (stage, event) = stage(emulator, Framing::None).await;
    let body = r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"private","s3Key":"k"}]"#;
    let input = Input::text(body).attribute("message-type", &event.message_type);
    let quarantined = quarantine::check(stage, input, "bad_envelope").await;
    assert_eq!(
        detail(&quarantined),
        "the body points to s3://private/k, and `envelope.s3_buckets` does not allow that bucket; add it to allow \
         it"
    );
}

async fn a_pointer_to_a_missing_object_is_retried_and_then_quarantined(emulator: &Emulator) {
    let (stage, event) = stage_with_bucket(emulator, "lost-events").await;
    let mut input = pointer(emulator, "lost-events", &event).await;
    input.body = input.body.replace("\"s3Key\": \"", "\"s3Key\": \"lost-");
    let running = stage.start().await;
    stage.source.send([input.clone()]).await;
    running.wait_until_settled(OutcomeLabel::Retried, 1).await;
    running.stop().await;

    let (stage, _) = stage_with_bucket(emulator, "lost-events").await;
    let quarantined = quarantine::check(stage, input, "bad_envelope").await;
    let detail = detail(&quarantined);
    assert!(detail.starts_with("s3://lost-events/lost-") && detail.contains(" does not exist: "), "{detail}");
}

async fn an_object_over_the_payload_limit_is_not_fetched(emulator: &Emulator) {
    let (mut stage, mut event) = stage_with_bucket(emulator, "huge-events").await;
    stage.config.envelope.max_payload_bytes = 10_000;
    event.payload = vec![0; 20_000];
    let input = pointer(emulator, "huge-events", &event).await;
    let quarantined = quarantine::check(stage, input, "bad_envelope").await;
    let detail = detail(&quarantined);
    assert!(
        detail.ends_with("has 26668 bytes, more than 10000; to allow this size, raise `envelope.max_payload_bytes`"),
        "{detail}"
    );
}
