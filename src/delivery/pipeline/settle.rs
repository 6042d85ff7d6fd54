//! Acting on a message's outcome: delete it, quarantine it, or return it to its queue.

use std::sync::Arc;
use std::time::Duration;

use super::about::{log_about, log_about_limited};
use super::in_flight::InFlightMessage;
use super::{Pipeline, Tasks};
use crate::aws::outages::Domain;
use crate::delivery::archiving::Facts;
use crate::delivery::dedupe::{Finished, MessageId};
use crate::delivery::outcome::{Outcome, Reached, quarantine_queue};
use crate::delivery::record::Ending;
use crate::message::{OutcomeLabel, QuarantineKind, QuarantineReason, Queue, Retry, RetryCause};
use crate::telemetry::{QuarantinedLabels, QueueLabels, RetriedLabels};

/// How a message was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settlement {
    /// The message is finished, and its delete is on its way.
    Done,
    /// The message returns to its queue, visible after this delay.
    Returned(Duration),
    /// The message stays hidden until this domain takes it.
    Parked(Domain),
}

impl Pipeline {
    /// Acts on the outcome. Waits for the quarantine queue in a task of its own.
    pub(super) async fn settle_without_waiting(
        self: &Arc<Self>,
        tasks: &Tasks,
        message: InFlightMessage,
        outcome: Outcome,
    ) {
        if let Outcome::Quarantine(_) | Outcome::Held { .. } = outcome {
            let this = Arc::clone(self);
            tasks.spawn(async move {
                this.settle(message, outcome).await;
            });
        } else {
            self.settle(message, outcome).await;
        }
    }

    /// Acts on the outcome.
    pub(super) async fn settle(&self, mut message: InFlightMessage, outcome: Outcome) -> Settlement {
        // A lookup that failed ends a message before its type is known.
        message.open_account();
        message.receipt.permit.end_rendered();
        let outcome = self.limit_held(&message, outcome);
        let is_down = matches!(&outcome, Outcome::Quarantine(reason) if reason.kind == QuarantineKind::DestinationDown);
        let (proof, label, reason, detail): (Reached, _, _, _) = match outcome {
            Outcome::Published(everywhere) => {
                let latency = self.metrics.latency.with(&QueueLabels { queue: &message.message.queue.label });
                latency.note(message.message.sent.elapsed().unwrap_or_default());
                (everywhere.into(), OutcomeLabel::Published, None, None)
            }
            Outcome::Duplicate(everywhere) => (everywhere.into(), OutcomeLabel::Duplicate, None, None),
            Outcome::Filtered(filtered) => {
                log_about!(debug, message, rule = filtered.rule(), "filtered");
                let rule = filtered.rule();
                (filtered.into(), OutcomeLabel::Filtered, Some(rule), None)
            }
            Outcome::Held { domain, detail } => return self.park(message, domain, &detail),
            Outcome::Retry(retry) => return self.return_to_queue(message, &retry),
            Outcome::Quarantine(_) if message.receipt.hold.is_stale() => {
                let retry = RetryCause::StaleReceipt.because("its receipt went stale before it was quarantined");
                return self.return_to_queue(message, &retry);
            }
            Outcome::Quarantine(reason) => match self.store(&message, &reason).await {
                Ok(proof) => {
                    let QuarantineReason { kind, detail } = reason;
                    (proof, OutcomeLabel::Quarantined, Some(kind.code()), Some(detail))
                }
                Err(retry) => return self.return_to_queue(message, &retry),
            },
        };
        message.account.close(label);
        message.close_record(&Ending { outcome: label, reason, detail: detail.as_deref() });
        self.finish_deliveries(&message, label).await;
        if !is_down {
            self.intake.finished(&message.message.queue.url);
        }
        let cause = detail.map(|detail| format!("{}: {detail}", reason.unwrap_or_default()));
        self.end_trace(&mut message, label, cause.as_deref());
        let InFlightMessage { message, receipt, event_type, event_id, customer, .. } = message;
        let facts = Facts {
            event_type: event_type.as_ref(),
            event_id: event_id.as_ref(),
            customer: customer.as_ref(),
            outcome: label,
        };
        self.archiving.finish(&message, receipt.settled(), proof, facts);
        Settlement::Done
    }

