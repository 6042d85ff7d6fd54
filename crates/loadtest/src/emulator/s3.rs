//! The operations of S3. One bucket has the payloads of large events. Another one takes the JSON of large events: the
//! emulator keeps the checksum of each object, not its bytes.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Method, header, request};
use serde_json::Value;

use super::answer::Answer;
use super::form::{self, PublishEntry};
use super::state::Emulator;
use super::stats::ClaimStats;
use crate::events::{self, CLAIMS_BUCKET, CLAIMS_PREFIX, OBJECTS_BUCKET, Template};
use crate::totals::Carried;

/// The objects that the service stored.
#[derive(Debug, Default)]
pub(super) struct Claims {
    objects: HashMap<String, Claim>,
    stats: ClaimStats,
}

/// An object that the service stored.
#[derive(Debug)]
struct Claim {
    /// The SHA-256 of its bytes in base64.
    checksum: String,
    has_pointer: bool,
}

impl Emulator {
    /// Answers a call.
    pub(super) fn s3(&self, head: &request::Parts, body: &Bytes) -> Answer {
        let (operation, answer) = match head.method {
            Method::GET => ("GetObject", self.get(head.uri.path())),
            Method::PUT => ("PutObject", self.put(head, body)),
            _ => ("other", error(501, "NotImplemented")),
        };
        self.count(operation, &answer, Carried::entries(1));
        answer
    }

    fn get(&self, path: &str) -> Answer {
        if self.state().faults.call_fails() {
            return error(503, "SlowDown");
        }
        let key = path.strip_prefix('/').and_then(|path| path.strip_prefix(OBJECTS_BUCKET)?.strip_prefix('/'));
        let template = key.and_then(|key| self.events.large().get(key.parse::<usize>().ok()?));
        match template.and_then(|template| template.object.clone()) {
            Some(object) => Answer::object(object),
            None => error(404, "NoSuchKey"),
        }
    }

    fn put(&self, head: &request::Parts, body: &Bytes) -> Answer {
        if self.state().faults.call_fails() {
            return error(503, "SlowDown");
        }
        let path = head.uri.path().strip_prefix('/');
        let Some(key) = path.and_then(|path| path.strip_prefix(CLAIMS_BUCKET)?.strip_prefix('/')) else {
            return error(404, "NoSuchBucket");
        };
        let value = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        if value(header::CONTENT_TYPE.as_str()) != Some("application/json") {
            return error(400, "InvalidArgument");
        }
        // A comparison is cheaper than a hash, and all expected JSON is known.
        let known = self.events.large().iter().find(|template| template.json.as_bytes() == body);
        let checksum = known.map_or_else(|| events::checksum(body), |template| template.checksum.clone());
        if value("x-amz-checksum-sha256") != Some(&checksum) {
            return error(400, "BadDigest");
        }
        self.state().claims.store(key, checksum, body.len());
        Answer::object(Bytes::new())
    }
}

impl Claims {
    fn store(&mut self, key: &str, checksum: String, bytes: usize) {
        self.stats.bytes += bytes as u64;
        let has_pointer = self.objects.get(key).is_some_and(|claim| claim.has_pointer);
        self.objects.insert(key.to_owned(), Claim { checksum, has_pointer });
    }

    /// Whether a published entry is a pointer to the JSON of its event, among the objects of its customer, as the extended
    /// clients of AWS read it.
    pub(super) fn leads_to(&mut self, entry: &PublishEntry<'_>, customer: u32, event: &Template) -> bool {
        let is_right = self.find(entry, customer).is_some_and(|claim| {
            claim.has_pointer = true;
            claim.checksum == event.checksum && entry.stored_bytes == Some(event.json.len() as u64)
        });
        *(if is_right { &mut self.stats.pointers } else { &mut self.stats.misleading }) += 1;
        is_right
    }

    /// Returns the object that an entry points to.
    fn find(&mut self, entry: &PublishEntry<'_>, customer: u32) -> Option<&mut Claim> {
        let message = form::unescape(entry.message);
        let (_, target): (String, Value) = serde_json::from_str(&message).ok()?;
        let key = target["s3Key"].as_str()?;
        let is_theirs = key.starts_with(&format!("{CLAIMS_PREFIX}/{}/", events::customer_id(customer)));
        let is_exact = message == events::pointer(CLAIMS_BUCKET, key);
        self.objects.get_mut(key).filter(|_| is_theirs && is_exact)
    }

    pub(super) fn stats(&self) -> ClaimStats {
        let orphans = self.objects.values().filter(|claim| !claim.has_pointer).count() as u64;
        ClaimStats { objects: self.objects.len() as u64, orphans, ..self.stats }
    }
}

fn error(status: u16, code: &str) -> Answer {
    Answer::xml(status, format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_must_lead_to_the_json_of_its_event_among_the_objects_of_its_customer() {
        let spec = crate::spec::Spec { large_percent: 1, ..Default::default() };
        let events = events::Events::new(&spec).unwrap();
        let [event, other, ..] = events.large() else { panic!("there are several large events") };
        let bytes = event.json.len() as u64;
        let mut claims = Claims::default();
        let (key, foreign) = ("json/customer-00003/2026-11-28/1.json", "json/customer-00004/2026-11-28/1.json");
        for key in [key, foreign] {
            claims.store(key, event.checksum.clone(), event.json.len());
        }
        let mut leads = |pointer: &str, stored_bytes, event: &Template| {
            let message = pointer.replace('{', "%7B");
            let entry = PublishEntry { message: message.as_bytes(), stored_bytes, ..PublishEntry::default() };
            claims.leads_to(&entry, 3, event)
        };
        let right = events::pointer(CLAIMS_BUCKET, key);
        assert!(leads(&right, Some(bytes), event));
        assert!(!leads(&right, Some(bytes), other), "the JSON of another event");
        assert!(!leads(&right, None, event) && !leads(&right, Some(bytes + 1), event), "another size");
        assert!(!leads(&events::pointer("other", key), Some(bytes), event), "another bucket");
        assert!(
            !leads(&events::pointer(CLAIMS_BUCKET, &key.replace("1.json", "2.json")), Some(bytes), event),
            "no object"
        );
        assert!(!leads(&events::pointer(CLAIMS_BUCKET, foreign), Some(bytes), event), "an object of another customer");
        assert!(!leads(&right.replace(',', ", "), Some(bytes), event), "another format");
        let ClaimStats { objects, orphans, pointers, misleading, .. } = claims.stats();
        assert_eq!((objects, orphans, pointers, misleading), (2, 1, 1, 7));
    }
}
