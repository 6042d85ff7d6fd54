//! The pollers of one queue: as many as there is demand for, between a minimum and a maximum.
//!
//! A poll that comes back full asks for one more poller; one that comes back empty, or fails, sends its own home. So a
//! backlog finds many pollers within a few polls, and a quiet queue costs three calls a minute.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Poller, Received};
use crate::telemetry::Level;

/// What a poller tells its crew.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    more: mpsc::Sender<()>,
    running: Arc<AtomicUsize>,
    fewest: usize,
}

impl Demand {
    /// A poll came back full: another poller would find something, too.
    pub(super) fn is_high(&self) {
        // Who has asked already has asked for all.
        let _asked = self.more.try_send(());
    }

    /// A poll came back empty, or failed. Says whether this poller goes home.
    pub(super) fn is_low(&self) -> bool {
        let fewer = |running: usize| (running > self.fewest).then(|| running - 1);
        self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }
}

/// Polls one queue until `stop` is cancelled, and gives what each poll returns to `deliver`.
pub async fn run<D>(poller: Poller, count: RangeInclusive<usize>, stop: CancellationToken, deliver: D)
where
    D: Fn(Vec<Received>) + Clone + Send + Sync + 'static,
{
    let (more, mut wanted) = mpsc::channel(1);
    let running = Arc::new(AtomicUsize::new(0));
    let demand = Demand { more, running: Arc::clone(&running), fewest: *count.start() };
    let shown = poller.shown();
    let mut pollers = JoinSet::new();
    let start = |pollers: &mut JoinSet<()>| {
        running.fetch_add(1, Ordering::AcqRel);
        let (poller, stop, demand, deliver) = (poller.clone(), stop.clone(), demand.clone(), deliver.clone());
        let shown = Shown::new(Arc::clone(&shown));
        pollers.spawn(async move {
            let _shown = shown;
            poller.run(stop, demand, deliver).await;
        });
    };
    for _ in 0..*count.start() {
        start(&mut pollers);
    }
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = pollers.join_next() => re_raise(ended),
            Some(()) = wanted.recv() => {
                if demand.running.load(Ordering::Acquire) < *count.end() {
                    start(&mut pollers);
                }
            }
        }
    }
    while let Some(ended) = pollers.join_next().await {
        re_raise(ended);
    }
}

/// A defect of a poller is one of its crew, so that it is noticed.
fn re_raise(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Shows a poller for as long as it lives.
struct Shown(Arc<Level>);

impl Shown {
    fn new(level: Arc<Level>) -> Self {
        level.rise();
        Self(level)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.fall();
    }
}
