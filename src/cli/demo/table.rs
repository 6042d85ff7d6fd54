//! The tables at the end, and the check that all counts agree.
//!
//! The check compares two accounts: the ledger of the demo, which knows what was sent and what was found at the
//! customers and in quarantine, and the metrics of the service.

mod sources;

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, Row, Table, presets};
use hdrhistogram::Histogram;

use super::ledger::{Delivery, HEARTBEATS, Tally, Totals};
use super::stage::CUSTOMERS;
use super::states::States;
use crate::message::OutcomeLabel;
use crate::telemetry::{CallResult, Metrics, Operation};
use sources::SourceAccount;

/// Both accounts.
#[derive(Debug)]
pub(super) struct Summary {
    demo: Totals,
    service: Service,
    /// The number of messages that are still on the input queue.
    left: u64,
    /// The number of messages that another process took from quarantine, such as `protobridge redrive`.
    gone: u64,
    /// Whether the user stopped the demo early, so that messages can be left on the queue.
    interrupted: bool,
}

/// The counts from the metrics of the service, and the sources from its page `/status`.
#[derive(Debug, Default)]
pub(super) struct Service {
    received: u64,
    published: u64,
    filtered: u64,
    quarantined: u64,
    /// The number of messages that were suppressed because every customer had the event already.
    duplicates: u64,
    /// The number of received messages that went back to the queue without a final outcome.
    retried: u64,
    /// The number of quarantined messages, by reason.
    reasons: BTreeMap<String, u64>,
    /// The number of entries that SNS confirmed, per customer.
    entries: [u64; CUSTOMERS.len()],
    calls: BTreeMap<Operation, Calls>,
    sources: Vec<SourceAccount>,
}

/// The calls of one operation.
#[derive(Debug, Default)]
struct Calls {
    made: u64,
    failed: u64,
}

impl Service {
    pub(super) fn new(metrics: &Metrics, states: &States) -> Self {
        let settled = |outcome| metrics.settled.sum_where(|labels| labels.outcome == outcome);
        Self {
            received: metrics.received.sum(),
            published: settled(OutcomeLabel::Published),
            filtered: settled(OutcomeLabel::Filtered),
            quarantined: settled(OutcomeLabel::Quarantined),
            duplicates: settled(OutcomeLabel::Duplicate),
            retried: settled(OutcomeLabel::Retried) + settled(OutcomeLabel::Abandoned),
            reasons: metrics.quarantined.sum_by(|labels| Some(labels.reason.code().to_owned())),
            entries: CUSTOMERS
                .each_ref()
                .map(|customer| metrics.published.sum_where(|labels| labels.customer.is(customer.id))),
            calls: calls(metrics),
            sources: sources::sources(metrics, states),
        }
    }
}

fn calls(metrics: &Metrics) -> BTreeMap<Operation, Calls> {
    let mut calls: BTreeMap<Operation, Calls> = BTreeMap::new();
    for ((operation, result), count) in metrics.calls.sum_by(|labels| Some((labels.operation, labels.result))) {
        let calls = calls.entry(operation).or_default();
        calls.made += count;
        if result == CallResult::Error {
            calls.failed += count;
        }
    }
    calls
}

impl Tally {
    /// The number of events with a final outcome.
    fn received(&self) -> u64 {
        self.sent - self.left - self.missing
    }

    fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            published: self.published + other.published,
            filtered: self.filtered + other.filtered,
            quarantined: self.quarantined + other.quarantined,
            left: self.left + other.left,
            missing: self.missing + other.missing,
        }
    }
}

impl Summary {
    pub(super) fn new(demo: Totals, service: Service, (left, gone): (u64, u64), interrupted: bool) -> Self {
        Self { demo, service, left, gone, interrupted }
    }

    /// Returns the number of messages that another process took from quarantine, if there are any. Their outcomes are
    /// not known here, so the two accounts cannot agree.
    pub(super) fn gone_from_quarantine(&self) -> Option<u64> {
        Some(self.gone).filter(|gone| *gone > 0)
    }

    fn total(&self) -> Tally {
        self.demo.tallies.iter().copied().fold(Tally::default(), Tally::plus)
    }

