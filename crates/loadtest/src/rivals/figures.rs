//! The figures of one run, and what several runs say together.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::Measured;
use crate::spec::Spec;

/// The figures of one run of a contestant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The CPU time of all processes of the contestant, user and system.
    pub(crate) cpu_us_per_event: f64,
    pub(crate) events_per_second: f64,
    pub(crate) peak_mib: f64,
    pub(crate) calls_per_event: f64,
    /// From the first receive of an event to its arrival.
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    /// The deliveries that did not arrive, those of quarantined events included, or that went to a wrong customer.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    /// The number of events whose JSON has not the expected value.
    pub(crate) wrong: u64,
    /// The CPU time of the emulator, which shares the cores with the contestant.
    pub(crate) emulator_cpu_us_per_event: f64,
}

impl Figures {
    pub(crate) fn new(spec: &Spec, measured: &Measured) -> Self {
        let in_service = measured.stats.arrived.in_service;
        Self {
            cpu_us_per_event: measured.cpu_us(spec),
            events_per_second: measured.per_second(spec),
            peak_mib: measured.peak_rss_kib as f64 / 1024.0,
            calls_per_event: measured.calls(spec).unwrap_or_default(),
            p50_ms: in_service.p50,
            p95_ms: in_service.p95,
            lost: measured.lost(spec) + measured.after.arrived.astray + measured.after.arrived.quarantined,
            duplicated: measured.after.arrived.doubled,
            wrong: measured.after.arrived.altered,
            emulator_cpu_us_per_event: measured.emulator_cpu_ms as f64 * 1e3 / measured.events(spec).max(1.0),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_us_per_event: cpu, events_per_second: rate, peak_mib: mib, calls_per_event: calls, .. } = self;
        write!(f, "{cpu:.1} µs, {rate:.0} events/s, {mib:.0} MiB, {calls:.2} calls, p95 {:.1} ms", self.p95_ms)?;
        if (self.lost, self.duplicated, self.wrong) != (0, 0, 0) {
            write!(f, ", {} lost, {} duplicates, {} wrong", self.lost, self.duplicated, self.wrong)?;
        }
        Ok(())
    }
}

/// The median and the range of a figure over all runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Returns `None` if there are no runs.
    pub(crate) fn of(runs: &[Figures], figure: impl Fn(&Figures) -> f64) -> Option<Self> {
        let mut values: Vec<f64> = runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median, least, most })
    }

    /// Returns the median with the range in parentheses, or the median alone if all runs look the same.
    pub(crate) fn text(self, decimals: usize) -> String {
        let text = |value: f64| format!("{value:.decimals$}");
        let [median, least, most] = [self.median, self.least, self.most].map(text);
        if least == most { median } else { format!("{median} ({least}–{most})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(cpu: &[f64]) -> Vec<Figures> {
        cpu.iter().map(|cpu| Figures { cpu_us_per_event: *cpu, ..Figures::default() }).collect()
    }

    fn spread(cpu: &[f64]) -> Option<Spread> {
        Spread::of(&runs(cpu), |figures| figures.cpu_us_per_event)
    }

    #[test]
    fn a_quarantined_event_is_lost() {
        let mut measured = Measured::default();
        measured.after.sent = 5;
        measured.after.arrived.arrived = 4;
        measured.after.arrived.quarantined = 1;
        assert_eq!(Figures::new(&Spec::default(), &measured).lost, 1);
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_runs() {
        assert_eq!(spread(&[9.0, 1.0, 5.0]), Some(Spread { median: 5.0, least: 1.0, most: 9.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, most: 9.0 }));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn the_text_has_the_range_unless_it_is_a_point() {
        assert_eq!(spread(&[44.4, 41.0, 47.2]).unwrap().text(0), "44 (41–47)");
        assert_eq!(spread(&[0.3, 0.3001]).unwrap().text(2), "0.30");
    }
}
