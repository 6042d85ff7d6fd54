//! The sources of events, as their heartbeats show them.
//!
//! Three clocks stay apart. Our own monotonic clock judges whether a source is stale. The clock of SQS gives the time
//! that a heartbeat spent on the queue, because SQS stamps both ends. The clock of the source gives the lag before the
//! queue, which changes no state. A replica sees a random part of the heartbeats, so every state is what this replica
//! knows. The missing numbers are known exactly if the replicas [share](Exchange) what they heard.

mod copies;
mod exchange;
mod gaps;
mod heard;
mod judge;
mod report;
mod sequence;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use copies::Copies;
pub use exchange::{Exchange, Gap, Reach, SharedGaps, SourceGaps};
pub use judge::{Heard, is_proof, judge};
pub use report::{LagReport, SourceReport};
use sequence::{Noted, Sequence, Times};

use crate::config::{Heartbeats, OTHER_SOURCES as OTHER, STALE_AFTER_INTERVALS};
use crate::message::Message;
use crate::route::Glob;
use crate::schema::registry::{BUILT_IN, EventType};
use crate::telemetry::{Metrics, SourceLabels};

/// A heartbeat of a source, as an event has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The name of the source.
    pub source: String,
    /// The number of the heartbeat, if it has one.
    pub sequence: Option<u64>,
    /// The time at which the source sent it, by the source's clock, if the heartbeat has it.
    pub sent_at: Option<SystemTime>,
    /// The time until the next heartbeat.
    pub interval: Duration,
}

/// All sources that were heard, and those that are expected.
#[derive(Debug)]
pub struct Sources {
    max_sources: usize,
    known: Mutex<BTreeMap<Arc<str>, Source>>,
    exchange: Option<Arc<Exchange>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Source {
    /// The types of the source's events. If there are none, all events of its queues count.
    events: Vec<Glob>,
    limit: u32,
    is_expected: bool,
    /// The names of the queues on which the source was heard.
    queues: BTreeSet<String>,
    /// The message group of the last heartbeat on a FIFO queue.
    group: Option<String>,
    heard: Option<Last>,
    sequence: Sequence,
    copies: Copies,
    gaps: u64,
    restarts: u64,
}

/// The last heartbeat of a source.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// When it reached the queue, by our clock.
    alive: Instant,
    interval: Duration,
    in_queue: Duration,
    /// The seconds from the source to the queue. A negative number shows that the two clocks differ.
    before_queue: Option<f64>,
}

impl Sources {
    /// Creates the sources of a configuration. The expected ones are unknown until they are heard. `exchange` shares the
    /// heartbeats with the other replicas.
    pub fn new(settings: &Heartbeats, exchange: Option<Arc<Exchange>>, metrics: Arc<Metrics>) -> Self {
        let mut known = BTreeMap::new();
        for expected in &settings.expect {
            metrics.monitor.start_at_zero(&expected.source);
            let events = expected.events.iter().map(|glob| Glob::new(glob)).collect();
            let source =
                Source { events, is_expected: true, limit: expected.stale_after_intervals, ..Source::default() };
            known.insert(Arc::from(expected.source.as_str()), source);
        }
        let max_sources = settings.max_sources as usize;
        Self { max_sources, known: Mutex::new(known), exchange, metrics }
    }

    /// Notes an event whose type was found, or the heartbeat that it is. Must be called once per receive of a message.
    ///
    /// A message that was received before is no new sign of life: its heartbeat counts only if its number is higher
    /// than those known. A heartbeat that the producer sent again counts never.
    pub fn note(&self, heartbeat: Option<&Heartbeat>, event_type: &EventType, message: &Message) {
        match heartbeat {
            Some(heartbeat) => self.hear(heartbeat, message),
            None if message.receive_count > 1 || BUILT_IN.contains(&&*event_type.name) => {}
            None => {
                event_type.last_event.note(message.received);
                message.queue.last_event.note(message.received);
            }
        }
    }

