use std::time::Duration;

use tokio::time::{advance, sleep_until};

use super::bucket::{DECREASE, LOWEST};
use super::*;

fn throttle() -> Failure {
    Failure { request_id: Some("r-1".to_owned()), ..Failure::of_entry("Throttled", None, true) }
}

fn acme() -> TopicArn {
    "arn:aws:sns:eu-west-1:123456789012:acme".into()
}

#[tokio::test(start_paused = true)]
async fn without_a_throttle_there_is_no_limit() {
    let rate = Rate::default();
    for _ in 0..1_000 {
        rate.take(&acme(), 10, Instant::now()).unwrap();
        rate.accepted(&acme(), 10, Instant::now(), Instant::now());
    }
    let report = rate.report();
    assert_eq!((report.limit, report.highest, report.throttled), (None, 10_000.0, 0));
}

/// Publishes batches of ten for `seconds`, as fast as the rate allows, against a quota in messages per second. Returns the
/// accepted messages per second, without the first five seconds, and the ratio of calls to accepted calls.
async fn against(quota: f64, seconds: u64) -> (f64, f64, RateReport) {
    let rate = Rate::default();
    let (started, mut refilled) = (Instant::now(), Instant::now());
    let (mut bucket, mut accepted, mut late, mut calls) = (quota, 0, 0, 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        if let Err(Shortage::Account(at)) = rate.take(&acme(), 10, Instant::now()) {
            sleep_until(at).await;
            continue;
        }
        let called = Instant::now();
        advance(Duration::from_millis(2)).await;
        let now = Instant::now();
        bucket = (bucket + quota * now.duration_since(refilled).as_secs_f64()).min(quota);
        refilled = now;
        calls += 1;
        if bucket >= 10.0 {
            bucket -= 10.0;
            accepted += 10;
            late += if started.elapsed() > Duration::from_secs(5) { 10 } else { 0 };
            rate.accepted(&acme(), 10, called, now);
        } else {
            rate.throttled(&throttle(), &acme(), None, called, now);
        }
    }
    (f64::from(late) / (seconds - 5) as f64, f64::from(calls) / (f64::from(accepted) / 10.0), rate.report())
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_back_within_seconds_after_sns_accepted_nothing() {
    let (rate, started) = (Rate::default(), Instant::now());
    let (mut bucket, mut refilled, mut accepted) = (9_000.0, started, 0);
    while started.elapsed() < Duration::from_secs(45) {
        if let Err(Shortage::Account(at)) = rate.take(&acme(), 10, Instant::now()) {
            sleep_until(at).await;
            continue;
        }
        let called = Instant::now();
        advance(Duration::from_micros(500)).await;
        let (now, second) = (Instant::now(), started.elapsed().as_secs());
        bucket = f64::min(bucket + 9_000.0 * now.duration_since(refilled).as_secs_f64(), 9_000.0);
        refilled = now;
        if (5..15).contains(&second) || bucket < 10.0 {
            rate.throttled(&throttle(), &acme(), None, called, now);
        } else {
            bucket -= 10.0;
            accepted += if second >= 35 { 10 } else { 0 };
            rate.accepted(&acme(), 10, called, now);
        }
    }
    let part = f64::from(accepted) / 10.0 / 9_000.0;
    assert!(part > 0.9, "{part} of the quota 20 seconds after the outage: {:?}", rate.report());
}

#[tokio::test(start_paused = true)]
async fn the_rate_stays_close_below_a_quota_without_a_storm_of_retries() {
    for (quota, seconds) in [(300.0, 30), (300.0, 300), (1_500.0, 30), (1_500.0, 300)] {
        let (rate, calls, report) = against(quota, seconds).await;
        // The quota saves the tokens of a second, and some of the first five seconds' are used later.
        assert!((0.95..=1.01).contains(&(rate / quota)), "{rate} messages/s of {quota}");
        assert!(calls <= 1.05, "{calls} calls per accepted call, {} throttles", report.throttled);
        assert!(report.throttled >= 1 && report.highest >= quota * 0.9, "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_kept_with_the_details_for_a_support_case() {
    let rate = Rate::default();
    for _ in 0..20 {
        advance(Duration::from_millis(50)).await;
        rate.accepted(&acme(), 10, Instant::now(), Instant::now());
    }
    let called = Instant::now();
    advance(Duration::from_millis(49)).await;
    // Both calls were in flight at the same time, so the limit decreases once.
    for _ in 0..2 {
        rate.throttled(&throttle(), &acme(), None, called, Instant::now());
    }
    let report = rate.report();
    assert_eq!((report.throttled, report.limit), (2, Some(200.0 * DECREASE)));
    let kept = &report.throttles[0];
    assert_eq!((kept.rate, kept.limit, &*kept.code), (200.0, None, "Throttled"));
    assert_eq!((kept.topic.as_str(), kept.request_id.as_deref()), (acme().as_str(), Some("r-1")));
}

#[tokio::test(start_paused = true)]
async fn the_limit_never_falls_below_one_batch_per_second_and_does_not_rise_while_idle() {
    let rate = Rate::default();
    for _ in 0..50 {
        advance(Duration::from_millis(10)).await;
        rate.throttled(&throttle(), &acme(), None, Instant::now(), Instant::now());
    }
    assert_eq!(rate.report().limit, Some(LOWEST));
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(rate.report().limit, Some(LOWEST));
    assert!(rate.take(&acme(), 10, Instant::now()).is_ok());
    assert_eq!(rate.take(&acme(), 10, Instant::now()), Err(Shortage::Account(Instant::now() + Duration::from_secs(1))));
}
