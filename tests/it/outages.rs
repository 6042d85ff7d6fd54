//! Checks what happens to events while SNS, one topic, S3 or a schema registry is in trouble for minutes. Each test runs
//! in the model of AWS and in tokio's time, and always plays the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protobridge::app::App;
use protobridge::config::{Config, Queue};
use tokio::time::{Instant, sleep, timeout};

use crate::faults::claims::NONE;
use crate::faults::hazard::{PROXY_STATUSES, REFUSING_CODES};
use crate::faults::play::{base, parts};
use crate::faults::scenario::{CUSTOMERS, Expect, Setup, field, message, of_order};
use crate::model::log::{Entry, What};
use crate::model::{Faults, Incoming, Target, Trouble, World, topic_arn};

/// The longest time from the send of an event to its publish if nothing concerns its customer.
const IN_TIME: Duration = Duration::from_secs(20);
/// The longest time from the end of an outage to the publish of every event.
const CATCH_UP: Duration = Duration::from_secs(10 * 60);

/// Declares a test of an outage of SNS for each kind of source queue and limit of receives.
macro_rules! outages {
    ($($name:ident($fifo:expr, $max_receives:expr),)*) => {$(
        #[test]
        fn $name() {
            for trouble in [Trouble::Disconnected, Trouble::Unavailable, Trouble::Hangs] {
                run(outage_of_sns($fifo, $max_receives, trouble));
            }
        }
    )*};
}

outages! {
    events_of_a_standard_queue_survive_an_outage_of_sns_with_3_receives(false, 3),
    events_of_a_standard_queue_survive_an_outage_of_sns_with_10_receives(false, 10),
    events_of_a_fifo_queue_survive_an_outage_of_sns_with_3_receives(true, 3),
    events_of_a_fifo_queue_survive_an_outage_of_sns_with_10_receives(true, 10),
}

async fn outage_of_sns(fifo: bool, max_receives: u32, trouble: Trouble) {
    let stage = Stage::start(fifo, max_receives, |_| {}).await;
    stage.send(0..6);
    sleep(Duration::from_secs(30)).await;
    stage.world.break_target(Target::Sns, trouble);
    for number in 6..66 {
        stage.send(number..number + 1);
        sleep(Duration::from_secs(30)).await;
    }
    stage.world.heal_target(&Target::Sns);
    stage.until_empty(CATCH_UP).await;
    assert_eq!(stage.world.messages(&stage.dead_letters), BTreeSet::new(), "{trouble:?}: in the dead-letter queue");
    let log = stage.end().await;
    let published = arrivals(&log);
    assert_eq!(published.len(), 66, "{trouble:?}: not every event was published");
    for customer in 0..CUSTOMERS.len() {
        let of_customer = (customer..66).step_by(CUSTOMERS.len()).map(|number| published[&*name(number)]);
        assert!(
            !fifo || of_customer.is_sorted(),
            "{trouble:?}: the events of customer {customer} came in another order"
        );
    }
    assert_nothing_is_quarantined(&log);
}

#[test]
fn a_topic_that_refuses_all_calls_delays_no_other_customer() {
    for code in REFUSING_CODES {
        run(topic_in_trouble(false, Trouble::Refused(code)));
        run(topic_in_trouble(true, Trouble::Refused(code)));
    }
}

#[test]
fn a_topic_that_is_throttled_alone_delays_no_other_customer() {
    for trouble in [Trouble::Quota(0.2), Trouble::Throttled("KMSThrottling")] {
        run(topic_in_trouble(false, trouble));
        run(topic_in_trouble(true, trouble));
    }
}

/// Puts the topic of the first customer in trouble for five minutes.
async fn topic_in_trouble(fifo: bool, trouble: Trouble) {
    let stage = Stage::start(fifo, 1_000, |_| {}).await;
    let topic = topic_arn(&setup(fifo).topic(0));
    stage.world.break_topic(&topic, trouble);
    for second in 0..100 {
        stage.send(3 * second..3 * second + 3);
        sleep(Duration::from_secs(3)).await;
    }
    stage.world.heal_topic(&topic);
    stage.until_empty(CATCH_UP).await;
    let log = stage.end().await;
    let published = arrivals(&log);
    assert_eq!(published.len(), 300, "{trouble:?}: not every event was published");
    assert_in_time(&log, (0..300).filter(|number| number % CUSTOMERS.len() != 0), &format!("{trouble:?}"));
    assert_nothing_is_quarantined(&log);
}

