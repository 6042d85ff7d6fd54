//! The return queue: the polls, and the meaning of each message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, warn};

use super::{LOG_PERIOD, Prober};
use crate::aws::sqs::receive::Reception;
use crate::aws::{MAX_BATCH_ENTRIES, Permission, call_end};
use crate::base::{Backoff, RateLimitedLog};
use crate::message::attributes;
use crate::monitor::canary::{Canary, CanaryId, Fate, Form, Legs, Origin, Poll, Returned};
use crate::telemetry::{Call, CanaryLeg, CanaryLegLabels, Carried, NoLabels, Operation, PollLabels, PollResult};

/// The time for which a received message stays hidden, in seconds. It applies to messages that are not deleted.
const HIDDEN_SECONDS: i32 = 30;
/// The time after which another instance can receive its canary that this one received, in seconds. It is not zero,
/// because this instance would receive the canary again at once, in a loop without a pause.
const LEFT_SECONDS: u32 = 1;
/// The deadlines after which a canary of another instance is an orphan: its instance is gone.
const ORPHAN_DEADLINES: u32 = 2;
/// The most messages that are remembered besides the canaries of this instance.
const MAX_FOREIGN: usize = 10_000;
/// Delays between polls that failed.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(10));
/// A hint about the setup is logged at most once per period.
const HINT_PERIOD: Duration = Duration::from_secs(3_600);

/// The return queue, and the limits on the lines about it.
#[derive(Debug)]
pub(super) struct Returns {
    pub(super) reception: Arc<Reception>,
    receive: Permission,
    logs: Logs,
}

#[derive(Debug)]
struct Logs {
    lost: RateLimitedLog,
    late: RateLimitedLog,
    corrupt: RateLimitedLog,
    settle: RateLimitedLog,
    raw: RateLimitedLog,
    skew: RateLimitedLog,
}

impl Returns {
    pub(super) fn new(reception: Arc<Reception>, receive: Permission) -> Self {
        let [lost, late, corrupt, settle] = [(); 4].map(|()| RateLimitedLog::new(LOG_PERIOD));
        let [raw, skew] = [(); 2].map(|()| RateLimitedLog::new(HINT_PERIOD));
        Self { reception, receive, logs: Logs { lost, late, corrupt, settle, raw, skew } }
    }

    fn url(&self) -> &str {
        self.reception.queue.url.as_str()
    }

    fn call(&self, operation: Operation) -> Call<'static> {
        Call::new(operation, self.reception.queue.url.is_fifo())
    }
}

/// The treatment of a received message.
enum Settlement {
    Delete,
    /// Another instance can receive it.
    Leave,
    /// The message is no canary. It is not deleted, because the configuration can name a wrong queue.
    Keep,
}

/// The messages that are not canaries of this instance, by message id.
#[derive(Default)]
struct Foreign(HashMap<String, Sighting>);

/// When this instance received a message.
struct Sighting {
    first: Instant,
    last: Instant,
}

impl Foreign {
    /// Notes a receive. Returns the time since the first one; zero for the first one and for a message that is not
    /// remembered.
    fn note(&mut self, message_id: &str, now: Instant) -> Duration {
        if let Some(sighting) = self.0.get_mut(message_id) {
            sighting.last = now;
            return now - sighting.first;
        }
        if self.0.len() < MAX_FOREIGN {
            self.0.insert(message_id.to_owned(), Sighting { first: now, last: now });
        }
        Duration::ZERO
    }

    /// Forgets messages that were not received for this time.
    fn forget(&mut self, unseen: Duration, now: Instant) {
        self.0.retain(|_, sighting| now - sighting.last < unseen);
    }
}

impl Prober {
    pub(super) async fn receive_all(self: Arc<Self>) {
        let (mut failures, mut foreign) = (0, Foreign::default());
        loop {
            // A long poll of an empty queue would tell only at its end that the queue can be received from.
            let wait = match self.returns.reception.works() {
                true => self.ledger.lock().poll_seconds(Instant::now()),
                false => 0,
            };
            let wait = i32::try_from(wait).unwrap_or(i32::MAX);
            let answer = self.lean.receive(self.returns.url(), wait, HIDDEN_SECONDS).await;
            let carried = |messages: &Vec<_>| Carried::sizes(messages.iter().map(size));
            self.metrics.transfer(&self.returns.call(Operation::ReceiveMessage), call_end(&answer, carried));
            match answer {
                Ok(messages) => {
                    failures = 0;
                    self.returns.reception.note_answer();
                    self.count_poll(if messages.is_empty() { PollResult::Empty } else { PollResult::Messages });
                    // A short poll asks some of the servers only, and a full one can leave messages behind.
                    let is_partial = wait == 0 || messages.len() == MAX_BATCH_ENTRIES;
                    self.accept(messages, &mut foreign).await;
                    self.judge(if is_partial { Poll::Partial } else { Poll::Complete });
                }
                Err(failure) => {
                    failures += 1;
                    self.count_poll(PollResult::Error);
                    self.returns.reception.note_failure(&failure);
                    self.judge(Poll::Failed);
                    sleep(BACKOFF.delay(failures)).await;
                }
            }
        }
    }

