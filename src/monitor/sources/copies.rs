//! Recognizes heartbeats that were sent again.
//!
//! A producer that sends each event at least once repeats its last heartbeats after a crash. A producer that is stuck
//! repeats them forever. A copy has the number and the time of the original, so it shows neither that the source is alive
//! nor that it started again. The time only identifies the heartbeat, so a wrong clock does not matter.

use std::collections::VecDeque;
use std::time::SystemTime;

/// The number of heartbeats of one source that are remembered.
const REMEMBERED: usize = 128;

/// The numbers and times of the last heartbeats of one source.
#[derive(Debug, Default)]
pub(super) struct Copies {
    seen: VecDeque<(u64, SystemTime)>,
}

impl Copies {
    /// Notes a heartbeat. Returns whether it is a copy of one that was noted before. If heartbeats with other numbers
    /// have the same time, the time identifies none of them, so none is a copy.
    pub(super) fn is_copy(&mut self, number: u64, sent_at: SystemTime) -> bool {
        if self.seen.contains(&(number, sent_at)) {
            return !self.seen.iter().any(|(other, at)| *at == sent_at && *other != number);
        }
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((number, sent_at));
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

    #[test]
    fn a_time_that_several_heartbeats_have_identifies_none_of_them() {
        let mut copies = Copies::default();
        for number in [1, 2, 3, 1, 2, 3, 1] {
            assert!(!copies.is_copy(number, SystemTime::UNIX_EPOCH), "{number}");
        }
    }
}