    fn hear(&self, heartbeat: &Heartbeat, message: &Message) {
        let mut known = self.known.lock();
        let name = self.name_of(&known, &heartbeat.source);
        // A message that was received before, and has no number, does not show that its source is alive.
        let is_sign = message.first_lag().is_some() || heartbeat.sequence.is_some() && name != OTHER;
        if !is_sign && !known.contains_key(name) {
            return;
        }
        let source = known.entry(Arc::from(name)).or_default();
        let is_first = message.first_lag().is_some();
        let number = heartbeat.sequence.filter(|_| name != OTHER);
        if number.zip(heartbeat.sent_at).is_some_and(|(number, sent_at)| source.copies.is_copy(number, sent_at)) {
            return;
        }
        let patience = heartbeat.interval.saturating_mul(source.limit);
        if let Some((exchange, number)) = self.exchange.as_ref().zip(number) {
            // Another receive of a message is no new sign of life, but its number has arrived.
            exchange.note(&message.queue.url, name, shared_heard(number, patience, message), message.received);
        }
        if !is_first && !number.is_some_and(|number| source.sequence.is_newer(number)) {
            return;
        }
        let times = Times { sent: alive(message), received: message.received, sent_at: heartbeat.sent_at };
        let noted = number.map_or(Noted::New, |number| source.sequence.note(number, times, patience));
        let labels = SourceLabels { source: name };
        let metrics = &self.metrics.monitor;
        if noted == Noted::Restart {
            source.restarts += 1;
            metrics.restarts.with(&labels).add(1);
        }
        if is_first {
            metrics.heartbeats.with(&labels).add(1);
        }
        source.hear(heartbeat, message);
    }

    /// Returns the name under which a source is shown.
    fn name_of<'n>(&self, known: &BTreeMap<Arc<str>, Source>, name: &'n str) -> &'n str {
        if known.contains_key(name) {
            return name;
        }
        let unexpected = known.iter().filter(|(name, source)| !source.is_expected && &***name != OTHER).count();
        if unexpected < self.max_sources { name } else { OTHER }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            limit: STALE_AFTER_INTERVALS,
            is_expected: false,
            queues: BTreeSet::new(),
            group: None,
            heard: None,
            sequence: Sequence::default(),
            copies: Copies::default(),
            gaps: 0,
            restarts: 0,
        }
    }
}

impl Source {
    fn hear(&mut self, heartbeat: &Heartbeat, message: &Message) {
        let (in_queue, alive) = (in_queue(message), alive(message));
        let queue = &message.queue.label;
        if !self.queues.contains(queue) {
            self.queues.insert(queue.clone());
        }
        // A heartbeat can overtake an older one. The younger one says more.
        if self.heard.is_none_or(|last| last.alive <= alive) {
            self.group = message.group.clone().filter(|_| message.queue.url.is_fifo());
            let before_queue = heartbeat.sent_at.map(|sent_at| signed_seconds(sent_at, message.sent));
            self.heard = Some(Last { alive, interval: heartbeat.interval, in_queue, before_queue });
        }
    }
}

/// Returns the time that a message spent on the queue before its first receive, by the clock of SQS.
fn in_queue(message: &Message) -> Duration {
    message.first_received.duration_since(message.sent).unwrap_or_default()
}

/// Returns when a message reached the queue, by our clock.
fn alive(message: &Message) -> Instant {
    message.received.checked_sub(in_queue(message)).unwrap_or(message.received)
}

/// Returns the heartbeat as the replicas share it. Numbers before it can take as long on the queue as it did.
fn shared_heard(number: u64, patience: Duration, message: &Message) -> gaps::Heard {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let sent = millis(message.sent.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let grace = millis(patience.saturating_add(in_queue(message)));
    gaps::Heard { number, sent, grace, patience: millis(patience) }
}

/// Returns the seconds from one time to another, which are negative if the first one is later.
fn signed_seconds(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests;
