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
    insta::assert_snapshot!(text(&report(cost::By::Type, &hour()[..2], None)), @"
    cost from 2026-11-28 12:00:00 to 12:02:00 UTC, 1 replica(s), in USD at the prices of 2026-11-01

    EVENT TYPE            EVENTS  DELIVERIES      SNS UNITS   SHARE OF SQS            USD          USD/M  FILL/10
    shop.v1.OrderPlaced   20,000      21,800  11,856–23,600  0.0017–0.0089  0.0076–0.0207  0.3507–0.9484        -
    shop.v1.RefundIssued   4,000       4,000    2,000–4,000  0.0003–0.0016  0.0013–0.0036  0.3288–0.9071        -
    (empty receives)           -           -              -         0.0001         0.0001              -        -
    (quarantine)               -           -              -         0.0000         0.0000              -        -
    total                 24,000      25,800  13,856–27,600  0.0021–0.0106  0.0091–0.0244  0.3513–0.9460      1.9

    what if:
      publish.linger_ms 10 → 200: about 2,864 calls to publish instead of 13,800
        −53.0 % of the cost if AWS rounds calls up; nothing if it rounds entries up
      smaller payloads for umbrella, such as without emit_defaults: 1,800 are just over 64 KiB
        −50.0 % of its SNS cost if AWS rounds entries up; unknown if it rounds calls up
      no empty receives: 240 fewer calls, −0.4–1.1 % of the cost

    assumptions:
      low–high: AWS bills each 64 KiB of a request, and does not document how it rounds a batch up;
        the low number rounds a call up in total, the high one each of its entries
      FILL/10: the mean number of entries per call to publish, of at most ten
      SQS is shared in proportion to the deliveries, apart from empty receives and quarantine
      store: a folder, which costs no request
      not included: 4 failed call(s), of which AWS throttled 4;
        AWS does not document whether it bills these
      not included: SNS deliveries to endpoints other than SQS, KMS, data transfer, free tiers
    no counters of pod-a between 2026-11-28 12:02:00 and 13:00:00 (it died, or they are lost): its cost then is unknown
    ");
    insta::assert_snapshot!(text(&report(cost::By::Operation, &hour()[..2], None)), @"
    cost from 2026-11-28 12:00:00 to 12:02:00 UTC, 1 replica(s), in USD at the prices of 2026-11-01

    OPERATION                CALLS          UNITS            USD          USD/M  FILL/10
    sns PublishBatch        13,800  13,856–27,600  0.0069–0.0138              -      1.9
    sqs ReceiveMessage       2,820   2,820–24,000  0.0011–0.0096              -        -
    sqs DeleteMessageBatch   2,500          2,500         0.0010              -        -
    sqs SendMessageBatch        20             20         0.0000              -        -
    total                   19,140              -  0.0091–0.0244  0.3513–0.9460      1.9

    what if:
      publish.linger_ms 10 → 200: about 2,864 calls to publish instead of 13,800
        −53.0 % of the cost if AWS rounds calls up; nothing if it rounds entries up
      smaller payloads for umbrella, such as without emit_defaults: 1,800 are just over 64 KiB
        −50.0 % of its SNS cost if AWS rounds entries up; unknown if it rounds calls up
      no empty receives: 240 fewer calls, −0.4–1.1 % of the cost

    assumptions:
      low–high: AWS bills each 64 KiB of a request, and does not document how it rounds a batch up;
        the low number rounds a call up in total, the high one each of its entries
      FILL/10: the mean number of entries per call to publish, of at most ten
      store: a folder, which costs no request
      not included: 4 failed call(s), of which AWS throttled 4;
        AWS does not document whether it bills these
      not included: SNS deliveries to endpoints other than SQS, KMS, data transfer, free tiers
    no counters of pod-a between 2026-11-28 12:02:00 and 13:00:00 (it died, or they are lost): its cost then is unknown
    ");
}

#[test]
fn csv_has_a_line_for_each_row_and_quotes_names() {
    let mut minutes = hour();
    minutes[0].calls[1].customer = Some("umbrella, \"inc\"".into());
    let mut out = Vec::new();
    csv::write(&mut out, &report(cost::By::Customer, &minutes[..1], None)).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    name,calls,events,deliveries,units_low,units_high,sqs_low,sqs_high,objects,money_low,money_high,money_per_million_low,money_per_million_high,batch_fill,currency
    acme,,,12000,6000,12000,0.000945116,0.004885581,,0.003945116,0.010885581,0.32875969,0.907131783,2,USD
    "umbrella, ""inc""",,,,928,1800,0,0,,0.000464,0.0009,,,1,USD
    umbrella,,,900,,,0.000070884,0.000366419,,0.000070884,0.000366419,0.07875969,0.407131783,,USD
    (empty receives),,,,,,0.000048,0.000048,,0.000048,0.000048,,,,USD
    (quarantine),,,,,,0.000004,0.000004,,0.000004,0.000004,,,,USD
    total,,12000,12900,6928,13800,0.001068,0.005304,,0.004532,0.012204,0.351317829,0.946046512,1.869565217,USD
    "#);
}

#[test]
fn json_names_the_breaks_and_says_why_an_estimate_is_missing() {
    let minutes = [Minute { from: NOON, to: NOON + MINUTE, replica: "a".into(), ..Minute::default() }];
    let json = serde_json::to_value(report(cost::By::Customer, &minutes, None)).unwrap();
    insta::assert_snapshot!(json["coverage"], @r#"{"from":"2026-11-28T12:00:00Z","to":"2026-11-28T12:01:00Z","replicas":["a"],"objects":1,"breaks":[{"replica":"a","from":"2026-11-28T12:01:00Z","to":"2026-11-28T13:00:00Z","kind":"after"}],"not_stored_after":null}"#);
    insta::assert_snapshot!(json["what_if"]["linger"], @r#"{"why":"no call to PublishBatch was counted"}"#);
}

#[tokio::test]
async fn objects_are_counted_by_when_they_were_written_in_the_folders_of_journal_and_counters() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().to_owned()).unwrap();
    let before = SystemTime::now();
    let hour = jiff::Timestamp::try_from(before).unwrap().strftime("date=%Y-%m-%d/hour=%H").to_string();
    for key in ["counters/v1/HOUR/a.json", "journal/v1/HOUR/b.parquet", "archive/v1/HOUR/c", "journal/v1/hour=0/d"] {
        store.put(&key.replace("HOUR", &hour), vec![0; 7].into()).await.unwrap();
    }
    let (now, minute) = (micros(before), 60_000_000);
    assert_eq!(written(&store, &(now - minute..now + minute)).await.unwrap(), (2, 14));
    assert_eq!(written(&store, &(now - 3 * minute..now - minute)).await.unwrap(), (0, 0));
    assert_eq!(stored(&store, &(now - minute..now + minute), 30).await.unwrap(), None);
}
