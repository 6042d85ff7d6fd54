//! Reading rows of a segment.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use tokio::time::Instant;

use super::Row;
use super::columns::{COLUMNS, Field, Text, Time};
use super::encoding::{decode_attributes, decode_body};
use crate::base::LastSeen;
use crate::config::Framing;
use crate::message::{EventId, Message, OutcomeLabel, Queue, QueueUrl};
use crate::store::parquet::{Parts, column_reader, values};

/// The queues whose messages are read, by label.
pub(super) type Queues = HashMap<String, Arc<Queue>>;

/// The columns of a row, as far as they were read.
#[derive(Debug, Default, Clone)]
struct Draft {
    texts: [Option<String>; Text::Outcome as usize + 1],
    times: [i64; Time::Settled as usize + 1],
    receive_count: u32,
    body: ByteArray,
}

/// Returns rows of a group. Their queues are those of `queues`; other queues have a label only.
///
/// # Errors
/// Returns an error if the segment is damaged, or if `parts` lacks a part of it.
pub(super) fn rows_of_group(
    parts: &Parts,
    metadata: &ParquetMetaData,
    group: usize,
    range: Range<usize>,
    queues: &Queues,
) -> Result<Vec<Row>, ParquetError> {
    let mut drafts = vec![Draft::default(); range.len()];
    for (index, column) in COLUMNS.iter().enumerate() {
        let found = metadata.row_group(group).columns().get(index).map(|found| found.column_descr().name());
        if found.is_none() && !column.is_required {
            // The segment was written before the column existed.
            continue;
        }
        if found != Some(column.name) {
            return Err(ParquetError::General(format!("it has no column {} in place {index}", column.name)));
        }
        let (range, is_required) = (range.clone(), column.is_required);
        match (column_reader(parts, metadata, group, index)?, column.field) {
            (ColumnReader::ByteArrayColumnReader(reader), Field::Text(field)) => {
                for (draft, value) in drafts.iter_mut().zip(values(reader, range, is_required)?) {
                    let text = value.map(|value| value.as_utf8().map(str::to_owned)).transpose()?;
                    draft.texts[field as usize] = text;
                }
            }
            (ColumnReader::ByteArrayColumnReader(reader), Field::Body) => {
                for (draft, value) in drafts.iter_mut().zip(values(reader, range, is_required)?) {
                    draft.body = value.unwrap_or_default();
                }
            }
            (ColumnReader::Int64ColumnReader(reader), Field::Time(field)) => {
                for (draft, value) in drafts.iter_mut().zip(values(reader, range, is_required)?) {
                    draft.times[field as usize] = value.unwrap_or_default();
                }
            }
            (ColumnReader::Int32ColumnReader(reader), Field::ReceiveCount) => {
                for (draft, value) in drafts.iter_mut().zip(values(reader, range, is_required)?) {
                    draft.receive_count = value.and_then(|count| count.try_into().ok()).unwrap_or_default();
                }
            }
            _ => return Err(ParquetError::General(format!("the column {} has another type", column.name))),
        }
    }
    let mut others = Queues::new();
    drafts.into_iter().map(|draft| draft.finish(queues, &mut others)).collect()
}

impl Draft {
    fn finish(mut self, queues: &Queues, others: &mut Queues) -> Result<Row, ParquetError> {
        let received = Instant::now();
        let mut text = |field: Text| self.texts[field as usize].take();
        let mut required = |field: Text| text(field).unwrap_or_default();
        let label = required(Text::Queue);
        let queue = match queues.get(&label).or_else(|| others.get(&label)) {
            Some(queue) => Arc::clone(queue),
            None => Arc::clone(others.entry(label.clone()).or_insert_with(|| Arc::new(unconfigured(label)))),
        };
        let code = required(Text::Outcome);
        let outcome = OutcomeLabel::ALL.into_iter().find(|outcome| outcome.code() == code);
        let outcome = outcome.ok_or_else(|| ParquetError::General(format!("the outcome {code} is not known")))?;
        let message = Message {
            queue,
            message_id: required(Text::MessageId),
            body: decode_body(&self.body, &required(Text::BodyEncoding))?,
            attributes: decode_attributes(&required(Text::Attributes))?,
            sent: time(self.times[Time::Sent as usize]),
            first_received: time(self.times[Time::FirstReceived as usize]),
            received,
            receive_count: self.receive_count,
            group: text(Text::Group),
            deduplication_id: text(Text::DeduplicationId),
            sequence_number: text(Text::SequenceNumber),
            trace_header: text(Text::TraceHeader),
        };
        Ok(Row {
            message: Arc::new(message),
            received_at: self.times[Time::Received as usize],
            settled_at: self.times[Time::Settled as usize],
            outcome,
            event_id: text(Text::EventId).map(|id| EventId::new(&id)),
            event_type: text(Text::EventType).map(Into::into),
            customer: text(Text::Customer).map(Into::into),
            schema_hash: text(Text::SchemaHash).map(Into::into),
        })
    }
}

/// Returns the queue of messages that came from a queue which is not configured any more.
fn unconfigured(label: String) -> Queue {
    Queue {
        url: QueueUrl::from(""),
        label,
        default_type: None,
        framing: Framing::default(),
        quarantine: None,
        last_event: LastSeen::default(),
    }
}

fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.max(0).unsigned_abs())
}
