//! The publisher's task: it puts entries into their lanes, makes the calls, and decides the result of each entry.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

use super::call::{Answer, CallResult, Caller, customer};
use super::crowding::Crowding;
use super::health::{Health, Recovery};
use super::lanes::{LaneEntry, LaneLimits, Lanes};
use super::{QueuedEntry, Unpublished, Verdict, not_sent, turned_away};
use crate::aws::outages::Outages;
use crate::aws::sns::rate::{Rate, Shortage};
use crate::aws::{Failure, LeanClient, Published};
use crate::base::backpressure::Valve;
use crate::base::breaker::Permission;
use crate::base::{Backoff, RateLimitedLog};
use crate::config;
use crate::message::TopicArn;
use crate::telemetry::{FailureLabels, Metrics, ThrottledCall};

/// Delays between the attempts at one entry.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// How long a lane waits while a probe is under way.
const PROBE: Duration = Duration::from_secs(1);

/// Combines lanes, rate and calls.
#[derive(Debug)]
pub(super) struct Dispatch {
    lanes: Lanes,
    rate: Arc<Rate>,
    health: Health,
    crowding: Crowding,
    caller: Caller,
    metrics: Arc<Metrics>,
    max_attempts: u32,
    calls: JoinSet<Answer>,
    /// The calls under way, to find their entries if one panics.
    in_flight: HashMap<task::Id, InFlightCall>,
    valve: Valve,
    log: RateLimitedLog,
}

/// The topic and the message groups of one call.
#[derive(Debug)]
struct InFlightCall {
    topic: TopicArn,
    groups: Vec<String>,
}

impl Dispatch {
    pub(super) fn new(
        lean: LeanClient,
        (settings, budget): (&config::Publish, (usize, usize)),
        rate: Arc<Rate>,
        outages: Arc<Outages>,
        metrics: Arc<Metrics>,
        valve: Valve,
    ) -> Self {
        let limits = LaneLimits {
            bytes: settings.max_batch_bytes,
            linger: settings.linger(),
            calls: settings.max_concurrent_calls,
            calls_per_topic: settings.max_concurrent_calls_per_topic,
        };
        Self {
            lanes: Lanes::new(limits),
            rate,
            health: Health::new(Arc::clone(&outages)),
            crowding: Crowding::new(budget, outages),
            caller: Caller { lean, metrics: Arc::clone(&metrics) },
            metrics,
            max_attempts: settings.max_attempts,
            calls: JoinSet::new(),
            in_flight: HashMap::new(),
            valve,
            log: RateLimitedLog::new(Duration::from_secs(1)),
        }
    }

