//! Messages: an event type in a profile, with its attributes and an example.

use std::sync::Arc;

use serde_json::{Value, json};

use super::schemas::Reference;
use crate::message::{EventId, attributes};
use crate::route::{ClaimCheckMode, Customer};
use crate::schema::registry::{CANARY, EventType};
use crate::schema::transcode::Transcoder;

/// The key of the schema of the attributes.
pub(super) const ATTRIBUTES: &str = "attributes";

/// Describes an event type as this customer receives it. It is the same for all customers with the same profile. `name` is
/// a name without dots, from which code generators can make the name of a type.
pub(super) fn message(event_type: &EventType, name: &str, customer: &Customer, payload: Reference) -> Value {
    let mut message = json!({
        "name": name,
        "title": event_type.name.rsplit('.').next(),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "allOf": [{"$ref": format!("#/components/schemas/{ATTRIBUTES}")}],
            "properties": {"event-type": {"const": *event_type.name}}
        },
        "payload": payload.schema
    });
    if *event_type.name == *CANARY {
        message["headers"]["properties"][attributes::CANARY] = json!({
            "const": attributes::IS_CANARY,
            "description": "The event is a test event of the platform. Ignore it."
        });
    }
    if let Some(description) = payload.description {
        message["description"] = description;
    }
    if let Some(example) = example(event_type, customer) {
        message["examples"] = json!([example]);
    }
    message
}

/// The maximum size of an example's JSON in bytes, so that a document with hundreds of examples can still be opened.
const MAX_EXAMPLE_BYTES: usize = 256 * 1024;

/// Returns a sample of the type that the codec rendered in the customer's profile. Returns `None` if the codec refuses the
/// sample, for example because the type requires itself in a field, or if its JSON exceeds [`MAX_EXAMPLE_BYTES`].
fn example(event_type: &EventType, customer: &Customer) -> Option<Value> {
    let sample = event_type.sample();
    let mut transcoder = Transcoder::new(event_type, &sample, customer.profile, MAX_EXAMPLE_BYTES).ok()?;
    let json: Arc<String> = transcoder.json(customer.profile, MAX_EXAMPLE_BYTES).ok()?;
    let payload: Value = serde_json::from_str(&json).ok()?;
    let event_id = transcoder.tap(&event_type.taps.event_id).unwrap_or("7c9e6679-7425-40de-944b-e07fc1f90ae7");
    let mut headers = json!({
        "event-id": EventId::new(event_id).as_str(),
        "event-type": *event_type.name,
        "customer-id": *customer.id,
        "event-time": transcoder.tap(&event_type.taps.event_time).unwrap_or("2026-01-15T09:30:00Z"),
        "content-type": "application/json",
        "schema-hash": *event_type.schema_hash,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    });
    if *event_type.name == *CANARY {
        headers[attributes::CANARY] = attributes::IS_CANARY.into();
    }
    Some(json!({"name": "sample", "headers": headers, "payload": payload}))
}

/// Returns what the readers of a channel must know about its claim checks. Returns `None` if it carries none.
pub(super) fn claim_check(mode: ClaimCheckMode) -> Option<String> {
    let which = match mode {
        ClaimCheckMode::Off => return None,
        ClaimCheckMode::On => "A message with the attribute `ExtendedPayloadSize` is",
        ClaimCheckMode::Always => "Every message is",
    };
    Some(format!(
        "{which} a claim check: its payload is stored as an object in S3, and its body is a pointer to it, the JSON array \
         `[\"software.amazon.payloadoffloading.PayloadS3Pointer\", {{\"s3BucketName\": BUCKET, \"s3Key\": KEY}}]`, in the \
         format of the Amazon SQS extended client libraries. The object has the payload that this document describes, in \
         plain UTF-8. The subscription must have raw message delivery."
    ))
}

/// Returns the schema of the attributes. Only documents with claim checks describe the attribute of these.
pub(super) fn attributes(has_claim_checks: bool) -> Value {
    let mut schema = json!({
        "type": "object",
        "description": "SNS message attributes, each of type String.",
        "properties": {
            "event-id": {
                "description": "The same each time the event is delivered; deduplicate on it together with `event-type`.",
                "type": "string", "minLength": 1, "maxLength": 128
            },
            "event-type": {"description": "Full name of the message type.", "type": "string"},
            "customer-id": {"description": "The id of the customer to whom the event belongs.", "type": "string"},
            "event-time": {
                "description": "The time of the event, or, if the event has none, the time at which it was sent to protobridge.",
                "type": "string"
            },
            "content-type": {"const": "application/json"},
            "schema-hash": {"description": "Names the schema of the JSON: events of one type with the same value have the same schema.", "type": "string"},
            "replay": {"description": "The name of the replay that published the event again. Other events do not have it.", "type": "string"},
            "traceparent": {"description": "W3C trace context, if the event belongs to a trace.", "type": "string"},
            "tracestate": {"description": "Vendor-specific data that belongs to `traceparent`.", "type": "string"}
        },
        "required": ["event-id", "event-type", "customer-id", "event-time", "content-type", "schema-hash"]
    });
    if has_claim_checks {
        schema["properties"][attributes::EXTENDED_PAYLOAD_SIZE] = json!({
            "description": "The bytes of the JSON if the body is a pointer to it. Other messages do not have this attribute. \
                Unlike the others, it is of type Number.",
            "type": "string", "pattern": "^[0-9]+$"
        });
    }
    schema
}
