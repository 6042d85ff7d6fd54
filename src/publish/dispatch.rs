//! The publisher's task: takes entries into their lanes, makes the calls, and says what becomes of each entry.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

use super::backpressure::Valve;
use super::call::{Answer, Caller};
use super::lanes::{Lanes, Limits, Waiting};
use super::{Pending, not_sent};
use crate::aws::{DataPlane, Failure, Kind};
use crate::config;
use crate::rate::Rate;
use crate::telemetry::{Metrics, Seldom};

/// A throttled entry may be throttled this many times for each attempt that it has: the rate is to blame, and that
/// is being lowered.
const THROTTLES_PER_ATTEMPT: u32 = 8;

/// Lanes, rate and calls put together.
#[derive(Debug)]
pub(super) struct Dispatch {
    lanes: Lanes,
    rate: Arc<Rate>,
    caller: Caller,
    metrics: Arc<Metrics>,
    max_attempts: u32,
    calls: JoinSet<Answer>,
    /// What each call carries, for when it panics.
    carried: HashMap<task::Id, Carried>,
    valve: Valve,
    log: Seldom,
}

/// Topic and groups of the entries of one call.
#[derive(Debug)]
struct Carried {
    topic: Arc<str>,
    groups: Vec<String>,
}

impl Dispatch {
    pub(super) fn new(
        data_plane: DataPlane,
        settings: &config::Publish,
        rate: Arc<Rate>,
        metrics: Arc<Metrics>,
        valve: Valve,
    ) -> Self {
        let limits = Limits {
            bytes: settings.max_batch_bytes,
            linger: settings.linger(),
            calls: settings.max_concurrent_calls,
            calls_per_topic: settings.max_concurrent_calls_per_topic,
        };
        Self {
            lanes: Lanes::new(limits),
            rate,
            caller: Caller { data_plane, metrics: Arc::clone(&metrics) },
            metrics,
            max_attempts: settings.max_attempts,
            calls: JoinSet::new(),
            carried: HashMap::new(),
            valve,
            log: Seldom::new(Duration::from_secs(1)),
        }
    }

