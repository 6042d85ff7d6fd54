//! Compares the counters in the store with what the model of AWS counted on its own: calls, entries, bytes, billed units
//! by both readings, and throttles, to the unit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protobridge::app::App;
use protobridge::config::{Prices, Queue};
use protobridge::store::counters::cost::{self, Basis, By};
use protobridge::store::counters::{Minute, Reader, Writer, throttles};
use protobridge::store::{Store, replica_name};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::faults::claims::NONE;
use crate::faults::play::{base, parts};
use crate::faults::scenario::{CUSTOMERS, ORDER, Setup, message};
use crate::model::bill::{Bill, Billed, ThrottledCall};
use crate::model::log::{Entry, What};
use crate::model::{Faults, Incoming, Target, Trouble, World, topic_arn};

/// The time within which all events must be published after the last fault.
const CATCH_UP: Duration = Duration::from_secs(30 * 60);
/// The topics: the second customer has a FIFO topic.
const SETUP: Setup =
    Setup { customers: CUSTOMERS.len(), fifo: [false, true, false], claims: NONE, has_fallback: false };

#[test]
fn the_counters_of_a_throttled_service_equal_those_of_aws() {
    run(async {
        let stage = Stage::start(1, Faults::none());
        stage.throttle().await;
        let (bills, minutes, log) = stage.end().await;
        assert_counters(&bills, &minutes, &log);
        assert_reports(&bills, &minutes);
        let bill = only(&bills);
        assert!(bill.throttles.len() > 10 && bill.throttles.iter().all(|call| call.whole_call), "{bill:#?}");
        let entries = |bill: &Bill, is_met: &dyn Fn(&Billed) -> bool| bill.calls.values().any(is_met);
        assert!(entries(bill, &|billed| billed.units_per_call > billed.calls), "no call is larger than a unit");
        // Without failed entries, the shares of the entries add up to the units of the calls.
        let published = || minutes.iter().flat_map(|minute| &minute.published);
        let publishes = || bill.calls.iter().filter(|(key, _)| key.1 == "PublishBatch").map(|(_, billed)| billed);
        let shares: u64 = published().map(|cell| cell.micro_units_per_call).sum();
        assert_eq!(shares, 1_000_000 * publishes().map(|billed| billed.units_per_call).sum::<u64>());
        let units: u64 = published().map(|cell| cell.units_per_entry).sum();
        assert_eq!(units, publishes().map(|billed| billed.units_per_entry).sum::<u64>());
        let bytes: u64 = published().map(|cell| cell.bytes).sum();
        assert_eq!(bytes, publishes().map(|billed| billed.bytes).sum::<u64>());
    });
}

#[test]
fn entries_that_fail_alone_are_counted_apart_from_those_that_sns_accepts() {
    run(async {
        let faults = Faults { publish_fails: 0.2, send_fails: 0.2, delete_fails: 0.1, ..Faults::none() };
        let stage = Stage::start(1, faults);
        stage.throttle().await;
        let (bills, minutes, log) = stage.end().await;
        assert_counters(&bills, &minutes, &log);
        let bill = only(&bills);
        assert!(bill.throttles.iter().any(|call| !call.whole_call), "SNS throttled no call in part");
        assert!(bill.accepted < bill.attempted - bill.throttled, "no entry failed for another reason");
    });
}

#[test]
fn calls_that_fail_as_a_whole_are_counted_and_not_billed() {
    run(async {
        let faults = Faults { throttled: 0.1, broken: 0.1, reset_before: 0.1, ..Faults::none() };
        let stage = Stage::start(1, faults);
        stage.throttle().await;
        let (mut bills, mut minutes, log) = stage.end().await;
        // An SDK client repeats such a call, which counts once.
        bills
            .values_mut()
            .for_each(|bill| bill.calls.retain(|(_, operation, _), _| !operation.starts_with("GetQueue")));
        minutes.iter_mut().for_each(|minute| minute.calls.retain(|calls| !calls.operation.starts_with("GetQueue")));
        assert_counters(&bills, &minutes, &log);
        let failing =
            only(&bills).calls.values().filter(|billed| billed.throttled > 0 && billed.failed > billed.throttled);
        assert!(failing.count() > 3, "{bills:#?}");
    });
}