#[test]
fn the_events_of_a_broken_topic_beyond_the_limit_go_into_quarantine_and_the_others_arrive() {
    run(async {
        let stage = Stage::start(false, 1_000, |config| config.receive.max_held_messages = 10).await;
        let topic = topic_arn(&setup(false).topic(0));
        stage.world.break_topic(&topic, Trouble::Refused("KMSDisabled"));
        for second in 0..150 {
            stage.send(4 * second..4 * second + 4);
            sleep(Duration::from_secs(1)).await;
        }
        stage.world.heal_topic(&topic);
        stage.until_empty(CATCH_UP).await;
        let log = stage.end().await;
        let quarantined: BTreeSet<&str> = log
            .iter()
            .filter_map(|entry| match &entry.what {
                What::Quarantined { event, reason, .. } if reason == "destination_down" => Some(&**event),
                What::Quarantined { .. } => panic!("{entry}"),
                _ => None,
            })
            .collect();
        // Of 200 events, about 100 wait in memory and 10 are parked.
        assert!((60..=100).contains(&quarantined.len()), "{} events are in quarantine", quarantined.len());
        assert_eq!(arrivals(&log).len() + quarantined.len(), 600);
        assert_in_time(&log, (0..600).filter(|number| number % CUSTOMERS.len() != 0), "one topic is broken");
    });
}

#[test]
fn a_broadcast_reaches_each_customer_once_while_one_topic_is_out_for_longer_than_the_window() {
    for fifo in [false, true] {
        run(async move {
            let stage = Stage::start(fifo, 1_000, |config| config.dedupe.window_seconds = 60).await;
            let topic = topic_arn(&setup(fifo).topic(0));
            stage.world.break_topic(&topic, Trouble::Refused("KMSDisabled"));
            // More than wait in memory for the topic, so that some messages are parked and received again.
            for number in 0..150 {
                stage.send_heartbeat(number);
                sleep(Duration::from_secs(2)).await;
            }
            sleep(Duration::from_secs(30 * 60)).await;
            stage.world.heal_topic(&topic);
            stage.until_empty(CATCH_UP).await;
            let log = stage.end().await;
            let mut copies = BTreeMap::<(&str, &str), usize>::new();
            for entry in &log {
                if let What::Published { event, topic, .. } = &entry.what {
                    *copies.entry((event, topic)).or_default() += 1;
                }
            }
            let receives = log.iter().filter(|entry| matches!(entry.what, What::Handed { .. })).count();
            assert!(receives > 150, "some messages were received again");
            assert_eq!(copies.len(), 450, "not every customer has every heartbeat");
            assert!(copies.values().all(|count| *count == 1), "{copies:?}");
            assert_nothing_is_quarantined(&log);
        });
    }
}

#[test]
fn an_answer_of_a_proxy_in_html_quarantines_nothing() {
    for status in PROXY_STATUSES {
        for targets in [&[Target::Sns][..], &[Target::Sqs], &[Target::Sns, Target::Sqs]] {
            run(proxy(status, targets));
        }
    }
}

async fn proxy(status: u16, targets: &[Target]) {
    let stage = Stage::start(false, 1_000, |_| {}).await;
    stage.send(0..30);
    targets.iter().for_each(|target| stage.world.break_target(target.clone(), Trouble::Html(status)));
    for number in 30..60 {
        stage.send(number..number + 1);
        sleep(Duration::from_secs(2)).await;
    }
    targets.iter().for_each(|target| stage.world.heal_target(target));
    stage.until_empty(CATCH_UP).await;
    let log = stage.end().await;
    assert_eq!(arrivals(&log).len(), 60, "{status}, {targets:?}: not every event was published");
    assert_nothing_is_quarantined(&log);
}

