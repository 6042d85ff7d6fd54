//! Gauges whose members come and go, such as those of throttled topics.
//!
//! The recorder keeps a member for good once it is registered. The members of a [`FleetingFamily`] are therefore set all
//! together, and are rendered by a recorder of their own.

use std::fmt;
use std::marker::PhantomData;

use metrics::{Key, KeyName, Label, Recorder as _, Unit};
use metrics_exporter_prometheus::PrometheusBuilder;
use parking_lot::Mutex;

use super::family::METADATA;
use super::label_set::LabelSet;

/// Gauges of one name. Each member has its own values of the labels `L`, until the next [`set`](Self::set).
pub struct FleetingFamily<L> {
    name: &'static str,
    help: &'static str,
    text: Mutex<String>,
    labels: PhantomData<fn() -> L>,
}

impl<L: LabelSet> fmt::Debug for FleetingFamily<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.text.lock())
    }
}

impl<L: LabelSet> FleetingFamily<L> {
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, text: Mutex::default(), labels: PhantomData }
    }

    /// Replaces all members.
    pub fn set<'v>(&self, members: impl IntoIterator<Item = (L::With<'v>, f64)>) {
        let mut members = members.into_iter().peekable();
        if members.peek().is_none() {
            return self.text.lock().clear();
        }
        let recorder = PrometheusBuilder::new().build_recorder();
        recorder.describe_gauge(KeyName::from(self.name), Some(Unit::Count), self.help.into());
        for (labels, value) in members {
            let mut shown = Vec::new();
            L::each(labels, |name, value| shown.push(Label::new(name, value.to_owned())));
            recorder.register_gauge(&Key::from_parts(self.name, shown), &METADATA).set(value);
        }
        *self.text.lock() = recorder.handle().render();
    }

    /// Appends the members in the Prometheus text format.
    pub(super) fn render(&self, text: &mut String) {
        text.push_str(&self.text.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::super::labels::TopicLabels;

    #[test]
    fn a_gauge_of_a_throttled_topic_is_shown_only_while_it_is_set() {
        let metrics = Metrics::new(true);
        let is_shown = |line: &str| metrics.render().lines().any(|shown| shown == line);
        let line = |topic: &str, limit: u32| {
            format!(
                "protobridge_publish_topic_limit_messages_per_second{{topic=\"{topic}\",customer=\"acme\"}} {limit}"
            )
        };
        let labels = |topic| TopicLabels { topic, customer: metrics.customer(Some("acme")) };
        metrics.publish_topic_limits.set([(labels("one"), 10.0), (labels("two"), 20.0)]);
        assert!(is_shown(&line("one", 10)) && is_shown(&line("two", 20)), "{}", metrics.render());
        metrics.publish_topic_limits.set([(labels("two"), 30.0)]);
        assert!(!metrics.render().contains("\"one\"") && is_shown(&line("two", 30)), "{}", metrics.render());
        metrics.publish_topic_limits.set([]);
        assert!(!metrics.render().contains("topic_limit"), "{}", metrics.render());
    }
}
