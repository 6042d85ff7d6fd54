use std::time::Duration;

use super::*;
use crate::cli::demo::ledger::OWNERS;
use crate::cli::demo::states::Observer;
use crate::cli::embedded::samples::DATABASE;
use crate::message::QuarantineKind;
use crate::telemetry::QuarantinedLabels;

/// A summary in which all counts agree: ten events of acme, one of them filtered and two quarantined, and two
/// heartbeats, which acme and initech receive. One source flows, and the other one is stale.
fn summary() -> Summary {
    let mut tallies = [Tally::default(); OWNERS];
    tallies[0] = Tally { sent: 10, published: 7, filtered: 1, quarantined: 2, left: 0, missing: 0 };
    tallies[3] = Tally { sent: 2, published: 2, ..Tally::default() };
    let mut latency = Histogram::new(3).unwrap();
    latency.record_n(12_000, 9).unwrap();
    let nothing = Delivery { arrived: 0, duplicates: 0, latency: Histogram::new(3).unwrap() };
    let delivery = |arrived| Delivery { arrived, duplicates: 0, latency: latency.clone() };
    let quarantine = BTreeMap::from([("malformed_protobuf".to_owned(), 2)]);
    let demo = Totals {
        tallies,
        deliveries: vec![delivery(9), nothing, delivery(2)],
        foreign: 0,
        repeated: 0,
        replayed: 0,
        quarantine: quarantine.clone(),
        duration: Duration::from_secs(2),
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
        sources: vec![
            source("shop-backend", "flowing", [Some(100), None, None]),
            source(DATABASE, "stale", [100, 4_100, 6_150].map(Some)),
        ],
    };
    Summary::new(demo, service, (0, 0), false)
}

/// A source that was heard once. The times of its states are in milliseconds.
fn source(name: &str, state: &str, since: [Option<u64>; 3]) -> SourceAccount {
    let since = since.map(|millis| millis.map(Duration::from_millis));
    SourceAccount { name: name.to_owned(), state: state.to_owned(), heartbeats: 1, age: Some(2.04), since }
}

/// Applies a change to the summary, and checks which problems it finds.
fn check(change: impl FnOnce(&mut Summary), expected: &[&str]) {
    let mut summary = summary();
    change(&mut summary);
    assert_eq!(summary.problems(), expected);
}

#[test]
fn a_summary_in_which_all_counts_agree_has_no_problems() {
    check(|_| {}, &[]);
}

#[test]
fn a_lost_event_is_a_problem() {
    check(
        |s| {
            s.demo.tallies[0].published -= 1;
            s.demo.tallies[0].missing += 1;
            s.demo.deliveries[0].arrived -= 1;
        },
        &[
            "1 events have no outcome, or more than one",
            "acme: SNS confirmed 9 entries, but 8 arrived",
            "the service settled 12 messages, but should have settled 11",
        ],
    );
}

#[test]
fn messages_left_on_the_queue_are_a_problem_unless_the_demo_was_interrupted() {
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
        &["the queue reports 1 messages, but 0 were found on it", "1 messages are still on the queue"],
    );
}

#[test]
fn a_service_metric_that_disagrees_with_the_ledger_is_a_problem() {
    check(
        |s| *s.service.reasons.entry("malformed_protobuf".to_owned()).or_default() += 1,
        &[
            r#"the service counts {"malformed_protobuf": 3} in quarantine, but the quarantine queue holds {"malformed_protobuf": 2}"#,
        ],
    );
    check(|s| s.service.entries[2] += 1, &["initech: SNS confirmed 3 entries, but 2 arrived"]);
    check(|s| s.service.retried = 0, &["the service received 13 messages, but settled 12 and retried 0"]);
}

#[test]
fn a_heartbeat_that_the_service_did_not_hear_is_a_problem_unless_it_could_not_be_recognized() {
    check(|s| s.service.sources[1].heartbeats = 0, &["the sources sent 2 heartbeats, but the service heard 1"]);
    let quarantined = |s: &mut Summary| {
        s.service.sources[1].heartbeats = 0;
        s.demo.tallies[3] = Tally { sent: 2, published: 1, quarantined: 1, ..Tally::default() };
    };
    check(quarantined, &[]);
}

#[test]
fn a_demo_that_ends_before_the_database_is_stale_has_a_remark() {
    let mut summary = summary();
    assert!(!summary.render(false).contains("ended while"));
    summary.service.sources[1].state = "quiet".to_owned();
    let remark = "The demo ended while shop-db-eu-1 was quiet; it shows a stale source with --events 2000\n";
    assert!(summary.render(false).ends_with(remark), "{}", summary.render(false));
}

#[test]
fn duplicates_and_foreign_events_are_no_problem() {
    check(
        |s| {
            s.demo.deliveries[0].duplicates += 1;
            s.service.entries[0] += 1;
            s.service.published += 1;
            s.service.received += 1;
        },
        &[],
    );
    check(
        |s| {
            s.demo.foreign += 1;
            s.demo.deliveries[0].arrived += 1;
            s.service.entries[0] += 1;
            s.service.published += 1;
            s.service.received += 1;
        },
        &[],
    );
}

#[test]
fn the_summary_is_rendered_with_every_table_and_remark() {
    insta::assert_snapshot!(summary().render(false).trim(), @"
    Events
     customer    received  published  filtered  quarantined
     acme              10          7         1            2
     globex             0          0         0            0
     initech            0          0         0            0
     heartbeats         2          2         0            0
     all               12          9         1            2

    Deliveries
     customer  published  arrived  duplicates  p50 ms  p95 ms  p99 ms  max ms
     acme              9        9           0    12.0    12.0    12.0    12.0
     globex            0        0           0       -       -       -       -
     initech           2        2           0    12.0    12.0    12.0    12.0
     all              11       11           0    12.0    12.0    12.0    12.0

    Sources
     source        state    heartbeats  age s  flowing at s  quiet at s  stale at s
     shop-backend  flowing           1    2.0           0.1           -           -
     shop-db-eu-1  stale             1    2.0           0.1         4.1         6.2

    AWS calls
     operation         calls  failed
     sns PublishBatch      5       1

    Quarantined: malformed_protobuf 2
    13 messages received, 1 of them returned to the queue for a retry
    8 events published or filtered in 2.0 s: 4 per second
    ");
}

#[test]
fn reasons_without_a_quarantined_message_are_left_out() {
    let metrics = Metrics::new(true);
    metrics.start_at_zero(["events"]);
    let labels = QuarantinedLabels { queue: "events", reason: QuarantineKind::UnknownType };
    metrics.quarantined.with(&labels).add(2);
    let (_observer, states) = Observer::new("http://127.0.0.1:1");
    assert_eq!(Service::new(&metrics, &states).reasons, BTreeMap::from([("unknown_type".to_owned(), 2)]));
}

#[test]
fn an_event_that_was_sent_twice_must_be_suppressed_once() {
    let mut summary = summary();
    summary.demo.repeated = 2;
    let problems = summary.problems();
    assert_eq!(problems, ["the producer sent 2 events twice, but the service suppressed 0 messages as duplicates"]);
    summary.service.duplicates = 2;
    summary.service.received += 2;
    assert_eq!(summary.problems(), [""; 0]);
}
