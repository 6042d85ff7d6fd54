//! The last events that the prober saw, for `/status`.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Prober;
use crate::app::admin::{TroubleReport, queue_state};
use crate::aws::Failure;
use crate::base::cut;
use crate::base::time::rfc3339;
use crate::monitor::canary::{CanaryId, Form, Legs, Skew};

/// The last events of each kind.
#[derive(Debug, Default)]
pub(super) struct Seen {
    has_sent: bool,
    send_trouble: Option<SendTrouble>,
    last_return: Option<LastReturn>,
    last_lost: Option<LastLost>,
    last_corrupt: Option<LastCorrupt>,
    /// The form of the subscription.
    pub(super) form: Option<Form>,
    /// The last skew of the clocks.
    pub(super) skew: Option<Skew>,
}

/// Why canaries cannot be sent at this moment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SendTrouble {
    since: String,
    failures: u64,
    error: String,
    way_out: String,
}

#[derive(Debug, Clone, Serialize)]
struct LastReturn {
    event_id: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_seconds: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
struct LastLost {
    event_id: String,
    noticed_at: String,
}

#[derive(Debug, Clone, Serialize)]
struct LastCorrupt {
    at: String,
    alteration: String,
}

/// The state of the prober at one moment. Counts start with the process.
#[derive(Debug, Serialize)]
pub(in crate::app) struct CanaryReport {
    instance: String,
    queue: String,
    topic: String,
    return_queue: ReturnQueue,
    interval_seconds: u64,
    deadline_seconds: u64,
    /// The canaries that are neither returned nor lost.
    outstanding: usize,
    sent: u64,
    returned: u64,
    lost: u64,
    late: u64,
    corrupt: u64,
    send_errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_trouble: Option<SendTrouble>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_return: Option<LastReturn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_lost: Option<LastLost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_corrupt: Option<LastCorrupt>,
    /// How far the clocks are apart at least, if a canary showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_skew: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReturnQueue {
    url: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<TroubleReport>,
    /// The form of the subscription: `notification`, `raw`, or `unknown` before the first return. Raw delivery does not
    /// tell the legs of the round trip.
    delivery: &'static str,
}

impl SendTrouble {
    pub(super) fn new(failure: &Failure, way_out: String) -> Self {
        Self { since: rfc3339(SystemTime::now()), failures: 1, error: cut(failure), way_out }
    }
}

impl Seen {
    pub(super) fn note_sent(&mut self) {
        self.has_sent = true;
        self.send_trouble = None;
    }

    pub(super) fn note_unsent(&mut self, trouble: SendTrouble) {
        self.send_trouble = Some(match self.send_trouble.take() {
            Some(before) => SendTrouble { since: before.since, failures: before.failures + 1, ..trouble },
            None => trouble,
        });
    }

    pub(super) fn note_return(&mut self, id: CanaryId, legs: &Legs, total: Option<Duration>) {
        let seconds = |leg: Option<Duration>| leg.map(|leg| (leg.as_secs_f64() * 1_000.0).round() / 1_000.0);
        self.last_return = Some(LastReturn {
            event_id: id.to_string(),
            at: rfc3339(SystemTime::now()),
            in_seconds: seconds(legs.inward),
            out_seconds: seconds(legs.outward),
            total_seconds: seconds(total),
        });
    }

    pub(super) fn note_lost(&mut self, id: CanaryId) {
        self.last_lost = Some(LastLost { event_id: id.to_string(), noticed_at: rfc3339(SystemTime::now()) });
    }

    pub(super) fn note_corrupt(&mut self, alteration: &str) {
        self.last_corrupt = Some(LastCorrupt { at: rfc3339(SystemTime::now()), alteration: cut(alteration) });
    }
}

impl Prober {
    /// Returns the state of the prober.
    pub(in crate::app) fn report(&self) -> CanaryReport {
        let (seen, metrics) = (self.seen.lock(), &self.metrics.canary);
        let (state, trouble) = queue_state(&self.returns.reception);
        let delivery = match seen.form {
            Some(Form::Notification) => "notification",
            Some(Form::Raw) => "raw",
            None => "unknown",
        };
        let return_queue = ReturnQueue { url: self.returns.reception.queue.url.to_string(), state, trouble, delivery };
        CanaryReport {
            instance: self.instance().to_string(),
            queue: self.input.label.clone(),
            topic: self.topic.clone(),
            return_queue,
            interval_seconds: self.settings.interval_seconds,
            deadline_seconds: self.settings.deadline_seconds,
            outstanding: self.ledger.lock().outstanding(),
            sent: metrics.sent.sum(),
            returned: metrics.returned.sum(),
            lost: metrics.lost.sum(),
            late: metrics.late.sum(),
            corrupt: metrics.corrupt.sum(),
            send_errors: metrics.send_errors.sum(),
            send_trouble: seen.send_trouble.clone(),
            last_return: seen.last_return.clone(),
            last_lost: seen.last_lost.clone(),
            last_corrupt: seen.last_corrupt.clone(),
            clock_skew: seen.skew.map(|skew| skew.to_string()),
        }
    }

    /// Whether a canary was sent, and the return queue could be received from, since the start.
    pub(super) fn is_ready(&self) -> bool {
        self.seen.lock().has_sent && self.returns.reception.has_answered()
    }

    /// Returns one line for each part of the prober's work that does not succeed at this moment.
    pub(super) fn troubles(&self) -> Vec<String> {
        let send = self.seen.lock().send_trouble.clone();
        let send = send.map(|trouble| {
            format!("canaries cannot be sent to queue {}: {}; {}", self.input.label, trouble.error, trouble.way_out)
        });
        send.into_iter().chain(self.returns.reception.line()).collect()
    }
}
