//! The lists of one queue in Redis: a hash with a field for each source and for each replica.
//!
//! A list is replaced only if it is still the one that was read, so no replica overwrites the numbers of another one.
//! All commands about a queue use one key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::base::Redis;
use crate::base::redis::RequestError;
use crate::monitor::sources::gaps::GapList;

/// The number of fields per request, within one timeout.
const AT_ONCE: usize = 128;
/// How long Redis keeps the lists of a queue after the last request, in milliseconds.
pub(super) const KEPT: u64 = 7 * 24 * 3_600_000;

const SOURCE: &str = "source:";
const REPLICA: &str = "replica:";

/// The most bytes of a source's name in a field. A longer name is shortened and keeps a hash.
const MAX_NAME: usize = 200;

/// The lists of one queue.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) redis: Redis,
    pub(super) key: String,
    /// The most fields of the hash.
    pub(super) max_fields: usize,
}

/// The content of the hash, or of a part of it.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The time of Redis in milliseconds.
    pub(super) now: u64,
    /// The lists by the name of their source.
    pub(super) lists: BTreeMap<String, Value>,
    /// When each replica shared its numbers last, by its id.
    pub(super) replicas: BTreeMap<String, u64>,
}

/// The value of a field.
#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    /// The bytes in Redis; empty if the field does not exist.
    pub(super) raw: Vec<u8>,
    /// The list; `None` if no replica writes such a value.
    pub(super) list: Option<GapList>,
}

impl Value {
    fn read(raw: Vec<u8>) -> Self {
        Self { list: GapList::read(&raw), raw }
    }
}

/// The replacement of a list.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) source: String,
    pub(super) old: Vec<u8>,
    pub(super) new: GapList,
}

/// The result of a replacement.
#[derive(Debug)]
pub(super) enum Written {
    /// The new list is in the store.
    New(Value),
    /// Another replica was faster. This is its list.
    Other(Value),
    /// The store has lists of too many sources.
    Full,
}

