//! Rows for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::time::Instant;

use super::{Declaration, Lost, Row, Stored, segment};
use crate::config;
use crate::message::{EventId, Message, OutcomeLabel, Queue};
use crate::store::{Object, Store};

fn at(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs())
}

/// The queue with this name.
pub(crate) fn queue(label: &str) -> Arc<Queue> {
    let url = format!("https://sqs.eu-west-1.amazonaws.com/1/{label}");
    Arc::new(Queue::from(&config::Queue { url, ..Default::default() }))
}

/// A row with as few values as possible.
pub(crate) fn sparse(id: &str, sent_at: i64, settled_at: i64) -> Row {
    let message = Message {
        message_id: id.into(),
        sent: at(sent_at),
        first_received: at(sent_at),
        received: Instant::now(),
        ..Message::for_tests(Queue::for_tests(), "hello", &[], None)
    };
    Row {
        message: Arc::new(message),
        received_at: settled_at,
        settled_at,
        outcome: OutcomeLabel::Quarantined,
        event_id: None,
        event_type: None,
        customer: None,
        schema_hash: None,
    }
}

/// A row with a value in each column, different for each number, and ten attributes of all kinds.
pub(crate) fn full(number: u32, body: &str) -> Row {
    let text = |name: &str| format!("{name}-{number:04}");
    let value = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    let mut attributes: Vec<(String, MessageAttributeValue)> = (0..7)
        .map(|index| (format!("name-{index}"), value("String").string_value(text("ä \"€\"\n")).build().unwrap()))
        .collect();
    attributes.push(("bytes".into(), value("Binary").binary_value(Blob::new([0, 255, 7])).build().unwrap()));
    attributes.push(("png".into(), value("Binary.png").binary_value(Blob::new([])).build().unwrap()));
    attributes.push(("number".into(), value("Number.int").string_value(number.to_string()).build().unwrap()));
    let sent_at = i64::from(number) * 1_000;
    let message = Message {
        queue: queue("orders.fifo"),
        message_id: text("message"),
        body: body.into(),
        attributes: attributes.into_iter().collect(),
        sent: at(sent_at),
        first_received: at(sent_at + 1_000),
        received: Instant::now(),
        receive_count: number + 1,
        group: Some(text("group")),
        deduplication_id: Some(text("dedup")),
        sequence_number: Some(format!("188800000000000{number:05}")),
        trace_header: Some("Root=1-5759e988-bd862e3fe1be46a994272793".into()),
    };
    Row {
        message: Arc::new(message),
        received_at: sent_at + 2_001,
        settled_at: sent_at + 3_002,
        outcome: OutcomeLabel::Published,
        event_id: Some(EventId::new(&text("event"))),
        event_type: Some("shop.v1.OrderPlaced".into()),
        customer: Some("acme".into()),
        schema_hash: Some("sha256:abc".into()),
    }
}

/// All of a row that a segment keeps, as text that can be compared.
pub(crate) fn kept(row: &Row) -> String {
    let Row { message, received_at, settled_at, outcome, event_id, event_type, customer, schema_hash } = row;
    let mut attributes: Vec<_> = message.attributes.iter().collect();
    attributes.sort_by_key(|(name, _)| *name);
    let Message { queue, message_id, body, sent, first_received, receive_count, group, deduplication_id, .. } =
        &**message;
    let Message { sequence_number, trace_header, .. } = &**message;
    format!(
        "{} {message_id} {body:?} {attributes:?} {sent:?} {first_received:?} {receive_count} {group:?} \
         {deduplication_id:?} {sequence_number:?} {trace_header:?} {received_at} {settled_at} {outcome:?} {event_id:?} \
         {event_type:?} {customer:?} {schema_hash:?}",
        queue.label
    )
}

/// The declaration of a segment with these rows that covers the time from one second to another.
pub(crate) fn declared(rows: &[Row], number: u64, (from, to): (i64, i64)) -> Declaration {
    let from = from * 1_000_000;
    Declaration {
        replica: "pod-a".into(),
        incarnation: "1a".into(),
        number,
        from,
        to: to * 1_000_000,
        next_by: (to + 120) * 1_000_000,
        oldest: rows.iter().map(|row| row.position().sent_at).min().unwrap_or(from),
        rows: rows.len() as u64,
        lost: 0,
        is_last: false,
    }
}

/// Writes a segment, and stores it.
pub(crate) async fn stored(store: &Store, rows: &[Row], declaration: &Declaration, lost: &[Lost]) -> Stored {
    let bytes = segment::write(rows, declaration, lost).unwrap();
    let object = Object { key: declaration.key(), size: bytes.len() as u64, modified: UNIX_EPOCH };
    store.put(&object.key, bytes).await.unwrap();
    Stored { declaration: declaration.clone(), object }
}
