//! Test cases of a configuration: a message, and the expected result. `protobridge test` runs them, and `protobridge
//! explain` explains one.

mod diff;
mod expect;
mod payload;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use strict_config::{Position, Positions, Problem};
use tokio::time::Instant;

use crate::app::Offline;
use crate::delivery::dry_run::{Answers, Forecast};
use crate::message::Message;
use crate::message::envelope;
use crate::schema::confluent::{SchemaEntry, Schemas};
pub(super) use diff::Difference;
pub(super) use expect::{Expect, actual, claim_check};
pub(super) use payload::{Payload, Source};

/// The message id of every case.
pub(super) const MESSAGE_ID: &str = "00000000-0000-4000-8000-000000000000";
/// The time at which the message of every case was sent, in seconds since the Unix epoch: 2026-01-01T00:00:00Z.
const SENT: Duration = Duration::from_secs(1_767_225_600);

/// The content of a test file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The cases.
    #[serde(default)]
    cases: Vec<Case>,
}

/// One case: a message, and the expected result.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Case {
    /// The name, for people. Each name is given once per file.
    pub(super) name: String,
    /// The name or the URL of the queue. Default: the only queue.
    pub(super) queue: Option<String>,
    /// The full name of the message type. It is the value of the type attribute, unless `attributes` has one.
    r#type: Option<String>,
    /// The payload, which is the body in base64.
    payload: Option<Payload>,
    /// The body as it is, instead of a payload.
    body: Option<String>,
    /// The message attributes. A text is a String; `{type: Binary, value: <base64>}` has another type.
    attributes: BTreeMap<String, Value>,
    /// The message group.
    group: Option<String>,
    /// The time since the message was received for the first time, in seconds. It tests the grace period.
    waited_seconds: u64,
    /// The answers to the lookups of the message.
    lookups: Lookups,
    /// The expected result.
    pub(super) expect: Option<Expect>,
}

/// The answers to the lookups of a message.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Lookups {
    /// The payloads in S3 by the address of the object, such as `s3://bucket/key`. `missing: true` is an object that does
    /// not exist.
    objects: BTreeMap<String, Payload>,
    /// The schemas of Confluent's wire format, as in `confluent.schemas_file`.
    schemas: Vec<SchemaEntry>,
}

/// A test file that was loaded.
#[derive(Debug)]
pub(super) struct TestFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) cases: Vec<Case>,
    positions: Positions,
}

/// Why a case cannot be run. The key names the value at fault, relative to the case.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) key: String,
    pub(super) message: String,
}

impl Unusable {
    pub(super) fn new(key: impl Into<String>, message: impl ToString) -> Self {
        Self { key: key.into(), message: message.to_string() }
    }
}

impl TestFile {
    /// Reads a test file.
    pub(super) fn load(path: &Path) -> Result<Self, strict_config::Error> {
        let unreadable = |error| strict_config::Error::unreadable(path, error, "");
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, text)
    }

    /// Parses the text of a test file.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self, strict_config::Error> {
        let (content, positions) = strict_config::document_with_positions::<Content>(path, &text, problems)?;
        Ok(Self { path: path.to_owned(), text, cases: content.cases, positions })
    }

    /// Returns the position of a key of a case, or of the nearest key above it. An empty key is the case.
    pub(super) fn position(&self, case: usize, key: &str) -> Option<Position> {
        let dot = if key.is_empty() { "" } else { "." };
        self.positions.of(&format!("cases[{case}]{dot}{key}"))
    }

    /// Returns the folder in which relative paths start.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// Returns the problems of a test file.
fn problems(content: &Content) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for (index, case) in content.cases.iter().enumerate() {
        let mut report = |key: &str, message: &str| {
            problems.push(Problem::new(format!("cases[{index}].{key}"), message));
        };
        if case.name.is_empty() {
            report("name", "is empty or missing; say in a few words what the case shows");
        } else if !names.insert(&case.name) {
            report("name", "another case of this file has this name");
        }
        match (&case.payload, &case.body) {
            (Some(_), Some(_)) => report("body", "a case has either `payload` or `body`"),
            (None, None) => {
                report("payload", "is missing; a case has `payload`, or `body` for the text of the message");
            }
            (Some(payload), None) if payload.is_missing() => {
                report("payload.missing", "is for objects under `lookups` only");
            }
            (Some(payload), None) => {
                if let Err(message) = payload.check() {
                    report("payload", message);
                }
            }
            (None, Some(_)) => {}
        }
        for (name, value) in &case.attributes {
            if let Err(message) = attribute(value) {
                report(&format!("attributes.{name}"), &message);
            }
        }
        for (address, object) in &case.lookups.objects {
            if let Err(message) = object.check() {
                report(&format!("lookups.objects.{address}"), message);
            }
        }
    }
    problems
}

