//! The input queue: which event a receive brings, who holds it, and until when.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use fastrand::Rng;

use super::clock::Micros;
use crate::spec::{SendSchedule, Spec};

/// A standard queue.
#[derive(Debug)]
pub(super) struct Queue {
    started: Option<Micros>,
    events: u64,
    /// When each event is sent, since the start; empty where all are sent at once.
    schedule: Vec<u32>,
    /// The first event that was never received.
    next: u64,
    /// What was received and not deleted.
    received: HashMap<u64, ReceivedEvent>,
    /// When what is hidden becomes visible, unless it was hidden for longer meanwhile.
    expirations: BinaryHeap<Reverse<(Micros, u64)>>,
    /// What was received before and is visible again.
    visible: VecDeque<u64>,
    deleted: u64,
}

/// An event that was received at least once.
#[derive(Debug)]
struct ReceivedEvent {
    first_received: Micros,
    receives: u32,
    /// None while it is visible.
    hidden_until: Option<Micros>,
}

/// What a receive brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReceivedMessage {
    pub(super) number: u64,
    pub(super) sent: Micros,
    pub(super) first_received: Micros,
    /// How often it was received, this time included.
    pub(super) receives: u32,
}

/// What a receipt handle stands for: an event, and which of its receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReceiptHandle {
    pub(super) number: u64,
    pub(super) receives: u32,
}

impl Queue {
    pub(super) fn new(spec: &Spec) -> Self {
        let schedule = match spec.send_schedule {
            SendSchedule::AtOnce => Vec::new(),
            SendSchedule::Steady { per_second } => poisson(spec.events, per_second),
        };
        Self {
            started: None,
            events: spec.events,
            schedule,
            next: 0,
            received: HashMap::new(),
            expirations: BinaryHeap::new(),
            visible: VecDeque::new(),
            deleted: 0,
        }
    }

    pub(super) fn start(&mut self, now: Micros) {
        self.started = Some(now);
    }

    /// Since the start.
    pub(super) fn elapsed(&self, now: Micros) -> Micros {
        self.started.map_or(0, |started| now.saturating_sub(started))
    }

    /// How many events have been sent.
    pub(super) fn sent(&self, now: Micros) -> u64 {
        match self.started {
            None => 0,
            Some(_) if self.schedule.is_empty() => self.events,
            Some(started) => self.schedule.partition_point(|at| u64::from(*at) <= now.saturating_sub(started)) as u64,
        }
    }

    pub(super) fn deleted(&self) -> u64 {
        self.deleted
    }

    /// How many events are hidden by a receive.
    pub(super) fn in_flight(&self) -> u64 {
        (self.received.len() - self.visible.len().min(self.received.len())) as u64
    }

    /// How many of these have been received and are still here.
    pub(super) fn expected_to_remain(&self, remains: impl Fn(u64) -> bool) -> u64 {
        self.received.keys().filter(|number| remains(**number)).count() as u64
    }

    /// When an event was sent.
    pub(super) fn sent_at(&self, number: u64) -> Micros {
        let after = self.schedule.get(number as usize).copied().unwrap_or(0);
        self.started.unwrap_or(0) + u64::from(after)
    }

    /// When an event that is still here was received for the first time.
    pub(super) fn first_received(&self, number: u64) -> Option<Micros> {
        self.received.get(&number).map(|received| received.first_received)
    }

    /// What is visible, up to so many, and hides it for this long.
    pub(super) fn receive(&mut self, limit: usize, hide: Micros, now: Micros) -> Vec<ReceivedMessage> {
        self.expire(now);
        let Some(started) = self.started else { return Vec::new() };
        let mut messages = Vec::new();
        while messages.len() < limit {
            let number = match self.visible.pop_front() {
                // It may have been deleted while it was visible.
                Some(number) if !self.received.contains_key(&number) => continue,
                Some(number) => number,
                None if self.next < self.events && self.sent_at(self.next) <= now.max(started) => {
                    self.next += 1;
                    self.next - 1
                }
                None => break,
            };
            let sent = self.sent_at(number);
            let received = self.received.entry(number).or_insert(ReceivedEvent {
                first_received: now,
                receives: 0,
                hidden_until: None,
            });
            received.receives += 1;
            received.hidden_until = Some(now + hide);
            self.expirations.push(Reverse((now + hide, number)));
            messages.push(ReceivedMessage {
                number,
                sent,
                first_received: received.first_received,
                receives: received.receives,
            });
        }
        messages
    }

    /// When something may become visible by itself.
    pub(super) fn next_change(&self) -> Option<Micros> {
        self.started?;
        let sent = (self.next < self.events).then(|| self.sent_at(self.next));
        let expirations = self.expirations.peek().map(|Reverse((at, _))| *at);
        sent.into_iter().chain(expirations).min()
    }

