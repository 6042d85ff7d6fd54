//! Whether each queue can be received from, as its pollers find out.
//!
//! The start of the service depends on no queue: a queue that is missing or denied is polled again until it answers,
//! and the others work meanwhile. Readiness, `/status` and a metric read here which queues answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::evidence::Evidence;
use crate::aws::sqs::visibility::Visibility;
use crate::aws::{Failure, FailureKind, Permission};
use crate::base::{RateLimitedLog, cut};
use crate::config;
use crate::message::Queue;
use crate::telemetry::{Level, Metrics, QueueLabels};

/// A queue that cannot be received from causes at most one log line per period.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// The receptions of all queues.
#[derive(Debug)]
pub struct Receptions {
    list: Vec<Arc<Reception>>,
    answered: watch::Receiver<usize>,
}

/// Whether one queue can be received from.
#[derive(Debug)]
pub struct Reception {
    /// The queue.
    pub queue: Arc<Queue>,
    /// The proofs of the polls about the messages on the queue.
    pub evidence: Evidence,
    permission: Permission,
    /// Whether SQS answered the last poll. Every poll reads it, so it is outside the lock.
    works: AtomicBool,
    state: Mutex<State>,
    gauge: Arc<Level>,
    /// The number of queues that have answered a poll since the start.
    answered: watch::Sender<usize>,
    log: RateLimitedLog,
}

#[derive(Debug, Default)]
struct State {
    has_answered: bool,
    trouble: Option<Trouble>,
    /// Whether the log has a line about the trouble.
    is_logged: bool,
}

/// Why a queue cannot be received from at this moment.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The kind of the last failure.
    pub kind: FailureKind,
    /// When the first poll in a row failed.
    pub since: SystemTime,
    /// The number of polls in a row that failed.
    pub failures: u64,
    /// The text of the last failure, cut to a length that a page can show.
    pub error: String,
    /// The change that lets the polls succeed.
    pub way_out: String,
}

/// Displays `FAILURE; WAY OUT`.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.way_out)
    }
}

impl Receptions {
    /// Creates the receptions of the configured queues; no queue has answered yet. `region` is the region that AWS is
    /// called in, if it is known.
    pub fn new(config: &config::Config, region: Option<&str>, metrics: &Metrics) -> Self {
        let (sender, answered) = watch::channel(0);
        let queues = config.queues.iter().enumerate();
        let list = queues.map(|(index, queue)| {
            let key = format!("queues[{index}].url");
            let permission = Permission::of_queue("sqs:ReceiveMessage", &queue.url, region, key);
            Arc::new(Reception::new(Arc::new(Queue::from(queue)), permission, metrics, sender.clone()))
        });
        Self { list: list.collect(), answered }
    }

    /// Iterates over the receptions, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Reception>> {
        self.list.iter()
    }

    /// Notes which of the received messages are not read yet.
    pub fn note_unread(&self, visibility: &Visibility) {
        let mut unread = visibility.unread();
        for reception in &self.list {
            reception.evidence.set_unread(unread.remove(&reception.queue.label).unwrap_or_default());
        }
    }

    /// Waits until SQS has answered a poll of at least one queue since the start.
    pub async fn any_answered(&self) {
        self.answered(1).await;
    }

    /// Waits until SQS has answered a poll of each queue since the start.
    pub async fn all_answered(&self) {
        self.answered(self.list.len()).await;
    }

    async fn answered(&self, queues: usize) {
        let mut answered = self.answered.clone();
        // The senders live as long as the receptions.
        let _closed = answered.wait_for(|count| *count >= queues).await;
    }

    /// Returns one line for each queue that cannot be received from, or that has not answered yet: the queue, the last
    /// failure and the way out.
    pub fn troubles(&self) -> Vec<String> {
        self.list.iter().filter_map(|reception| reception.line()).collect()
    }
}

