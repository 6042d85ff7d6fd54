//! The configuration of what must last: the object store, the journal and the archive in it, and the prices of the cost
//! report.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The object store for everything that must last longer than a process: the journal, the counters of the reports, the
/// archive, and the progress of replays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// The place of the store: `s3://bucket/prefix`, or the URL of a folder such as `file:///var/lib/protobridge`. All
    /// replicas of an installation share one place; each installation needs a place of its own. Default: nothing is
    /// stored, and there is no journal.
    pub url: Option<String>,
    /// The id or the ARN of the KMS key with which S3 encrypts the objects. Default: the encryption of the bucket.
    pub kms_key_id: Option<String>,
}

impl Store {
    /// Returns the bucket and the prefix of all keys in it, without a slash at its end. Returns `None` for a folder and
    /// without a store.
    pub fn bucket(&self) -> Option<(&str, &str)> {
        let place = self.url.as_deref()?.strip_prefix("s3://")?.trim_end_matches('/');
        Some(place.split_once('/').unwrap_or((place, "")))
    }

    /// Returns the folder, if the store is one.
    pub fn folder(&self) -> Option<&Path> {
        self.url.as_deref()?.strip_prefix("file://").map(Path::new)
    }
}

/// The journal: a row for each destination of each received message, with what became of it. `protobridge trace` and
/// `protobridge duplicates` read it. It needs `store.url`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// Whether rows and counters are written. Without `store.url` they are not.
    pub enabled: bool,
    /// The size, in bytes of rows in memory, at which a segment is closed and stored. At most three segments are in
    /// memory: one that is filled, one that is written, and one that waits for the store. Rows beyond that are dropped
    /// and counted.
    #[schemars(range(min = 65_536, max = 268_435_456))]
    pub segment_bytes: usize,
    /// The longest time for which a row stays in memory before it is stored, in seconds. If the process is killed, the
    /// rows of this time are lost, and the journal says so.
    #[schemars(range(min = 1, max = 3_600))]
    pub segment_seconds: u64,
    /// The time for which segments are kept, in days. protobridge deletes older ones from a folder. For S3,
    /// `protobridge store lifecycle` prints the rule that makes the bucket delete them.
    #[schemars(range(min = 1, max = 3_650))]
    pub retention_days: u32,
    /// The share, from 0 to 1, of published events that have rows. It depends on the event id, so all rows of an event
    /// are kept, or none. Every other outcome always has its rows.
    pub sample_published: f64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            enabled: true,
            segment_bytes: 16 * 1024 * 1024,
            segment_seconds: 60,
            retention_days: 30,
            sample_published: 1.0,
        }
    }
}

/// The archive: every received message as it came, stored before it is deleted from its queue. `protobridge replay` reads
/// it. It needs `store.url`. It contains the payloads of events, so protect the store as you protect the queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// Whether messages are archived.
    pub enabled: bool,
    /// The longest time for which a finished message waits until its segment is closed and stored, in milliseconds. Each
    /// segment costs one PUT.
    #[schemars(range(min = 50, max = 60_000))]
    pub flush_ms: u64,
    /// The size at which a segment is closed before that time, in bytes of messages.
    #[schemars(range(min = 65_536, max = 268_435_456))]
    pub segment_bytes: usize,
    /// The most bytes of messages that wait in memory for the store. Messages beyond that are handled by `on_failure`.
    #[schemars(range(min = 1_048_576))]
    pub max_buffered_bytes: usize,
    /// The event types that are not archived, as globs. The default leaves out the heartbeats and canaries of protobridge.
    pub exclude: Vec<String>,
    /// Whether a message is deleted from its queue only after the archive has it. Default: yes for standard queues, no for
    /// FIFO queues, where a message that waits blocks its group. Without it, a process that is killed can lose the
    /// messages of the last `archive.flush_ms` for the archive, though not for customers.
    pub hold_delete: Option<bool>,
    /// The time for which a finished message waits for a store that does not answer, in seconds. Then `on_failure`
    /// applies.
    #[schemars(range(min = 1, max = 3_600))]
    pub give_up_hold_after_seconds: u64,
    /// What goes first if the store does not answer: `deliver` deletes messages without the archive, and the next segment
    /// declares the gap; `stop` receives no messages until the store answers.
    pub on_failure: OnArchiveFailure,
    /// The time for which segments are kept, in days. protobridge deletes older ones from a folder. For S3,
    /// `protobridge store lifecycle` prints the rule that makes the bucket delete them.
    #[schemars(range(min = 1, max = 3_650))]
    pub retention_days: u32,
}

/// What goes first if the store does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnArchiveFailure {
    /// Deliveries: messages are deleted without the archive, and the gap is declared.
    #[default]
    Deliver,
    /// The archive: no message is received until the store answers.
    Stop,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            enabled: false,
            flush_ms: 1_000,
            segment_bytes: 8 * 1024 * 1024,
            max_buffered_bytes: 128 * 1024 * 1024,
            exclude: vec!["protobridge.v1.*".to_owned()],
            hold_delete: None,
            give_up_hold_after_seconds: 30,
            on_failure: OnArchiveFailure::Deliver,
            retention_days: 7,
        }
    }
}

impl Archive {
    /// Whether a message of a queue waits for the archive before it is deleted.
    pub fn holds(&self, is_fifo: bool) -> bool {
        self.hold_delete.unwrap_or(!is_fifo)
    }
}

/// The prices of AWS for `protobridge cost`, in `currency` per million requests unless the name says otherwise. The
/// defaults are list prices of us-east-1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// The day on which the prices were looked up, as `YYYY-MM-DD`. The report prints it.
    pub as_of: String,
    /// The currency, such as `USD`.
    pub currency: String,
    /// SNS: a million requests to publish to standard topics.
    pub sns_standard: f64,
    /// SNS: a million requests to publish to FIFO topics.
    pub sns_fifo: f64,
    /// SNS: a GB of payload published to FIFO topics.
    pub sns_fifo_gb: f64,
    /// SQS: a million requests to standard queues.
    pub sqs_standard: f64,
    /// SQS: a million requests to FIFO queues.
    pub sqs_fifo: f64,
    /// S3: a thousand PUT or LIST requests.
    pub s3_put_thousand: f64,
    /// S3: a thousand GET requests.
    pub s3_get_thousand: f64,
    /// S3: a GB stored for a month.
    pub s3_gb_month: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            as_of: "2026-11-01".into(),
            currency: "USD".into(),
            sns_standard: 0.50,
            sns_fifo: 0.30,
            sns_fifo_gb: 0.017,
            sqs_standard: 0.40,
            sqs_fifo: 0.50,
            s3_put_thousand: 0.005,
            s3_get_thousand: 0.0004,
            s3_gb_month: 0.023,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_prefix_of_a_bucket_or_a_folder() {
        let store = |url: &str| Store { url: Some(url.to_owned()), ..Store::default() };
        for (url, bucket, folder) in [
            ("s3://acme", Some(("acme", "")), None),
            ("s3://acme/", Some(("acme", "")), None),
            ("s3://acme/prod/eu/", Some(("acme", "prod/eu")), None),
            ("file:///var/lib/x", None, Some("/var/lib/x")),
        ] {
            assert_eq!((store(url).bucket(), store(url).folder()), (bucket, folder.map(Path::new)), "{url}");
        }
        assert_eq!((Store::default().bucket(), Store::default().folder()), (None, None));
    }
}
