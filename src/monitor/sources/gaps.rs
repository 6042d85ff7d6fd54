//! The list of the missing heartbeats of one source on one queue, as all replicas know it together.
//!
//! Each replica adds the numbers that it received. The result does not depend on the order in which replicas add them,
//! and a number can be added again. A number that is missing is a gap after its grace, because another replica can still
//! have it, or the queue can still deliver it. A number that arrives after that is no gap any more.
//!
//! There is no I/O here. Times are in milliseconds: `sent` by the clock of SQS, all others by the clock of the store.

mod run;

use serde::{Deserialize, Serialize};

pub(super) use run::{Missing, Run};

/// A heartbeat that a replica received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) number: u64,
    /// When the heartbeat reached the queue.
    pub(super) sent: u64,
    /// How long the numbers before it can be missing until they are gaps.
    pub(super) grace: u64,
    /// The time after which a smaller number is a restart of the source.
    pub(super) patience: u64,
}

/// Numbers that a replica could not keep until it could share them. Those between the first and the last one are never
/// judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) first: u64,
    pub(super) last: u64,
    /// When the last one reached the queue.
    pub(super) sent: u64,
    pub(super) grace: u64,
}

/// The numbers of a source that one replica adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) forgotten: Option<Forgotten>,
    /// The heartbeats that were received too long ago for a new list to begin with them. Other replicas need not have
    /// kept what they received at that time.
    pub(super) old: Vec<Heard>,
    /// The heartbeats that were received recently.
    pub(super) recent: Vec<Heard>,
}

/// The list of a source, as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GapList {
    /// The numbers since the last restart of the source.
    run: Run,
    /// The numbers of a run that began below, until it is certain that the source was restarted: the numbers of an old
    /// heartbeat that is sent again fall back, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Run>,
    /// When the list was written.
    written: u64,
}

impl GapList {
    /// Returns the list after a contribution that is added at `now`. Returns the same list if the contribution has nothing
    /// new, and `None` if there is no list and the contribution cannot begin one.
    pub(super) fn after(list: Option<&Self>, contribution: &Contribution, now: u64) -> Option<Self> {
        let Contribution { forgotten, old, recent } = contribution;
        let in_order = |heard: &[Heard]| {
            let mut heard = heard.to_vec();
            heard.sort_unstable_by_key(|heard| (heard.sent, heard.number));
            heard
        };
        let (old, recent) = (in_order(old), in_order(recent));
        let begin = |heard: &Heard| Self { run: Run::begin(heard), next: None, written: now };
        let mut after = match list {
            Some(list) => list.clone(),
            None => begin(recent.first().or(old.last())?),
        };
        if let Some(forgotten) = forgotten {
            after.run.forget(forgotten, now);
        }
        for heard in old.iter().chain(&recent) {
            after.add(heard, now);
        }
        if list.is_some_and(|list| list.run == after.run && list.next == after.next) {
            return Some(after);
        }
        after.written = now;
        after.run.age(now);
        Some(after)
    }

    fn add(&mut self, heard: &Heard, now: u64) {
        if self.run.is_before(heard) {
            return;
        }
        if heard.number > self.run.highest() {
            // The source goes on, so the smaller numbers were no restart.
            self.next = self.next.take().filter(|next| heard.sent <= next.begun());
            return self.run.extend(heard, now);
        }
        let was_missing = self.run.fill(heard, now);
        match &mut self.next {
            Some(next)
                if next.is_near(heard) && (!was_missing || heard.sent >= next.begun())
                    || next.is_continued_by(heard) && !was_missing =>
            {
                if heard.number > next.highest() {
                    next.extend(heard, now);
                } else {
                    next.fill(heard, now);
                }
                if next.is_certain(heard) {
                    self.run = self.next.take().unwrap_or_else(|| Run::begin(heard));
                }
            }
            // An old heartbeat was sent again before the restart.
            Some(next) if next.is_undercut_by(heard) && !was_missing => *next = Run::begin(heard),
            Some(_) => {}
            None if !was_missing && self.run.is_left_by(heard) => self.next = Some(Run::begin(heard)),
            None => {}
        }
    }

    /// Returns the numbers since the last restart.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// Returns when the list was written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Reads the value of a key in the store. Returns `None` if no replica writes such a value.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let list: Self = serde_json::from_slice(value).ok()?;
        let are_valid = std::iter::once(&list.run).chain(&list.next).all(Run::is_valid);
        are_valid.then_some(list)
    }

    /// Returns the value for the store.
    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
