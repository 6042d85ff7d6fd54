//! The judgment about a source: a pure function of times, so that tables and random cases can test it.

use std::time::Duration;

use tokio::time::Instant;

use crate::aws::sqs::receive::Proof;
use crate::telemetry::SourceState;

/// The signs of life of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When the source was alive for certain: when its last heartbeat reached the queue, by our clock.
    pub alive: Instant,
    /// The time between two heartbeats.
    pub interval: Duration,
    /// The number of intervals without a heartbeat after which the source is stale.
    pub limit: u32,
    /// When the last event of the source was received.
    pub last_event: Option<Instant>,
    /// When the first message after that reached the queue that was received, is not read yet, and can be a heartbeat.
    pub unread: Option<Instant>,
}

impl Heard {
    /// Returns the time without a heartbeat after which the source is stale.
    pub fn stale_after(&self) -> Duration {
        self.interval.saturating_mul(self.limit)
    }
}

/// The time by which a heartbeat can be late on its way to the queue. Together with it, the bound of three intervals
/// and one second holds for polls that wait for at most two intervals.
const JITTER: Duration = Duration::from_secs(1);
/// The age that a proof has at most while polls succeed: the longest wait of a poll, and the time of a call.
const LONGEST_POLL: Duration = Duration::from_secs(21);
/// The age beyond which a proof shows nothing about the present, unless the interval is longer.
const FRESH: Duration = Duration::from_secs(30);

/// Returns the state of a source. `proof` is the proof of the queues on which the source was heard.
///
/// The source is stale only if the queues prove that heartbeats are missing. A process that is behind, that cannot
/// receive or that cannot read what it received does not know.
pub fn judge(now: Instant, heard: Option<Heard>, proof: Proof) -> SourceState {
    let Some(heard) = heard else { return SourceState::Unknown };
    if proof.lag > heard.interval {
        return SourceState::Late;
    }
    let is_within = |at: Instant| now.saturating_duration_since(at) < heard.stale_after();
    if is_within(heard.alive) {
        let is_flowing = heard.last_event.is_some_and(is_within);
        return if is_flowing { SourceState::Flowing } else { SourceState::Quiet };
    }
    let since = |at: Instant| now.saturating_duration_since(at);
    let limits = (heard.interval, heard.stale_after());
    let age_of_unread = heard.unread.map(since);
    let is_missing =
        proof.proven_until.is_some_and(|until| is_proof(since(heard.alive), limits, (since(until), age_of_unread)));
    if is_missing { SourceState::Stale } else { SourceState::Late }
}

