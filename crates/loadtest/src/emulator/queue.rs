//! The input queue: which event a receive returns, and how long it stays hidden.

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
    /// The send time of each event in microseconds since the start; empty if all events are sent at once.
    schedule: Vec<u32>,
    /// The first event that was never received.
    next: u64,
    /// The events that were received and not deleted.
    received: HashMap<u64, ReceivedEvent>,
    /// When hidden events become visible. An entry is obsolete if its event was hidden for longer meanwhile.
    expirations: BinaryHeap<Reverse<(Micros, u64)>>,
    /// The events that were received before and are visible again.
    visible: VecDeque<u64>,
    deleted: u64,
}

/// An event that was received at least once.
#[derive(Debug)]
struct ReceivedEvent {
    first_received: Micros,
    receives: u32,
    /// When SNS accepted its last publish.
    published: Option<Micros>,
    /// `None` while the event is visible.
    hidden_until: Option<Micros>,
}

/// A message that a receive returns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReceivedMessage {
    pub(super) number: u64,
    pub(super) sent: Micros,
    pub(super) first_received: Micros,
    /// The number of receives, including this one.
    pub(super) receives: u32,
}

/// A deleted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeletedEvent {
    pub(super) number: u64,
    /// When SNS accepted its last publish.
    pub(super) published: Option<Micros>,
}

/// The content of a receipt handle: the event, and which of its receives returned the handle.
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

    /// Returns the time since the start.
    pub(super) fn elapsed(&self, now: Micros) -> Micros {
        self.started.map_or(0, |started| now.saturating_sub(started))
    }

    /// Returns the number of events that were sent.
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

    /// Returns the number of events that are hidden by a receive.
    pub(super) fn in_flight(&self) -> u64 {
        (self.received.len() - self.visible.len().min(self.received.len())) as u64
    }

    /// Returns the number of received and not deleted events for which `remains` is true.
    pub(super) fn expected_to_remain(&self, remains: impl Fn(u64) -> bool) -> u64 {
        self.received.keys().filter(|number| remains(**number)).count() as u64
    }

    /// Returns the time at which an event was sent.
    pub(super) fn sent_at(&self, number: u64) -> Micros {
        let after = self.schedule.get(number as usize).copied().unwrap_or(0);
        self.started.unwrap_or(0) + u64::from(after)
    }

    /// Returns the time of the event's first receive, or `None` if it was never received or is deleted.
    pub(super) fn first_received(&self, number: u64) -> Option<Micros> {
        self.received.get(&number).map(|received| received.first_received)
    }

    /// Records that SNS accepted a publish of the event.
    pub(super) fn published(&mut self, number: u64, at: Micros) {
        if let Some(received) = self.received.get_mut(&number) {
            received.published = Some(at);
        }
    }

    /// Returns up to `limit` visible messages and hides them for `hide`.
    pub(super) fn receive(&mut self, limit: usize, hide: Micros, now: Micros) -> Vec<ReceivedMessage> {
        self.expire(now);
        let Some(started) = self.started else { return Vec::new() };
        let mut messages = Vec::new();
        while messages.len() < limit {
            let number = match self.visible.pop_front() {
                // The event may have been deleted while it was visible.
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
                published: None,
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

    /// Returns the next time at which an event becomes visible without another call.
    pub(super) fn next_change(&self) -> Option<Micros> {
        self.started?;
        let sent = (self.next < self.events).then(|| self.sent_at(self.next));
        let expirations = self.expirations.peek().map(|Reverse((at, _))| *at);
        sent.into_iter().chain(expirations).min()
    }

    /// Deletes the event of a handle and returns it. As on SQS, the handle of an earlier receive deletes
    /// nothing; the result is then `None`, as it is for a deleted event.
    pub(super) fn delete(&mut self, handle: ReceiptHandle) -> Option<DeletedEvent> {
        if self.received.get(&handle.number)?.receives != handle.receives {
            return None;
        }
        let received = self.received.remove(&handle.number)?;
        self.deleted += 1;
        Some(DeletedEvent { number: handle.number, published: received.published })
    }

    /// Hides an event for `hide` from now on and returns `true`. Does nothing and returns `false` if the handle is not
    /// that of the last receive, or if the event is visible.
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

/// Returns the send times of a Poisson process, in microseconds since the start.
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
        assert!(queue.receive(10, SECOND, 5).is_empty(), "no event is sent before the start");
        queue.start(10);
        queue
    }

    fn numbers(messages: &[ReceivedMessage]) -> Vec<u64> {
        messages.iter().map(|message| message.number).collect()
    }

    #[test]
    fn an_undeleted_message_returns_when_its_visibility_timeout_ends() {
        let mut queue = queue(3, SendSchedule::AtOnce);
        assert_eq!(numbers(&queue.receive(2, SECOND, 10)), [0, 1]);
        assert_eq!(numbers(&queue.receive(10, SECOND, 10)), [2]);
        queue.published(1, 15);
        let deleted = queue.delete(ReceiptHandle { number: 1, receives: 1 });
        assert_eq!(deleted, Some(DeletedEvent { number: 1, published: Some(15) }));
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
    fn a_visibility_timeout_of_zero_makes_a_message_visible_at_once() {
        let mut queue = queue(1, SendSchedule::AtOnce);
        queue.receive(1, SECOND, 10);
        assert!(queue.change_visibility(ReceiptHandle { number: 0, receives: 1 }, 0, 30));
        assert_eq!(numbers(&queue.receive(1, SECOND, 30)), [0]);
    }

    #[test]
    fn a_steady_load_keeps_its_rate_and_no_event_is_received_early() {
        let mut queue = queue(10_000, SendSchedule::Steady { per_second: 1_000.0 });
        let sent = queue.sent(10 + 5 * SECOND);
        assert!((4_700..5_300).contains(&sent), "{sent} sent after 5 s");
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
