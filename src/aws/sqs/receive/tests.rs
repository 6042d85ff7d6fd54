use std::sync::Mutex;

use aws_lean::scripted::endpoint;
use aws_lean::{Auth, LeanClient};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::aws::scripted::clients;
use crate::aws::sqs::budget::Budget;
use crate::base::Backpressure;
use crate::config;
use crate::telemetry::{CallResult, Metrics, PollResult, QueueLabels};

#[tokio::test(start_paused = true)]
async fn a_poller_backs_off_while_polls_fail_and_then_delivers() {
    let message = serde_json::json!({"Messages": [{
        "MessageId": "m-1",
        "ReceiptHandle": "r-1",
        "Body": "CAE=",
        "Attributes": {"SentTimestamp": "1767225600000", "ApproximateReceiveCount": "3", "MessageGroupId": "g"},
    }]});
    let (clients, calls) = clients(move |_, number| match number {
        0..3 => (500, "{}".to_owned()),
        3 => (200, message.to_string()),
        _ => (200, "{}".to_owned()),
    });
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), Duration::from_secs(30));
    let config = config::Config::default();
    let reception = Reception::for_tests(&metrics);
    let budget = Budget::new(10, 1 << 20, [&reception.queue.url], &metrics);
    let poller = Poller::new(
        reception,
        &config,
        clients.lean,
        budget,
        visibility,
        (vec![Backpressure::for_tests()], Arc::default()),
    );

    let (stop, delivered) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
    let started = Instant::now();
    let deliver = {
        let (stop, delivered) = (stop.clone(), Arc::clone(&delivered));
        move |mut received: Vec<Received>| {
            delivered.lock().unwrap().append(&mut received);
            stop.cancel();
        }
    };
    let running = pollers::run(poller, 1..=1, stop, deliver);
    timeout(Duration::from_secs(60), running).await.expect("the pollers stop when `stop` is cancelled");

    assert!(started.elapsed() >= Duration::from_millis(1_400), "three failures: at least half of 400 + 800 + 1,600 ms");
    assert!(calls.lock().unwrap().iter().all(|call| call.operation == "ReceiveMessage"));
    let delivered = delivered.lock().unwrap();
    let message = &delivered[0].message;
    assert_eq!((message.receive_count, message.group.as_deref(), message.size()), (3, Some("g"), 4));
    assert_eq!(message.sent, SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    assert_eq!(metrics.polls.sum_where(|labels| labels.result == PollResult::Error), 3);
    let answered = metrics.calls.sum_where(|labels| labels.result == CallResult::Ok);
    assert_eq!(metrics.billable.sum(), answered, "failed calls are not billed");
}

