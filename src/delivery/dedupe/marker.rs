//! The values in the shared store: who is publishing a delivery, or with which message it was published.
//!
//! Anything else at a key is no value of protobridge. It never counts as a claim or as a publish, because the event
//! would be retried or deleted for it.

use redis::{RedisError, Value};
use uuid::Uuid;

use super::MessageId;

const CLAIMED: &str = "claimed by ";
const PUBLISHED: &str = "published by ";

/// The state of a delivery at the other replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is ours to publish.
    Free,
    /// Another replica is publishing it.
    Claimed,
    /// It was published, with this message.
    Published(MessageId),
}

/// Returns a value with which a replica claims deliveries. No other replica has the same.
pub(super) fn claimed() -> String {
    format!("{CLAIMED}{:016x}", fastrand::u64(..))
}

/// Returns the value of a delivery that was published with this message.
pub(super) fn published(message: MessageId) -> String {
    format!("{PUBLISHED}{message}")
}

/// Returns the standing that a value of another replica means, or `None` if no replica writes such a value.
pub(super) fn standing(value: &[u8]) -> Option<Standing> {
    let value = std::str::from_utf8(value).ok()?;
    if let Some(replica) = value.strip_prefix(CLAIMED) {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        return (replica.len() == 16 && replica.bytes().all(is_digit)).then_some(Standing::Claimed);
    }
    let text = value.strip_prefix(PUBLISHED)?;
    let message = MessageId(Uuid::try_parse(text).ok()?);
    // A UUID has several spellings, and replicas write only this one.
    (message.to_string() == text).then_some(Standing::Published(message))
}

/// Returns the value in an answer, or `None` if the key does not exist. The value of a key that holds no string is
/// empty.
///
/// # Errors
/// Returns an error if the request failed for another reason than the type of what the key holds.
pub(super) fn value(answer: Result<Value, RedisError>) -> Result<Option<Vec<u8>>, RedisError> {
    match answer {
        Ok(Value::BulkString(value)) => Ok(Some(value)),
        Ok(_) => Ok(None),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(Some(Vec::new())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_replicas_write_have_a_meaning() {
        let message = MessageId::new("0b0c7c4e-8f0a-4f6b-9d1c-1f2e3d4c5b6a");
        assert_eq!(standing(claimed().as_bytes()), Some(Standing::Claimed));
        assert_eq!(standing(published(message).as_bytes()), Some(Standing::Published(message)));
        assert!(standing(published(MessageId::new("m-1")).as_bytes()).is_some(), "the hash of another id");
        let planted: [&[u8]; 12] = [
            b"",
            b"1",
            b"\xff",
            b"claimed by ",
            b"claimed by another",
            b"claimed by 00000000000000000",
            b"claimed by 000000000000000G",
            b"published by ",
            b"published by m-1",
            b"published by 0b0c7c4e8f0a4f6b9d1c1f2e3d4c5b6a",
            b"published by 0B0C7C4E-8F0A-4F6B-9D1C-1F2E3D4C5B6A",
            b"published by 0b0c7c4e-8f0a-4f6b-9d1c-1f2e3d4c5b6a ",
        ];
        for value in planted {
            assert_eq!(standing(value), None, "{}", value.escape_ascii());
        }
    }
}
