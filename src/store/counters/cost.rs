//! The cost report: what the counted calls cost, by customer, event type or operation.
//!
//! Money follows from the counted units and the configured prices. Each sum has two [`Readings`], because AWS does not
//! document whether it rounds a batch up to 64 KiB in total or by entry. Nothing is read here, and there is no clock.
//!
//! - **SNS**: a customer's calls are its own, because a call publishes to one topic. The units of an event type are its
//!   share, by bytes, of the units of its calls.
//! - **SQS**: receiving, deleting and changing visibility serve all customers. Their cost is shared in proportion to the
//!   deliveries. Empty receives and quarantine are rows of their own.
//! - **Store**: one PUT per object of the window, and its storage for as long as objects are kept.
//!
//! Failed calls have no units: AWS does not document whether it bills a throttled call. The report counts them.

mod shares;
#[cfg(test)]
mod tests;
pub mod what_if;

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Range};

use serde::Serialize;

use super::coverage::{Coverage, in_window};
use super::{Calls, Minute};
use crate::config::Prices;
use what_if::WhatIfs;

/// What the rows of the report are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A row for each customer.
    Customer,
    /// A row for each event type.
    Type,
    /// A row for each operation of AWS.
    Operation,
}

/// What the report depends on, apart from the counters.
#[derive(Debug, Clone)]
pub struct Basis<'b> {
    /// What the rows are.
    pub by: By,
    /// The prices of AWS.
    pub prices: &'b Prices,
    /// `publish.linger_ms`, for the estimate of a longer one.
    pub linger_ms: u64,
    /// `publish.max_batch_bytes`, for the same estimate.
    pub max_batch_bytes: usize,
    /// The objects of a store in S3; `None` for a folder, which costs no request.
    pub stored: Option<Stored>,
}

/// The objects that were written to S3 in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The number of objects. Each was one PUT; repeated PUTs are unknown.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The time for which they are kept, in days.
    pub kept_days: u32,
}

/// A sum in both readings of how AWS rounds batches up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Readings {
    /// If a call is rounded up in total. It is the lower bound.
    pub per_call: f64,
    /// If each entry is rounded up. It is the upper bound.
    pub per_entry: f64,
}

/// The cost of the calls in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What the rows are.
    pub by: By,
    /// The counted time.
    pub coverage: Coverage,
    /// The day of the prices.
    pub prices_as_of: String,
    /// The currency of all money.
    pub currency: String,
    /// The rows, the most expensive first; then those that belong to none of them.
    pub rows: Vec<Row>,
    /// The sum of the rows.
    pub total: Row,
    /// The calls that failed as a whole. They are in no row.
    pub failed_calls: u64,
    /// The calls among these that SNS throttled.
    pub throttled_calls: u64,
    /// The estimates.
    pub what_if: WhatIfs,
}

/// A row of the report. What is not known for the row is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// The customer, the event type or the operation; a description in parentheses for other rows.
    pub name: String,
    /// The calls that were answered.
    pub calls: Option<u64>,
    /// The published messages.
    pub events: Option<u64>,
    /// The entries that SNS confirmed.
    pub deliveries: Option<u64>,
    /// The billed requests: of SNS, or of the operation.
    pub units: Option<Readings>,
    /// The money for SQS: the share of the row.
    pub sqs: Option<Readings>,
    /// The objects that were written to S3.
    pub objects: Option<u64>,
    /// The money for everything.
    pub money: Readings,
    /// The money per million deliveries.
    pub money_per_million: Option<Readings>,
    /// The mean number of entries per call to PublishBatch, of ten.
    pub batch_fill: Option<f64>,
}

/// Reports the cost of the minutes that begin in the window. Without such a minute it returns `None`.
pub fn report(minutes: &[Minute], window: Range<i64>, basis: &Basis<'_>) -> Option<Report> {
    let (minutes, coverage) = in_window(minutes, window)?;
    let mut rows = match basis.by {
        By::Customer => shares::by_customer(&minutes, basis.prices),
        By::Type => shares::by_type(&minutes, basis.prices),
        By::Operation => shares::by_operation(&minutes, basis.prices),
    };
    rows.extend(basis.stored.map(|stored| stored.row(basis.prices)));
    for row in &mut rows {
        row.money_per_million = per_million(row.money, row.deliveries);
    }
    let total = total(&minutes, &rows, basis.by);
    let calls = || minutes.iter().flat_map(|minute| &minute.calls);
    Some(Report {
        by: basis.by,
        prices_as_of: basis.prices.as_of.clone(),
        currency: basis.prices.currency.clone(),
        failed_calls: calls().map(|calls| calls.failed).sum(),
        throttled_calls: calls().map(|calls| calls.throttled).sum(),
        what_if: WhatIfs::of(&minutes, basis, total.money),
        coverage,
        rows,
        total,
    })
}

