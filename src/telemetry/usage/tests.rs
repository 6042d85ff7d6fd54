//! Checks what is counted, what is left out, and the bounds.

use super::*;
use crate::message::OutcomeLabel;

const UNIT: usize = UNIT_BYTES as usize;

fn usage() -> Usage {
    let usage = Usage::default();
    usage.begin(BTreeMap::new());
    usage
}

fn take(usage: &Usage) -> Counts {
    usage.take(BTreeMap::new())
}

/// Counts an answered PublishBatch with entries of these sizes for one customer. The last entry is confirmed as told.
fn publish(usage: &Usage, customer: &str, event_type: &str, sizes: &[usize], is_last_confirmed: bool) {
    let (customer, event_type): (Arc<str>, Arc<str>) = (customer.into(), event_type.into());
    let entry = |(index, bytes): (usize, &usize)| AnsweredEntry {
        customer: Some(&customer),
        event_type: &event_type,
        bytes: *bytes,
        is_confirmed: is_last_confirmed || index + 1 < sizes.len(),
    };
    usage.published(false, Carried::sizes(sizes.iter().copied()), sizes.iter().enumerate().map(entry));
}

fn throttled(usage: &Usage, messages: u64) {
    usage.throttled(|| ThrottledCall {
        at: UNIX_EPOCH + std::time::Duration::from_millis(7_900),
        topic: "arn:aws:sns:eu-west-1:1:orders".to_owned(),
        code: "Throttled".to_owned(),
        request_id: None,
        messages,
        is_whole_call: true,
        rate: 300.0,
    });
}

#[test]
fn nothing_is_counted_before_the_begin_and_every_take_starts_anew() {
    let usage = Usage::default();
    let call = Call::new(Operation::ReceiveMessage, true);
    let count = |usage: &Usage| {
        usage.call(&call, CallEnd::Answered(Carried::NOTHING));
        usage.attempted(3);
        publish(usage, "acme", "a.B", &[100], true);
        throttled(usage, 3);
    };
    count(&usage);
    usage.begin(BTreeMap::new());
    let nothing = take(&usage);
    assert!(nothing.calls.is_empty() && nothing.published.is_empty() && nothing.seconds.is_empty(), "{nothing:?}");
    for _ in 0..2 {
        count(&usage);
        let counts = take(&usage);
        let calls = CallCounts { calls: 1, empty: 1, units_per_call: 1, units_per_entry: 1, ..CallCounts::default() };
        assert_eq!(counts.calls[&(Operation::ReceiveMessage, true, None)], calls);
        assert_eq!((counts.published.len(), counts.throttles.len()), (1, 1));
    }
}

#[test]
fn the_units_of_both_readings_are_counted_and_failed_calls_have_none() {
    let usage = usage();
    let acme: Arc<str> = "acme".into();
    let call = Call { customer: Some(&acme), ..Call::new(Operation::PublishBatch, false) };
    usage.call(&call, CallEnd::Answered(Carried::sizes([10, UNIT, UNIT + 1])));
    usage.call(&call, CallEnd::Answered(Carried::sizes([UNIT / 2; 2])));
    usage.call(&call, CallEnd::Failed);
    usage.call(&call, CallEnd::Throttled);
    usage.call(&Call::new(Operation::DeleteMessageBatch, false), CallEnd::Answered(Carried::entries(10)));
    usage.call(&Call::new(Operation::GetObject, false), CallEnd::Answered(Carried::object(9 * UNIT)));
    let counts = take(&usage);
    let publishes = CallCounts {
        calls: 2,
        empty: 0,
        failed: 2,
        throttled: 1,
        entries: 5,
        bytes: 10 + 3 * UNIT_BYTES + 1,
        units_per_call: 3 + 1,
        units_per_entry: 1 + 1 + 2 + 2,
    };
    assert_eq!(counts.calls[&(Operation::PublishBatch, false, Some(acme))], publishes);
    let of = |operation| counts.calls[&(operation, false, None)];
    let units = |operation| (of(operation).entries, of(operation).units_per_call, of(operation).units_per_entry);
    assert_eq!(units(Operation::DeleteMessageBatch), (10, 1, 1));
    assert_eq!(units(Operation::GetObject), (1, 1, 1));
}

