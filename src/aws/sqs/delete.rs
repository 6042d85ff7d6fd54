//! Deleting messages: in batches, and only with a proof that the message's outcome was reached.
//!
//! A failed delete is repeated for as long as the receipt is valid, because a message that stays on its queue is
//! published a second time. The message's hold lives until then, so the message stays hidden. This holds for every
//! failure that does not say that the receipt is stale, a denied one included. SQS ends it: it extends no visibility
//! timeout beyond 12 hours.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::SettledReceipt;
use super::stale::is_stale_receipt;
use crate::aws::{Failure, LeanClient, MAX_BATCH_ENTRIES, call_end};
use crate::base::Backoff;
use crate::base::batch::{self, Item, Limits};
use crate::message::{Queue, QueueUrl};
use crate::telemetry::{Call, Carried, Metrics, Operation};

/// How long a batch of deletes that is not full waits for more. A longer time saves calls; a shorter one means fewer
/// messages that are published twice after a crash.
const LINGER: Duration = Duration::from_millis(20);
const CONCURRENT_CALLS: usize = 16;
/// Delays between the attempts at one batch.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// The handle by which messages are deleted. Cheap to clone. `P` is the proof that a delete requires.
#[derive(Debug)]
pub struct Deleter<P> {
    /// The in-flight budget bounds the channel, or the archive: each receipt holds its share, or waited for its segment.
    items: mpsc::UnboundedSender<Item<QueueUrl, SettledReceipt>>,
    proof: PhantomData<fn(P)>,
}

impl<P> Clone for Deleter<P> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), proof: PhantomData }
    }
}

impl<P> Deleter<P> {
    /// Creates the deleter, and the task that makes its calls. The task ends when the last handle is dropped and every
    /// delete was answered.
    pub fn new(lean: LeanClient, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + use<P> + 'static) {
        let limits = Limits { entries: MAX_BATCH_ENTRIES, bytes: usize::MAX, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |_, receipts| {
            delete(lean.clone(), Arc::clone(&metrics), receipts)
        });
        (Self { items, proof: PhantomData }, run)
    }

    /// Deletes a message whose outcome was reached, within a few milliseconds.
    pub fn delete(&self, receipt: SettledReceipt, _proof: P) {
        let item = Item { key: receipt.queue.url.clone(), bytes: 0, entry: receipt };
        // The task outlives every handle. If it was aborted, SQS delivers the message again, and it is a duplicate.
        let _closed = self.items.send(item);
    }
}

/// Deletes one batch. Repeats what fails for as long as the receipts are valid. Until then the messages count as in
/// flight, so failing deletes slow the receives down.
async fn delete(lean: LeanClient, metrics: Arc<Metrics>, mut receipts: Vec<SettledReceipt>) {
    for attempt in 1u32.. {
        receipts.retain(|receipt| !receipt.hold.is_stale());
        let Some(first) = receipts.first() else { return };
        let queue = Arc::clone(&first.queue);
        match call(&lean, &metrics, &queue, &receipts).await {
            Ok(failed) => {
                receipts = receipts_to_repeat(receipts, &failed, &queue);
                if let Some(failure) = failed.values().find(|failure| !is_stale_receipt(failure)) {
                    log_failure(failure, &queue, receipts.len(), attempt);
                }
            }
            Err(failure) => log_failure(&failure, &queue, receipts.len(), attempt),
        }
        if receipts.is_empty() {
            return;
        }
        sleep(BACKOFF.delay(attempt)).await;
    }
}

/// Returns the receipts whose entries failed, without the stale ones.
fn receipts_to_repeat(
    receipts: Vec<SettledReceipt>,
    failed: &HashMap<usize, Failure>,
    queue: &Queue,
) -> Vec<SettledReceipt> {
    let failed = receipts.into_iter().enumerate().filter(|(index, _)| match failed.get(index) {
        Some(failure) if is_stale_receipt(failure) => {
            debug!(%failure, queue = queue.label, "receipt went stale before the delete");
            false
        }
        failure => failure.is_some(),
    });
    failed.map(|(_, receipt)| receipt).collect()
}

/// Logs the first failure, and then one every few minutes.
fn log_failure(failure: &Failure, queue: &Queue, messages: usize, attempt: u32) {
    let queue = &queue.label;
    if attempt == 1 || attempt.is_multiple_of(64) {
        warn!(%failure, queue, messages, attempt, "failed to delete messages, trying again");
    } else {
        debug!(%failure, queue, messages, attempt, "failed to delete messages, trying again");
    }
}

/// Makes one call. Returns the failed entries, by index.
async fn call(
    lean: &LeanClient,
    metrics: &Metrics,
    queue: &Queue,
    receipts: &[SettledReceipt],
) -> Result<HashMap<usize, Failure>, Failure> {
    let answer = lean.delete(queue.url.as_str(), receipts.iter().map(|receipt| &*receipt.handle)).await;
    let call = Call::new(Operation::DeleteMessageBatch, queue.url.is_fifo());
    metrics.transfer(&call, call_end(&answer, |_| Carried::entries(receipts.len())));
    answer
}

#[cfg(test)]
mod tests;
