use std::ops::Range;

use super::*;
use crate::store::counters::{Calls, Minute, Second, Throttle};

/// 2026-11-28 12:00:00 UTC.
const NOON: i64 = 1_795_867_200;
const SECOND: i64 = 1_000_000;

/// Four minutes of two replicas; SNS throttles within the third one.
fn minutes(throttled: Range<i64>) -> Vec<Minute> {
    let minute = |(replica, number): (&str, i64)| {
        let from = NOON + number * 60;
        let is_throttled = |at: i64| throttled.contains(&(at - NOON));
        let share = if replica == "pod-a" { 3 } else { 2 };
        let second = |at: i64| match is_throttled(at) {
            true => {
                Second { attempted: share * 1_300, accepted: share * 1_200 + at.unsigned_abs() % 50, throttled: 10 }
            }
            false => Second { attempted: share * 1_100, accepted: share * 1_100, throttled: 0 },
        };
        let throttle = |at: i64| Throttle {
            at: at * SECOND + 250_000 * share.cast_signed(),
            topic: format!("arn:aws:sns:eu-west-1:123456789012:json-events-{}", ["acme", "umbrella"][at as usize % 2]),
            code: "Throttled".into(),
            request_id: Some(format!("7c9e{share}679-{at}")),
            messages: 10,
            whole_call: at % 3 > 0,
            rate: 3_000.0,
        };
        let throttles: Vec<Throttle> = (from..from + 60).filter(|at| is_throttled(*at)).map(throttle).collect();
        let whole = throttles.iter().filter(|throttle| throttle.whole_call).count() as u64;
        Minute {
            replica: replica.into(),
            incarnation: "1".into(),
            number: number.unsigned_abs() + 100,
            from: from * SECOND,
            to: (from + 60) * SECOND,
            region: Some("eu-west-1".into()),
            calls: vec![Calls { operation: "PublishBatch".into(), throttled: whole, ..Calls::default() }],
            seconds: (from..from + 60).map(|at| (at, second(at))).collect(),
            throttles,
            ..Minute::default()
        }
    };
    let pods = ["pod-a", "pod-b"].into_iter().flat_map(|pod| (0..4).map(move |number| (pod, number)));
    pods.map(minute).collect()
}

fn report(minutes: &[Minute]) -> throttles::Report {
    throttles::report(minutes, NOON * SECOND..(NOON + 240) * SECOND, None, None).unwrap()
}

