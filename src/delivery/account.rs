//! Conservation: every received message is settled or in flight, by the type of its event.
//!
//! `received = published + filtered + duplicate + quarantined + retried + abandoned + in flight`. The equation holds by
//! construction: each message has one account, which is opened once and closed once, whatever happens to the message.

use std::sync::Arc;

use crate::message::{OutcomeLabel, Queue};
use crate::telemetry::{EventLabels, Level, Metrics, SettledLabels, UNKNOWN_TYPE};

/// Counts one message.
#[derive(Debug)]
pub struct Account {
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    Open { event_type: Option<Arc<str>>, in_flight: Arc<Level> },
    Closed,
}

impl Account {
    /// Creates the account of a message that was just received.
    pub fn new(queue: &Arc<Queue>, metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), queue: Arc::clone(queue), state: State::New }
    }

    /// Opens the account once the event type was looked up. `None` stands for an unknown type. Has no effect on an account
    /// that was opened before.
    pub fn open(&mut self, event_type: Option<&Arc<str>>) {
        if let State::New = self.state {
            let labels =
                EventLabels { queue: &self.queue.label, event_type: event_type.map_or(UNKNOWN_TYPE, |name| name) };
            let in_flight = self.metrics.in_flight.with(&labels);
            self.metrics.accounted.with(&labels).add(1);
            in_flight.rise();
            self.state = State::Open { event_type: event_type.map(Arc::clone), in_flight };
        }
    }

    /// Closes the account. Has no effect on an account that was closed before.
    pub fn close(&mut self, outcome: OutcomeLabel) {
        self.open(None);
        if let State::Open { event_type, in_flight } = std::mem::replace(&mut self.state, State::Closed) {
            let event_type = event_type.as_deref().unwrap_or(UNKNOWN_TYPE);
            self.metrics.settled.with(&SettledLabels { queue: &self.queue.label, event_type, outcome }).add(1);
            in_flight.fall();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !matches!(self.state, State::Closed) {
            self.close(OutcomeLabel::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_counted_once_whatever_happens_to_it() {
        let metrics = Arc::new(Metrics::new(false));
        let queue = Arc::new(Queue::for_tests());
        let account = || Account::new(&queue, &metrics);
        let known: Arc<str> = "a.B".into();

        let mut published = account();
        published.open(Some(&known));
        published.open(None);
        assert_eq!((metrics.accounted.sum(), metrics.in_flight.sum()), (1, 1));
        published.close(OutcomeLabel::Published);
        published.close(OutcomeLabel::Retried);
        drop(published);
        let mut never_decided = account();
        never_decided.open(Some(&known));
        drop(never_decided);
        drop(account());

        let settled = metrics.settled.sum_by(|labels| Some((labels.event_type.to_owned(), labels.outcome)));
        let (known, unknown) = ("a.B".to_owned(), UNKNOWN_TYPE.to_owned());
        let expected = [
            ((known.clone(), OutcomeLabel::Published), 1),
            ((known, OutcomeLabel::Abandoned), 1),
            ((unknown, OutcomeLabel::Abandoned), 1),
        ];
        assert_eq!(settled, expected.into());
        assert_eq!((metrics.accounted.sum(), metrics.in_flight.sum()), (3, 0));
        assert!(metrics.render().contains("protobridge_events_in_flight{queue=\"orders\",event_type=\"a.B\"} 0"));
    }
}
