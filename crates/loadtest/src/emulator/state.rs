//! The state of the emulator.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::Answer;
use super::clock::Micros;
use super::faults::FaultInjector;
use super::ledger::Ledger;
use super::queue::Queue;
use super::renderings::Renderings;
use super::replicas::Replicas;
use super::s3::Claims;
use super::stats::{Calls, Stats};
use crate::events::Events;
use crate::network::NetworkStats;
use crate::spec::Spec;
use crate::totals::{CallEnd, Carried, Totals};

/// The queue, the topics and the counters.
#[derive(Debug)]
pub(super) struct Emulator {
    pub(super) spec: Spec,
    pub(super) events: Events,
    state: Mutex<State>,
    /// Notifies waiting polls that a message may be visible.
    pub(super) changed: Notify,
    began: (Instant, SystemTime),
}

/// The part of the state that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) ledger: Ledger,
    pub(super) replicas: Replicas,
    pub(super) calls: Calls,
    /// All calls since the emulator began.
    pub(super) totals: Totals,
    /// The number of messages that SNS accepted. Their ids are made from it.
    pub(super) accepted: u64,
    pub(super) faults: FaultInjector,
    /// The objects that the service stored.
    pub(super) claims: Claims,
    /// The JSON that was judged by value.
    pub(super) renderings: Renderings,
    /// The number of long polls that are waiting for a message.
    pub(super) waiting_polls: u32,
    pub(super) network: NetworkStats,
}

impl Emulator {
    pub(super) fn new(spec: Spec) -> anyhow::Result<Self> {
        let state = State {
            queue: Queue::new(&spec),
            ledger: Ledger::new(&spec),
            replicas: Replicas::new(if spec.has_replicas { spec.events } else { 0 }),
            calls: Calls::default(),
            totals: Totals::default(),
            accepted: 0,
            faults: FaultInjector::new(spec.faults),
            claims: Claims::default(),
            renderings: Renderings::default(),
            waiting_polls: 0,
            network: NetworkStats::default(),
        };
        Ok(Self {
            events: Events::new(&spec)?,
            spec,
            state: Mutex::new(state),
            changed: Notify::new(),
            began: (Instant::now(), SystemTime::now()),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Micros {
        self.began.0.elapsed().as_micros() as Micros
    }

    /// Converts a time to an instant for timers.
    pub(super) fn instant(&self, at: Micros) -> Instant {
        self.began.0 + Duration::from_micros(at)
    }

    /// Converts a time to milliseconds since 1970.
    pub(super) fn wall_clock(&self, at: Micros) -> u64 {
        let since = self.began.1.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (since + Duration::from_micros(at)).as_millis() as u64
    }

    /// Counts a call that was answered like this.
    pub(super) fn count(&self, operation: &str, answer: &Answer, carried: Carried) {
        let end = match (answer.is_ok(), answer.is_throttle()) {
            (true, _) => CallEnd::Answered,
            (false, true) => CallEnd::Throttled,
            (false, false) => CallEnd::Failed,
        };
        let state = &mut *self.state();
        let seen = if answer.is_unavailable() { Carried::default() } else { carried };
        state.calls.add(operation, answer.is_ok(), seen.entries, seen.bytes);
        state.totals.add(operation, end, carried);
    }

    pub(super) fn start(&self) {
        let now = self.now();
        let state = &mut *self.state();
        state.queue.start(now);
        state.ledger.start(now);
        state.calls = Calls::default();
        state.network = NetworkStats::default();
        self.changed.notify_waiters();
    }

    pub(super) fn stats(&self) -> Stats {
        let now = self.now();
        let state = &mut *self.state();
        let waiting = state.queue.expected_to_remain(|number| {
            self.spec.faults.refusing.is_some_and(|refusing| self.events.customer(number) == refusing)
        });
        Stats {
            elapsed_us: state.queue.elapsed(now),
            sent: state.queue.sent(now),
            on_queue: state.queue.sent(now) - state.queue.deleted(),
            refused_on_queue: waiting,
            waiting_polls: state.waiting_polls,
            throttled_calls: state.faults.throttled_calls(),
            calls: state.calls.clone(),
            totals: state.totals.clone(),
            claims: state.claims.stats(),
            network: state.network,
            first_difference: state.renderings.first_difference().map(str::to_owned),
            arrived: state.ledger.summary(&self.events),
            replicas: state.replicas.stats(),
        }
    }
}
