//! Counters of calls, billed units, bytes and throttles: one object per replica and minute.
//!
//! A [`Minute`] is what one replica counted in one minute of UTC, or in the part of a minute at its start or end. The
//! reports of cost and throttles add the minutes of all replicas. Objects are JSON under
//! `counters/v1/date=D/hour=H/`. The [`Writer`] stores them, the [`Reader`] reads them.

pub mod cost;
pub mod coverage;
mod of_counts;
pub mod quota;
mod reader;
pub mod throttles;
mod writer;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::process;
use crate::telemetry;

pub use reader::Reader;
pub use writer::Writer;

/// The folder of all objects with counters in the store.
pub const FOLDER: &str = "counters/v1";
/// A second, in microseconds.
const SECOND: i64 = 1_000_000;
/// A minute, in microseconds.
const MINUTE: i64 = 60 * SECOND;
/// An hour, in microseconds.
const HOUR: i64 = 60 * MINUTE;

/// What one replica counted in one minute. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// The replica.
    pub replica: String,
    /// Identifies the process: its start, in milliseconds since the Unix epoch, and a random number.
    pub incarnation: String,
    /// The number of the minute, from 0, within its process. The minutes of a process cover its life without a break, so
    /// a number that is missing is a minute that is not known.
    #[serde(default)]
    pub number: u64,
    /// Whether the process stopped in order after this minute.
    #[serde(default)]
    pub is_last: bool,
    /// The begin of the counted time.
    pub from: i64,
    /// The end of the counted time.
    pub to: i64,
    /// The region that AWS was called in.
    pub region: Option<String>,
    /// The calls, by operation and by the customer that they were made for. Beyond 10,000 combinations, and likewise in
    /// `published`, a further customer counts as `other`.
    pub calls: Vec<Calls>,
    /// The entries that SNS confirmed, by customer and event type.
    pub published: Vec<Published>,
    /// The messages that were settled, by queue, event type and outcome.
    pub settled: Vec<Settled>,
    /// The messages per second that were sent to SNS, by the second since the Unix epoch. Seconds without any are left
    /// out.
    pub seconds: BTreeMap<i64, Second>,
    /// The throttled calls, in the order of their answers; at most [`MAX_THROTTLES`].
    pub throttles: Vec<Throttle>,
    /// The number of throttled calls that `throttles` has no room for.
    pub throttles_left_out: u64,
}

/// The most throttled calls that a minute describes one by one.
pub const MAX_THROTTLES: usize = telemetry::MAX_THROTTLES;

/// The calls of one operation for one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// The service: `s3`, `sns` or `sqs`.
    pub service: String,
    /// The operation, as the API names it.
    pub operation: String,
    /// Whether the topic or the queue is FIFO.
    pub fifo: bool,
    /// The customer that the calls were made for, if they were made for one.
    pub customer: Option<String>,
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
    /// The bytes of these, bodies and attributes together.
    pub bytes: u64,
    /// The billed requests if a call is rounded up in total: one per 64 KiB of the call, at least one.
    pub units_per_call: u64,
    /// The billed requests if each entry is rounded up: one per 64 KiB of each entry, and at least one per call.
    pub units_per_entry: u64,
}

/// The entries of one event type that SNS confirmed for one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The customer, if the topic belongs to one.
    pub customer: Option<String>,
    /// The full name of the event type.
    pub event_type: String,
    /// Whether the topic is FIFO.
    pub fifo: bool,
    /// The entries.
    pub entries: u64,
    /// Their bytes, bodies and attributes together.
    pub bytes: u64,
    /// Their share, by bytes, of the units of their calls, in millionths of a unit.
    pub micro_units_per_call: u64,
    /// Their billed requests if each entry is rounded up.
    pub units_per_entry: u64,
    /// The entries that are at most a tenth larger than a multiple of 64 KiB: slightly smaller ones would save a unit.
    pub just_over: u64,
}

/// The settled messages of one queue, event type and outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The name of the queue.
    pub queue: String,
    /// The full name of the event type, or `unknown`.
    pub event_type: String,
    /// The code of the outcome.
    pub outcome: String,
    /// The messages.
    pub messages: u64,
}

/// The messages of one second that were sent to SNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// The messages in calls that were made in this second.
    pub attempted: u64,
    /// The messages that SNS confirmed in this second.
    pub accepted: u64,
    /// The messages that SNS throttled in this second. They are sent again.
    pub throttled: u64,
}

/// A call that SNS throttled, as a whole or in part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throttle {
    /// When SNS answered.
    pub at: i64,
    /// The ARN of the topic.
    pub topic: String,
    /// The error code.
    pub code: String,
    /// The id of the request, as AWS Support asks for it.
    pub request_id: Option<String>,
    /// The messages that were throttled.
    pub messages: u64,
    /// Whether the whole call was throttled.
    pub whole_call: bool,
    /// The messages that SNS had confirmed to this replica in the second before.
    pub rate: f64,
}

/// Returns the folder of the minutes that begin in the hour of this time.
fn hour_folder(time: i64) -> String {
    process::hour_folder(FOLDER, time)
}

fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests;
