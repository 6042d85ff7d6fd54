use std::time::Duration;

use super::*;
use crate::telemetry::Metrics;

fn health() -> (Health, Arc<Outages>) {
    let outages = Arc::new(Outages::new(Arc::new(Metrics::new(false))));
    (Health::new(Arc::clone(&outages)), outages)
}

fn topic(name: &str) -> TopicArn {
    format!("arn:aws:sns:eu-west-1:1:{name}").into()
}

/// Makes one call that fails with this code, if it is permitted. Returns whether it was.
fn fail(health: &mut Health, topic: &TopicArn, code: &str, now: Instant) -> bool {
    if let Permission::Denied(_) = health.permission(topic, now) {
        return false;
    }
    health.failed(topic, &Failure::of_entry(code, None, false), now);
    true
}

#[test]
fn sns_recovers_after_a_probe_failed_for_a_cause_of_its_topic() {
    let (mut health, outages) = health();
    let (acme, globex, mut now) = (topic("acme"), topic("globex"), Instant::now());
    for _ in 0..5 {
        assert!(fail(&mut health, &acme, "InternalError", now));
    }
    assert!(outages.is_out(&Domain::Account), "the only topic fails");
    for (topic, code) in [(&globex, "KMSDisabled"), (&acme, "InternalError"), (&acme, "InternalError")] {
        now += Duration::from_secs(60);
        assert!(fail(&mut health, topic, code, now), "{topic} may make a probe");
    }
    now += Duration::from_secs(60);
    assert!(!matches!(health.permission(&globex, now), Permission::Denied(_)));
    assert_eq!(health.accepted(&globex, now), Some(Recovery::Account));
    assert!(!outages.is_out(&Domain::Account));
}

#[test]
fn probes_of_two_topics_that_are_out_do_not_count_against_sns() {
    let (mut health, outages) = health();
    let (acme, globex, initech, mut now) = (topic("acme"), topic("globex"), topic("initech"), Instant::now());
    for broken in [&acme, &globex] {
        for _ in 0..5 {
            assert!(fail(&mut health, broken, "AuthorizationError", now));
            health.accepted(&initech, now);
        }
    }
    for _ in 0..50 {
        now += Duration::from_secs(60);
        assert!(
            fail(&mut health, &acme, "AuthorizationError", now)
                && fail(&mut health, &globex, "AuthorizationError", now)
        );
    }
    assert!(outages.is_out(&Domain::Topic(acme)) && !outages.is_out(&Domain::Account));
}

#[test]
fn failures_of_one_of_several_topics_do_not_count_against_sns() {
    let (mut health, outages) = health();
    let (acme, globex, mut now) = (topic("acme"), topic("globex"), Instant::now());
    health.accepted(&globex, now);
    for _ in 0..50 {
        now += Duration::from_secs(60);
        assert!(fail(&mut health, &acme, "InternalError", now));
    }
    assert!(outages.is_out(&Domain::Topic(acme)) && !outages.is_out(&Domain::Account));
}
