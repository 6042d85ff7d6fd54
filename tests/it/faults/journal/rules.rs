//! The rules of the journal.

use std::collections::{BTreeMap, BTreeSet};

use protobridge::store::journal::{Hole, HoleKind, Row};

use super::facts::{Facts, Receive, event_id, event_type, in_micros, moment, publish_number};
use super::{Journal, longest_hole};
use crate::faults::checks::{CheckResult, Violation, violated};
use crate::faults::play::Ended;
use crate::faults::scenario::{Expect, Planned};
use crate::model::attempts::{Attempt, AttemptResult};

/// How often the journals of all seeds showed what the rules are about.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The rows of runs that stopped in order, by outcome and cause of a duplicate.
    rows: BTreeMap<String, u64>,
    /// The receives with several destinations.
    broadcasts: u64,
    /// The rows whose entry was sent more than once, and those of them that SNS throttled.
    repeated: u64,
    throttled: u64,
    /// The runs that crashed, and the receives of theirs that have no row.
    holes: u64,
    missing: u64,
}

impl Seen {
    /// Whether the seeds showed everything.
    pub(super) fn is_everything(&self) -> bool {
        let outcomes =
            ["published", "duplicate redelivery", "duplicate producer", "filtered", "quarantined", "retried"];
        let counts = [self.broadcasts, self.repeated, self.throttled, self.holes, self.missing];
        outcomes.iter().all(|outcome| self.rows.contains_key(*outcome)) && counts.iter().all(|count| *count > 0)
    }
}

/// Checks that no row says anything that did not happen.
pub(super) fn every_row_is_true(facts: &Facts<'_>, journal: &Journal) -> CheckResult {
    for row in &journal.rows {
        let receive: Receive<'_> = (&row.message_id, row.receive_count);
        let Some(planned) = facts.messages.get(&*row.message_id) else {
            return violated("", format!("no message has the id of {row:?}"));
        };
        if let Err(what) = is_true(facts, journal.instance, receive, planned, row) {
            return violated(&planned.message.name, format!("#{}: {what}: {row:?}", journal.instance));
        }
    }
    Ok(())
}

fn is_true(
    facts: &Facts<'_>,
    instance: u32,
    receive: Receive<'_>,
    planned: &Planned,
    row: &Row,
) -> Result<(), &'static str> {
    let ensure = |is_true: bool, what| if is_true { Ok(()) } else { Err(what) };
    let destinations = facts.destinations(facts.messages[receive.0]);
    let name = &*planned.message.name;
    ensure(facts.handed.get(&receive) == Some(&instance), "the receive did not reach this run")?;
    ensure(row.queue.starts_with("source"), "the queue is wrong")?;
    ensure(row.event_id.as_deref().is_none_or(|id| id == event_id(planned)), "the event id is wrong")?;
    ensure(row.event_type.as_deref().is_none_or(|of| of == event_type(planned)), "the type is wrong")?;
    let customer = row.topic.as_deref().map(|topic| destinations.get(topic).copied());
    ensure(customer != Some(None), "the event has no such destination")?;
    ensure(customer.flatten() == row.customer.as_deref(), "the customer is wrong")?;
    ensure(row.throttles.unwrap_or(0) <= row.attempts.unwrap_or(0), "there are more throttles than attempts")?;
    let is_published = row.outcome == "published";
    let ids = [row.sns_message_id.is_some(), row.published_at.is_some()];
    ensure(ids == [is_published; 2], "an id or a time of SNS is missing, or there should be none")?;
    let is_fifo = row.topic.as_deref().is_some_and(|topic| topic.ends_with(".fifo"));
    ensure(row.sequence_number.is_some() == (is_published && is_fifo), "the sequence number is wrong")?;
    ensure(row.first_message_id.is_some() == (row.outcome == "duplicate"), "the first message is wrong")?;
    if matches!(&*row.outcome, "published" | "duplicate") {
        ensure(row.event_id.is_some() && row.event_type.is_some() && row.customer.is_some(), "a field is missing")?;
    }
    match &*row.outcome {
        "published" => {
            let publish = row.sns_message_id.as_deref().and_then(publish_number);
            let publish = publish.and_then(|number| facts.published.get(&number));
            let is_it = publish.is_some_and(|of| of.event == name && Some(of.topic) == row.topic.as_deref());
            ensure(is_it, "SNS gave this id to another event, or to none")
        }
        "duplicate" => {
            let first = row.first_message_id.as_ref().and_then(|first| facts.named.get(first).copied());
            let is_same = first.is_some_and(|first| *facts.messages[first].message.name == *name);
            ensure(is_same, "the first message has another event")?;
            let before = |publish: &super::facts::Publish<'_>| {
                publish.event == name
                    && Some(publish.topic) == row.topic.as_deref()
                    && in_micros(publish.clock) <= moment(row.settled_at)
            };
            ensure(facts.published.values().any(before), "the topic did not get the event before")?;
            let cause = if first == Some(&*row.message_id) { "redelivery" } else { "producer" };
            ensure(row.duplicate_cause.as_deref() == Some(cause), "the cause of the duplicate is wrong")
        }
        "filtered" => ensure(planned.expect == Expect::Filtered && row.reason.is_some(), "it is not filtered"),
        "quarantined" => {
            let is_there = facts.quarantined.iter().any(|(message, _)| *message == receive.0);
            ensure(is_there && row.reason.is_some(), "the message is not in quarantine")
        }
        "retried" => ensure(!facts.deleted.contains_key(&receive) && row.reason.is_some(), "it was deleted"),
        "abandoned" => ensure(!facts.deleted.contains_key(&receive), "it was deleted"),
        _ => Err("there is no such outcome"),
    }
}

