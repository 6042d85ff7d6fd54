//! The numbers of a source between two restarts, as the ranges that are missing.

use serde::{Deserialize, Serialize};

use super::{Forgotten, Heard};
use crate::monitor::sources::sequence::REORDERING;

/// The most gaps that a list keeps. Beyond it, the oldest ones are only counted.
pub(in crate::monitor::sources) const MAX_GAPS: usize = 32;
/// The most missing ranges of a list, those included that are no gaps yet. Until the last replica has added its numbers
/// after an outage of the store, there are as many ranges as the replicas have numbers.
const MAX_RANGES: usize = 256;
/// How long a gap is listed, in milliseconds.
const LISTED: u64 = 7 * 24 * 3_600_000;

/// The numbers of a source since its last restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::monitor::sources) struct Run {
    /// When the first heartbeat reached the queue.
    begun: u64,
    lowest: u64,
    highest: u64,
    /// When the youngest heartbeat up to the highest number reached the queue.
    highest_sent: u64,
    /// The missing ranges, in ascending order. There is a number between two ranges that is not missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Missing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unlisted: Option<Unlisted>,
    /// The count of numbers that were never judged, at most.
    #[serde(default, skip_serializing_if = "is_zero")]
    not_judged: u64,
}

/// A range of missing numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u64, u64)", into = "(u64, u64, u64, u64)")]
pub(in crate::monitor::sources) struct Missing {
    pub(in crate::monitor::sources) first: u64,
    pub(in crate::monitor::sources) last: u64,
    /// When a replica noticed that they are missing.
    pub(in crate::monitor::sources) noticed: u64,
    /// When they are a gap.
    pub(in crate::monitor::sources) due: u64,
}

/// The missing ranges that are no longer in the list, because the list is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::monitor::sources) struct Unlisted {
    pub(in crate::monitor::sources) ranges: u64,
    pub(in crate::monitor::sources) numbers: u64,
    /// When a replica noticed the last of them.
    noticed: u64,
}

