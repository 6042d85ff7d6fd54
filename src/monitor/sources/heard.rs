//! The heartbeats that this replica received and shares with the others.
//!
//! A number is kept for a while after it was shared, and is shared again. So a store that lost its last writes, or all
//! of them, has them again. While the store does not answer, all numbers are kept, up to a limit. Beyond it the oldest
//! numbers are forgotten, and the range that they are in is never judged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::gaps::{Contribution, Forgotten, Heard};
use super::sequence::REORDERING;

/// The most numbers that are kept of one source on one queue.
const MAX_NUMBERS: usize = 64;
/// How long a number is kept after it was received, if it is shared.
const KEPT: Duration = Duration::from_secs(60);
/// The age up to which a number can begin a list. Every replica keeps its numbers for twice this time, so that none lacks
/// the numbers that follow.
const RECENT: Duration = Duration::from_secs(30);

/// The numbers of the sources on one queue.
#[derive(Debug, Default)]
pub(super) struct HeardNumbers {
    sources: BTreeMap<Arc<str>, Numbers>,
    /// The count of all numbers that were noted.
    noted: u64,
}

/// The numbers of one source.
#[derive(Debug, Default)]
struct Numbers {
    numbers: VecDeque<Noted>,
    forgotten: Option<Forgotten>,
}

#[derive(Debug)]
struct Noted {
    heard: Heard,
    at: Instant,
    /// The position of the number among all that were noted.
    position: u64,
    is_shared: bool,
}

/// The numbers of one source that a replica has to share.
#[derive(Debug)]
pub(super) struct ToShare {
    pub(super) source: Arc<str>,
    pub(super) contribution: Contribution,
    /// The position of the last number.
    until: u64,
}

impl HeardNumbers {
    /// Notes a heartbeat that was received at `at`. Returns whether it is new.
    pub(super) fn note(&mut self, source: &str, heard: Heard, at: Instant) -> bool {
        self.noted += 1;
        let position = self.noted;
        if !self.sources.contains_key(source) {
            self.sources.insert(Arc::from(source), Numbers::default());
        }
        self.sources
            .get_mut(source)
            .is_some_and(|numbers| numbers.note(Noted { heard, at, position, is_shared: false }))
    }

    /// Returns what to share: of the sources with a number that is not shared yet, or of all.
    pub(super) fn to_share(&self, all: bool, now: Instant) -> Vec<ToShare> {
        let chosen = self.sources.iter().filter(|(_, numbers)| all || numbers.has_more());
        chosen.map(|(source, numbers)| numbers.to_share(source, now)).collect()
    }

    /// Notes that these numbers are in the store now.
    pub(super) fn shared(&mut self, shared: &ToShare, now: Instant) {
        let Some(numbers) = self.sources.get_mut(&shared.source) else { return };
        numbers.shared(shared, now);
        if numbers.numbers.is_empty() {
            self.sources.remove(&shared.source);
        }
    }
}

impl Numbers {
    fn note(&mut self, noted: Noted) -> bool {
        let is_same = |other: &Noted| (other.heard.number, other.heard.sent) == (noted.heard.number, noted.heard.sent);
        if self.numbers.iter().any(is_same) {
            return false;
        }
        self.numbers.push_back(noted);
        if self.numbers.len() > MAX_NUMBERS
            && let Some(oldest) = self.numbers.pop_front().filter(|oldest| !oldest.is_shared)
        {
            self.forget(oldest.heard);
        }
        true
    }

    fn forget(&mut self, Heard { number, sent, grace, .. }: Heard) {
        let is_one_run = |range: &Forgotten| number.saturating_add(REORDERING) >= range.last;
        let before = self.forgotten.filter(is_one_run);
        let (first, last) = before.map_or((number, number), |range| (range.first.min(number), range.last.max(number)));
        let sent = before.map_or(sent, |range| range.sent.max(sent));
        self.forgotten = Some(Forgotten { first, last, sent, grace });
    }

