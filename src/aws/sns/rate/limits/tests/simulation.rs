//! The limits against a model of SNS with a quota of the account and quotas of topics. Each topic has a backlog.

use std::collections::VecDeque;

use super::*;

/// The time that a call takes.
const CALL: Duration = Duration::from_millis(25);
const CALLS: usize = 50;
const CALLS_PER_TOPIC: usize = 5;
/// The messages per second of a topic without a quota: five calls of ten messages at a time.
const FULL: f64 = 2_000.0;

/// The tokens of one quota. At most those of a tenth of a second are saved.
struct Quota {
    per_second: f64,
    tokens: f64,
}

impl Quota {
    fn new(per_second: f64) -> Self {
        Self { per_second, tokens: 0.0 }
    }

    fn pass(&mut self, time: Duration) {
        let most = (self.per_second / 10.0).max(10.0);
        self.tokens = (self.tokens + self.per_second * time.as_secs_f64()).min(most);
    }
}

struct Topic {
    arn: TopicArn,
    quota: Quota,
    held_until: Instant,
    /// The calls under way.
    calls: usize,
    /// The messages that were accepted after the settling time.
    accepted: u32,
}

struct World {
    limits: Limits,
    account: Quota,
    topics: Vec<Topic>,
    /// The calls under way: when each was made, and the index of its topic.
    under_way: VecDeque<(Instant, usize)>,
    calls: u32,
    accepted_calls: u32,
    /// The topic whose turn is next.
    turn: usize,
}

impl World {
    fn new(account: f64, quotas: &[f64]) -> Self {
        let topic = |(number, quota): (usize, &f64)| Topic {
            arn: arn(&format!("t{number:02}")),
            quota: Quota::new(*quota),
            held_until: Instant::now(),
            calls: 0,
            accepted: 0,
        };
        let (topics, account) = (quotas.iter().enumerate().map(topic).collect(), Quota::new(account));
        let (limits, under_way) = (Limits::default(), VecDeque::new());
        Self { limits, account, topics, under_way, calls: 0, accepted_calls: 0, turn: 0 }
    }

    /// Publishes for a time in seconds. Returns each topic's accepted messages per second after the settling time.
    fn run(&mut self, start: Instant, seconds: u32, settling: u32) -> Vec<f64> {
        let step = Duration::from_millis(1);
        self.topics.iter_mut().for_each(|topic| topic.accepted = 0);
        for passed in 0..seconds * 1_000 {
            let now = start + step * passed;
            self.account.pass(step);
            self.topics.iter_mut().for_each(|topic| topic.quota.pass(step));
            self.answer(now, passed >= settling * 1_000);
            self.send(now);
        }
        let per_second = |topic: &Topic| f64::from(topic.accepted) / f64::from(seconds - settling);
        self.topics.iter().map(per_second).collect()
    }

    fn answer(&mut self, now: Instant, is_settled: bool) {
        while let Some((called, index)) = self.under_way.pop_front_if(|(called, _)| now >= *called + CALL) {
            let topic = &mut self.topics[index];
            topic.calls -= 1;
            self.calls += 1;
            if self.account.tokens < 10.0 || topic.quota.tokens < 10.0 {
                self.limits.throttled(&throttled(&topic.arn, false, called), now);
                continue;
            }
            self.account.tokens -= 10.0;
            topic.quota.tokens -= 10.0;
            self.accepted_calls += 1;
            topic.accepted += if is_settled { 10 } else { 0 };
            self.limits.accepted(&topic.arn, 10, called, now);
        }
    }

    /// Makes the calls that the limits allow. The topics take turns.
    fn send(&mut self, now: Instant) {
        let mut idle = 0;
        while self.under_way.len() < CALLS && idle < self.topics.len() {
            let index = self.turn % self.topics.len();
            let topic = &mut self.topics[index];
            if topic.calls < CALLS_PER_TOPIC && topic.held_until <= now {
                match self.limits.take(&topic.arn, 10, now) {
                    Ok(()) => {
                        topic.calls += 1;
                        self.under_way.push_back((now, index));
                        idle = 0;
                    }
                    Err(Shortage::Account(_)) => return,
                    Err(Shortage::Topic(at)) => topic.held_until = at,
                }
            } else {
                idle += 1;
            }
            self.turn += 1;
        }
    }

    fn calls_per_accepted(&self) -> f64 {
        f64::from(self.calls) / f64::from(self.accepted_calls)
    }
}

#[test]
fn one_throttled_topic_of_ten_leaves_the_other_nine_their_rate() {
    for quota in [100.0, 300.0, 1_000.0] {
        let mut world = World::new(f64::MAX, &[&[quota][..], &[f64::MAX; 9]].concat());
        let start = Instant::now();
        let rates = world.run(start, 60, 20);
        assert!((0.9..=1.01).contains(&(rates[0] / quota)), "{} of {quota}", rates[0]);
        for rate in &rates[1..] {
            assert!(*rate >= FULL * 0.99, "{rate} messages per second, with a quota of {quota} on another topic");
        }
        assert_eq!(world.limits.account_limit(start + Duration::from_secs(60)), None);
    }
}

#[test]
fn several_throttled_topics_leave_the_others_their_rate() {
    let quotas = [100.0, 200.0, 1_000.0];
    let mut world = World::new(f64::MAX, &[&quotas[..], &[f64::MAX; 7]].concat());
    let rates = world.run(Instant::now(), 120, 20);
    for (rate, quota) in rates.iter().zip(quotas) {
        assert!((0.9..=1.01).contains(&(rate / quota)), "{rate} of {quota}");
    }
    for rate in &rates[3..] {
        assert!(*rate >= FULL * 0.95, "{rate} messages per second");
    }
}

#[test]
fn the_account_finds_its_quota_with_any_number_of_topics_and_no_topic_is_left_behind() {
    for (quota, topics) in [(300.0, 1), (300.0, 2), (300.0, 10), (1_500.0, 10), (9_000.0, 10), (1_500.0, 50)] {
        let mut world = World::new(quota, &vec![f64::MAX; topics]);
        let start = Instant::now();
        let rates = world.run(start, 120, 50);
        let (sum, share) = (rates.iter().sum::<f64>(), quota / topics as f64);
        let least = rates.iter().copied().fold(f64::MAX, f64::min);
        let calls = world.calls_per_accepted();
        assert!((0.95..=1.005).contains(&(sum / quota)), "{sum} of {quota} with {topics} topics");
        assert!(least >= share * 0.9, "{least} messages per second, a share is {share} with {topics} topics");
        assert!(calls <= 1.05, "{calls} calls per accepted call with {topics} topics");
    }
}

#[test]
fn a_topic_that_was_throttled_recovers_within_minutes_after_its_quota_is_lifted() {
    let mut world = World::new(f64::MAX, &[20.0, f64::MAX]);
    let start = Instant::now();
    world.run(start, 60, 0);
    world.topics[0].quota = Quota::new(f64::MAX);
    let rates = world.run(start + Duration::from_secs(60), 180, 150);
    assert!(rates[0] >= FULL * 0.5, "{} messages per second", rates[0]);
}
