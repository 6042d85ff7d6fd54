//! The messages that this process knows of and has not read: they wait to be read, or they returned to their queue
//! unread. An empty poll does not prove that such messages do not exist.
//!
//! On a FIFO queue, every message in flight also keeps the messages behind it in its group from being received.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Held, Hold, MAX_HIDDEN, Visibility};
use crate::message::Queue;

/// The time that a message needs to be received, once it is visible or its group is free.
const ON_THE_WAY: Duration = Duration::from_secs(5);
/// A message that keeps its group waiting for a shorter time hides no other for long.
const NOTABLE: Duration = Duration::from_secs(1);
/// The most messages that are remembered after they are in flight.
const MOST_FORMER: usize = 10_000;

/// The unread messages of one queue at one moment.
#[derive(Debug, Clone, Default)]
pub struct Unread {
    /// When this process began to receive.
    began: Option<Instant>,
    /// When each message reached the queue, in order.
    reached: Vec<Instant>,
    /// When each message that was received before was sent, by the clock of SQS, in order. When it reached the queue by
    /// our clock is unknown.
    sent: Vec<SystemTime>,
    /// When the oldest message in flight of each group of a FIFO queue reached the queue.
    groups: HashMap<Arc<str>, Instant>,
}

/// A moment by our clock, and by the clock of SQS if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The moment by our clock.
    pub ours: Instant,
    /// The same moment by the clock of SQS.
    pub theirs: Option<SystemTime>,
}

/// A message that was in flight.
#[derive(Debug)]
struct Former {
    queue: Arc<Queue>,
    reached: Option<Instant>,
    sent: SystemTime,
    group: Option<Arc<str>>,
    is_read: bool,
    /// Until when the message, or those behind it, are possibly not received.
    until: Instant,
}

/// The messages that were in flight: those that return to their queues, and those that kept their group waiting.
#[derive(Debug, Default)]
pub(super) struct FormerMessages(Mutex<VecDeque<Former>>);

/// The facts about a message that is in flight, or was.
#[derive(Debug, Clone, Copy)]
struct Facts<'m> {
    /// When the message reached its queue, by our clock.
    reached: Option<Instant>,
    /// When it was sent, by the clock of SQS.
    sent: SystemTime,
    /// The group that it keeps waiting.
    group: Option<&'m Arc<str>>,
    is_read: bool,
}

impl Facts<'_> {
    /// Whether the message itself, or another behind it, is unread.
    fn matters(&self) -> bool {
        !self.is_read || self.group.is_some()
    }
}

impl Former {
    fn facts(&self) -> Facts<'_> {
        Facts { reached: self.reached, sent: self.sent, group: self.group.as_ref(), is_read: self.is_read }
    }
}

impl Unread {
    /// Returns the earliest time before `until`, and after `after` if it is given, at which a message can have reached the
    /// queue that is not read. `group` is the only message group that matters; `None` means each group.
    pub fn first(&self, (after, until): (Option<Moment>, Instant), group: Option<&str>) -> Option<Instant> {
        let again = self.first_again(after);
        let after = after.map(|after| after.ours);
        let next = after.map_or(0, |after| self.reached.partition_point(|reached| *reached <= after));
        let unread = self.reached.get(next).copied();
        let blocked = match group {
            Some(group) => self.groups.get(group).copied(),
            None => self.groups.values().min().copied(),
        };
        // The messages behind a message in flight reached the queue after it.
        let blocked = blocked.map(|since| after.map_or(since, |after| since.max(after)));
        [again, unread, blocked].into_iter().flatten().min().filter(|first| *first < until)
    }

    /// Returns the earliest time after `after` at which a message that was received before can have reached the queue.
    fn first_again(&self, after: Option<Moment>) -> Option<Instant> {
        let first = self.sent.first()?;
        let Some(Moment { ours, theirs }) = after else { return self.began };
        // Both times are by the clock of SQS, so a difference between our clock and that one does not matter.
        let Some(theirs) = theirs.filter(|theirs| first <= theirs) else { return Some(ours) };
        let next = self.sent.get(self.sent.partition_point(|sent| *sent <= theirs))?;
        Some(ours + next.duration_since(theirs).unwrap_or_default())
    }

