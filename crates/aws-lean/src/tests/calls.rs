//! Calls that are not sent, calls that are not answered, and answers that change later calls.

use aws_smithy_runtime_api::client::connection::ConnectionMetadata;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::result::ConnectorError;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

use super::*;
use crate::{Bucket, Condition};

/// A connector whose calls all end in the same way.
#[derive(Debug, Clone)]
enum Fate {
    /// No answer ever comes.
    Silence,
    /// The peer resets the connection.
    Reset,
    /// An empty answer comes. `poisoned` counts the connections that are taken out of the pool.
    Answer { status: u16, poisoned: Arc<AtomicUsize> },
}

impl HttpConnector for Fate {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self {
            Self::Silence => HttpConnectorFuture::new(std::future::pending()),
            Self::Reset => HttpConnectorFuture::ready(Err(ConnectorError::io("connection reset by peer".into()))),
            Self::Answer { status, poisoned } => {
                let poisoned = Arc::clone(poisoned);
                request.extension::<CaptureSmithyConnection>().unwrap().set_connection_retriever(move || {
                    let poisoned = Arc::clone(&poisoned);
                    let poison = move || {
                        poisoned.fetch_add(1, Ordering::Relaxed);
                    };
                    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
                });
                HttpConnectorFuture::ready(Ok(HttpResponse::new((*status).try_into().unwrap(), "{}".into())))
            }
        }
    }
}

fn client(fate: Fate) -> LeanClient {
    let world = World::answering(200, &[], "");
    LeanClient::new(&world.shared, SharedHttpConnector::new(fate), Auth::None, ATTEMPT)
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_fails_after_its_time_limit() {
    let silent = client(Fate::Silence);
    for (wait, longest, message) in [(0, ATTEMPT, "no answer within 10s"), (20, ATTEMPT * 3, "no answer within 30s")] {
        let started = Instant::now();
        let failure = silent.receive(QUEUE, wait, 30).await.unwrap_err();
        assert_eq!((failure.kind, &*failure.message, started.elapsed()), (FailureKind::Transient, message, longest));
    }
    let started = Instant::now();
    silent.publish(TOPIC, [entry("{}", &[], None)].into_iter()).await.unwrap_err();
    silent.delete(QUEUE, ["r"].into_iter()).await.unwrap_err();
    assert_eq!(started.elapsed(), 2 * ATTEMPT);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_get_that_can_take_long_must_begin_within_the_time_limit_of_a_call() {
    let bucket = Bucket::new(&World::answering(200, &[], "").shared, "large").unwrap();
    let started = Instant::now();
    let get = client(Fate::Silence).get_object_if(&bucket, "k", Condition::Always, 1 << 25, 4 * ATTEMPT).await;
    assert_eq!((&*get.unwrap_err().message, started.elapsed()), ("no answer within 10s", ATTEMPT));
}

#[tokio::test]
async fn a_broken_connection_is_classified_like_that_of_an_sdk_call() {
    let failure = client(Fate::Reset).receive(QUEUE, 0, 30).await.unwrap_err();
    let world = World::answering(200, &[], "");
    let shared = world.shared.into_builder().http_client(sharing(SharedHttpConnector::new(Fate::Reset))).build();
    let sdk = aws_sdk_sqs::Client::new(&shared).receive_message().queue_url(QUEUE).send().await.unwrap_err();
    let sdk = Failure::of_call(&sdk);
    assert_eq!((failure.kind, &failure.message), (sdk.kind, &sdk.message));
    assert_eq!(failure.kind, FailureKind::Transient);
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_a_server_error() {
    for (status, expected) in [(200, 0), (400, 0), (500, 1), (503, 1)] {
        let poisoned = Arc::<AtomicUsize>::default();
        let _any = client(Fate::Answer { status, poisoned: Arc::clone(&poisoned) }).receive(QUEUE, 0, 30).await;
        assert_eq!(poisoned.load(Ordering::Relaxed), expected, "{status}");
    }
}

#[tokio::test]
async fn an_answer_beyond_the_size_limit_is_a_failure() {
    let spaces = " ".repeat(MAX_ANSWER_BYTES);
    assert!(World::answering(200, &[], &format!("{}{{}}", &spaces[2..])).client().receive(QUEUE, 0, 30).await.is_ok());
    let failure =
        World::answering(200, &[], &format!("{spaces}{{}}")).client().receive(QUEUE, 0, 30).await.unwrap_err();
    assert_eq!(
        (failure.kind, &*failure.message),
        (FailureKind::Transient, "the answer breaks off: length limit exceeded")
    );
}

#[tokio::test]
async fn a_call_without_credentials_is_not_sent() {
    let world = World::answering(200, &[], "{}");
    let mut builder = world.shared.to_builder();
    builder.set_credentials_provider(None);
    let shared = builder.build();
    let client = LeanClient::new(&shared, world.connector.clone(), Auth::of(&shared), ATTEMPT);
    let failure = client.receive(QUEUE, 0, 30).await.unwrap_err();
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Denied, "no AWS credentials found"));
    assert_eq!(world.sent().len(), 0);

    let unsigned = LeanClient::new(&shared, world.connector.clone(), Auth::None, ATTEMPT);
    assert_eq!(unsigned.receive(QUEUE, 0, 30).await.unwrap().len(), 0);
    assert_eq!(world.sent()[0].header("authorization"), None);
}

#[tokio::test]
async fn every_call_without_a_region_fails_like_that_of_the_sdk() {
    let world = World::answering(200, &[], "{}");
    let mut builder = world.shared.to_builder();
    builder.set_region(None);
    let shared = builder.build();
    let client = LeanClient::new(&shared, world.connector.clone(), Auth::of(&shared), ATTEMPT);
    let ours = client.receive(QUEUE, 0, 30).await.unwrap_err();
    let sdk = aws_sdk_sqs::Client::new(&shared).receive_message().queue_url(QUEUE).send().await.unwrap_err();
    assert_eq!(ours.kind, Failure::of_call(&sdk).kind);
    assert!(ours.message.contains("Missing Region"), "{ours}");
    assert_eq!(client.publish(TOPIC, std::iter::empty::<Entry<'_>>()).await.unwrap_err().message, ours.message);
    assert_eq!(world.sent().len(), 0);
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_after_the_first_refused_call() {
    let world =
        World::answering(403, &[("date", "Fri, 01 Jan 2100 00:00:00 GMT")], r#"{"__type":"SignatureDoesNotMatch"}"#);
    let client = world.client();
    for _ in 0..2 {
        assert_eq!(client.receive(QUEUE, 0, 30).await.unwrap_err().kind, FailureKind::Denied);
    }
    let [first, second] = &world.sent()[..] else { panic!("two calls") };
    assert!(!first.header("x-amz-date").unwrap().starts_with("2100"));
    assert!(second.header("x-amz-date").unwrap().starts_with("21000101T0000"));
}