impl Missing {
    /// Returns the count of numbers.
    pub(in crate::monitor::sources) fn count(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl From<(u64, u64, u64, u64)> for Missing {
    fn from((first, last, noticed, due): (u64, u64, u64, u64)) -> Self {
        Self { first, last, noticed, due }
    }
}

impl From<Missing> for (u64, u64, u64, u64) {
    fn from(Missing { first, last, noticed, due }: Missing) -> Self {
        (first, last, noticed, due)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Run {
    /// Begins a run with its first heartbeat.
    pub(super) fn begin(heard: &Heard) -> Self {
        Self {
            begun: heard.sent,
            lowest: heard.number,
            highest: heard.number,
            highest_sent: heard.sent,
            missing: Vec::new(),
            unlisted: None,
            not_judged: 0,
        }
    }

    /// Returns when the first heartbeat reached the queue.
    pub(in crate::monitor::sources) fn begun(&self) -> u64 {
        self.begun
    }

    /// Returns the first number. Numbers below it are not judged.
    pub(in crate::monitor::sources) fn lowest(&self) -> u64 {
        self.lowest
    }

    /// Returns the highest number.
    pub(in crate::monitor::sources) fn highest(&self) -> u64 {
        self.highest
    }

    /// Returns the count of numbers that were never judged.
    pub(in crate::monitor::sources) fn not_judged(&self) -> u64 {
        self.not_judged
    }

    /// Returns the gaps: the ranges that are missing for longer than their grace, in ascending order, at most
    /// [`MAX_GAPS`].
    pub(in crate::monitor::sources) fn gaps(&self, now: u64) -> impl Iterator<Item = &Missing> {
        let is_due = move |missing: &&Missing| missing.due <= now;
        let beyond = self.missing.iter().filter(is_due).count().saturating_sub(MAX_GAPS);
        self.missing.iter().filter(is_due).skip(beyond)
    }

    /// Returns the count of the gaps that are not listed, as ranges and as numbers.
    pub(in crate::monitor::sources) fn unlisted(&self, now: u64) -> (u64, u64) {
        let due: Vec<&Missing> = self.missing.iter().filter(|missing| missing.due <= now).collect();
        let beyond = &due[..due.len().saturating_sub(MAX_GAPS)];
        let (ranges, numbers) = self.unlisted.map_or((0, 0), |unlisted| (unlisted.ranges, unlisted.numbers));
        let more = beyond.iter().fold(0, |sum: u64, missing| sum.saturating_add(missing.count()));
        (ranges.saturating_add(beyond.len() as u64), numbers.saturating_add(more))
    }

    /// Adds a number above the highest one. The numbers in between are missing.
    pub(super) fn extend(&mut self, heard: &Heard, now: u64) {
        self.miss(heard.number, now, heard.grace);
        self.highest = heard.number;
        self.highest_sent = self.highest_sent.max(heard.sent);
        self.shorten();
    }

    /// Adds a number up to the highest one. Returns whether it was missing.
    pub(super) fn fill(&mut self, heard: &Heard, now: u64) -> bool {
        let number = heard.number;
        let at = self.missing.partition_point(|missing| missing.last < number);
        let Some(found) = self.missing.get_mut(at).filter(|missing| missing.first <= number) else { return false };
        let after = Missing { first: number.saturating_add(1), ..*found };
        if number > found.first {
            found.last = number - 1;
            if number < after.last {
                self.missing.insert(at + 1, after);
            }
        } else if number < after.last {
            *found = after;
        } else {
            self.missing.remove(at);
        }
        // Otherwise a late number would look like a restart when it is added again.
        self.highest_sent = self.highest_sent.max(heard.sent);
        self.age(now);
        true
    }

    /// Takes these numbers for received, because a replica does not know which of them it received.
    pub(super) fn forget(&mut self, forgotten: &Forgotten, now: u64) {
        let Forgotten { first, last, sent, grace } = *forgotten;
        if sent < self.begun || last < self.lowest {
            return;
        }
        for missing in std::mem::take(&mut self.missing) {
            let (from, to) = (missing.first.max(first), missing.last.min(last));
            if from > to {
                self.missing.push(missing);
                continue;
            }
            self.not_judged = self.not_judged.saturating_add(to - from + 1);
            if missing.first < from {
                self.missing.push(Missing { last: from - 1, ..missing });
            }
            if missing.last > to {
                self.missing.push(Missing { first: to + 1, ..missing });
            }
        }
        if last > self.highest {
            self.miss(first, now, grace);
            let from = first.max(self.highest.saturating_add(1));
            self.not_judged = self.not_judged.saturating_add((last - from).saturating_add(1));
            self.highest = last;
            self.highest_sent = self.highest_sent.max(sent);
        }
        self.shorten();
    }

    /// Notes that the numbers between the highest one and `next` are missing.
    fn miss(&mut self, next: u64, now: u64, grace: u64) {
        if next > self.highest && next - self.highest > 1 {
            let due = now.saturating_add(grace);
            self.missing.push(Missing { first: self.highest + 1, last: next - 1, noticed: now, due });
        }
    }

    /// Whether a number below the highest one can be the first after a restart.
    pub(super) fn is_left_by(&self, heard: &Heard) -> bool {
        let Heard { number, sent, patience, .. } = *heard;
        let is_much_later = sent > self.highest_sent.saturating_add(patience) && number < self.highest;
        let is_far_below = self.highest - number > REORDERING || number <= 1 && number < self.highest;
        sent > self.highest_sent && (is_far_below || is_much_later)
    }

    /// Whether a heartbeat was sent in the time of this run, as far as its number shows: the heartbeat with which the run
    /// begins can be younger than the next one.
    pub(super) fn is_near(&self, heard: &Heard) -> bool {
        (self.lowest..=self.highest.saturating_add(REORDERING)).contains(&heard.number)
            && heard.sent.saturating_add(heard.patience) >= self.begun
    }

    /// Whether a heartbeat is younger than all of this run and has a higher number.
    pub(super) fn is_continued_by(&self, heard: &Heard) -> bool {
        heard.number > self.highest && heard.sent > self.highest_sent
    }

    /// Whether a heartbeat is younger than all of this run and has a lower number.
    pub(super) fn is_undercut_by(&self, heard: &Heard) -> bool {
        heard.number < self.lowest && heard.sent > self.highest_sent
    }

    /// Whether a heartbeat is a straggler from before the restart with which this run begins.
    pub(super) fn is_before(&self, heard: &Heard) -> bool {
        heard.sent < self.begun && !self.is_near(heard)
    }

    /// Whether the run has numbers for so long that the source was restarted.
    pub(super) fn is_certain(&self, heard: &Heard) -> bool {
        self.highest > self.lowest && heard.sent >= self.begun.saturating_add(heard.patience)
    }

    /// Removes what was noticed long ago, and counts the oldest gaps beyond the limit instead of listing them.
    pub(super) fn age(&mut self, now: u64) {
        let is_listed = |noticed: u64| now.saturating_sub(noticed) < LISTED;
        self.missing.retain(|missing| is_listed(missing.noticed));
        self.unlisted = self.unlisted.filter(|unlisted| is_listed(unlisted.noticed));
        let due = self.missing.iter().filter(|missing| missing.due <= now).count();
        for _ in MAX_GAPS..due {
            let oldest = self.missing.iter().position(|missing| missing.due <= now);
            oldest.into_iter().for_each(|oldest| self.unlist(oldest));
        }
        self.shorten();
    }

    fn shorten(&mut self) {
        while self.missing.len() > MAX_RANGES {
            self.unlist(0);
        }
    }

    fn unlist(&mut self, at: usize) {
        let missing = self.missing.remove(at);
        let unlisted = self.unlisted.get_or_insert(Unlisted { ranges: 0, numbers: 0, noticed: 0 });
        unlisted.ranges = unlisted.ranges.saturating_add(1);
        unlisted.numbers = unlisted.numbers.saturating_add(missing.count());
        unlisted.noticed = unlisted.noticed.max(missing.noticed);
    }

    /// Whether a replica can have written this run.
    pub(super) fn is_valid(&self) -> bool {
        let is_ordered = |pair: &[Missing]| pair[0].last < pair[1].first;
        let ends = self.missing.first().zip(self.missing.last());
        self.lowest <= self.highest
            && self.missing.len() <= MAX_RANGES
            && self.missing.iter().all(|missing| missing.first <= missing.last)
            && self.missing.windows(2).all(is_ordered)
            && ends.is_none_or(|(first, last)| self.lowest < first.first && last.last < self.highest)
    }
}
