use std::slice::from_ref;

use super::*;
use crate::store::counters::{Calls, Throttle};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:json-events-acme";

/// Returns a minute of a replica: where it begins and ends, in seconds, and its seconds as attempted, accepted and
/// throttled.
fn minute(replica: &str, span: Range<i64>, seconds: &[(i64, [u64; 3])]) -> Minute {
    let second =
        |&(at, [attempted, accepted, throttled]): &(i64, [u64; 3])| (at, Second { attempted, accepted, throttled });
    Minute {
        replica: replica.into(),
        incarnation: replica.into(),
        number: (span.start / 60).unsigned_abs(),
        from: span.start * SECOND,
        to: span.end * SECOND,
        region: Some("eu-west-1".into()),
        seconds: seconds.iter().map(second).collect(),
        ..Minute::default()
    }
}

fn throttle(at: i64, code: &str, messages: u64, rate: f64) -> Throttle {
    let request_id = Some(format!("request-{at}"));
    Throttle {
        at: at * SECOND / 10,
        topic: TOPIC.into(),
        code: code.into(),
        request_id,
        messages,
        whole_call: true,
        rate,
    }
}

fn report_of(minutes: &[Minute]) -> Report {
    report(minutes, 0..1_000 * MINUTE, None, None).unwrap()
}

/// A rate and the second in which its span begins.
type Span = Option<(f64, i64)>;

fn highest_of(report: &Report) -> Vec<(i64, Span, Span)> {
    let rate = |rate: Option<Rate>| rate.map(|rate| (rate.per_second, rate.from / SECOND));
    report.highest.iter().map(|highest| (highest.seconds, rate(highest.held), rate(highest.any))).collect()
}

#[test]
fn the_seconds_of_all_replicas_are_added_by_minute_of_utc() {
    let report = report_of(&[
        minute("a", 0..60, &[(10, [300, 200, 100]), (59, [60, 60, 0])]),
        minute("b", 30..60, &[(59, [40, 40, 0])]),
        // An answer of the minute before that was counted in this one.
        minute("b", 60..120, &[(59, [0, 20, 0]), (60, [30, 30, 0])]),
    ]);
    let minutes: Vec<_> = report
        .minutes
        .iter()
        .map(|minute| (minute.at / SECOND, minute.seconds, minute.attempted, minute.accepted, minute.throttled))
        .collect();
    assert_eq!(minutes, [(0, 60.0, 400, 320, 100), (60, 60.0, 30, 30, 0)]);
}

#[test]
fn a_part_of_a_minute_has_the_rate_of_its_part() {
    let report = report_of(&[minute("a", 45..60, &[(50, [30, 30, 0])]), minute("a", 60..62, &[])]);
    let seconds: Vec<_> = report.minutes.iter().map(|minute| (minute.at / SECOND, minute.seconds)).collect();
    assert_eq!(seconds, [(0, 15.0), (60, 2.0)]);
}

#[test]
fn the_highest_rates_cross_the_borders_of_minutes_and_replicas() {
    let report = report_of(&[
        minute("a", 0..60, &[(5, [700, 700, 0]), (55, [500, 500, 0]), (59, [300, 300, 0])]),
        Minute { number: 0, ..minute("b", 60..120, &[(60, [600, 600, 0]), (64, [100, 100, 0]), (65, [90, 90, 0])]) },
        minute("a", 60..120, &[(60, [200, 200, 0])]),
    ]);
    let seconds = [
        (1, Some((800.0, 60)), Some((800.0, 60))),
        (10, Some((170.0, 55)), Some((170.0, 55))),
        (60, Some((2_400.0 / 60.0, 5)), Some((2_400.0 / 60.0, 5))),
    ];
    assert_eq!(highest_of(&report), seconds);
}

#[test]
fn a_rate_holds_only_without_a_throttle_in_its_span() {
    let mut with_throttles = minute("b", 0..120, &[(20, [950, 900, 50])]);
    with_throttles.throttles = vec![throttle(705, "Throttled", 10, 0.0)];
    let report = report_of(&[
        minute("a", 0..120, &[(15, [100, 100, 0]), (20, [100, 100, 0]), (21, [600, 600, 0]), (70, [650, 650, 0])]),
        with_throttles,
    ]);
    let highest = highest_of(&report);
    assert_eq!(highest[0], (1, Some((600.0, 21)), Some((1_000.0, 20))));
    assert_eq!(highest[1], (10, Some((60.0, 21)), Some((170.0, 12))));
    // Between the throttles in seconds 20 and 70 are 49 seconds, and after them 49.
    assert_eq!(highest[2], (60, None, Some((2_350.0 / 60.0, 11))));
}

#[test]
fn a_span_with_missing_counters_is_not_taken_as_held() {
    let lost = [minute("a", 0..60, &[(30, [400, 400, 0])]), minute("a", 120..180, &[(120, [500, 500, 0])])];
    let report = report(&lost, 0..180 * SECOND, None, None).unwrap();
    assert_eq!(report.coverage.breaks.len(), 1);
    let highest = highest_of(&report);
    assert_eq!(highest[1], (10, Some((50.0, 120)), Some((50.0, 111))));
    assert_eq!(highest[2], (60, Some((500.0 / 60.0, 120)), Some((500.0 / 60.0, 61))));
}

