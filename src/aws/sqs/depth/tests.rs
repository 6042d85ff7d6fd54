use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::aws::Clients;
use crate::aws::scripted::clients;
use crate::config;

const PERIOD: Duration = Duration::from_secs(30);
const DEAD_URL: &str = "https://sqs.eu-west-1.amazonaws.com/1/dead";

fn depth(clients: Clients, metrics: &Arc<Metrics>) -> Depth {
    let schedule = Schedule::new(&config::Retry::default());
    Depth::new(clients.sqs, Arc::clone(metrics), vec![Arc::new(Queue::for_tests())], schedule)
}

/// Returns the answer about the source queue, whose redrive policy allows this number of receives.
fn source(max_receive_count: u32) -> (u16, String) {
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:1:dead", "maxReceiveCount": max_receive_count});
    answer(&json!({"QueueArn": "arn:aws:sqs:eu-west-1:1:orders", "RedrivePolicy": policy.to_string()}))
}

fn answer(attributes: &Value) -> (u16, String) {
    (200, json!({ "Attributes": attributes }).to_string())
}

fn failed(code: &str) -> (u16, String) {
    (400, json!({"__type": code, "message": "no"}).to_string())
}

/// Returns the lines of these metrics that have a value.
fn shown(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render();
    let lines = text
        .lines()
        .filter(|line| ["protobridge_queue_receives", "protobridge_dead"].iter().any(|p| line.starts_with(p)));
    lines.filter(|line| !line.ends_with("NaN")).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn the_redrive_policy_and_its_dead_letter_queue_are_shown() {
    let (clients, calls) = clients(|call, number| match call.count(DEAD_URL) {
        0 => source(if number < 2 { 10 } else { 20 }),
        _ => answer(&json!({"ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesNotVisible": "2"})),
    });
    let metrics = Arc::new(Metrics::new(false));
    tokio::spawn(depth(clients, &metrics).watch(PERIOD));
    for allowed in [10, 20] {
        sleep(PERIOD - Duration::from_secs(1)).await;
        let dead = r#"protobridge_dead_letter_messages{queue="orders"} 5"#.to_owned();
        let allowed = format!(r#"protobridge_queue_receives_allowed{{queue="orders"}} {allowed}"#);
        let needed = r#"protobridge_queue_receives_needed{queue="orders"} 17"#.to_owned();
        let mut shown = shown(&metrics);
        shown.sort();
        assert_eq!(shown, [dead, allowed, needed]);
    }
    assert!(calls.lock().unwrap().iter().all(|call| call.operation == "GetQueueAttributes"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_queue_whose_attributes_are_denied_is_asked_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (clients, _) = clients(move |call, _| match call.count(DEAD_URL) {
        0 => source(20),
        _ => {
            count.fetch_add(1, Ordering::Relaxed);
            failed("AccessDeniedException")
        }
    });
    let metrics = Arc::new(Metrics::new(false));
    tokio::spawn(depth(clients, &metrics).watch(PERIOD));
    sleep(PERIOD * 5).await;
    assert_eq!((asked.load(Ordering::Relaxed), shown(&metrics).len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_queue_elsewhere_is_found_by_its_name() {
    let (clients, calls) = clients(|call, _| match (&*call.operation, call.count(DEAD_URL)) {
        ("GetQueueUrl", _) => (200, json!({ "QueueUrl": DEAD_URL }).to_string()),
        (_, 0) => {
            let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:2:dead","maxReceiveCount":"20"}"#;
            answer(&json!({"QueueArn": "arn:aws:sqs:eu-west-1:1:orders", "RedrivePolicy": policy}))
        }
        _ => answer(&json!({"ApproximateNumberOfMessages": "1"})),
    });
    let metrics = Arc::new(Metrics::new(false));
    tokio::spawn(depth(clients, &metrics).watch(PERIOD));
    sleep(PERIOD * 3).await;
    assert_eq!(metrics.dead_letters.sum(), 1);
    let calls = calls.lock().unwrap();
    let questions: Vec<&str> =
        calls.iter().filter(|call| &*call.operation == "GetQueueUrl").map(|call| &*call.body).collect();
    assert_eq!(questions.len(), 1, "the URL is kept");
    assert!(questions[0].contains("\"QueueName\":\"dead\"") && questions[0].contains("\"2\""), "{}", questions[0]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_judged_once_the_queue_can_be_reached() {
    let (clients, calls) = clients(|_, number| if number < 3 { (500, "{}".to_owned()) } else { source(10) });
    let metrics = Arc::new(Metrics::new(false));
    depth(clients, &metrics).judge_once().await;
    assert_eq!((calls.lock().unwrap().len(), metrics.receives_allowed.sum()), (4, 10));
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_attributes_are_denied_is_not_judged() {
    let (clients, calls) = clients(|_, _| failed("AccessDeniedException"));
    let metrics = Arc::new(Metrics::new(false));
    depth(clients, &metrics).judge_once().await;
    assert_eq!((calls.lock().unwrap().len(), shown(&metrics).len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_attributes_are_denied_is_asked_again_after_ten_minutes() {
    let (clients, calls) = clients(|_, number| if number == 0 { failed("AccessDeniedException") } else { source(10) });
    let metrics = Arc::new(Metrics::new(false));
    tokio::spawn(depth(clients, &metrics).watch(PERIOD));
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert_eq!((calls.lock().unwrap().len(), metrics.receives_allowed.sum()), (1, 0));
    tokio::time::sleep(PERIOD + Duration::from_secs(2)).await;
    assert_eq!(metrics.receives_allowed.sum(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_queue_at_its_in_flight_limit_is_told_from_a_quiet_one() {
    let (clients, _) = clients(|_, number| {
        let in_flight = if number == 0 { "120000" } else { "17" };
        let attributes = serde_json::json!({
            "ApproximateNumberOfMessages": "5000",
            "ApproximateNumberOfMessagesNotVisible": in_flight,
        });
        (200, serde_json::json!({ "Attributes": attributes }).to_string())
    });
    let metrics = Arc::new(Metrics::new(false));
    tokio::spawn(depth(clients, &metrics).watch(PERIOD));
    for (after, is_full, in_flight) in [(1, 1, 120_000), (30, 0, 17)] {
        tokio::time::sleep(Duration::from_secs(after)).await;
        assert_eq!(metrics.queue_full.sum(), is_full);
        let messages = |state| metrics.queue_messages.sum_where(|labels| labels.state == state);
        assert_eq!((messages(QueueState::InFlight), messages(QueueState::Visible)), (in_flight, 5_000));
    }
}
