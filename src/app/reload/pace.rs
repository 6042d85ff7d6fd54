//! The moments at which files are looked at: on a request, on a change, and at each poll.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::sleep;

use super::watch::Watch;
use crate::config::Descriptors;

/// Tells a task that follows files when to look at them.
#[derive(Debug, Clone)]
pub struct Pace {
    requested: watch::Receiver<()>,
    /// Whether changes are looked for without a request.
    is_watching: bool,
    poll_seconds: Arc<watch::Sender<u64>>,
    loading: Arc<Mutex<()>>,
}

/// The reason for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The operator asked for it.
    Request,
    /// A change was reported, or a poll is due.
    Change,
}

impl Pace {
    /// Creates the pace that the configuration sets. Each value that `requested` receives is a request.
    pub fn new(settings: &Descriptors, requested: watch::Receiver<()>) -> Self {
        Self {
            requested,
            is_watching: settings.reload,
            poll_seconds: Arc::new(watch::Sender::new(settings.poll_seconds)),
            loading: Arc::default(),
        }
    }

    /// Whether changes are looked for without a request.
    pub(super) fn is_watching(&self) -> bool {
        self.is_watching
    }

    /// Sets the interval of polls, for all tasks of this pace: of files after their present wait, of buckets at once. 0 turns
    /// polls off.
    pub(super) fn set_poll_seconds(&self, seconds: u64) {
        self.poll_seconds.send_if_modified(|present| std::mem::replace(present, seconds) != seconds);
    }

    /// Returns the interval of polls in seconds; 0 if there are none.
    pub(super) fn poll_seconds(&self) -> u64 {
        if self.is_watching { *self.poll_seconds.borrow() } else { 0 }
    }

    /// Waits for the next look.
    pub(super) async fn next(&mut self, watch: &mut Watch) -> Reason {
        let poll = Some(*self.poll_seconds.borrow()).filter(|seconds| *seconds > 0);
        let change = async {
            if self.is_watching {
                watch.changed(poll.map(Duration::from_secs)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            Ok(()) = self.requested.changed() => Reason::Request,
            () = change => Reason::Change,
        }
    }

    /// Waits for the next poll of a bucket: for the interval, or up to a fifth less, so that replicas do not poll all at once.
    /// A changed interval is a reason to poll now.
    pub(super) async fn next_poll(&mut self) -> Reason {
        let mut interval = self.poll_seconds.subscribe();
        let seconds = self.poll_seconds();
        let due = async {
            if seconds > 0 {
                sleep(Duration::from_millis(fastrand::u64(seconds * 800..=seconds * 1_000))).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            Ok(()) = self.requested.changed() => Reason::Request,
            Ok(()) = interval.changed(), if self.is_watching => Reason::Change,
            () = due => Reason::Change,
        }
    }

    /// Waits until no other task loads descriptor sets, because two loads at a time need twice the memory.
    pub(super) async fn turn_to_load(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_changed_interval_is_a_reason_to_poll_at_once_and_none_if_nothing_is_polled() {
        for (reload, polls) in [(true, true), (false, false)] {
            let settings = Descriptors { poll_seconds: 3_600, reload, ..Descriptors::default() };
            let pace = Pace::new(&settings, watch::channel(()).1);
            let mut waiting = pace.clone();
            let next = tokio::spawn(async move { waiting.next_poll().await });
            tokio::task::yield_now().await;
            pace.set_poll_seconds(3_600);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!next.is_finished(), "the same interval is no change");
            pace.set_poll_seconds(10);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(next.is_finished(), polls, "reload: {reload}");
        }
    }
}
