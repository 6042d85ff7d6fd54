//! Tests the emulator with the SDK's clients.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::stats::Stats;
use super::{network, state::Emulator};
use crate::events::{self, Events};
use crate::floor::{FloorClients, publish_entry};
use crate::spec::{Faults, Spec};

/// Starts an emulator and clients that have credentials.
async fn start(spec: &Spec) -> (Arc<Emulator>, Arc<FloorClients>, Arc<Events>) {
    let emulator = Arc::new(Emulator::new(spec.clone()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(network::Server::new(Arc::clone(&emulator), spec.network).unwrap().0.serve(listener));
    emulator.start();
    (emulator, Arc::new(FloorClients::for_tests(&endpoint, None).await), Arc::new(Events::new(spec).unwrap()))
}

async fn until(emulator: &Emulator, condition: impl Fn(&Stats) -> bool) -> Stats {
    let look = async {
        while !condition(&emulator.stats()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), look).await.unwrap();
    emulator.stats()
}

#[tokio::test]
async fn the_floor_drains_the_queue_and_every_event_is_counted() {
    let (emulator, clients, events) = start(&Spec { events: 95, ..Spec::default() }).await;
    let floor = tokio::spawn(clients.run_loop(events));
    let stats = until(&emulator, |stats| stats.on_queue == 0).await;
    floor.abort();
    let arrived = &stats.arrived;
    assert_eq!((arrived.expected, arrived.arrived), (95, 95));
    assert_eq!((arrived.doubled, arrived.astray, arrived.altered, arrived.deleted_early), (0, 0, 0, 0));
    let [publishes, deletes] = ["PublishBatch", "DeleteMessageBatch"].map(|operation| stats.calls.of(operation));
    assert_eq!((publishes.calls, publishes.entries, deletes.calls, deletes.entries), (10, 95, 10, 95));
}

#[tokio::test]
async fn lost_and_duplicated_events_are_counted() {
    let (emulator, clients, events) = start(&Spec { events: 10, ..Spec::default() }).await;
    let messages = clients.receive().await.unwrap();
    assert_eq!(messages.len(), 10);
    let (topic, first) = publish_entry(0, &messages[0], &events).unwrap();
    for _ in 0..2 {
        clients.publish(&topic, vec![first.clone()]).await.unwrap();
    }
    clients.delete(messages).await.unwrap();
    let arrived = emulator.stats().arrived;
    assert_eq!((arrived.arrived, arrived.doubled, arrived.deleted_early), (1, 1, 9));
}

#[tokio::test]
async fn throttling_refusal_and_a_missing_topic_have_the_error_codes_of_sns() {
    let faults = Faults { quota: Some(15), refusing: Some(1), ..Faults::default() };
    let (_emulator, clients, events) = start(&Spec { events: 30, customers: 2, faults, ..Spec::default() }).await;
    let messages = clients.receive().await.unwrap();
    let entries =
        || messages.iter().enumerate().map(|(index, message)| publish_entry(index, message, &events).unwrap().1);
    let code = async |customer| {
        let answer = clients.publish(&events::topic(customer), entries().collect()).await;
        let error = answer.err()?.downcast::<aws_sdk_sns::error::SdkError<_>>().unwrap();
        let error: aws_sdk_sns::operation::publish_batch::PublishBatchError = error.into_service_error();
        error.code().map(str::to_owned)
    };
    assert_eq!(code(0).await, None);
    assert_eq!(code(0).await.as_deref(), Some("Throttled"));
    assert_eq!(code(1).await.as_deref(), Some("AuthorizationError"));
    assert_eq!(code(2).await.as_deref(), Some("NotFound"));
}

/// Sends a request to S3 and returns the answer.
async fn s3(port: u16, method: &str, path: &str, headers: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn large_events_are_messages_or_objects_and_their_json_is_stored_only_with_its_checksum() {
    let spec = Spec { events: 1_000, large_percent: 100, ..Spec::default() };
    let emulator = Arc::new(Emulator::new(spec.clone()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let clients = FloorClients::for_tests(&format!("http://127.0.0.1:{port}"), None).await;
    tokio::spawn(network::Server::new(Arc::clone(&emulator), spec.network).unwrap().0.serve(listener));
    emulator.start();
    let messages = clients.receive().await.unwrap();
    let events = Events::new(&spec).unwrap();
    let event = events.template(0);
    assert_eq!(messages[0].body(), Some(event.body.as_str()));
    assert!(BASE64_STANDARD.decode(&event.body).is_ok());

    let (index, object) = events.large().iter().enumerate().find(|(_, event)| event.object.is_some()).unwrap();
    let answer = s3(port, "GET", &format!("/{}/{index}", events::OBJECTS_BUCKET), "", b"").await;
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.as_bytes(), object.object.as_ref().unwrap());
    assert!(
        s3(port, "GET", "/large-events/0", "", b"").await.starts_with("HTTP/1.1 404"),
        "its payload is in the body"
    );

    let put = async |path: &str, checksum: &str| {
        let headers = format!("content-type: application/json\r\nx-amz-checksum-sha256: {checksum}\r\n");
        s3(port, "PUT", path, &headers, event.json.as_bytes()).await.chars().skip(9).take(3).collect::<String>()
    };
    assert_eq!(put("/claims/json/customer-00000/1.json", &event.checksum).await, "200");
    assert_eq!(put("/claims/json/customer-00000/2.json", &object.checksum).await, "400");
    assert_eq!(put("/other/json/customer-00000/3.json", &event.checksum).await, "404");
    let stats = emulator.stats();
    assert_eq!((stats.claims.objects, stats.claims.orphans), (1, 1));
    let [puts, gets] = ["PutObject", "GetObject"].map(|operation| stats.calls.of(operation));
    assert_eq!((puts.calls, puts.failed, gets.calls, gets.failed), (3, 2, 2, 1));
}
