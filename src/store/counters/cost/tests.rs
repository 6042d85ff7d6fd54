use super::what_if::{EmptyReceives, Estimate, JustOver};
use super::*;
use crate::store::counters::{Published, Settled};

const MINUTE: i64 = 60_000_000;

fn prices() -> Prices {
    let day = "2026-11-01".to_owned();
    // Numbers that no other price is a multiple of.
    Prices { as_of: day, sns_standard: 0.5, sqs_standard: 0.4, sqs_fifo: 0.7, ..Prices::default() }
}

fn basis(prices: &Prices, by: By) -> Basis<'_> {
    Basis { by, prices, linger_ms: 10, max_batch_bytes: 256 * 1024, stored: None }
}

fn calls(operation: &str, customer: Option<&str>, [answered, entries, per_call, per_entry]: [u64; 4]) -> Calls {
    let service = if operation == "PublishBatch" { "sns" } else { "sqs" };
    Calls {
        service: service.into(),
        operation: operation.into(),
        customer: customer.map(str::to_owned),
        calls: answered,
        entries,
        bytes: entries * 2_000,
        units_per_call: per_call,
        units_per_entry: per_entry,
        ..Calls::default()
    }
}

fn published(customer: &str, event_type: &str, entries: u64, micro_units: u64) -> Published {
    Published {
        customer: Some(customer.into()),
        event_type: event_type.into(),
        entries,
        bytes: entries * 2_000,
        micro_units_per_call: micro_units,
        units_per_entry: entries,
        ..Published::default()
    }
}

fn settled(event_type: &str, outcome: &str, messages: u64) -> Settled {
    Settled { queue: "events".into(), event_type: event_type.into(), outcome: outcome.into(), messages }
}

/// Two replicas that were counted in the same minute.
fn minutes() -> Vec<Minute> {
    let minute = |replica: &str| Minute { replica: replica.into(), to: MINUTE, is_last: true, ..Minute::default() };
    let one = Minute {
        calls: vec![
            calls("PublishBatch", Some("acme"), [100, 600, 100, 600]),
            calls("PublishBatch", Some("umbrella"), [50, 100, 50, 100]),
            Calls { empty: 40, ..calls("ReceiveMessage", None, [200, 500, 200, 540]) },
            calls("DeleteMessageBatch", None, [60, 500, 60, 500]),
        ],
        published: vec![
            published("acme", "shop.v1.OrderPlaced", 600, 100_000_000),
            published("umbrella", "shop.v1.OrderPlaced", 60, 30_000_000),
            published("umbrella", "shop.v1.Refund", 40, 20_000_000),
        ],
        settled: vec![settled("shop.v1.OrderPlaced", "published", 480), settled("shop.v1.Refund", "filtered", 20)],
        ..minute("pod-a")
    };
    let two = Minute {
        calls: vec![
            Calls { failed: 7, throttled: 5, ..calls("PublishBatch", Some("acme"), [20, 200, 20, 200]) },
            calls("SendMessageBatch", None, [3, 10, 3, 10]),
        ],
        published: vec![published("acme", "shop.v1.Refund", 100, 10_000_000)],
        settled: vec![settled("shop.v1.Refund", "published", 100), settled("unknown", "quarantined", 10)],
        ..minute("pod-b")
    };
    vec![one, two]
}

fn report_by(by: By) -> Report {
    report(&minutes(), 0..MINUTE, &basis(&prices(), by)).unwrap()
}

/// Returns names and money, in millionths.
fn money_of(report: &Report) -> Vec<(&str, f64, f64)> {
    let micro = |money: f64| (money * 1e9).round() / 1e3;
    let rows = report.rows.iter().chain([&report.total]);
    rows.map(|row| (row.name.as_str(), micro(row.money.per_call), micro(row.money.per_entry))).collect()
}

fn readings(per_call: f64, per_entry: f64) -> Readings {
    Readings { per_call, per_entry }
}

#[test]
fn a_customer_pays_its_calls_and_a_share_of_sqs_by_deliveries() {
    let report = report_by(By::Customer);
    // The shared SQS: 200 - 40 + 60 = 220 units per call, 540 - 40 + 500 = 1,000 per entry; acme has 700 of 800.
    assert_eq!(
        money_of(&report),
        [
            ("acme", 60.0 + 77.0, 400.0 + 350.0),
            ("umbrella", 25.0 + 11.0, 50.0 + 50.0),
            ("(empty receives)", 16.0, 16.0),
            ("(quarantine)", 1.2, 4.0),
            ("total", 190.2, 870.0),
        ]
    );
    let acme = &report.rows[0];
    assert_eq!((acme.units, acme.deliveries, acme.events), (Some(readings(120.0, 800.0)), Some(700), None));
    assert_eq!(acme.batch_fill, Some(800.0 / 120.0));
    let per_million = acme.money_per_million.unwrap();
    assert!(
        (per_million.per_call - 137.0 / 700.0).abs() < 1e-12 && (per_million.per_entry - 750.0 / 700.0).abs() < 1e-12
    );
    let total = &report.total;
    assert_eq!((total.events, total.deliveries, total.objects), (Some(580), Some(800), None));
    assert_eq!((total.units, total.batch_fill), (Some(readings(170.0, 900.0)), Some(900.0 / 170.0)));
    assert_eq!((report.failed_calls, report.throttled_calls), (7, 5));
}

