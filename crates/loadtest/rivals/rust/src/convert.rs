//! From a Protobuf payload to JSON, with the descriptor set that is read at the start.

use anyhow::Context as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, SerializeOptions, Value};
use sha2::{Digest as _, Sha256};

/// The fields of which the first that is present is the time of an event.
const TIME_FIELDS: [&str; 2] = ["event_time", "sent_at"];

/// Converts the payloads of all types in a descriptor set.
pub struct Converter {
    pool: DescriptorPool,
    /// The first 16 hexadecimal digits of the descriptor set's SHA-256.
    pub schema_hash: String,
}

/// A converted payload.
pub struct Event {
    pub json: String,
    /// The time of the event; empty if it has none.
    pub time: String,
}

impl Converter {
    pub fn new(descriptor_set: &[u8]) -> anyhow::Result<Self> {
        let pool = DescriptorPool::decode(descriptor_set).context("cannot read the descriptor set")?;
        let schema_hash = Sha256::digest(descriptor_set).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { pool, schema_hash })
    }

    pub fn convert(&self, event_type: &str, payload: &[u8]) -> anyhow::Result<Event> {
        let descriptor =
            self.pool.get_message_by_name(event_type).with_context(|| format!("unknown type {event_type}"))?;
        let message = DynamicMessage::decode(descriptor, payload)?;
        let mut json = Vec::with_capacity(payload.len() * 4);
        message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &SerializeOptions::new())?;
        Ok(Event { json: String::from_utf8(json)?, time: time(&message)? })
    }
}

/// Returns the event time in RFC 3339.
fn time(message: &DynamicMessage) -> anyhow::Result<String> {
    for name in TIME_FIELDS {
        let Some(field) = message.descriptor().get_field_by_name(name) else { continue };
        if let (true, Value::Message(time)) = (message.has_field(&field), &*message.get_field(&field)) {
            let text = serde_json::to_value(time)?;
            return text.as_str().map(str::to_owned).context("the event time is not a timestamp");
        }
    }
    Ok(String::new())
}
