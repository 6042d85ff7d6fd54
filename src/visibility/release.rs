//! Giving messages back: visible again after a delay, in batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::batch::{self, Item, Limits, MAX_ENTRIES};
use crate::receive::Receipt;
use crate::telemetry::Metrics;

const LINGER: Duration = Duration::from_millis(50);
const CONCURRENT_CALLS: usize = 8;

/// The handle by which messages are given back. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Releaser {
    /// Bounded by the in-flight budget, of which each receipt holds its share.
    items: mpsc::UnboundedSender<Item<Arc<str>, (Receipt, Duration)>>,
}

impl Releaser {
    /// The releaser, and the task that does its work until the last handle is gone and every message was given back.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let limits = Limits { entries: MAX_ENTRIES, bytes: usize::MAX, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |_, receipts| {
            release(sqs.clone(), Arc::clone(&metrics), receipts)
        });
        (Self { items }, run)
    }

    /// Makes a message visible again after `delay`. A message that went stale is left to its new owner.
    pub fn release(&self, receipt: Receipt, delay: Duration) {
        let item = Item { key: Arc::clone(&receipt.source.url), bytes: 0, entry: (receipt, delay) };
        // If the task was aborted, the message comes back when its visibility lapses.
        let _closed = self.items.send(item);
    }
}

async fn release(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, mut receipts: Vec<(Receipt, Duration)>) {
    receipts.retain(|(receipt, _)| !receipt.hold.is_stale());
    let Some((first, _)) = receipts.first() else { return };
    let source = Arc::clone(&first.source);
    let changes = receipts.iter().map(|(receipt, delay)| (&*receipt.handle, *delay));
    match super::change(&sqs, &metrics, &source, changes).await {
        Ok(failed) => {
            for failure in failed.values() {
                debug!(%failure, queue = source.label, "message not given back; it returns when its visibility lapses");
            }
        }
        Err(failure) => {
            let messages = receipts.len();
            warn!(%failure, queue = source.label, messages, "failed to give messages back; they return when their visibility lapses");
        }
    }
}