    /// Deletes what a handle stands for. Returns the event if it was here. As on SQS the handle of an earlier receive is
    /// received, and deletes nothing.
    pub(super) fn delete(&mut self, handle: ReceiptHandle) -> Option<u64> {
        if self.received.get(&handle.number)?.receives != handle.receives {
            return None;
        }
        self.received.remove(&handle.number);
        self.deleted += 1;
        Some(handle.number)
    }

    /// Hides an event for this long from now on. Says whether the handle may: it has to be of the last receive, and the
    /// event still hidden.
    pub(super) fn change_visibility(&mut self, handle: ReceiptHandle, hide: Micros, now: Micros) -> bool {
        self.expire(now);
        let Some(received) = self.received.get_mut(&handle.number) else { return false };
        if received.receives != handle.receives || received.hidden_until.is_none() {
            return false;
        }
        received.hidden_until = Some(now + hide);
        self.expirations.push(Reverse((now + hide, handle.number)));
        true
    }

    fn expire(&mut self, now: Micros) {
        while let Some(Reverse((at, number))) = self.expirations.peek().copied() {
            if at > now {
                return;
            }
            self.expirations.pop();
            if let Some(received) = self.received.get_mut(&number)
                && received.hidden_until == Some(at)
            {
                received.hidden_until = None;
                self.visible.push_back(number);
            }
        }
    }
}

/// So many moments of a Poisson process, in microseconds.
fn poisson(events: u64, per_second: f64) -> Vec<u32> {
    let mut random = Rng::with_seed(events);
    let mut at = 0.0;
    let next = |_| {
        at += -(1.0 - random.f64()).ln() / per_second * 1e6;
        at as u32
    };
    (0..events).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn queue(events: u64, send_schedule: SendSchedule) -> Queue {
        let mut queue = Queue::new(&Spec { events, send_schedule, ..Spec::default() });
        assert!(queue.receive(10, SECOND, 5).is_empty(), "nothing is sent before the start");
        queue.start(10);
        queue
    }

    fn numbers(messages: &[ReceivedMessage]) -> Vec<u64> {
        messages.iter().map(|message| message.number).collect()
    }

    #[test]
    fn what_is_not_deleted_comes_back_when_its_visibility_lapses() {
        let mut queue = queue(3, SendSchedule::AtOnce);
        assert_eq!(numbers(&queue.receive(2, SECOND, 10)), [0, 1]);
        assert_eq!(numbers(&queue.receive(10, SECOND, 10)), [2]);
        assert_eq!(queue.delete(ReceiptHandle { number: 1, receives: 1 }), Some(1));
        assert!(queue.change_visibility(ReceiptHandle { number: 2, receives: 1 }, 5 * SECOND, 20));
        assert_eq!(queue.next_change(), Some(10 + SECOND));
        let again = queue.receive(10, SECOND, 10 + SECOND);
        assert_eq!(again, [ReceivedMessage { number: 0, sent: 10, first_received: 10, receives: 2 }]);
        assert_eq!(queue.delete(ReceiptHandle { number: 0, receives: 1 }), None, "an old handle deletes nothing");
        assert!(!queue.change_visibility(ReceiptHandle { number: 0, receives: 1 }, 0, 10 + SECOND));
        assert_eq!(numbers(&queue.receive(10, SECOND, 20 + 5 * SECOND)), [0, 2]);
        assert_eq!((queue.sent(20) - queue.deleted(), queue.expected_to_remain(|number| number == 2)), (2, 1));
    }

    #[test]
    fn given_back_at_once_it_is_visible_at_once() {
        let mut queue = queue(1, SendSchedule::AtOnce);
        queue.receive(1, SECOND, 10);
        assert!(queue.change_visibility(ReceiptHandle { number: 0, receives: 1 }, 0, 30));
        assert_eq!(numbers(&queue.receive(1, SECOND, 30)), [0]);
    }

    #[test]
    fn a_steady_load_has_its_rate_and_nothing_comes_early() {
        let mut queue = queue(10_000, SendSchedule::Steady { per_second: 1_000.0 });
        let sent = queue.sent(10 + 5 * SECOND);
        assert!((4_700..5_300).contains(&sent), "{sent} after 5 s");
        let mut received = 0;
        loop {
            let messages = queue.receive(10, SECOND, 10 + 5 * SECOND);
            if messages.is_empty() {
                break;
            }
            assert!(messages.iter().all(|message| message.sent <= 10 + 5 * SECOND));
            received += messages.len() as u64;
        }
        assert_eq!(received, sent);
        assert!(queue.next_change().unwrap() > 10);
    }
}
