//! The pollers of one queue. Their number follows the demand, between a minimum and a maximum.
//!
//! Polls that return full batches start more pollers, as long as these would receive more ([`Headroom`]). A poll that
//! is empty or fails ends its poller. So a backlog has many pollers within a few polls, and a quiet queue costs three
//! calls per minute.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Poller;
use super::headroom::{Advice, Headroom};
use crate::aws::sqs::Received;
use crate::telemetry::Level;

/// How a poller reports the demand that it observes.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    /// How many more pollers to start.
    more: mpsc::Sender<usize>,
    running: Arc<AtomicUsize>,
    headroom: Arc<Mutex<Headroom>>,
    min_pollers: usize,
}

impl Demand {
    /// Notes a poll that returned a full batch. `took` is its time, or `None` if it can have waited for messages.
    /// Returns whether its poller must end, because it only makes the others wait.
    pub(super) fn note_full_poll(&self, took: Option<Duration>) -> bool {
        let running = self.running.load(Ordering::Acquire);
        let advice = {
            let mut headroom = self.headroom.lock().unwrap_or_else(PoisonError::into_inner);
            headroom.note(took, running, Instant::now())
        };
        match advice {
            Advice::More(more) => {
                // The channel holds one request, which is enough: the next advice follows soon.
                let _already_requested = self.more.try_send(more);
                false
            }
            Advice::Same => false,
            Advice::Fewer => self.give_up_poller(),
        }
    }

    /// Notes a poll that returned nothing. Returns whether its poller must end.
    pub(super) fn note_empty_poll(&self) -> bool {
        self.headroom.lock().unwrap_or_else(PoisonError::into_inner).note_empty();
        self.give_up_poller()
    }

    /// Gives up this poller. Returns whether the poller must end: the minimum number of pollers stays.
    pub(super) fn give_up_poller(&self) -> bool {
        let fewer = |running: usize| (running > self.min_pollers).then(|| running - 1);
        self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer).is_ok()
    }
}

/// Polls one queue until `stop` is cancelled, and passes what each poll returns to `deliver`.
///
/// # Panics
/// If a poller panics, so that the app notices the defect.
pub async fn run<D>(poller: Poller, count: RangeInclusive<usize>, stop: CancellationToken, deliver: D)
where
    D: Fn(Vec<Received>) + Clone + Send + Sync + 'static,
{
    let (more, mut requested) = mpsc::channel(1);
    let running = Arc::new(AtomicUsize::new(0));
    let headroom = Arc::new(Mutex::new(Headroom::new(*count.start())));
    let demand = Demand { more, running: Arc::clone(&running), headroom, min_pollers: *count.start() };
    let gauge = poller.gauge();
    let mut pollers = JoinSet::new();
    let start = |pollers: &mut JoinSet<()>| {
        running.fetch_add(1, Ordering::AcqRel);
        let (poller, stop, demand, deliver) = (poller.clone(), stop.clone(), demand.clone(), deliver.clone());
        let counted = Counted::new(Arc::clone(&gauge));
        pollers.spawn(async move {
            let _counted = counted;
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
            Some(ended) = pollers.join_next() => propagate_panic(ended),
            Some(more) = requested.recv() => {
                let room = count.end().saturating_sub(demand.running.load(Ordering::Acquire));
                (0..more.min(room)).for_each(|_| start(&mut pollers));
            }
        }
    }
    while let Some(ended) = pollers.join_next().await {
        propagate_panic(ended);
    }
}

/// Propagates a poller's panic, so that the app notices it.
fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Counts a poller in the gauge for as long as the poller lives.
struct Counted(Arc<Level>);

impl Counted {
    fn new(gauge: Arc<Level>) -> Self {
        gauge.rise();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fall();
    }
}