#[test]
fn an_s3_that_hangs_delays_no_message_without_an_object() {
    run(async {
        let stage = Stage::start(false, 3, |config| config.envelope.s3_buckets = vec!["large".to_owned()]).await;
        let bucket = Target::Bucket("large".to_owned());
        stage.world.break_target(bucket.clone(), Trouble::Hangs);
        for number in 0..60 {
            stage.send(number..number + 1);
            stage.send_pointer(1_000 + number);
            sleep(Duration::from_secs(3)).await;
        }
        assert_eq!(stage.world.messages(&stage.source).len(), 60, "the messages with objects wait on their queue");
        stage.world.heal_target(&bucket);
        stage.until_empty(CATCH_UP).await;
        assert_eq!(stage.world.messages(&stage.dead_letters), BTreeSet::new());
        let log = stage.end().await;
        assert_eq!(arrivals(&log).len(), 120, "not every event was published");
        assert_in_time(&log, 0..60, "S3 hangs");
        assert_nothing_is_quarantined(&log);
    });
}

#[test]
fn a_lone_message_outlasts_an_outage_of_its_bucket() {
    for trouble in [Trouble::Hangs, Trouble::Unavailable, Trouble::Disconnected, Trouble::Html(403)] {
        run(async move {
            let stage = Stage::start(false, 3, |config| config.envelope.s3_buckets = vec!["large".to_owned()]).await;
            let bucket = Target::Bucket("large".to_owned());
            stage.world.break_target(bucket.clone(), trouble);
            stage.send_pointer(0);
            sleep(Duration::from_secs(30 * 60)).await;
            stage.world.heal_target(&bucket);
            stage.until_empty(CATCH_UP).await;
            assert_eq!(stage.world.messages(&stage.dead_letters), BTreeSet::new(), "{trouble:?}");
            let log = stage.end().await;
            let receives = log.iter().filter(|entry| matches!(entry.what, What::Handed { .. })).count();
            assert_eq!((arrivals(&log).len(), receives), (1, 1), "{trouble:?}: events published, receives");
        });
    }
}

#[test]
fn a_schema_registry_that_hangs_delays_no_message_of_another_queue() {
    run(async {
        let stage = Stage::start(false, 1_000, |config| {
            let framed = World::queue_url("framed");
            let framing = protobridge::config::Framing::Confluent;
            config.queues.push(Queue { url: framed, framing, ..Queue::default() });
            config.confluent.registry_url = Some("http://registry:8081".to_owned());
        })
        .await;
        stage.world.break_target(Target::SchemaRegistry, Trouble::Hangs);
        for number in 0..60 {
            stage.send(number..number + 1);
            stage.send_framed(1_000 + number);
            sleep(Duration::from_secs(3)).await;
        }
        let framed = stage.world.messages(&World::queue_url("framed"));
        assert_eq!(framed.len(), 60, "the messages with schemas wait on their queue");
        let log = stage.end().await;
        assert_in_time(&log, 0..60, "the registry hangs");
        assert_nothing_is_quarantined(&log);
    });
}

#[test]
fn a_service_without_messages_in_flight_stops_at_once() {
    run(async {
        let stage = Stage::start(false, 10, |_| {}).await;
        stage.send(0..9);
        stage.until_empty(CATCH_UP).await;
        let stopping = Instant::now();
        stage.end().await;
        assert!(stopping.elapsed() < Duration::from_secs(2), "the drain took {:?}", stopping.elapsed());
    });
}

/// Plays one test in a runtime of its own, in tokio's time.
fn run(test: impl Future<Output = ()>) {
    // Load before seeding, because loading draws from the thread's random numbers, too.
    drop((parts(setup(false)), parts(setup(true))));
    fastrand::seed(7);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the runtime can be built").block_on(test);
}

fn setup(fifo: bool) -> Setup {
    Setup { customers: CUSTOMERS.len(), fifo: [fifo; 3], claims: NONE, has_fallback: false }
}

/// A running service with one source queue, which has a redrive policy.
struct Stage {
    world: World,
    app: App,
    fifo: bool,
    source: String,
    dead_letters: String,
}

impl Stage {
    async fn start(fifo: bool, max_receives: u32, change: impl FnOnce(&mut Config)) -> Self {
        let world = World::new(7, Faults::none());
        let queue = |name: &str| world.create_queue(&format!("{name}{}", if fifo { ".fifo" } else { "" }));
        let [source, dead_letters, quarantine] = ["source", "dead-letters", "quarantine"].map(queue);
        world.create_queue("framed");
        world.set_redrive(&source, &dead_letters, max_receives);
        for customer in 0..CUSTOMERS.len() {
            world.create_topic(&setup(fifo).topic(customer));
        }
        let mut config = base();
        config.queues = vec![Queue { url: source.clone(), quarantine_url: Some(quarantine), ..Queue::default() }];
        change(&mut config);
        let app = App::start_with(&config, parts(setup(fifo)), world.clients(1), None).expect("the service starts");
        Self { world, app, fifo, source, dead_letters }
    }

