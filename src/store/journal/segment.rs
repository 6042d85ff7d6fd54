//! Writing a segment: rows sorted by event id, column by column, as Parquet.
//!
//! A segment has row groups of about 16,000 rows; the rows of one event are never split among two. It has minimum,
//! maximum and a page index for event ids, and Bloom filters for the ids of SQS and SNS, so that a lookup reads at most
//! three ranges of it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};

use super::Declaration;
use super::chunk::{Sealed, Texts};
use super::columns::{COLUMNS, Column, Field, Text, Time};
use crate::store::parquet::leveled;

/// The number of rows after which a row group ends with the next event.
const GROUP_ROWS: usize = 16_000;

/// The number of rows of one page of event ids: what a lookup reads to find an event.
const PAGE_ROWS: usize = 1_024;

/// The share of row groups for which a Bloom filter is wrong, in the direction that costs a read.
const FALSE_POSITIVES: f64 = 0.001;

/// The position of a row: its chunk, and its place there.
type Place = (u32, u32);

/// Writes the rows of chunks as a segment.
///
/// # Errors
/// Returns an error if the Parquet library refuses the rows; this is a defect.
pub(super) fn write(chunks: &[Arc<Sealed>], declaration: &Declaration) -> Result<Bytes, ParquetError> {
    let order = sorted(chunks);
    let schema = schema()?;
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties(declaration))?;
    for range in groups(chunks, &order) {
        let places = &order[range];
        let mut group = file.next_row_group()?;
        let mut columns = COLUMNS.iter();
        while let (Some(mut writer), Some(column)) = (group.next_column()?, columns.next()) {
            write_column(writer.untyped(), column, chunks, places)?;
            writer.close()?;
        }
        group.close()?;
    }
    Ok(file.into_inner()?.into())
}

/// Returns the places of all rows in the order of their event ids; rows without one come first.
fn sorted(chunks: &[Arc<Sealed>]) -> Vec<Place> {
    // Most ids differ in their first bytes.
    let prefix = |id: &[u8]| {
        let (mut prefix, length) = ([0; 16], id.len().min(16));
        prefix[..length].copy_from_slice(&id[..length]);
        u128::from_be_bytes(prefix)
    };
    let id = |(chunk, row): Place| chunks[chunk as usize].event_id(row as usize);
    let places = chunks.iter().zip(0..).flat_map(|(chunk, index)| (0..chunk.len() as u32).map(move |row| (index, row)));
    let mut keyed: Vec<(u128, Place)> = places.map(|place| (id(place).map_or(0, prefix), place)).collect();
    keyed.sort_unstable_by(|(one, place), (other, other_place)| {
        one.cmp(other).then_with(|| id(*place).cmp(&id(*other_place))).then_with(|| place.cmp(other_place))
    });
    keyed.into_iter().map(|(_, place)| place).collect()
}

/// Returns the row groups.
fn groups(chunks: &[Arc<Sealed>], order: &[Place]) -> Vec<Range<usize>> {
    let id = |index: usize| {
        let (chunk, row) = order[index];
        chunks[chunk as usize].event_id(row as usize)
    };
    let (mut groups, mut begin) = (Vec::new(), 0);
    while begin < order.len() {
        let mut end = (begin + GROUP_ROWS).min(order.len());
        while end < order.len() && id(end).is_some() && id(end) == id(end - 1) {
            end += 1;
        }
        groups.push(begin..end);
        begin = end;
    }
    groups
}

