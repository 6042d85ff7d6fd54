//! Rows for tests.

use super::Row;
use super::columns::{COLUMNS, Field};

/// A row with a value in each column, different for each number.
pub(super) fn full(number: u32) -> Row {
    let text = |name: &str| format!("{name}-{number:04}");
    Row {
        event_id: Some(text("event")),
        event_type: Some("shop.v1.OrderPlaced".into()),
        customer: Some("acme".into()),
        topic: Some("arn:aws:sns:eu-west-1:123456789012:json-events-acme".into()),
        queue: "events".into(),
        message_id: text("message"),
        receive_count: number,
        sent_at: i64::from(number),
        received_at: i64::from(number) + 1,
        published_at: Some(i64::from(number) + 2),
        settled_at: i64::from(number) + 3,
        outcome: "published".into(),
        reason: Some("none".into()),
        detail: Some(text("detail")),
        attempts: Some(number),
        throttles: Some(1),
        sns_message_id: Some(text("sns")),
        sequence_number: Some(text("sequence")),
        request_id: Some(text("request")),
        duplicate_cause: Some("producer".into()),
        first_message_id: Some(text("first")),
        schema_hash: Some("abc".into()),
        trace_id: Some(text("trace")),
        replay: Some("incident-7".into()),
        redrive: number.is_multiple_of(2),
        replica: "pod-a".into(),
    }
}

/// A row with as few values as possible, different for each number.
pub(super) fn sparse(number: u32) -> Row {
    Row {
        queue: "events".into(),
        message_id: format!("message-{number:04}"),
        receive_count: 1,
        sent_at: i64::from(number),
        received_at: i64::from(number),
        settled_at: i64::from(number),
        outcome: "retried".into(),
        replica: "pod-b".into(),
        ..Row::default()
    }
}

/// The row as the pipeline records it.
pub(super) fn borrowed(row: &Row) -> Row<&str> {
    let mut borrowed = Row { redrive: row.redrive, ..Row::default() };
    for column in &COLUMNS {
        match column.field {
            Field::Text(field) => {
                if let Some(text) = row.text(field) {
                    borrowed.set_text(field, text.as_str());
                }
            }
            Field::Time(field) => {
                if let Some(time) = row.time(field) {
                    borrowed.set_time(field, time);
                }
            }
            Field::Count(field) => {
                if let Some(count) = row.count(field) {
                    borrowed.set_count(field, count);
                }
            }
            Field::Redrive => {}
        }
    }
    borrowed
}
