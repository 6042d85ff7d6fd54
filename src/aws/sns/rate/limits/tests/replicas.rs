//! Replicas that share the quota of the account, against a model of SNS. Each replica has a backlog for several topics,
//! and knows nothing of the others. A seed decides the topics of the messages and the duration of the calls.

use std::ops::Range;

use fastrand::Rng;

use super::*;

/// The received messages of a replica that are not published.
const IN_FLIGHT: usize = 500;
const CALLS: usize = 32;
const CALLS_PER_TOPIC: usize = 16;
const BATCH: usize = 10;
/// The time that a batch waits for more messages, in milliseconds.
const LINGER: usize = 10;
/// The time of a call, in milliseconds.
const CALL: Range<usize> = 10..40;

/// SNS, which saves the tokens of a time, and the replicas that publish to it. The clock counts milliseconds.
struct World {
    start: Instant,
    clock: usize,
    quota: f64,
    /// The number of seconds for which SNS saves tokens.
    saved: f64,
    tokens: f64,
    rng: Rng,
    replicas: Vec<Replica>,
}

struct Replica {
    limits: Limits,
    topics: Vec<Topic>,
    waiting: usize,
    turn: usize,
    under_way: Vec<Call>,
    retries: Vec<Call>,
    /// The accepted messages in each run.
    accepted: usize,
    calls: usize,
    accepted_calls: usize,
}

struct Topic {
    arn: TopicArn,
    waiting: usize,
    since: usize,
    calls: usize,
    held_until: Instant,
}

#[derive(Clone)]
struct Call {
    /// When the call is answered, or made again after a throttle.
    at: usize,
    called: Instant,
    topic: usize,
    messages: usize,
    throttles: u32,
}

/// The sums over a run.
struct Figures {
    /// The accepted messages per second, as a part of the quota.
    rate: f64,
    calls_per_accepted: f64,
    /// The accepted messages of each replica, as a part of an equal share.
    shares: Vec<f64>,
}

impl World {
    /// Creates replicas that begin at the same time.
    fn new(quota: f64, saved: f64, (replicas, topics): (usize, usize), seed: u64) -> Self {
        let start = Instant::now();
        let rng = Rng::with_seed(seed);
        let mut world = Self { start, clock: 0, quota, saved, tokens: quota * saved, rng, replicas: Vec::new() };
        (0..replicas).for_each(|_| world.join(topics));
        world
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.clock as u64)
    }

    fn join(&mut self, topics: usize) {
        self.replicas.push(Replica::new(topics, self.now()));
    }

    fn run(&mut self, seconds: usize) -> Figures {
        self.replicas.iter_mut().for_each(Replica::forget_counts);
        for _ in 0..seconds * 1_000 {
            self.clock += 1;
            self.tokens = (self.tokens + self.quota / 1e3).min((self.quota * self.saved).max(BATCH as f64));
            let now = self.now();
            for replica in &mut self.replicas {
                replica.answer(&mut self.tokens, &mut self.rng, (self.clock, now));
                replica.receive(&mut self.rng, self.clock);
                replica.send(&mut self.rng, (self.clock, now));
            }
        }
        let sum = |count: fn(&Replica) -> usize| self.replicas.iter().map(count).sum::<usize>() as f64;
        let accepted = sum(|replica| replica.accepted);
        let share = accepted / self.replicas.len() as f64;
        Figures {
            rate: accepted / seconds as f64 / self.quota,
            calls_per_accepted: sum(|replica| replica.calls) / sum(|replica| replica.accepted_calls),
            shares: self.replicas.iter().map(|replica| replica.accepted as f64 / share).collect(),
        }
    }
}

impl Replica {
    fn new(topics: usize, now: Instant) -> Self {
        let topic = |number| Topic { arn: arn(&format!("t{number}")), waiting: 0, since: 0, calls: 0, held_until: now };
        Self {
            limits: Limits::default(),
            topics: (0..topics).map(topic).collect(),
            waiting: 0,
            turn: 0,
            under_way: Vec::new(),
            retries: Vec::new(),
            accepted: 0,
            calls: 0,
            accepted_calls: 0,
        }
    }

    fn forget_counts(&mut self) {
        (self.accepted, self.calls, self.accepted_calls) = (0, 0, 0);
    }

    /// Receives messages up to the budget. The first of several topics gets half of them.
    fn receive(&mut self, rng: &mut Rng, clock: usize) {
        while self.waiting < IN_FLIGHT {
            let index = if rng.bool() { 0 } else { rng.usize(..self.topics.len()) };
            let topic = &mut self.topics[index];
            if topic.waiting == 0 {
                topic.since = clock;
            }
            topic.waiting += 1;
            self.waiting += 1;
        }
    }

    fn answer(&mut self, tokens: &mut f64, rng: &mut Rng, (clock, now): (usize, Instant)) {
        for call in self.under_way.extract_if(.., |call| call.at <= clock) {
            let topic = &mut self.topics[call.topic];
            topic.calls -= 1;
            self.calls += 1;
            if *tokens < call.messages as f64 {
                self.limits.throttled(&throttled(&topic.arn, false, call.called), now);
                let delay = (100 << call.throttles).min(5_000);
                let at = clock + rng.usize(delay / 2..=delay);
                self.retries.push(Call { at, throttles: (call.throttles + 1).min(6), ..call });
                continue;
            }
            *tokens -= call.messages as f64;
            self.waiting -= call.messages;
            self.accepted += call.messages;
            self.accepted_calls += 1;
            self.limits.accepted(&topic.arn, call.messages, call.called, now);
        }
    }

