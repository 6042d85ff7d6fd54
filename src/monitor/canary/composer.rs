//! Makes canaries: the message for the input queue, and the JSON that must return.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::framing::{field, frame, number};
use super::{CanaryId, Instance};
use crate::config::{Config, Framing, Queue};
use crate::schema::registry::{CANARY, EventType, ProfileId, Profiles, Snapshot};

/// Makes the canaries of one instance.
#[derive(Debug)]
pub struct Composer {
    instance: Instance,
    event_type: Arc<EventType>,
    type_attribute: String,
    event_id_attribute: String,
    framing: Framing,
    is_fifo: bool,
}

/// A canary, as it must return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The id, which is its event id.
    pub id: CanaryId,
    /// When it was sent, by the wall clock of this process, in whole milliseconds.
    pub sent_at: SystemTime,
    /// The JSON that the service must publish.
    pub json: String,
}

/// A canary as a message for the input queue.
#[derive(Debug)]
pub struct Outgoing {
    /// The body.
    pub body: String,
    /// The message attributes.
    pub attributes: HashMap<String, MessageAttributeValue>,
    /// The message group, for a FIFO queue.
    pub group: Option<String>,
    /// The deduplication id, for a FIFO queue.
    pub deduplication_id: Option<String>,
}

impl Composer {
    /// Creates the composer of an instance that sends to `queue`.
    pub fn new(config: &Config, queue: &Queue, instance: Instance) -> Self {
        let snapshot = Snapshot::built_in(&Arc::new(Profiles::new(&config.profiles)));
        let event_type = snapshot.find(CANARY).expect("the type is built in");
        Self {
            instance,
            event_type: Arc::clone(event_type),
            type_attribute: config.envelope.type_attribute.clone(),
            event_id_attribute: config.envelope.event_id_attribute.clone(),
            framing: queue.framing,
            is_fifo: queue.url.ends_with(".fifo"),
        }
    }

    /// Returns the instance.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Makes the canary with this number.
    ///
    /// # Errors
    /// Returns an error if the `default` profile cannot render it.
    pub fn compose(&self, sequence: u64, now: SystemTime) -> Result<(Canary, Outgoing), protojson::Error> {
        let id = CanaryId { instance: self.instance.clone(), sequence };
        let since_epoch = Duration::from_millis(millis(now));
        let payload = payload(&id, since_epoch);
        let mut json = Vec::new();
        self.event_type.plan(ProfileId::default()).transcode(&payload, &mut json)?;
        let text = id.to_string();
        let framed = frame(self.framing, &text, &payload);
        let outgoing = Outgoing {
            body: STANDARD.encode(framed),
            attributes: [(&self.type_attribute, CANARY), (&self.event_id_attribute, &text)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.clone(), attribute(value)?)))
                .collect(),
            // Canaries wait for each other, and for no event.
            group: self.is_fifo.then(|| format!("protobridge-canary-{}", self.instance)),
            deduplication_id: self.is_fifo.then(|| text.clone()),
        };
        let json = String::from_utf8_lossy(&json).into_owned();
        Ok((Canary { id, sent_at: UNIX_EPOCH + since_epoch, json }, outgoing))
    }
}

fn millis(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the canary in the wire format.
fn payload(id: &CanaryId, sent_at: Duration) -> Vec<u8> {
    let timestamp = [number(1, sent_at.as_secs()), number(2, sent_at.subsec_nanos().into())].concat();
    [
        field(1, id.to_string().as_bytes()),
        field(2, id.instance.as_str().as_bytes()),
        number(3, id.sequence),
        field(4, &timestamp),
    ]
    .concat()
}

fn attribute(value: &str) -> Option<MessageAttributeValue> {
    // A value with a data type can always be built.
    MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::envelope::Outer;

    const AT: Duration = Duration::from_millis(1_767_225_600_250);

    fn queue(framing: Framing, name: &str) -> Queue {
        Queue { url: format!("https://sqs.eu-west-1.amazonaws.com/1/{name}"), framing, ..Queue::default() }
    }

    fn composed(framing: Framing, name: &str) -> (Canary, Outgoing) {
        let config = Config::default();
        Composer::new(&config, &queue(framing, name), Instance::random()).compose(7, UNIX_EPOCH + AT).unwrap()
    }

    #[test]
    fn a_canary_has_the_json_of_the_codec_and_the_attributes_that_the_pipeline_reads() {
        let (canary, outgoing) = composed(Framing::None, "events");
        let (id, instance) = (canary.id.to_string(), &canary.id.instance);
        let sent_at = "2026-01-01T00:00:00.250Z";
        let expected = format!(r#"{{"id":"{id}","instance":"{instance}","sequence":"7","sentAt":"{sent_at}"}}"#);
        assert_eq!((canary.json, canary.sent_at), (expected, UNIX_EPOCH + AT));
        let value = |name: &str| outgoing.attributes[name].string_value().unwrap();
        assert_eq!((value("message-type"), value("event-id")), (CANARY, id.as_str()));
        assert_eq!((outgoing.group, outgoing.deduplication_id), (None, None));
    }

    #[test]
    fn a_canary_on_a_fifo_queue_has_a_group_of_its_instance_and_its_id_as_deduplication_id() {
        let (canary, outgoing) = composed(Framing::None, "events.fifo");
        assert_eq!(outgoing.group, Some(format!("protobridge-canary-{}", canary.id.instance)));
        assert_eq!(outgoing.deduplication_id, Some(canary.id.to_string()));
    }

    #[test]
    fn a_canary_is_framed_as_its_queue_requires() {
        let settings = Config::default().envelope;
        let framings =
            [Framing::None, Framing::Any, Framing::CloudEvents, Framing::Confluent, Framing::Glue, Framing::Delimited];
        for framing in framings {
            let (canary, outgoing) = composed(framing, "events");
            let outer = Outer::read(&outgoing.body, &outgoing.attributes);
            let envelope = outer.open(None, &settings, framing, &mut ()).unwrap();
            assert_eq!(*envelope.payload, payload(&canary.id, AT), "{framing:?}");
            assert_eq!(envelope.stated_type("message-type").as_deref(), Some(CANARY), "{framing:?}");
            assert_eq!(envelope.attribute("event-id"), Some(canary.id.to_string().as_str()), "{framing:?}");
        }
    }
}