fn write_column(
    writer: &mut ColumnWriter<'_>,
    column: &Column,
    chunks: &[Arc<Sealed>],
    places: &[Place],
) -> Result<(), ParquetError> {
    let at = |&(chunk, row): &Place| (&*chunks[chunk as usize], row as usize);
    let rows = places.iter().map(at);
    let is_required = column.is_required;
    match (writer, column.field) {
        (ColumnWriter::ByteArrayColumnWriter(writer), Field::Text(field)) => {
            let texts = Texts::of(field);
            let (values, levels) =
                leveled(rows.map(|(chunk, row)| chunk.text(row, texts).map(ByteArray::from)), is_required);
            writer.write_batch(&values, levels.as_deref(), None)?;
        }
        (ColumnWriter::Int64ColumnWriter(writer), Field::Time(field)) => {
            let (values, levels) = leveled(rows.map(|(chunk, row)| chunk.time(row, field)), is_required);
            writer.write_batch(&values, levels.as_deref(), None)?;
        }
        (ColumnWriter::Int32ColumnWriter(writer), Field::Count(field)) => {
            let count = |count| i32::try_from(count).unwrap_or(i32::MAX);
            let (values, levels) = leveled(rows.map(|(chunk, row)| chunk.count(row, field).map(count)), is_required);
            writer.write_batch(&values, levels.as_deref(), None)?;
        }
        (ColumnWriter::BoolColumnWriter(writer), Field::Redrive) => {
            let values: Vec<bool> = rows.map(|(chunk, row)| chunk.is_redriven(row)).collect();
            writer.write_batch(&values, None, None)?;
        }
        _ => return Err(ParquetError::General(format!("the column {} has another type", column.name))),
    }
    Ok(())
}

/// Returns the schema of all segments.
///
/// # Errors
/// Returns an error if the library does not know a type; this is a defect.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    let field = |Column { name, field, is_required }: &Column| {
        let repetition = if *is_required { "required" } else { "optional" };
        match field {
            Field::Text(_) => format!("{repetition} binary {name} (STRING);"),
            Field::Time(_) => format!("{repetition} int64 {name} (TIMESTAMP(MICROS,true));"),
            Field::Count(_) => format!("{repetition} int32 {name};"),
            Field::Redrive => format!("{repetition} boolean {name};"),
        }
    };
    let fields: Vec<String> = COLUMNS.iter().map(field).collect();
    Ok(Arc::new(parse_message_type(&format!("message journal {{ {} }}", fields.join(" ")))?))
}

fn properties(declaration: &Declaration) -> WriterPropertiesPtr {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("protobridge ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_row_count(None)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_key_value_metadata(Some(metadata(declaration)));
    for column in &COLUMNS {
        let path = ColumnPath::from(column.name);
        properties = match column.field {
            Field::Text(Text::EventId) => properties
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
                .set_column_data_page_row_count_limit(path.clone(), PAGE_ROWS)
                .set_column_dictionary_enabled(path, false),
            Field::Text(Text::MessageId | Text::SnsMessageId) => properties
                .set_column_bloom_filter_fpp(path.clone(), FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(path.clone(), GROUP_ROWS as u64)
                .set_column_dictionary_enabled(path, false),
            Field::Text(field) if matches!(Texts::of(field), Texts::Own(_)) => {
                properties.set_column_dictionary_enabled(path, false)
            }
            Field::Text(Text::EventType | Text::Customer | Text::Outcome | Text::Queue) | Field::Count(_) => {
                properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk)
            }
            Field::Time(time) => {
                let statistics =
                    if time == Time::Published { EnabledStatistics::None } else { EnabledStatistics::Chunk };
                properties
                    .set_column_statistics_enabled(path.clone(), statistics)
                    .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                    .set_column_dictionary_enabled(path, false)
            }
            Field::Text(_) | Field::Redrive => properties,
        };
    }
    Arc::new(properties.build())
}

/// Returns the declaration as metadata of the file, for readers that do not look at its key.
fn metadata(declaration: &Declaration) -> Vec<KeyValue> {
    let Declaration { replica, incarnation, number, from, to, next_by, rows, dropped, is_last } = declaration;
    let entry = |name: &str, value: String| KeyValue::new(format!("protobridge.{name}"), value);
    vec![
        entry("replica", replica.clone()),
        entry("incarnation", incarnation.clone()),
        entry("number", number.to_string()),
        entry("from", from.to_string()),
        entry("to", to.to_string()),
        entry("next_by", next_by.to_string()),
        entry("rows", rows.to_string()),
        entry("dropped", dropped.to_string()),
        entry("is_last", is_last.to_string()),
    ]
}
