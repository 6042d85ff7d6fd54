//! The way of an event, on one page: envelope → registry → transcode → route → dedupe → publish → outcome → delete.
//!
//! Everything up to the publish is plain computation on one message, except where the payload or its type has to be asked
//! for elsewhere ([`Outside`]); it ends in entries or in an outcome. What holds whatever happens: a message is deleted only
//! through [`Deleter::delete`], which wants the proof; it is given back with a delay that is never zero; and whatever is
//! dropped on the way, by a panic or at the end of a drain, returns to its queue when its visibility lapses.

mod event;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use event::Event;
pub use open::Outside;

use crate::config::{self, Config};
use crate::dedupe::{MessageId, Pair, Seen, Taken, Window};
use crate::delete::Deleter;
use crate::envelope::Envelope;
use crate::outcome::quarantine::Quarantine;
use crate::outcome::{Cause, Delivered, Everywhere, Outcome, Reached, Reason, Retry, Settled, Verdict};
use crate::publish::{self, Entry, Publisher};
use crate::receive::{Message, Receipt, Received, Source};
use crate::registry::{EventType, Registry, Snapshot};
use crate::route::{Decision, Destination, Routes};
use crate::telemetry::{Metrics, Seldom, Trace, Traces};
use crate::transcode::Transcoder;
use crate::visibility::Releaser;

/// Carries messages from receive to delete. The fields are its collaborators, in the order of their use.
#[derive(Debug)]
pub struct Pipeline {
    outside: Outside,
    envelope: config::Envelope,
    customer_attribute: String,
    retry: config::Retry,
    registry: Arc<Registry>,
    routes: Arc<Routes>,
    window: Arc<Window>,
    publisher: Publisher,
    quarantine: Quarantine,
    releaser: Releaser,
    deleter: Deleter,
    traces: Traces,
    metrics: Arc<Metrics>,
    logs: Logs,
}

/// What is found out about a message on its way.
struct Known<'s> {
    event_type: Option<&'s Arc<EventType>>,
    trace: Trace,
}

/// Repeated lines of the log.
#[derive(Debug)]
struct Logs {
    duplicates: Seldom,
    quarantined: Seldom,
    retried: Seldom,
}

/// Where the pipeline's work ends up.
#[derive(Debug)]
pub struct Ends {
    /// Knows what was published lately.
    pub window: Arc<Window>,
    /// Takes what is ready for the topics.
    pub publisher: Publisher,
    /// Takes what can never be published.
    pub quarantine: Quarantine,
    /// Takes what is given back.
    pub releaser: Releaser,
    /// Takes what is done.
    pub deleter: Deleter,
    /// Takes the spans.
    pub traces: Traces,
}

impl Pipeline {
    /// A pipeline of these parts.
    pub fn new(
        config: &Config,
        outside: Outside,
        registry: Arc<Registry>,
        routes: Arc<Routes>,
        ends: Ends,
        metrics: Arc<Metrics>,
    ) -> Self {
        let period = Duration::from_secs(1);
        Self {
            outside,
            envelope: config.envelope.clone(),
            customer_attribute: config.route.customer_attribute.clone(),
            retry: config.retry.clone(),
            registry,
            routes,
            window: ends.window,
            publisher: ends.publisher,
            quarantine: ends.quarantine,
            releaser: ends.releaser,
            deleter: ends.deleter,
            traces: ends.traces,
            metrics,
            logs: Logs {
                duplicates: Seldom::new(period),
                quarantined: Seldom::new(period),
                retried: Seldom::new(period),
            },
        }
    }