    fn shared(&mut self, shared: &ToShare, now: Instant) {
        let is_in_store = |noted: &&mut Noted| noted.position <= shared.until;
        self.numbers.iter_mut().filter(is_in_store).for_each(|noted| noted.is_shared = true);
        self.numbers.retain(|noted| !noted.is_shared || now.saturating_duration_since(noted.at) < KEPT);
        if self.forgotten == shared.contribution.forgotten {
            self.forgotten = None;
        }
    }

    fn has_more(&self) -> bool {
        self.forgotten.is_some() || self.numbers.iter().any(|noted| !noted.is_shared)
    }

    fn to_share(&self, source: &Arc<str>, now: Instant) -> ToShare {
        let is_recent = |noted: &&Noted| now.saturating_duration_since(noted.at) < RECENT;
        let (recent, old): (Vec<&Noted>, Vec<&Noted>) = self.numbers.iter().partition(is_recent);
        let heard = |numbers: Vec<&Noted>| numbers.into_iter().map(|noted| noted.heard).collect();
        let until = self.numbers.iter().map(|noted| noted.position).max().unwrap_or(0);
        let contribution = Contribution { forgotten: self.forgotten, old: heard(old), recent: heard(recent) };
        ToShare { source: Arc::clone(source), contribution, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(number: u64) -> Heard {
        Heard { number, sent: 10 * number, grace: 5, patience: 3 }
    }

    fn numbers(heard: &[Heard]) -> Vec<u64> {
        heard.iter().map(|heard| heard.number).collect()
    }

    #[test]
    fn a_number_is_shared_again_until_every_replica_can_have_it() {
        let (mut noted, start) = (HeardNumbers::default(), Instant::now());
        assert!(noted.note("eu", heard(1), start));
        assert!(!noted.note("eu", heard(1), start), "the message is received again");
        let share = noted.to_share(false, start).remove(0);
        assert!(noted.note("eu", heard(2), start));
        noted.shared(&share, start);
        assert_eq!(
            numbers(&noted.to_share(false, start)[0].contribution.recent),
            [1, 2],
            "2 was noted in the meantime"
        );
        let share = noted.to_share(false, start + RECENT).remove(0);
        assert_eq!(numbers(&share.contribution.old), [1, 2]);
        noted.shared(&share, start + RECENT);
        assert!(noted.to_share(false, start + RECENT).is_empty(), "nothing is new");
        let share = noted.to_share(true, start + KEPT).remove(0);
        assert_eq!(numbers(&share.contribution.old), [1, 2], "the store did not answer in the meantime");
        noted.shared(&share, start + KEPT);
        assert!(noted.sources.is_empty(), "a source that is silent takes no memory");
    }

    #[test]
    fn numbers_beyond_the_limit_are_forgotten_as_a_range_of_one_run() {
        let (mut noted, start) = (HeardNumbers::default(), Instant::now());
        let last = MAX_NUMBERS as u64 + 50;
        (1..=last).for_each(|number| assert!(noted.note("eu", heard(number), start)));
        let share = noted.to_share(false, start).remove(0);
        assert_eq!(share.contribution.forgotten, Some(Forgotten { first: 1, last: 50, sent: 500, grace: 5 }));
        assert_eq!(share.contribution.recent.len(), MAX_NUMBERS);
        noted.shared(&share, start);
        // Numbers that were shared are not forgotten.
        (1..=10).for_each(|number| assert!(noted.note("eu", heard(last + number), start)));
        assert_eq!(noted.to_share(false, start)[0].contribution.forgotten, None);
        // After a restart, the range has numbers of the new run only.
        for number in 1..=2 * MAX_NUMBERS as u64 {
            noted.note("eu", Heard { sent: 100_000 + number, ..heard(number) }, start);
        }
        let forgotten = noted.to_share(false, start)[0].contribution.forgotten;
        assert_eq!(forgotten, Some(Forgotten { first: 1, last: MAX_NUMBERS as u64, sent: 100_064, grace: 5 }));
    }
}
