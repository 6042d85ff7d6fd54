//! Large events that leave as claim checks: their JSON is in S3, and the topic carries a pointer.

use aws_lean::{Bucket, Object};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobridge::aws::Clients;
use protobridge::cli::embedded::Embedded;
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::Operation;
use serde_json::{Value, json};

use crate::bucket;
use crate::emulator::{Emulator, scenarios};
use crate::queue::{Input, Message, Queue};
use crate::stage::Stage;

scenarios! {
    both: [];
    embedded: [];
    // The embedded emulator has no S3.
    ministack: [
        every_subscriber_follows_its_pointer_to_the_json,
        a_missing_bucket_holds_its_own_events_only,
    ];
}

/// Reads an object as a consumer does.
async fn object(stage: &Stage, bucket: &str, key: &str) -> String {
    let clients = Clients::with_credentials(&stage.config.aws, Embedded::credentials()).await;
    let bucket = Bucket::new(&clients.shared, bucket).expect("the bucket has an address");
    let object = clients.lean.get_object(&bucket, key, 1 << 20).await.expect("the object exists");
    let Object::Bytes(bytes) = object else { panic!("{key} is too large") };
    String::from_utf8(bytes.into()).expect("the object is text")
}

/// Follows the pointer of a message. Returns the key of the object and the JSON.
async fn follow(stage: &Stage, bucket: &str, message: &Message) -> (String, Value) {
    let pointer: Value = serde_json::from_str(&message.body).expect("the body is JSON");
    let key = pointer[1]["s3Key"].as_str().expect("the pointer has a key").to_owned();
    let expected = format!(
        r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{{"s3BucketName":"{bucket}","s3Key":"{key}"}}]"#
    );
    assert_eq!(message.body, expected);
    let json = object(stage, bucket, &key).await;
    let size = &message.attributes["ExtendedPayloadSize"];
    assert_eq!((size.data_type(), size.string_value()), ("Number", Some(&*json.len().to_string())));
    (key, serde_json::from_str(&json).expect("the object is JSON"))
}

/// Returns a heartbeat, which every customer receives, from a source whose name has this length.
fn heartbeat(length: usize) -> (Input, Value) {
    let source = "s".repeat(length);
    let mut payload = Vec::new();
    prost::encoding::string::encode(1, &source, &mut payload);
    let input = Input::text(BASE64_STANDARD.encode(payload)).attribute("message-type", "protobridge.v1.Heartbeat");
    (input, json!({"source": source}))
}

async fn every_subscriber_follows_its_pointer_to_the_json(emulator: &Emulator) {
    let bucket = "claims-of-all";
    bucket::create(&emulator.endpoint_url, bucket).await;
    let stage = Stage::new(emulator).await.customer("acme", "claim_check: on").await;
    let mut stage = stage.customer("globex", "claim_check: always").await;
    stage.config.claim_check.bucket = Some(bucket.to_owned());
    stage.config.metrics.customer_label = true;
    // A second subscriber of one of the topics.
    let second = Queue::create(emulator, "claims-second").await;
    let subscribe = emulator.sns.subscribe().topic_arn(stage.topic_of("acme")).protocol("sqs").endpoint(&second.arn);
    subscribe.attributes("RawMessageDelivery", "true").send().await.expect("the queue is subscribed");
    let running = stage.start().await;
    let (large, json) = heartbeat(400_000);
    stage.source.send([large]).await;

    let first = stage.delivered_one("acme").await;
    let (key, found) = follow(&stage, bucket, &first).await;
    assert!(key.starts_with("claims/acme/") && key.ends_with(".json"), "{key}");
    assert_eq!(found, json);
    let other = second.take_one().await;
    assert_eq!((&other.body, &other.attributes), (&first.body, &first.attributes));
    let (key, found) = follow(&stage, bucket, &stage.delivered_one("globex").await).await;
    assert!(key.starts_with("claims/globex/"), "{key}");
    assert_eq!(found, json);

    // A small event leaves as it is, unless its customer chose otherwise.
    let (small, json) = heartbeat(10);
    stage.source.send([small]).await;
    let body: Value = serde_json::from_str(&stage.delivered_one("acme").await.body).expect("the body is JSON");
    assert_eq!(body, json);
    let (_, found) = follow(&stage, bucket, &stage.delivered_one("globex").await).await;
    assert_eq!(found, json);

    stage.source.wait_until_empty().await;
    let metrics = &running.metrics;
    let stored = |customer| metrics.claims.stored.sum_where(|labels| labels.customer.is(customer));
    assert_eq!((stored("acme"), stored("globex"), metrics.claims.store_errors.sum()), (1, 2, 0));
    assert_eq!(metrics.claims.bytes.sum(), 2 * 400_013 + 23);
    assert_eq!(metrics.calls.sum_where(|labels| labels.operation == Operation::PutObject), 3);
    assert_eq!(running.settled(OutcomeLabel::Published), 2);
    running.stop().await;
}

async fn a_missing_bucket_holds_its_own_events_only(emulator: &Emulator) {
    let bucket = "claims-to-come";
    let stage = Stage::new(emulator).await.customer("acme", "claim_check: always").await;
    let mut stage = stage.customer("globex", "").await;
    stage.config.claim_check.bucket = Some(bucket.to_owned());
    let running = stage.start().await;
    let (event, json) = heartbeat(10);
    stage.source.send([event]).await;
    let body: Value = serde_json::from_str(&stage.delivered_one("globex").await.body).expect("the body is JSON");
    assert_eq!(body, json);
    let errors = || running.metrics.claims.store_errors.sum_where(|labels| labels.code == "NoSuchBucket");
    crate::wait::until("a call failed", async || (errors() > 0).then_some(())).await;
    stage.assert_nothing_more_for("acme").await;

    bucket::create(&emulator.endpoint_url, bucket).await;
    let (_, found) = follow(&stage, bucket, &stage.delivered_one("acme").await).await;
    assert_eq!(found, json);
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("globex").await;
    running.stop().await;
}
