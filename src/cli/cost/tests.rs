use super::*;
use crate::config::Prices;
use crate::store::counters::{Calls, Minute, Published, Settled};

/// 2026-11-28 12:00:00 UTC.
const NOON: i64 = 1_795_867_200_000_000;
const MINUTE: i64 = 60_000_000;

fn calls(service: &str, operation: &str, customer: Option<&str>, [calls, entries, kib]: [u64; 3]) -> Calls {
    Calls {
        service: service.into(),
        operation: operation.into(),
        customer: customer.map(str::to_owned),
        calls,
        entries,
        bytes: entries * kib * 1_024,
        units_per_call: calls.max(entries * kib / 64),
        units_per_entry: calls.max(entries * kib.div_ceil(64)),
        ..Calls::default()
    }
}

fn published(customer: &str, event_type: &str, [entries, kib, micro_units]: [u64; 3]) -> Published {
    Published {
        customer: Some(customer.into()),
        event_type: event_type.into(),
        entries,
        bytes: entries * kib * 1_024,
        micro_units_per_call: micro_units,
        units_per_entry: entries * kib.div_ceil(64),
        just_over: if kib > 64 { entries } else { 0 },
        ..Published::default()
    }
}

/// An hour of two replicas. pod-b has no counters of two minutes.
fn hour() -> Vec<Minute> {
    let settled = |event_type: &str, messages: u64| Settled {
        queue: "events".into(),
        event_type: event_type.into(),
        outcome: "published".into(),
        messages,
    };
    let minute = |(replica, number): (&str, u64)| Minute {
        replica: replica.into(),
        incarnation: "1".into(),
        number: number + 100,
        from: NOON + number.cast_signed() * MINUTE,
        to: NOON + (number.cast_signed() + 1) * MINUTE,
        calls: vec![
            calls("sns", "PublishBatch", Some("acme"), [6_000, 12_000, 2]),
            Calls { failed: 2, throttled: 2, ..calls("sns", "PublishBatch", Some("umbrella"), [900, 900, 66]) },
            Calls { empty: 120, ..calls("sqs", "ReceiveMessage", None, [1_410, 12_000, 1]) },
            calls("sqs", "DeleteMessageBatch", None, [1_250, 12_000, 0]),
            calls("sqs", "SendMessageBatch", None, [10, 10, 1]),
        ],
        published: vec![
            published("acme", "shop.v1.OrderPlaced", [10_000, 2, 5_000_000_000]),
            published("acme", "shop.v1.RefundIssued", [2_000, 2, 1_000_000_000]),
            published("umbrella", "shop.v1.OrderPlaced", [900, 66, 928_000_000]),
        ],
        settled: vec![settled("shop.v1.OrderPlaced", 10_000), settled("shop.v1.RefundIssued", 2_000)],
        ..Minute::default()
    };
    let pods = ["pod-a", "pod-b"].into_iter().flat_map(|pod| (0..60).map(move |number| (pod, number)));
    pods.filter(|minute| ![("pod-b", 17), ("pod-b", 18)].contains(minute)).map(minute).collect()
}

fn report(by: cost::By, minutes: &[Minute], stored: Option<Stored>) -> cost::Report {
    let prices = Prices::default();
    let basis = Basis { by, prices: &prices, linger_ms: 10, max_batch_bytes: 256 * 1_024, stored };
    cost::report(minutes, NOON..NOON + 60 * MINUTE, &basis).unwrap()
}

fn text(report: &cost::Report) -> String {
    let mut out = Vec::new();
    text::write(&mut out, report).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_example_of_the_document_is_what_the_command_prints() {
    let stored = Stored { objects: 236, bytes: 9_000_000, kept_days: 30 };
    let printed = text(&report(cost::By::Customer, &hour(), Some(stored)));
    let example = format!("```console\n$ protobridge cost --from 1h\n{printed}```\n");
    assert!(include_str!("../../../docs/reports.md").contains(&example), "docs/reports.md has no block\n{example}");
}

#[test]
fn rows_are_types_or_operations() {
    insta::assert_snapshot!(text(&report(cost::By::Type, &hour()[..2], None)), @"");
    insta::assert_snapshot!(text(&report(cost::By::Operation, &hour()[..2], None)), @"");
}

#[test]
fn csv_has_a_line_for_each_row_and_quotes_names() {
    let mut minutes = hour();
    minutes[0].calls[1].customer = Some("umbrella, \"inc\"".into());
    let mut out = Vec::new();
    csv::write(&mut out, &report(cost::By::Customer, &minutes[..1], None)).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @"");
}

#[test]
fn json_names_the_breaks_and_says_why_an_estimate_is_missing() {
    let minutes = [Minute { from: NOON, to: NOON + MINUTE, replica: "a".into(), ..Minute::default() }];
    let json = serde_json::to_value(report(cost::By::Customer, &minutes, None)).unwrap();
    insta::assert_snapshot!(json["coverage"], @"");
    insta::assert_snapshot!(json["what_if"]["linger"], @"");
}
