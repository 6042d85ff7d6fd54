//! Writing a segment: rows in the order of their positions, column by column, as Parquet.
//!
//! A segment has row groups of about 4 MiB, and its bodies are in pages of about 64 KiB with an index, so that a reader
//! of many segments needs a small part of each in memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::columns::{BODY, COLUMNS, Column, Field, Text, Time};
use super::encoding::{encode_attributes, encode_body};
use super::metadata::of_declaration;
use super::{Declaration, Lost, Position, Row};
use crate::base::time::unix_micros;
use crate::message::EventId;
use crate::store::parquet::leveled;

/// The bytes of bodies and attributes after which a row group ends.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// The bytes of bodies after which a page ends.
const PAGE_BYTES: usize = 64 * 1024;

/// A row with its columns that need more than a copy.
struct Encoded<'r> {
    position: Position,
    row: &'r Row,
    body: ByteArray,
    body_encoding: &'static str,
    attributes: String,
}

/// Writes rows as a segment. The rows can have any order. `lost` are the messages that the declaration counts as lost.
///
/// # Errors
/// Returns an error if the Parquet library refuses the rows; this is a defect.
pub fn write(rows: &[Row], declaration: &Declaration, lost: &[Lost]) -> Result<Bytes, ParquetError> {
    let rows = sorted(rows)?;
    let mut file = SerializedFileWriter::new(Vec::new(), schema()?, properties(declaration, lost)?)?;
    let size = |row: &Encoded<'_>| row.body.len() + row.attributes.len();
    for range in parts(&rows, GROUP_BYTES, size) {
        let rows = &rows[range];
        let mut group = file.next_row_group()?;
        let mut columns = COLUMNS.iter();
        while let (Some(mut writer), Some(column)) = (group.next_column()?, columns.next()) {
            write_column(writer.untyped(), column, rows)?;
            writer.close()?;
        }
        group.close()?;
    }
    Ok(file.into_inner()?.into())
}

fn sorted(rows: &[Row]) -> Result<Vec<Encoded<'_>>, ParquetError> {
    let mut encoded: Vec<Encoded<'_>> = rows.iter().map(Encoded::new).collect::<Result<_, _>>()?;
    encoded.sort_by(|one, other| one.position.cmp(&other.position));
    Ok(encoded)
}

/// Splits rows into parts of about this size.
fn parts<T>(rows: &[T], bytes: usize, size: impl Fn(&T) -> usize) -> Vec<Range<usize>> {
    let (mut parts, mut begin, mut filled) = (Vec::new(), 0, 0);
    for (row, end) in rows.iter().zip(1..) {
        filled += size(row);
        if filled >= bytes || end == rows.len() {
            parts.push(begin..end);
            (begin, filled) = (end, 0);
        }
    }
    parts
}

fn write_column(writer: &mut ColumnWriter<'_>, column: &Column, rows: &[Encoded<'_>]) -> Result<(), ParquetError> {
    match (writer, column.field) {
        (ColumnWriter::ByteArrayColumnWriter(writer), Field::Text(field)) => {
            let texts = rows.iter().map(|row| row.text(field).map(ByteArray::from));
            let (values, levels) = leveled(texts, column.is_required);
            writer.write_batch(&values, levels.as_deref(), None)?;
        }
        (ColumnWriter::ByteArrayColumnWriter(writer), Field::Body) => {
            // The library ends a page between two calls.
            for part in parts(rows, PAGE_BYTES, |row| row.body.len()) {
                let values: Vec<ByteArray> = rows[part].iter().map(|row| row.body.clone()).collect();
                writer.write_batch(&values, None, None)?;
            }
        }
        (ColumnWriter::Int64ColumnWriter(writer), Field::Time(field)) => {
            let values: Vec<i64> = rows.iter().map(|row| row.time(field)).collect();
            writer.write_batch(&values, None, None)?;
        }
        (ColumnWriter::Int32ColumnWriter(writer), Field::ReceiveCount) => {
            let count = |row: &Encoded<'_>| i32::try_from(row.row.message.receive_count).unwrap_or(i32::MAX);
            let values: Vec<i32> = rows.iter().map(count).collect();
            writer.write_batch(&values, None, None)?;
        }
        _ => return Err(ParquetError::General(format!("the column {} has another type", column.name))),
    }
    Ok(())
}