#[test]
fn the_minutes_of_three_replicas_add_up_to_what_aws_counted() {
    run(async {
        let stage = Stage::start(3, Faults::none());
        stage.throttle().await;
        let (bills, minutes, log) = stage.end().await;
        assert_counters(&bills, &minutes, &log);
        assert_reports(&bills, &minutes);
        let throttled = bills.values().filter(|bill| !bill.throttles.is_empty()).count();
        assert_eq!((bills.len(), throttled), (3, 3), "SNS throttled not every replica");
        let sum = |count: &dyn Fn(&Bill) -> u64| bills.values().map(count).sum::<u64>();
        let seconds = || minutes.iter().flat_map(|minute| minute.seconds.values());
        assert_eq!(seconds().map(|second| second.attempted).sum::<u64>(), sum(&|bill| bill.attempted));
        assert_eq!(seconds().map(|second| second.accepted).sum::<u64>(), sum(&|bill| bill.accepted));
    });
}

/// Plays one test in a runtime of its own, in tokio's time.
fn run(test: impl Future<Output = ()>) {
    // Load before seeding, because loading draws from the thread's random numbers, too.
    drop(parts(SETUP));
    fastrand::seed(7);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("the runtime can be built").block_on(test);
}

/// Some replicas of the service with a standard and a FIFO queue, and their store.
struct Stage {
    world: World,
    folder: TempDir,
    queues: [String; 2],
    replicas: Vec<Replica>,
}

struct Replica {
    name: String,
    app: App,
    /// The writer of a replica whose configuration has no store. On one host, the replicas of a store have one name.
    writer: Option<(Arc<Writer>, JoinHandle<()>)>,
}

impl Stage {
    fn start(replicas: u32, faults: Faults) -> Self {
        let world = World::new(7, faults);
        let queues = ["source", "source.fifo"].map(|name| world.create_queue(name));
        let quarantine = ["quarantine", "quarantine.fifo"].map(|name| world.create_queue(name));
        for customer in 0..CUSTOMERS.len() {
            world.create_topic(&SETUP.topic(customer));
        }
        let mut config = base();
        let queue = |(url, quarantine): (&String, String)| Queue {
            url: url.clone(),
            quarantine_url: Some(quarantine),
            ..Queue::default()
        };
        config.queues = queues.iter().zip(quarantine).map(queue).collect();
        config.publish.max_batch_bytes = 256 * 1024;
        config.envelope.s3_buckets = vec!["large".to_owned()];
        let folder = TempDir::new().expect("a temporary folder can be created");
        let store = store(&folder);
        let is_alone = replicas == 1;
        if is_alone {
            config.store.url = Some(format!("file://{}", folder.path().display()));
        }
        let start = |instance| {
            let app = App::start_with(&config, parts(SETUP), world.clients(instance), None);
            let app = app.expect("the service starts");
            if is_alone {
                return Replica { name: replica_name(), app, writer: None };
            }
            let name = format!("pod-{instance}");
            let writer = Writer::new(store.clone(), name.clone(), Some("eu-west-1".to_owned()), app.metrics());
            let task = tokio::spawn(Arc::clone(&writer).run());
            Replica { name, app, writer: Some((writer, task)) }
        };
        let replicas = (1..=replicas).map(start).collect();
        Self { world, folder, queues, replicas }
    }

    /// Sends events of all kinds while SNS throttles all topics, and then one topic.
    async fn throttle(&self) {
        self.world.break_target(Target::Sns, Trouble::Quota(20.0));
        self.send(0..200).await;
        self.world.heal_target(&Target::Sns);
        let topic = topic_arn(&SETUP.topic(0));
        self.world.break_topic(&topic, Trouble::Throttled("KMSThrottling"));
        self.send(200..300).await;
        self.world.heal_topic(&topic);
        self.send(300..320).await;
        self.world.heal();
    }

