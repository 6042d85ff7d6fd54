//! Calls of S3 and of the schema registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::trouble::Target;
use super::wire::Answer;
use super::world::{State, World};

/// A request for something that a message refers to, or for the object of a claim check.
#[derive(Debug)]
pub(super) enum Lookup {
    /// The object with this key in this bucket.
    Object { bucket: String, key: String },
    /// Store an object with this key in this bucket.
    Put(Box<Put>),
    /// The schema with this id.
    Schema(u32),
}

/// An object that is being stored.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) content: String,
    /// The checksum that the request states.
    pub(super) sha256: Option<String>,
}

/// Everything that lookups can find, and the events that depend on it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The objects by bucket and key.
    objects: BTreeMap<(String, String), String>,
    /// The descriptors of the schemas, in base64.
    schemas: BTreeMap<u32, String>,
    /// The events that depend on each bucket and on the registry.
    dependents: BTreeMap<Target, BTreeSet<Arc<str>>>,
}

impl Lookup {
    /// Reads the request for an object.
    pub(super) fn of_object(url: &str) -> Self {
        let (bucket, key) = object_of(url);
        Self::Object { bucket, key }
    }

    /// Reads the request to store an object.
    pub(super) fn of_put(url: &str, content: &[u8], sha256: Option<&str>) -> Self {
        let (bucket, key) = object_of(url);
        let content = String::from_utf8(content.to_vec()).expect("the object is JSON");
        Self::Put(Box::new(Put { bucket, key, content, sha256: sha256.map(str::to_owned) }))
    }

    /// Reads the request for a schema.
    pub(super) fn of_schema(path: &str) -> Self {
        let id = path.strip_prefix("/schemas/ids/").and_then(|id| id.parse().ok());
        Self::Schema(id.unwrap_or_else(|| panic!("the registry has no page {path}")))
    }

    /// Returns the bucket or the registry.
    pub(super) fn target(&self) -> Target {
        match self {
            Self::Object { bucket, .. } => Target::Bucket(bucket.clone()),
            Self::Put(put) => Target::Bucket(put.bucket.clone()),
            Self::Schema(_) => Target::SchemaRegistry,
        }
    }
}

/// Returns the bucket and the key of an object with the URL `https://BUCKET.s3.REGION.amazonaws.com/KEY`.
fn object_of(url: &str) -> (String, String) {
    let (_, rest) = url.split_once("://").expect("the client sends a whole URL");
    let (host, key) = rest.split_once('/').expect("the URL has a key");
    let (bucket, _) = host.split_once('.').expect("the host begins with the bucket");
    (bucket.to_owned(), key.to_owned())
}

impl World {
    /// Stores an object.
    pub(crate) fn put_object(&self, bucket: &str, key: &str, content: String) {
        self.lock().found.objects.insert((bucket.to_owned(), key.to_owned()), content);
    }

    /// Registers a schema: a `google.protobuf.FileDescriptorProto`.
    pub(crate) fn put_schema(&self, id: u32, file: &[u8]) {
        self.lock().found.schemas.insert(id, BASE64_STANDARD.encode(file));
    }

    /// Declares that an event depends on a bucket or on the registry. The log names the event if a call to that fails.
    pub(crate) fn depends(&self, event: &Arc<str>, target: Target) {
        self.lock().found.dependents.entry(target).or_default().insert(Arc::clone(event));
    }
}

impl State {
    /// Answers a lookup.
    pub(super) fn look_up(&mut self, lookup: &Lookup) -> Answer {
        match lookup {
            Lookup::Put(put) => self.put(&put.bucket, &put.key, &put.content, put.sha256.as_deref()),
            Lookup::Object { bucket, key } => match self.found.objects.get(&(bucket.clone(), key.clone())) {
                Some(content) => Answer::plain(content.clone()),
                None => Answer::s3_error(404, "NoSuchKey", "The specified key does not exist."),
            },
            Lookup::Schema(id) => match self.found.schemas.get(id) {
                Some(schema) => Answer::plain(json!({"schemaType": "PROTOBUF", "schema": schema}).to_string()),
                None => Answer::registry_error(404, "40403", "Schema not found"),
            },
        }
    }

    /// Returns the events that depend on the bucket or on the registry. If a call to that fails, messages of each of them
    /// can wait or return to their queue, because they share its breaker.
    pub(super) fn dependents(&self, target: &Target) -> Vec<Arc<str>> {
        self.found.dependents.get(target).into_iter().flatten().cloned().collect()
    }
}
