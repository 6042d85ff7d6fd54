//! The payload of a case, in one of several spellings.

mod text;

use std::path::Path;

use prost::encoding::{WireType, encode_key, encode_varint};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use strict_config::nearest;

use super::Unusable;
use crate::app::Offline;
use crate::config::Framing;
use crate::message::envelope;

/// A payload. Exactly one of the keys is set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::cli) struct Payload {
    /// The event as Protobuf JSON. It is checked strictly against the descriptor sets.
    pub(in crate::cli) json: Option<Value>,
    /// The event in the text format of Protobuf. It is checked strictly against the descriptor sets.
    pub(in crate::cli) text: Option<String>,
    /// The bytes of the payload in base64.
    pub(in crate::cli) base64: Option<String>,
    /// The bytes of the payload in hexadecimal digits. White space is ignored.
    pub(in crate::cli) hex: Option<String>,
    /// The file that has the bytes of the payload. A relative path starts at the folder of the test file.
    pub(in crate::cli) file: Option<String>,
    /// Whether there is no such object. Only for objects under `lookups`.
    missing: bool,
}

/// The files and the type that a payload is read with.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Source<'s> {
    pub(in crate::cli) offline: &'s Offline,
    /// The folder in which relative paths start.
    pub(in crate::cli) folder: &'s Path,
    /// The name of the message type, for the spellings that require one.
    pub(in crate::cli) message_type: Option<&'s str>,
    /// The framing that the queue requires.
    pub(in crate::cli) framing: Framing,
}

impl Payload {
    /// Checks that exactly one key is set.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Self { json, text, base64, hex, file, missing } = self;
        let set = [json.is_some(), text.is_some(), base64.is_some(), hex.is_some(), file.is_some(), *missing];
        match set.iter().filter(|set| **set).count() {
            1 => Ok(()),
            _ => Err("a payload has exactly one of `json`, `text`, `base64`, `hex` and `file`"),
        }
    }

    /// Whether there is no object with this payload.
    pub(super) fn is_missing(&self) -> bool {
        self.missing
    }

    /// Returns the bytes of the payload. `key` names the payload in errors.
    pub(in crate::cli) fn bytes(&self, source: &Source<'_>, key: &str) -> Result<Vec<u8>, Unusable> {
        let at = |spelling: &str| format!("{key}.{spelling}");
        if let Some(json) = &self.json {
            let text = json.to_string();
            let event = source.event_type(&at("json"))?.wire_from_json(text.as_bytes()).map_err(|error| {
                let path = path_at(&text, error.position().1);
                Unusable::new(at("json") + &path, without_position(&error.to_string()))
            })?;
            return source.framed(event, &at("json"));
        }
        if let Some(text) = &self.text {
            let event = text::wire(source.offline.snapshot(), source.event_type(&at("text"))?, text);
            return source.framed(event.map_err(|error| Unusable::new(at("text"), error))?, &at("text"));
        }
        if let Some(text) = &self.base64 {
            return envelope::decode_base64(text).map_err(|error| Unusable::new(at("base64"), error));
        }
        if let Some(digits) = &self.hex {
            let digits: String = digits.split_whitespace().collect();
            return hex::decode(digits).map_err(|error| Unusable::new(at("hex"), error));
        }
        let path = source.folder.join(self.file.as_deref().unwrap_or_default());
        std::fs::read(&path).map_err(|error| Unusable::new(at("file"), format!("{}: {error}", path.display())))
    }
}

