use std::time::Duration;

use super::*;
use crate::cli::demo::ledger::OWNERS;
use crate::message::QuarantineKind;
use crate::telemetry::QuarantinedLabels;

/// Ten events of acme's, one of them filtered and two quarantined, and two heartbeats for acme and initech.
fn summary() -> Summary {
    let mut tallies = [Tally::default(); OWNERS];
    tallies[0] = Tally { sent: 10, published: 7, filtered: 1, quarantined: 2, left: 0, missing: 0 };
    tallies[3] = Tally { sent: 2, published: 2, ..Tally::default() };
    let mut latency = Histogram::new(3).unwrap();
    latency.record_n(12_000, 9).unwrap();
    let nothing = Delivery { arrived: 0, again: 0, latency: Histogram::new(3).unwrap() };
    let delivery = |arrived| Delivery { arrived, again: 0, latency: latency.clone() };
    let quarantine = BTreeMap::from([("malformed_protobuf".to_owned(), 2)]);
    let demo = Totals {
        tallies,
        deliveries: vec![delivery(9), nothing, delivery(2)],
        strangers: 0,
        quarantine: quarantine.clone(),
        took: Duration::from_secs(2),
    };
    let service = Service {
        received: 13,
        published: 9,
        filtered: 1,
        quarantined: 2,
        duplicates: 0,
        retried: 1,
        reasons: quarantine,
        entries: [9, 0, 2],
        calls: BTreeMap::from([(Operation::PublishBatch, Calls { made: 5, failed: 1 })]),
    };
    Summary::new(demo, service, 0, false)
}

fn check(change: impl FnOnce(&mut Summary), expected: &[&str]) {
    let mut summary = summary();
    change(&mut summary);
    assert_eq!(summary.problems(), expected);
}

#[test]
fn a_sound_summary_adds_up() {
    check(|_| {}, &[]);
}

#[test]
fn an_event_that_got_lost_is_noticed() {
    check(
        |s| {
            s.demo.tallies[0].published -= 1;
            s.demo.tallies[0].missing += 1;
            s.demo.deliveries[0].arrived -= 1;
        },
        &[
            "1 events are nowhere to be found, or in two places",
            "acme: SNS confirmed 9 entries, but 8 arrived",
            "the service settled 12 messages, but 11 were to be settled",
        ],
    );
}

#[test]
fn what_is_left_on_the_queue_adds_up_only_after_an_interruption() {
    let left = |s: &mut Summary| {
        s.demo.tallies[0].sent += 3;
        s.demo.tallies[0].left += 3;
        s.left = 3;
    };
    check(left, &["3 messages are still on the queue"]);
    check(
        |s| {
            left(s);
            s.interrupted = true;
        },
        &[],
    );
    check(
        |s| s.left = 1,
        &["1 messages are on the queue, but 0 of them were found", "1 messages are still on the queue"],
    );
}

#[test]
fn what_the_service_claims_has_to_be_there() {
    check(
        |s| *s.service.reasons.entry("malformed_protobuf".to_owned()).or_default() += 1,
        &[
            r#"the service quarantined {"malformed_protobuf": 3}, but the quarantine queue has {"malformed_protobuf": 2}"#,
        ],
    );
    check(|s| s.service.entries[2] += 1, &["initech: SNS confirmed 3 entries, but 2 arrived"]);
    check(|s| s.service.retried = 0, &["the service received 13, but settled 12 and gave 0 back"]);
}

#[test]
fn what_comes_twice_or_from_somebody_else_still_adds_up() {
    check(
        |s| {
            s.demo.deliveries[0].again += 1;
            s.service.entries[0] += 1;
            s.service.published += 1;
            s.service.received += 1;
        },
        &[],
    );
    check(
        |s| {
            s.demo.strangers += 1;
            s.demo.deliveries[0].arrived += 1;
            s.service.entries[0] += 1;
            s.service.published += 1;
            s.service.received += 1;
        },
        &[],
    );
}

#[test]
fn the_table_shows_every_column() {
    insta::assert_snapshot!(summary().render(false).trim(), @"
    Events
     customer    received  published  filtered  quarantined
     acme              10          7         1            2
     globex             0          0         0            0
     initech            0          0         0            0
     heartbeats         2          2         0            0
     all               12          9         1            2

    Deliveries
     customer  published  arrived  twice  p50 ms  p95 ms  p99 ms  max ms
     acme              9        9      0    12.0    12.0    12.0    12.0
     globex            0        0      0       -       -       -       -
     initech           2        2      0    12.0    12.0    12.0    12.0
     all              11       11      0    12.0    12.0    12.0    12.0

    Calls
     operation         calls  failed
     sns PublishBatch      5       1

    Quarantined: malformed_protobuf 2
    13 messages received, 1 of them given back to be tried again
    10 events published or filtered in 2.0 s: 5 a second
    ");
}

#[test]
fn reasons_for_which_nothing_was_quarantined_are_not_counted() {
    let metrics = Metrics::new(true);
    metrics.start_at_zero(["events"]);
    let labels = QuarantinedLabels { queue: "events", reason: QuarantineKind::UnknownType };
    metrics.quarantined.with(&labels).add(2);
    assert_eq!(Service::new(&metrics).reasons, BTreeMap::from([("unknown_type".to_owned(), 2)]));
}
