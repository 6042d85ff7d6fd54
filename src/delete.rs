//! Deleting: in batches, and only with proof that the message's outcome was reached.
//!
//! A delete that fails is tried again for as long as the receipt is good: a message that stays on its queue is
//! published a second time. The hold on the message lives until then, so it stays hidden meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::aws::{DataPlane, Failure};
use crate::batch::{self, Item, Limits, MAX_ENTRIES};
use crate::outcome::Reached;
use crate::receive::{Receipt, Source};
use crate::telemetry::Metrics;

/// How long a batch of deletes that is not full waits: calls saved, against the time in which a crash means a second
/// publish.
const LINGER: Duration = Duration::from_millis(20);
const CONCURRENT_CALLS: usize = 16;

/// The handle by which messages are deleted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deleter {
    /// Bounded by the in-flight budget, of which each receipt holds its share.
    items: mpsc::UnboundedSender<Item<Arc<str>, Receipt>>,
}

impl Deleter {
    /// The deleter, and the task that does its work until the last handle is gone and every delete was answered.
    pub fn new(data_plane: DataPlane, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let limits = Limits { entries: MAX_ENTRIES, bytes: usize::MAX, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |_, receipts| {
            delete(data_plane.clone(), Arc::clone(&metrics), receipts)
        });
        (Self { items }, run)
    }

    /// Deletes a message whose outcome was reached, soon.
    pub fn delete(&self, receipt: Receipt, _proof: Reached) {
        receipt.hold.settle();
        let item = Item { key: Arc::clone(&receipt.source.url), bytes: 0, entry: receipt };
        // The task ends after every handle; if it was aborted, the message comes back and is a duplicate.
        let _closed = self.items.send(item);
    }
}

/// Deletes one batch, again and again what fails, for as long as the receipts are good: giving up would mean that the
/// messages are published again. Meanwhile they count as in flight, so what cannot be deleted slows the receives down.
async fn delete(data_plane: DataPlane, metrics: Arc<Metrics>, mut receipts: Vec<Receipt>) {
    for attempt in 1u32.. {
        receipts.retain(|receipt| !receipt.hold.is_stale());
        let Some(first) = receipts.first() else { return };
        let source = Arc::clone(&first.source);
        match call(&data_plane, &metrics, &source, &receipts).await {
            Ok(failed) => {
                let mut index = 0;
                receipts.retain(|_| {
                    let failure = failed.get(&index);
                    index += 1;
                    failure.is_some_and(|failure| is_worth_another(failure, &source))
                });
            }
            // The first one is news, and then every few minutes.
            Err(failure) if attempt == 1 || attempt.is_multiple_of(64) => {
                warn!(%failure, queue = source.label, messages = receipts.len(), attempt, "failed to delete, trying again");
            }
            Err(failure) => debug!(%failure, queue = source.label, attempt, "failed to delete, trying again"),
        }
        if receipts.is_empty() {
            return;
        }
        let full = (100u64 << attempt.min(6)).min(5_000);
        sleep(Duration::from_millis(fastrand::u64(full / 2..=full))).await;
    }
}

fn is_worth_another(failure: &Failure, source: &Source) -> bool {
    if !failure.is_passing() {
        debug!(%failure, queue = source.label, "receipt went stale before the delete");
    }
    failure.is_passing()
}

async fn call(
    data_plane: &DataPlane,
    metrics: &Metrics,
    source: &Source,
    receipts: &[Receipt],
) -> Result<HashMap<usize, Failure>, Failure> {
    let answer = data_plane.delete(&source.url, receipts.iter().map(|receipt| &*receipt.handle)).await;
    metrics.call("sqs", "DeleteMessageBatch", answer.is_ok());
    answer
}

#[cfg(test)]
mod tests;
