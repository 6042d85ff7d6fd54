//! Returning messages to their queue: visible again after a delay, in batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::Receipt;
use super::visibility::change_batch;
use crate::aws::MAX_BATCH_ENTRIES;
use crate::base::batch::{self, Item, Limits};
use crate::message::QueueUrl;
use crate::telemetry::Metrics;

const LINGER: Duration = Duration::from_millis(50);
const CONCURRENT_CALLS: usize = 8;

/// The handle by which messages are returned to their queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Releaser {
    /// The in-flight budget bounds the channel: each receipt holds its share.
    items: mpsc::UnboundedSender<Item<QueueUrl, (Receipt, Duration)>>,
}

impl Releaser {
    /// Creates the releaser, and the task that makes its calls. The task ends when the last handle is dropped and every
    /// message was returned.
    pub fn new(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let limits = Limits { entries: MAX_BATCH_ENTRIES, bytes: usize::MAX, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |_, receipts| {
            release(sqs.clone(), Arc::clone(&metrics), receipts)
        });
        (Self { items }, run)
    }

    /// Makes a message visible again after `delay`. Leaves a message whose receipt went stale to its new owner.
    pub fn release(&self, receipt: Receipt, delay: Duration) {
        let item = Item { key: receipt.queue.url.clone(), bytes: 0, entry: (receipt, delay) };
        // If the task was aborted, the message becomes visible when its visibility timeout lapses.
        let _closed = self.items.send(item);
    }
}

async fn release(sqs: aws_sdk_sqs::Client, metrics: Arc<Metrics>, mut receipts: Vec<(Receipt, Duration)>) {
    receipts.retain(|(receipt, _)| !receipt.hold.is_stale());
    let Some((first, _)) = receipts.first() else { return };
    let queue = Arc::clone(&first.queue);
    let changes = receipts.iter().map(|(receipt, delay)| (&*receipt.handle, *delay));
    match change_batch(&sqs, &metrics, &queue, changes).await {
        Ok(failed) => {
            for failure in failed.values() {
                let queue = &queue.label;
                debug!(%failure, queue, "message not returned; it becomes visible when its visibility timeout lapses");
            }
        }
        Err(failure) => {
            let (queue, messages) = (&queue.label, receipts.len());
            warn!(%failure, queue, messages, "failed to return messages; they become visible when their visibility timeout lapses");
        }
    }
}
