//! The proofs that the polls of a queue give about the messages on it: how far this process is caught up.
//!
//! A queue that is polled and empty differs from one whose polls fail, hang or are held back. Only the former proves
//! that a message which was not received does not exist.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::aws::sqs::visibility::Unread;
use crate::message::Message;

/// The time for which the lag of a message counts at least. Standard queues return messages out of order, so one young
/// message does not show that there are no older ones.
const BUCKET: Duration = Duration::from_secs(5);

/// The longest time that an answer normally travels.
const TRAVEL: Duration = Duration::from_secs(1);

/// The time of one poll, by our clock.
///
/// A process that is paused reads an answer long after SQS gave it. Messages that were sent meanwhile are not in the
/// answer, so it proves nothing about the time of the pause.
#[derive(Debug, Clone, Copy)]
pub struct PollSpan {
    /// When the poll was sent.
    pub began: Instant,
    /// When the answer was read.
    pub ended: Instant,
    /// The longest time for which SQS waits for a message before it answers.
    pub wait: Duration,
}

impl PollSpan {
    /// Returns the time at which SQS answered at the latest. An empty answer is given at this time.
    fn latest_answer(self) -> Instant {
        self.ended.min(self.began + self.wait)
    }

    /// Returns the time at which SQS gave an answer with messages. It can do so at any time within the wait. If the
    /// poll took longer, only the beginning is certain.
    fn answer_with_messages(self) -> Instant {
        let is_late = self.ended > self.began + self.wait + TRAVEL;
        if is_late { self.began } else { self.latest_answer() }
    }
}

/// The evidence of one queue's polls.
#[derive(Debug)]
pub struct Evidence {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    proven_until: Option<Instant>,
    /// When the younger bucket began.
    began: Instant,
    /// The largest lag in the younger bucket and in the older one.
    largest: [Duration; 2],
    /// The messages that were received and are not read, when they were looked at last.
    unread: Unread,
}

/// The proofs of the polls at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The time until which all messages that were sent are known to have been received, by our clock.
    pub proven_until: Option<Instant>,
    /// The longest time that a message which was received recently had spent on the queue.
    pub lag: Duration,
}

impl Proof {
    /// Returns what two proofs prove about both of their queues.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { proven_until: self.proven_until.min(other.proven_until), lag: self.lag.max(other.lag) }
    }
}

impl Default for Evidence {
    fn default() -> Self {
        let (began, unread) = (Instant::now(), Unread::default());
        let state = State { proven_until: None, began, largest: [Duration::ZERO; 2], unread };
        Self { state: Mutex::new(state) }
    }
}

impl Evidence {
    /// Notes that a poll which asked all servers of the queue found it empty.
    pub fn note_empty(&self, poll: PollSpan) {
        let state = &mut *self.state.lock();
        state.proven_until = state.proven_until.max(Some(poll.latest_answer()));
        state.largest = [Duration::ZERO; 2];
    }

    /// Notes the messages that a poll returned. A message that was received before proves nothing.
    pub fn note_messages<'m>(&self, messages: impl Iterator<Item = &'m Message>, poll: PollSpan) {
        let Some(lag) = messages.filter_map(Message::first_lag).max() else { return };
        let state = &mut *self.state.lock();
        state.roll(poll.ended);
        state.largest[0] = state.largest[0].max(lag);
        state.proven_until = state.proven_until.max(poll.answer_with_messages().checked_sub(lag));
    }

    /// Notes the messages that were received and are not read.
    pub fn set_unread(&self, unread: Unread) {
        self.state.lock().unread = unread;
    }

    /// Returns the earliest time between these two at which an unread message of a group reached the queue; see
    /// [`Unread::first`].
    pub fn first_unread(&self, within: (Option<Instant>, Instant), group: Option<&str>) -> Option<Instant> {
        self.state.lock().unread.first(within, group)
    }

    /// Returns what the polls prove at this time.
    pub fn at(&self, now: Instant) -> Proof {
        let state = &mut *self.state.lock();
        state.roll(now);
        Proof { proven_until: state.proven_until, lag: state.largest[0].max(state.largest[1]) }
    }
}