/// Checks the rows of a run that stopped in order: each receive has a row for each destination, or one row if it has none or
/// ended before its destinations were known. The outcomes are those that the log implies and that the run has counted.
pub(super) fn every_receive_has_its_rows(facts: &Facts<'_>, journal: &Journal, seen: &mut Seen) -> CheckResult {
    let ended = facts.stopped(journal.instance).expect("the run stopped in order");
    let mut receives: BTreeMap<Receive<'_>, Vec<&Row>> = BTreeMap::new();
    for row in &journal.rows {
        receives.entry((&row.message_id, row.receive_count)).or_default().push(row);
        let cause = row.duplicate_cause.as_ref().map_or_else(String::new, |cause| format!(" {cause}"));
        *seen.rows.entry(format!("{}{cause}", row.outcome)).or_default() += 1;
    }
    for receive in facts.received_by(journal.instance) {
        let planned = facts.messages[receive.0];
        let rows = receives.get(&receive).map(Vec::as_slice).unwrap_or_default();
        if let Err(what) = are_its_rows(facts, receive, rows) {
            let what = format!("#{}: receive {receive:?}: {what}: {rows:#?}", journal.instance);
            return violated(&planned.message.name, what);
        }
        seen.broadcasts += u64::from(rows.len() > 1);
    }
    let count = |is_it: &dyn Fn(&[&Row]) -> bool| receives.values().filter(|rows| is_it(rows)).count() as u64;
    let published = count(&|rows| has_only(rows, &["published", "duplicate"]) && has(rows, "published"));
    let abandoned = count(&|rows| has(rows, "abandoned"));
    let Ended { settled, published: least, abandoned: most, .. } = *ended;
    let is_balanced = receives.len() as u64 == settled && abandoned <= most;
    // If the run abandons a message whose destinations all have the event, each of its rows says `published`.
    if !is_balanced || !(least..=least + most).contains(&published) {
        let what =
            format!("{ended:?}, but {} receives, {published} of them published, {abandoned} abandoned", receives.len());
        return Err(Violation { event: None, what });
    }
    Ok(())
}

