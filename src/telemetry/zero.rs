//! Series that are there before they count anything.
//!
//! To Prometheus a counter that appears with its first event has never increased: `rate()` and `increase()` miss that
//! event, and an alert on it stays silent. So what alerts look at, and has labels that are known beforehand, starts at 0.

use protojson::Rule;

use super::Metrics;
use super::UNKNOWN_TYPE;
use crate::message::{OutcomeLabel, QuarantineKind, RetryCause};

impl Metrics {
    /// Shows the counters of these queues, by their names in metrics, and what is counted over all queues.
    pub fn start_at_zero<'q>(&self, queues: impl IntoIterator<Item = &'q str>) {
        for queue in queues {
            self.received.with(&[queue]);
            self.stale_receipts.with(&[queue]);
            self.oldest_message.with(&[queue]);
            self.latency.with(&[queue]);
            for result in ["messages", "empty", "error"] {
                self.polls.with(&[queue, result]);
            }
            for reason in QuarantineKind::ALL {
                self.quarantined.with(&[queue, reason.code()]);
            }
            for cause in RetryCause::ALL {
                self.retried.with(&[queue, cause.code()]);
            }
            for outcome in OutcomeLabel::ALL {
                self.settled.with(&[queue, UNKNOWN_TYPE, outcome.code()]);
            }
        }
        for result in ["admitted", "refused", "unreadable"] {
            self.reloads.with(&["descriptors", result]);
            self.reloads.with(&["customers", result]);
        }
        for rule in Rule::ALL {
            self.breaking_changes.with(&[rule.code()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alerts_look_at_is_shown_before_the_first_event() {
        let metrics = Metrics::new(false);
        metrics.start_at_zero(["orders"]);
        let text = metrics.render();
        for line in [
            r#"protobridge_messages_received_total{queue="orders"} 0"#,
            r#"protobridge_polls_total{queue="orders",result="error"} 0"#,
            r#"protobridge_messages_quarantined_total{queue="orders",reason="too_large"} 0"#,
            r#"protobridge_messages_retried_total{queue="orders",cause="unknown_type"} 0"#,
            r#"protobridge_messages_settled_total{queue="orders",event_type="unknown",outcome="quarantined"} 0"#,
            r#"protobridge_descriptor_breaking_changes_total{rule="field_removed"} 0"#,
            r#"protobridge_event_latency_seconds_count{queue="orders"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