#[test]
fn the_sum_by_type_is_the_sum_by_customer() {
    let report = report_by(By::Type);
    // OrderPlaced has 660 of 800 deliveries. acme's second calls have 100 entries that SNS did not confirm.
    assert_eq!(
        money_of(&report),
        [
            ("shop.v1.OrderPlaced", 65.0 + 72.6, 330.0 + 330.0),
            ("shop.v1.Refund", 15.0 + 15.4, 70.0 + 70.0),
            ("(empty receives)", 16.0, 16.0),
            ("(quarantine)", 1.2, 4.0),
            ("(entries that SNS did not confirm)", 5.0, 50.0),
            ("total", 190.2, 870.0),
        ]
    );
    let events: Vec<_> = report.rows.iter().map(|row| (row.events, row.deliveries)).collect();
    assert_eq!(events[..3], [(Some(480), Some(660)), (Some(100), Some(140)), (None, None)]);
}

#[test]
fn the_sum_by_operation_is_the_same_and_has_the_calls() {
    let report = report_by(By::Operation);
    assert_eq!(
        money_of(&report),
        [
            ("sns PublishBatch", 85.0, 450.0),
            ("sqs ReceiveMessage", 80.0, 216.0),
            ("sqs DeleteMessageBatch", 24.0, 200.0),
            ("sqs SendMessageBatch", 1.2, 4.0),
            ("total", 190.2, 870.0),
        ]
    );
    assert_eq!(report.rows.iter().map(|row| row.calls).collect::<Vec<_>>(), [170, 200, 60, 3].map(Some));
    assert_eq!((report.total.calls, report.total.units, report.total.deliveries), (Some(433), None, None));
}

#[test]
fn fifo_topics_and_queues_have_their_own_prices_and_topics_pay_for_bytes() {
    let fifo = |calls: Calls| Calls { fifo: true, ..calls };
    let gb = Calls { bytes: 1 << 30, ..calls("PublishBatch", Some("acme"), [1_000, 10_000, 10_000, 20_000]) };
    let minute = Minute {
        calls: vec![fifo(gb), fifo(calls("DeleteMessageBatch", None, [10, 100, 10, 100]))],
        published: vec![Published { fifo: true, ..published("acme", "a.B", 10_000, 0) }],
        to: MINUTE,
        ..Minute::default()
    };
    let report = report(&[minute], 0..MINUTE, &basis(&prices(), By::Customer)).unwrap();
    let expected = [("acme", 3_000.0 + 17_000.0 + 7.0, 6_000.0 + 17_000.0 + 70.0), ("total", 20_007.0, 23_070.0)];
    assert_eq!(money_of(&report), expected);
}

#[test]
fn what_is_received_without_a_delivery_is_a_row_of_its_own_and_so_are_other_calls() {
    let other = |service: &str, operation: &str| Calls {
        service: service.into(),
        ..calls(operation, None, [1_000, 0, 1_000, 1_000])
    };
    let minute = Minute {
        calls: vec![
            calls("ReceiveMessage", None, [10, 100, 10, 100]),
            other("sns", "GetTopicAttributes"),
            other("s3", "GetObject"),
        ],
        to: MINUTE,
        ..Minute::default()
    };
    let report = report(&[minute], 0..MINUTE, &basis(&prices(), By::Customer)).unwrap();
    assert_eq!(
        money_of(&report),
        [
            ("(receives and deletes without a delivery)", 4.0, 40.0),
            ("(other calls)", 500.0 + 400.0, 900.0),
            ("total", 904.0, 940.0),
        ]
    );
    assert_eq!(report.total.money_per_million, None);
    assert_eq!(report.what_if.linger, Estimate::Unknown { why: "no call to PublishBatch was counted".into() });
}

#[test]
fn a_store_in_s3_costs_a_put_per_object_and_its_storage() {
    let prices = prices();
    let stored = Some(Stored { objects: 2_000, bytes: 1 << 31, kept_days: 60 });
    let report = report(&minutes(), 0..MINUTE, &Basis { stored, ..basis(&prices, By::Customer) }).unwrap();
    let store = report.rows.last().unwrap();
    assert_eq!((store.name.as_str(), store.objects), ("(store)", Some(2_000)));
    let expected = 2.0 * 0.005 + 2.0 * 0.023 * 2.0;
    assert!((store.money.per_call - expected).abs() < 1e-12 && store.money.per_call == store.money.per_entry);
    assert_eq!(report.total.objects, Some(2_000));
    assert!((report.total.money.per_call - expected - 190.2e-6).abs() < 1e-12);
}

