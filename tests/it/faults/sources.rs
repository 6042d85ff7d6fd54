//! Checks what the service says about a source of heartbeats while the source, the queue or the service fails.
//!
//! Each seed decides when the source dies or starts again, when polls fail, when replicas crash, and whether they start
//! behind a backlog. Heartbeats are late by seconds, the clock of SQS is wrong by minutes, heartbeats cannot be read
//! because their bucket is down, and they wait behind an event of their group whose topic is down. The service never
//! calls a living source stale, and it calls a dead one stale in time.
//! `PROTOBRIDGE_FAULT_SEEDS` and `PROTOBRIDGE_FAULT_FIRST_SEED` choose the seeds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use protobridge::app::App;
use protobridge::config::{Config, ExpectedSource, Queue};
use protobridge::monitor::sources::SourceReport;
use protobridge::telemetry::SourceState;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::claims;
use super::play;
use super::prometheus::{Evaluation, Prometheus};
use super::scenario::{Expect, Setup, field, message, of_order};
use crate::model::{Faults, Incoming, Target, Trouble, World, topic_arn};

/// The default number of seeds.
const SEEDS: u64 = 30;
const SETUP: Setup = Setup { customers: 1, fifo: [false; 3], claims: claims::NONE, has_fallback: false };
/// The bucket that can have the payloads of heartbeats.
const BUCKET: &str = "heartbeats";
/// The time that the service needs after trouble: a hanging poll ends, and so does the delay before the next one.
const RECOVERY: u64 = 120;

/// The times of one seed, in seconds after the start of the source.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    length: u64,
    interval: u64,
    /// When the replicas start. A late start leaves a backlog.
    starts: u64,
    replicas: usize,
    /// When a replica crashes, and when its successor starts.
    crash: Option<(usize, u64, u64)>,
    /// The times at which the way of the heartbeats begins and ceases to fail.
    trouble: Option<(Trouble, u64, u64)>,
    /// The part of the way that fails.
    way: Way,
    /// The most seconds by which a heartbeat is late.
    delay: u64,
    /// The seconds by which the clock of SQS is ahead of ours.
    sqs_skew: i64,
    dies: Option<u64>,
    /// When the source starts again, with the number 1.
    restarts: Option<u64>,
    /// Whether there are events besides the heartbeats.
    has_events: bool,
    /// The time between two scrapes of the metrics.
    scrape: u64,
    faults: Faults,
}

/// The part of the way of heartbeats that the trouble of a plan breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All calls to SQS.
    Queue,
    /// The bucket that has the payloads of the heartbeats.
    Bucket,
    /// The topic of the events, which are on a FIFO queue in the same group as the heartbeats.
    Group,
}

impl Way {
    fn target(self) -> Target {
        match self {
            Self::Queue => Target::Sqs,
            Self::Bucket => Target::Bucket(BUCKET.to_owned()),
            Self::Group => Target::Topic(topic_arn(&SETUP.topic(0))),
        }
    }
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let sometimes = |random: &mut Rng| random.u8(..3) == 0;
        let starts = if sometimes(&mut random) { 600 } else { 0 };
        let replicas = random.usize(1..=2);
        let at = |random: &mut Rng| starts + random.u64(60..400);
        let crash = sometimes(&mut random).then(|| {
            let from = at(&mut random);
            (random.usize(..replicas), from, from + random.u64(5..60))
        });
        let trouble = random.bool().then(|| {
            let kinds = [Trouble::Hangs, Trouble::Unavailable, Trouble::Disconnected, Trouble::Refused("AccessDenied")];
            let from = at(&mut random);
            (kinds[random.usize(..kinds.len())], from, from + random.u64(5..200))
        });
        let faults = Faults { twice: 0.05, ghost: 0.05, lapses_early: 0.05, ..Faults::none() };
        // Random numbers of its own, so that the rest of a plan does not depend on them.
        let more = &mut Rng::with_seed(seed ^ 0x0005_eed5);
        let way = [Way::Queue, Way::Queue, Way::Bucket, Way::Group][more.usize(..4)];
        let (delay, sqs_skew) = ([0, 0, 4][more.usize(..3)], [0, -300, 300, more.i64(-400..400)][more.usize(..4)]);
        // If a replica is killed, the messages that it held stay hidden for minutes, and no other replica knows of them.
        let crash = crash.filter(|_| way == Way::Queue);
        // On a FIFO queue, a message that SQS returned to nothing hides its group, and no process can know of it.
        let faults = if way == Way::Group { Faults::none() } else { faults };
        Self {
            seed,
            length: starts + 900,
            interval: random.u64(10..30),
            starts,
            replicas,
            crash,
            trouble,
            way,
            delay,
            sqs_skew,
            dies: random.bool().then(|| at(&mut random)),
            restarts: sometimes(&mut random).then(|| at(&mut random)),
            has_events: random.bool() || way == Way::Group,
            faults: if sometimes(&mut random) { faults } else { Faults::none() },
            scrape: [1, 15, 30, 60][random.usize(..4)],
        }
    }
}

