//! What a cursor says.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::store::archive::Position;
use crate::store::replica_name;

/// The version of the format.
const VERSION: u32 = 1;

/// The state of a replay. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The version of the format.
    pub version: u32,
    /// The name of the replay.
    pub name: Name,
    /// Whether it runs, or how it ended.
    pub status: Status,
    /// What is sent, as the first process was asked.
    pub request: Request,
    /// The process that wrote this.
    pub owner: Owner,
    /// When this process began or took over the replay.
    pub owned_since: i64,
    /// The last row of the archive that is done, and all before it; `None` before the first step.
    pub position: Option<Position>,
    /// What was done up to that row.
    pub counts: Counts,
    /// When the first process began.
    pub started_at: i64,
    /// When this was written.
    pub updated_at: i64,
}

/// What a replay sends. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The begin of the time in which the messages were finished.
    pub from: i64,
    /// The end of that time, excluded.
    pub to: i64,
    /// The customer whose deliveries are sent; all of them without it.
    pub customer: Option<String>,
    /// The globs of event types; all types without any.
    pub types: Vec<String>,
    /// The names of queues; all queues without any.
    pub queues: Vec<String>,
    /// Whether only deliveries are sent that the journal does not show as confirmed.
    pub unconfirmed: bool,
    /// Whether messages are sent that went into quarantine.
    pub quarantined: bool,
    /// The most messages to topics per second.
    pub rate: f64,
}

impl Request {
    /// Returns the time in which the messages were finished.
    pub fn window(&self) -> Range<i64> {
        self.from..self.to
    }
}

/// A process that runs a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Identifies the process: random hexadecimal digits.
    pub id: String,
    /// The name of its host or pod.
    pub host: String,
}

impl Owner {
    /// Creates the owner that this process is.
    pub fn random() -> Self {
        Self { id: format!("{:016x}", fastrand::u64(..)), host: replica_name() }
    }
}

/// Whether a replay runs, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A process runs it, or was killed.
    Running,
    /// It was interrupted in order, and can be resumed at once.
    Stopped,
    /// Everything was sent.
    Done,
    /// An operator ended it for good.
    Canceled,
    /// It ended with an error, and can be resumed.
    Failed,
}

impl Status {
    /// Returns the word for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
        }
    }
}

/// What a replay did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The rows that were read from the archive.
    pub rows: u64,
    /// The messages among them that the request selects. Each of them was sent, or has another outcome here.
    pub messages: u64,
    /// The messages that the request would select if they had not gone into quarantine.
    pub quarantined: u64,
    /// The messages that a rule of the configuration drops.
    pub filtered: u64,
    /// The deliveries that SNS confirmed.
    pub published: u64,
    /// Their bytes, as SNS counts them.
    pub bytes: u64,
    /// The deliveries that were left out because their destination has the event.
    pub had: u64,
    /// What cannot be sent: deliveries, or messages without any, by reason.
    pub refused: BTreeMap<String, Refusal>,
}

/// What cannot be sent for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The number of deliveries, or of messages without any.
    pub count: u64,
    /// The SQS message id of the first one.
    pub first_message_id: String,
    /// What is wrong with the first one.
    pub detail: String,
}

impl Counts {
    /// Counts something that cannot be sent.
    pub fn refuse(&mut self, reason: &str, message_id: &str, detail: &str) {
        if let Some(refusal) = self.refused.get_mut(reason) {
            refusal.count += 1;
            return;
        }
        let refusal = Refusal { count: 1, first_message_id: message_id.to_owned(), detail: detail.to_owned() };
        self.refused.insert(reason.to_owned(), refusal);
    }

    /// Returns the number of deliveries and messages that cannot be sent.
    pub fn refused(&self) -> u64 {
        self.refused.values().map(|refusal| refusal.count).sum()
    }

    /// Adds later counts.
    pub fn add(&mut self, later: Self) {
        let Self { rows, messages, quarantined, filtered, published, bytes, had, refused } = later;
        self.rows += rows;
        self.messages += messages;
        self.quarantined += quarantined;
        self.filtered += filtered;
        self.published += published;
        self.bytes += bytes;
        self.had += had;
        for (reason, refusal) in refused {
            match self.refused.get_mut(&reason) {
                Some(known) => known.count += refusal.count,
                None => drop(self.refused.insert(reason, refusal)),
            }
        }
    }
}

impl State {
    /// Returns the state of a replay that begins now.
    pub(super) fn new(name: Name, request: Request, owner: Owner, now: i64) -> Self {
        Self {
            version: VERSION,
            name,
            status: Status::Running,
            request,
            owner,
            owned_since: now,
            position: None,
            counts: Counts::default(),
            started_at: now,
            updated_at: now,
        }
    }

    /// Reads a state.
    ///
    /// # Errors
    /// Returns the problem if it is not one of this version.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!("it has the format {version}, and this version knows {VERSION} only"));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}
