//! The AWS clients of one process.
//!
//! The lean client ([`LeanClient`]) makes the calls that every event can need: ReceiveMessage,
//! ChangeMessageVisibilityBatch, DeleteMessageBatch, SendMessageBatch, PublishBatch, and GetObject and PutObject of S3. The
//! SDK's clients make all other calls over the same connections. The SDK retries calls to SQS, but not calls to SNS.
//!
//! This module decides nothing about failed entries of a batch and nothing beyond a single call: the module that made
//! the call decides by its [`Failure`].

mod attempts;
pub mod outages;
mod remedy;
pub mod s3;
#[cfg(test)]
pub(crate) mod scripted;
pub mod sns;
pub mod sqs;

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

pub use remedy::{Permission, is_denied_by_a_policy};

pub use aws_lean::{
    Failure, FailureKind, LeanClient, MAX_BATCH_ENTRIES, PublishAttribute, PublishEntry, Published, SendEntry,
};

use aws_lean::{Auth, EndpointUrls};

use crate::base::http::Network;
use crate::config;
use crate::telemetry::{CallEnd, Carried};

/// The clients of one process. Cloning shares connections and credentials.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The client for the calls that every event can need. It never retries: the caller knows the rate and when to stop.
    pub lean: LeanClient,
    /// The client for all other calls to SQS, with the SDK's retries.
    pub sqs: aws_sdk_sqs::Client,
    /// The client for all other calls to SNS, without the SDK's retries.
    pub sns: aws_sdk_sns::Client,
    /// The region, the endpoints and the credentials of all clients.
    pub shared: SdkConfig,
    /// The network of these clients and of those of the schema registry and the trace collector.
    pub network: Network,
}

/// Returns how a call ended, for the count of calls. `carried` reads from the answer what the call carried.
pub fn call_end<T>(answer: &Result<T, Failure>, carried: impl FnOnce(&T) -> Carried) -> CallEnd {
    match answer {
        Ok(answer) => CallEnd::Answered(carried(answer)),
        Err(failure) if failure.is_throttle() => CallEnd::Throttled,
        Err(_) => CallEnd::Failed,
    }
}

impl Clients {
    /// Creates clients by the configuration, with the SDK's default chain of credentials providers. They make no call
    /// yet.
    pub async fn new(settings: &config::Aws, network: Network) -> Self {
        Self::of(loader(settings), settings, network).await
    }

    /// Like [`Clients::new`], but with these credentials, and without proxies.
    pub async fn with_credentials(settings: &config::Aws, credentials: SharedCredentialsProvider) -> Self {
        Self::of(loader(settings).credentials_provider(credentials), settings, Network::default()).await
    }

    /// Returns the region of the clients: of the configuration, or of the SDK's default chain of providers.
    pub fn region(&self) -> Option<String> {
        self.shared.region().map(ToString::to_string)
    }

    async fn of(loader: ConfigLoader, settings: &config::Aws, network: Network) -> Self {
        let attempt = Duration::from_millis(settings.attempt_timeout_ms);
        let connect = Duration::from_millis(settings.connect_timeout_ms);
        let connections = network.connections();
        // The SDK's clients ask for the same timeout, and so share this pool.
        let connector = connections.pool(&HttpConnectorSettings::builder().connect_timeout(connect).build());
        let shared = &endpoints(settings).apply(&loader.http_client(connections).load().await);
        let sns = aws_sdk_sns::config::Builder::from(shared).retry_config(RetryConfig::disabled()).build();
        Self {
            lean: LeanClient::new(shared, connector, Auth::of(shared), attempt)
                .with_user_agent(concat!("protobridge/", env!("CARGO_PKG_VERSION"))),
            sqs: aws_sdk_sqs::Client::new(shared),
            sns: aws_sdk_sns::Client::from_conf(sns),
            shared: shared.clone(),
            network,
        }
    }
}

/// Returns the region of the configuration, of the environment or of the shared profile. Unlike the SDK's default chain,
/// it does not ask the metadata service of the instance, so it makes no call.
pub async fn configured_region(settings: &config::Aws) -> Option<String> {
    if settings.region.is_some() {
        return settings.region.clone();
    }
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
    chain.or_else(ProfileFileRegionProvider::new()).region().await.map(|region| region.to_string())
}

fn loader(settings: &config::Aws) -> ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts(settings))
        .retry_config(RetryConfig::standard().with_max_attempts(settings.max_attempts))
        // Not needed: bodies are small and every attempt has a timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader
}

fn endpoints(settings: &config::Aws) -> EndpointUrls {
    EndpointUrls {
        all: settings.endpoint_url.clone(),
        sqs: settings.sqs_endpoint_url.clone(),
        sns: settings.sns_endpoint_url.clone(),
        s3: settings.s3_endpoint_url.clone(),
    }
}

