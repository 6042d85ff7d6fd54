use std::time::Duration;

use super::*;
use crate::message::OutcomeLabel;

#[test]
fn a_counter_reads_back_and_is_rendered_with_its_labels() {
    let metrics = Metrics::new(false);
    let known = SettledLabels { queue: "orders", event_type: "shop.v1.OrderPlaced", outcome: OutcomeLabel::Published };
    metrics.settled.with(&known).add(2);
    metrics.settled.with(&known).add(1);
    let outcome = OutcomeLabel::Quarantined;
    metrics.settled.with(&SettledLabels { event_type: UNKNOWN_TYPE, outcome, ..known }).add(1);
    metrics.settled.with(&SettledLabels { outcome: OutcomeLabel::Retried, ..known });
    let published = metrics.settled.sum_where(|labels| labels.outcome == OutcomeLabel::Published);
    assert_eq!((metrics.settled.sum(), published), (4, 3));
    let by_outcome = metrics.settled.sum_by(|labels| Some(labels.outcome.code()));
    assert_eq!(by_outcome.into_iter().collect::<Vec<_>>(), [("published", 3), ("quarantined", 1)]);
    let text = metrics.render();
    let line =
        r#"protobridge_messages_settled_total{queue="orders",event_type="shop.v1.OrderPlaced",outcome="published"} 3"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains("# HELP protobridge_messages_settled_total"), "{text}");
}

#[test]
fn latency_has_a_bucket_at_the_objective_and_two_services_do_not_mix() {
    let (one, other) = (Metrics::new(false), Metrics::new(true));
    one.latency.with(&QueueLabels { queue: "orders" }).note(Duration::from_millis(2_900));
    one.latency.with(&QueueLabels { queue: "orders" }).note(Duration::from_millis(3_100));
    one.entry_published("a.B", Some("acme"));
    other.entry_published("a.B", Some("acme"));
    let within = r#"protobridge_event_latency_seconds_bucket{queue="orders",le="3"} 1"#;
    assert!(one.render().contains(within), "{}", one.render());
    assert_eq!(one.latency.sum(), 2);
    assert!(one.render().contains(r#"protobridge_entries_published_total{event_type="a.B"} 1"#));
    assert!(other.render().contains(r#"{event_type="a.B",customer="acme"} 1"#));
}