#[tokio::test(start_paused = true)]
async fn full_polls_start_pollers_and_empty_polls_end_them() {
    let metrics = Arc::new(Metrics::new(false));
    let (clients, _) = clients(move |_, number| {
        let count = if number < 400 { 10 } else { 0 };
        let message = |index| serde_json::json!({"MessageId": format!("m-{number}-{index}"), "ReceiptHandle": "r"});
        let messages: Vec<_> = (0..count).map(message).collect();
        (200, serde_json::json!({ "Messages": messages }).to_string())
    });
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), Duration::from_secs(30));
    let reception = Reception::for_tests(&metrics);
    let budget = Budget::new(1_000, 64 << 20, [&reception.queue.url], &metrics);
    let poller = Poller::new(
        reception,
        &config::Config::default(),
        clients.lean,
        budget,
        visibility,
        (vec![Backpressure::for_tests()], Arc::default()),
    );
    let (stop, most) = (CancellationToken::new(), Arc::new(Mutex::new(0)));
    let deliver = {
        let (metrics, most) = (Arc::clone(&metrics), Arc::clone(&most));
        move |_: Vec<Received>| {
            let mut most = most.lock().unwrap();
            *most = metrics.pollers.sum().max(*most);
        }
    };
    let running = tokio::spawn(pollers::run(poller, 1..=4, stop.clone(), deliver));
    let ended = async {
        while metrics.polls.sum_where(|labels| labels.result == PollResult::Empty) < 8 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), ended).await.unwrap();
    assert_eq!((*most.lock().unwrap(), metrics.pollers.sum()), (4, 1));
    stop.cancel();
    timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
    assert_eq!(metrics.pollers.sum(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_an_empty_poll_of_all_servers_proves_that_the_queue_is_empty() {
    // The number of the poll decides whether it fails. After a failure, the next poll is short.
    for (wait_seconds, is_full, fails, expected) in [
        (20, false, (|_| false) as fn(usize) -> bool, true),
        (20, true, |_| false, false),
        (20, false, |number| number % 2 == 1, false),
        (0, false, |number| number % 2 == 1, true),
    ] {
        let metrics = Arc::new(Metrics::new(false));
        let stop = CancellationToken::new();
        let ninth = stop.clone();
        let (clients, _) = clients(move |_, number| {
            if number == 8 {
                ninth.cancel();
            }
            (if fails(number) { 500 } else { 200 }, "{}".to_owned())
        });
        let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), Duration::from_secs(30));
        let reception = Reception::for_tests(&metrics);
        metrics.queue_full.with(&QueueLabels { queue: &reception.queue.label }).set(is_full.into());
        let budget = Budget::new(10, 1 << 20, [&reception.queue.url], &metrics);
        let mut config = config::Config::default();
        config.receive.wait_seconds = wait_seconds;
        let valves = (vec![Backpressure::for_tests()], Arc::default());
        let poller = Poller::new(Arc::clone(&reception), &config, clients.lean, budget, visibility, valves);
        let running = pollers::run(poller, 1..=1, stop, |_: Vec<Received>| {});
        timeout(Duration::from_secs(600), running).await.expect("the pollers stop after the ninth poll");
        let proven = reception.evidence.at(Instant::now()).proven_until;
        assert_eq!(proven.is_some(), expected, "wait {wait_seconds}, full {is_full}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_arrives_late_proves_the_end_of_the_wait() {
    let (connector, _) = endpoint(|_, _| (200, "{}".to_owned()));
    let connector = SharedHttpConnector::new(Slow(connector, Duration::from_secs(23)));
    let (clients, _) = clients(|_, _| (200, "{}".to_owned()));
    let lean = LeanClient::new(&clients.shared, connector, Auth::of(&clients.shared), Duration::from_secs(60));
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.lean, Arc::clone(&metrics), Duration::from_secs(30));
    let reception = Reception::for_tests(&metrics);
    reception.note_answer();
    let budget = Budget::new(10, 1 << 20, [&reception.queue.url], &metrics);
    let (config, valves) = (config::Config::default(), (vec![Backpressure::for_tests()], Arc::default()));
    let poller = Poller::new(Arc::clone(&reception), &config, lean, budget, visibility, valves);
    let (called, stop) = (Instant::now(), CancellationToken::new());
    let running = tokio::spawn(pollers::run(poller, 1..=1, stop.clone(), |_: Vec<Received>| {}));
    sleep(Duration::from_secs(24)).await;
    let proven = reception.evidence.at(Instant::now()).proven_until;
    assert_eq!(proven, Some(called + Duration::from_secs(20)), "the wait ended 3 s before the answer arrived");
    stop.cancel();
    running.await.expect("no poller panics");
}

/// A connector whose answers arrive after a delay.
#[derive(Debug)]
struct Slow(SharedHttpConnector, Duration);

impl HttpConnector for Slow {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, delay) = (self.0.call(request), self.1);
        HttpConnectorFuture::new(async move {
            sleep(delay).await;
            answer.await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_visibility_timeout_of_a_received_message_counts_from_before_the_answer() {
    let message = serde_json::json!({"Messages": [{"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "CAE="}]});
    let (connector, _) = endpoint(move |_, _| (200, message.to_string()));
    let connector = SharedHttpConnector::new(Slow(connector, Duration::from_secs(20)));
    let (clients, _) = clients(|_, _| (200, "{}".to_owned()));
    let lean = LeanClient::new(&clients.shared, connector, Auth::of(&clients.shared), Duration::from_secs(10));
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.lean, Arc::clone(&metrics), Duration::from_secs(30));
    let reception = Reception::for_tests(&metrics);
    // The poll must be long: the answer takes longer than a short poll can.
    reception.note_answer();
    let budget = Budget::new(10, 1 << 20, [&reception.queue.url], &metrics);
    let poller = Poller::new(
        reception,
        &config::Config::default(),
        lean,
        budget,
        visibility,
        (vec![Backpressure::for_tests()], Arc::default()),
    );
    let (called, stop, lapses_at) = (Instant::now(), CancellationToken::new(), Arc::new(Mutex::new(None)));
    let deliver = {
        let (stop, lapses_at) = (stop.clone(), Arc::clone(&lapses_at));
        move |received: Vec<Received>| {
            *lapses_at.lock().unwrap() = Some(received[0].receipt.hold.ownership().lapses_at());
            stop.cancel();
        }
    };
    timeout(Duration::from_secs(60), pollers::run(poller, 1..=1, stop, deliver)).await.unwrap();
    let lapses_after = lapses_at.lock().unwrap().expect("a message was received") - called;
    // The timeout of 30 s counts from a quarter of it before the answer, which arrives after 20 s.
    assert_eq!(lapses_after, Duration::from_millis(20_000 - 7_500 + 30_000));
}

#[tokio::test(start_paused = true)]
async fn a_queue_gets_short_polls_until_it_answers_and_the_reception_says_why_it_does_not() {
    let denied = r#"{"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "scripted"}"#;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let metrics = Arc::new(Metrics::new(false));
    let reception = Reception::for_tests(&metrics);
    let stop = CancellationToken::new();
    let (observed, troubles, fifth) = (Arc::clone(&reception), Arc::clone(&seen), stop.clone());
    let (clients, calls) = clients(move |_, number| {
        troubles.lock().unwrap().push((observed.works(), observed.trouble()));
        match number {
            0..3 => (403, denied.to_owned()),
            3 => (200, "{}".to_owned()),
            _ => {
                fifth.cancel();
                (200, "{}".to_owned())
            }
        }
    });
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), Duration::from_secs(30));
    let budget = Budget::new(10, 1 << 20, [&reception.queue.url], &metrics);
    let valves = (vec![Backpressure::for_tests()], Arc::default());
    let poller =
        Poller::new(Arc::clone(&reception), &config::Config::default(), clients.lean, budget, visibility, valves);
    let running = pollers::run(poller, 1..=1, stop, |_: Vec<Received>| {});
    timeout(Duration::from_secs(60), running).await.expect("the pollers stop after the fifth poll");

    let waits: Vec<bool> = calls.lock().unwrap().iter().map(|call| call.count(r#""WaitTimeSeconds":0"#) == 1).collect();
    assert_eq!(waits[..5], [true, true, true, true, false], "polls are short until the first answer");
    let seen = seen.lock().unwrap();
    let trouble = seen[3].1.as_ref().expect("the third poll failed");
    assert_eq!((trouble.failures, seen[0].1.is_none()), (3, true));
    let expected = "AccessDeniedException: scripted (request r-3); allow sqs:ReceiveMessage on ";
    assert!(trouble.to_string().starts_with(expected), "{trouble}");
    assert!(seen[4].0 && reception.trouble().is_none(), "an empty answer ends the trouble");
    assert_eq!(metrics.queue_up.sum(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_queue_gets_long_polls() {
    let throttled = r#"{"__type": "com.amazonaws.sqs#OverLimit", "message": "scripted"}"#;
    let (clients, calls) = clients(move |_, _| (403, throttled.to_owned()));
    let metrics = Arc::new(Metrics::new(false));
    let visibility = Visibility::new(clients.lean.clone(), Arc::clone(&metrics), Duration::from_secs(30));
    let reception = Reception::for_tests(&metrics);
    let budget = Budget::new(10, 1 << 20, [&reception.queue.url], &metrics);
    let valves = (vec![Backpressure::for_tests()], Arc::default());
    let poller = Poller::new(reception, &config::Config::default(), clients.lean, budget, visibility, valves);
    let stop = CancellationToken::new();
    let running = tokio::spawn(pollers::run(poller, 1..=1, stop.clone(), |_: Vec<Received>| {}));
    let third = async {
        while calls.lock().unwrap().len() < 3 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), third).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    let waits: Vec<bool> = calls.lock().unwrap().iter().map(|call| call.count(r#""WaitTimeSeconds":0"#) == 1).collect();
    assert_eq!(waits[..3], [true, false, false], "SQS reports OverLimit to short polls only");
}