    /// Starts on what one poll returned: every message by itself, but those of one message group of a FIFO queue one
    /// after the other, in order. Cancelling `abort` drops what is under way.
    pub fn accept(self: &Arc<Self>, tasks: &TaskTracker, abort: &CancellationToken, received: Vec<Received>) {
        let mut groups: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        for received in received {
            match &received.message.group {
                Some(group) if received.message.source.fifo => groups.entry(group.clone()).or_default().push(received),
                _ => {
                    let this = Arc::clone(self);
                    tasks.spawn(abort.clone().run_until_cancelled_owned(async move { this.carry(received).await }));
                }
            }
        }
        for group in groups.into_values() {
            let this = Arc::clone(self);
            tasks.spawn(abort.clone().run_until_cancelled_owned(async move { this.carry_group(group).await }));
        }
    }

    /// Messages of one group, in order. Where one has to be tried again, those behind it go back with it, unpublished:
    /// SQS hands a group's messages out in order again once all of them are visible.
    async fn carry_group(&self, group: Vec<Received>) {
        let mut group = group.into_iter();
        while let Some(received) = group.next() {
            let Some(delay) = self.carry(received).await else { continue };
            for Received { message, mut receipt } in group {
                receipt.account.open(self.known_type(&message).as_ref());
                self.note_retried(&message.source, Cause::GroupOrder);
                receipt.account.close(Settled::Retried);
                self.releaser.release(receipt, delay).await;
            }
            return;
        }
    }

    /// One message, from receive to delete. Returns the delay if it was given back.
    async fn carry(&self, received: Received) -> Option<Duration> {
        let Received { message, mut receipt } = received;
        let snapshot = self.registry.current();
        let mut known = Known { event_type: None, trace: self.traces.begin(&message) };
        let prepared = self.open(&snapshot, &message, &mut known).await;
        receipt.account.open(known.event_type.map(|event_type| &event_type.name));
        let outcome = match prepared {
            Ok(entries) => self.publish(&message, &receipt, entries).await,
            Err(outcome) => outcome,
        };
        self.settle(message, receipt, known, outcome).await
    }

