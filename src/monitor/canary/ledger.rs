//! Which canaries of an instance are outstanding, and what became of the others. Pure: the caller passes the time.
//!
//! A canary is judged lost only by a poll of the return queue that could have returned it: one that SQS answered after
//! the canary's deadline, completely. While polls fail, nothing is known about the canaries, and none is counted as
//! lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Canary;

/// The canaries of one instance.
#[derive(Debug)]
pub struct Ledger {
    deadline: Duration,
    /// The canaries that are remembered, by their numbers.
    canaries: BTreeMap<u64, Entry>,
    last_sequence: u64,
    /// Whether polls fail, or the messages that came meanwhile are not all received.
    is_blind: bool,
    /// When the last time without complete polls ended.
    last_blind: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    canary: Canary,
    sent: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The call to SQS is under way.
    Sending,
    /// SQS did not accept the canary, as far as is known.
    Unsent,
    /// SQS accepted the canary.
    Outstanding,
    /// The deadline passed without a return.
    Lost,
    /// The canary returned.
    Returned,
}

/// The result of a poll of the return queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// SQS returned all messages that there were.
    Complete,
    /// SQS answered, and the queue can have more messages.
    Partial,
    /// The poll failed.
    Failed,
}

/// A canary that returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    /// The meaning of the return.
    pub fate: Fate,
    /// Whether the return is the first sign that SQS accepted the canary.
    pub is_first_sign: bool,
}

/// The meaning of the return of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It returned in time.
    InTime {
        /// The time since the send; `None` if polls failed meanwhile, because the canary can have waited for them.
        round_trip: Option<Duration>,
    },
    /// It returned after its deadline.
    Late {
        /// Whether it was not counted as lost before.
        is_newly_lost: bool,
    },
    /// It returned before, and SQS delivered it again. So is a canary that is not remembered.
    Again,
    /// The instance never sent it, so its number was altered.
    NeverSent,
}

impl Ledger {
    /// The deadlines for which a canary that returned is remembered.
    const REMEMBERED_DEADLINES: u32 = 10;
    /// The most canaries that are remembered. Those that have not returned are remembered until then, because a queue can
    /// keep them for days.
    const MOST_REMEMBERED: usize = 10_000;
    /// The longest wait of a poll, in seconds, which is that of SQS.
    const LONGEST_POLL: u64 = 20;

    /// Creates the ledger of an instance that has sent nothing.
    pub fn new(deadline: Duration) -> Self {
        Self { deadline, canaries: BTreeMap::new(), last_sequence: 0, is_blind: false, last_blind: None }
    }

    /// Returns the number of the next canary.
    pub fn next_sequence(&self) -> u64 {
        self.last_sequence + 1
    }

    /// Records that a canary is about to be sent. It can return before the call has ended.
    pub fn sending(&mut self, canary: Canary, now: Instant) {
        self.last_sequence = canary.id.sequence;
        self.canaries.insert(canary.id.sequence, Entry { canary, sent: now, state: State::Sending });
        let kept = self.deadline * Self::REMEMBERED_DEADLINES;
        self.canaries.retain(|_, entry| entry.state != State::Returned || now - entry.sent < kept);
        while self.canaries.len() > Self::MOST_REMEMBERED {
            self.canaries.pop_first();
        }
    }

    /// Records that SQS accepted the canary. Returns whether that is the first sign of it.
    pub fn sent(&mut self, sequence: u64) -> bool {
        self.end_sending(sequence, State::Outstanding)
    }

    /// Records that SQS did not accept the canary, as far as is known.
    pub fn unsent(&mut self, sequence: u64) {
        self.end_sending(sequence, State::Unsent);
    }

    fn end_sending(&mut self, sequence: u64, state: State) -> bool {
        let sending = self.canaries.get_mut(&sequence).filter(|entry| entry.state == State::Sending);
        sending.map(|entry| entry.state = state).is_some()
    }

    /// Returns the canary with this number as it must return, if it is remembered.
    pub fn canary(&self, sequence: u64) -> Option<&Canary> {
        self.canaries.get(&sequence).map(|entry| &entry.canary)
    }

    /// Records that a canary returned.
    pub fn returned(&mut self, sequence: u64, now: Instant) -> Return {
        let known = |fate| Return { fate, is_first_sign: false };
        let Some(entry) = self.canaries.get_mut(&sequence) else {
            let is_forgotten = (1..=self.last_sequence).contains(&sequence);
            return known(if is_forgotten { Fate::Again } else { Fate::NeverSent });
        };
        let before = std::mem::replace(&mut entry.state, State::Returned);
        let is_first_sign = matches!(before, State::Sending | State::Unsent);
        let has_waited = self.is_blind || self.last_blind.is_some_and(|end| end >= entry.sent);
        let fate = match before {
            State::Returned => Fate::Again,
            State::Lost => Fate::Late { is_newly_lost: false },
            // It can have waited in the return queue since before its deadline.
            _ if has_waited => Fate::InTime { round_trip: None },
            _ if now - entry.sent > self.deadline => Fate::Late { is_newly_lost: true },
            _ => Fate::InTime { round_trip: Some(now - entry.sent) },
        };
        Return { fate, is_first_sign }
    }

