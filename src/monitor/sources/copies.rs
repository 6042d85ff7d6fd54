//! Recognizes heartbeats that were sent again.
//!
//! A producer that sends each event at least once repeats its last heartbeats after a crash. A producer that is stuck
//! repeats them forever. A copy has the number and the time of the original, so it shows neither that the source is alive
//! nor that it started again. The time only identifies the heartbeat, so a wrong clock does not matter.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::time::SystemTime;

use foldhash::quality::FixedState;

/// The number of heartbeats of one source that are remembered.
const REMEMBERED: usize = 128;

/// The last heartbeats of one source, by the hashes of their numbers and times.
#[derive(Debug, Default)]
pub(super) struct Copies {
    seen: VecDeque<u64>,
}

impl Copies {
    /// Notes a heartbeat. Returns whether it is a copy of one that was noted before.
    pub(super) fn is_copy(&mut self, number: u64, sent_at: SystemTime) -> bool {
        let hash = FixedState::default().hash_one((number, sent_at));
        if self.seen.contains(&hash) {
            return true;
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(hash);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_copy_has_the_number_and_the_time_of_one_of_the_last_heartbeats() {
        let mut copies = Copies::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for number in 0..1_000 {
            assert!(!copies.is_copy(number, at(number)), "{number}");
        }
        assert!((900..1_000).all(|number| copies.is_copy(number, at(number))));
        assert!(!copies.is_copy(999, at(1_000)) && !copies.is_copy(1_000, at(999)));
        assert!(!copies.is_copy(1, at(1)) && copies.seen.len() == REMEMBERED);
    }
}
