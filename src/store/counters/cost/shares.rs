//! The rows of the cost report.

use std::collections::BTreeMap;

use super::{Readings, Row, events, fill, is_publish, money, sns_money, sqs_price, units};
use crate::config::Prices;
use crate::store::counters::{Calls, Minute};

/// Returns a row for each customer, and the rows that belong to no customer.
pub(super) fn by_customer(minutes: &[&Minute], prices: &Prices) -> Vec<Row> {
    let mut customers: BTreeMap<Option<&str>, (Row, Vec<&Calls>)> = BTreeMap::new();
    for calls in all_calls(minutes).filter(|calls| is_publish(calls)) {
        let (row, published) = customers.entry(calls.customer.as_deref()).or_default();
        add(row, units(calls), money(calls, prices));
        published.push(calls);
    }
    for published in minutes.iter().flat_map(|minute| &minute.published) {
        let (row, _) = customers.entry(published.customer.as_deref()).or_default();
        *row.deliveries.get_or_insert(0) += published.entries;
    }
    let row = |(name, (row, calls)): (Option<&str>, (Row, Vec<&Calls>))| Row {
        name: name.unwrap_or("(topics of no customer)").to_owned(),
        batch_fill: fill(calls.into_iter()),
        ..row
    };
    complete(customers.into_iter().map(row).collect(), minutes, prices)
}

/// Returns a row for each event type, and the rows that belong to no type.
///
/// The units of entries that SNS did not confirm, in calls that it answered, belong to no type: the report has them as a
/// row of their own, so that the sums by customer and by type are equal.
pub(super) fn by_type(minutes: &[&Minute], prices: &Prices) -> Vec<Row> {
    let mut types: BTreeMap<&str, Row> = BTreeMap::new();
    let mut unconfirmed = Row { name: "(entries that SNS did not confirm)".into(), ..Row::default() };
    let mut sent = 0;
    for calls in all_calls(minutes).filter(|calls| is_publish(calls)) {
        add(&mut unconfirmed, units(calls), money(calls, prices));
        sent += calls.entries;
    }
    for published in minutes.iter().flat_map(|minute| &minute.published) {
        let units = Readings {
            per_call: published.micro_units_per_call as f64 / 1e6,
            per_entry: published.units_per_entry as f64,
        };
        let money = sns_money(units, published.bytes, published.fifo, prices);
        let row = types.entry(&published.event_type).or_default();
        add(row, units, money);
        *row.deliveries.get_or_insert(0) += published.entries;
        add(&mut unconfirmed, units * -1.0, money * -1.0);
        sent = sent.saturating_sub(published.entries);
    }
    let row =
        |(name, row): (&str, Row)| Row { name: name.to_owned(), events: Some(events(minutes, Some(name))), ..row };
    let mut rows = complete(types.into_iter().map(row).collect(), minutes, prices);
    // Without such an entry, what is left is less than one unit: the rounding of shares.
    if sent > 0 {
        rows.push(unconfirmed);
    }
    rows
}

/// Returns a row for each operation.
pub(super) fn by_operation(minutes: &[&Minute], prices: &Prices) -> Vec<Row> {
    let mut operations: BTreeMap<(&str, &str, bool), (Row, Vec<&Calls>)> = BTreeMap::new();
    for calls in all_calls(minutes) {
        let key = (calls.service.as_str(), calls.operation.as_str(), calls.fifo);
        let (row, all) = operations.entry(key).or_default();
        add(row, units(calls), money(calls, prices));
        *row.calls.get_or_insert(0) += calls.calls;
        all.push(calls);
    }
    let row = |((service, operation, fifo), (row, calls)): ((&str, &str, bool), (Row, Vec<&Calls>))| Row {
        name: format!("{service} {operation}{}", if fifo { " (FIFO)" } else { "" }),
        batch_fill: fill(calls.into_iter()),
        ..row
    };
    sorted(operations.into_iter().map(row).collect())
}

/// Adds to rows with deliveries their share of SQS, sorts them, and appends the rows of empty receives, of quarantine
/// and of the other calls.
fn complete(mut rows: Vec<Row>, minutes: &[&Minute], prices: &Prices) -> Vec<Row> {
    let (mut empty, mut quarantine, mut pool) = (Readings::default(), Readings::default(), Readings::default());
    let mut other = Row { name: "(other calls)".into(), ..Row::default() };
    for calls in all_calls(minutes) {
        match (calls.service.as_str(), calls.operation.as_str()) {
            ("sqs", "ReceiveMessage") => {
                let unused = empty_receives(calls, prices);
                empty += unused;
                pool += money(calls, prices) + unused * -1.0;
            }
            ("sqs", "SendMessageBatch") => quarantine += money(calls, prices),
            ("sqs", _) => pool += money(calls, prices),
            ("sns", _) if is_publish(calls) => {}
            ("sns", _) => add(&mut other, units(calls), money(calls, prices)),
            _ => other.money += money(calls, prices),
        }
    }
    let deliveries: u64 = rows.iter().filter_map(|row| row.deliveries).sum();
    let mut own_rows = vec![("(empty receives)", empty), ("(quarantine)", quarantine)];
    if deliveries == 0 {
        own_rows.push(("(receives and deletes without a delivery)", pool));
    } else {
        for row in &mut rows {
            let share = pool * (row.deliveries.unwrap_or(0) as f64 / deliveries as f64);
            row.sqs = Some(share);
            row.money += share;
        }
    }
    let mut rows = sorted(rows);
    let own_rows = own_rows.into_iter().filter(|(_, money)| *money != Readings::default());
    rows.extend(own_rows.map(|(name, money)| Row { name: name.into(), sqs: Some(money), money, ..Row::default() }));
    rows.extend(Some(other).filter(|row| row.money != Readings::default()));
    rows
}

/// Returns the money for the receives that returned no message. Each is one unit in both readings.
pub(super) fn empty_receives(calls: &Calls, prices: &Prices) -> Readings {
    Readings::both(calls.empty as f64 * sqs_price(calls.fifo, prices))
}

pub(super) fn all_calls<'m>(minutes: &'m [&'m Minute]) -> impl Iterator<Item = &'m Calls> {
    minutes.iter().flat_map(|minute| &minute.calls)
}

fn add(row: &mut Row, units: Readings, money: Readings) {
    row.units = Some(row.units.unwrap_or_default() + units);
    row.money += money;
}

/// Sorts by money, the most first.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|one, other| {
        other.money.per_entry.total_cmp(&one.money.per_entry).then_with(|| one.name.cmp(&other.name))
    });
    rows
}