    fn count_poll(&self, result: PollResult) {
        let queue = &self.returns.reception.queue.label;
        self.metrics.polls.with(&PollLabels { queue, result }).add(1);
    }

    /// Counts the canaries that are lost after a poll.
    fn judge(&self, poll: Poll) {
        let lost = self.ledger.lock().polled(poll, Instant::now());
        for canary in lost {
            self.note_lost(&canary.id, canary.sent_at);
        }
    }

    fn note_lost(&self, id: &CanaryId, sent_at: SystemTime) {
        self.metrics.canary.lost.with(&NoLabels).add(1);
        self.seen.lock().note_lost(id.clone());
        if let Some(suppressed) = self.returns.logs.lost.permit() {
            let (deadline, topic) = (self.settings.deadline_seconds, &self.topic);
            let sent_at = crate::base::time::rfc3339(sent_at);
            error!(event_id = %id, sent_at, deadline, topic, suppressed, "a canary is lost: it did not return within its deadline");
        }
    }

    /// Reads the messages of a poll, deletes those that are done, and leaves those of other instances.
    async fn accept(&self, messages: Vec<aws_lean::Message>, foreign: &mut Foreign) {
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for message in messages {
            let settlement = self.read(&message, foreign);
            let Some(handle) = message.receipt_handle else { continue };
            match settlement {
                Settlement::Delete => done.push(handle),
                Settlement::Leave => left.push(handle),
                Settlement::Keep => {}
            }
        }
        let hidden = Duration::from_secs(HIDDEN_SECONDS.unsigned_abs().into());
        foreign.forget(self.settings.deadline() + hidden * 2, Instant::now());
        self.delete(&done).await;
        self.leave(&left).await;
    }

    fn read(&self, message: &aws_lean::Message, foreign: &mut Foreign) -> Settlement {
        let returned = Returned::read(message);
        match returned.origin(self.instance()) {
            Origin::Own(sequence) => {
                self.note_return(sequence, &returned);
                Settlement::Delete
            }
            Origin::Foreign(id) => self.of_foreign(message.message_id.as_deref(), &id, foreign),
            Origin::Unknown => {
                let id = message.message_id.as_deref().unwrap_or_default();
                if foreign.note(id, Instant::now()).is_zero() {
                    self.note_corrupt(
                        None,
                        "a message of the return queue is not recognizable as a canary; it stays there",
                    );
                }
                Settlement::Keep
            }
        }
    }

    /// Leaves the canary of another instance until it is an orphan. The time since this instance first received it
    /// counts, because no other clock is involved.
    fn of_foreign(&self, message_id: Option<&str>, id: &CanaryId, foreign: &mut Foreign) -> Settlement {
        let age = message_id.map(|message_id| foreign.note(message_id, Instant::now())).unwrap_or_default();
        if age < self.settings.deadline() * ORPHAN_DEADLINES {
            return Settlement::Leave;
        }
        debug!(event_id = %id, "deleting the canary of an instance that is gone");
        Settlement::Delete
    }

    /// Counts a canary of this instance that returned.
    fn note_return(&self, sequence: u64, returned: &Returned) {
        let (canary, back) = {
            let mut ledger = self.ledger.lock();
            (ledger.canary(sequence).cloned(), ledger.returned(sequence, Instant::now()))
        };
        let metrics = &self.metrics.canary;
        if back.is_first_sign {
            metrics.sent.with(&NoLabels).add(1);
        }
        match back.fate {
            Fate::Again => return debug!(sequence, "SQS delivered a canary again"),
            Fate::NeverSent => return self.note_corrupt(None, "this instance sent no canary of this number"),
            Fate::InTime { .. } | Fate::Late { .. } => {}
        }
        metrics
            .last_return
            .with(&NoLabels)
            .set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        self.note_form(returned.form);
        let Some(canary) = canary else {
            return metrics.late.with(&NoLabels).add(1);
        };
        let round_trip = match back.fate {
            Fate::InTime { round_trip } => round_trip,
            _ => None,
        };
        let legs = Legs::new(canary.sent_at, returned.published, returned.arrived, round_trip);
        self.note_skew(&legs);
        let alteration = returned.alteration(&canary);
        if let Fate::Late { is_newly_lost } = back.fate {
            self.note_late(&canary, &legs, is_newly_lost);
        }
        match alteration {
            Some(alteration) => self.note_corrupt(Some(&canary.id), &alteration),
            None if matches!(back.fate, Fate::InTime { .. }) => self.note_in_time(&canary, &legs, round_trip),
            None => {}
        }
    }