    /// Sends the events with these numbers to one queue after the other, each for the next customer, ten per second.
    async fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let queue = &self.queues[number % 2];
            let mut sent = event(number);
            if number % 20 == 7 {
                let content = std::mem::replace(&mut sent.body, pointer(&sent.name));
                self.world.put_object("large", &sent.name, content);
                sent.attributes["ExtendedPayloadSize"] =
                    serde_json::json!({"DataType": "Number", "StringValue": "300000"});
            }
            if queue.ends_with(".fifo") {
                sent.group = Some(format!("group-{}", number % 5));
                sent.deduplication_id = Some(sent.name.to_string());
            }
            self.world.send(queue, sent);
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the queues are empty, and stops the replicas. Returns what AWS counted for each, the minutes in the
    /// store, and what happened.
    async fn end(self) -> (BTreeMap<String, Bill>, Vec<Minute>, Vec<Entry>) {
        for queue in &self.queues {
            let nothing = BTreeSet::new();
            timeout(CATCH_UP, self.world.until_only(queue, &nothing))
                .await
                .expect("every event is published or in quarantine");
        }
        // The clock of the minutes is not tokio's, but the next one ends within this time.
        sleep(Duration::from_secs(62)).await;
        let mut bills = BTreeMap::new();
        for (instance, Replica { name, app, writer }) in (1..).zip(self.replicas) {
            app.stop().await;
            if let Some((writer, task)) = writer {
                task.abort();
                writer.finish(Duration::from_secs(5)).await;
            }
            bills.insert(name, self.world.bill(instance));
        }
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_micros() as i64;
        let hour = 3_600_000_000;
        let minutes = Reader::new(store(&self.folder)).minutes(now - hour..now + hour).await;
        (bills, minutes.expect("the store can be read"), self.world.take_log())
    }
}

fn store(folder: &TempDir) -> Store {
    Store::folder(folder.path().to_owned()).expect("the folder can be used")
}

/// Returns the event with this number. Some are larger than a unit, and some cannot be read.
fn event(number: usize) -> Incoming {
    let (id, customer) = (format!("event-{number:03}"), CUSTOMERS[number % CUSTOMERS.len()]);
    let order_id = "x".repeat(if number % 10 == 3 { 30_000 + 300 * number } else { 20 });
    let meta = [field(1, id.as_bytes()), field(2, customer.as_bytes())].concat();
    let mut payload = [field(1, &meta), field(2, order_id.as_bytes())].concat();
    if number % 25 == 4 {
        payload.truncate(payload.len() - 1);
    }
    message(&id, ORDER, &payload, &[("event-id", &id), ("customer-id", customer)])
}

/// Encodes a length-delimited field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 128 {
        encoded.push(length as u8 | 128);
        length >>= 7;
    }
    encoded.push(length as u8);
    [&encoded, value].concat()
}

/// Returns the body that points to the object of an event.
fn pointer(name: &str) -> String {
    format!(r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{{"s3BucketName":"large","s3Key":"{name}"}}]"#)
}

/// Returns the bill of the only replica.
fn only(bills: &BTreeMap<String, Bill>) -> &Bill {
    bills.values().next().expect("there is a replica")
}

/// Compares the minutes of each replica with what AWS counted, and with what happened.
#[track_caller]
fn assert_counters(bills: &BTreeMap<String, Bill>, minutes: &[Minute], log: &[Entry]) {
    for (instance, (name, bill)) in (1..).zip(bills) {
        let minutes: Vec<&Minute> = minutes.iter().filter(|minute| minute.replica == *name).collect();
        assert_eq!(minutes.iter().filter(|minute| minute.is_last).count(), 1, "{name} stopped once");
        assert!(minutes.len() > 1, "{name} stored its last minute only");
        assert_eq!(counted(&minutes), *bill, "{name}");

        let count = |is_met: &dyn Fn(&What) -> bool| {
            log.iter().filter(|entry| entry.instance == Some(instance) && is_met(&entry.what)).count() as u64
        };
        let settled: u64 = minutes.iter().flat_map(|minute| &minute.settled).map(|cell| cell.messages).sum();
        assert_eq!(settled, count(&|what| matches!(what, What::Handed { .. })), "{name}: settled messages");
        for (number, customer) in CUSTOMERS.iter().enumerate() {
            let arn = topic_arn(&SETUP.topic(number));
            let is_theirs = |what: &What| matches!(what, What::Confirmed { topic, .. } if **topic == *arn);
            let cells = || minutes.iter().flat_map(|minute| &minute.published);
            let theirs = cells().filter(|cell| cell.customer.as_deref() == Some(customer));
            let entries: u64 = theirs.clone().map(|cell| cell.entries).sum();
            assert_eq!(entries, count(&is_theirs), "{name}: entries of {customer}");
            assert!(theirs.clone().all(|cell| cell.event_type == ORDER && cell.fifo == SETUP.fifo[number]));
        }
    }
}

