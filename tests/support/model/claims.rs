//! The bucket of claim checks: what the service stores in S3, and what it publishes pointers to.

use std::collections::{BTreeMap, BTreeSet};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::wire::{Answer, Form};
use super::world::{State, World};

/// The objects that the service has stored, by bucket and key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    objects: BTreeMap<(String, String), String>,
    /// The objects that a published pointer leads to.
    pointed: BTreeSet<(String, String)>,
    /// The keys of objects that were replaced by another content.
    pub(crate) changed: Vec<String>,
}

impl Claims {
    /// Returns the content of each object that no published pointer leads to.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = &str> {
        let orphans = self.objects.iter().filter(|(key, _)| !self.pointed.contains(*key));
        orphans.map(|(_, content)| content.as_str())
    }
}

impl World {
    /// Returns what the service has stored.
    pub(crate) fn claims(&self) -> Claims {
        self.lock().claims.clone()
    }
}

impl State {
    /// Stores an object. Like S3, refuses one whose checksum is wrong.
    pub(super) fn put(&mut self, bucket: &str, key: &str, content: &str, sha256: Option<&str>) -> Answer {
        if sha256 != Some(&*BASE64_STANDARD.encode(Sha256::digest(content))) {
            return Answer::s3_error(400, "BadDigest", "The checksum is wrong.");
        }
        let before = self.claims.objects.insert((bucket.to_owned(), key.to_owned()), content.to_owned());
        if before.is_some_and(|before| before != content) {
            self.claims.changed.push(key.to_owned());
        }
        Answer::plain(String::new())
    }

    /// Returns what a subscriber reads who follows the pointer of an entry: the key and the content of the object. Returns
    /// `None` if the body is no pointer or leads to no object, or if the attribute with the size is wrong.
    pub(super) fn follow(&mut self, entry: &Form) -> Option<(String, String)> {
        let body: Value = serde_json::from_str(entry.text("Message")).ok()?;
        let [class, pointer] = body.as_array()?.as_slice() else { return None };
        let name = (pointer["s3BucketName"].as_str()?.to_owned(), pointer["s3Key"].as_str()?.to_owned());
        let content = self.claims.objects.get(&name)?.clone();
        let exact = json!([class, {"s3BucketName": name.0, "s3Key": name.1}]);
        let sizes =
            entry.list("MessageAttributes.entry").iter().filter(|one| one.text("Name") == "ExtendedPayloadSize");
        let sizes: Vec<_> = sizes.map(|one| (one.text("Value.DataType"), one.text("Value.StringValue"))).collect();
        let is_pointer = *class == "software.amazon.payloadoffloading.PayloadS3Pointer"
            && body == exact
            && sizes == [("Number", content.len().to_string().as_str())];
        is_pointer.then(|| {
            let key = name.1.clone();
            self.claims.pointed.insert(name);
            (key, content)
        })
    }
}
