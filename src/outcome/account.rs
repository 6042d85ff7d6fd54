//! Conservation: every message that came in is settled, or in flight, by the type of its event.
//!
//! `received = published + filtered + duplicate + quarantined + retried + abandoned + in flight`. It adds up by how it is
//! counted: a message has one account, which is opened once, and closed once whatever happens to the message.

use std::sync::Arc;

use crate::receive::Source;
use crate::telemetry::{Level, Metrics};

/// Metric label of events whose type is not known.
pub const UNKNOWN: &str = "unknown";

/// What is counted of one message.
#[derive(Debug)]
pub struct Account {
    metrics: Arc<Metrics>,
    source: Arc<Source>,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    Open { event_type: Option<Arc<str>>, in_flight: Arc<Level> },
    Closed,
}

/// How a message is counted in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Every topic of its event has it.
    Published,
    /// A rule leaves it out.
    Filtered,
    /// Every topic of its event had it before.
    Duplicate,
    /// It is in quarantine.
    Quarantined,
    /// It was given back.
    Retried,
    /// It was dropped without a decision, as at the end of a drain that took too long; it comes back to its queue.
    Abandoned,
}

impl Settled {
    /// All ways.
    pub const ALL: [Self; 6] =
        [Self::Published, Self::Filtered, Self::Duplicate, Self::Quarantined, Self::Retried, Self::Abandoned];

    /// Its label in metrics and traces.
    pub fn label(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Filtered => "filtered",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Retried => "retried",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Account {
    /// The account of a message that was just received.
    pub fn new(source: &Arc<Source>, metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), source: Arc::clone(source), state: State::New }
    }

    /// Opens the account, now that the type of the event was looked up. None is a type that is not known.
    pub fn open(&mut self, event_type: Option<&Arc<str>>) {
        if let State::New = self.state {
            let labels = [self.source.label.as_str(), event_type.map_or(UNKNOWN, |name| name)];
            let in_flight = self.metrics.in_flight.with(&labels);
            self.metrics.accounted.with(&labels).add(1);
            in_flight.rise();
            self.state = State::Open { event_type: event_type.map(Arc::clone), in_flight };
        }
    }

    /// Closes the account. Closed once, it stays so.
    pub fn close(&mut self, settled: Settled) {
        self.open(None);
        if let State::Open { event_type, in_flight } = std::mem::replace(&mut self.state, State::Closed) {
            let event_type = event_type.as_deref().unwrap_or(UNKNOWN);
            self.metrics.settled.with(&[&self.source.label, event_type, settled.label()]).add(1);
            in_flight.fall();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.close(Settled::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_to_a_message_it_is_counted_once() {
        let metrics = Arc::new(Metrics::new(false));
        let source = Arc::new(Source::for_tests());
        let account = || Account::new(&source, &metrics);
        let known: Arc<str> = "a.B".into();

        let mut published = account();
        published.open(Some(&known));
        published.open(None);
        assert_eq!((metrics.accounted.sum(), metrics.in_flight.sum()), (1, 1));
        published.close(Settled::Published);
        published.close(Settled::Retried);
        drop(published);
        let mut never_decided = account();
        never_decided.open(Some(&known));
        drop(never_decided);
        drop(account());

        let settled: Vec<String> = metrics
            .settled
            .totals()
            .iter()
            .map(|(labels, count)| format!("{} {count}", labels[1..].join(" ")))
            .collect();
        assert_eq!(settled, ["a.B abandoned 1", "a.B published 1", "unknown abandoned 1"]);
        assert_eq!((metrics.accounted.sum(), metrics.in_flight.sum()), (3, 0));
        assert!(metrics.render().contains("protobridge_events_in_flight{queue=\"orders\",event_type=\"a.B\"} 0"));
    }
}
