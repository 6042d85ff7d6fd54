//! A killed replica, and the duplicates that its death explains.

use serde::{Deserialize, Serialize};

use crate::emulator::stats::Stats;

/// A replica that was killed during the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kill {
    pub(crate) replica: String,
    /// When it died, in milliseconds since the start.
    pub(crate) at_ms: u64,
    /// The number of events that it had published and not deleted. Only these can arrive twice because of the kill:
    /// their messages return to the queue, and the note that they were published can be lost. `None` until the emulator
    /// has answered the calls that were under way.
    pub(crate) in_flight: Option<u64>,
    /// The duplicates before the kill, which it does not explain.
    #[serde(default)]
    pub(crate) doubled_before: u64,
}

impl Kill {
    /// Notes what the replica had in flight, once.
    pub(crate) fn note(&mut self, stats: &Stats) {
        if self.in_flight.is_none() {
            let replica = stats.replicas.iter().find(|replica| replica.name == self.replica);
            self.in_flight = Some(replica.map_or(0, |replica| replica.published - replica.deleted));
            self.doubled_before = replica.map_or(0, |replica| replica.doubled);
        }
    }

    /// Returns the number of duplicates that the kill explains: those of events that the killed replica published
    /// first, and no more than it had in flight.
    pub(crate) fn explained(&self, stats: &Stats) -> u64 {
        let replica = stats.replicas.iter().find(|replica| replica.name == self.replica);
        let doubled = replica.map_or(0, |replica| replica.doubled.saturating_sub(self.doubled_before));
        doubled.min(self.in_flight.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::replicas::ReplicaStats;

    fn stats(published: u64, deleted: u64, doubled: u64) -> Stats {
        let replica = |name: &str, doubled| ReplicaStats {
            name: name.to_owned(),
            published,
            deleted,
            doubled,
            ..ReplicaStats::default()
        };
        Stats { replicas: vec![replica("replica-1", doubled), replica("replica-2", 5)], ..Stats::default() }
    }

    #[test]
    fn a_kill_explains_no_more_duplicates_than_were_in_flight_at_the_killed_replica() {
        let mut kill = Kill { replica: "replica-1".to_owned(), at_ms: 6_000, in_flight: None, doubled_before: 0 };
        assert_eq!(kill.explained(&stats(100, 70, 3)), 0, "nothing is known yet");
        kill.note(&stats(100, 70, 2));
        kill.note(&stats(100, 100, 3));
        assert_eq!(kill.in_flight, Some(30), "as it was at the kill");
        assert_eq!([2, 5, 32, 33].map(|doubled| kill.explained(&stats(100, 100, doubled))), [0, 3, 30, 30]);
    }
}
