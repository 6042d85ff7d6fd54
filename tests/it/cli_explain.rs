//! `protobridge explain`, which shows the outcome of a message and why it has this outcome.

use std::path::Path;

use insta::assert_snapshot;
use prost::Message as _;
use protobridge::config::Framing;
use protobridge::message::OutcomeLabel;
use serde_json::{Value, json};

use crate::command::{self, protobridge};
use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::{Running, Stage};

scenarios! {
    both: [];
    // The scenario compares two paths through this crate, so one emulator is enough.
    embedded: [the_outcome_of_explain_is_the_outcome_of_the_service];
    ministack: [];
}

/// Runs `protobridge explain` with the configuration of the example. Returns its output and its exit code as text.
fn explain(arguments: &[&str], input: &[u8]) -> String {
    let mut command = protobridge();
    let command = command.args(["explain", "--config", "examples/shop/protobridge.yaml"]).args(arguments);
    let ended = command::run(command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))), input);
    let code = ended.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    format!("{}{}exit code {code}", ended.stdout, ended.stderr)
}

#[test]
fn each_step_names_the_rule_that_decided_it() {
    let message = json!({"Messages": [{
        "MessageId": "m-9",
        "Attributes": {"SentTimestamp": "1767225600000"},
        "Body": json!({
            "Type": "Notification",
            "MessageId": "n-1",
            "Message": "CggSBmdsb2JleA==",
            "MessageAttributes": {"message-type": {"Type": "String", "Value": "shop.v1.OrderPlaced"}},
        }).to_string(),
    }]});
    let message = message.to_string();
    assert_snapshot!(explain(&["--queue", "events"], message.as_bytes()), @r#"
    queue        events
                   its `framing` is none, its `default_type` is unset
    layer        SNS notification n-1
                   the body has `Type: Notification`; its attributes take precedence over those of the message
    layer        payload of 10 bytes, in base64
                   the message has no attribute `payload` (envelope.payload_attribute), so the notification's message is it
    type         shop.v1.OrderPlaced
                   the SNS notification has the attribute `message-type` (envelope.type_attribute)
    set          shop.binpb (bf191b834bc04d90)
                   its definition of the type serves
    customer     globex
                   the field meta.tenant_id (taps.customer) has it; there is no attribute `customer-id` (route.customer_attribute)
    route        the customer's topic
                   `events` of customer globex in the customers file include this type
    event id     n-1
                   the event has no id, so the message id from SNS is used
    event time   2026-01-01T00:00:00Z
                   the event has no time, so the time at which the message was sent is used
    destination  arn:aws:sns:eu-west-1:123456789012:json-events-globex
                   the customers file has customer globex with this topic and the profile `discreet`
    outcome      published
                   every destination can have the event

    arn:aws:sns:eu-west-1:123456789012:json-events-globex
      event-id: n-1
      event-type: shop.v1.OrderPlaced
      customer-id: globex
      event-time: 2026-01-01T00:00:00Z
      content-type: application/json
      schema-hash: 095e1ef0102e9708
      {"meta":{"tenantId":"globex"}}
    exit code 0
    "#);
    // A record that a Lambda function receives has the same content in another spelling.
    let record = message.replace("\"Messages\"", "\"Records\"").replace("\"Body\"", "\"body\"");
    let record =
        record.replace("\"MessageId\":\"m-9\"", "\"messageId\":\"m-9\"").replace("\"Attributes\"", "\"attributes\"");
    assert_eq!(explain(&["--queue", "events"], record.as_bytes()), explain(&["--queue", "events"], message.as_bytes()));
}

#[test]
fn a_message_without_a_configured_customer_is_explained_too() {
    let output = explain(&["--queue", "events", "--type", "shop.v1.OrderPlaced", "--base64", "CgoSCHVtYnJlbGxh"], b"");
    assert_snapshot!(output, @"
    queue        events
                   its `framing` is none, its `default_type` is unset
    layer        payload of 12 bytes, in base64
                   the message has no attribute `payload` (envelope.payload_attribute), so the body is it
    type         shop.v1.OrderPlaced
                   the message has the attribute `message-type` (envelope.type_attribute)
    set          shop.binpb (bf191b834bc04d90)
                   its definition of the type serves
    customer     umbrella
                   the field meta.tenant_id (taps.customer) has it; there is no attribute `customer-id` (route.customer_attribute)
    route        quarantine
                   the customers file does not have the customer, and `route.unknown_customer` says this
    outcome      quarantined: no_customer
                   customer umbrella is not in the customers file
    exit code 0
    ");
}

#[test]
fn raw_bytes_and_their_schema_are_explained() {
    let payload = b"\0\0\0\0\x07\0\x0a\x06\x12\x04acme";
    assert_snapshot!(explain(&["--queue", "partners"], payload), @"
    error: the message has Confluent schema 7, and a dry run does not ask the schema registry; name its types with --schema 7=TYPE,…
    exit code 1
    ");
    let output = explain(&["--queue", "partners", "--schema", "7=shop.v1.OrderPlaced", "--json"], payload);
    let json: Value = serde_json::from_str(output.strip_suffix("exit code 0").expect("it succeeds")).unwrap();
    assert_eq!((&json["outcome"], &json["type"]), (&"published".into(), &"shop.v1.OrderPlaced".into()));
    let because: Vec<&str> = json["steps"].as_array().unwrap().iter().filter_map(|s| s["because"].as_str()).collect();
    assert!(because.contains(&"the queue's `framing` says so"), "{because:?}");
    assert_eq!(json["destinations"][0]["customer"], "acme");
}

#[test]
fn a_pointer_to_s3_requires_its_object() {
    let pointer = |bucket| {
        format!(r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{{"s3BucketName":"{bucket}","s3Key":"1"}}]"#)
    };
    let allowed = pointer("shop-large-events");
    assert_snapshot!(explain(&["--queue", "events"], allowed.as_bytes()), @"
    error: the message points to s3://shop-large-events/1, and a dry run does not read from S3; give its content with --object FILE
    exit code 1
    ");
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let object = folder.path().join("object");
    std::fs::write(&object, "CgYSBGFjbWU=\n").expect("the file can be written");
    let arguments = ["--queue", "events", "--type", "shop.v1.OrderPlaced", "--object", object.to_str().unwrap()];
    let output = explain(&arguments, allowed.as_bytes());
    assert!(output.contains("layer        S3 object s3://shop-large-events/1 of 13 bytes"), "{output}");
    assert!(output.contains("outcome      published"), "{output}");
    let output = explain(&["--queue", "events"], pointer("other").as_bytes());
    assert!(output.contains("outcome      quarantined: bad_envelope"), "{output}");
    assert!(output.contains("`envelope.s3_buckets` does not allow that bucket"), "{output}");
}

#[test]
fn a_case_of_a_test_file_is_explained() {
    let file = "examples/shop/tests/envelopes.yaml";
    let output = explain(&[file, "--case", "a damaged message of a partner"], b"");
    assert_snapshot!(output, @r"
    queue        partners
                   its `framing` is confluent, its `default_type` is unset
    layer        payload of 1 bytes, in base64
                   the message has no attribute `payload` (envelope.payload_attribute), so the body is it
    outcome      retried: no_quarantine_queue
                   bad_envelope, and the queue has no quarantine_url: the payload is not in Confluent's wire format, although the queue's `framing` says so: it has fewer than 5 bytes; send it in this form, or change `framing`
    exit code 0
    ");
    let output = explain(&[file, "--case", "a damaged message of a partnr"], b"");
    assert!(output.contains("did you mean `a damaged message of a partner`?"), "{output}");
}

/// A message, and what becomes of it in the service.
struct Row {
    outcome: OutcomeLabel,
    /// The code of the reason or the cause.
    code: Option<&'static str>,
    framing: Framing,
    has_quarantine: bool,
    input: Input,
}

/// Returns at least one message for each outcome. No message has the outcome `abandoned`: it ends the messages that are
/// left at the end of a drain.
fn rows(stage: &mut Stage) -> Vec<Row> {
    let order = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    let other = stage.event_of_type("acme", "shop.v1.OrderShipped");
    let row = |outcome, code, input| Row { outcome, code, framing: Framing::None, has_quarantine: true, input };
    let body = |text: &str| Input::text(text.to_owned()).attribute("message-type", "shop.v1.OrderPlaced");
    let heartbeat = protobridge_heartbeat();
    let note = json!({
        "message_id": "m-0",
        "event_type": "shop.v1.OrderPlaced",
        "event_id": "e-1",
        "delivered": [{"topic": stage.topic_of("acme"), "customer": "acme"}],
    });
    let notification = json!({
        "Type": "Notification",
        "MessageId": "n-1",
        "Message": Input::body(&order).body,
        "MessageAttributes": {"message-type": {"Type": "String", "Value": "shop.v1.OrderPlaced"}},
    });
    let noted = Input::body(&order).attribute("event-id", "e-1");
    vec![
        row(OutcomeLabel::Published, None, Input::body(&order)),
        row(OutcomeLabel::Published, None, Input::text(notification.to_string())),
        row(OutcomeLabel::Published, None, heartbeat),
        row(OutcomeLabel::Duplicate, None, noted.attribute("protobridge-quarantine", &note.to_string())),
        row(OutcomeLabel::Filtered, None, Input::body(&other)),
        row(OutcomeLabel::Quarantined, Some("bad_envelope"), body("not base64!")),
        row(OutcomeLabel::Quarantined, Some("malformed_protobuf"), body("CgwSBGFj")),
        row(OutcomeLabel::Quarantined, Some("no_customer"), body("EgNvcmQ=")),
        row(OutcomeLabel::Quarantined, Some("customer_mismatch"), Input::body(&order).attribute("customer-id", "x")),
        row(OutcomeLabel::Quarantined, Some("unknown_type"), Input::text("CgA=".to_owned())),
        row(
            OutcomeLabel::Retried,
            Some("unknown_type"),
            Input::text("CgA=".to_owned()).attribute("message-type", "a.B"),
        ),
        Row { has_quarantine: false, ..row(OutcomeLabel::Retried, Some("no_quarantine_queue"), body("not base64!")) },
        Row {
            framing: Framing::Delimited,
            ..row(OutcomeLabel::Quarantined, Some("bad_envelope"), Input::body(&order))
        },
    ]
}

/// Returns a broadcast that names its type in the content type.
fn protobridge_heartbeat() -> Input {
    #[derive(prost::Message)]
    struct Heartbeat {
        #[prost(string, tag = "1")]
        source: String,
    }
    let bytes = Heartbeat { source: "a".to_owned() }.encode_to_vec();
    let content_type = "application/x-protobuf; messageType=\"protobridge.v1.Heartbeat\"";
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
    Input::text(text).attribute("content-type", content_type)
}

/// Returns what `explain` says about a message.
fn explained(stage: &Stage, input: &Input) -> Value {
    let attributes = input.attributes.iter().map(|(name, value)| {
        let value = json!({"DataType": value.data_type(), "StringValue": value.string_value()});
        (name.clone(), value)
    });
    let message = json!({
        "Body": input.body,
        "MessageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
    });
    let mut command = protobridge();
    let command = command.args(["explain", "--json", "--input", "sqs", "--config"]).arg(stage.write_files());
    let ended = command::run(command, message.to_string().as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("the output is JSON")
}

/// Returns the code of the reason or the cause of the only message that the service has processed.
fn code(running: &Running) -> Option<&'static str> {
    let quarantined = running.metrics.quarantined.sum_by(|labels| Some(labels.reason.code()));
    let retried = running.metrics.retried.sum_by(|labels| Some(labels.cause.code()));
    quarantined.into_iter().chain(retried).find(|(_, count)| *count > 0).map(|(code, _)| code)
}

async fn the_outcome_of_explain_is_the_outcome_of_the_service(emulator: &Emulator) {
    let events = "events: [shop.v1.OrderPlaced, 'protobridge.*']";
    let count = rows(&mut Stage::new(emulator).await.customer("acme", events).await).len();
    for index in 0..count {
        let mut stage = Stage::new(emulator).await.customer("acme", events).await;
        let Row { outcome, code: expected, framing, has_quarantine, input } = rows(&mut stage).remove(index);
        stage.config.queues[0].framing = framing;
        if !has_quarantine {
            stage.config.queues[0].quarantine_url = None;
        }
        let running = stage.start().await;
        stage.source.send([input.clone()]).await;
        running.wait_until_settled(outcome, 1).await;
        let explained = explained(&stage, &input);
        assert_eq!((&explained["outcome"], &explained["code"]), (&outcome.code().into(), &expected.into()), "{index}");
        assert_eq!(code(&running), expected, "{index}");
        let destinations = explained["destinations"].as_array().expect("a list");
        assert_eq!(destinations.len(), usize::from(outcome == OutcomeLabel::Published), "{index}");
        if let [destination] = destinations.as_slice() {
            let message = stage.delivered_one("acme").await;
            assert_eq!(destination["json_text"], message.body, "{index}");
            let attributes = destination["attributes"].as_object().expect("a mapping");
            let is_own = |name: &str| ["event-id", "event-time"].contains(&name) && index > 0;
            for (name, value) in attributes.iter().filter(|(name, _)| !is_own(name)) {
                assert_eq!(message.attribute(name), value.as_str(), "{index}: {name}");
            }
        }
        running.stop().await;
    }
}