impl Plan {
    /// Returns a message for the queue of the plan.
    fn grouped(&self, message: Incoming) -> Incoming {
        let of_group = |text: &str| (self.way == Way::Group).then(|| text.to_owned());
        Incoming { group: of_group("g"), deduplication_id: of_group(&message.name), ..message }
    }

    /// Returns a heartbeat as the source sends it. Its payload can be in the bucket.
    fn on_its_way(&self, mut heartbeat: Incoming, world: &World) -> Incoming {
        if self.way == Way::Bucket {
            let pointer = json!(["software.amazon.payloadoffloading.PayloadS3Pointer",
                {"s3BucketName": BUCKET, "s3Key": &*heartbeat.name}]);
            let content = std::mem::replace(&mut heartbeat.body, pointer.to_string());
            heartbeat.attributes["ExtendedPayloadSize"] =
                json!({"DataType": "Number", "StringValue": content.len().to_string()});
            world.put_object(BUCKET, &heartbeat.name, content);
        }
        self.grouped(heartbeat)
    }
}

/// The statements of all running replicas in one second.
#[derive(Debug)]
struct Second {
    at: u64,
    reports: Vec<Vec<SourceReport>>,
    /// The result of the rule of the alert.
    rule: Evaluation,
    /// When the source sent its last heartbeat.
    last_sent: Option<u64>,
}

#[test]
fn a_source_is_stale_exactly_if_it_is_dead() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("it is a number"));
    let first = number("PROTOBRIDGE_FAULT_FIRST_SEED").unwrap_or(0);
    let count = number("PROTOBRIDGE_FAULT_SEEDS").unwrap_or(SEEDS);
    let mut seen = std::collections::BTreeMap::<SourceState, u64>::new();
    for seed in first..first + count {
        let plan = Plan::of(seed);
        let seconds = play(&plan, 0);
        for second in &seconds {
            if let Err(what) = check(&plan, second) {
                panic!("seed {seed}, second {}: {what}\n{plan:#?}\n{second:#?}", second.at);
            }
            for report in second.reports.iter().flatten() {
                *seen.entry(report.state).or_default() += 1;
            }
        }
    }
    let lacking: Vec<_> = SourceState::ALL.iter().filter(|state| !seen.contains_key(state)).collect();
    assert!(count < SEEDS || lacking.is_empty(), "no seed shows {lacking:?}: {seen:?}");
}