    /// Publishes an event to each of its topics that has not had it yet.
    async fn publish(&self, message: &Message, receipt: &Receipt, entries: Vec<Entry>) -> Outcome {
        let pairs: Vec<Pair> = entries.iter().map(|entry| entry.pair).collect();
        let found = self.window.claim(&pairs, MessageId::new(&message.message_id)).await;
        let (mut claims, mut open, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_elsewhere = false;
        for (entry, found) in entries.into_iter().zip(found) {
            match found {
                Ok(claim) => {
                    claims.push(claim);
                    open.push(entry);
                }
                Err(Taken::Published(seen)) => {
                    self.note_duplicate(message, &entry, &seen);
                    delivered.push(Delivered::from(seen));
                }
                Err(Taken::Elsewhere) => is_elsewhere = true,
            }
        }
        let why_not = match (receipt.hold.is_stale(), is_elsewhere) {
            (true, _) => Some(Cause::StaleReceipt.because("its receipt went stale before the publish")),
            (_, true) => Some(Cause::ClaimedElsewhere.because("another replica is publishing the same event")),
            _ => None,
        };
        if let Some(why_not) = why_not {
            self.window.release(claims).await;
            return why_not.into();
        }
        let is_duplicate = open.is_empty();
        let (mut confirmed, mut failed, mut worst) = (Vec::new(), Vec::new(), None::<publish::Error>);
        for (claim, verdict) in claims.into_iter().zip(self.publisher.publish(open, &receipt.hold.ownership()).await) {
            match verdict {
                Ok(proof) => {
                    confirmed.push(claim);
                    delivered.push(proof.into());
                }
                Err(error) => {
                    failed.push(claim);
                    worst = Some(match worst {
                        None => error,
                        Some(known) => known.or_worse(error),
                    });
                }
            }
        }
        self.window.confirm(confirmed).await;
        self.window.release(failed).await;
        match (worst, Everywhere::of(&delivered)) {
            // What still waited in its lane then was not sent.
            (Some(error), _) if receipt.hold.is_stale() => Cause::StaleReceipt.because(error).into(),
            (Some(error), _) => error.into(),
            (None, Some(everywhere)) if is_duplicate => Outcome::Duplicate(everywhere),
            (None, Some(everywhere)) => Outcome::Published(everywhere),
            (None, None) => Cause::Defect.because("it was routed to no topic; this is a defect of protobridge").into(),
        }
    }

    fn note_duplicate(&self, message: &Message, entry: &Entry, seen: &Seen) {
        let (queue, cause) = (&message.source.label, seen.cause.code());
        self.metrics.duplicates.with(&[queue, &entry.event_type, cause]).add(1);
        if let Some(kept_back) = self.logs.duplicates.turn() {
            let (message_id, first_message_id, topic) = (&message.message_id, &seen.first, &*entry.topic);
            let event_type = &*entry.event_type;
            info!(cause, event_type, topic, message_id, %first_message_id, queue, kept_back, "duplicate suppressed");
        }
    }

    /// Name of the event's type, if it is a known one.
    fn known_type(&self, message: &Message) -> Option<Arc<str>> {
        let framing = message.source.framing;
        let envelope = Envelope::open(&message.body, &message.attributes, &self.envelope, framing).ok()?;
        let snapshot = self.registry.current();
        self.event_type(&snapshot, message, &envelope).ok().map(|event_type| Arc::clone(&event_type.name))
    }

    /// From the open envelope to the entries, or to the outcome that there are none. Notes the event's type on the way.
    fn prepare<'s>(
        &self,
        snapshot: &'s Snapshot,
        message: &Message,
        envelope: &Envelope<'_>,
        known: &mut Known<'s>,
    ) -> Result<Vec<Entry>, Outcome> {
        known.trace.follow(|name| envelope.attribute(name));
        let event_type = self.event_type(snapshot, message, envelope)?;
        known.event_type = Some(event_type);

        let router = self.routes.current();
        let named = envelope.attribute(&self.customer_attribute);
        let mut transcoder = Transcoder::new(event_type, &envelope.payload, router.profile(named))?;
        let customer = named.or_else(|| transcoder.tap(&event_type.taps.customer));
        let destinations = match router.route(&event_type.name, customer) {
            Decision::To(destinations) => destinations,
            Decision::Out(filtered) => return Err(Outcome::Filtered(filtered)),
            Decision::Nobody(verdict) => return Err(verdict.into()),
        };
        let event = Event::new(message, envelope, event_type, &transcoder, &self.envelope, &known.trace);
        known.trace.event(&event_type.name, event.id.as_str(), destinations.len());
        let mut entries = Vec::with_capacity(destinations.len());
        for destination in destinations {
            let body = transcoder.json(destination.profile)?;
            entries.push(self.entry(&event, destination, body)?);
        }
        Ok(entries)
    }

    fn entry(&self, event: &Event<'_>, destination: Destination, body: Arc<str>) -> Result<Entry, Verdict> {
        let fifo = destination.topic.ends_with(".fifo");
        let whose = destination.customer.as_ref().unwrap_or(&destination.topic);
        let mut entry = Entry {
            pair: Pair::new(&event.event_type.name, event.id.as_str(), whose),
            attributes: event.attributes(destination.customer.as_deref()),
            topic: destination.topic,
            customer: destination.customer,
            event_type: Arc::clone(&event.event_type.name),
            body,
            group: fifo.then(|| event.group.clone()),
            deduplication_id: fifo.then(|| event.id.as_str().to_owned()),
        };
        let most = self.publisher.max_bytes();
        if entry.size() > most {
            entry.attributes.make_room();
        }
        let size = entry.size();
        if size > most {
            let detail = format!("{size} bytes of JSON and attributes, and {} takes {most}", entry.topic);
            return Err(Reason::TooLarge.because(detail));
        }
        Ok(entry)
    }