    /// Sends the events with these numbers, each for the next customer.
    fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let customer = CUSTOMERS[number % CUSTOMERS.len()];
            let (mut sent, _) = of_order(&name(number), customer, "order", Expect::Filtered);
            sent.group = self.fifo.then(|| customer.to_owned());
            sent.deduplication_id = self.fifo.then(|| name(number));
            self.world.send(&self.source, sent);
        }
    }

    /// Sends a heartbeat, which every customer receives.
    fn send_heartbeat(&self, number: usize) {
        let event_id = name(number);
        let payload = field(1, event_id.as_bytes());
        let mut sent = message(&event_id, "protobridge.v1.Heartbeat", &payload, &[("event-id", &event_id)]);
        sent.group = self.fifo.then(|| event_id.clone());
        sent.deduplication_id = self.fifo.then_some(event_id);
        self.world.send(&self.source, sent);
    }

    /// Sends an event whose payload is in S3.
    fn send_pointer(&self, number: usize) {
        let key = name(number);
        let body = format!(
            r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{{"s3BucketName":"large","s3Key":"{key}"}}]"#
        );
        let (sent, _) = of_order(&key, CUSTOMERS[0], "order", Expect::Filtered);
        self.world.put_object("large", &key, sent.body.clone());
        let mut attributes = sent.attributes.clone();
        attributes["ExtendedPayloadSize"] = serde_json::json!({"DataType": "Number", "StringValue": "300000"});
        self.world.send(&self.source, Incoming { body, attributes, ..sent });
    }

    /// Sends an event whose type only the schema registry knows.
    fn send_framed(&self, number: usize) {
        let (mut sent, _) = of_order(&name(number), CUSTOMERS[0], "order", Expect::Filtered);
        sent.attributes.as_object_mut().expect("attributes are an object").remove("message-type");
        // A zero byte, the schema id 1 and the first message of that schema.
        let body = "AAAAAAEA".to_owned();
        let mut attributes = sent.attributes.clone();
        attributes.as_object_mut().expect("the attributes are an object").remove("message-type");
        self.world.send(&World::queue_url("framed"), Incoming { body, attributes, ..sent });
    }

    /// Waits until the source queue is empty.
    async fn until_empty(&self, most: Duration) {
        let _is_empty = timeout(most, self.world.until_only(&self.source, &BTreeSet::new())).await;
    }

    async fn end(self) -> Vec<Entry> {
        self.app.stop().await;
        self.world.take_log()
    }
}

fn name(number: usize) -> String {
    format!("event-{number:03}")
}

/// Returns the time at which each event was first published.
fn arrivals(log: &[Entry]) -> BTreeMap<&str, Duration> {
    let mut arrivals = BTreeMap::new();
    for entry in log {
        if let What::Published { event, .. } = &entry.what {
            arrivals.entry(&**event).or_insert(entry.at);
        }
    }
    arrivals
}

#[track_caller]
fn assert_in_time(log: &[Entry], numbers: impl Iterator<Item = usize>, case: &str) {
    let published = arrivals(log);
    let sent: BTreeMap<&str, Duration> = log
        .iter()
        .filter_map(|entry| match &entry.what {
            What::Sent { event, .. } => Some((&**event, entry.at)),
            _ => None,
        })
        .collect();
    for name in numbers.map(name) {
        let Some(at) = published.get(&*name) else { panic!("{case}: {name} was not published") };
        let took = *at - sent[&*name];
        assert!(took <= IN_TIME, "{case}: {name} was published after {took:?}");
    }
}

#[track_caller]
fn assert_nothing_is_quarantined(log: &[Entry]) {
    let quarantined: Vec<String> =
        log.iter().filter(|entry| matches!(entry.what, What::Quarantined { .. })).map(ToString::to_string).collect();
    assert!(quarantined.is_empty(), "{quarantined:#?}");
}
