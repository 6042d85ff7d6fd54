//! The sequence of a source's heartbeats, as one replica sees it: gaps, restarts and duplicates.
//!
//! Standard queues return messages out of order, so a missing number is a gap only after it has been missing for a
//! while.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The largest distance of numbers that a queue can swap. A number that falls back further is a restart.
pub(super) const REORDERING: u64 = 16;
/// The most missing numbers that are remembered. Beyond it, the oldest ones are gaps at once.
const MOST_MISSING: u64 = 1_024;

/// The longest time for which a producer repeats heartbeats without a new one, in times of the patience.
const LONGEST_REPETITION: u32 = 10;

/// The numbers of one source.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    run: Option<Run>,
    /// The highest number of the run before the last restart, and the time until which its stragglers can arrive.
    before: Option<(u64, Instant)>,
    /// When each missing number becomes a gap.
    missing: BTreeMap<u64, Instant>,
    /// The gaps that are known and not returned yet.
    gaps: u64,
}

/// The numbers since the last restart.
#[derive(Debug, Clone, Copy)]
struct Run {
    lowest: u64,
    highest: u64,
    /// When the highest number was sent, by our clock.
    highest_sent: Instant,
    /// When the highest number was sent, by the clock of the source.
    highest_sent_at: Option<SystemTime>,
    /// When the first of the numbers arrived that look repeated since the last new one, by our clock.
    repeated_since: Option<Instant>,
    /// Until when numbers below the lowest one can still arrive.
    open_until: Instant,
}

/// The times of a heartbeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it was sent, by our clock.
    pub(super) sent: Instant,
    /// When it was received.
    pub(super) received: Instant,
    /// When it was sent, by the clock of the source.
    pub(super) sent_at: Option<SystemTime>,
}

/// The meaning of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// A number that was not received before.
    New,
    /// The first number after a restart of the source.
    Restart,
    /// A number that was received before, or a straggler from before a restart.
    Known,
}

impl Run {
    fn beginning(number: u64, times: Times, open_until: Instant) -> Self {
        let Times { sent, sent_at, .. } = times;
        let (highest_sent, highest_sent_at, repeated_since) = (sent, sent_at, None);
        Self { lowest: number, highest: number, highest_sent, highest_sent_at, repeated_since, open_until }
    }

    /// Whether a number that is lower than the highest one looks like a heartbeat that the producer sent again: the
    /// source sent it before the highest one. A source whose clock went back when it started again looks like that too,
    /// so a run of such numbers that lasts for longer than a producer repeats is a restart.
    fn looks_repeated(&mut self, times: Times, patience: Duration) -> bool {
        let is_earlier = times.sent_at.zip(self.highest_sent_at).is_some_and(|(this, highest)| this < highest);
        let since = *self.repeated_since.get_or_insert(times.received);
        is_earlier && times.received.saturating_duration_since(since) < patience * LONGEST_REPETITION
    }
}

impl Sequence {
    /// Returns the highest number since the last restart.
    pub(super) fn highest(&self) -> Option<u64> {
        self.run.map(|run| run.highest)
    }

    /// Whether this number is higher than all before it.
    pub(super) fn is_newer(&self, number: u64) -> bool {
        self.highest().is_none_or(|highest| number > highest)
    }

    /// Notes a number. A number that is missing for `patience` becomes a gap.
    pub(super) fn note(&mut self, number: u64, times: Times, patience: Duration) -> Noted {
        let Times { sent, received: at, sent_at } = times;
        let until = at + patience;
        let Some(run) = &mut self.run else {
            self.run = Some(Run::beginning(number, times, until));
            return Noted::New;
        };
        if let Some((highest, open_until)) = self.before
            && at < open_until
            && number.saturating_sub(run.highest) > REORDERING
            && number.abs_diff(highest) <= REORDERING
        {
            return Noted::Known;
        }
        if number > run.highest {
            let next = run.highest + 1;
            let first = next.max(number.saturating_sub(MOST_MISSING));
            self.gaps = self.gaps.saturating_add(first - next);
            (run.highest, run.highest_sent, run.highest_sent_at) = (number, sent, sent_at);
            run.repeated_since = None;
            self.add_missing(first..number, until);
            return Noted::New;
        }
        if self.missing.remove(&number).is_some() {
            return Noted::New;
        }
        if number < run.lowest && at < run.open_until && run.lowest - number <= REORDERING {
            let between = number + 1..run.lowest;
            run.lowest = number;
            self.add_missing(between, until);
            return Noted::New;
        }
        // A replica of several may not receive the first numbers after a restart. It sees that a smaller number was sent
        // long after a larger one.
        let is_much_later = sent > run.highest_sent + patience && number < run.highest;
        let is_far_below = run.highest - number > REORDERING || number <= 1 && number < run.highest;
        if sent <= run.highest_sent || !is_far_below && !is_much_later || run.looks_repeated(times, patience) {
            return Noted::Known;
        }
        self.before = Some((run.highest, until));
        *run = Run::beginning(number, times, until);
        // The numbers of the run before are gaps now: the new run uses the same numbers.
        self.gaps += std::mem::take(&mut self.missing).len() as u64;
        Noted::Restart
    }