/// Returns the attribute of this value: a text, or a mapping with `type` and `value`.
fn attribute(value: &Value) -> Result<MessageAttributeValue, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(boolean) => Ok(boolean.to_string()),
        _ => Err("expected a text, or {type: …, value: …}".to_owned()),
    };
    let (kind, value) = match value {
        Value::Object(fields) => {
            if let Some(other) = fields.keys().find(|key| !["type", "value"].contains(&key.as_str())) {
                return Err(format!("`{other}` is an unknown key; an attribute has `type` and `value`"));
            }
            (text(fields.get("type").unwrap_or(&"String".into()))?, text(fields.get("value").unwrap_or(&Value::Null))?)
        }
        value => ("String".to_owned(), text(value)?),
    };
    let is_binary = kind.starts_with("Binary");
    let attribute = MessageAttributeValue::builder().data_type(kind);
    let attribute = if is_binary {
        let bytes = envelope::decode_base64(&value).map_err(|error| format!("the value is not base64: {error}"))?;
        attribute.binary_value(Blob::new(bytes))
    } else {
        attribute.string_value(value)
    };
    attribute.build().map_err(|error| error.to_string())
}

impl Case {
    /// Runs the case: decides about its message as the service does. Relative paths start in `folder`.
    ///
    /// # Errors
    /// Returns an error that names the key at fault if the case has no message that can be decided about.
    pub(super) fn run(&self, offline: &Offline, folder: &Path) -> Result<Forecast, Unusable> {
        let message = self.message(offline, folder)?;
        let (answers, schemas) = self.answers(offline, folder)?;
        offline
            .forecast(&message, &answers, schemas.as_ref())
            .map_err(|unanswered| Unusable::new("lookups", format!("{unanswered}; give the answer under `lookups`")))
    }

    /// Returns the message of the case. Relative paths start in `folder`.
    ///
    /// # Errors
    /// Returns an error that names the key at fault.
    pub(super) fn message(&self, offline: &Offline, folder: &Path) -> Result<Message, Unusable> {
        let queue = offline.queue(self.queue.as_deref()).map_err(|error| Unusable::new("queue", error))?;
        let mut attributes = HashMap::new();
        for (name, value) in &self.attributes {
            let value = attribute(value).map_err(|message| Unusable::new(format!("attributes.{name}"), message))?;
            attributes.insert(name.clone(), value);
        }
        let type_attribute = &offline.config().envelope.type_attribute;
        if let (Some(name), false) = (&self.r#type, attributes.contains_key(type_attribute)) {
            let value = attribute(&name.as_str().into()).map_err(|message| Unusable::new("type", message))?;
            attributes.insert(type_attribute.clone(), value);
        }
        let body = match (&self.payload, &self.body) {
            (Some(payload), _) => {
                let name = self.r#type.as_deref().or(queue.default_type.as_deref());
                let source = Source { offline, folder, message_type: name, framing: queue.framing };
                BASE64_STANDARD.encode(payload.bytes(&source, "payload")?)
            }
            (None, body) => body.clone().unwrap_or_default(),
        };
        Ok(Message {
            queue,
            message_id: MESSAGE_ID.to_owned(),
            body,
            attributes,
            sent: SystemTime::UNIX_EPOCH + SENT,
            received: Instant::now(),
            first_received: SystemTime::now() - Duration::from_secs(self.waited_seconds),
            receive_count: 1,
            group: self.group.clone(),
            deduplication_id: None,
            sequence_number: None,
            trace_header: None,
        })
    }

    fn answers(&self, offline: &Offline, folder: &Path) -> Result<(Answers, Option<Schemas>), Unusable> {
        Ok((self.objects(offline, folder)?, self.schemas(offline)?))
    }

    /// Returns the S3 objects that the case gives. Relative paths start in `folder`.
    ///
    /// # Errors
    /// Returns an error that names the key at fault.
    pub(super) fn objects(&self, offline: &Offline, folder: &Path) -> Result<Answers, Unusable> {
        let mut answers = Answers::default();
        for (address, payload) in &self.lookups.objects {
            let key = format!("lookups.objects.{address}");
            let framing = offline.queue(self.queue.as_deref()).map(|queue| queue.framing).unwrap_or_default();
            let source = Source { offline, folder, message_type: self.r#type.as_deref(), framing };
            let object = match payload.is_missing() {
                true => None,
                false => Some(BASE64_STANDARD.encode(payload.bytes(&source, &key)?).into_bytes()),
            };
            answers.objects.insert(address.clone(), object);
        }
        Ok(answers)
    }

    /// Returns the known Confluent schemas together with those that the case gives; `None` if it gives none.
    ///
    /// # Errors
    /// Returns an error that names the key at fault.
    pub(super) fn schemas(&self, offline: &Offline) -> Result<Option<Schemas>, Unusable> {
        let schemas = &self.lookups.schemas;
        if schemas.is_empty() {
            return Ok(None);
        }
        let known = offline.schemas_with(schemas.clone()).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Unusable::new("lookups.schemas", all.join("; "))
        })?;
        known.map(Some).map_err(|error| Unusable::new("lookups.schemas", error))
    }
}

#[cfg(test)]
pub(super) mod tests;