impl Reception {
    /// Creates the reception of a queue that is not an input queue, such as the return queue of canaries.
    pub fn of(queue: Arc<Queue>, permission: Permission, metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self::new(queue, permission, metrics, watch::channel(0).0))
    }

    fn new(queue: Arc<Queue>, permission: Permission, metrics: &Metrics, answered: watch::Sender<usize>) -> Self {
        let gauge = metrics.queue_up.with(&QueueLabels { queue: &queue.label });
        let (works, state) = (AtomicBool::new(false), Mutex::default());
        let (evidence, log) = (Evidence::default(), RateLimitedLog::new(LOG_PERIOD));
        Self { queue, evidence, permission, works, state, gauge, answered, log }
    }

    /// Whether SQS answered the last poll.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Acquire)
    }

    /// Returns why the queue cannot be received from, if the last poll failed.
    pub fn trouble(&self) -> Option<Trouble> {
        self.state.lock().trouble.clone()
    }

    /// Whether SQS has answered a poll since the start.
    pub fn has_answered(&self) -> bool {
        self.state.lock().has_answered
    }

    /// Returns one line for a queue that cannot be received from, or that has not answered yet.
    pub fn line(&self) -> Option<String> {
        let State { has_answered, trouble, .. } = &*self.state.lock();
        let Queue { label, url, .. } = &*self.queue;
        match trouble {
            Some(trouble) => Some(format!("queue {label} ({url}): {trouble}")),
            None if *has_answered => None,
            None => Some(format!("queue {label} ({url}): SQS has not answered yet")),
        }
    }

    /// Records that SQS answered a poll.
    pub fn note_answer(&self) {
        if self.works() {
            return;
        }
        let mut state = self.state.lock();
        self.works.store(true, Ordering::Release);
        self.gauge.set(1);
        if let Some(Trouble { failures, .. }) = state.trouble.take()
            && std::mem::take(&mut state.is_logged)
        {
            info!(queue = self.queue.label, failures, "receiving again");
        }
        if !std::mem::replace(&mut state.has_answered, true) {
            self.answered.send_modify(|count| *count += 1);
        }
    }

    /// Records that a poll failed, and logs it at most once per minute.
    pub fn note_failure(&self, failure: &Failure) {
        let mut state = self.state.lock();
        self.works.store(false, Ordering::Release);
        self.gauge.set(0);
        let (since, before) = match &state.trouble {
            Some(trouble) => (trouble.since, trouble.failures),
            None => (SystemTime::now(), 0),
        };
        let trouble = Trouble {
            kind: failure.kind,
            since,
            failures: before + 1,
            error: cut(failure),
            way_out: self.permission.way_out(failure),
        };
        if let Some(suppressed) = self.log.permit() {
            self.log(failure, &trouble.way_out, suppressed);
            state.is_logged = true;
        }
        state.trouble = Some(trouble);
    }

    fn log(&self, failure: &Failure, way_out: &str, suppressed: u64) {
        let queue = &self.queue.label;
        match failure.kind {
            FailureKind::Denied | FailureKind::NotFound | FailureKind::Broken | FailureKind::Refused => {
                let url = &self.queue.url;
                error!(%failure, queue, %url, way_out, suppressed, "cannot receive from the queue, trying again");
            }
            FailureKind::Throttled | FailureKind::KeyThrottled | FailureKind::Transient => {
                warn!(%failure, queue, way_out, suppressed, "poll failed, backing off");
            }
        }
    }
}

#[cfg(test)]
impl Reception {
    /// Returns the reception of [`Queue::for_tests`].
    pub(crate) fn for_tests(metrics: &Metrics) -> Arc<Self> {
        let queue = Queue::for_tests();
        let permission = Permission::of_queue("sqs:ReceiveMessage", queue.url.as_str(), None, "queues[0].url");
        Arc::new(Self::new(Arc::new(queue), permission, metrics, watch::channel(0).0))
    }
}
