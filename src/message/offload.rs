//! The JSON of an event that leaves as a claim check: it is stored as an object of S3, and its topic carries a pointer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::base::time::rfc3339;

/// The most bytes of the part of a key that [`customer_part`] returns. With the longest prefix, a key stays below the
/// 1,024 bytes that S3 allows (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub const MAX_CUSTOMER_PART_BYTES: usize = 512;

/// The object that must be stored before the pointer to it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offload {
    /// The key in `claim_check.bucket`. It depends on the event, the customer and the JSON alone, so storing it again
    /// replaces the object with the same bytes.
    pub key: String,
    /// The JSON.
    pub json: Arc<String>,
    /// The SHA-256 of the JSON, with which S3 checks what it stores.
    pub sha256: [u8; 32],
}

/// The parts that name an object.
#[derive(Debug, Clone, Copy)]
pub struct ObjectName<'n> {
    /// The id of the customer.
    pub customer: &'n str,
    /// The full name of the event's type.
    pub event_type: &'n str,
    /// The id of the event.
    pub event_id: &'n str,
    /// When the message of the event was sent. Only the day counts, in UTC. It is the same at each retry.
    pub sent: SystemTime,
    /// The SHA-256 of the JSON. Two events with one id, or one event with two schemas, have two objects, so a pointer
    /// always leads to the JSON that it was published for.
    pub json: &'n [u8; 32],
}

impl ObjectName<'_> {
    /// Returns the key of the object: the prefix, the customer, the day, and a hash of all else.
    pub fn key(&self, prefix: &str) -> String {
        let sent = rfc3339(self.sent);
        // SQS states times of our century only.
        let day = sent.get(..10).unwrap_or("0000-00-00");
        format!("{}/{day}/{}.json", claim_folder(prefix, self.customer), self.hash())
    }

    /// Returns the hash of the event's type, its id and its JSON, in hexadecimal digits.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.event_type.as_bytes(), self.event_id.as_bytes(), self.json] {
            // With its length, no part can be taken for the start of the next one.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hex::encode(hash.finalize())
    }
}

/// Returns what the keys of all objects of a customer start with, without the slash behind it. No other customer has an
/// object below it, so a policy can give each customer its own.
pub fn claim_folder(prefix: &str, customer: &str) -> String {
    format!("{prefix}/{}", customer_part(customer))
}

/// Returns the id of a customer as a part of a key. Letters, digits, `-`, `_` and `.` stay; every other byte becomes `%`
/// and two hexadecimal digits, and so do the dots of `.` and `..`, which some tools take for folders. Two ids never share
/// a part.
pub fn customer_part(id: &str) -> String {
    let are_dots_safe = !matches!(id, "." | "..");
    let mut part = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'.' if are_dots_safe => part.push('.'),
            b'-' | b'_' => part.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => part.push(char::from(byte)),
            // Writing to a `String` cannot fail.
            _ => drop(write!(part, "%{byte:02X}")),
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::config::MAX_KEY_PREFIX_BYTES;

    fn name_for(customer: &str) -> ObjectName<'_> {
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_599);
        ObjectName { customer, event_type: "shop.v1.OrderPlaced", event_id: "42", sent, json: &[7; 32] }
    }

    #[test]
    fn a_key_has_the_prefix_the_customer_the_day_and_a_hash() {
        insta::assert_snapshot!(name_for("acme").key("claims"), @"claims/acme/2025-12-31/af3e469c42df25a54bb6857a63922702e97717c868b8ccb4c768fe273e003605.json");
        let later = name_for("acme").sent + Duration::from_secs(1);
        assert!(ObjectName { sent: later, ..name_for("acme") }.key("a/b").starts_with("a/b/acme/2026-01-01/"));
    }

    /// Returns a text with characters of all kinds, and often one that needs care.
    fn random_text(random: &mut fastrand::Rng) -> String {
        const HARD: [&str; 10] = [".", "..", "%", "%2E", "/", "a", "A", "ü", "\u{10ffff}", " "];
        let part = |random: &mut fastrand::Rng| match random.bool() {
            true => HARD[random.usize(..HARD.len())].to_owned(),
            false => random.char(..).to_string(),
        };
        (0..random.usize(..4)).map(|_| part(random)).collect()
    }

    #[test]
    fn a_key_is_a_function_of_its_parts_alone_and_no_two_events_share_one() {
        let mut random = fastrand::Rng::with_seed(20);
        let (mut keys, mut parts) = (HashMap::new(), HashMap::new());
        for _ in 0..20_000 {
            let [customer, event_type, event_id] = std::array::from_fn(|_| random_text(&mut random));
            let json = [random.u8(..3); 32];
            let day = random.u64(..3);
            let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + random.u64(..86_400));
            let of =
                ObjectName { customer: &customer, event_type: &event_type, event_id: &event_id, sent, json: &json };
            let key = of.key("claims/v1");
            assert!(key.len() <= 1_024, "{key}");
            let is_safe = |c: char| c.is_ascii_alphanumeric() || "/._-%".contains(c);
            assert!(key.chars().all(is_safe), "{key}");
            let folders: Vec<&str> = key.split('/').collect();
            assert_eq!(folders.len(), 5, "a customer's prefix holds no other customer's objects: {key}");
            assert!(!folders.iter().any(|part| matches!(*part, "." | "..")), "{key}");
            assert_eq!(parts.entry(folders[2].to_owned()).or_insert(customer.clone()), &customer);
            let made_of = (customer, event_type, event_id, json, day);
            assert_eq!(keys.entry(key).or_insert(made_of.clone()), &made_of);
        }
        assert!(keys.len() > 10_000 && parts.len() > 5_000, "{} keys, {} customers", keys.len(), parts.len());
    }

    #[test]
    fn a_key_of_the_longest_parts_is_one_that_s3_accepts() {
        let id = "ü".repeat(MAX_CUSTOMER_PART_BYTES / 6);
        let key = name_for(&id).key(&"p".repeat(MAX_KEY_PREFIX_BYTES));
        assert!(key.len() <= 1_024, "{}", key.len());
    }
}