impl State {
    /// Forgets the lags of buckets that ended.
    fn roll(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age >= BUCKET {
            let older = if age < 2 * BUCKET { self.largest[0] } else { Duration::ZERO };
            (self.largest, self.began) = ([Duration::ZERO, older], now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::message::Queue;

    fn message(lag: u64, receive_count: u32) -> Message {
        let mut message = Message::for_tests(Queue::for_tests(), "", &[], None);
        // The clock of SQS is wrong by a day.
        message.first_received = SystemTime::now() - Duration::from_secs(86_400);
        message.sent = message.first_received - Duration::from_secs(lag);
        message.receive_count = receive_count;
        message
    }

    /// A poll that was answered at once.
    fn at(instant: Instant) -> PollSpan {
        PollSpan { began: instant, ended: instant, wait: Duration::ZERO }
    }

    #[test]
    fn an_answer_that_is_read_late_proves_nothing_about_the_time_until_it_is_read() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let second = |n| start + Duration::from_secs(n);
        // The end of a poll that waits for up to 20 seconds, and what it proves if it is empty and if it has a message.
        for (ended, empty, message_of_now) in
            [(0, 0, 0), (7, 7, 7), (20, 20, 20), (21, 20, 20), (22, 20, 0), (90, 20, 0)]
        {
            let poll = PollSpan { began: start, ended: second(ended), wait: Duration::from_secs(20) };
            let (of_empty, of_messages) = (Evidence::default(), Evidence::default());
            of_empty.note_empty(poll);
            of_messages.note_messages([message(0, 1)].iter(), poll);
            let proven = |evidence: Evidence| evidence.at(second(ended)).proven_until;
            assert_eq!(proven(of_empty), Some(second(empty)), "an empty poll that ended after {ended} s");
            assert_eq!(proven(of_messages), Some(second(message_of_now)), "a poll that ended after {ended} s");
        }
    }

    #[test]
    fn an_empty_poll_proves_its_end_and_a_message_its_own_age() {
        let evidence = Evidence::default();
        let start = evidence.state.lock().began + Duration::from_secs(1_000);
        let second = |n| start + Duration::from_secs(n);
        assert_eq!(evidence.at(start), Proof { proven_until: None, lag: Duration::ZERO });
        evidence.note_messages([message(600, 1), message(1, 1)].iter(), at(second(0)));
        let backlog =
            Proof { proven_until: start.checked_sub(Duration::from_secs(600)), lag: Duration::from_secs(600) };
        assert_eq!(evidence.at(second(0)), backlog);
        // A young message among old ones does not hide their lag.
        evidence.note_messages([message(2, 1)].iter(), at(second(4)));
        assert_eq!(evidence.at(second(4)).lag, Duration::from_secs(600));
        evidence.note_messages([message(900, 2)].iter(), at(second(4)));
        assert_eq!(evidence.at(second(4)), Proof { proven_until: Some(second(2)), lag: Duration::from_secs(600) });
        evidence.note_empty(at(second(5)));
        assert_eq!(evidence.at(second(5)), Proof { proven_until: Some(second(5)), lag: Duration::ZERO });
    }

    #[test]
    fn a_lag_is_forgotten_after_two_buckets() {
        let evidence = Evidence::default();
        let start = evidence.state.lock().began;
        evidence.note_messages([message(60, 1)].iter(), at(start + Duration::from_secs(4)));
        for (second, lag) in [(4, 60), (6, 60), (10, 60), (11, 0)] {
            assert_eq!(evidence.at(start + Duration::from_secs(second)).lag.as_secs(), lag, "{second} s");
        }
    }

    #[test]
    fn two_queues_prove_what_the_slower_one_proves() {
        let at = Instant::now();
        let (fast, slow) =
            (Proof { proven_until: Some(at), lag: Duration::ZERO }, Proof { proven_until: None, lag: BUCKET });
        assert_eq!(fast.and(slow), Proof { proven_until: None, lag: BUCKET });
    }
}