#[test]
fn a_minute_that_is_missing_is_named_and_not_counted_as_zero() {
    let minute = |number: u64, from: i64| Minute {
        replica: "pod-b".into(),
        number,
        from: from * MINUTE,
        to: (from + 1) * MINUTE,
        ..Minute::default()
    };
    let report = report(&[minute(0, 0), minute(2, 2)], 0..3 * MINUTE, &basis(&prices(), By::Customer)).unwrap();
    let [gap] = report.coverage.breaks.as_slice() else { panic!("{:?}", report.coverage) };
    assert_eq!((gap.replica.as_str(), gap.from, gap.to), ("pod-b", MINUTE, 2 * MINUTE));
}

#[test]
fn without_counters_there_is_no_report() {
    assert_eq!(report(&[], 0..MINUTE, &basis(&prices(), By::Customer)), None);
    assert_eq!(report(&minutes(), MINUTE..2 * MINUTE, &basis(&prices(), By::Customer)), None);
}

/// Returns the calls of now and of a longer linger, and the saved money in millionths.
fn longer(basis: &Basis<'_>, published: Calls) -> (u64, f64, f64) {
    let minute = Minute { calls: vec![published], to: MINUTE, ..Minute::default() };
    let report = report(&[minute], 0..MINUTE, basis).unwrap();
    let Estimate::Known(linger) = report.what_if.linger else { panic!("{:?}", report.what_if) };
    assert_eq!((linger.now_ms, linger.then_ms, linger.saved.per_entry, linger.share.per_entry), (10, 200, 0.0, 0.0));
    (linger.calls_now, linger.calls_then, (linger.saved.per_call * 1e9).round() / 1e3)
}

#[test]
fn a_longer_linger_fills_batches_as_far_as_the_rate_the_bytes_and_the_limit_of_ten_allow() {
    let prices = prices();
    let basis = basis(&prices, By::Customer);
    let publish =
        |[answered, entries]: [u64; 2]| calls("PublishBatch", Some("a"), [answered, entries, answered, entries]);
    // 5 per second: one more arrives in 200 ms.
    assert_eq!(longer(&basis, publish([300, 300])), (300, 150.0, 75.0));
    // 100 per second: the limit of ten.
    assert_eq!(longer(&basis, publish([3_000, 6_000])), (3_000, 600.0, 1_200.0));
    // A burst has filled them more than an even arrival would.
    assert_eq!(longer(&basis, publish([30, 240])), (30, 30.0, 0.0));
    // 64 KiB each: four fit into a batch, and each is a unit of its own anyway.
    let large = Calls { bytes: 6_000 * 65_536, units_per_call: 6_000, ..publish([3_000, 6_000]) };
    assert_eq!(longer(&basis, large), (3_000, 1_500.0, 0.0));
    // Half of that: what the calls save is limited by the bytes.
    let half = Calls { bytes: 6_000 * 32_768, units_per_call: 6_000, ..publish([6_000, 6_000]) };
    assert_eq!(longer(&basis, half), (6_000, 750.0, 1_500.0));
}

#[test]
fn a_linger_that_is_long_already_has_no_estimate() {
    let prices = prices();
    let basis = Basis { linger_ms: 200, ..basis(&prices, By::Customer) };
    let report = report(&minutes(), 0..MINUTE, &basis).unwrap();
    assert_eq!(report.what_if.linger, Estimate::Unknown { why: "publish.linger_ms is 200 already".into() });
}

#[test]
fn payloads_just_over_a_unit_and_empty_receives_have_their_share() {
    let mut minutes = minutes();
    minutes[0].published[0].just_over = 60;
    minutes[1].published[0].just_over = 40;
    minutes[1].published[0].units_per_entry = 200;
    let what_if = report(&minutes, 0..MINUTE, &basis(&prices(), By::Type)).unwrap().what_if;
    let JustOver { customer, payloads, saved_per_entry, share_per_entry } = &what_if.just_over[0];
    assert_eq!((what_if.just_over.len(), customer.as_str(), *payloads), (1, "acme", 100));
    assert!((saved_per_entry - 50e-6).abs() < 1e-12 && (share_per_entry - 100.0 / 800.0).abs() < 1e-12);
    let EmptyReceives { calls, share, .. } = what_if.empty_receives;
    assert_eq!(calls, 40);
    assert!((share.per_call - 16.0 / 190.2).abs() < 1e-9 && (share.per_entry - 16.0 / 870.0).abs() < 1e-9);
}
