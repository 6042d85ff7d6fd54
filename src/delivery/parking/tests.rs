use tokio::time::timeout;

use super::*;
use crate::aws::scripted::{Calls, clients, sqs_batch};
use crate::aws::sqs::budget::{Budget, Permit};
use crate::aws::sqs::visibility::Visibility;
use crate::message::Queue;

const TIMEOUT: Duration = Duration::from_secs(30);

struct Stage {
    parking: Arc<Parking>,
    outages: Arc<Outages>,
    visibility: Visibility,
    metrics: Arc<Metrics>,
    calls: Calls,
    reserved: Permit,
}

/// Creates a parking for at most five messages of a queue, whose tasks run.
async fn stage() -> Stage {
    let (clients, calls) = clients(|call, _| sqs_batch(call, &[]));
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), TIMEOUT);
    let outages = Arc::new(Outages::new(Arc::clone(&metrics)));
    let (releaser, run) = Releaser::new(clients.lean.clone(), Arc::clone(&metrics));
    tokio::spawn(run);
    let queue = Arc::new(Queue::for_tests());
    let intake = Arc::new(Intake::new([&queue], Arc::clone(&outages)));
    let parking = Arc::new(Parking::new(5, Arc::clone(&outages), intake, releaser, Arc::clone(&metrics)));
    tokio::spawn(Arc::clone(&parking).run());
    tokio::spawn(visibility.clone().keep_hidden());
    let reserved = Budget::new(10, 1 << 20, [&queue.url], &metrics).reserve(&queue.url).await;
    Stage { parking, outages, visibility, metrics, calls, reserved }
}

impl Stage {
    fn park(&mut self, name: &str, domain: &Domain) {
        let permit = self.reserved.split(100);
        self.parking.park(domain, Receipt::for_tests(name, &self.visibility, permit, Instant::now()));
    }

    /// Returns the visibility timeouts that were set for a receipt, in seconds.
    fn timeouts(&self, receipt: &str) -> Vec<u64> {
        let mut timeouts = Vec::new();
        for call in self.calls.lock().unwrap().iter() {
            let body: serde_json::Value = serde_json::from_str(&call.body).unwrap();
            let entries = body["Entries"].as_array().unwrap().iter();
            let of_receipt = entries.filter(|entry| entry["ReceiptHandle"] == receipt);
            timeouts.extend(of_receipt.map(|entry| entry["VisibilityTimeout"].as_u64().unwrap()));
        }
        timeouts
    }
}

fn topic(name: &str) -> Domain {
    Domain::Topic(format!("arn:aws:sns:eu-west-1:1:{name}").into())
}

#[tokio::test(start_paused = true)]
async fn a_parked_message_stays_hidden_with_few_calls_until_its_domain_works() {
    let mut stage = stage().await;
    stage.outages.begin(&topic("acme"), "no answer");
    stage.outages.begin(&topic("bolt"), "no answer");
    stage.park("one", &topic("acme"));
    stage.park("two", &topic("bolt"));
    assert_eq!((stage.metrics.parked.sum(), stage.visibility.in_flight()), (2, 2));
    let text = stage.metrics.render();
    assert!(text.contains("protobridge_in_flight_bytes 0"), "a parked message is not in memory\n{text}");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let timeouts = stage.timeouts("one");
    assert!((11..=14).contains(&timeouts.len()) && timeouts.iter().all(|seconds| *seconds == 600), "{timeouts:?}");
    stage.outages.end(&topic("acme"));
    let gone = async {
        while stage.metrics.parked.sum() > 1 || stage.visibility.in_flight() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(3), gone).await.unwrap();
    assert_eq!(stage.timeouts("one").last(), Some(&1));
    assert!(!stage.timeouts("two").contains(&1));
}

#[tokio::test(start_paused = true)]
async fn a_domain_gets_as_many_messages_as_it_takes() {
    let mut stage = stage().await;
    let acme = topic("acme");
    stage.outages.set_room(acme.clone(), Some(0));
    for name in ["one", "two", "three"] {
        stage.park(name, &acme);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.metrics.parked.sum(), 3);
    stage.outages.set_room(acme.clone(), Some(1));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stage.outages.set_room(acme.clone(), Some(0));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let left = stage.metrics.parked.sum();
    assert!((1..=2).contains(&left), "{left} are left");
    assert_eq!(stage.timeouts("one").last(), Some(&1), "the first is the first to go");
    stage.outages.set_room(acme, None);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((stage.metrics.parked.sum(), stage.visibility.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_on_their_way_to_a_domain_count_towards_its_room() {
    let mut stage = stage().await;
    let acme = topic("acme");
    stage.outages.set_room(acme.clone(), Some(2));
    for name in ["one", "two", "three", "four", "five"] {
        stage.park(name, &acme);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(stage.metrics.parked.sum(), 3, "two of five are on their way");
    tokio::time::sleep(ON_THE_WAY).await;
    assert_eq!(stage.metrics.parked.sum(), 1, "the domain has taken two, and two more are on their way");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_parked_time_and_again_becomes_visible_once_per_second_at_most() {
    let mut stage = stage().await;
    for _ in 0..40 {
        stage.park("one", &topic("acme"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let batches = stage.calls.lock().unwrap().len();
    assert!((1..=6).contains(&batches), "{batches} batches in four seconds");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_parked_messages_per_queue_is_limited() {
    let mut stage = stage().await;
    let (acme, queue) = (topic("acme"), Queue::for_tests().url);
    stage.outages.begin(&acme, "no answer");
    for number in 0..5 {
        assert!(stage.parking.has_room(&queue));
        stage.park(&number.to_string(), &acme);
    }
    assert!(!stage.parking.has_room(&queue));
    stage.outages.end(&acme);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(stage.parking.has_room(&queue));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_keeps_no_message_parked() {
    let mut stage = stage().await;
    let acme = topic("acme");
    stage.outages.begin(&acme, "no answer");
    stage.park("one", &acme);
    stage.parking.close();
    stage.park("two", &acme);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((stage.metrics.parked.sum(), stage.visibility.in_flight()), (0, 0));
    assert_eq!(stage.timeouts("one").last(), Some(&1));
    assert_eq!(stage.timeouts("two").last(), Some(&1));
}