fn printed(write: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_examples_of_the_document_are_what_the_command_prints() {
    let report = report(&minutes(130..134));
    let window = "--from 2026-11-28T12:00:00Z --to 2026-11-28T12:04:00Z";
    let example =
        |options: &str, text: &str| format!("```console\n$ protobridge throttles {window}{options}\n{text}```\n");
    let mut missing = vec![
        example("", &printed(|out| text::write(out, &report))),
        example(" --support-case", &printed(|out| text::write_support_case(out, &report))),
    ];
    missing.retain(|example| !include_str!("../../../docs/reports.md").contains(example));
    assert!(missing.is_empty(), "docs/reports.md has no such block:\n{}", missing.join("\n"));
}

#[test]
fn without_throttles_the_report_says_so_and_names_what_it_does_not_know() {
    let mut minutes = minutes(0..0);
    minutes.remove(5);
    insta::assert_snapshot!(printed(|out| text::write(out, &report(&minutes))), @"
    SNS throttled no call between 2026-11-28 12:00:00 and 12:04:00 UTC, over 2 replica(s)

    MINUTE (UTC)        CODES  ATTEMPTED/S  ACCEPTED/S  THROTTLED MESSAGES  THROTTLED CALLS
    2026-11-28 12:00    -            5,500       5,500                   0                0
    2026-11-28 12:01 *  -            3,300       3,300                   0                0
    2026-11-28 12:02    -            5,500       5,500                   0                0
    2026-11-28 12:03    -            5,500       5,500                   0                0
    * counters of a replica are missing, so the numbers are at least these

    HIGHEST ACCEPTED RATE  WITHOUT THROTTLES/S           FROM (UTC)  WITH ANY/S           FROM (UTC)
    over 1 second                        5,500  2026-11-28 12:00:00       5,500  2026-11-28 12:00:00
    over 10 seconds                      5,500  2026-11-28 12:00:00       5,500  2026-11-28 12:00:00
    over 60 seconds                      5,500  2026-11-28 12:00:00       5,500  2026-11-28 12:00:00
    quota on paper: 9,000 messages/s (AWS's table for standard topics in eu-west-1)
    no counters of pod-b between 2026-11-28 12:01:00 and 12:02:00 (they are lost): its rates and throttles then are unknown
    ");
    insta::assert_snapshot!(printed(|out| text::write_support_case(out, &report(&minutes[..1]))), @"
    SNS throttled no call between 2026-11-28 12:00:00 and 12:01:00 UTC, over 1 replica(s)

    account: unknown
    region: eu-west-1
    API: SNS PublishBatch
    quota on paper: 9,000 messages/s (AWS's table for standard topics in eu-west-1)
    counted: 2026-11-28 12:00:00 to 12:01:00 UTC, over 1 replica(s)
    no counters of pod-a between 2026-11-28 12:01:00 and 12:04:00 (it died, or they are lost): its rates and throttles then are unknown

    rates by minute (UTC), messages per second over all replicas:
    MINUTE (UTC)      CODES  ATTEMPTED/S  ACCEPTED/S  THROTTLED MESSAGES  THROTTLED CALLS
    2026-11-28 12:00  -            3,300       3,300                   0                0

    HIGHEST ACCEPTED RATE  WITHOUT THROTTLES/S           FROM (UTC)  WITH ANY/S           FROM (UTC)
    over 1 second                        3,300  2026-11-28 12:00:00       3,300  2026-11-28 12:00:00
    over 10 seconds                      3,300  2026-11-28 12:00:00       3,300  2026-11-28 12:00:00
    over 60 seconds                      3,300  2026-11-28 12:00:00       3,300  2026-11-28 12:00:00
    ");
}

#[test]
fn throttles_of_kms_are_not_held_against_the_quota_of_sns() {
    let mut minutes = minutes(130..132);
    minutes[2].throttles.iter_mut().for_each(|throttle| throttle.code = "KMSThrottling".into());
    let sentences = |minutes: &[Minute]| printed(|out| text::write(out, &report(minutes)));
    let head = |text: String| text.lines().take(2).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(head(sentences(&minutes)), @"
    throttled 2 times between 2026-11-28 12:02:10 and 12:02:11 UTC at 6,060–6,062 messages/s; the advertised quota is 9,000
    KMS throttled a further 2 call(s): that is a quota of KMS, not of SNS
    ");
    insta::assert_snapshot!(head(sentences(&minutes[..4])), @"KMS throttled 2 times between 2026-11-28 12:02:10 and 12:02:11 UTC at 3,630–3,631 messages/s; SNS throttled no call");
}

#[test]
fn a_long_table_has_the_minutes_with_throttles_and_those_beside_them() {
    let mut long = Vec::new();
    for number in 0..200_i64 {
        let second = Second { attempted: 60, accepted: 60, throttled: if number == 90 { 6 } else { 0 } };
        let from = (NOON + number * 60) * SECOND;
        let throttles = if number == 90 {
            vec![Throttle { at: from, messages: 6, code: "Throttled".into(), ..Throttle::default() }]
        } else {
            vec![]
        };
        long.push(Minute {
            throttles,
            number: number.unsigned_abs(),
            from,
            to: from + 60 * SECOND,
            is_last: number == 199,
            seconds: [(NOON + number * 60, second)].into(),
            ..Minute::default()
        });
    }
    let report = throttles::report(&long, NOON * SECOND..(NOON + 12_000) * SECOND, Some(500), None).unwrap();
    insta::assert_snapshot!(printed(|out| text::write(out, &report)), @"
    throttled 1 time between 2026-11-28 13:30:00 and 13:30:00 UTC at 60 messages/s; the advertised quota is 500

    MINUTE (UTC)      CODES         ATTEMPTED/S  ACCEPTED/S  THROTTLED MESSAGES  THROTTLED CALLS
    2026-11-28 13:29  -                     1.0         1.0                   0                0
    2026-11-28 13:30  Throttled ×1          1.0         1.0                   6                1
    2026-11-28 13:31  -                     1.0         1.0                   0                0
    197 minutes without throttles are left out; --json has them

    HIGHEST ACCEPTED RATE  WITHOUT THROTTLES/S           FROM (UTC)  WITH ANY/S           FROM (UTC)
    over 1 second                         60.0  2026-11-28 12:00:00        60.0  2026-11-28 12:00:00
    over 10 seconds                        6.0  2026-11-28 12:00:00         6.0  2026-11-28 12:00:00
    over 60 seconds                        1.0  2026-11-28 12:00:00         1.0  2026-11-28 12:00:00
    quota on paper: 500 messages/s (publish.quota_messages_per_second)
    --support-case prints each throttle with its request id
    ");
}
