//! What has happened, in order.

use std::fmt;
use std::time::Duration;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Since the world began.
    pub(crate) at: Duration,
    /// The run of the service that it happened to, if it did to one.
    pub(crate) instance: Option<u32>,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// A message was sent to a queue.
    Sent {
        event: String,
        message: String,
    },
    /// A message reached whoever had asked for messages.
    Handed {
        event: String,
        message: String,
        bytes: usize,
    },
    /// A topic has taken an event.
    Published {
        event: String,
        number: u64,
        /// How many entries the log had when the call was made.
        asked: usize,
        topic: String,
        group: Option<String>,
        body: String,
        /// The topic takes it for one that it has already.
        suppressed: bool,
    },
    /// The confirmation of a publish reached whoever had published.
    Confirmed {
        event: String,
        number: u64,
        topic: String,
    },
    /// A message is gone from its queue.
    Deleted {
        event: String,
        message: String,
    },
    /// The visibility of a message was set.
    Hidden {
        event: String,
        seconds: u64,
    },
    /// A message is in quarantine. The id is that of the original.
    Quarantined {
        event: String,
        message: String,
        reason: String,
    },
    /// Something went wrong that concerns this event; `onward` if it went wrong on its way to a topic, to quarantine or
    /// out of the queue, and not while the service got it and kept it.
    Fault {
        event: String,
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

/// The fault after which an event may end up in quarantine although nothing is wrong with it.
pub(crate) const REFUSED: &str = "SNS refused it";

impl Entry {
    /// The event that it is about.
    pub(crate) fn event(&self) -> Option<&str> {
        match &self.what {
            What::Sent { event, .. }
            | What::Handed { event, .. }
            | What::Published { event, .. }
            | What::Confirmed { event, .. }
            | What::Deleted { event, .. }
            | What::Hidden { event, .. }
            | What::Quarantined { event, .. }
            | What::Fault { event, .. } => Some(event),
            What::Started | What::Stopping | What::Crashed | What::Stopped { .. } | What::Healed => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = self.instance.map_or_else(|| "-".to_owned(), |instance| format!("#{instance}"));
        write!(f, "{:>9.3}s {instance:>4} ", self.at.as_secs_f64())?;
        match &self.what {
            What::Sent { event, message } => write!(f, "{event}: sent as {message}"),
            What::Handed { event, message, .. } => write!(f, "{event}: received, {message}"),
            What::Published { event, number, topic, suppressed, .. } => {
                let suppressed = if *suppressed { ", which knows it" } else { "" };
                write!(f, "{event}: published ({number}) to {topic}{suppressed}")
            }
            What::Confirmed { event, number, topic } => write!(f, "{event}: confirmed ({number}) by {topic}"),
            What::Deleted { event, message } => write!(f, "{event}: deleted, {message}"),
            What::Hidden { event, seconds } => write!(f, "{event}: hidden for {seconds} s"),
            What::Quarantined { event, reason, .. } => write!(f, "{event}: in quarantine as {reason}"),
            What::Fault { event, cause, .. } => write!(f, "{event}: FAULT {cause}"),
            What::Started => f.write_str("service started"),
            What::Stopping => f.write_str("service stops"),
            What::Crashed => f.write_str("service CRASHED"),
            What::Stopped { given_back } => write!(f, "service stopped, {given_back} given back"),
            What::Healed => f.write_str("no more faults"),
        }
    }
}
