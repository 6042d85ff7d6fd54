//! The outcome of a message, and the proof of it that a delete requires.
//!
//! Every received message ends in exactly one [`Outcome`]. Three of them allow its deletion, and each leaves a value that
//! only the place which reached it can create: SNS confirmed every entry ([`Confirmed`]), the quarantine queue has the
//! message ([`Stored`]), or a rule of the configuration drops the event ([`Filtered`]). [`Reached`] is created from these
//! values only. With the proof of the archive, [`Kept`], it becomes [`Deletable`], which
//! [`Deleter::delete`](crate::aws::sqs::delete::Deleter::delete) requires.

use crate::aws::outages::Domain;
use crate::aws::sns::publish::Confirmed;
use crate::aws::sqs::quarantine::Stored;
use crate::delivery::dedupe::PublishedBefore;
use crate::message::{QuarantineReason, Queue, QueueUrl, Retry, RetryCause};
use crate::route::Filtered;
use crate::store::archive::Kept;

/// The outcome of one message.
#[derive(Debug)]
pub enum Outcome {
    /// Every topic that the event routes to has it.
    Published(Everywhere),
    /// Every topic that the event routes to had it before.
    Duplicate(Everywhere),
    /// A rule of the configuration drops the event.
    Filtered(Filtered),
    /// The message can never be published as it is.
    Quarantine(QuarantineReason),
    /// The message cannot be finished now. It returns to its queue and becomes visible after a delay.
    Retry(Retry),
    /// The message is not at fault, and the domain that it depends on does not take it now. It stays hidden on its queue
    /// until the domain does.
    Held {
        /// The domain.
        domain: Domain,
        /// The problem, for the operator.
        detail: String,
    },
}

impl From<Retry> for Outcome {
    fn from(retry: Retry) -> Self {
        Self::Retry(retry)
    }
}

impl From<QuarantineReason> for Outcome {
    fn from(reason: QuarantineReason) -> Self {
        Self::Quarantine(reason)
    }
}

/// Returns the quarantine queue of a message that belongs in quarantine for this reason.
///
/// # Errors
/// Returns a retry if the message's queue has no quarantine queue. Its redrive policy takes the message in the end.
pub fn quarantine_queue<'q>(queue: &'q Queue, reason: &QuarantineReason) -> Result<&'q QueueUrl, Retry> {
    queue.quarantine.as_ref().ok_or_else(|| {
        let QuarantineReason { kind, detail } = reason;
        RetryCause::NoQuarantineQueue.because(format_args!("{kind}, and the queue has no quarantine_url: {detail}"))
    })
}

/// Proof that one topic has an event: SNS confirmed it now, or before and within the window of duplicates.
#[derive(Debug)]
pub struct Delivered(());

impl From<Confirmed> for Delivered {
    fn from(_: Confirmed) -> Self {
        Self(())
    }
}

impl From<PublishedBefore> for Delivered {
    fn from(_: PublishedBefore) -> Self {
        Self(())
    }
}

/// Proof that every topic of an event has it.
#[derive(Debug)]
pub struct Everywhere(());

impl Everywhere {
    /// Creates the proof for an event from the proof of each of its topics. An event without topics has no proof.
    pub fn of(deliveries: &[Delivered]) -> Option<Self> {
        (!deliveries.is_empty()).then_some(Self(()))
    }
}

/// Proof that the outcome of a message was reached.
#[derive(Debug)]
pub struct Reached(());

/// Proof that a message can be deleted: its outcome was reached, and the archive has it or does not stand in the way.
#[derive(Debug)]
pub struct Deletable(());

impl Deletable {
    /// Creates the proof.
    pub fn new(_: Reached, _: Kept) -> Self {
        Self(())
    }
}

impl From<Everywhere> for Reached {
    fn from(_: Everywhere) -> Self {
        Self(())
    }
}

impl From<Filtered> for Reached {
    fn from(_: Filtered) -> Self {
        Self(())
    }
}

impl From<Stored> for Reached {
    fn from(_: Stored) -> Self {
        Self(())
    }
}