impl Source<'_> {
    fn event_type(&self, key: &str) -> Result<&crate::schema::registry::EventType, Unusable> {
        let Some(name) = self.message_type else {
            let message = "this spelling requires the type of the event; set `type`";
            return Err(Unusable::new(key, message));
        };
        let snapshot = self.offline.snapshot();
        snapshot.find(name).map(|known| &**known).ok_or_else(|| {
            let hint = match nearest(name, snapshot.type_names()) {
                Some(near) => format!("; did you mean {near}?"),
                None => String::new(),
            };
            Unusable::new("type", snapshot.why_unknown(name) + &hint)
        })
    }

    /// Adds the frame that the queue requires.
    fn framed(&self, event: Vec<u8>, key: &str) -> Result<Vec<u8>, Unusable> {
        match self.framing {
            Framing::None => Ok(event),
            Framing::Any => {
                let url = format!("type.googleapis.com/{}", self.message_type.unwrap_or_default());
                Ok(any(&url, &event))
            }
            Framing::Delimited => Ok(delimited(event)),
            framing @ (Framing::CloudEvents | Framing::Confluent | Framing::Glue) => {
                let message = format!(
                    "the queue has `framing: {}`, so the payload must have a frame; give the bytes as `base64`, `hex` \
                     or `file`",
                    serde_json::to_value(framing).ok().as_ref().and_then(Value::as_str).unwrap_or_default()
                );
                Err(Unusable::new(key, message))
            }
        }
    }
}

/// Returns a `google.protobuf.Any` of an event.
fn any(url: &str, event: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(url.len() + event.len() + 12);
    for (number, value) in [(1, url.as_bytes()), (2, event)] {
        encode_key(number, WireType::LengthDelimited, &mut bytes);
        encode_varint(value.len() as u64, &mut bytes);
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Returns an event behind its length.
fn delimited(event: Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(event.len() + 10);
    encode_varint(event.len() as u64, &mut bytes);
    bytes.extend(event);
    bytes
}

/// Removes the position of an error in the JSON that was made of the YAML.
fn without_position(error: &str) -> String {
    error.rsplit_once(" at line ").map_or(error, |(reason, _)| reason).to_owned()
}

/// Returns the path of the value around the byte at `end` of a JSON text of one line, such as `.meta.ids[2]`.
fn path_at(json: &str, end: usize) -> String {
    let mut path: Vec<Part> = Vec::new();
    let mut text = json.as_bytes()[..end.min(json.len())].iter().enumerate();
    let mut last_text = String::new();
    while let Some((at, byte)) = text.next() {
        match byte {
            b'"' => {
                let mut is_escaped = false;
                let close = text.find(|(_, byte)| {
                    let closes = **byte == b'"' && !is_escaped;
                    is_escaped = **byte == b'\\' && !is_escaped;
                    closes
                });
                let Some((close, _)) = close else { break };
                last_text = serde_json::from_str(&json[at..=close]).unwrap_or_default();
            }
            b':' => {
                if let Some(Part::Field(name)) = path.last_mut() {
                    *name = std::mem::take(&mut last_text);
                }
            }
            b'{' => path.push(Part::Field(String::new())),
            b'[' => path.push(Part::Item(0)),
            b',' => match path.last_mut() {
                Some(Part::Item(index)) => *index += 1,
                Some(Part::Field(name)) => name.clear(),
                None => {}
            },
            b'}' | b']' => {
                path.pop();
            }
            _ => {}
        }
    }
    // A name without a value yet is the field at fault.
    if let (Some(Part::Field(name)), false) = (path.last_mut(), last_text.is_empty())
        && name.is_empty()
    {
        *name = last_text;
    }
    path.iter().map(Part::to_string).collect()
}

/// A part of a path in JSON.
enum Part {
    Field(String),
    Item(usize),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) if name.is_empty() => Ok(()),
            Self::Field(name) => write!(f, ".{name}"),
            Self::Item(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_position_names_the_value_that_was_read_last() {
        let json = r#"{"a":{"b":[1,{"c":"x,}"}]},"d":2}"#;
        let at = |text: &str| path_at(json, json.find(text).unwrap() + text.len());
        assert_eq!(at("\"a\""), ".a");
        assert_eq!(at("[1"), ".a.b[0]");
        assert_eq!(at("\"c\""), ".a.b[1].c");
        assert_eq!(at("\"x,}\""), ".a.b[1].c");
        assert_eq!(at("\"d\":2"), ".d");
        assert_eq!(path_at(json, 0), "");
    }
}