impl Stored {
    /// Returns the row of the store: a PUT per object, and the storage of their bytes for as long as they are kept. A
    /// month has 30 days.
    fn row(self, prices: &Prices) -> Row {
        let puts = self.objects as f64 / 1e3 * prices.s3_put_thousand;
        let storage = self.bytes as f64 / GB * prices.s3_gb_month * f64::from(self.kept_days) / 30.0;
        let name = "(store)".to_owned();
        Row { name, objects: Some(self.objects), money: Readings::both(puts + storage), ..Row::default() }
    }
}

/// Returns the sum of the rows. Events, deliveries and the fill are those of all minutes.
fn total(minutes: &[&Minute], rows: &[Row], by: By) -> Row {
    let published = || minutes.iter().flat_map(|minute| &minute.published);
    let deliveries = published().map(|published| published.entries).sum();
    let money = rows.iter().map(|row| row.money).sum();
    let units = rows.iter().filter_map(|row| row.units).reduce(Readings::add);
    let by_operation = by == By::Operation;
    Row {
        name: "total".into(),
        calls: by_operation.then(|| rows.iter().filter_map(|row| row.calls).sum()),
        events: (!by_operation).then(|| events(minutes, None)),
        deliveries: (!by_operation).then_some(deliveries),
        units: units.filter(|_| !by_operation),
        sqs: rows.iter().filter_map(|row| row.sqs).reduce(Readings::add),
        objects: rows.iter().filter_map(|row| row.objects).reduce(u64::add),
        money,
        money_per_million: per_million(money, Some(deliveries)),
        batch_fill: fill(minutes.iter().flat_map(|minute| &minute.calls)),
    }
}

/// Returns the number of published messages, of one event type or of all.
fn events(minutes: &[&Minute], event_type: Option<&str>) -> u64 {
    let settled = minutes.iter().flat_map(|minute| &minute.settled);
    let published = settled.filter(|settled| settled.outcome == "published");
    let wanted = published.filter(|settled| event_type.is_none_or(|wanted| settled.event_type == wanted));
    wanted.map(|settled| settled.messages).sum()
}

/// Bytes in a GB, as AWS bills it.
const GB: f64 = (1_u64 << 30) as f64;

/// Returns the units of these calls, in both readings.
fn units(calls: &Calls) -> Readings {
    Readings { per_call: calls.units_per_call as f64, per_entry: calls.units_per_entry as f64 }
}

/// Returns the money for these calls.
fn money(calls: &Calls, prices: &Prices) -> Readings {
    match (calls.service.as_str(), calls.operation.as_str()) {
        ("sns", _) => sns_money(units(calls), calls.bytes, calls.fifo, prices),
        ("sqs", _) => units(calls) * sqs_price(calls.fifo, prices),
        (_, "PutObject" | "ListObjectsV2") => Readings::both(calls.calls as f64 / 1e3 * prices.s3_put_thousand),
        _ => Readings::both(calls.calls as f64 / 1e3 * prices.s3_get_thousand),
    }
}

/// Returns the money for units of SNS. FIFO topics also pay for the bytes.
fn sns_money(units: Readings, bytes: u64, fifo: bool, prices: &Prices) -> Readings {
    let data = if fifo { bytes as f64 / GB * prices.sns_fifo_gb } else { 0.0 };
    units * sns_price(fifo, prices) + Readings::both(data)
}

/// Returns the price of one unit of SNS.
fn sns_price(fifo: bool, prices: &Prices) -> f64 {
    (if fifo { prices.sns_fifo } else { prices.sns_standard }) / 1e6
}

/// Returns the price of one unit of SQS.
fn sqs_price(fifo: bool, prices: &Prices) -> f64 {
    (if fifo { prices.sqs_fifo } else { prices.sqs_standard }) / 1e6
}

fn per_million(money: Readings, deliveries: Option<u64>) -> Option<Readings> {
    let deliveries = deliveries.filter(|deliveries| *deliveries > 0)?;
    Some(money * (1e6 / deliveries as f64))
}

/// Returns the mean number of entries per call to PublishBatch.
fn fill<'c>(calls: impl Iterator<Item = &'c Calls>) -> Option<f64> {
    let (mut entries, mut answered) = (0, 0);
    for calls in calls.filter(|calls| is_publish(calls)) {
        entries += calls.entries;
        answered += calls.calls;
    }
    (answered > 0).then(|| entries as f64 / answered as f64)
}

fn is_publish(calls: &Calls) -> bool {
    calls.operation == "PublishBatch"
}

impl Readings {
    /// Returns a sum that does not depend on how batches are rounded.
    pub fn both(value: f64) -> Self {
        Self { per_call: value, per_entry: value }
    }

    /// Returns the share of `whole` in each reading; 0 of nothing.
    pub fn share_of(self, whole: Self) -> Self {
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Self { per_call: share(self.per_call, whole.per_call), per_entry: share(self.per_entry, whole.per_entry) }
    }
}

impl Add for Readings {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { per_call: self.per_call + other.per_call, per_entry: self.per_entry + other.per_entry }
    }
}

impl AddAssign for Readings {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Readings {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self { per_call: self.per_call * factor, per_entry: self.per_entry * factor }
    }
}

impl Sum for Readings {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}
