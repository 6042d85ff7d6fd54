//! One poller: reserve, long poll, hand over, again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::aws::{DataPlane, Failure, Kind, data_plane};
use crate::batch::MAX_ENTRIES;
use crate::config;
use crate::publish::Backpressure;
use crate::receive::crew::Demand;
use crate::receive::{Budget, Permit, Received, Source};
use crate::telemetry::{Level, Metrics};
use crate::visibility::Visibility;

/// A long-polling loop over one queue; a crew runs as many of them as there is demand for.
#[derive(Debug, Clone)]
pub struct Poller {
    source: Arc<Source>,
    data_plane: DataPlane,
    budget: Budget,
    visibility: Visibility,
    metrics: Arc<Metrics>,
    backpressure: Backpressure,
    wait: i32,
    visibility_timeout: i32,
}

impl Poller {
    /// A poller of one queue.
    pub fn new(
        source: Arc<Source>,
        config: &config::Config,
        data_plane: DataPlane,
        budget: Budget,
        visibility: Visibility,
        backpressure: Backpressure,
    ) -> Self {
        let metrics = Arc::clone(visibility.metrics());
        Self {
            source,
            data_plane,
            budget,
            visibility,
            metrics,
            backpressure,
            wait: config.receive.wait_seconds.cast_signed(),
            visibility_timeout: config.visibility.timeout_seconds.cast_signed(),
        }
    }

    /// The gauge of this queue's pollers.
    pub(super) fn shown(&self) -> Arc<Level> {
        self.metrics.pollers.with(&[&self.source.label])
    }

    /// Polls until `stop` is cancelled, or the demand is too low for this poller; gives what each poll returns to
    /// `deliver`.
    ///
    /// A poll under way when `stop` is cancelled is dropped at once; what SQS had already chosen for its answer becomes
    /// visible again when its visibility timeout lapses.
    pub(super) async fn run(self, stop: CancellationToken, demand: Demand, deliver: impl Fn(Vec<Received>)) {
        let mut failures = 0;
        loop {
            let poll = async {
                let reserved = self.reserve().await;
                (self.poll().await, reserved)
            };
            let (result, reserved) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                polled = poll => polled,
            };
            match result {
                Ok((messages, asked)) => {
                    if failures > 0 {
                        info!(queue = self.source.label, "receiving again");
                        failures = 0;
                    }
                    let result = if messages.is_empty() { "empty" } else { "messages" };
                    self.metrics.polls.with(&[&self.source.label, result]).add(1);
                    self.metrics.received.with(&[&self.source.label]).add(messages.len() as u64);
                    if messages.len() == MAX_ENTRIES && !self.backpressure.is_high() {
                        demand.is_high();
                    }
                    if messages.is_empty() {
                        drop(reserved);
                        if demand.is_low() {
                            return;
                        }
                    } else {
                        deliver(Received::take(
                            &self.source,
                            messages,
                            &self.visibility,
                            reserved,
                            &self.metrics,
                            asked,
                        ));
                    }
                }
                Err(failure) => {
                    drop(reserved);
                    self.metrics.polls.with(&[&self.source.label, "error"]).add(1);
                    self.report(&failure, failures);
                    if demand.is_low() {
                        return;
                    }
                    failures += 1;
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        () = sleep(backoff(&failure, failures)) => {}
                    }
                }
            }
        }
    }

    /// Waits until receiving helps, and there is room for what is received.
    async fn reserve(&self) -> Permit {
        loop {
            self.backpressure.released().await;
            let reserved = self.budget.reserve().await;
            if !self.backpressure.is_high() {
                return reserved;
            }
        }
    }

    /// One long poll: the messages, and the time from which their visibility counts.
    async fn poll(&self) -> Result<(Vec<data_plane::Message>, Instant), Failure> {
        let answer = self.data_plane.receive(&self.source.url, self.wait, self.visibility_timeout).await;
        let bytes = answer.as_ref().ok().map(|messages| messages.iter().map(size).sum());
        self.metrics.transfer("sqs", "ReceiveMessage", bytes, None);
        Ok((answer?, Instant::now()))
    }

    /// The first failure in a row is news, and so is every tenth.
    fn report(&self, failure: &Failure, failures_before: u32) {
        if !failures_before.is_multiple_of(10) {
            return;
        }
        let queue = &self.source.label;
        match failure.kind {
            Kind::Denied | Kind::NotFound | Kind::Refused => {
                error!(%failure, queue, url = &*self.source.url, failures_before, "cannot receive from the queue");
            }
            Kind::Throttled | Kind::Transient => warn!(%failure, queue, failures_before, "poll failed, backing off"),
        }
    }
}

fn size(message: &data_plane::Message) -> usize {
    super::size(message.body.as_deref().unwrap_or_default(), &message.message_attributes)
}

/// How long to wait after so many failures in a row: doubling from 200 ms, with jitter, up to 10 s; up to a minute
/// where a person has to act first.
fn backoff(failure: &Failure, failures: u32) -> Duration {
    let longest = if failure.is_passing() { 10_000 } else { 60_000 };
    let full = (200u64 << failures.min(10)).min(longest);
    Duration::from_millis(fastrand::u64(full / 2..=full))
}
