//! Keeps the work on large payloads from delaying other tasks.
//!
//! Work on a payload has no point at which it could yield, so it occupies a thread for as long as it takes: up to about a
//! tenth of a second for 4 MiB, and many payloads can arrive at once. Tokio has one worker thread per core, on which the
//! admin endpoint must answer too. Therefore no worker thread works on a large payload. It waits for its turn, without a
//! thread, and then runs in [`block_in_place`]: the worker thread first passes its tasks to another thread. That costs some
//! microseconds, so small payloads run as they are. With the largest small payload and the largest JSON that a topic
//! accepts, the work takes at most a few milliseconds; docs/operations.md has the figures.
//!
//! The JSON of a claim check can be far larger than what a topic accepts. It is rendered in a turn too, however small its
//! payload is.
//!
//! The number of turns at a time is limited, because each payload can take many times its size in memory. If there are claim
//! checks, it does not grow with the cores: the size of the JSON is known only once it is in memory, so the turns at a time
//! can exceed the in-flight budget by the largest JSON each.

use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::block_in_place;

use crate::message::envelope::Envelope;

/// The size in bytes beyond which a payload is large. The events that producers send every day must stay below: turns cost
/// them a fifth more CPU, and the memory of further threads.
pub(super) const LARGE: usize = 256 * 1024;

/// A payload, or the JSON of a claim check, that is not small enough to be worked on without a [`Turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsLarge;

/// The number of large payloads at the same time: one per core, and at least two.
static AT_ONCE: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(2, |cores| cores.get().max(2)));

/// The same if there are claim checks. docs/operations.md has the memory that follows from it.
const AT_ONCE_WITH_CLAIM_CHECKS: usize = 2;

/// The turns of large payloads.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// Creates the turns of a configuration.
    pub(super) fn new(has_claim_checks: bool) -> Self {
        Self(Arc::new(Semaphore::new(if has_claim_checks { AT_ONCE_WITH_CLAIM_CHECKS } else { *AT_ONCE })))
    }

    /// Waits for the next turn.
    pub(super) async fn next(&self) -> Turn<'_> {
        // The semaphore is never closed.
        Turn { _permit: self.0.acquire().await.ok() }
    }
}

/// The turn of one large payload. It ends when this is dropped.
#[derive(Debug)]
pub struct Turn<'t> {
    _permit: Option<SemaphorePermit<'t>>,
}

impl Turn<'_> {
    /// Runs `work` while other tasks go on. Must not be called inside a `LocalSet`.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        if has_other_threads() { block_in_place(work) } else { work() }
    }
}

/// Returns the size of the payload in the wire format in bytes, or its upper bound if the payload is JSON.
pub(super) fn size(envelope: &Envelope<'_>) -> usize {
    /// A digit and a comma become a Value with a double: eleven bytes, besides the lengths around it.
    const GROWTH: usize = 6;
    envelope.payload.len() * if envelope.is_json() { GROWTH } else { 1 }
}

/// Whether the runtime can pass its tasks to another thread.
fn has_other_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn other_tasks_run_while_large_payloads_are_worked_on_and_wait() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let task = runtime.spawn(async {
            let turns = Turns::new(false);
            let waiting: Vec<_> = (0..10)
                .map(|_| {
                    let turns = turns.clone();
                    tokio::spawn(async move { turns.next().await.run(|| ()) })
                })
                .collect();
            let (sender, receiver) = mpsc::channel();
            tokio::spawn(async move { sender.send(()) });
            let turn = turns.next().await;
            assert!(turn.run(|| receiver.recv_timeout(Duration::from_secs(60)).is_ok()));
            drop(turn);
            for task in waiting {
                task.await.unwrap();
            }
        });
        runtime.block_on(task).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_large_payloads_at_a_time_is_limited() {
        for (has_claim_checks, at_once) in [(false, *AT_ONCE), (true, 2)] {
            let turns = Turns::new(has_claim_checks);
            let mut taken = Vec::new();
            while let Ok(turn) = tokio::time::timeout(Duration::from_secs(1), turns.next()).await {
                taken.push(turn);
            }
            assert_eq!(taken.len(), at_once);
            taken.pop();
            assert_eq!(turns.next().await.run(|| 7), 7, "a runtime of one thread works on it too");
        }
    }
}
