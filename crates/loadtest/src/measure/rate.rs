//! The rate of a drain without its last events.

use super::{Measured, Moment};
use crate::spec::Spec;

/// The share of the deliveries whose rate is measured.
const MOST: f64 = 0.9;

impl Measured {
    /// Returns the events per second until nine tenths of the deliveries had arrived. A call that was cut can delay a few
    /// of the others by a visibility timeout, which says nothing about the rate.
    pub(crate) fn per_second_of_most(&self, spec: &Spec) -> f64 {
        let arrived = &self.stats.arrived;
        let most = arrived.arrived as f64 * MOST;
        let end = (arrived.last_us / 1_000, arrived.arrived);
        let samples = self.moments.iter().map(|Moment { at_ms, arrived, .. }| (*at_ms, *arrived)).chain([end]);
        let mut before = (0, 0);
        for (at_ms, arrived) in samples {
            if arrived as f64 >= most && arrived > before.1 {
                let share = (most - before.1 as f64) / (arrived - before.1) as f64;
                let millis = before.0 as f64 + share * at_ms.saturating_sub(before.0) as f64;
                return most / f64::from(spec.customers_per_event()) / millis.max(1.0) * 1e3;
            }
            before = (at_ms, arrived);
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::stats::{ArrivalStats, Stats};

    #[test]
    fn the_last_tenth_of_the_events_does_not_slow_the_rate_down() {
        let moment = |(at_ms, arrived)| Moment { at_ms, arrived, on_queue: 0, rss_kib: 0, cpu_ms: 0 };
        let arrived = ArrivalStats { arrived: 1_000, last_us: 30_000_000, ..ArrivalStats::default() };
        let stats = Stats { arrived, ..Stats::default() };
        let moments = [(200, 400), (400, 800), (600, 980), (800, 990)].map(moment).into();
        let measured = Measured { stats, moments, ..Measured::default() };
        // 100 of the 180 events between 400 and 600 ms.
        let rate = measured.per_second_of_most(&Spec::default());
        assert!((rate - 900.0 / 0.511_111).abs() < 1.0, "{rate}");
        assert!((Measured { moments: Vec::new(), ..measured }.per_second_of_most(&Spec::default()) - 33.3).abs() < 0.1);
        assert_eq!(Measured::default().per_second_of_most(&Spec::default()), 0.0);
    }
}
