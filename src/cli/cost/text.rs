//! The cost report as text.

use std::io;

use crate::cli::columns::{self, grouped, percent, range, span};
use crate::cli::counted::write_breaks;
use crate::store::counters::cost::what_if::{Estimate, WhatIfs};
use crate::store::counters::cost::{By, Readings, Report, Row};

/// What is unknown of a time without counters.
pub(super) const UNKNOWN: &str = "its cost then is unknown";

/// Writes the report.
pub(super) fn write(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    let (coverage, currency) = (&report.coverage, &report.currency);
    writeln!(
        out,
        "cost from {} UTC, {} replica(s), in {currency} at the prices of {}",
        span(coverage.from, "to", coverage.to),
        coverage.replicas.len(),
        report.prices_as_of
    )?;
    writeln!(out)?;
    columns::write(out, &table(report), 1)?;
    writeln!(out)?;
    write_what_ifs(out, &report.what_if)?;
    writeln!(out)?;
    write_assumptions(out, report)?;
    write_breaks(out, coverage, UNKNOWN)
}

/// A column: its header, and the cell of a row.
type Column<'r> = (String, Box<dyn Fn(&Row) -> Option<String> + 'r>);

/// Returns the table with the columns of which a row has a value.
fn table(report: &Report) -> Vec<Vec<String>> {
    let first = match report.by {
        By::Customer => "CUSTOMER",
        By::Type => "EVENT TYPE",
        By::Operation => "OPERATION",
    };
    let units = if report.by == By::Operation { "UNITS" } else { "SNS UNITS" };
    let count = |count: Option<u64>| count.map(|count| grouped(count as f64));
    let (total, per_million) = (report.total.money, report.total.money_per_million.unwrap_or_default());
    let columns: Vec<Column<'_>> = vec![
        (first.into(), Box::new(|row| Some(row.name.clone()))),
        ("CALLS".into(), Box::new(move |row| count(row.calls))),
        ("EVENTS".into(), Box::new(move |row| count(row.events))),
        ("DELIVERIES".into(), Box::new(move |row| count(row.deliveries))),
        (units.into(), Box::new(|row| Some(both(row.units?, grouped)))),
        ("SHARE OF SQS".into(), Box::new(|row| Some(both(row.sqs?, |value| money(value, total))))),
        ("OBJECTS".into(), Box::new(move |row| count(row.objects))),
        (report.currency.clone(), Box::new(|row| Some(both(row.money, |value| money(value, total))))),
        (
            format!("{}/M", report.currency),
            Box::new(|row| Some(both(row.money_per_million?, |value| money(value, per_million)))),
        ),
        ("FILL/10".into(), Box::new(|row| row.batch_fill.map(|fill| format!("{fill:.1}")))),
    ];
    let rows: Vec<&Row> = report.rows.iter().chain([&report.total]).collect();
    let known: Vec<_> = columns.iter().filter(|(_, cell)| rows.iter().any(|row| cell(row).is_some())).collect();
    let header = known.iter().map(|(header, _)| header.clone()).collect();
    let cells = |row: &&Row| known.iter().map(|(_, cell)| cell(row).unwrap_or_else(|| "-".into())).collect();
    std::iter::once(header).chain(rows.iter().map(cells)).collect()
}

fn both(sum: Readings, text: impl Fn(f64) -> String) -> String {
    range(text(sum.per_call), &text(sum.per_entry))
}

/// Returns money with as many decimals as its total needs.
fn money(value: f64, total: Readings) -> String {
    match total.per_entry {
        ..0.01 => format!("{value:.6}"),
        ..100.0 => format!("{value:.4}"),
        _ => {
            let cents = (value * 100.0).round();
            format!("{}.{:02.0}", grouped((cents / 100.0).trunc()), cents % 100.0)
        }
    }
}

fn write_what_ifs(out: &mut impl io::Write, what_if: &WhatIfs) -> io::Result<()> {
    writeln!(out, "what if:")?;
    match &what_if.linger {
        Estimate::Known(linger) => {
            let (now, then) = (grouped(linger.calls_now as f64), grouped(linger.calls_then));
            let saved = percent(linger.share.per_call);
            let (now_ms, then_ms) = (linger.now_ms, linger.then_ms);
            writeln!(out, "  publish.linger_ms {now_ms} → {then_ms}: about {then} calls to publish instead of {now}")?;
            writeln!(out, "    −{saved} % of the cost if AWS rounds calls up; nothing if it rounds entries up")?;
        }
        Estimate::Unknown { why } => writeln!(out, "  a longer publish.linger_ms: no estimate, because {why}")?,
    }
    for over in &what_if.just_over {
        let (customer, payloads, saved) = (&over.customer, over.payloads as f64, percent(over.share_per_entry));
        let payloads = grouped(payloads);
        writeln!(
            out,
            "  smaller payloads for {customer}, such as without emit_defaults: {payloads} are just over 64 KiB"
        )?;
        writeln!(out, "    −{saved} % of its SNS cost if AWS rounds entries up; unknown if it rounds calls up")?;
    }
    if what_if.just_over.is_empty() {
        writeln!(out, "  smaller payloads: no saving, because none is just over a multiple of 64 KiB")?;
    }
    let empty = &what_if.empty_receives;
    let (one, other) = (empty.share.per_call, empty.share.per_entry);
    let share = range(percent(one.min(other)), &percent(one.max(other)));
    writeln!(out, "  no empty receives: {} fewer calls, −{share} % of the cost", grouped(empty.calls as f64))
}

fn write_assumptions(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    writeln!(out, "assumptions:")?;
    writeln!(out, "  low–high: AWS bills each 64 KiB of a request, and does not document how it rounds a batch up;")?;
    writeln!(out, "    the low number rounds a call up in total, the high one each of its entries")?;
    if report.total.batch_fill.is_some() {
        writeln!(out, "  FILL/10: the mean number of entries per call to publish, of at most ten")?;
    }
    if report.by != By::Operation {
        writeln!(out, "  SQS is shared in proportion to the deliveries, apart from empty receives and quarantine")?;
    }
    if report.by == By::Customer {
        writeln!(out, "  events are counted by type, not by customer; the total has the published messages")?;
    }
    if report.total.objects.is_some() {
        writeln!(out, "  store: one PUT per object of journal and counters, and their storage until they are deleted")?;
    } else {
        writeln!(out, "  store: a folder, which costs no request")?;
    }
    if report.failed_calls > 0 {
        let (failed, throttled) = (grouped(report.failed_calls as f64), grouped(report.throttled_calls as f64));
        writeln!(out, "  not included: {failed} failed call(s), of which AWS throttled {throttled};")?;
        writeln!(out, "    AWS does not document whether it bills these")?;
    }
    writeln!(out, "  not included: SNS deliveries to endpoints other than SQS, KMS, data transfer, free tiers")
}