impl Store {
    /// Reads everything.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer.
    pub(super) async fn read(&self) -> Result<Page, RequestError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("TIME").cmd("HKEYS").arg(&self.key);
        let mut connection = self.redis.connection();
        let answer = pipeline.query_async::<((u64, u64), Vec<Vec<u8>>)>(&mut connection);
        let (time, fields) = self.redis.request(answer).await?.value;
        let mut page = Page { now: millis(time), ..Page::default() };
        let fields = fields.into_iter().filter_map(|field| String::from_utf8(field).ok());
        let fields: Vec<String> = fields.take(self.max_fields * 2).collect();
        self.read_fields(&fields, &mut page).await?;
        Ok(page)
    }

    /// Reads the lists of some sources.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer.
    pub(super) async fn read_some(&self, sources: impl Iterator<Item = String>) -> Result<Page, RequestError> {
        let mut connection = self.redis.connection();
        let mut time = redis::pipe();
        time.cmd("TIME");
        let (time,) = self.redis.request(time.query_async::<((u64, u64),)>(&mut connection)).await?.value;
        let mut page = Page { now: millis(time), ..Page::default() };
        let fields: Vec<String> = sources.map(|source| format!("{SOURCE}{source}")).collect();
        self.read_fields(&fields, &mut page).await?;
        Ok(page)
    }

    async fn read_fields(&self, fields: &[String], page: &mut Page) -> Result<(), RequestError> {
        for fields in fields.chunks(AT_ONCE) {
            let mut read = redis::cmd("HMGET");
            read.arg(&self.key).arg(fields);
            let mut connection = self.redis.connection();
            let values = self.redis.request(read.query_async::<Vec<Option<Vec<u8>>>>(&mut connection)).await?.value;
            for (field, value) in fields.iter().zip(values) {
                let Some(value) = value else { continue };
                if let Some(source) = field.strip_prefix(SOURCE) {
                    page.lists.insert(source.to_owned(), Value::read(value));
                } else if let Some(replica) = field.strip_prefix(REPLICA) {
                    let seen = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                    page.replicas.insert(replica.to_owned(), seen);
                }
            }
        }
        Ok(())
    }

    /// Replaces lists that are still as they were read.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer. Some lists can be replaced then.
    pub(super) async fn write(&self, changes: &[Change]) -> Result<Vec<Written>, RequestError> {
        const IF_UNCHANGED: &str = "local found = redis.call('HGET', KEYS[1], ARGV[1]) or '' \
            if found ~= ARGV[2] then return found end \
            if found == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end \
            redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) redis.call('PEXPIRE', KEYS[1], ARGV[5]) return ARGV[3]";
        let mut written = Vec::with_capacity(changes.len());
        for changes in changes.chunks(AT_ONCE) {
            let mut pipeline = redis::pipe();
            let values: Vec<String> = changes.iter().map(|change| change.new.write()).collect();
            for (Change { source, old, .. }, new) in changes.iter().zip(&values) {
                let eval = pipeline.cmd("EVAL").arg(IF_UNCHANGED).arg(1).arg(&self.key);
                eval.arg(format!("{SOURCE}{source}")).arg(old).arg(new).arg(self.max_fields).arg(KEPT);
            }
            let mut connection = self.redis.connection();
            let answers = self.redis.request(pipeline.query_async::<Vec<Vec<u8>>>(&mut connection)).await?.value;
            written.extend(answers.into_iter().zip(&values).map(|(answer, new)| match answer.as_slice() {
                b"full" => Written::Full,
                found if found == new.as_bytes() => Written::New(Value::read(answer)),
                _ => Written::Other(Value::read(answer)),
            }));
        }
        Ok(written)
    }

    /// Notes that a replica has shared its numbers at `now`, and removes replicas and lists that are no longer in use.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer.
    pub(super) async fn register(&self, replica: &str, now: u64, gone: &Gone) -> Result<(), RequestError> {
        const IF_UNCHANGED: &str = "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then \
            redis.call('HDEL', KEYS[1], ARGV[1]) end";
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSET").arg(&self.key).arg(format!("{REPLICA}{replica}")).arg(now).ignore();
        pipeline.cmd("PEXPIRE").arg(&self.key).arg(KEPT).ignore();
        for replica in &gone.replicas {
            pipeline.cmd("HDEL").arg(&self.key).arg(format!("{REPLICA}{replica}")).ignore();
        }
        for (source, value) in &gone.lists {
            let remove = pipeline.cmd("EVAL").arg(IF_UNCHANGED).arg(1).arg(&self.key);
            remove.arg(format!("{SOURCE}{source}")).arg(value).ignore();
        }
        self.run(&pipeline).await
    }

    /// Removes a replica that ends.
    ///
    /// # Errors
    /// Returns an error if Redis does not answer.
    pub(super) async fn unregister(&self, replica: &str) -> Result<(), RequestError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HDEL").arg(&self.key).arg(format!("{REPLICA}{replica}")).ignore();
        self.run(&pipeline).await
    }

    async fn run(&self, pipeline: &redis::Pipeline) -> Result<(), RequestError> {
        let mut connection = self.redis.connection();
        self.redis.request(pipeline.query_async::<()>(&mut connection)).await?;
        Ok(())
    }
}

/// The fields that are no longer in use.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) replicas: Vec<String>,
    pub(super) lists: Vec<(String, Vec<u8>)>,
}

fn millis((seconds, micros): (u64, u64)) -> u64 {
    seconds * 1_000 + micros / 1_000
}

/// Returns the name of a source in the store. A long name is shortened and keeps a hash of itself.
pub(super) fn name(source: &str) -> Cow<'_, str> {
    if source.len() <= MAX_NAME {
        return Cow::Borrowed(source);
    }
    let kept = &source[..source.floor_char_boundary(MAX_NAME)];
    Cow::Owned(format!("{kept}… ({})", hex::encode(&Sha256::digest(source)[..8])))
}