    fn add(&mut self, facts: Facts<'_>, began: Instant) {
        match facts.reached {
            _ if facts.is_read => {}
            Some(reached) => self.reached.push(reached),
            None => self.sent.push(facts.sent),
        }
        if let Some(group) = facts.group {
            let reached = facts.reached.unwrap_or(began);
            let oldest = self.groups.entry(Arc::clone(group)).or_insert(reached);
            *oldest = reached.min(*oldest);
        }
    }
}

impl Hold {
    /// Records that the content of the message is known.
    pub fn mark_read(&self) {
        self.held.is_read.store(true, Ordering::Release);
    }

    /// Notes the end of a message that kept its group waiting, because polls that ended before prove nothing about the
    /// group.
    pub(super) fn note_end(&self) {
        let held = &self.held;
        if held.group.is_some() && !held.is_returning.load(Ordering::Acquire) && held.since().elapsed() >= NOTABLE {
            self.table.former.note(held, Duration::ZERO);
        }
    }
}

impl Visibility {
    /// Returns the unread messages of each queue that has some, by the queue's label.
    pub fn unread(&self) -> HashMap<String, Unread> {
        let (mut unread, table) = (HashMap::<String, Unread>::new(), &self.table);
        let mut of = |queue: &str, facts: Facts<'_>| {
            if !facts.matters() {
                return;
            }
            if !unread.contains_key(queue) {
                unread.insert(queue.to_owned(), Unread { began: Some(table.began), ..Unread::default() });
            }
            if let Some(known) = unread.get_mut(queue) {
                known.add(facts, table.began);
            }
        };
        for held in table.held.lock().values().filter(|held| !held.ownership.is_lost()) {
            of(&held.queue.label, held.facts());
        }
        let now = Instant::now();
        let mut former = table.former.0.lock();
        former.retain(|message| message.until > now);
        for message in &*former {
            of(&message.queue.label, message.facts());
        }
        drop(former);
        for known in unread.values_mut() {
            known.reached.sort_unstable();
            known.sent.sort_unstable();
        }
        unread
    }
}

impl Held {
    /// Returns when the visibility timeout of the receive began.
    fn since(&self) -> Instant {
        self.ends - MAX_HIDDEN
    }

    fn facts(&self) -> Facts<'_> {
        let is_read = self.is_read.load(Ordering::Acquire);
        Facts { reached: self.reached, sent: self.sent, group: self.group.as_ref(), is_read }
    }
}

