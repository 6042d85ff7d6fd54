//! One change of the visibility timeouts of some messages of a queue.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::aws::{Failure, LeanClient};
use crate::base::Backoff;
use crate::message::Queue;
use crate::telemetry::{Metrics, Operation};

/// The number of times that a call is made if SQS does not answer, or cannot.
const ATTEMPTS: u32 = 3;
/// Delays between the attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// Changes the visibility timeouts of one batch. `changes` are receipt handles with the new timeouts. Returns the failed
/// entries, by index.
///
/// # Errors
/// Returns an error if no attempt succeeded.
pub(super) async fn change_batch<'h>(
    lean: &LeanClient,
    metrics: &Metrics,
    queue: &Queue,
    changes: impl ExactSizeIterator<Item = (&'h str, Duration)> + Clone,
) -> Result<HashMap<usize, Failure>, Failure> {
    let seconds = |(handle, to): (&'h str, Duration)| (handle, u32::try_from(to.as_secs()).unwrap_or(u32::MAX));
    let mut attempt = 1;
    loop {
        let answer = lean.change_visibility(queue.url.as_str(), changes.clone().map(seconds)).await;
        metrics.call(Operation::ChangeMessageVisibilityBatch, answer.is_ok());
        match answer {
            Err(failure) if failure.is_passing() && attempt < ATTEMPTS => sleep(BACKOFF.delay(attempt)).await,
            answer => return answer,
        }
        attempt += 1;
    }
}