    /// Returns the number of gaps since the last call.
    pub(super) fn take_gaps(&mut self, now: Instant) -> u64 {
        let before = self.missing.len();
        self.missing.retain(|_, due| *due > now);
        std::mem::take(&mut self.gaps).saturating_add((before - self.missing.len()) as u64)
    }

    fn add_missing(&mut self, numbers: Range<u64>, until: Instant) {
        self.missing.extend(numbers.map(|number| (number, until)));
        while self.missing.len() as u64 > MOST_MISSING {
            self.missing.pop_first();
            self.gaps += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// The times of a heartbeat of a source that tells no time.
    fn times(sent: Instant, received: Instant) -> Times {
        Times { sent, received, sent_at: None }
    }

    /// Notes these numbers, one per second. Returns what they meant, and the gaps 31 seconds after the last one.
    fn play(numbers: &[u64]) -> (String, u64) {
        let (mut sequence, mut at) = (Sequence::default(), Instant::now());
        let mut meaning = String::new();
        for number in numbers {
            at += Duration::from_secs(1);
            meaning.push(match sequence.note(*number, times(at, at), PATIENCE) {
                Noted::New => 'n',
                Noted::Restart => 'R',
                Noted::Known => 'k',
            });
        }
        (meaning, sequence.take_gaps(at + PATIENCE + Duration::from_secs(1)))
    }

    #[test]
    fn numbers_tell_gaps_from_reordering_and_restarts_from_duplicates() {
        for (numbers, meaning, gaps) in [
            (&[1, 2, 3][..], "nnn", 0),
            (&[5, 6, 9], "nnn", 2),
            (&[5, 6, 9, 7, 8], "nnnnn", 0),
            (&[5, 6, 6, 5], "nnkk", 0),
            // The first number that is received need not be the first one that was sent.
            (&[5, 3, 4], "nnn", 0),
            (&[5, 3], "nn", 1),
            (&[2, 1], "nn", 0),
            (&[40, 41, 1, 2], "nnRn", 0),
            (&[40, 41, 0, 1], "nnRn", 0),
            (&[40, 41, 3], "nnR", 0),
            // Heartbeats from before the restart arrive after it.
            (&[40, 41, 1, 42, 2], "nnRkn", 0),
            // The missing numbers of the run before are gaps.
            (&[40, 44, 1, 2], "nnRn", 3),
            (&[1, 2_000_000], "nn", 1_999_998),
            (&[1, u64::MAX], "nn", u64::MAX - 2),
        ] {
            assert_eq!(play(numbers), (meaning.to_owned(), gaps), "{numbers:?}");
        }
    }

    #[test]
    fn a_missing_number_is_a_gap_after_it_was_missing_for_a_while() {
        let (mut sequence, start) = (Sequence::default(), Instant::now());
        sequence.note(1, times(start, start), PATIENCE);
        sequence.note(4, times(start, start), PATIENCE);
        assert_eq!(sequence.take_gaps(start + PATIENCE - Duration::from_secs(1)), 0);
        assert_eq!(sequence.take_gaps(start + PATIENCE), 2);
        assert_eq!(sequence.take_gaps(start + PATIENCE), 0);
        assert!(sequence.is_newer(5) && !sequence.is_newer(4));
    }

    #[test]
    fn a_restart_is_noticed_without_its_first_numbers_and_an_old_number_is_no_restart() {
        let (mut sequence, start) = (Sequence::default(), Instant::now());
        let second = |n| start + Duration::from_secs(n);
        sequence.note(20, times(second(0), second(0)), PATIENCE);
        for (number, at, expected) in
            [(21, 20, Noted::New), (6, 35, Noted::Known), (8, 55, Noted::Restart), (9, 65, Noted::New)]
        {
            assert_eq!(sequence.note(number, times(second(at), second(at)), PATIENCE), expected, "{number}");
        }
        // Out of a backlog: the number 90 overtakes older ones, which arrive when they count as gaps already.
        let (mut behind, later) = (Sequence::default(), second(1_000));
        behind.note(20, times(second(200), later), PATIENCE);
        behind.note(90, times(second(900), later), PATIENCE);
        assert_eq!(behind.take_gaps(later + PATIENCE), 69);
        assert_eq!(behind.note(30, times(second(300), later + PATIENCE), PATIENCE), Noted::Known);
    }

    #[test]
    fn heartbeats_that_are_sent_again_are_no_restart() {
        let (start, epoch) = (Instant::now(), SystemTime::UNIX_EPOCH);
        // Each heartbeat: its number, when it reaches the queue, and when the source sent it by its own clock.
        let play = |heartbeats: &[(u64, u64, u64)]| -> String {
            let mut sequence = Sequence::default();
            let mut note = |&(number, at, sent_at): &(u64, u64, u64)| {
                let at = start + Duration::from_secs(at);
                let sent_at = Some(epoch + Duration::from_secs(sent_at));
                match sequence.note(number, Times { sent: at, received: at, sent_at }, PATIENCE) {
                    Noted::New => 'n',
                    Noted::Restart => 'R',
                    Noted::Known => 'k',
                }
            };
            heartbeats.iter().map(&mut note).collect()
        };
        // A producer sends the numbers from 58 again, long after it sent 60. Another replica received them first.
        let again = [(60, 0, 600), (1, 100, 10), (58, 101, 580), (59, 102, 590), (60, 103, 600), (61, 104, 1_040)];
        assert_eq!(play(&again), "nkkkkn");
        // The source started again, and its clock is right.
        assert_eq!(play(&[(60, 0, 600), (1, 100, 700), (2, 110, 710)]), "nRn");
        // Its clock went back by an hour. After five minutes it is certain that the numbers are new.
        assert_eq!(play(&[(60, 0, 4_200), (1, 100, 700), (29, 380, 980), (31, 400, 1_000), (32, 410, 1_010)]), "nkkRn");
        // A new number ends the repetition, however long ago it began.
        assert_eq!(play(&[(60, 0, 600), (59, 100, 590), (61, 110, 610), (40, 500, 400)]), "nknk");
    }

    #[test]
    fn the_largest_numbers_are_numbers_like_others() {
        let (mut sequence, start) = (Sequence::default(), Instant::now());
        let numbers = [1_000, 1, u64::MAX - 3, 40, u64::MAX, 2, u64::MAX];
        for (second, number) in numbers.into_iter().enumerate() {
            let at = start + Duration::from_secs(second as u64);
            sequence.note(number, times(at, at), PATIENCE);
        }
        assert_eq!(sequence.highest(), Some(u64::MAX));
        assert!(sequence.take_gaps(start + 10 * PATIENCE) > 1 << 62);
    }

    #[test]
    fn random_losses_and_swaps_count_as_many_gaps_as_heartbeats_were_lost() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (first, mut lost) = (random.u64(1..50), 0);
            let mut numbers: Vec<u64> = Vec::new();
            for number in first..first + 200 {
                // The first and the last ones are kept: a loss at an end is no gap in the sequence.
                let is_inside = number > first + 20 && number < first + 180;
                if is_inside && random.u8(..10) == 0 {
                    lost += 1;
                } else {
                    numbers.push(number);
                }
            }
            for at in 1..numbers.len() - 4 {
                let other = at + random.usize(..4);
                numbers.swap(at, other);
            }
            let (mut sequence, at) = (Sequence::default(), Instant::now());
            for number in &numbers {
                assert_eq!(
                    sequence.note(*number, times(at, at), PATIENCE),
                    Noted::New,
                    "seed {seed}: {number} of {numbers:?}"
                );
            }
            assert_eq!(sequence.take_gaps(at + PATIENCE), lost, "seed {seed}");
        }
    }
}
