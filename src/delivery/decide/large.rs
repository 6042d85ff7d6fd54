//! Lets other tasks run while a large payload is decompressed or rendered.
//!
//! Work on a payload has no point at which it could yield, so it occupies a worker thread of tokio for as long as it takes,
//! and a small machine has two of them. A large payload therefore runs in [`block_in_place`]: the thread first passes its
//! tasks to another one. That costs some microseconds, so small payloads run as they are. With the largest small payload
//! and the largest JSON that a topic accepts, the work takes at most a few milliseconds; docs/operations.md has the figures.
//!
//! The number of payloads that run like this is limited, because each can take many times its size in memory. Beyond the
//! limit a large payload occupies its worker thread.

use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

/// The size in bytes from which on a payload is large.
pub(super) const LARGE: usize = 64 * 1024;

/// The number of large payloads that can run outside of the worker threads at a time.
const SLOTS: usize = 2;

/// The room for large payloads outside of the worker threads.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Semaphore>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SLOTS)))
    }
}

impl Slots {
    /// Runs `work` on a payload of this size in bytes. Must not be called inside a `LocalSet`, where a large payload
    /// panics.
    pub(super) fn run<T>(&self, payload: usize, work: impl FnOnce() -> T) -> T {
        if payload < LARGE || !has_other_threads() {
            return work();
        }
        match self.0.try_acquire() {
            Ok(_slot) => block_in_place(work),
            Err(_) => work(),
        }
    }
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

    /// Whether another task runs while a payload of this size is worked on. The runtime has one worker thread, and this
    /// number of other payloads is worked on.
    fn lets_others_run(payload: usize, others: u32) -> bool {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let task = runtime.spawn(async move {
            let (sender, receiver) = mpsc::channel();
            tokio::spawn(async move { sender.send(()) });
            let slots = Slots::default();
            let _others = slots.0.try_acquire_many(others).unwrap();
            let is_expected = payload >= LARGE && (others as usize) < SLOTS;
            let patience = if is_expected { Duration::from_secs(60) } else { Duration::from_millis(20) };
            slots.run(payload, || receiver.recv_timeout(patience).is_ok())
        });
        runtime.block_on(task).unwrap()
    }

    #[test]
    fn other_tasks_run_while_a_large_payload_is_worked_on() {
        assert!(lets_others_run(LARGE, 0));
        assert!(lets_others_run(LARGE, SLOTS as u32 - 1));
    }

    #[test]
    fn a_small_payload_keeps_its_thread() {
        assert!(!lets_others_run(LARGE - 1, 0));
    }

    #[test]
    fn the_number_of_large_payloads_outside_of_the_worker_threads_is_limited() {
        assert!(!lets_others_run(LARGE, SLOTS as u32));
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_works_on_a_large_payload() {
        assert_eq!(Slots::default().run(LARGE, || 7), 7);
    }

    #[test]
    fn a_command_without_a_runtime_works_on_a_large_payload() {
        assert_eq!(Slots::default().run(LARGE, || 7), 7);
    }
}