    /// Works until every handle is dropped and every entry has its result. Dropping the future aborts the calls.
    pub(super) async fn run(mut self, mut items: mpsc::Receiver<Vec<QueuedEntry>>) {
        const TAKE_AT_ONCE: usize = 8;
        let mut arrived = Vec::with_capacity(TAKE_AT_ONCE);
        let mut is_open = true;
        while is_open || !self.lanes.is_empty() {
            let now = Instant::now();
            let next_look = self.crowding.look(&mut self.health, &self.lanes, now);
            let wake = self.send(now).into_iter().chain(next_look).min();
            self.crowding.attend(&self.health, &self.lanes);
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
                Some(ended) = self.calls.join_next_with_id() => self.complete(ended),
                count = items.recv_many(&mut arrived, TAKE_AT_ONCE), if is_open => {
                    is_open = count > 0;
                    let now = Instant::now();
                    for queued in arrived.drain(..).flatten() {
                        self.admit(queued, now);
                    }
                }
                () = wake => {}
            }
        }
    }

    /// Puts an entry into its lane, or turns it away if its topic is in trouble and its lane is full.
    fn admit(&mut self, queued: QueuedEntry, now: Instant) {
        if self.crowding.turns_away(&queued.entry.topic, &self.health, &self.lanes, now) {
            queued.reply.send(Err(turned_away()));
        } else {
            self.lanes.push(queued, now);
        }
    }

    /// Makes the calls that lanes, health and rate allow. Returns when to try again if nothing happens before.
    fn send(&mut self, now: Instant) -> Option<Instant> {
        while let Some((topic, len)) = self.lanes.next_turn(now) {
            if let Permission::Denied(at) = self.health.permission(topic, now) {
                self.lanes.hold(at.unwrap_or(now + PROBE), now);
                continue;
            }
            match self.rate.take(topic, len, now) {
                Ok(()) => {}
                Err(Shortage::Account(at)) => {
                    self.health.cancel(topic);
                    return Some(at);
                }
                Err(Shortage::Topic(at)) => {
                    self.health.cancel(topic);
                    self.lanes.hold(at, now);
                    continue;
                }
            }
            let Some((topic, batch)) = self.lanes.next_batch(now) else { break };
            let (lost, mut batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| waiting.queued.is_lost());
            for waiting in lost {
                self.finish(
                    &topic,
                    waiting,
                    Err(not_sent("while it waited, its message's receipt went stale, or another replica took it over")),
                    now,
                );
            }
            if batch.is_empty() {
                self.health.cancel(&topic);
                self.lanes.cancel_call(&topic, now);
                continue;
            }
            batch.iter_mut().for_each(|waiting| waiting.trail().sent());
            let groups = batch.iter().filter_map(|waiting| waiting.queued.entry.group.clone()).collect();
            let call = self.caller.clone().send_batch(topic.clone(), batch);
            let id = self.calls.spawn(call).id();
            self.in_flight.insert(id, InFlightCall { topic, groups });
        }
        self.lanes.next_due()
    }

    fn complete(&mut self, ended: Result<(task::Id, Answer), task::JoinError>) {
        let now = Instant::now();
        match ended {
            Ok((id, answer)) => {
                self.in_flight.remove(&id);
                self.lanes.end_call(&answer.topic, answer.answered_at.is_some(), now);
                self.read_answer(answer, now);
            }
            // The panic dropped the entries, and their replies have sent a failure.
            Err(error) => {
                let Some(InFlightCall { topic, groups }) = self.in_flight.remove(&error.id()) else { return };
                error!(%error, %topic, "a call to publish failed; this is a defect of protobridge");
                self.health.cancel(&topic);
                self.lanes.end_call(&topic, false, now);
                for group in groups {
                    self.lanes.entry_done(&topic, Some(&group), now);
                }
            }
        }
    }

    fn read_answer(&mut self, answer: Answer, now: Instant) {
        self.update_rate(&answer, now);
        self.update_health(&answer, now);
        let Answer { topic, mut batch, answered_at, result, .. } = answer;
        batch.iter_mut().for_each(|waiting| waiting.trail().answered(answered_at));
        match result {
            Ok(results) => {
                for (waiting, result) in batch.into_iter().zip(results) {
                    match result {
                        Ok(published) => self.finish(&topic, waiting, Ok(published), now),
                        Err(failure) => self.failed(&topic, waiting, failure, now),
                    }
                }
            }
            Err(failure) => {
                let is_split = failure.is_about_entry() && batch.len() > 1;
                if is_split {
                    warn!(%failure, %topic, entries = batch.len(), "batch refused, splitting it");
                }
                let half = batch.len().div_ceil(2);
                for mut waiting in batch {
                    if is_split {
                        // SNS published no entry. Splitting isolates the entry that it refuses.
                        waiting.max_entries = half;
                        waiting.trail().failed(&failure);
                        self.lanes.requeue(&topic, waiting, now, now);
                    } else {
                        self.failed(&topic, waiting, failure.clone(), now);
                    }
                }
            }
        }
    }

    /// Tells the rate how much of a call SNS accepted, and whether it throttled the call, as a whole or in part.
    fn update_rate(&self, answer: &Answer, now: Instant) {
        let Answer { topic, batch, called, result, .. } = answer;
        let (accepted, throttle) = match result {
            Ok(results) => (results.iter().flatten().count(), first(results, Failure::is_throttle)),
            Err(failure) => (0, Some(failure).filter(|failure| failure.is_throttle())),
        };
        if accepted > 0 {
            self.rate.accepted(topic, accepted, *called, now);
        }
        if let Some(failure) = throttle {
            let rate = self.rate.throttled(failure, topic, customer(batch), *called, now);
            self.metrics.usage.throttled(|| ThrottledCall {
                at: answer.answered_at.unwrap_or_else(SystemTime::now),
                topic: topic.to_string(),
                code: failure.label().to_owned(),
                request_id: failure.request_id.clone(),
                messages: throttled_messages(answer),
                is_whole_call: result.is_err(),
                rate,
            });
            self.metrics.throttles.with(&FailureLabels { code: failure.label() }).add(1);
        }
    }

    /// Tells the health whether the topic accepted any entry of a call.
    fn update_health(&mut self, answer: &Answer, now: Instant) {
        let Answer { topic, result, .. } = answer;
        let failure = match result {
            Ok(results) if results.iter().any(Result::is_ok) => None,
            Ok(results) => first(results, Failure::is_throttle).or_else(|| first(results, |_| true)),
            Err(failure) => Some(failure),
        };
        let recovery = match failure {
            None => self.health.accepted(topic, now),
            Some(failure) if failure.is_throttle() => self.health.answered(topic),
            Some(failure) => {
                self.health.failed(topic, failure, now);
                if self.health.is_out(topic) {
                    self.crowding.note(topic, now);
                }
                None
            }
        };
        match recovery {
            Some(Recovery::Topic) => self.lanes.resume(Some(topic), now),
            Some(Recovery::Account) => self.lanes.resume(None, now),
            None => {}
        }
    }

    /// Sends an entry again later, unless it is at fault or its topic keeps no more entries.
    fn failed(&mut self, topic: &TopicArn, mut waiting: LaneEntry, failure: Failure, now: Instant) {
        self.metrics.publish_failures.with(&FailureLabels { code: failure.label() }).add(1);
        waiting.trail().failed(&failure);
        let mut verdict = self.health.verdict(topic, &mut waiting, &failure, self.max_attempts, now);
        if verdict.is_none() && self.crowding.turns_away(topic, &self.health, &self.lanes, now) {
            verdict = Some(Verdict::TurnedAway);
        }
        let (attempts, throttles) = (waiting.trail().attempts, waiting.trail().throttles);
        let Some(verdict) = verdict else {
            debug!(%failure, %topic, attempts, "publishing again");
            if failure.is_about_entry() {
                // The next probe tries another entry.
                waiting.since = now;
            }
            let due = now + BACKOFF.delay(waiting.failures.max(throttles));
            return self.lanes.requeue(topic, waiting, due, now);
        };
        if let Some(suppressed) = self.log.permit() {
            warn!(%failure, %topic, attempts, ?verdict, suppressed, "failed to publish entry");
        }
        self.finish(topic, waiting, Err(Unpublished { failure, verdict }), now);
    }

    /// Sends the result of an entry, and lets the next entry of its group go.
    fn finish(&mut self, topic: &TopicArn, waiting: LaneEntry, result: Result<Published, Unpublished>, now: Instant) {
        let QueuedEntry { entry, reply, .. } = waiting.queued;
        if result.is_ok() {
            self.metrics.entry_published(&entry.event_type, entry.customer.as_deref());
        }
        reply.send(result);
        self.lanes.entry_done(topic, entry.group.as_deref(), now);
    }
}

/// Returns the number of messages of a call that SNS throttled.
fn throttled_messages(answer: &Answer) -> u64 {
    let is_throttled = |result: &&CallResult| result.as_ref().is_err_and(Failure::is_throttle);
    let messages = match &answer.result {
        Ok(results) => results.iter().filter(is_throttled).count(),
        Err(_) => answer.batch.len(),
    };
    messages as u64
}

/// Returns the failure of the first entry whose failure meets the condition.
fn first(results: &[CallResult], is_met: impl Fn(&Failure) -> bool) -> Option<&Failure> {
    results.iter().filter_map(|result| result.as_ref().err()).find(|failure| is_met(failure))
}
