//! The order of archived messages.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Row;
use crate::base::time::unix_micros;

/// The place of a message in the order in which archived messages are read: by the time at which it was sent, then by
/// its sequence number, then by its id. Two copies of a message that was received twice have the same place.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// When the message was sent to its queue, in microseconds since the Unix epoch.
    pub sent_at: i64,
    /// The sequence number of a FIFO queue; 0 without one. In JSON it is a text, because it has more digits than a
    /// number of JSON keeps.
    #[serde(serialize_with = "write_decimal", deserialize_with = "read_decimal")]
    pub sequence: u128,
    /// The SQS message id.
    pub message_id: String,
}

impl Row {
    /// Returns the place of the message in the order of the archive.
    pub fn position(&self) -> Position {
        let number = self.message.sequence_number.as_deref();
        Position {
            sent_at: unix_micros(self.message.sent),
            sequence: number.and_then(|number| number.parse().ok()).unwrap_or(0),
            message_id: self.message.message_id.clone(),
        }
    }
}

fn write_decimal<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn read_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers_and_survive_json() {
        let at = |sent_at, sequence, id: &str| Position { sent_at, sequence, message_id: id.into() };
        let order =
            [at(-1, 7, "z"), at(0, 0, "b"), at(0, 9, "a"), at(0, 10, "a"), at(0, 10, "b"), at(0, u128::MAX, "")];
        assert!(order.is_sorted());
        for position in order {
            let json = serde_json::to_string(&position).unwrap();
            assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position, "{json}");
        }
        let json = serde_json::to_string(&at(1, 18_880_000_000_000_000_123, "m")).unwrap();
        assert_eq!(json, r#"{"sent_at":1,"sequence":"18880000000000000123","message_id":"m"}"#);
        assert!(serde_json::from_str::<Position>(r#"{"sent_at":1,"sequence":"x","message_id":"m"}"#).is_err());
    }
}