/// Compares the reports with what AWS counted: the units of both readings and their money, and each throttle.
#[track_caller]
fn assert_reports(bills: &BTreeMap<String, Bill>, minutes: &[Minute]) {
    let prices = Prices::default();
    let (linger_ms, max_batch_bytes) = (10, 256 * 1024);
    let window = minutes.iter().map(|minute| minute.from).min().unwrap_or(0)..i64::MAX;
    let cost = |by| {
        let basis = Basis { by, prices: &prices, linger_ms, max_batch_bytes, stored: None };
        cost::report(minutes, window.clone(), &basis).expect("there are minutes")
    };
    let billed = || bills.values().flat_map(|bill| &bill.calls);
    let of_sns = || billed().filter(|((service, _, _), _)| service == "sns").map(|(_, billed)| billed);
    let by_customer = cost(By::Customer);
    let units = by_customer.total.units.expect("SNS was called");
    assert_eq!(units.per_call, of_sns().map(|billed| billed.units_per_call).sum::<u64>() as f64);
    assert_eq!(units.per_entry, of_sns().map(|billed| billed.units_per_entry).sum::<u64>() as f64);
    assert_eq!(by_customer.total.deliveries, Some(bills.values().map(|bill| bill.accepted).sum()));
    let by_operation = cost(By::Operation);
    assert_eq!(by_operation.total.calls, Some(billed().map(|(_, billed)| billed.calls).sum()));
    let price = |reading: &dyn Fn(&Billed) -> u64| -> f64 {
        let money = |((service, _, fifo), billed): (&(String, String, bool), &Billed)| match (service.as_str(), fifo) {
            ("sns", false) => reading(billed) as f64 * prices.sns_standard / 1e6,
            ("sns", true) => {
                let gigabytes = billed.bytes as f64 / f64::from(1 << 30);
                reading(billed) as f64 * prices.sns_fifo / 1e6 + gigabytes * prices.sns_fifo_gb
            }
            ("sqs", false) => reading(billed) as f64 * prices.sqs_standard / 1e6,
            ("sqs", true) => reading(billed) as f64 * prices.sqs_fifo / 1e6,
            _ => billed.calls as f64 * prices.s3_get_thousand / 1e3,
        };
        billed().map(money).sum()
    };
    let (low, high) = (price(&|billed| billed.units_per_call), price(&|billed| billed.units_per_entry));
    for report in [by_customer, cost(By::Type), by_operation] {
        let money = report.total.money;
        let is_same = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(is_same(money.per_call, low) && is_same(money.per_entry, high), "{money:?}, not {low} and {high}");
    }

    let report = throttles::report(minutes, window.clone(), None, None).expect("there are minutes");
    let sum = |count: &dyn Fn(&Bill) -> u64| bills.values().map(count).sum::<u64>();
    let rates = |count: &dyn Fn(&throttles::MinuteRates) -> u64| report.minutes.iter().map(count).sum::<u64>();
    assert_eq!(rates(&|minute| minute.attempted), sum(&|bill| bill.attempted));
    assert_eq!(rates(&|minute| minute.accepted), sum(&|bill| bill.accepted));
    assert_eq!(rates(&|minute| minute.throttled), sum(&|bill| bill.throttled));
    let ids = |ids: &mut dyn Iterator<Item = Option<String>>| ids.collect::<BTreeSet<_>>();
    let throttled = bills.values().flat_map(|bill| &bill.throttles);
    assert_eq!(report.throttles.len(), throttled.clone().count());
    assert_eq!(
        ids(&mut report.throttles.iter().map(|throttle| throttle.request_id.clone())),
        ids(&mut throttled.map(|throttle| throttle.request_id.clone())),
    );
}

/// Adds up the minutes of one replica.
fn counted(minutes: &[&Minute]) -> Bill {
    let mut bill = Bill::default();
    for minute in minutes {
        for calls in &minute.calls {
            let key = (calls.service.clone(), calls.operation.clone(), calls.fifo);
            let sum = bill.calls.entry(key).or_default();
            sum.calls += calls.calls;
            sum.empty += calls.empty;
            sum.failed += calls.failed;
            sum.throttled += calls.throttled;
            sum.entries += calls.entries;
            sum.bytes += calls.bytes;
            sum.units_per_call += calls.units_per_call;
            sum.units_per_entry += calls.units_per_entry;
        }
        for second in minute.seconds.values() {
            bill.attempted += second.attempted;
            bill.accepted += second.accepted;
            bill.throttled += second.throttled;
        }
        assert_eq!(minute.throttles_left_out, 0);
        bill.throttles.extend(minute.throttles.iter().map(|throttle| ThrottledCall {
            request_id: throttle.request_id.clone(),
            topic: throttle.topic.clone(),
            code: throttle.code.clone(),
            messages: throttle.messages,
            whole_call: throttle.whole_call,
        }));
    }
    bill.throttles.sort();
    bill
}