    /// Stores a message in its quarantine queue.
    ///
    /// # Errors
    /// Returns a retry if the queue has no quarantine queue, whose redrive policy then takes the message in the end, or if
    /// the quarantine queue does not accept it.
    async fn store(&self, message: &InFlightMessage, reason: &QuarantineReason) -> Result<Reached, Retry> {
        let delivered = message.partly_delivered();
        let QuarantineReason { kind, detail } = reason;
        let limit = &self.logs.quarantined;
        log_about_limited!(warn, limit, message, reason = %kind, detail, "message cannot be published");
        let InFlightMessage { message, event_type, .. } = message;
        let queue = &message.queue.label;
        let url = quarantine_queue(&message.queue, reason)?;
        let schema_hash = event_type.as_ref().map(|event_type| &*event_type.schema_hash);
        match self.quarantine.store(url, message, reason, schema_hash, delivered.as_ref()).await {
            Ok(stored) => {
                self.metrics.quarantined.with(&QuarantinedLabels { queue, reason: *kind }).add(1);
                Ok(stored.into())
            }
            Err(failure) => {
                let detail = format!("{kind}, and the quarantine queue {url} did not accept it: {failure}");
                Err(RetryCause::QuarantineFailed.because(detail))
            }
        }
    }

    /// Lets the window forget the message after a while, if it came more than once or has several destinations. The window
    /// has learned that all destinations have the event when they had answered.
    async fn finish_deliveries(&self, message: &InFlightMessage, label: OutcomeLabel) {
        match message.finished() {
            Some(finished) if label == OutcomeLabel::Quarantined => self.window.finish(vec![finished]).await,
            None if message.message.receive_count > 1 => {
                let message = MessageId::new(&message.message.message_id);
                self.window.finish(vec![Finished { message, deliveries: Vec::new() }]).await;
            }
            _ => {}
        }
    }

    pub(super) fn note_retried(&self, queue: &Queue, cause: RetryCause) {
        self.metrics.retried.with(&RetriedLabels { queue: &queue.label, cause }).add(1);
    }

    fn return_to_queue(&self, mut message: InFlightMessage, retry: &Retry) -> Settlement {
        let delay = self.retry_backoff.delay_in_seconds(message.message.receive_count);
        let (cause, detail, delay_seconds) = (retry.cause.code(), &retry.detail, delay.as_secs());
        let limit = &self.logs.retried;
        log_about_limited!(warn, limit, message, cause, detail, delay_seconds, "message will be retried");
        self.note_retried(&message.message.queue, retry.cause);
        self.intake.finished(&message.message.queue.url);
        message.account.close(OutcomeLabel::Retried);
        message.close_record(&Ending { outcome: OutcomeLabel::Retried, reason: Some(cause), detail: Some(detail) });
        self.end_trace(&mut message, OutcomeLabel::Retried, Some(&retry.detail));
        self.releaser.release(message.receipt, delay);
        Settlement::Returned(delay)
    }

    /// Turns the outcome of a message that must be held into quarantine, if its queue has as many parked messages as are
    /// allowed.
    fn limit_held(&self, message: &InFlightMessage, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Held { domain, detail } if !self.parking.has_room(&message.message.queue.url) => {
                self.intake.held(&message.message.queue.url, &domain);
                let detail =
                    format!("{domain} does not take messages, and protobridge holds no more of them: {detail}");
                QuarantineKind::DestinationDown.because(detail).into()
            }
            outcome => outcome,
        }
    }

    /// Parks a message until the domain takes it.
    pub(super) fn park(&self, mut message: InFlightMessage, domain: Domain, detail: &str) -> Settlement {
        log_about_limited!(info, self.logs.held, message, %domain, detail, "message is held");
        self.note_retried(&message.message.queue, RetryCause::Held);
        self.intake.held(&message.message.queue.url, &domain);
        message.account.close(OutcomeLabel::Retried);
        let reason = Some(RetryCause::Held.code());
        message.close_record(&Ending { outcome: OutcomeLabel::Retried, reason, detail: Some(detail) });
        self.end_trace(&mut message, OutcomeLabel::Retried, Some(detail));
        self.parking.park(&domain, message.receipt);
        Settlement::Parked(domain)
    }

    fn end_trace(&self, message: &mut InFlightMessage, label: OutcomeLabel, detail: Option<&str>) {
        let InFlightMessage { message, trace, .. } = message;
        trace.get_or_insert_with(|| self.traces.begin(message)).settled(label.code(), detail);
    }
}
