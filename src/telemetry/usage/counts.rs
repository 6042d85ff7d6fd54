//! The counts of [`Usage`](super::Usage), and what is counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use crate::message::OutcomeLabel;
use crate::telemetry::operation::Operation;

/// The bytes that AWS bills as one request: SQS (Amazon SQS pricing, "every 64 KB chunk of a payload is billed as 1
/// request") and SNS (Amazon SNS pricing, the same for published data).
pub const UNIT_BYTES: u64 = 64 * 1024;

/// The kind of a call of an AWS API.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The operation.
    pub operation: Operation,
    /// Whether the topic or the queue is FIFO.
    pub is_fifo: bool,
    /// The customer that the call is made for, if it is made for one.
    pub customer: Option<&'c Arc<str>>,
}

impl Call<'_> {
    /// Returns a call that is made for no customer.
    pub fn new(operation: Operation, is_fifo: bool) -> Self {
        Self { operation, is_fifo, customer: None }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// AWS answered. Single entries can have failed.
    Answered(Carried),
    /// The call failed as a whole.
    Failed,
    /// AWS throttled the call as a whole.
    Throttled,
}

/// The messages or entries of an answered call, and the requests that AWS bills for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    pub(in crate::telemetry) entries: u64,
    pub(in crate::telemetry) bytes: u64,
    pub(in crate::telemetry) units_per_call: u64,
    pub(in crate::telemetry) units_per_entry: u64,
}

impl Carried {
    /// A call that carries neither messages nor entries.
    pub const NOTHING: Self = Self { entries: 0, bytes: 0, units_per_call: 1, units_per_entry: 1 };

    /// A call with this number of entries that carry no payload, such as deletes. It is one billed request.
    pub fn entries(entries: usize) -> Self {
        Self { entries: entries as u64, ..Self::NOTHING }
    }

    /// A call whose messages or entries have these sizes in bytes, bodies and attributes together.
    pub fn sizes(sizes: impl IntoIterator<Item = usize>) -> Self {
        let (mut entries, mut bytes, mut units_per_entry) = (0, 0, 0);
        for size in sizes {
            entries += 1;
            bytes += size as u64;
            units_per_entry += units(size as u64);
        }
        Self { entries, bytes, units_per_call: units(bytes), units_per_entry: units_per_entry.max(1) }
    }

    /// One object of this number of bytes. S3 bills a request once, whatever the size of the object.
    pub fn object(bytes: usize) -> Self {
        Self { entries: 1, bytes: bytes as u64, ..Self::NOTHING }
    }
}

/// Returns the billed requests for these bytes: one per 64 KiB, at least one.
pub(super) fn units(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT_BYTES).max(1)
}

/// An entry of an answered PublishBatch.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredEntry<'e> {
    /// The configured customer whom the topic belongs to.
    pub customer: Option<&'e Arc<str>>,
    /// The full name of the event's type.
    pub event_type: &'e Arc<str>,
    /// The size in bytes, body and attributes together.
    pub bytes: usize,
    /// Whether SNS confirmed the entry.
    pub is_confirmed: bool,
}

/// A call that SNS throttled, as a whole or in part.
#[derive(Debug, Clone, PartialEq)]
pub struct ThrottledCall {
    /// When SNS answered.
    pub at: SystemTime,
    /// The ARN of the topic.
    pub topic: String,
    /// The error code.
    pub code: String,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The messages that were throttled.
    pub messages: u64,
    /// Whether the whole call was throttled.
    pub is_whole_call: bool,
    /// The messages that SNS accepted from this process in the second before.
    pub rate: f64,
}

/// The counts since the last take.
#[derive(Debug, Default)]
pub struct Counts {
    /// The calls, by operation, whether the topic or queue is FIFO, and customer.
    pub calls: HashMap<CallKey, CallCounts, foldhash::fast::RandomState>,
    /// The entries that SNS confirmed, by customer, event type, and whether the topic is FIFO.
    pub published: HashMap<PublishedKey, PublishedCounts, foldhash::fast::RandomState>,
    /// The settled messages, by queue, event type and outcome.
    pub settled: BTreeMap<SettledKey, u64>,
    /// The messages that were sent to SNS, by the second since the Unix epoch.
    pub seconds: BTreeMap<i64, SecondCounts>,
    /// The throttled calls, in the order of their answers.
    pub throttles: Vec<ThrottledCall>,
    /// The number of throttled calls that `throttles` has no room for.
    pub throttles_left_out: u64,
}

/// An operation, whether its topic or queue is FIFO, and the customer of the call.
pub type CallKey = (Operation, bool, Option<Arc<str>>);
/// The customer and the type of an event, and whether the topic is FIFO.
pub type PublishedKey = (Option<Arc<str>>, Arc<str>, bool);
/// The label of a queue, an event type and an outcome.
pub type SettledKey = (String, String, OutcomeLabel);

/// The calls of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// The calls that were answered.
    pub calls: u64,
    /// The receives among them that returned no message.
    pub empty: u64,
    /// The calls that failed as a whole. They are not part of `calls`.
    pub failed: u64,
    /// The calls that AWS throttled as a whole. They are part of `failed`.
    pub throttled: u64,
    /// The messages or entries of the answered calls.
    pub entries: u64,
    /// Their bytes, bodies and attributes together.
    pub bytes: u64,
    /// The billed requests if each call is rounded up in total.
    pub units_per_call: u64,
    /// The billed requests if each entry is rounded up.
    pub units_per_entry: u64,
}

/// The confirmed entries of one customer and event type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishedCounts {
    /// The entries.
    pub entries: u64,
    /// Their bytes, bodies and attributes together.
    pub bytes: u64,
    /// Their share, by bytes, of the units of their calls, in millionths of a unit.
    pub micro_units_per_call: u64,
    /// Their billed requests if each entry is rounded up.
    pub units_per_entry: u64,
    /// The entries that are at most a tenth larger than a multiple of 64 KiB.
    pub just_over: u64,
}

/// The messages of one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecondCounts {
    /// The messages in calls that were made in this second.
    pub attempted: u64,
    /// The messages that SNS confirmed in this second.
    pub accepted: u64,
    /// The messages that SNS throttled in this second.
    pub throttled: u64,
}