#[test]
fn the_entries_of_a_call_share_its_units_by_bytes_to_the_last_millionth() {
    let usage = usage();
    publish(&usage, "acme", "a.B", &[7, 7, 7, 3 * UNIT, 11], true);
    publish(&usage, "acme", "a.C", &[300, 100], false);
    let counts = take(&usage);
    let of = |event_type: &str| counts.published[&(Some("acme".into()), event_type.into(), false)];
    assert_eq!((of("a.B").entries, of("a.B").micro_units_per_call, of("a.B").units_per_entry), (5, 4_000_000, 7));
    // The failed entry has a quarter of the unit.
    assert_eq!((of("a.C").entries, of("a.C").bytes, of("a.C").micro_units_per_call), (1, 300, 750_000));
    assert_eq!(counts.seconds.values().map(|second| second.accepted).sum::<u64>(), 6);
}

#[test]
fn an_entry_is_just_over_if_it_is_at_most_a_tenth_larger_than_a_multiple_of_64_kib() {
    for (bytes, is_just_over) in [
        (0, false),
        (1, false),
        (UNIT, false),
        (UNIT + 1, true),
        (UNIT + UNIT / 10, true),
        (UNIT + UNIT / 10 + 1, false),
        (2 * UNIT, false),
        (2 * UNIT + UNIT / 5, true),
        (2 * UNIT + UNIT / 5 + 1, false),
    ] {
        assert_eq!(super::is_just_over(bytes as u64), is_just_over, "{bytes}");
    }
}

#[test]
fn further_customers_and_types_count_as_other() {
    let usage = usage();
    for customer in 0..MAX_CELLS + 5 {
        let customer: Arc<str> = format!("customer-{customer}").into();
        let call = Call { customer: Some(&customer), ..Call::new(Operation::PublishBatch, false) };
        usage.call(&call, CallEnd::Answered(Carried::sizes([10])));
        publish(&usage, &customer, "a.B", &[10], true);
    }
    publish(&usage, "customer-0", "a.B", &[10], true);
    let counts = take(&usage);
    let other = |customer: &Option<Arc<str>>| customer.as_deref() == Some(OTHER);
    let calls = |is_met: &dyn Fn(&Option<Arc<str>>) -> bool| {
        counts.calls.iter().filter(|(key, _)| is_met(&key.2)).map(|(_, cell)| cell.calls).sum::<u64>()
    };
    assert_eq!((counts.calls.len(), calls(&other), calls(&|_| true)), (MAX_CELLS + 1, 5, MAX_CELLS as u64 + 5));
    assert_eq!(counts.published.len(), MAX_CELLS + 1);
    assert_eq!(counts.published[&(Some(OTHER.into()), OTHER.into(), false)].entries, 5);
    assert_eq!(counts.published[&(Some("customer-0".into()), "a.B".into(), false)].entries, 2);
}

#[test]
fn further_throttled_calls_are_counted_and_not_described() {
    let usage = usage();
    for _ in 0..MAX_THROTTLES + 3 {
        throttled(&usage, 10);
    }
    let counts = take(&usage);
    assert_eq!((counts.throttles.len(), counts.throttles_left_out), (MAX_THROTTLES, 3));
    let throttled = 10 * (MAX_THROTTLES as u64 + 3);
    assert_eq!(counts.seconds, BTreeMap::from([(7, SecondCounts { throttled, ..SecondCounts::default() })]));
}

#[test]
fn a_settled_message_is_taken_once() {
    let key = || ("orders".to_owned(), "a.B".to_owned(), OutcomeLabel::Published);
    let usage = Usage::default();
    usage.begin(BTreeMap::from([(key(), 5)]));
    for (settled, taken) in [(5, None), (7, Some(2)), (7, None), (8, Some(1))] {
        let counts = usage.take(BTreeMap::from([(key(), settled)]));
        assert_eq!(counts.settled.get(&key()).copied(), taken);
    }
}
