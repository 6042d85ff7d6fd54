//! One change of the visibility timeouts of some messages of a queue.

use std::collections::HashMap;
use std::time::Duration;

use super::attempts::attempts;
use crate::aws::{Failure, LeanClient, call_end};
use crate::message::Queue;
use crate::telemetry::{Call, Carried, Metrics, Operation};

/// Changes the visibility timeouts of one batch. `changes` are receipt handles with the new timeouts. Returns the failed
/// entries, by index.
///
/// # Errors
/// Returns an error if the whole call failed.
pub(super) async fn change_batch<'h>(
    lean: &LeanClient,
    metrics: &Metrics,
    queue: &Queue,
    changes: impl ExactSizeIterator<Item = (&'h str, Duration)> + Clone,
) -> Result<HashMap<usize, Failure>, Failure> {
    let seconds = |(handle, to): (&'h str, Duration)| (handle, u32::try_from(to.as_secs()).unwrap_or(u32::MAX));
    attempts(|| async {
        let answer = lean.change_visibility(queue.url.as_str(), changes.clone().map(seconds)).await;
        let call = Call::new(Operation::ChangeMessageVisibilityBatch, queue.url.is_fifo());
        metrics.transfer(&call, call_end(&answer, |_| Carried::entries(changes.len())));
        answer
    })
    .await
}
