use std::sync::Mutex;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::aws::scripted::clients;
use crate::telemetry::Metrics;

#[tokio::test(start_paused = true)]
async fn a_poller_backs_off_while_polls_fail_and_hands_over_what_comes_then() {
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
    let visibility = Visibility::new(clients.sqs.clone(), Arc::clone(&metrics), Duration::from_secs(30));
    let budget = Budget::new(10, 1 << 20, Arc::clone(&metrics));
    let config = config::Config::default();
    let source = Arc::new(Source::for_tests());
    let poller = Poller::new(source, &config, clients, budget, visibility, Arc::clone(&metrics));

    let (stop, delivered) = (CancellationToken::new(), Mutex::new(Vec::new()));
    let started = Instant::now();
    let deliver = |mut received: Vec<Received>| {
        delivered.lock().unwrap().append(&mut received);
        stop.cancel();
    };
    timeout(Duration::from_secs(60), poller.run(stop.clone(), deliver)).await.expect("the poller stops when told to");

    assert!(
        started.elapsed() >= Duration::from_millis(700),
        "three failures: at least 200 + 400 ms and more, halved at most"
    );
    assert!(calls.lock().unwrap().iter().all(|call| call.operation == "ReceiveMessage"));
    let delivered = delivered.into_inner().unwrap();
    let message = &delivered[0].message;
    assert_eq!((message.receive_count, message.group.as_deref(), message.size()), (3, Some("g"), 4));
    assert_eq!(message.sent, SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    assert_eq!(metrics.polls.sum_where("result", "error"), 3);
}