#[test]
fn a_wrong_clock_of_the_source_or_of_sqs_changes_no_state() {
    for seed in 0..6 {
        let plan = Plan::of(seed);
        let states = |skew: i64, sqs_skew: i64| -> Vec<Vec<SourceState>> {
            let states = |second: Second| second.reports.iter().flatten().map(|report| report.state).collect();
            play(&Plan { sqs_skew, ..plan.clone() }, skew).into_iter().map(states).collect()
        };
        let right = states(0, 0);
        for (skew, sqs_skew) in [(-300, 0), (300, 0), (0, -300), (0, 300)] {
            assert_eq!(states(skew, sqs_skew), right, "seed {seed}, source {skew} s, SQS {sqs_skew} s");
        }
    }
}

/// Checks what the replicas said in one second.
fn check(plan: &Plan, second: &Second) -> Result<(), String> {
    let Second { at, reports, rule, last_sent } = second;
    let reports_of = |name: &str| -> Vec<&SourceReport> {
        reports.iter().flatten().filter(|report| report.source == name).collect()
    };
    let (known, never) = (reports_of("eu"), reports_of("never"));
    if known.len() != reports.len() || never.len() != reports.len() {
        return Err("a replica forgot an expected source".to_owned());
    }
    if never.iter().any(|report| report.state != SourceState::Unknown) {
        return Err("a source that was never heard is not unknown".to_owned());
    }
    let is_alone = plan.replicas == 1;
    let limit = 3 * plan.interval;
    let silent_for = last_sent.map_or(0, |sent| at - sent);
    let says_stale = is_alone && known.iter().any(|report| report.state == SourceState::Stale);
    // The times of SQS are whole seconds in the model.
    if (says_stale || rule.fires) && silent_for + 2 < limit {
        return Err(format!("the source sent a heartbeat {silent_for} s ago, and it is called stale"));
    }
    if !is_settled(plan, *at, last_sent.unwrap_or(0)) {
        return Ok(());
    }
    let is_dead = silent_for >= limit + 2;
    if silent_for >= limit + 2 + plan.scrape && !rule.holds {
        return Err(format!("the source is silent for {silent_for} s, and the expression of the rule does not hold"));
    }
    for report in known {
        let is_alive = matches!(report.state, SourceState::Flowing | SourceState::Quiet);
        if is_alone && is_dead && report.state != SourceState::Stale {
            return Err(format!("the source is silent for {silent_for} s, and it is not stale"));
        }
        if is_alone && silent_for + 2 < limit && !is_alive {
            return Err("the source sends heartbeats, and it is not called alive".to_owned());
        }
        let has_event = plan.has_events && is_alone && silent_for < plan.interval && plan.dies.is_none();
        if has_event && report.state != SourceState::Flowing {
            return Err("the source sends events, and it does not flow".to_owned());
        }
    }
    Ok(())
}

/// Whether nothing disturbed the service for a while before the last heartbeat, and until now.
fn is_settled(plan: &Plan, at: u64, last_sent: u64) -> bool {
    let is_apart = |from: u64, until: u64| at < from || last_sent.saturating_sub(2 * plan.interval) > until + RECOVERY;
    let crash = plan.crash.is_none_or(|(_, from, until)| is_apart(from, until));
    let trouble = plan.trouble.is_none_or(|(_, from, until)| is_apart(from, until));
    crash && trouble && is_apart(0, plan.starts) && plan.faults == Faults::none()
}

/// Plays a plan with a clock of the source that is wrong by this number of seconds.
fn play(plan: &Plan, skew: i64) -> Vec<Second> {
    drop(play::parts(SETUP));
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the runtime can be built").block_on(stage(plan, skew))
}