fn are_its_rows(facts: &Facts<'_>, receive: Receive<'_>, rows: &[&Row]) -> Result<(), String> {
    let destinations: BTreeSet<&str> = facts.destinations(facts.messages[receive.0]).into_keys().collect();
    let topics: Vec<&str> = rows.iter().filter_map(|row| row.topic.as_deref()).collect();
    let distinct: BTreeSet<&str> = topics.iter().copied().collect();
    let is_abandoned = has(rows, "abandoned");
    let is_alone = rows.len() == 1 && topics.is_empty();
    // An abandoned message has the rows of the destinations that had answered.
    let is_each = topics.len() == rows.len()
        && distinct.len() == rows.len()
        && (distinct == destinations || is_abandoned && distinct.is_subset(&destinations));
    if rows.is_empty() || !is_alone && !is_each {
        return Err(format!("there is not one row for each of {destinations:?}"));
    }
    // A message that was to be published has destinations.
    let is_decided = |row: &&Row| {
        let is_reason = matches!(row.reason.as_deref(), Some("publish" | "claimed_elsewhere" | "publish_refused"));
        is_reason
            || matches!(&*row.outcome, "published" | "duplicate")
            || row.detail.as_deref().is_some_and(|detail| detail.contains("before the publish"))
    };
    if is_alone && rows.iter().any(is_decided) {
        return Err("the destination is missing".to_owned());
    }
    let reasons = || rows.iter().filter_map(|row| row.reason.as_deref());
    let is_in_quarantine = || reasons().any(|reason| facts.quarantined.contains(&(receive.0, reason)));
    if has(rows, "quarantined") && !is_in_quarantine() {
        return Err("the message is in quarantine for another reason".to_owned());
    }
    let is_done =
        has_only(rows, &["published", "duplicate"]) || has_only(rows, &["filtered"]) || has(rows, "quarantined");
    if facts.deleted.contains_key(&receive) && !is_done {
        return Err("the message was deleted".to_owned());
    }
    Ok(())
}

fn has(rows: &[&Row], outcome: &str) -> bool {
    rows.iter().any(|row| row.outcome == outcome)
}

fn has_only(rows: &[&Row], outcomes: &[&str]) -> bool {
    rows.iter().all(|row| outcomes.contains(&&*row.outcome))
}

/// Checks that each publish whose confirmation reached a run that stopped in order has one row, and every other publish at
/// most one.
pub(super) fn every_confirmed_publish_has_one_row(facts: &Facts<'_>, journals: &[Journal]) -> CheckResult {
    let mut rows: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let mut abandoned: BTreeSet<(u32, &str)> = BTreeSet::new();
    for journal in journals {
        for row in &journal.rows {
            if let Some(number) = row.sns_message_id.as_deref().and_then(publish_number) {
                rows.entry(number).or_default().push(journal.instance);
            }
            if row.outcome == "abandoned" {
                abandoned.insert((journal.instance, &facts.messages[&*row.message_id].message.name));
            }
        }
    }
    for confirmed in &facts.confirmed {
        let instances = rows.get(&confirmed.number).map(Vec::as_slice).unwrap_or_default();
        let is_abandoned = abandoned.contains(&(confirmed.instance, confirmed.event));
        let can_lack = facts.stopped(confirmed.instance).is_none() || is_abandoned;
        if instances != [confirmed.instance] && !(can_lack && instances.is_empty()) {
            return violated(confirmed.event, format!("{confirmed:?} has rows of these runs: {instances:?}"));
        }
    }
    if let Some((number, runs)) = rows.iter().find(|(_, runs)| runs.len() > 1) {
        return violated(facts.published[number].event, format!("publish {number} has rows of these runs: {runs:?}"));
    }
    Ok(())
}

/// Checks that the attempts and throttles of a run's rows are those of its calls. If an event has one destination, the
/// attempts of a row follow each other, and the last of them has the row's result.
pub(super) fn every_attempt_is_counted(facts: &Facts<'_>, journal: &Journal, seen: &mut Seen) -> CheckResult {
    let mut attempts = facts.attempts(journal.instance);
    let mut rows: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    let mut abandoned: BTreeSet<&str> = BTreeSet::new();
    for row in &journal.rows {
        let event = &*facts.messages[&*row.message_id].message.name;
        if row.outcome == "abandoned" {
            abandoned.insert(event);
        }
        if let (Some(topic), Some(_)) = (&row.topic, row.attempts) {
            rows.entry((event, topic)).or_default().push(row);
            seen.repeated += u64::from(row.attempts > Some(1));
            seen.throttled += u64::from(row.throttles > Some(0));
        }
    }
    for ((event, topic), rows) in rows {
        let attempts = attempts.remove(&(event, topic)).unwrap_or_default();
        if let (Err(what), false) = (are_counted(facts, &rows, &attempts), abandoned.contains(event)) {
            let what = format!("#{}: {event} to {topic}: {what}: {attempts:#?}, {rows:#?}", journal.instance);
            return violated(event, what);
        }
    }
    match attempts.into_keys().find(|(event, _)| !abandoned.contains(event)) {
        Some((event, topic)) => violated(event, format!("#{}: attempts for {topic} have no row", journal.instance)),
        None => Ok(()),
    }
}