    /// Records the end of a poll, after the returns that it brought. Returns the canaries that are lost.
    pub fn polled(&mut self, poll: Poll, now: Instant) -> Vec<Canary> {
        match poll {
            Poll::Failed => self.is_blind = true,
            Poll::Partial => {}
            Poll::Complete => {
                if std::mem::take(&mut self.is_blind) {
                    self.last_blind = Some(now);
                }
                let is_lost =
                    |entry: &&mut Entry| entry.state == State::Outstanding && now - entry.sent >= self.deadline;
                let lost = self.canaries.values_mut().filter(is_lost).map(|entry| {
                    entry.state = State::Lost;
                    entry.canary.clone()
                });
                return lost.collect();
            }
        }
        Vec::new()
    }

    /// Returns the number of canaries that were sent and are neither returned nor lost.
    pub fn outstanding(&self) -> usize {
        self.canaries.values().filter(|entry| entry.state == State::Outstanding).count()
    }

    /// Returns how long the next poll waits, in whole seconds: not beyond the next deadline, so that a poll ends soon
    /// after each deadline, and at least one second, because SQS answers a short poll from some of its servers only.
    pub fn poll_seconds(&self, now: Instant) -> u64 {
        let longest = (self.deadline.as_secs() / 4).clamp(1, Self::LONGEST_POLL);
        let is_open = |entry: &&Entry| matches!(entry.state, State::Sending | State::Outstanding);
        let oldest = self.canaries.values().find(is_open);
        let left = oldest.map(|entry| (entry.sent + self.deadline).saturating_duration_since(now));
        left.map_or(longest, |left| left.as_secs().clamp(1, longest))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::monitor::canary::{CanaryId, Instance};

    const DEADLINE: Duration = Duration::from_secs(60);
    /// No canary is lost.
    const NONE: [u64; 0] = [];

    /// A ledger, and the time of its canaries.
    struct Stage {
        ledger: Ledger,
        start: Instant,
    }

    impl Stage {
        fn new() -> Self {
            Self { ledger: Ledger::new(DEADLINE), start: Instant::now() }
        }

        /// Returns the time this many seconds after the start.
        fn at(&self, seconds: f64) -> Instant {
            self.start + Duration::from_secs_f64(seconds)
        }

        /// Records that the next canary is about to be sent. Returns its number.
        fn sending(&mut self, seconds: f64) -> u64 {
            let sequence = self.ledger.next_sequence();
            let id = CanaryId { instance: Instance::random(), sequence };
            let canary = Canary { id, sent_at: UNIX_EPOCH, json: String::new() };
            self.ledger.sending(canary, self.at(seconds));
            sequence
        }

        /// Sends the next canary. Returns its number.
        fn send(&mut self, seconds: f64) -> u64 {
            let sequence = self.sending(seconds);
            assert!(self.ledger.sent(sequence));
            sequence
        }

        fn fate(&mut self, sequence: u64, seconds: f64) -> Fate {
            let now = self.at(seconds);
            self.ledger.returned(sequence, now).fate
        }

        /// Records the end of a poll. Returns the numbers of the canaries that are lost.
        fn polled(&mut self, poll: Poll, seconds: f64) -> Vec<u64> {
            let now = self.at(seconds);
            self.ledger.polled(poll, now).iter().map(|canary| canary.id.sequence).collect()
        }
    }

    fn in_time(seconds: f64) -> Fate {
        Fate::InTime { round_trip: Some(Duration::from_secs_f64(seconds)) }
    }

    #[test]
    fn a_canary_that_returns_within_its_deadline_has_its_round_trip_and_a_second_return_counts_no_more() {
        let mut stage = Stage::new();
        let canary = stage.send(0.0);
        assert_eq!(stage.ledger.outstanding(), 1);
        assert_eq!(stage.fate(canary, 0.5), in_time(0.5));
        assert_eq!(stage.fate(canary, 0.7), Fate::Again);
        assert_eq!((stage.polled(Poll::Complete, 61.0), stage.ledger.outstanding()), (vec![], 0));
    }

    #[test]
    fn a_canary_is_lost_once_at_its_deadline_and_late_if_it_returns_after_all() {
        let mut stage = Stage::new();
        let (first, second) = (stage.send(0.0), stage.send(10.0));
        assert_eq!(stage.polled(Poll::Complete, 59.9), NONE);
        assert_eq!(stage.polled(Poll::Complete, 60.0), [first]);
        assert_eq!(stage.polled(Poll::Complete, 61.0), NONE, "it is lost once");
        assert_eq!(stage.fate(first, 65.0), Fate::Late { is_newly_lost: false });
        assert_eq!(stage.fate(first, 66.0), Fate::Again);
        // The poll that returns a canary after its deadline is the first to tell of it.
        assert_eq!(stage.fate(second, 70.1), Fate::Late { is_newly_lost: true });
        assert_eq!(stage.polled(Poll::Complete, 71.0), NONE);
    }

    #[test]
    fn no_canary_is_lost_while_polls_fail_or_leave_messages_behind() {
        let mut stage = Stage::new();
        let (first, second) = (stage.send(0.0), stage.send(1.0));
        assert_eq!(stage.polled(Poll::Failed, 30.0), NONE);
        // It is sent between two polls that fail, and waits in the return queue for longer than its deadline.
        let between = stage.send(31.0);
        assert_eq!(stage.polled(Poll::Partial, 101.0), NONE);
        assert_eq!(stage.fate(between, 101.5), Fate::InTime { round_trip: None });
        // It waited in the return queue, so neither its delay nor its round trip tell anything about the path.
        assert_eq!(stage.fate(first, 102.0), Fate::InTime { round_trip: None });
        assert_eq!(stage.polled(Poll::Complete, 103.0), [second]);
        let third = stage.send(110.0);
        assert_eq!(stage.fate(third, 111.0), in_time(1.0));
    }

    #[test]
    fn a_canary_that_could_not_be_sent_is_not_lost_and_counts_as_sent_if_it_returns() {
        let mut stage = Stage::new();
        let (refused, accepted) = (stage.sending(0.0), stage.sending(1.0));
        stage.ledger.unsent(refused);
        stage.ledger.unsent(accepted);
        assert_eq!((stage.polled(Poll::Complete, 90.0), stage.ledger.outstanding()), (vec![], 0));
        // SQS had accepted it, and only the answer was lost.
        let third = stage.sending(100.0);
        stage.ledger.unsent(third);
        let now = stage.at(101.0);
        let returned = stage.ledger.returned(third, now);
        assert_eq!(returned, Return { fate: in_time(1.0), is_first_sign: true });
    }

    #[test]
    fn a_canary_can_return_before_the_call_that_sends_it_has_ended() {
        let mut stage = Stage::new();
        let canary = stage.sending(0.0);
        let now = stage.at(0.2);
        let returned = stage.ledger.returned(canary, now);
        assert_eq!(returned, Return { fate: in_time(0.2), is_first_sign: true });
        assert!(!stage.ledger.sent(canary), "it was counted at its return");
        assert_eq!(stage.polled(Poll::Complete, 90.0), NONE);
    }

    #[test]
    fn a_number_that_was_never_sent_is_named() {
        let mut stage = Stage::new();
        stage.send(0.0);
        assert_eq!(stage.fate(7, 1.0), Fate::NeverSent);
    }

    #[test]
    fn a_canary_is_late_at_most_once_however_long_it_and_its_copies_are_under_way() {
        let mut stage = Stage::new();
        let (returned, lost, unsent) = (stage.send(0.0), stage.send(1.0), stage.sending(2.0));
        stage.ledger.unsent(unsent);
        assert_eq!(stage.fate(returned, 3.0), in_time(3.0));
        assert_eq!(stage.polled(Poll::Complete, 61.0), [lost]);
        stage.send(50_000.0);
        assert!(stage.ledger.canary(returned).is_none(), "ten deadlines have passed");
        assert_eq!(stage.fate(returned, 50_001.0), Fate::Again);
        assert_eq!(stage.fate(lost, 50_001.0), Fate::Late { is_newly_lost: false });
        let now = stage.at(50_001.0);
        let first_sign = Return { fate: Fate::Late { is_newly_lost: true }, is_first_sign: true };
        assert_eq!(stage.ledger.returned(unsent, now), first_sign);
        stage.send(100_000.0);
        assert_eq!((stage.fate(lost, 100_001.0), stage.fate(unsent, 100_001.0)), (Fate::Again, Fate::Again));
    }

    #[test]
    fn the_canaries_that_are_remembered_are_bounded() {
        let mut stage = Stage::new();
        for second in 0..Ledger::MOST_REMEMBERED + 50 {
            let canary = stage.sending(second as f64);
            stage.ledger.unsent(canary);
        }
        assert_eq!(stage.ledger.canaries.len(), Ledger::MOST_REMEMBERED);
    }

    #[test]
    fn polls_end_soon_after_each_deadline_and_are_never_short() {
        let mut stage = Stage::new();
        assert_eq!(stage.ledger.poll_seconds(stage.at(0.0)), 15, "a quarter of the deadline");
        stage.send(0.0);
        for (seconds, expected) in [(0.0, 15), (44.9, 15), (50.5, 9), (59.2, 1), (60.0, 1), (75.0, 1)] {
            assert_eq!(stage.ledger.poll_seconds(stage.at(seconds)), expected, "{seconds}");
        }
        for (deadline, expected) in [(1, 1), (3, 1), (8, 2), (200, 20), (3_600, 20)] {
            let ledger = Ledger::new(Duration::from_secs(deadline));
            assert_eq!(ledger.poll_seconds(stage.at(0.0)), expected, "{deadline}");
        }
    }
}