async fn stage(plan: &Plan, skew: i64) -> Vec<Second> {
    let world = World::new(plan.seed, plan.faults);
    let source = world.create_queue(if plan.way == Way::Group { "source.fifo" } else { "source" });
    world.create_topic(&SETUP.topic(0));
    world.set_clock_skew(plan.sqs_skew);
    let config = config(&source);
    let began = Instant::now();
    let sent = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(send(plan.clone(), (world.clone(), source), (began, skew), Arc::clone(&sent)));
    let (mut apps, mut prometheus, mut seconds) = (Vec::new(), Prometheus::new("eu"), Vec::new());
    for at in 0..plan.length {
        sleep_until(began + Duration::from_secs(at)).await;
        if at == plan.starts {
            apps = (0..plan.replicas).map(|number| Some(start(&config, &world, number as u32))).collect();
        }
        if let Some((number, from, until)) = plan.crash.filter(|_| !apps.is_empty()) {
            if at == from {
                world.crash(number as u32);
                apps[number] = None;
            } else if at == until {
                apps[number] = Some(start(&config, &world, number as u32 + 10));
            }
        }
        match plan.trouble {
            Some((trouble, from, _)) if at == from => world.break_target(plan.way.target(), trouble),
            Some((_, _, until)) if at == until => world.heal_target(&plan.way.target()),
            _ => {}
        }
        let reports: Vec<_> = apps.iter().flatten().map(|app: &App| app.observe().sources).collect();
        if at % plan.scrape == 0 {
            prometheus.scrape(&reports);
        }
        let rule = prometheus.evaluate();
        let last_sent = sent.lock().expect("no thread panicked").last().copied();
        seconds.push(Second { at, reports, rule, last_sent });
    }
    seconds
}

fn start(config: &Config, world: &World, instance: u32) -> App {
    App::start_with(config, play::parts(SETUP), world.clients(instance), None).expect("the service starts")
}

fn config(source: &str) -> Config {
    let mut config = play::base();
    config.queues = vec![Queue { url: source.to_owned(), ..Queue::default() }];
    config.visibility.timeout_seconds = 30;
    config.receive.depth_seconds = 0;
    config.envelope.s3_buckets = vec![BUCKET.to_owned()];
    let expect = |source: &str| ExpectedSource { source: source.to_owned(), ..ExpectedSource::default() };
    config.heartbeats.expect = vec![expect("eu"), expect("never")];
    config
}

/// Sends the heartbeats and the events of the source, and notes the second of each heartbeat.
async fn send(plan: Plan, (world, queue): (World, String), (began, skew): (Instant, i64), sent: Arc<Mutex<Vec<u64>>>) {
    let mut number = 1 + plan.seed % 50;
    let mut random = Rng::with_seed(plan.seed);
    for due in (0..).step_by(plan.interval as usize) {
        let at = due + if plan.delay > 0 { random.u64(..=plan.delay) } else { 0 };
        sleep_until(began + Duration::from_secs(at)).await;
        if plan.dies.is_some_and(|dies| at >= dies) {
            return;
        }
        if plan.restarts.is_some_and(|restarts| (restarts..restarts + plan.interval).contains(&due)) {
            number = 1;
        }
        // The clock of this process stands still while that of the model goes on.
        let ahead = skew + at as i64;
        world.send(&queue, plan.on_its_way(heartbeat(number, &format!("h{at}"), plan.interval, ahead), &world));
        sent.lock().expect("no thread panicked").push(at);
        number += 1;
        if plan.has_events {
            let name = format!("e{at}");
            let (event, _) = of_order(&name, "acme", &name, Expect::Filtered);
            world.send(&queue, plan.grouped(event));
        }
    }
}

/// Returns a heartbeat whose source has a clock that is ahead by this number of seconds.
fn heartbeat(number: u64, name: &str, interval: u64, ahead: i64) -> Incoming {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_secs();
    let mut payload = field(1, b"eu");
    prost::encoding::uint64::encode(2, &number, &mut payload);
    let seconds = |value: u64| {
        let mut message = Vec::new();
        prost::encoding::uint64::encode(1, &value, &mut message);
        message
    };
    payload.extend(field(3, &seconds(now.saturating_add_signed(ahead))));
    payload.extend(field(4, &seconds(interval)));
    message(name, "protobridge.v1.Heartbeat", &payload, &[("event-id", name)])
}
