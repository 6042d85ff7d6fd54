//! The log of a world: everything that has happened in it, in order.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::trouble::{Target, Trouble};

/// One entry of the log. Entries are equal if they differ in nothing but the clock.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The time since the world began.
    pub(crate) at: Duration,
    /// The time by the clock of this machine, which goes on while tokio's time is paused.
    pub(crate) clock: SystemTime,
    /// The run of the service that the entry concerns, if any.
    pub(crate) instance: Option<u32>,
    pub(crate) what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.instance, &self.what) == (other.at, other.instance, &other.what)
    }
}

/// The content of a log entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// A message was sent to a queue.
    Sent {
        event: Arc<str>,
        message: Arc<str>,
    },
    /// A received message reached the service.
    Handed {
        event: Arc<str>,
        message: Arc<str>,
        /// How often the message was received, this receive included.
        receives: u32,
    },
    /// A topic has accepted an event.
    Published {
        event: Arc<str>,
        number: u64,
        /// The number of log entries at the time of the call.
        log_length: usize,
        topic: Arc<str>,
        group: Option<String>,
        /// The event as a subscriber reads it, also if a pointer leads to it.
        body: String,
        /// The key of the object with the event, if the message is a pointer to it.
        claim: Option<String>,
        /// Whether the topic discards the event as a duplicate.
        suppressed: bool,
    },
    /// The confirmation of a publish reached the service.
    Confirmed {
        event: Arc<str>,
        number: u64,
        topic: Arc<str>,
    },
    /// A message was deleted from its queue, with the receipt handle of its last receive.
    Deleted {
        event: Arc<str>,
        message: Arc<str>,
        receives: u32,
    },
    /// The visibility of a message was set.
    Hidden {
        event: Arc<str>,
        seconds: u64,
    },
    /// A message was quarantined. `message` is the id of the original. `delivered` are the topics that have the event
    /// according to the note.
    Quarantined {
        event: Arc<str>,
        message: Arc<str>,
        reason: String,
        delivered: Vec<String>,
    },
    /// A message's redrive policy moved it to the dead-letter queue.
    DeadLettered {
        event: Arc<str>,
        message: Arc<str>,
    },
    /// Trouble began that lasts.
    Broken {
        target: Target,
        trouble: Trouble,
    },
    /// Trouble ended.
    Repaired {
        target: Target,
    },
    /// A fault affected this event. `onward` tells a fault of a publish, a quarantine or a delete from a fault of
    /// receiving the message or keeping it hidden.
    Fault {
        event: Arc<str>,
        cause: &'static str,
        onward: bool,
    },
    Started,
    Stopping,
    Crashed,
    Stopped {
        given_back: usize,
    },
    Healed,
}

/// The cause of the fault that can send a good event to quarantine.
pub(crate) const REFUSED: &str = "SNS refused it";
/// The cause of a fault of a single call to S3 or to the schema registry.
pub(crate) const LOOKUP_FAILED: &str = "a lookup of its bucket or of the registry failed or was slow";

impl Entry {
    /// Returns the event that the entry concerns, if any.
    pub(crate) fn event(&self) -> Option<&str> {
        match &self.what {
            What::Sent { event, .. }
            | What::Handed { event, .. }
            | What::Published { event, .. }
            | What::Confirmed { event, .. }
            | What::Deleted { event, .. }
            | What::Hidden { event, .. }
            | What::Quarantined { event, .. }
            | What::DeadLettered { event, .. }
            | What::Fault { event, .. } => Some(event),
            What::Broken { .. }
            | What::Repaired { .. }
            | What::Started
            | What::Stopping
            | What::Crashed
            | What::Stopped { .. }
            | What::Healed => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = self.instance.map_or_else(|| "-".to_owned(), |instance| format!("#{instance}"));
        write!(f, "{:>9.3}s {instance:>4} ", self.at.as_secs_f64())?;
        match &self.what {
            What::Sent { event, message } => write!(f, "{event}: sent as {message}"),
            What::Handed { event, message, receives } => write!(f, "{event}: received ({receives}), {message}"),
            What::Published { event, number, topic, suppressed, claim, .. } => {
                let suppressed = if *suppressed { ", which discards it as a duplicate" } else { "" };
                let claim = if claim.is_some() { " as a claim check" } else { "" };
                write!(f, "{event}: published ({number}) to {topic}{claim}{suppressed}")
            }
            What::Confirmed { event, number, topic } => write!(f, "{event}: confirmed ({number}) by {topic}"),
            What::Deleted { event, message, .. } => write!(f, "{event}: deleted, {message}"),
            What::Hidden { event, seconds } => write!(f, "{event}: hidden for {seconds} s"),
            What::Quarantined { event, reason, .. } => write!(f, "{event}: in quarantine as {reason}"),
            What::DeadLettered { event, message } => write!(f, "{event}: in the dead-letter queue, {message}"),
            What::Broken { target, trouble } => write!(f, "{target:?} is in trouble: {trouble:?}"),
            What::Repaired { target } => write!(f, "{target:?} is well again"),
            What::Fault { event, cause, .. } => write!(f, "{event}: FAULT {cause}"),
            What::Started => f.write_str("service started"),
            What::Stopping => f.write_str("service is stopping"),
            What::Crashed => f.write_str("service CRASHED"),
            What::Stopped { given_back } => write!(f, "service stopped, {given_back} messages returned to the queue"),
            What::Healed => f.write_str("no more faults"),
        }
    }
}