#[test]
fn less_counted_time_than_the_span_has_no_rate() {
    let report = report_of(&[minute("a", 0..9, &[(3, [5, 5, 0])])]);
    assert_eq!(highest_of(&report), [(1, Some((5.0, 3)), Some((5.0, 3))), (10, None, None), (60, None, None)]);
}

/// Two replicas with throttles, of which one lacks details.
fn throttled() -> Vec<Minute> {
    let mut one = minute("a", 0..60, &[(9, [3_000, 3_000, 0]), (10, [3_500, 2_900, 600])]);
    one.throttles = vec![throttle(105, "Throttled", 10, 5_100.0), throttle(108, "KMSThrottling", 5, 1.0)];
    one.throttles_left_out = 3;
    one.calls = vec![Calls { operation: "PublishBatch".into(), throttled: 7, ..Calls::default() }];
    let mut two = minute("b", 0..60, &[(10, [3_300, 3_100, 200]), (30, [10, 10, 20])]);
    two.throttles = vec![throttle(101, "Throttled", 10, 0.0), throttle(302, "ThrottlingException", 2, 0.0)];
    two.throttles[1].whole_call = false;
    vec![two, one]
}

#[test]
fn a_throttle_has_the_rate_over_all_replicas() {
    let report = report_of(&throttled());
    let throttles: Vec<_> = report
        .throttles
        .iter()
        .map(|throttle| (throttle.at, throttle.replica.as_str(), throttle.code.as_str(), throttle.rate))
        .collect();
    assert_eq!(
        throttles,
        [
            (10_100_000, "b", "Throttled", 6_000.0),
            (10_500_000, "a", "Throttled", 6_000.0),
            (10_800_000, "a", "KMSThrottling", 6_000.0),
            (30_200_000, "b", "ThrottlingException", 10.0),
        ]
    );
    let codes: Vec<_> = report.minutes[0].codes.iter().map(|(code, calls)| (code.as_str(), *calls)).collect();
    assert_eq!(codes, [("KMSThrottling", 1), ("Throttled", 2), ("ThrottlingException", 1)]);
    assert_eq!((report.minutes[0].throttled_calls, report.minutes[0].throttled), (7, 820));
}

#[test]
fn the_summary_counts_throttles_of_sns_apart_from_those_of_kms() {
    let report = report_of(&throttled());
    let Summary { calls, of_kms, first, last, lowest, highest } = report.summary.unwrap();
    assert_eq!((calls, of_kms, first, last), (6, 1, 10_100_000, 30_200_000));
    assert_eq!((lowest, highest), (10.0, 6_000.0));
    assert_eq!((report.throttles_left_out, report.whole_calls), (3, 7));
    assert_eq!(report.sent_again[TOPIC], SentAgain { whole_calls: 3, partial_calls: 1, messages: 27 });
    assert_eq!(report.accounts.into_iter().collect::<Vec<_>>(), ["123456789012"]);
}

#[test]
fn the_quota_is_configured_or_the_one_of_the_region() {
    let quota = |minutes: &[Minute], configured: Option<u32>, region: Option<&str>| {
        let quota = report(minutes, 0..MINUTE, configured, region).unwrap().quota;
        quota.map(|quota| (quota.messages_per_second, quota.source))
    };
    let documented =
        |quota: u32, topics: &str, region: &str| Some((quota, format!("AWS's table for {topics} topics in {region}")));
    let in_region = |region: Option<&str>| Minute { region: region.map(str::to_owned), ..minute("a", 0..60, &[]) };
    let ireland = in_region(Some("eu-west-1"));
    assert_eq!(quota(from_ref(&ireland), None, Some("us-east-1")), documented(9_000, "standard", "eu-west-1"));
    let configured = Some((12_000, "publish.quota_messages_per_second".to_owned()));
    assert_eq!(quota(from_ref(&ireland), Some(12_000), None), configured);
    assert_eq!(quota(&[ireland, in_region(Some("us-east-1"))], None, None), None);
    assert_eq!(quota(&[in_region(None)], None, None), None);
    assert_eq!(quota(&[in_region(None)], None, Some("eu-north-1")), documented(300, "standard", "eu-north-1"));
    let fifo = Calls { operation: "PublishBatch".into(), fifo: true, ..Calls::default() };
    let fifo = Minute { calls: vec![fifo], ..in_region(Some("eu-central-1")) };
    assert_eq!(quota(&[fifo], None, None), documented(3_000, "FIFO", "eu-central-1"));
    let by_topic = Minute { throttles: vec![throttle(1, "Throttled", 1, 0.0)], ..in_region(None) };
    assert_eq!(quota(&[by_topic], None, Some("eu-north-1")), documented(9_000, "standard", "eu-west-1"));
}

#[test]
fn no_throttles_and_no_counters_are_not_the_same() {
    assert_eq!(report_of(&[minute("a", 0..60, &[])]).summary, None);
    assert_eq!(report(&[], 0..MINUTE, None, None), None);
    assert_eq!(report(&[minute("a", 0..60, &[])], MINUTE..2 * MINUTE, None, None), None);
}