    fn note_in_time(&self, canary: &Canary, legs: &Legs, round_trip: Option<Duration>) {
        self.metrics.canary.returned.with(&NoLabels).add(1);
        let legs_by_name =
            [(CanaryLeg::In, legs.inward), (CanaryLeg::Out, legs.outward), (CanaryLeg::Total, round_trip)];
        for (leg, time) in legs_by_name {
            if let Some(time) = time {
                self.metrics.canary.round_trip.with(&CanaryLegLabels { leg }).note(time);
            }
        }
        debug!(event_id = %canary.id, ?round_trip, "canary returned");
        self.seen.lock().note_return(canary.id.clone(), legs, round_trip);
    }

    fn note_late(&self, canary: &Canary, legs: &Legs, is_newly_lost: bool) {
        if is_newly_lost {
            self.note_lost(&canary.id, canary.sent_at);
        }
        self.metrics.canary.late.with(&NoLabels).add(1);
        if let Some(suppressed) = self.returns.logs.late.permit() {
            let seconds = |leg: Option<Duration>| leg.map(|leg| leg.as_secs_f64());
            let (inward, outward) = (seconds(legs.inward), seconds(legs.outward));
            warn!(
                event_id = %canary.id, in_seconds = inward, out_seconds = outward, suppressed,
                "a lost canary returned late"
            );
        }
    }

    /// Counts a message that came back altered. `id` is `None` if it is not known whose canary it was.
    fn note_corrupt(&self, id: Option<&CanaryId>, alteration: &str) {
        self.metrics.canary.corrupt.with(&NoLabels).add(1);
        self.seen.lock().note_corrupt(alteration);
        if let Some(suppressed) = self.returns.logs.corrupt.permit() {
            let event_id = id.map(tracing::field::display);
            error!(event_id, alteration, suppressed, "a canary returned altered");
        }
    }

    fn note_form(&self, form: Form) {
        self.seen.lock().form = Some(form);
        if form == Form::Raw
            && let Some(suppressed) = self.returns.logs.raw.permit()
        {
            let (topic, url) = (&self.topic, self.returns.url());
            let way_out = "set RawMessageDelivery of the subscription to false";
            warn!(
                topic,
                url, way_out, suppressed, "the return queue receives raw messages, so the legs of a canary are unknown"
            );
        }
    }

    fn note_skew(&self, legs: &Legs) {
        let Some(skew) = legs.skew else { return };
        self.seen.lock().skew = Some(skew);
        if let Some(suppressed) = self.returns.logs.skew.permit() {
            info!(
                %skew,
                suppressed, "clocks differ, so the legs of canaries are inexact; the whole round trip is exact"
            );
        }
    }

    async fn delete(&self, handles: &[String]) {
        if handles.is_empty() {
            return;
        }
        let answer = self.lean.delete(self.returns.url(), handles.iter().map(String::as_str)).await;
        let carried = |_: &_| Carried::entries(handles.len());
        self.metrics.transfer(&self.returns.call(Operation::DeleteMessageBatch), call_end(&answer, carried));
        self.note_unsettled("sqs:DeleteMessage", answer);
    }

    async fn leave(&self, handles: &[String]) {
        if handles.is_empty() {
            return;
        }
        let changes = handles.iter().map(|handle| (handle.as_str(), LEFT_SECONDS));
        let answer = self.lean.change_visibility(self.returns.url(), changes).await;
        let carried = |_: &_| Carried::entries(handles.len());
        let call = self.returns.call(Operation::ChangeMessageVisibilityBatch);
        self.metrics.transfer(&call, call_end(&answer, carried));
        self.note_unsettled("sqs:ChangeMessageVisibility", answer);
    }

    /// Logs the first failure among messages of the return queue, which SQS then delivers again.
    fn note_unsettled(
        &self,
        action: &'static str,
        answer: Result<HashMap<usize, crate::aws::Failure>, crate::aws::Failure>,
    ) {
        let failure = match answer {
            Ok(failures) => failures.into_values().next(),
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failure
            && let Some(suppressed) = self.returns.logs.settle.permit()
        {
            let way_out = self.returns.receive.for_action(action).way_out(&failure);
            warn!(%failure, action, way_out, suppressed, "messages of the return queue stay there");
        }
    }
}

fn size(message: &aws_lean::Message) -> usize {
    attributes::message_size(message.body.as_deref().unwrap_or_default(), &message.message_attributes)
}
