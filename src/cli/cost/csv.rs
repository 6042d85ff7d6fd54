//! The cost report as CSV (RFC 4180), with a header. Cells of unknown values are empty.

use std::io;

use crate::store::counters::cost::{Readings, Report, Row};

const HEADER: [&str; 15] = [
    "name",
    "calls",
    "events",
    "deliveries",
    "units_low",
    "units_high",
    "sqs_low",
    "sqs_high",
    "objects",
    "money_low",
    "money_high",
    "money_per_million_low",
    "money_per_million_high",
    "batch_fill",
    "currency",
];

/// Writes the rows; the total is the last one.
pub(super) fn write(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    line(out, HEADER.map(str::to_owned))?;
    for row in report.rows.iter().chain([&report.total]) {
        line(out, cells(row, &report.currency))?;
    }
    Ok(())
}

fn cells(row: &Row, currency: &str) -> [String; 15] {
    let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    let low = |sum: Option<Readings>| sum.map_or_else(String::new, |sum| number(sum.per_call));
    let high = |sum: Option<Readings>| sum.map_or_else(String::new, |sum| number(sum.per_entry));
    [
        quoted(&row.name),
        count(row.calls),
        count(row.events),
        count(row.deliveries),
        low(row.units),
        high(row.units),
        low(row.sqs),
        high(row.sqs),
        count(row.objects),
        number(row.money.per_call),
        number(row.money.per_entry),
        low(row.money_per_million),
        high(row.money_per_million),
        row.batch_fill.map_or_else(String::new, number),
        quoted(currency),
    ]
}

/// Returns a number with the digits that a spreadsheet needs: a call costs less than a millionth.
fn number(value: f64) -> String {
    let text = format!("{value:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn line(out: &mut impl io::Write, cells: [String; 15]) -> io::Result<()> {
    writeln!(out, "{}", cells.join(","))
}