impl FormerMessages {
    /// Notes a message that is not in flight any more, and that is visible after `delay` if it returned.
    pub(super) fn note(&self, held: &Held, delay: Duration) {
        let facts = held.facts();
        if !facts.matters() {
            return;
        }
        let Facts { reached, sent, group, is_read } = facts;
        let (now, group) = (Instant::now(), group.cloned());
        let until = now + delay + ON_THE_WAY;
        let mut former = self.0.lock();
        if former.len() >= MOST_FORMER {
            former.retain(|message| message.until > now);
        }
        if former.len() >= MOST_FORMER {
            former.pop_front();
        }
        former.push_back(Former { queue: Arc::clone(&held.queue), reached, sent, group, is_read, until });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::aws::scripted::clients;
    use crate::message::Message;
    use crate::telemetry::Metrics;

    const SECOND: Duration = Duration::from_secs(1);

    fn visibility() -> Visibility {
        let (clients, _) = clients(|_, _| (200, "{}".to_owned()));
        Visibility::new(clients.lean, Arc::new(Metrics::new(false)), 30 * SECOND)
    }

    /// Holds a message that reached its queue `age` seconds ago.
    fn hold(visibility: &Visibility, url: &str, group: Option<&str>, age: u32, receive_count: u32) -> Hold {
        let queue = crate::config::Queue { url: url.to_owned(), ..Default::default() };
        let mut message = Message::for_tests(Queue::from(&queue), "", &[], group);
        message.receive_count = receive_count;
        message.first_received = SystemTime::UNIX_EPOCH + 1_000 * SECOND;
        message.sent = message.first_received - age * SECOND;
        visibility.hold(&message, &"receipt".into(), message.received)
    }

    /// Returns how many seconds ago the first unread message of the queue reached it.
    fn first(visibility: &Visibility, queue: &str, group: Option<&str>) -> Option<u64> {
        let (now, unread) = (Instant::now(), visibility.unread().remove(queue)?);
        let theirs = Some(SystemTime::UNIX_EPOCH + 940 * SECOND);
        let after = Moment { ours: now - 60 * SECOND, theirs };
        let first = unread.first((Some(after), now - 10 * SECOND), group)?;
        Some((now - first).as_secs())
    }

    const STANDARD: &str = "https://sqs.eu-west-1.amazonaws.com/1/a";
    const FIFO: &str = "https://sqs.eu-west-1.amazonaws.com/1/a.fifo";

    #[tokio::test(start_paused = true)]
    async fn a_message_is_unread_from_its_receive_until_it_is_read() {
        sleep(100 * SECOND).await;
        let visibility = visibility();
        assert_eq!(first(&visibility, "a", None), None);
        let _outside = [hold(&visibility, STANDARD, None, 60, 1), hold(&visibility, STANDARD, None, 10, 1)];
        assert_eq!(first(&visibility, "a", None), None);
        let [younger, older] = [20, 30].map(|age| hold(&visibility, STANDARD, None, age, 1));
        assert_eq!((first(&visibility, "a", None), first(&visibility, "b", None)), (Some(30), None));
        older.mark_read();
        assert_eq!(first(&visibility, "a", None), Some(20));
        drop(younger);
        assert_eq!(first(&visibility, "a", None), None);
        // The clock of SQS tells when a message that was received before was sent.
        let _old = hold(&visibility, STANDARD, None, 60, 2);
        let _young = hold(&visibility, STANDARD, None, 5, 2);
        assert_eq!(first(&visibility, "a", None), None);
        let _again = hold(&visibility, STANDARD, None, 40, 2);
        assert_eq!(first(&visibility, "a", None), Some(40));
        let (now, unread) = (Instant::now(), visibility.unread().remove("a").unwrap());
        let after = Moment { ours: now - 50 * SECOND, theirs: None };
        assert_eq!(unread.first((Some(after), now), None), Some(after.ours), "nothing tells the time");
        assert_eq!(unread.first((None, now + SECOND), None), Some(now - 60 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_returns_unread_is_unread_until_it_can_be_received_again() {
        sleep(100 * SECOND).await;
        let visibility = visibility();
        let [unread, read] = [hold(&visibility, STANDARD, None, 15, 1), hold(&visibility, STANDARD, None, 15, 1)];
        read.mark_read();
        for hold in [unread, read] {
            hold.mark_returning(8 * SECOND);
        }
        assert_eq!(first(&visibility, "a", None), Some(15));
        sleep(12 * SECOND).await;
        assert_eq!(first(&visibility, "a", None), Some(27));
        sleep(2 * SECOND).await;
        assert_eq!(first(&visibility, "a", None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_in_flight_on_a_fifo_queue_hides_those_behind_it_in_its_group() {
        sleep(100 * SECOND).await;
        let visibility = visibility();
        let held = hold(&visibility, FIFO, Some("g"), 90, 1);
        held.mark_read();
        let seen =
            |visibility: &Visibility| [Some("g"), Some("h"), None].map(|group| first(visibility, "a.fifo", group));
        assert_eq!(seen(&visibility), [Some(60), None, Some(60)]);
        held.mark_returning(3 * SECOND);
        drop(held);
        assert_eq!(seen(&visibility), [Some(60), None, Some(60)]);
        sleep(9 * SECOND).await;
        assert_eq!(seen(&visibility), [None; 3]);
        let deleted = hold(&visibility, FIFO, Some("g"), 80, 1);
        deleted.mark_read();
        sleep(2 * SECOND).await;
        drop(deleted);
        assert_eq!(seen(&visibility)[0], Some(60), "the last empty poll is older than the end of the message");
        sleep(6 * SECOND).await;
        assert_eq!(seen(&visibility), [None; 3]);
        let _young = hold(&visibility, FIFO, Some("g"), 5, 1);
        assert_eq!(seen(&visibility), [None; 3], "it reached the queue after the time in question");
    }
}