fn timeouts(settings: &config::Aws) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .operation_attempt_timeout(Duration::from_millis(settings.attempt_timeout_ms))
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_sqs::config::Credentials;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// The requests that a server received, one text per connection.
    type Received = Arc<Mutex<Vec<String>>>;

    /// Returns clients of a server that gives the same answer to every request.
    async fn clients(answer: &'static str) -> (Clients, Received) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
        let connections = Received::default();
        let record = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let record = Arc::clone(&record);
                let number = record.lock().unwrap().len();
                record.lock().unwrap().push(String::new());
                tokio::spawn(async move {
                    let mut read = [0; 8_192];
                    while let Ok(length @ 1..) = stream.read(&mut read).await {
                        record.lock().unwrap()[number].push_str(&String::from_utf8_lossy(&read[..length]));
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let settings = config::Aws { region: Some("eu-west-1".into()), endpoint_url, ..Default::default() };
        let credentials = SharedCredentialsProvider::new(Credentials::for_tests());
        (Clients::with_credentials(&settings, credentials).await, connections)
    }

    #[tokio::test]
    async fn the_lean_client_and_the_sdk_share_connections() {
        let (clients, connections) = clients("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        for _ in 0..3 {
            assert_eq!(clients.lean.receive("q", 0, 30).await.unwrap().len(), 0);
            clients.sqs.get_queue_attributes().queue_url("q").send().await.unwrap();
        }
        assert_eq!(connections.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_key_of_an_object_arrives_unchanged() {
        let (clients, connections) = clients("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        let bucket = aws_lean::Bucket::new(&clients.shared, "large").unwrap();
        clients.lean.get_object(&bucket, "/a//b c/", 10).await.unwrap();
        let requests = connections.lock().unwrap();
        assert!(requests[0].starts_with("GET /large//a//b%20c/ HTTP/1.1\r\n"), "{}", requests[0]);
    }

    #[tokio::test]
    async fn the_lean_client_names_the_service_in_its_user_agent() {
        let (clients, connections) = clients("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        clients.lean.receive("q", 0, 30).await.unwrap();
        let expected = concat!("user-agent: protobridge/", env!("CARGO_PKG_VERSION"), "\r\n");
        let requests = connections.lock().unwrap();
        assert!(requests[0].contains(expected), "{}", requests[0]);
    }

    #[tokio::test]
    async fn a_client_with_its_own_timeouts_keeps_them() {
        let (clients, _) = clients("").await;
        let impatient = TimeoutConfig::builder().read_timeout(Duration::from_millis(100)).build();
        let impatient = clients.shared.to_builder().timeout_config(impatient).build();
        let impatient = aws_sdk_sqs::config::Builder::from(&impatient).retry_config(RetryConfig::disabled()).build();
        let call = aws_sdk_sqs::Client::from_conf(impatient).get_queue_attributes().queue_url("q").send();
        let result =
            tokio::time::timeout(Duration::from_secs(5), call).await.expect("the read timeout of 100 ms applies");
        assert_eq!(Failure::of_call(&result.unwrap_err()).kind, FailureKind::Transient);
    }

    /// Returns clients of a server that ends every connection after one request, with this answer or without one. The
    /// channel has an item for each connection that both sides have closed.
    async fn clients_of_ending(answer: Option<&'static str>) -> (Clients, mpsc::UnboundedReceiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
        let (ended, closed) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // The request is small, and its end does not matter.
                let _begun = stream.read(&mut [0; 8_192]).await.unwrap();
                stream.write_all(answer.unwrap_or_default().as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                while let Ok(1..) = stream.read(&mut [0; 8_192]).await {}
                ended.send(()).unwrap();
            }
        });
        let settings = config::Aws { region: Some("eu-west-1".into()), endpoint_url, ..Default::default() };
        let credentials = SharedCredentialsProvider::new(Credentials::for_tests());
        (Clients::with_credentials(&settings, credentials).await, closed)
    }

    #[tokio::test]
    async fn a_pooled_connection_that_the_peer_closed_fails_no_call() {
        let (clients, mut closed) = clients_of_ending(Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")).await;
        for call in 0..3 {
            clients.lean.receive("q", 0, 30).await.unwrap_or_else(|failure| panic!("call {call}: {failure}"));
            closed.recv().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_its_answer_fails_its_call_at_once() {
        let (clients, mut closed) = clients_of_ending(None).await;
        for _ in 0..2 {
            let call = clients.lean.receive("q", 0, 30);
            let failure = tokio::time::timeout(Duration::from_secs(5), call).await.expect("nothing is waited for");
            assert_eq!(failure.unwrap_err().kind, FailureKind::Transient);
            closed.recv().await.unwrap();
        }
    }
}
