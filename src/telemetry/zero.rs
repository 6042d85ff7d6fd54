//! Shows counters at 0 before they count anything.
//!
//! To Prometheus, a counter that appears with its first event has never increased: `rate()` and `increase()` miss that
//! event, and an alert on it stays silent. Each counter that alerts use therefore starts at 0, if its labels are known
//! beforehand.

use protojson::Rule;

use super::labels::{
    BreakingChangeLabels, DomainKind, DropReason, DroppedRowsLabels, OutageLabels, PollLabels, PollResult,
    QuarantinedLabels, QueueLabels, ReloadLabels, ReloadResult, ReloadSubject, RetriedLabels, SettledLabels, StoreCall,
    StoreErrorCode, StoreErrorLabels,
};
use super::{Metrics, NoLabels, UNKNOWN_TYPE};
use crate::message::{OutcomeLabel, QuarantineKind, RetryCause};

impl Metrics {
    /// Shows the counters of these queues, which are given by their names in metrics, and the counters without a queue.
    pub fn start_at_zero<'q>(&self, queues: impl IntoIterator<Item = &'q str>) {
        for queue in queues {
            let labels = QueueLabels { queue };
            self.received.with(&labels);
            self.stale_receipts.with(&labels);
            self.oldest_message.with(&labels);
            self.parked.with(&labels);
            self.latency.with(&labels);
            for result in PollResult::ALL.iter().copied() {
                self.polls.with(&PollLabels { queue, result });
            }
            for reason in QuarantineKind::ALL {
                self.quarantined.with(&QuarantinedLabels { queue, reason });
            }
            for cause in RetryCause::ALL {
                self.retried.with(&RetriedLabels { queue, cause });
            }
            for outcome in OutcomeLabel::ALL {
                self.settled.with(&SettledLabels { queue, event_type: UNKNOWN_TYPE, outcome });
            }
        }
        for (domain, name) in [(DomainKind::Account, "sns"), (DomainKind::SchemaRegistry, "confluent")] {
            self.outages.with(&OutageLabels { domain, name }).set(0);
        }
        for what in ReloadSubject::ALL.iter().copied() {
            // A reload that is `unsettled` raises no alert.
            for result in [ReloadResult::Admitted, ReloadResult::Refused, ReloadResult::Unreadable] {
                self.reloads.with(&ReloadLabels { what, result });
            }
        }
        for rule in Rule::ALL.iter().copied().filter(|rule| rule.is_breaking()) {
            self.breaking_changes.with(&BreakingChangeLabels { rule });
        }
    }

    /// Shows the metrics of a journal that has no row yet. A process without a journal does not show them.
    pub fn start_journal_at_zero(&self) {
        self.journal_rows.with(&NoLabels);
        self.journal_segments.with(&NoLabels);
        self.journal_unstored.with(&NoLabels).set(0);
        self.journal_oldest_unstored.with(&NoLabels).set(0);
        for reason in DropReason::ALL.iter().copied() {
            self.journal_dropped.with(&DroppedRowsLabels { reason });
        }
        self.start_store_at_zero();
    }

    /// Shows the metrics of an archive that has no message yet. A process without an archive does not show them.
    pub fn start_archive_at_zero<'q>(&self, queues: impl IntoIterator<Item = &'q str>) {
        for queue in queues {
            self.archive_messages.with(&QueueLabels { queue });
            self.archive_gaps.with(&QueueLabels { queue });
        }
        self.archive_bytes.with(&NoLabels);
        self.archive_segments.with(&NoLabels);
        self.archive_oldest_unstored.with(&NoLabels).set(0);
        self.archive_held.with(&NoLabels).set(0);
        self.start_store_at_zero();
    }

    fn start_store_at_zero(&self) {
        for code in StoreErrorCode::ALL.iter().copied() {
            self.store_errors.with(&StoreErrorLabels { operation: StoreCall::Put, code });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_alerts_use_are_shown_before_the_first_event() {
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
            r#"protobridge_outage{domain="account",name="sns"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_metrics_of_the_journal_are_shown_only_once_there_is_a_journal() {
        let metrics = Metrics::new(false);
        metrics.start_at_zero(["orders"]);
        assert!(!metrics.render().contains("protobridge_journal_"), "{}", metrics.render());
        metrics.start_journal_at_zero();
        let text = metrics.render();
        for line in [
            "protobridge_journal_rows_total 0",
            "protobridge_journal_segments_total 0",
            "protobridge_journal_unstored_rows 0",
            "protobridge_journal_oldest_unstored_seconds 0",
            r#"protobridge_journal_rows_dropped_total{reason="full"} 0"#,
            r#"protobridge_journal_rows_dropped_total{reason="store"} 0"#,
            r#"protobridge_store_errors_total{operation="put",code="denied"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