    /// Returns a description of every disagreement between the two accounts.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_events(&mut problems);
        self.check_service(&mut problems);
        self.check_heartbeats(&mut problems);
        problems
    }

    /// Checks that every event has exactly one outcome.
    fn check_events(&self, problems: &mut Vec<String>) {
        for (name, tally) in owners().zip(&self.demo.tallies) {
            let (received, Tally { published, filtered, quarantined, .. }) = (tally.received(), *tally);
            if received != published + filtered + quarantined {
                problems.push(format!(
                    "{name}: {received} received, but {published} published, {filtered} filtered and {quarantined} quarantined"
                ));
            }
        }
        let (total, left) = (self.total(), self.left);
        if total.missing > 0 {
            problems.push(format!("{} events have no outcome, or more than one", total.missing));
        }
        if left != total.left {
            problems.push(format!("the queue reports {left} messages, but {} were found on it", total.left));
        }
        if left > 0 && !self.interrupted {
            problems.push(format!("{left} messages are still on the queue"));
        }
    }

    /// Checks that the metrics of the service agree with the ledger of the demo.
    fn check_service(&self, problems: &mut Vec<String>) {
        let Self { demo, service, .. } = self;
        let Service { received, published, filtered, quarantined, duplicates, retried, .. } = *service;
        let total = self.total();
        if filtered != total.filtered {
            problems
                .push(format!("the service filtered {filtered} events, but should have filtered {}", total.filtered));
        }
        let (counted, found) = (&service.reasons, &demo.quarantine);
        if counted != found {
            problems.push(format!(
                "the service counts {counted:?} in quarantine, but the quarantine queue holds {found:?}"
            ));
        }
        for (index, delivery) in demo.deliveries.iter().enumerate() {
            let (confirmed, arrived) = (service.entries[index], delivery.arrived + delivery.duplicates);
            if confirmed != arrived {
                let name = CUSTOMERS[index].id;
                problems.push(format!("{name}: SNS confirmed {confirmed} entries, but {arrived} arrived"));
            }
        }
        let repeated = demo.repeated;
        if duplicates < repeated && !self.interrupted {
            problems.push(format!(
                "the producer sent {repeated} events twice, but the service suppressed {duplicates} messages as duplicates"
            ));
        }
        let settled = published + filtered + quarantined + duplicates;
        if received != settled + retried {
            problems
                .push(format!("the service received {received} messages, but settled {settled} and retried {retried}"));
        }
        let expected = total.received() + demo.foreign + duplicates;
        // An event that was published twice was also settled twice, so then the numbers differ.
        if settled != expected && demo.deliveries.iter().all(|delivery| delivery.duplicates == 0) {
            problems.push(format!("the service settled {settled} messages, but should have settled {expected}"));
        }
    }

    /// Checks that the service heard each heartbeat once, unless it could not recognize some or the user sent some.
    fn check_heartbeats(&self, problems: &mut Vec<String>) {
        let Tally { sent, quarantined, left, missing, .. } = self.demo.tallies[HEARTBEATS];
        let heard: u64 = self.service.sources.iter().map(|source| source.heartbeats).sum();
        if heard != sent && quarantined + left + missing + self.demo.foreign == 0 {
            problems.push(format!("the sources sent {sent} heartbeats, but the service heard {heard}"));
        }
    }

    /// Returns the tables and remarks as text.
    pub(super) fn render(&self, on_terminal: bool) -> String {
        let preset = if on_terminal { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING };
        let sources = sources::render(&self.service.sources, preset);
        let tables = [self.events(preset), self.deliveries(preset), sources, self.calls(preset)];
        let mut text = String::new();
        for (title, table) in ["Events", "Deliveries", "Sources", "AWS calls"].iter().zip(tables) {
            text.push_str(&format!("\n{title}\n{}\n", table.trim_fmt()));
        }
        let reasons = self.demo.quarantine.iter().map(|(reason, count)| format!("{reason} {count}"));
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        if !reasons.is_empty() {
            text.push_str(&format!("\nQuarantined: {reasons}\n"));
        }
        for remark in self.remarks() {
            text.push_str(&format!("{remark}\n"));
        }
        text
    }

    fn remarks(&self) -> Vec<String> {
        let Service { received, retried, .. } = self.service;
        let mut remarks = Vec::new();
        if retried > 0 {
            remarks.push(format!("{received} messages received, {retried} of them returned to the queue for a retry"));
        }
        if self.demo.foreign > 0 {
            remarks.push(format!("{} events came from another sender than the demo", self.demo.foreign));
        }
        if self.demo.replayed > 0 {
            remarks.push(format!("{} more deliveries came from replays", self.demo.replayed));
        }
        if self.left > 0 {
            remarks.push(format!("{} messages were left on the queue", self.left));
        }
        let (total, heartbeats) = (self.total(), self.demo.tallies[HEARTBEATS]);
        let seconds = self.demo.duration.as_secs_f64();
        if seconds > 0.0 {
            // Quarantined events do not count: those of unknown type wait for the grace period on purpose. Heartbeats
            // do not count either, because their number depends only on the time.
            let events = total.published + total.filtered - heartbeats.published - heartbeats.filtered;
            let rate = events as f64 / seconds;
            remarks.push(format!("{events} events published or filtered in {seconds:.1} s: {rate:.0} per second"));
        }
        remarks.extend(sources::remark(&self.service.sources));
        remarks
    }

    fn events(&self, preset: &str) -> Table {
        let mut table = table(preset, &["customer", "received", "published", "filtered", "quarantined"]);
        let row = |name: &str, tally: &Tally| {
            let counts = [tally.received(), tally.published, tally.filtered, tally.quarantined];
            row(name, counts.map(|count| count.to_string()))
        };
        for (name, tally) in owners().zip(&self.demo.tallies) {
            table.add_row(row(name, tally));
        }
        table.add_row(row("all", &self.total()));
        table
    }

    fn deliveries(&self, preset: &str) -> Table {
        let header = ["customer", "published", "arrived", "duplicates", "p50 ms", "p95 ms", "p99 ms", "max ms"];
        let mut table = table(preset, &header);
        let mut all: Option<Delivery> = None;
        for (index, delivery) in self.demo.deliveries.iter().enumerate() {
            table.add_row(delivery_row(CUSTOMERS[index].id, self.service.entries[index], delivery));
            match &mut all {
                None => all = Some(delivery.clone()),
                Some(all) => {
                    all.arrived += delivery.arrived;
                    all.duplicates += delivery.duplicates;
                    // Adding cannot fail, because both histograms have the same bounds.
                    let _added = all.latency.add(&delivery.latency);
                }
            }
        }
        if let Some(all) = all {
            table.add_row(delivery_row("all", self.service.entries.iter().sum(), &all));
        }
        table
    }

    fn calls(&self, preset: &str) -> Table {
        let mut table = table(preset, &["operation", "calls", "failed"]);
        for (operation, Calls { made, failed }) in &self.service.calls {
            let name = format!("{} {}", operation.service(), operation.name());
            table.add_row(row(&name, [made.to_string(), failed.to_string()]));
        }
        table
    }
}

/// The names of the owners, in the order of the tallies.
fn owners() -> impl Iterator<Item = &'static str> {
    CUSTOMERS.iter().map(|customer| customer.id).chain(["heartbeats"])
}

fn delivery_row(name: &str, confirmed: u64, delivery: &Delivery) -> Row {
    let Delivery { arrived, duplicates, latency } = delivery;
    let quantile = |q| millis(latency, latency.value_at_quantile(q));
    let cells = [
        confirmed.to_string(),
        arrived.to_string(),
        duplicates.to_string(),
        quantile(0.50),
        quantile(0.95),
        quantile(0.99),
        millis(latency, latency.max()),
    ];
    row(name, cells)
}

fn millis(latency: &Histogram<u64>, micros: u64) -> String {
    if latency.is_empty() { "-".to_owned() } else { format!("{:.1}", micros as f64 / 1000.0) }
}

fn table(preset: &str, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(preset).set_header(header.iter().map(Cell::new));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row<const N: usize>(name: &str, cells: [String; N]) -> Row {
    std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests;