/// Whether a proof of this age shows that heartbeats are missing of a source that was alive `age` ago, with this interval
/// and this time after which it is stale: the proof reaches almost to the time at which the source is stale, and it is
/// recent. `unread` is the age of the oldest message that can be a heartbeat and is not read; nothing is known since
/// then, and such a message from before the source was stale can be a missing heartbeat.
pub fn is_proof(
    age: Duration,
    (interval, stale_after): (Duration, Duration),
    (proof_age, unread): (Duration, Option<Duration>),
) -> bool {
    let missing = (interval + JITTER).max(stale_after.saturating_sub(LONGEST_POLL));
    let known = proof_age.max(unread.unwrap_or_default());
    known + missing <= age
        && known <= FRESH.max(interval)
        && unread.is_none_or(|unread| unread <= age.saturating_sub(stale_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Judges a source with a limit of 3 that was alive `age` seconds ago. `event` is the age of its last event, `proven`
    /// the age of the proof, and `lag` that of the oldest message of late, all in seconds.
    fn judge_of(interval: u32, (age, event): (u64, Option<u64>), (proven, lag): (Option<u64>, u64)) -> SourceState {
        let now = Instant::now() + 100_000 * SECOND;
        let ago = |seconds: u64| now - Duration::from_secs(seconds);
        let (alive, interval, last_event) = (ago(age), interval * SECOND, event.map(ago));
        let heard = Heard { alive, interval, limit: 3, last_event, unread: None };
        let proof = Proof { proven_until: proven.map(ago), lag: Duration::from_secs(lag) };
        let state = judge(now, Some(heard), proof);
        // A message that is not read changes no state but one.
        let unread = judge(now, Some(Heard { unread: Some(alive + interval), ..heard }), proof);
        assert_eq!(unread, if state == SourceState::Stale { SourceState::Late } else { state });
        state
    }

    #[test]
    fn a_source_is_stale_only_if_a_heartbeat_is_proven_to_be_missing() {
        use SourceState::{Flowing, Late, Quiet, Stale};
        for (age, event, proven, lag, expected) in [
            (0, Some(0), Some(0), 0, Flowing),
            (29, Some(29), Some(0), 0, Flowing),
            (29, Some(30), Some(0), 0, Quiet),
            (9, None, None, 0, Quiet),
            (29, None, Some(0), 0, Quiet),
            (30, None, Some(0), 0, Stale),
            (30, Some(0), Some(19), 0, Stale),
            // Not even one heartbeat is proven to be missing: the polls fail, hang or are held back.
            (30, None, Some(20), 0, Late),
            (5_000, None, None, 0, Late),
            (5_000, None, Some(5_000), 0, Late),
            // Heartbeats were missing, but nothing has been known for a while.
            (5_000, None, Some(30), 0, Stale),
            (5_000, None, Some(31), 0, Late),
            // A backlog: what is received is older than the interval.
            (30, None, Some(0), 11, Late),
            (0, Some(0), Some(0), 11, Late),
            (0, Some(0), Some(0), 10, Flowing),
        ] {
            let found = judge_of(10, (age, event), (proven, lag));
            assert_eq!(found, expected, "age {age}, event {event:?}, proven {proven:?}, lag {lag}");
        }
        let proof = Proof { proven_until: Some(Instant::now()), lag: Duration::from_secs(900) };
        assert_eq!(judge(Instant::now(), None, proof), SourceState::Unknown);
    }

    #[test]
    fn a_heartbeat_that_is_late_by_seconds_and_polls_that_fail_after_it_make_no_source_stale() {
        // The heartbeat after 60 s came at 62 s, and the polls have failed since 61.5 s.
        assert_eq!(judge_of(60, (180, None), (Some(118), 0)), SourceState::Late);
        assert_eq!(judge_of(60, (180, None), (Some(22), 0)), SourceState::Late);
        assert_eq!(judge_of(60, (180, None), (Some(21), 0)), SourceState::Stale);
        assert_eq!(judge_of(60, (240, None), (Some(60), 0)), SourceState::Stale);
        assert_eq!(judge_of(60, (240, None), (Some(61), 0)), SourceState::Late);
    }

    #[test]
    fn a_message_that_is_not_read_can_be_a_missing_heartbeat_or_the_return_of_the_source() {
        let seconds = Duration::from_secs;
        for (age, interval, unread, expected) in [
            (40, 10, None, true),
            (40, 10, Some(10), true),
            (40, 10, Some(11), false),
            (400, 60, Some(60), true),
            // Nothing has been known for a while, although the message came after the source was stale.
            (400, 60, Some(61), false),
            (400, 10, Some(30), true),
            (400, 10, Some(31), false),
        ] {
            let limits = (seconds(interval), seconds(3 * interval));
            let found = is_proof(seconds(age), limits, (seconds(1), unread.map(seconds)));
            assert_eq!(found, expected, "age {age}, interval {interval}, unread {unread:?}");
        }
    }

    #[test]
    fn a_random_source_is_stale_exactly_if_a_heartbeat_could_not_have_been_missed() {
        let mut random = fastrand::Rng::with_seed(17);
        let mut stale = 0;
        for _ in 0..20_000 {
            let (age, proven, lag) = (random.u64(..120), random.u64(..120), random.u64(..25));
            let event = random.bool().then(|| random.u64(..120));
            let found = judge_of(10, (age, event), (Some(proven), lag));
            // The next heartbeat was due ten seconds after the last one, and can be a second late.
            let is_proven = age >= 30 && proven + 11 <= age && proven <= 30 && lag <= 10;
            assert_eq!(found == SourceState::Stale, is_proven, "age {age}, proven {proven}, lag {lag}");
            assert!(found != SourceState::Flowing || event.is_some_and(|event| event < 30) && age < 30);
            stale += usize::from(is_proven);
        }
        assert!((1_000..18_000).contains(&stale), "{stale} of 20000");
    }
}
