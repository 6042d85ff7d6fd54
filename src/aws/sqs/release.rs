//! Returning messages to their queue: visible again after a delay, in batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::budget::Permit;
use super::change::change_batch;
use super::{ParkedReceipt, Receipt};
use crate::aws::{LeanClient, MAX_BATCH_ENTRIES};
use crate::base::batch::{self, Item, Limits};
use crate::message::QueueUrl;
use crate::telemetry::Metrics;

const LINGER: Duration = Duration::from_millis(50);
const CONCURRENT_CALLS: usize = 8;
/// The delay after which a parked message is visible.
const UNPARK_DELAY: Duration = Duration::from_secs(1);

/// A message to return.
#[derive(Debug)]
struct Release {
    receipt: ParkedReceipt,
    delay: Duration,
    /// The message's share of the in-flight budget, until the message was returned.
    _permit: Option<Permit>,
}

/// The handle by which messages are returned to their queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Releaser {
    /// The in-flight budget bounds the channel, and so does the number of messages that can be parked.
    items: mpsc::UnboundedSender<Item<QueueUrl, Release>>,
}

impl Releaser {
    /// Creates the releaser, and the task that makes its calls. The task ends when the last handle is dropped and every
    /// message was returned.
    pub fn new(lean: LeanClient, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let limits = Limits { entries: MAX_BATCH_ENTRIES, bytes: usize::MAX, linger: LINGER };
        let (items, arrived) = mpsc::unbounded_channel();
        let run = batch::run(limits, CONCURRENT_CALLS, arrived, move |_, releases| {
            release(lean.clone(), Arc::clone(&metrics), releases)
        });
        (Self { items }, run)
    }

    /// Makes a message visible again after `delay`. Leaves a message whose receipt went stale to its new owner.
    pub fn release(&self, receipt: Receipt, delay: Duration) {
        let Receipt { queue, handle, hold, permit } = receipt;
        self.send(Release { receipt: ParkedReceipt { queue, handle, hold }, delay, _permit: Some(permit) });
    }

    /// Makes a parked message visible again after a second. A message that cannot be held after all must not be received
    /// again at once, time after time.
    pub fn unpark(&self, receipt: ParkedReceipt) {
        self.send(Release { receipt, delay: UNPARK_DELAY, _permit: None });
    }

    /// Makes a parked message visible again at once.
    pub fn return_parked(&self, receipt: ParkedReceipt) {
        self.send(Release { receipt, delay: Duration::ZERO, _permit: None });
    }

    fn send(&self, release: Release) {
        release.receipt.hold.mark_returning(release.delay);
        let item = Item { key: release.receipt.queue.url.clone(), bytes: 0, entry: release };
        // If the task was aborted, the message becomes visible when its visibility timeout lapses.
        let _closed = self.items.send(item);
    }
}

async fn release(lean: LeanClient, metrics: Arc<Metrics>, mut releases: Vec<Release>) {
    releases.retain(|release| !release.receipt.hold.is_stale());
    let Some(first) = releases.first() else { return };
    let queue = Arc::clone(&first.receipt.queue);
    let changes = releases.iter().map(|release| (&*release.receipt.handle, release.delay));
    match change_batch(&lean, &metrics, &queue, changes).await {
        Ok(failed) => {
            for failure in failed.values() {
                let queue = &queue.label;
                debug!(%failure, queue, "message not returned; it becomes visible when its visibility timeout lapses");
            }
        }
        Err(failure) => {
            let (queue, messages) = (&queue.label, releases.len());
            warn!(%failure, queue, messages, "failed to return messages; they become visible when their visibility timeout lapses");
        }
    }
}