    /// Acts on the outcome. Returns the delay if the message was given back.
    async fn settle(
        &self,
        message: Message,
        mut receipt: Receipt,
        mut known: Known<'_>,
        outcome: Outcome,
    ) -> Option<Duration> {
        let mut quarantined = None;
        let (proof, settled): (Reached, Settled) = match outcome {
            Outcome::Published(everywhere) => {
                let latency = self.metrics.latency.with(&[&message.source.label]);
                latency.note(message.sent.elapsed().unwrap_or_default());
                (everywhere.into(), Settled::Published)
            }
            Outcome::Duplicate(everywhere) => (everywhere.into(), Settled::Duplicate),
            Outcome::Filtered(filtered) => {
                debug!(message_id = message.message_id, rule = filtered.rule(), "filtered");
                (filtered.into(), Settled::Filtered)
            }
            Outcome::Retry(why) => return Some(self.give_back(&message, receipt, known, &why).await),
            Outcome::Quarantine(_) if receipt.hold.is_stale() => {
                let why = Cause::StaleReceipt.because("its receipt went stale before it was quarantined");
                return Some(self.give_back(&message, receipt, known, &why).await);
            }
            Outcome::Quarantine(verdict) => {
                let schema_hash = known.event_type.map(|event_type| &*event_type.schema_hash);
                match self.store(&message, &verdict, schema_hash).await {
                    Ok(proof) => {
                        quarantined = Some(format!("{}: {}", verdict.reason, verdict.detail));
                        (proof, Settled::Quarantined)
                    }
                    Err(why) => return Some(self.give_back(&message, receipt, known, &why).await),
                }
            }
        };
        receipt.account.close(settled);
        known.trace.settled(settled.label(), quarantined.as_deref());
        self.deleter.delete(receipt, proof).await;
        None
    }

    /// Into the quarantine queue; where there is none, the message stays for the source's redrive policy to take.
    async fn store(&self, message: &Message, verdict: &Verdict, schema_hash: Option<&str>) -> Result<Reached, Retry> {
        let Verdict { reason, detail } = verdict;
        let queue = &message.source.label;
        if let Some(kept_back) = self.logs.quarantined.turn() {
            let message_id = &message.message_id;
            warn!(%reason, detail, message_id, queue, kept_back, "message cannot be published");
        }
        let Some(url) = &message.source.quarantine else {
            let detail = format!("{reason}, and the queue has no quarantine_url: {detail}");
            return Err(Cause::NoQuarantineQueue.because(detail));
        };
        match self.quarantine.store(url, message, verdict, schema_hash).await {
            Ok(stored) => {
                self.metrics.quarantined.with(&[queue, reason.code()]).add(1);
                Ok(stored.into())
            }
            Err(failure) => {
                let detail = format!("{reason}, and the quarantine queue {url} did not take it: {failure}");
                Err(Cause::QuarantineFailed.because(detail))
            }
        }
    }

    fn note_retried(&self, source: &Source, cause: Cause) {
        self.metrics.retried.with(&[&source.label, cause.code()]).add(1);
    }

    async fn give_back(&self, message: &Message, mut receipt: Receipt, mut known: Known<'_>, why: &Retry) -> Duration {
        let delay = delay(&self.retry, message.receive_count);
        if let Some(kept_back) = self.logs.retried.turn() {
            let (message_id, queue, delay_seconds) = (&message.message_id, &message.source.label, delay.as_secs());
            let (cause, detail) = (why.cause.code(), &why.detail);
            warn!(cause, detail, message_id, queue, delay_seconds, kept_back, "message will be tried again");
        }
        self.note_retried(&message.source, why.cause);
        receipt.account.close(Settled::Retried);
        known.trace.settled(Settled::Retried.label(), Some(&why.detail));
        self.releaser.release(receipt, delay).await;
        delay
    }
}

/// The delay before the next receive: doubling with each, with jitter, in whole seconds and never zero.
fn delay(retry: &config::Retry, receive_count: u32) -> Duration {
    let doublings = receive_count.saturating_sub(1).min(31);
    let full = (u64::from(retry.min_seconds) << doublings).min(u64::from(retry.max_seconds)).max(1);
    Duration::from_secs(fastrand::u64(full.div_ceil(2)..=full))
}

#[cfg(test)]
mod tests;
