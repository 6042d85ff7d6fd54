//! Declares metrics to the recorder, and keeps the list of what was declared.

use std::sync::Arc;

use metrics::{Gauge, Histogram, Key, KeyName, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::family::{Family, Level, METADATA, Member};
use super::fleeting::FleetingFamily;
use super::label_set::LabelSet;

/// The bucket bounds of the latency histograms, in seconds: fine around the usual few milliseconds, coarse up to the
/// minutes that a backlog takes. The latency objective is 3 seconds.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A declared metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The name of the metric.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
}

/// The recorder, and the metrics that were declared to it.
pub(super) struct Exposition {
    recorder: Arc<PrometheusRecorder>,
    declared: Vec<Declared>,
}

impl Exposition {
    pub(super) fn new() -> Self {
        let batch = Matcher::Full("protobridge_publish_batch_entries".into());
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS);
        let builder = builder.and_then(|b| b.set_buckets_for_metric(batch, &[1.0, 2.0, 4.0, 6.0, 8.0, 9.0, 10.0]));
        // Both calls fail only if the list of buckets is empty.
        let recorder = Arc::new(builder.unwrap_or_default().build_recorder());
        Self { recorder, declared: Vec::new() }
    }

    pub(super) fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }

    pub(super) fn declared(self) -> Vec<Declared> {
        self.declared
    }

    /// Declares counters, gauges or histograms of one name with different labels. None is shown before its first use.
    pub(super) fn family<L: LabelSet, M: Member>(&mut self, name: &'static str, help: &'static str) -> Family<L, M> {
        self.family_without(None, name, help)
    }

    /// Declares a family that never shows the label `hidden`, if one is given.
    pub(super) fn family_without<L: LabelSet, M: Member>(
        &mut self,
        hidden: Option<&str>,
        name: &'static str,
        help: &'static str,
    ) -> Family<L, M> {
        let labels = L::names().into_iter().filter(|name| Some(*name) != hidden).collect();
        self.declared.push(Declared { name, kind: M::KIND, labels });
        Family::new(&self.recorder, name, help)
    }

    /// Declares gauges whose members come and go. They never show the label `hidden`, if one is given.
    pub(super) fn fleeting<L: LabelSet>(
        &mut self,
        hidden: Option<&str>,
        name: &'static str,
        help: &'static str,
    ) -> FleetingFamily<L> {
        let labels = L::names().into_iter().filter(|name| Some(*name) != hidden).collect();
        self.declared.push(Declared { name, kind: "gauge", labels });
        FleetingFamily::new(name, help)
    }

    /// Declares a gauge without labels. It is shown from the start.
    pub(super) fn gauge(&mut self, name: &'static str, unit: Unit, help: &'static str) -> Gauge {
        self.declared.push(Declared { name, kind: "gauge", labels: Vec::new() });
        self.recorder.describe_gauge(KeyName::from(name), Some(unit), help.into());
        self.recorder.register_gauge(&Key::from_name(name), &METADATA)
    }

    /// Declares a gauge of whole numbers without labels, which the process can read back. It is shown from the start.
    pub(super) fn level(&mut self, name: &'static str, help: &'static str) -> Arc<Level> {
        self.declared.push(Declared { name, kind: Level::KIND, labels: Vec::new() });
        Level::describe(&self.recorder, name, help);
        Arc::new(Level::register(&self.recorder, &Key::from_name(name)))
    }

    /// Declares a histogram without labels. It is shown from the start.
    pub(super) fn histogram(&mut self, name: &'static str, unit: Unit, help: &'static str) -> Histogram {
        self.declared.push(Declared { name, kind: "histogram", labels: Vec::new() });
        self.recorder.describe_histogram(KeyName::from(name), Some(unit), help.into());
        self.recorder.register_histogram(&Key::from_name(name), &METADATA)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Metrics;

    /// Returns name, type and labels from each table row whose first cell is the name of a metric.
    fn documented() -> BTreeSet<(String, String, String)> {
        let rows = include_str!("../../docs/metrics.md").lines().filter(|line| line.starts_with("| `protobridge_"));
        let cells = |row: &str| row.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
        rows.map(cells).map(|cells| (cells[1].clone(), cells[2].clone(), cells[3].clone())).collect()
    }

    #[test]
    fn docs_metrics_md_lists_exactly_the_declared_metrics_with_their_types_and_labels() {
        let metrics = Metrics::new(true);
        let declared = metrics.declared().iter();
        let declared: BTreeSet<_> =
            declared.map(|m| (m.name.to_owned(), m.kind.to_owned(), m.labels.join(", "))).collect();
        assert!(declared.len() > 20);
        let documented = documented();
        let missing: Vec<_> = declared.difference(&documented).collect();
        let surplus: Vec<_> = documented.difference(&declared).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "docs/metrics.md differs from the code\nmissing in the page: {missing:#?}\nonly in the page: {surplus:#?}"
        );
    }
}