    /// Makes the calls that the limits allow, those that were throttled first. The topics take turns.
    fn send(&mut self, rng: &mut Rng, (clock, now): (usize, Instant)) {
        let due: Vec<Call> = self.retries.extract_if(.., |call| call.at <= clock).collect();
        for call in due {
            if self.make(call.clone(), rng, (clock, now)).is_err() {
                self.retries.push(call);
            }
        }
        let mut idle = 0;
        while idle < self.topics.len() {
            let index = self.turn % self.topics.len();
            let topic = &self.topics[index];
            let is_ready = topic.waiting >= BATCH || topic.waiting > 0 && clock >= topic.since + LINGER;
            if is_ready && topic.calls < CALLS_PER_TOPIC && topic.held_until <= now {
                let messages = topic.waiting.min(BATCH);
                let call = Call { at: 0, called: now, topic: index, messages, throttles: 0 };
                match self.make(call, rng, (clock, now)) {
                    Ok(()) => {
                        self.topics[index].waiting -= messages;
                        self.topics[index].since = clock;
                        idle = 0;
                    }
                    Err(Shortage::Account(_)) => return,
                    Err(Shortage::Topic(at)) => self.topics[index].held_until = at,
                }
            } else {
                idle += 1;
            }
            self.turn += 1;
        }
    }

    fn make(&mut self, call: Call, rng: &mut Rng, (clock, now): (usize, Instant)) -> Result<(), Shortage> {
        if self.under_way.len() == CALLS {
            return Err(Shortage::Account(now));
        }
        let topic = &mut self.topics[call.topic];
        self.limits.take(&topic.arn, call.messages, now)?;
        topic.calls += 1;
        self.under_way.push(Call { at: clock + rng.usize(CALL), called: now, ..call });
        Ok(())
    }
}

/// The seconds in which the replicas find the quota.
const SETTLING: usize = 20;

#[test]
fn replicas_that_share_a_quota_use_it_together_without_a_storm_of_retries() {
    for (quota, replicas, most_calls) in [
        (100.0, 1, 1.03),
        (100.0, 3, 1.08),
        (100.0, 5, 1.15),
        (300.0, 1, 1.02),
        (300.0, 2, 1.02),
        (300.0, 3, 1.03),
        (300.0, 5, 1.05),
        (1_500.0, 3, 1.02),
        (1_500.0, 5, 1.02),
        (9_000.0, 2, 1.01),
    ] {
        for (topics, seed) in [(1, 1), (10, 2)] {
            let mut world = World::new(quota, 1.0, (replicas, topics), seed);
            world.run(SETTLING);
            let Figures { rate, calls_per_accepted, .. } = world.run(60);
            let what = format!("{replicas} replicas, {topics} topics, seed {seed}");
            assert!((0.97..=1.02).contains(&rate), "{rate} of {quota} messages per second, {what}");
            assert!(calls_per_accepted <= most_calls, "{calls_per_accepted} calls per accepted of {quota}, {what}");
        }
    }
}

#[test]
fn a_quota_that_saves_no_tokens_is_used_as_well() {
    // With a tenth of a second, SNS saves three batches. Calls of several replicas come at once now and then.
    for (replicas, least, seed) in [(1, 0.95, 1), (2, 0.95, 2), (3, 0.95, 3), (3, 0.95, 4), (5, 0.93, 5)] {
        let mut world = World::new(300.0, 0.1, (replicas, 10), seed);
        world.run(SETTLING);
        let Figures { rate, calls_per_accepted, .. } = world.run(120);
        assert!((least..=1.0).contains(&rate), "{rate} of the quota with {replicas} replicas, seed {seed}");
        assert!(calls_per_accepted <= 1.05, "{calls_per_accepted} calls per accepted call, {replicas} replicas");
    }
}

#[test]
fn the_shares_of_replicas_come_close_to_each_other() {
    for (quota, replicas) in [(300.0, 2), (300.0, 3), (1_500.0, 3)] {
        for seed in 1..=2 {
            let mut world = World::new(quota, 1.0, (1, 10), seed);
            world.run(30);
            // The others join a replica that has all of the quota.
            (1..replicas).for_each(|_| world.join(10));
            world.run(240);
            let Figures { shares, .. } = world.run(120);
            let fair = shares.iter().all(|share| (0.5..=1.6).contains(share));
            assert!(fair, "{shares:.2?} of an equal share of {quota} messages per second, seed {seed}");
        }
    }
}

#[test]
fn a_replica_that_joins_or_leaves_disturbs_the_rate_for_seconds() {
    for (quota, seed) in [(300.0, 1), (300.0, 2), (1_500.0, 3)] {
        let mut world = World::new(quota, 1.0, (2, 10), seed);
        world.run(60);
        world.join(10);
        let joined = world.run(30);
        assert!((0.95..=1.05).contains(&joined.rate), "{} of {quota} after a join, seed {seed}", joined.rate);
        assert!(joined.calls_per_accepted <= 1.1, "{} calls after a join", joined.calls_per_accepted);
        // The replica with the largest share dies.
        let shares = joined.shares.iter().enumerate();
        let largest = shares.max_by(|one, other| one.1.total_cmp(other.1)).map_or(0, |(index, _)| index);
        world.replicas.remove(largest);
        let left = world.run(60);
        assert!((0.85..=1.02).contains(&left.rate), "{} of {quota} after a leave, seed {seed}", left.rate);
        let settled = world.run(60);
        assert!((0.97..=1.02).contains(&settled.rate), "{} of {quota} a minute later, seed {seed}", settled.rate);
    }
}
