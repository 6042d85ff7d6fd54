//! One message type with its options, compiled: wire bytes → JSON bytes.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::{Error, ErrorKind, Options, TapError, TapErrorKind, Taps, number, serialize};

/// A message type compiled for transcoding. Immutable, shared between threads, cheap to clone.
#[derive(Debug, Clone)]
pub struct Plan {
    message: MessageDescriptor,
    options: Options,
    taps: Vec<Vec<FieldDescriptor>>,
}

impl Plan {
    pub(crate) fn new(message: MessageDescriptor, options: Options) -> Self {
        Self { message, options, taps: Vec::new() }
    }

    /// Full name of the message type.
    pub fn full_name(&self) -> &str {
        self.message.full_name()
    }

    /// Adds a tap: a path of field names as declared, joined by dots, such as `meta.tenant_id`. Its value is noted by
    /// [`Plan::transcode_tapped`] under the index that counts the taps added before it.
    ///
    /// # Errors
    /// When the path does not lead through singular fields to a single value.
    pub fn with_tap(mut self, path: &str) -> Result<Self, TapError> {
        self.taps.push(compile_tap(&self.message, path)?);
        Ok(self)
    }

    /// Transcodes one payload: appends its ProtoJSON to `json`. On an error `json` is as it was before.
    ///
    /// # Errors
    /// When the payload is malformed, or holds a value that ProtoJSON has no form for.
    pub fn transcode(&self, wire: &[u8], json: &mut Vec<u8>) -> Result<(), Error> {
        let message = self.decode(wire)?;
        self.serialize(&message, json)
    }

    /// As [`Plan::transcode`], and notes the values of the plan's taps. On an error they are empty.
    ///
    /// # Errors
    /// As [`Plan::transcode`].
    pub fn transcode_tapped(&self, wire: &[u8], json: &mut Vec<u8>, taps: &mut Taps) -> Result<(), Error> {
        taps.clear();
        let message = self.decode(wire)?;
        self.serialize(&message, json)?;
        for path in &self.taps {
            taps.push(find(&message, path));
        }
        Ok(())
    }

    fn decode(&self, wire: &[u8]) -> Result<DynamicMessage, Error> {
        DynamicMessage::decode(self.message.clone(), wire).map_err(|error| {
            // prost tells its errors apart by text only.
            let text = error.to_string();
            let kind = if text.contains("UTF-8") {
                ErrorKind::InvalidUtf8
            } else if text.contains("recursion limit") {
                ErrorKind::TooDeep
            } else {
                ErrorKind::Malformed
            };
            let text = text.strip_prefix("failed to decode Protobuf message: ").unwrap_or(&text);
            Error::new(kind, self.full_name(), text)
        })
    }

    fn serialize(&self, message: &DynamicMessage, json: &mut Vec<u8>) -> Result<(), Error> {
        let start = json.len();
        serialize::append(message, &self.options, json).map_err(|error| {
            json.truncate(start);
            Error::new(ErrorKind::Unrenderable, self.full_name(), error.to_string())
        })
    }
}

fn compile_tap(message: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, TapError> {
    let fail = |kind, segment: &str| TapError {
        kind,
        message_type: message.full_name().to_owned(),
        path: path.to_owned(),
        segment: segment.to_owned(),
    };
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    let mut within = Some(message.clone());
    for segment in path.split('.') {
        let Some(inside) = within else {
            let before = fields.last().map_or("", |field| field.name()).to_owned();
            return Err(fail(TapErrorKind::NotMessage, &before));
        };
        let field = inside.get_field_by_name(segment).ok_or_else(|| fail(TapErrorKind::UnknownField, segment))?;
        if field.cardinality() == Cardinality::Repeated {
            return Err(fail(TapErrorKind::Repeated, segment));
        }
        within = field.kind().as_message().cloned();
        fields.push(field);
    }
    match within {
        Some(leaf) if leaf.full_name() == TIMESTAMP => Ok(fields),
        Some(leaf) if is_wrapper(&leaf) => {
            fields.extend(leaf.get_field_by_name("value"));
            Ok(fields)
        }
        Some(_) => Err(fail(TapErrorKind::NotScalar, path.rsplit('.').next().unwrap_or(path))),
        None => Ok(fields),
    }
}

const TIMESTAMP: &str = "google.protobuf.Timestamp";

fn is_wrapper(message: &MessageDescriptor) -> bool {
    message.parent_file().name() == "google/protobuf/wrappers.proto"
}

fn find(message: &DynamicMessage, path: &[FieldDescriptor]) -> Option<String> {
    let (field, rest) = path.split_first()?;
    if !message.has_field(field) {
        return None;
    }
    let value = message.get_field(field);
    match value.as_message() {
        Some(inner) if !rest.is_empty() => find(inner, rest),
        Some(inner) => timestamp_text(inner),
        None => scalar_text(&field.kind(), &value),
    }
}

fn scalar_text(kind: &Kind, value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => number::f32_text(*value),
        Value::F64(value) => number::f64_text(*value),
        Value::String(value) => value.clone(),
        Value::Bytes(value) => BASE64_STANDARD.encode(value),
        Value::EnumNumber(value) => {
            let name = kind.as_enum().and_then(|kind| kind.get_value(*value));
            name.map_or_else(|| value.to_string(), |name| name.name().to_owned())
        }
        Value::Message(_) | Value::List(_) | Value::Map(_) => return None,
    })
}

/// A Timestamp as its ProtoJSON text, without the quotes.
fn timestamp_text(message: &DynamicMessage) -> Option<String> {
    let mut json = Vec::new();
    serialize::append(message, &Options::default(), &mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