impl<'r> Encoded<'r> {
    fn new(row: &'r Row) -> Result<Self, ParquetError> {
        let (body, body_encoding) = encode_body(&row.message.body);
        let attributes = encode_attributes(&row.message.attributes)?;
        Ok(Self { position: row.position(), row, body, body_encoding, attributes })
    }

    fn text(&self, field: Text) -> Option<&str> {
        let message = &self.row.message;
        match field {
            Text::Queue => Some(&message.queue.label),
            Text::MessageId => Some(&message.message_id),
            Text::Group => message.group.as_deref(),
            Text::DeduplicationId => message.deduplication_id.as_deref(),
            Text::SequenceNumber => message.sequence_number.as_deref(),
            Text::TraceHeader => message.trace_header.as_deref(),
            Text::BodyEncoding => Some(self.body_encoding),
            Text::Attributes => Some(&self.attributes),
            Text::EventId => self.row.event_id.as_ref().map(EventId::as_str),
            Text::EventType => self.row.event_type.as_deref(),
            Text::Customer => self.row.customer.as_deref(),
            Text::SchemaHash => self.row.schema_hash.as_deref(),
            Text::Outcome => Some(self.row.outcome.code()),
        }
    }

    fn time(&self, field: Time) -> i64 {
        match field {
            Time::Sent => self.position.sent_at,
            Time::FirstReceived => unix_micros(self.row.message.first_received),
            Time::Received => self.row.received_at,
            Time::Settled => self.row.settled_at,
        }
    }
}

/// Returns the schema of all segments.
fn schema() -> Result<TypePtr, ParquetError> {
    let field = |Column { name, field, is_required }: &Column| {
        let repetition = if *is_required { "required" } else { "optional" };
        match field {
            Field::Text(_) => format!("{repetition} binary {name} (STRING);"),
            Field::Time(_) => format!("{repetition} int64 {name} (TIMESTAMP(MICROS,true));"),
            Field::ReceiveCount => format!("{repetition} int32 {name};"),
            Field::Body => format!("{repetition} binary {name};"),
        }
    };
    let fields: Vec<String> = COLUMNS.iter().map(field).collect();
    Ok(Arc::new(parse_message_type(&format!("message archive {{ {} }}", fields.join(" ")))?))
}

fn properties(declaration: &Declaration, lost: &[Lost]) -> Result<WriterPropertiesPtr, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("protobridge ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None)
        .set_column_data_page_size_limit(ColumnPath::from(COLUMNS[BODY].name), PAGE_BYTES)
        .set_key_value_metadata(Some(of_declaration(declaration, lost)?));
    for column in &COLUMNS {
        let path = ColumnPath::from(column.name);
        let has_statistics = matches!(
            column.field,
            Field::Text(Text::Queue | Text::EventType | Text::EventId) | Field::Time(Time::Sent | Time::Settled)
        );
        if has_statistics {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk);
        }
        properties = match column.field {
            Field::Time(_) => properties
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                .set_column_dictionary_enabled(path, false),
            Field::ReceiveCount
            | Field::Text(
                Text::Queue
                | Text::EventType
                | Text::Customer
                | Text::SchemaHash
                | Text::Outcome
                | Text::Group
                | Text::BodyEncoding,
            ) => properties,
            Field::Body | Field::Text(_) => properties.set_column_dictionary_enabled(path, false),
        };
    }
    Ok(Arc::new(properties.build()))
}

#[cfg(test)]
mod tests;
