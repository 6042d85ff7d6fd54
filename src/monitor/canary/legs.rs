//! The legs of a round trip, from the times that three clocks state.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Differences below this are the resolution of the clocks, and no skew.
const RESOLUTION: Duration = Duration::from_millis(100);

/// The two legs of one round trip. A leg is `None` if a time that it needs is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Legs {
    /// From the prober to the topic: the input queue and the service. Ends by the clock of SNS.
    pub inward: Option<Duration>,
    /// From the topic to the return queue. Begins by the clock of SNS and ends by that of SQS.
    pub outward: Option<Duration>,
    /// The skew of the clocks, if a leg shows one.
    pub skew: Option<Skew>,
}

/// How far two clocks are apart at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// The prober's clock is ahead of that of SNS by at least this time, because the leg `in` is negative.
    ProberAhead(Duration),
    /// The prober's clock is behind that of SNS by at least this time, because the leg `in` exceeds the round trip.
    ProberBehind(Duration),
    /// The clock of SNS is ahead of that of SQS by at least this time, because the leg `out` is negative.
    TopicAhead(Duration),
}

/// Displays a sentence without a full stop.
impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (difference, apart) = match self {
            Self::ProberAhead(apart) => ("the prober's clock is ahead of that of SNS", apart),
            Self::ProberBehind(apart) => ("the prober's clock is behind that of SNS", apart),
            Self::TopicAhead(apart) => ("the clock of SNS is ahead of that of SQS", apart),
        };
        write!(f, "{difference} by at least {:.1} s", apart.as_secs_f64())
    }
}

impl Legs {
    /// Computes the legs. `published` is the time of the notification, `arrived` the time at which the return queue got
    /// it, and `total` the round trip by the prober's monotonic clock. A negative leg counts as zero, and no leg
    /// exceeds the round trip.
    pub fn new(
        sent_at: SystemTime,
        published: Option<SystemTime>,
        arrived: Option<SystemTime>,
        total: Option<Duration>,
    ) -> Self {
        let Some(published) = published else { return Self::default() };
        let mut skew = None;
        let mut leg = |from: SystemTime, to: SystemTime, of_negative: fn(Duration) -> Skew| {
            to.duration_since(from).unwrap_or_else(|negative| {
                skew = skew.or_else(|| (negative.duration() > RESOLUTION).then(|| of_negative(negative.duration())));
                Duration::ZERO
            })
        };
        let inward = leg(sent_at, published, Skew::ProberAhead);
        let outward = arrived.map(|arrived| leg(published, arrived, Skew::TopicAhead));
        let most = total.unwrap_or(Duration::MAX);
        if skew.is_none() && inward > most.saturating_add(RESOLUTION) {
            skew = Some(Skew::ProberBehind(inward - most));
        }
        Self { inward: Some(inward.min(most)), outward: outward.map(|outward| outward.min(most)), skew }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + ms(1_000_000_000) + ms(millis)
    }

    #[test]
    fn legs_are_never_negative_and_skew_names_the_clocks() {
        // Each: sent, published, arrived, total; the legs in and out, and the skew.
        let cases = [
            ((0, 300, 340, 350), (300, 40, None)),
            // The notification is older than the canary: the prober's clock is ahead.
            ((5_000, 300, 340, 350), (0, 40, Some(Skew::ProberAhead(ms(4_700))))),
            // The leg is longer than the whole: the prober's clock is behind.
            ((0, 300_300, 300_340, 350), (350, 40, Some(Skew::ProberBehind(ms(299_950))))),
            ((0, 300, 100, 350), (300, 0, Some(Skew::TopicAhead(ms(200))))),
            // The times have a resolution of a millisecond, and clocks of hosts differ by a few.
            ((4, 2, 1, 20), (0, 0, None)),
        ];
        for ((sent, published, arrived, total), (inward, outward, skew)) in cases {
            let legs = Legs::new(at(sent), Some(at(published)), Some(at(arrived)), Some(ms(total)));
            assert_eq!(legs, Legs { inward: Some(ms(inward)), outward: Some(ms(outward)), skew }, "{sent} {published}");
        }
    }

    #[test]
    fn the_text_of_a_skew_names_both_clocks_and_the_seconds() {
        let text = Skew::ProberAhead(ms(4_720)).to_string();
        assert_eq!(text, "the prober's clock is ahead of that of SNS by at least 4.7 s");
    }

    #[test]
    fn a_leg_without_its_times_is_unknown() {
        assert_eq!(Legs::new(at(0), None, Some(at(1)), Some(ms(1))), Legs::default());
        let legs = Legs::new(at(0), Some(at(9)), None, None);
        assert_eq!((legs.inward, legs.outward, legs.skew), (Some(ms(9)), None, None));
    }
}
