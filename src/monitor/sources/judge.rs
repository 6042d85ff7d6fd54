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

/// Returns the state of a source. `proof` is the proof of the queues on which the source was heard.
///
/// The source is stale only if the queues prove that at least one heartbeat is missing. A process that is behind, or
/// that cannot receive, does not know.
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
    let is_missing = proof.proven_until.is_some_and(|until| until >= heard.alive + heard.interval + JITTER);
    if is_missing { SourceState::Stale } else { SourceState::Late }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Judges a source with an interval of 10 s and a limit of 3 that was alive `age` seconds ago. `event` is the age
    /// of its last event, `proven` the age of the proof, and `lag` that of the oldest message of late, all in seconds.
    fn state(age: u64, event: Option<u64>, proven: Option<u64>, lag: u64) -> SourceState {
        let now = Instant::now() + 100_000 * SECOND;
        let ago = |seconds| now - seconds * SECOND as Duration;
        let ago = |seconds: u64| ago(u32::try_from(seconds).unwrap());
        let heard = Heard { alive: ago(age), interval: 10 * SECOND, limit: 3, last_event: event.map(ago) };
        judge(now, Some(heard), Proof { proven_until: proven.map(ago), lag: Duration::from_secs(lag) })
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
            // A backlog: what is received is older than the interval.
            (30, None, Some(0), 11, Late),
            (0, Some(0), Some(0), 11, Late),
            (0, Some(0), Some(0), 10, Flowing),
        ] {
            let found = state(age, event, proven, lag);
            assert_eq!(found, expected, "age {age}, event {event:?}, proven {proven:?}, lag {lag}");
        }
        let proof = Proof { proven_until: Some(Instant::now()), lag: Duration::from_secs(900) };
        assert_eq!(judge(Instant::now(), None, proof), SourceState::Unknown);
    }

    #[test]
    fn a_random_source_is_stale_exactly_if_a_heartbeat_could_not_have_been_missed() {
        let mut random = fastrand::Rng::with_seed(17);
        let mut stale = 0;
        for _ in 0..20_000 {
            let (age, proven, lag) = (random.u64(..120), random.u64(..120), random.u64(..25));
            let event = random.bool().then(|| random.u64(..120));
            let found = state(age, event, Some(proven), lag);
            // The next heartbeat was due ten seconds after the last one, and can be a second late.
            let is_proven = age >= 30 && proven + 11 <= age && lag <= 10;
            assert_eq!(found == SourceState::Stale, is_proven, "age {age}, proven {proven}, lag {lag}");
            assert!(found != SourceState::Flowing || event.is_some_and(|event| event < 30) && age < 30);
            stale += usize::from(is_proven);
        }
        assert!((2_000..18_000).contains(&stale), "{stale} of 20000");
    }
}
