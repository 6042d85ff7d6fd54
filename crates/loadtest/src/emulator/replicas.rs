//! The deliveries that each replica of the service published, by the id of its access key.

use serde::{Deserialize, Serialize};

/// The figures of one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaStats {
    /// The id of its access key.
    pub(crate) name: String,
    /// The messages that SNS accepted from it, by the second since the start.
    pub(crate) by_second: Vec<u32>,
    /// The number of events that it was the first to publish.
    pub(crate) published: u64,
    /// The number of these events that were deleted.
    pub(crate) deleted: u64,
    /// The number of later arrivals of these events, from any replica.
    pub(crate) doubled: u64,
}

/// All replicas, in the order in which they published first.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    stats: Vec<ReplicaStats>,
    /// The replica that published an event first: its position plus one, or 0 if the event was not published.
    first: Vec<u8>,
}

impl Replicas {
    /// Creates the replicas of a run with this number of events. If there are none, nothing is recorded.
    pub(super) fn new(events: u64) -> Self {
        Self { stats: Vec::new(), first: vec![0; events as usize] }
    }

    /// Records that SNS accepted an event from a replica in this second since the start.
    pub(super) fn published(&mut self, name: &str, number: u64, second: usize) {
        let Some(first) = self.first.get_mut(number as usize) else { return };
        let known = self.stats.iter().position(|replica| replica.name == name);
        let index = known.unwrap_or_else(|| {
            self.stats.push(ReplicaStats { name: name.to_owned(), ..ReplicaStats::default() });
            self.stats.len() - 1
        });
        let by_second = &mut self.stats[index].by_second;
        if by_second.len() <= second {
            by_second.resize(second + 1, 0);
        }
        by_second[second] += 1;
        match first.checked_sub(1) {
            Some(first) => self.stats[usize::from(first)].doubled += 1,
            None => {
                *first = u8::try_from(index + 1).unwrap_or(u8::MAX);
                self.stats[index].published += 1;
            }
        }
    }

    /// Records that an event was deleted from the input queue.
    pub(super) fn deleted(&mut self, number: u64) {
        let first = self.first.get(number as usize).and_then(|first| first.checked_sub(1));
        if let Some(replica) = first.and_then(|first| self.stats.get_mut(usize::from(first))) {
            replica.deleted += 1;
        }
    }

    pub(super) fn stats(&self) -> Vec<ReplicaStats> {
        self.stats.clone()
    }
}

/// Returns the id of the access key in the header `Authorization` of a signed request.
pub(super) fn access_key(authorization: &str) -> &str {
    let credential = authorization.split_once("Credential=").map_or("", |(_, credential)| credential);
    credential.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_key_is_read_from_a_signature() {
        let signed = "AWS4-HMAC-SHA256 Credential=replica-2/20260101/eu-west-1/sns/aws4_request, SignedHeaders=host";
        assert_eq!([signed, "Basic x", ""].map(access_key), ["replica-2", "", ""]);
    }

    #[test]
    fn a_repeated_event_counts_for_the_replica_that_published_it_first() {
        let mut replicas = Replicas::new(3);
        replicas.published("a", 0, 0);
        replicas.published("b", 1, 2);
        replicas.published("b", 0, 2);
        replicas.deleted(0);
        // An event that no replica published, and one that does not exist.
        replicas.deleted(2);
        replicas.published("a", 9, 0);
        let [a, b] = replicas.stats().try_into().unwrap();
        assert_eq!((a.published, a.deleted, a.doubled, a.by_second), (1, 1, 1, vec![1]));
        assert_eq!((b.published, b.deleted, b.doubled, b.by_second), (1, 0, 0, vec![0, 0, 2]));
    }

    #[test]
    fn nothing_is_recorded_for_runs_that_do_not_ask_for_it() {
        let mut replicas = Replicas::new(0);
        replicas.published("a", 0, 0);
        assert_eq!(replicas.stats(), []);
    }
}
