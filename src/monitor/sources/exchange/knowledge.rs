//! The knowledge of all replicas about missing heartbeats, as one of them read it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Exchange, SILENT, UNREAD};
use crate::monitor::sources::gaps::{GapList, Missing};

/// The knowledge of all replicas about the missing heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedGaps {
    /// How far the knowledge reaches.
    pub reach: Reach,
    /// The lists, by source and queue. There are none if the reach is [`Reach::NotKnown`].
    pub lists: Vec<SourceGaps>,
    /// The count of this replica's sources without a list, because the store has lists of too many.
    pub left_out: usize,
}

/// How far the knowledge about missing heartbeats reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It covers this number of replicas, which are all.
    AllReplicas(usize),
    /// It is not known at the moment, for this reason.
    NotKnown(String),
}

/// The missing heartbeats of a source on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceGaps {
    /// The name of the source.
    pub source: String,
    /// The name of the queue.
    pub queue: String,
    /// When the first heartbeat of the list reached the queue.
    pub since: SystemTime,
    /// The number of the first heartbeat.
    pub first: u64,
    /// The number of the last heartbeat.
    pub last: u64,
    /// The count of missing heartbeats, those of `unlisted` included.
    pub missing: u64,
    /// The missing ranges, in ascending order.
    pub gaps: Vec<Gap>,
    /// The count of older missing ranges that are not in `gaps`.
    pub unlisted: u64,
    /// The count of heartbeats that can be missing without a notice.
    pub not_judged: u64,
}

/// A range of missing heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first missing number.
    pub first: u64,
    /// The last missing number.
    pub last: u64,
    /// When a replica noticed that they are missing.
    pub noticed: SystemTime,
}

impl Exchange {
    /// Returns what all replicas know.
    pub(in crate::monitor::sources) fn report(&self, now: Instant) -> SharedGaps {
        let mut shared = SharedGaps { reach: self.reach(now), lists: Vec::new(), left_out: 0 };
        if matches!(shared.reach, Reach::NotKnown(_)) {
            return shared;
        }
        for queue in self.queues.values() {
            let view = queue.view.lock();
            shared.left_out += view.refused.len();
            let Some(time) = view.judged_until() else { continue };
            shared.lists.extend(view.lists.iter().map(|(source, list)| source_gaps(source, &queue.label, list, time)));
        }
        shared.lists.sort_by(|one, other| (&one.source, &one.queue).cmp(&(&other.source, &other.queue)));
        shared
    }

    fn reach(&self, now: Instant) -> Reach {
        if let Some(failure) = &*self.failure.lock() {
            return Reach::NotKnown(failure.clone());
        }
        let mut replicas = BTreeMap::<String, u64>::new();
        for queue in self.queues.values() {
            let view = queue.view.lock();
            let Some(time) = view.time(now) else { return Reach::NotKnown(UNREAD.to_owned()) };
            if view.read.is_some_and(|(_, at)| now.saturating_duration_since(at) > SILENT) {
                return Reach::NotKnown(format!("the lists were not read for {SILENT:?}"));
            }
            for (replica, seen) in &view.replicas {
                let silent_for = if *replica == self.id { 0 } else { time.saturating_sub(*seen) };
                let longest = replicas.entry(replica.clone()).or_default();
                *longest = silent_for.max(*longest);
            }
        }
        let silent = replicas.values().filter(|silent_for| **silent_for > SILENT.as_millis() as u64).count();
        match silent {
            0 => Reach::AllReplicas(replicas.len()),
            _ => Reach::NotKnown(format!("{silent} of {} replicas have not shared their heartbeats", replicas.len())),
        }
    }
}

fn source_gaps(source: &str, queue: &str, list: &GapList, time: u64) -> SourceGaps {
    let run = list.run();
    let at = |millis: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    let at = |millis| at(millis).unwrap_or(SystemTime::UNIX_EPOCH);
    let gap = |missing: &Missing| Gap { first: missing.first, last: missing.last, noticed: at(missing.noticed) };
    let (unlisted, numbers) = run.unlisted(time);
    let listed = run.gaps(time).fold(0, |sum: u64, missing| sum.saturating_add(missing.count()));
    SourceGaps {
        source: source.to_owned(),
        queue: queue.to_owned(),
        since: at(run.begun()),
        first: run.lowest(),
        last: run.highest(),
        missing: listed.saturating_add(numbers),
        gaps: run.gaps(time).map(gap).collect(),
        unlisted,
        not_judged: run.not_judged(),
    }
}
