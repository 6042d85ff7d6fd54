//! The messages that this process knows of and has not read: they wait to be read, or they returned to their queue
//! unread. An empty poll does not prove that such messages do not exist.
//!
//! On a FIFO queue, every message in flight also keeps the messages behind it in its group from being received.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Held, Hold, MAX_HIDDEN, Visibility};
use crate::message::{Message, Queue};

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
    /// Whether there are messages of which it is unknown when they reached the queue.
    has_unknown: bool,
    /// When the oldest message in flight of each group of a FIFO queue reached the queue.
    groups: HashMap<Arc<str>, Instant>,
}

/// The time in milliseconds by which our wall clock is ahead of that of SQS, as the last message showed that was received
/// for the first time.
#[derive(Debug)]
pub(super) struct Skew(AtomicI64);

/// A message that was in flight.
#[derive(Debug)]
struct Former {
    queue: Arc<Queue>,
    reached: Option<Instant>,
    group: Option<Arc<str>>,
    is_read: bool,
    /// Until when the message, or those behind it, are possibly not received.
    until: Instant,
}

/// The messages that were in flight: those that return to their queues, and those that kept their group waiting.
#[derive(Debug, Default)]
pub(super) struct FormerMessages(Mutex<VecDeque<Former>>);

impl Default for Skew {
    fn default() -> Self {
        Self(AtomicI64::new(Self::UNKNOWN))
    }
}

impl Skew {
    const UNKNOWN: i64 = i64::MIN;

    /// Returns when a message reached its queue, by our monotonic clock. SQS tells only of the first receive of a message
    /// how long it was on the queue; the skew of the clocks tells it of the others. Returns `None` if the skew is unknown.
    pub(super) fn reached(&self, message: &Message) -> Option<Instant> {
        let since_sent = signed_millis(message.sent, SystemTime::now());
        if let Some(lag) = message.first_lag() {
            let lag = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
            self.0.store(since_sent.saturating_sub(lag), Ordering::Relaxed);
            return message.reached();
        }
        let skew = Some(self.0.load(Ordering::Relaxed)).filter(|skew| *skew != Self::UNKNOWN)?;
        let age = u64::try_from(since_sent.saturating_sub(skew)).unwrap_or_default();
        message.received.checked_sub(Duration::from_millis(age))
    }
}

/// Returns the milliseconds from one time to another, which are negative if the first one is later.
fn signed_millis(from: SystemTime, to: SystemTime) -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    to.duration_since(from).map_or_else(|before| -millis(before.duration()), millis)
}

impl Unread {
    /// Returns the earliest time before `until`, and after `after` if it is given, at which a message can have reached the
    /// queue that is not read. `group` is the only message group that matters; `None` means each group.
    pub fn first(&self, (after, until): (Option<Instant>, Instant), group: Option<&str>) -> Option<Instant> {
        let unknown = self.began.filter(|_| self.has_unknown).map(|began| after.unwrap_or(began));
        let next = after.map_or(0, |after| self.reached.partition_point(|reached| *reached <= after));
        let unread = self.reached.get(next).copied();
        let blocked = match group {
            Some(group) => self.groups.get(group).copied(),
            None => self.groups.values().min().copied(),
        };
        // The messages behind a message in flight reached the queue after it.
        let blocked = blocked.map(|since| after.map_or(since, |after| since.max(after)));
        [unknown, unread, blocked].into_iter().flatten().min().filter(|first| *first < until)
    }

    fn add(&mut self, reached: Option<Instant>, group: Option<&Arc<str>>, is_read: bool, began: Instant) {
        match reached {
            _ if is_read => {}
            Some(reached) => self.reached.push(reached),
            None => self.has_unknown = true,
        }
        if let Some(group) = group {
            let reached = reached.unwrap_or(began);
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
        let mut of = |queue: &str, facts: (Option<Instant>, Option<&Arc<str>>, bool)| {
            let (reached, group, is_read) = facts;
            if is_read && group.is_none() {
                return;
            }
            if !unread.contains_key(queue) {
                unread.insert(queue.to_owned(), Unread { began: Some(table.began), ..Unread::default() });
            }
            if let Some(known) = unread.get_mut(queue) {
                known.add(reached, group, is_read, table.began);
            }
        };
        for held in table.held.lock().values().filter(|held| !held.ownership.is_lost()) {
            of(&held.queue.label, held.facts());
        }
        let now = Instant::now();
        let mut former = table.former.0.lock();
        former.retain(|message| message.until > now);
        for message in &*former {
            of(&message.queue.label, (message.reached, message.group.as_ref(), message.is_read));
        }
        drop(former);
        for known in unread.values_mut() {
            known.reached.sort_unstable();
        }
        unread
    }
}

impl Held {
    /// Returns when the visibility timeout of the receive began.
    fn since(&self) -> Instant {
        self.ends - MAX_HIDDEN
    }

    /// Returns when the message reached its queue, the group that it keeps waiting, and whether it was read.
    fn facts(&self) -> (Option<Instant>, Option<&Arc<str>>, bool) {
        (self.reached, self.group.as_ref(), self.is_read.load(Ordering::Acquire))
    }
}

impl FormerMessages {
    /// Notes a message that is not in flight any more, and that is visible after `delay` if it returned.
    pub(super) fn note(&self, held: &Held, delay: Duration) {
        let (reached, group, is_read) = held.facts();
        if is_read && group.is_none() {
            return;
        }
        let (now, group) = (Instant::now(), group.cloned());
        let until = now + delay + ON_THE_WAY;
        let mut former = self.0.lock();
        if former.len() >= MOST_FORMER {
            former.retain(|message| message.until > now);
        }
        if former.len() >= MOST_FORMER {
            former.pop_front();
        }
        former.push_back(Former { queue: Arc::clone(&held.queue), reached, group, is_read, until });
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
        // The clock of SQS is an hour behind ours.
        message.first_received = SystemTime::now() - 3_600 * SECOND;
        message.sent = message.first_received - age * SECOND;
        visibility.hold(&message, &"receipt".into(), message.received)
    }

    /// Returns how many seconds ago the first unread message of the queue reached it.
    fn first(visibility: &Visibility, queue: &str, group: Option<&str>) -> Option<u64> {
        let (now, unread) = (Instant::now(), visibility.unread().remove(queue)?);
        let first = unread.first((Some(now - 60 * SECOND), now - 10 * SECOND), group)?;
        Some((now - first).as_secs_f64().round() as u64)
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
        let _again = hold(&visibility, STANDARD, None, 1, 2);
        assert_eq!(first(&visibility, "a", None), None);
        let _again = hold(&visibility, STANDARD, None, 40, 2);
        assert_eq!(first(&visibility, "a", None), Some(40), "the first receives showed how far the clocks are apart");
        let visibility = self::visibility();
        let _again = hold(&visibility, STANDARD, None, 1, 2);
        assert_eq!(first(&visibility, "a", None), Some(60), "it can have reached the queue at any time");
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