    /// Works until every handle is gone and every entry has its verdict. Dropping the future aborts the calls.
    pub(super) async fn run(mut self, mut items: mpsc::Receiver<Vec<Pending>>) {
        const TAKE_AT_ONCE: usize = 8;
        let mut arrived = Vec::with_capacity(TAKE_AT_ONCE);
        let mut is_open = true;
        while is_open || !self.lanes.is_empty() {
            let wake = self.send(Instant::now());
            let is_high = self.valve.set(self.lanes.full_batches(), self.lanes.calls());
            self.metrics.backpressure.set(if is_high { 1.0 } else { 0.0 });
            let wake = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(over) = self.calls.join_next_with_id() => self.over(over),
                count = items.recv_many(&mut arrived, TAKE_AT_ONCE), if is_open => {
                    is_open = count > 0;
                    let now = Instant::now();
                    for pending in arrived.drain(..).flatten() {
                        self.lanes.push(pending, now);
                    }
                }
                () = wake => {}
            }
        }
    }

    /// Makes the calls that can be made. Returns when to try again if nothing happens before.
    fn send(&mut self, now: Instant) -> Option<Instant> {
        while let Some(len) = self.lanes.next_len(now) {
            if let Err(at) = self.rate.take(len, now) {
                return Some(at);
            }
            let Some((topic, batch)) = self.lanes.next_batch(now) else { break };
            let (lost, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| waiting.pending.is_lost());
            for waiting in lost {
                self.verdict(&topic, waiting, Err(not_sent("its message's receipt went stale while it waited")), now);
            }
            if batch.is_empty() {
                self.lanes.call_was_not_made(&topic, now);
                continue;
            }
            let groups = batch.iter().filter_map(|waiting| waiting.pending.entry.group.clone()).collect();
            let call = self.caller.clone().publish(Arc::clone(&topic), batch);
            let id = self.calls.spawn(call).id();
            self.carried.insert(id, Carried { topic, groups });
        }
        self.lanes.next_due()
    }

    fn over(&mut self, over: Result<(task::Id, Answer), task::JoinError>) {
        let now = Instant::now();
        match over {
            Ok((id, answer)) => {
                self.carried.remove(&id);
                let has_answer = answer.result.as_ref().map_or_else(Failure::is_answer, |_| true);
                self.lanes.call_is_over(&answer.topic, has_answer, now);
                self.answered(answer, now);
            }
            // The entries went with it; whoever waits for them takes them for not published.
            Err(error) => {
                let Some(Carried { topic, groups }) = self.carried.remove(&error.id()) else { return };
                error!(%error, topic = &*topic, "a call to publish failed; this is a defect of protobridge");
                self.lanes.call_is_over(&topic, false, now);
                for group in groups {
                    self.lanes.is_done(&topic, Some(&group), now);
                }
            }
        }
    }

    fn answered(&mut self, answer: Answer, now: Instant) {
        let Answer { topic, batch, called, result } = answer;
        match result {
            Ok(mut failures) => {
                self.rate.accepted(batch.len() - failures.len(), now);
                let throttled = failures.values().find(|failure| failure.kind == Kind::Throttled);
                if let Some(failure) = throttled {
                    self.throttled(failure, &topic, called, now);
                }
                for (index, waiting) in batch.into_iter().enumerate() {
                    match failures.remove(&index) {
                        None => self.verdict(&topic, waiting, Ok(()), now),
                        Some(failure) => self.failed(&topic, waiting, failure, now),
                    }
                }
            }
            Err(failure) => {
                if failure.kind == Kind::Throttled {
                    self.throttled(&failure, &topic, called, now);
                }
                let is_split = failure.kind == Kind::Refused && batch.len() > 1;
                if is_split {
                    warn!(%failure, topic = &*topic, entries = batch.len(), "batch refused, splitting it");
                }
                let half = batch.len().div_ceil(2);
                for mut waiting in batch {
                    if is_split {
                        // Nothing was published; the entry that is to blame will stand alone in the end.
                        waiting.most = half;
                        self.lanes.again(&topic, waiting, now, now);
                    } else {
                        self.failed(&topic, waiting, failure.clone(), now);
                    }
                }
            }
        }
    }

    fn throttled(&self, failure: &Failure, topic: &str, called: Instant, now: Instant) {
        self.rate.throttled(failure, topic, called, now);
        self.metrics.throttles.with(&[failure.label()]).add(1);
    }

    /// Sends an entry again if that may help, and otherwise says that it has failed.
    fn failed(&mut self, topic: &Arc<str>, mut waiting: Waiting, failure: Failure, now: Instant) {
        self.metrics.publish_failures.with(&[failure.label()]).add(1);
        let tries = if failure.kind == Kind::Throttled {
            waiting.throttles += 1;
            waiting.throttles.div_ceil(THROTTLES_PER_ATTEMPT)
        } else {
            waiting.attempts += 1;
            waiting.attempts
        };
        if failure.is_passing() && tries < self.max_attempts {
            debug!(%failure, topic = &**topic, tries, "publishing again");
            let due = now + pause(waiting.attempts.max(waiting.throttles));
            return self.lanes.again(topic, waiting, due, now);
        }
        if let Some(kept_back) = self.log.turn() {
            warn!(%failure, topic = &**topic, tries, kept_back, "failed to publish entry");
        }
        self.verdict(topic, waiting, Err(failure), now);
    }

    fn verdict(&mut self, topic: &Arc<str>, waiting: Waiting, verdict: Result<(), Failure>, now: Instant) {
        let Pending { entry, reply, .. } = waiting.pending;
        if verdict.is_ok() {
            self.metrics.entry_published(&entry.event_type, entry.customer.as_deref());
        }
        reply.send(verdict);
        self.lanes.is_done(topic, entry.group.as_deref(), now);
    }
}

/// How long to wait after so many failures: doubling from 100 ms, with jitter, up to 5 s.
fn pause(failures: u32) -> Duration {
    let full = (100u64 << failures.saturating_sub(1).min(6)).min(5_000);
    Duration::from_millis(fastrand::u64(full / 2..=full))
}
