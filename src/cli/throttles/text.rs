//! The throttle report as text.

use std::collections::BTreeSet;
use std::io;

use crate::cli::columns::{self, grouped, range, rate, span, utc, utc_millis};
use crate::cli::counted::write_breaks;
use crate::store::counters::throttles::{Highest, MinuteRates, Rate, Report, Summary};

/// The most minutes in the table. Of more, it has those with throttles and the ones beside them.
const MAX_MINUTES: usize = 120;
/// What is unknown of a time without counters.
const UNKNOWN: &str = "its rates and throttles then are unknown";

/// Writes the report.
pub(super) fn write(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    write_sentence(out, report)?;
    writeln!(out)?;
    write_minutes(out, &report.minutes)?;
    writeln!(out)?;
    write_highest(out, &report.highest)?;
    writeln!(out, "quota on paper: {}", quota(report))?;
    write_breaks(out, &report.coverage, UNKNOWN)?;
    if report.summary.is_some() {
        writeln!(out, "--support-case prints each throttle with its request id")?;
    }
    Ok(())
}

/// Writes what AWS Support asks for.
pub(super) fn write_support_case(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    write_sentence(out, report)?;
    writeln!(out)?;
    let or_unknown = |names: &BTreeSet<String>| match names.len() {
        0 => "unknown".to_owned(),
        _ => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    writeln!(out, "account: {}", or_unknown(&report.accounts))?;
    writeln!(out, "region: {}", or_unknown(&report.regions))?;
    writeln!(out, "API: SNS {}", report.api)?;
    writeln!(out, "quota on paper: {}", quota(report))?;
    let coverage = &report.coverage;
    let (time, replicas) = (span(coverage.from, "to", coverage.to), coverage.replicas.len());
    writeln!(out, "counted: {time} UTC, over {replicas} replica(s)")?;
    write_breaks(out, coverage, UNKNOWN)?;
    writeln!(out, "\nrates by minute (UTC), messages per second over all replicas:")?;
    write_minutes(out, &report.minutes)?;
    writeln!(out)?;
    write_highest(out, &report.highest)?;
    write_throttles(out, report)?;
    write_sent_again(out, report)
}

/// Writes the report in one sentence.
fn write_sentence(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    let coverage = &report.coverage;
    let Some(summary) = &report.summary else {
        let (time, replicas) = (span(coverage.from, "and", coverage.to), coverage.replicas.len());
        return writeln!(out, "SNS throttled no call between {time} UTC, over {replicas} replica(s)");
    };
    let Summary { calls, of_kms, first, last, lowest, highest } = summary;
    let (time, rates) = (span(*first, "and", *last), range(grouped(*lowest), &grouped(*highest)));
    let times = |calls: u64| format!("{} time{}", grouped(calls as f64), if calls == 1 { "" } else { "s" });
    let (calls, of_sns) = (times(*calls), *calls);
    if of_sns == 0 {
        let of_kms = times(*of_kms);
        return writeln!(out, "KMS throttled {of_kms} between {time} UTC at {rates} messages/s; SNS throttled no call");
    }
    write!(out, "throttled {calls} between {time} UTC at {rates} messages/s")?;
    match &report.quota {
        Some(quota) => {
            writeln!(out, "; the advertised quota is {}", grouped(f64::from(quota.messages_per_second)))?;
        }
        None => writeln!(out, "; the advertised quota is unknown")?,
    }
    if *of_kms > 0 {
        writeln!(out, "KMS throttled a further {of_kms} call(s): that is a quota of KMS, not of SNS")?;
    }
    Ok(())
}

fn quota(report: &Report) -> String {
    match &report.quota {
        Some(quota) => format!("{} messages/s ({})", grouped(f64::from(quota.messages_per_second)), quota.source),
        None if report.regions.is_empty() => "unknown, because no region is known; set `aws.region`".into(),
        None => "unknown, because SNS was called in several regions; set `publish.quota_messages_per_second`".into(),
    }
}

fn write_minutes(out: &mut impl io::Write, minutes: &[MinuteRates]) -> io::Result<()> {
    let is_throttled = |index: usize| {
        let minute = minutes.get(index);
        minute.is_some_and(|minute| minute.throttled > 0 || minute.throttled_calls > 0)
    };
    let is_shown =
        |index: usize| minutes.len() <= MAX_MINUTES || (index.saturating_sub(1)..=index + 1).any(is_throttled);
    let header = ["MINUTE (UTC)", "CODES", "ATTEMPTED/S", "ACCEPTED/S", "THROTTLED MESSAGES", "THROTTLED CALLS"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(minutes.iter().enumerate().filter(|(index, _)| is_shown(*index)).map(|(_, minute)| row(minute)));
    let left_out = minutes.len() + 1 - rows.len();
    columns::write(out, &rows, 2)?;
    if minutes.iter().any(|minute| minute.is_incomplete) {
        writeln!(out, "* counters of a replica are missing, so the numbers are at least these")?;
    }
    if left_out > 0 {
        writeln!(out, "{left_out} minutes without throttles are left out; --json has them")?;
    }
    Ok(())
}

fn row(minute: &MinuteRates) -> Vec<String> {
    let per_second = |messages: u64| rate(messages as f64 / minute.seconds);
    let codes: Vec<String> = minute.codes.iter().map(|(code, calls)| format!("{code} ×{calls}")).collect();
    let at = utc(minute.at);
    vec![
        format!("{}{}", &at[..at.len().saturating_sub(3)], if minute.is_incomplete { " *" } else { "" }),
        if codes.is_empty() { "-".to_owned() } else { codes.join(", ") },
        per_second(minute.attempted),
        per_second(minute.accepted),
        grouped(minute.throttled as f64),
        grouped(minute.throttled_calls as f64),
    ]
}

fn write_highest(out: &mut impl io::Write, highest: &[Highest]) -> io::Result<()> {
    let cells = |highest: Option<Rate>| match highest {
        Some(highest) => vec![rate(highest.per_second), utc(highest.from)],
        None => vec!["-".to_owned(), "-".to_owned()],
    };
    let header = ["HIGHEST ACCEPTED RATE", "WITHOUT THROTTLES/S", "FROM (UTC)", "WITH ANY/S", "FROM (UTC)"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for highest in highest {
        let name = format!("over {} second{}", highest.seconds, if highest.seconds == 1 { "" } else { "s" });
        rows.push([vec![name], cells(highest.held), cells(highest.any)].concat());
    }
    columns::write(out, &rows, 1)
}

fn write_throttles(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    if report.throttles.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nthrottled calls; the rate is what SNS accepted from all replicas in that second or the one before:"
    )?;
    let header = ["TIME (UTC)", "TOPIC", "CODE", "REQUEST ID", "REPLICA", "MESSAGES", "CALL", "RATE/S"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for throttle in &report.throttles {
        rows.push(vec![
            utc_millis(throttle.at),
            throttle.topic.clone(),
            throttle.code.clone(),
            throttle.request_id.clone().unwrap_or_else(|| "-".into()),
            throttle.replica.clone(),
            grouped(throttle.messages as f64),
            if throttle.whole_call { "whole" } else { "part" }.to_owned(),
            grouped(throttle.rate),
        ]);
    }
    columns::write(out, &rows, 5)?;
    if report.throttles_left_out > 0 {
        let left_out = grouped(report.throttles_left_out as f64);
        writeln!(out, "{left_out} further throttled call(s): a replica keeps the details of 1,000 calls per minute")?;
    }
    Ok(())
}

fn write_sent_again(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    if report.sent_again.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nthrottled calls whose messages were sent again, for a refund claim:")?;
    let header = ["TOPIC", "THROTTLED AS A WHOLE", "THROTTLED IN PART", "MESSAGES SENT AGAIN"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (topic, again) in &report.sent_again {
        let counts = [again.whole_calls, again.partial_calls, again.messages];
        rows.push([vec![topic.clone()], counts.map(|count| grouped(count as f64)).to_vec()].concat());
    }
    columns::write(out, &rows, 1)?;
    let whole_calls = grouped(report.whole_calls as f64);
    writeln!(
        out,
        "{whole_calls} call(s) in total were throttled as a whole; protobridge sends the messages of throttled calls again"
    )
}
