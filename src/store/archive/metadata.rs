//! The declaration as metadata of a segment, for readers that do not look at its key, with the lost messages by queue.

use std::str::FromStr;

use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};

use super::{Declaration, Lost};

const PREFIX: &str = "protobridge.";

/// Returns the metadata of a segment.
///
/// # Errors
/// Returns an error if `lost` cannot be written as JSON; this is a defect.
pub(super) fn of_declaration(declaration: &Declaration, lost: &[Lost]) -> Result<Vec<KeyValue>, ParquetError> {
    let Declaration { replica, incarnation, number, from, to, next_by, oldest, rows, lost: _, is_last } = declaration;
    let entry = |name: &str, value: String| KeyValue::new(format!("{PREFIX}{name}"), value);
    let lost = serde_json::to_string(lost).map_err(|error| ParquetError::External(error.into()))?;
    Ok(vec![
        entry("replica", replica.clone()),
        entry("incarnation", incarnation.clone()),
        entry("number", number.to_string()),
        entry("from", from.to_string()),
        entry("to", to.to_string()),
        entry("next_by", next_by.to_string()),
        entry("oldest", oldest.to_string()),
        entry("rows", rows.to_string()),
        entry("lost", lost),
        entry("is_last", is_last.to_string()),
    ])
}

/// Returns the declaration in the metadata of a segment, and the lost messages by queue.
///
/// # Errors
/// Returns an error if the metadata is not that of a segment.
pub(super) fn declaration_of(metadata: &ParquetMetaData) -> Result<(Declaration, Vec<Lost>), ParquetError> {
    let entries = metadata.file_metadata().key_value_metadata();
    let text = |name: &str| {
        let is_wanted = |entry: &&KeyValue| entry.key.strip_prefix(PREFIX) == Some(name);
        let value = entries.and_then(|entries| entries.iter().find(is_wanted)?.value.as_deref());
        value.ok_or_else(|| ParquetError::General(format!("it has no metadata {PREFIX}{name}")))
    };
    let lost: Vec<Lost> = serde_json::from_str(text("lost")?).map_err(|error| wrong("lost", error))?;
    let declaration = Declaration {
        replica: text("replica")?.to_owned(),
        incarnation: text("incarnation")?.to_owned(),
        number: parsed("number", text("number")?)?,
        from: parsed("from", text("from")?)?,
        to: parsed("to", text("to")?)?,
        next_by: parsed("next_by", text("next_by")?)?,
        oldest: parsed("oldest", text("oldest")?)?,
        rows: parsed("rows", text("rows")?)?,
        lost: lost.iter().map(|lost| lost.count).sum(),
        is_last: parsed("is_last", text("is_last")?)?,
    };
    Ok((declaration, lost))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, ParquetError> {
    text.parse().map_err(|error: T::Err| wrong(name, error))
}

fn wrong(name: &str, error: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("its metadata {PREFIX}{name} cannot be read: {error}"))
}