fn are_counted(facts: &Facts<'_>, rows: &[&Row], attempts: &[&Attempt]) -> Result<(), &'static str> {
    let throttles = |attempts: &[&Attempt]| {
        attempts.iter().filter(|attempt| attempt.result == AttemptResult::Throttled).count() as u32
    };
    let sum = |count: fn(&Row) -> Option<u32>| rows.iter().filter_map(|row| count(row)).sum::<u32>();
    if sum(|row| row.attempts) != attempts.len() as u32 || sum(|row| row.throttles) != throttles(attempts) {
        return Err("the sums differ");
    }
    // Rows are in the order in which their messages were settled. A destination can answer long before that.
    let answers_settle =
        |row: &&Row| facts.destinations(facts.messages[&*row.message_id]).len() == 1 && row.outcome != "quarantined";
    if !rows.iter().all(answers_settle) {
        return Ok(());
    }
    let mut rest = attempts;
    for row in rows {
        let (of_row, after) = rest.split_at(row.attempts.unwrap_or(0) as usize);
        rest = after;
        if row.throttles != Some(throttles(of_row)) {
            return Err("the throttles of a row differ");
        }
        let mut accepted = of_row.iter().filter_map(|attempt| match &attempt.result {
            AttemptResult::Accepted(id) => Some(id),
            _ => None,
        });
        if accepted.next_back() != row.sns_message_id.as_ref() {
            return Err("the result of a row differs");
        }
    }
    Ok(())
}

/// Checks that a run that stopped in order left no hole, and that a crashed run left one that has all receives without a row.
pub(super) fn rows_are_missing_only_in_holes(facts: &Facts<'_>, journal: &Journal, seen: &mut Seen) -> CheckResult {
    let Journal { instance, rows, looked } = journal;
    let failed = |event: Option<&str>, what: String| {
        Err(Violation { event: event.map(str::to_owned), what: format!("#{instance}: {what}") })
    };
    let Some(crashed) = facts.crashed.get(instance) else {
        let is_complete = looked.is_complete() && looked.dropped.is_empty();
        return if is_complete {
            Ok(())
        } else {
            failed(None, format!("it stopped in order, and there is {looked:?}"))
        };
    };
    let known: BTreeSet<Receive<'_>> = rows.iter().map(|row| (&*row.message_id, row.receive_count)).collect();
    let missing: Vec<Receive<'_>> = facts.received_by(*instance).filter(|receive| !known.contains(receive)).collect();
    seen.missing += missing.len() as u64;
    let [Hole { from, to: None, kind: HoleKind::NotStoredYet, .. }] = &looked.holes[..] else {
        return failed(None, format!("it crashed, and there is {looked:?}"));
    };
    seen.holes += 1;
    // A message is deleted after its rows were recorded.
    let is_before =
        |receive: &&Receive<'_>| facts.deleted.get(*receive).is_some_and(|clock| in_micros(*clock) < moment(*from));
    if let Some(receive) = missing.iter().find(is_before) {
        let event = &*facts.messages[receive.0].message.name;
        return failed(Some(event), format!("{receive:?} was deleted before the hole, and has no row"));
    }
    if facts.next_after(moment(*from)).is_some_and(|next| next + longest_hole() < *crashed) {
        return failed(None, format!("its hole is longer than a segment: {looked:?}"));
    }
    Ok(())
}
