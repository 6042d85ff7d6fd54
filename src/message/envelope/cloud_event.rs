//! CloudEvents in the Protobuf format.
//! <https://github.com/cloudevents/spec/blob/main/cloudevents/formats/protobuf-format.md>

use std::collections::BTreeMap;

use prost::Message as _;

use super::any::Any;
use crate::base::time::{is_rfc3339, rfc3339_of_unix};

/// The attribute with the content type of the data.
const CONTENT_TYPE: &str = "datacontenttype";

/// The attributes of a CloudEvent.
#[derive(Debug, PartialEq, Eq)]
pub struct CloudEvent {
    id: String,
    source: String,
    /// The CloudEvents attribute `type`. It can be the message type of the data.
    kind: String,
    /// The type URL of the data, if the data is an Any.
    type_url: Option<String>,
    /// Whether the data is JSON text.
    is_json: bool,
    /// The optional and extension attributes. The values are converted to text.
    attributes: BTreeMap<String, String>,
}

/// Why a payload is not a CloudEvent with Protobuf or JSON data.
#[derive(Debug, thiserror::Error)]
pub enum CloudEventError {
    /// The payload is not a Protobuf message of this form.
    #[error(transparent)]
    Malformed(#[from] prost::DecodeError),
    /// A required attribute is empty.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// The version is not supported.
    #[error("its `spec_version` is {0:?}, not 1.0")]
    SpecVersion(String),
    /// The data is an Any without a type.
    #[error("its `proto_data` has no `type_url`")]
    ProtoDataWithoutType,
    /// The data is text that is not JSON.
    #[error(
        "its `text_data` has the `datacontenttype` {0:?}, which is not JSON; send the event in `proto_data` or `binary_data`, or as ProtoJSON with `application/json`"
    )]
    TextData(String),
}

/// The message `io.cloudevents.v1.CloudEvent`.
#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    source: String,
    #[prost(string, tag = "3")]
    spec_version: String,
    #[prost(string, tag = "4")]
    kind: String,
    #[prost(btree_map = "string, message", tag = "5")]
    attributes: BTreeMap<String, Attribute>,
    #[prost(oneof = "Data", tags = "6, 7, 8")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Data {
    #[prost(bytes, tag = "6")]
    Binary(Vec<u8>),
    #[prost(string, tag = "7")]
    Text(String),
    #[prost(message, tag = "8")]
    Proto(Any),
}

/// The message `io.cloudevents.v1.CloudEvent.CloudEventAttributeValue`.
#[derive(Clone, PartialEq, prost::Message)]
struct Attribute {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(bool, tag = "1")]
    Boolean(bool),
    #[prost(int32, tag = "2")]
    Integer(i32),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(bytes, tag = "4")]
    Bytes(Vec<u8>),
    #[prost(string, tag = "5")]
    Uri(String),
    #[prost(string, tag = "6")]
    UriRef(String),
    #[prost(message, tag = "7")]
    Timestamp(Timestamp),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Reads a CloudEvent. Returns its data and its attributes.
pub(super) fn read(payload: &[u8]) -> Result<(Vec<u8>, CloudEvent), CloudEventError> {
    let event = Event::decode(payload)?;
    // Every CloudEvent has these four attributes.
    let required =
        [("id", &event.id), ("source", &event.source), ("spec_version", &event.spec_version), ("type", &event.kind)];
    if let Some((name, _)) = required.iter().find(|(_, value)| value.is_empty()) {
        return Err(CloudEventError::Missing(name));
    }
    if !event.spec_version.starts_with("1.") {
        return Err(CloudEventError::SpecVersion(event.spec_version));
    }
    let is_json = matches!(event.data, Some(Data::Text(_)));
    let attributes = event.attributes.into_iter().filter_map(|(name, value)| Some((name, text(value)?)));
    let attributes: BTreeMap<String, String> = attributes.collect();
    let (data, type_url) = match event.data {
        Some(Data::Binary(data)) => (data, None),
        Some(Data::Proto(any)) if any.type_url.is_empty() => return Err(CloudEventError::ProtoDataWithoutType),
        Some(Data::Proto(any)) => (any.value, Some(any.type_url)),
        Some(Data::Text(text)) => match attributes.get(CONTENT_TYPE) {
            Some(content_type) if !names_json(content_type) => {
                return Err(CloudEventError::TextData(content_type.clone()));
            }
            _ => (text.into_bytes(), None),
        },
        // A message without fields has no bytes, and an encoder can leave out empty data.
        None => (Vec::new(), None),
    };
    Ok((data, CloudEvent { id: event.id, source: event.source, kind: event.kind, type_url, is_json, attributes }))
}

/// Whether this is the content type of JSON.
fn names_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

/// Converts an attribute to text, as the JSON format of CloudEvents writes it. Returns `None` for bytes.
fn text(attribute: Attribute) -> Option<String> {
    match attribute.value? {
        Value::Boolean(value) => Some(value.to_string()),
        Value::Integer(value) => Some(value.to_string()),
        Value::String(text) | Value::Uri(text) | Value::UriRef(text) => Some(text),
        Value::Timestamp(time) => {
            let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
            rfc3339_of_unix(time.seconds, nanos)
        }
        Value::Bytes(_) => None,
    }
}

impl CloudEvent {
    /// Returns the id of the event: its source and its id, separated by `|`. A valid source is a URI and contains no `|`.
    /// If a source contains one, it is percent-encoded, so that two events never have the same id.
    pub fn event_id(&self) -> String {
        format!("{}|{}", self.source.replace('|', "%7C"), self.id)
    }

    /// Returns the time of the event in RFC 3339, if the event has a valid `time`.
    pub fn time(&self) -> Option<&str> {
        self.attributes.get("time").map(String::as_str).filter(|time| is_rfc3339(time))
    }

    /// Returns the possible names of the data's message type: `dataschema`, then `type`. The first can be any URI and the
    /// second any text, so use a name only if such a type exists.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        let schema = self.attributes.get("dataschema").map(|uri| uri.rsplit_once('#').map_or(&**uri, |(_, name)| name));
        schema.into_iter().chain([self.kind.as_str()])
    }

    pub(super) fn type_url(&self) -> Option<&str> {
        self.type_url.as_deref()
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.attributes.get(CONTENT_TYPE).map(String::as_str)
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Returns the value of an optional or extension attribute. Names of CloudEvents attributes have only letters and
    /// digits, so `customer-id` also finds `customerid`.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        if let Some(value) = self.attributes.get(name) {
            return Some(value);
        }
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
        self.attributes.get(&plain).map(String::as_str)
    }
}
