//! What is done about a message's outcome: delete, quarantine, or give back.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::{Carried, Known, Pipeline, Tasks};
use crate::config;
use crate::outcome::{Cause, Outcome, Reached, Retry, Settled, Verdict};
use crate::receive::{Message, Receipt, Source};
use crate::telemetry::Trace;

impl Pipeline {
    /// Acts on the outcome; in a task of its own where that means to wait for the quarantine queue.
    pub(super) async fn settle_apart(self: &Arc<Self>, tasks: &Tasks, carried: Carried, outcome: Outcome) {
        if let Outcome::Quarantine(_) = outcome {
            let this = Arc::clone(self);
            tasks.spawn(async move {
                this.settle(carried, outcome).await;
            });
        } else {
            self.settle(carried, outcome).await;
        }
    }

    /// Acts on the outcome. Returns the delay if the message was given back.
    pub(super) async fn settle(&self, carried: Carried, outcome: Outcome) -> Option<Duration> {
        let Carried { message, mut receipt, known: Known { event_type, mut trace } } = carried;
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
            Outcome::Retry(why) => return Some(self.give_back(&message, receipt, trace, &why)),
            Outcome::Quarantine(_) if receipt.hold.is_stale() => {
                let why = Cause::StaleReceipt.because("its receipt went stale before it was quarantined");
                return Some(self.give_back(&message, receipt, trace, &why));
            }
            Outcome::Quarantine(verdict) => {
                let schema_hash = event_type.as_ref().map(|event_type| &*event_type.schema_hash);
                match self.store(&message, &verdict, schema_hash).await {
                    Ok(proof) => {
                        quarantined = Some(format!("{}: {}", verdict.reason, verdict.detail));
                        (proof, Settled::Quarantined)
                    }
                    Err(why) => return Some(self.give_back(&message, receipt, trace, &why)),
                }
            }
        };
        receipt.account.close(settled);
        trace.settled(settled.label(), quarantined.as_deref());
        self.deleter.delete(receipt, proof);
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

    pub(super) fn note_retried(&self, source: &Source, cause: Cause) {
        self.metrics.retried.with(&[&source.label, cause.code()]).add(1);
    }

    fn give_back(&self, message: &Message, mut receipt: Receipt, mut trace: Trace, why: &Retry) -> Duration {
        let delay = delay(&self.retry, message.receive_count);
        if let Some(kept_back) = self.logs.retried.turn() {
            let (message_id, queue, delay_seconds) = (&message.message_id, &message.source.label, delay.as_secs());
            let (cause, detail) = (why.cause.code(), &why.detail);
            warn!(cause, detail, message_id, queue, delay_seconds, kept_back, "message will be tried again");
        }
        self.note_retried(&message.source, why.cause);
        receipt.account.close(Settled::Retried);
        trace.settled(Settled::Retried.label(), Some(&why.detail));
        self.releaser.release(receipt, delay);
        delay
    }
}

/// The delay before the next receive: doubling with each, with jitter, in whole seconds and never zero.
pub(super) fn delay(retry: &config::Retry, receive_count: u32) -> Duration {
    let doublings = receive_count.saturating_sub(1).min(31);
    let full = (u64::from(retry.min_seconds) << doublings).min(u64::from(retry.max_seconds)).max(1);
    Duration::from_secs(fastrand::u64(full.div_ceil(2)..=full))
}
