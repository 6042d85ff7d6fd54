//! A message of the return queue.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::{Canary, CanaryId, Instance};
use crate::base::cut;
use crate::base::time::parse_rfc3339;
use crate::message::attributes;
use crate::schema::registry::CANARY;

/// A message of the return queue, taken apart.
#[derive(Debug)]
pub struct Returned {
    /// The form in which the subscription delivers.
    pub form: Form,
    /// When SNS took the message, by its clock. Raw delivery does not tell it.
    pub published: Option<SystemTime>,
    /// When the return queue got the message, by the clock of SQS.
    pub arrived: Option<SystemTime>,
    json: String,
    attributes: HashMap<String, String>,
}

/// The form in which a subscription delivers messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A notification wraps the message. It tells when SNS took the message.
    Notification,
    /// The body is the message itself.
    Raw,
}

/// The sender of a message of the return queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This instance sent it, with this number.
    Own(u64),
    /// Another instance sent it.
    Foreign(CanaryId),
    /// The message is not recognizable as a canary.
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    r#type: String,
    message: String,
    timestamp: Option<String>,
    #[serde(default)]
    message_attributes: HashMap<String, Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    value: String,
}

impl Returned {
    /// Reads a message.
    pub fn read(message: &aws_lean::Message) -> Self {
        let body = message.body.as_deref().unwrap_or_default();
        let arrived = message.attributes.sent_timestamp.as_ref().and_then(|millis| millis.parse().ok());
        let arrived = arrived.map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        match serde_json::from_str::<Notification>(body) {
            Ok(notification) if notification.r#type == "Notification" => Self {
                form: Form::Notification,
                published: notification.timestamp.as_deref().and_then(parse_rfc3339),
                arrived,
                json: notification.message,
                attributes: notification.message_attributes.into_iter().map(|(name, own)| (name, own.value)).collect(),
            },
            _ => {
                let values = message.message_attributes.iter();
                let texts = values.filter_map(|(name, value)| Some((name.clone(), value.string_value()?.to_owned())));
                Self { form: Form::Raw, published: None, arrived, json: body.to_owned(), attributes: texts.collect() }
            }
        }
    }

    /// Returns who sent the message. The attribute and the JSON both have the id, so that an alteration of one of them
    /// leaves the other.
    pub fn origin(&self, own: &Instance) -> Origin {
        let ids = [self.id_of_attribute(), self.id_of_json()].into_iter().flatten();
        let mut foreign = None;
        for id in ids {
            if id.instance == *own {
                return Origin::Own(id.sequence);
            }
            foreign = foreign.or(Some(id));
        }
        foreign.map_or(Origin::Unknown, Origin::Foreign)
    }

    fn id_of_attribute(&self) -> Option<CanaryId> {
        CanaryId::parse(self.attributes.get(attributes::EVENT_ID)?)
    }

    fn id_of_json(&self) -> Option<CanaryId> {
        #[derive(Deserialize)]
        struct Identified {
            id: String,
        }
        CanaryId::parse(&serde_json::from_str::<Identified>(&self.json).ok()?.id)
    }

    /// Returns how the message differs from the canary as it must return, for people; `None` if it does not.
    pub fn alteration(&self, canary: &Canary) -> Option<String> {
        if self.json != canary.json {
            let common = self.json.bytes().zip(canary.json.bytes()).take_while(|(found, expected)| found == expected);
            let (offset, found, expected) = (common.count(), cut(&self.json), &canary.json);
            return Some(format!("the JSON differs from byte {offset} on: expected {expected}, found {found}"));
        }
        let expected = [
            (attributes::EVENT_TYPE, CANARY.to_owned()),
            (attributes::EVENT_ID, canary.id.to_string()),
            (attributes::CANARY, attributes::IS_CANARY.to_owned()),
        ];
        expected.into_iter().find_map(|(name, expected)| match self.attributes.get(name) {
            Some(found) if *found == expected => None,
            Some(found) => Some(format!("the attribute `{name}` is {:?}, not {expected:?}", cut(found))),
            None => Some(format!("the attribute `{name}` is missing; expected {expected:?}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canary(sequence: u64) -> Canary {
        let id = CanaryId { instance: Instance::random(), sequence };
        let json = format!(r#"{{"id":"{id}","sequence":"{sequence}"}}"#);
        Canary { id, sent_at: UNIX_EPOCH, json }
    }

    fn notification(message: &str, attributes: &[(&str, &str)]) -> Returned {
        let attributes: HashMap<&str, _> =
            attributes.iter().map(|(name, value)| (*name, json!({"Type": "String", "Value": value}))).collect();
        let body = json!({
            "Type": "Notification", "Message": message, "Timestamp": "2026-01-01T00:00:00.250Z",
            "MessageAttributes": attributes,
        });
        read(&body.to_string())
    }

    fn read(body: &str) -> Returned {
        let mut message = aws_lean::Message { body: Some(body.to_owned()), ..Default::default() };
        message.attributes.sent_timestamp = Some("1767225600300".to_owned());
        Returned::read(&message)
    }

    /// Returns the attributes of a canary as the service publishes them.
    fn attributes_of(id: &str) -> [(&str, &str); 3] {
        [("event-type", CANARY), ("event-id", id), ("canary", "true")]
    }

    #[test]
    fn a_notification_tells_when_sns_took_the_message_and_raw_delivery_does_not() {
        let canary = canary(3);
        let id = canary.id.to_string();
        let returned = notification(&canary.json, &attributes_of(&id));
        let since = |time: Option<SystemTime>| time.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_millis());
        assert_eq!(returned.form, Form::Notification);
        assert_eq!(
            (since(returned.published), since(returned.arrived)),
            (Some(1_767_225_600_250), Some(1_767_225_600_300))
        );
        assert_eq!(returned.alteration(&canary), None);
        let raw = read(&canary.json);
        assert_eq!((raw.form, raw.published), (Form::Raw, None));
        assert_eq!(raw.origin(&canary.id.instance), Origin::Own(3));
    }

    #[test]
    fn an_altered_canary_is_recognized_by_the_id_that_is_left_and_the_alteration_is_named() {
        let canary = canary(3);
        let (id, instance) = (canary.id.to_string(), &canary.id.instance);
        let json = &canary.json;
        let other = attributes_of(&id).map(|(name, value)| (name, if name == "event-type" { "a.B" } else { value }));
        // Each: the JSON, the attributes, and the start of the alteration.
        type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str);
        let cases: [Case<'_>; 5] = [
            (&json.replace("\"3\"", "3"), &attributes_of(&id), "the JSON differs from byte"),
            ("{}", &attributes_of(&id), "the JSON differs from byte 1 on: expected {"),
            (json, &attributes_of("x"), "the attribute `event-id` is \"x\", not "),
            (json, &other, "the attribute `event-type` is \"a.B\", not \"protobridge.v1.Canary\""),
            (json, &attributes_of(&id)[..2], "the attribute `canary` is missing"),
        ];
        for (json, attributes, expected) in cases {
            let returned = notification(json, attributes);
            assert_eq!(returned.origin(instance), Origin::Own(3), "{expected}");
            let found = returned.alteration(&canary).unwrap();
            assert!(found.starts_with(expected), "{expected}: {found}");
        }
    }

    #[test]
    fn the_canary_of_another_instance_is_foreign_and_any_other_message_is_unknown() {
        let canary = canary(3);
        let id = canary.id.to_string();
        let returned = notification(&canary.json, &attributes_of(&id));
        assert_eq!(returned.origin(&Instance::random()), Origin::Foreign(canary.id.clone()));
        for body in ["", "{}", "hello", r#"{"Type":"SubscriptionConfirmation","Message":"x"}"#] {
            assert_eq!(read(body).origin(&canary.id.instance), Origin::Unknown, "{body}");
        }
    }
}
