//! The AWS clients, and what their failures mean to us.
//!
//! The three calls that every event costs are made by the [`DataPlane`]; all others by the SDK's clients, over the same
//! connections. The SDK's own retries cover single calls; everything that concerns an entry of a batch, or that outlives
//! a call, is decided by the module that made it, with a [`Failure`] in hand.

#[cfg(test)]
pub(crate) mod scripted;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::{RuntimeComponents, SharedCredentialsProvider};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};

pub use aws_lean::{Failure, FailureKind as Kind, LeanClient as DataPlane, chain, credentials};

use crate::config;
use data_plane::Auth;

/// The client of the three calls that every event costs, and its messages.
pub mod data_plane {
    pub use aws_lean::{Auth, LeanClient as DataPlane, Message, SystemAttributes};
}

/// The clients of one process. Cloning shares connections and credentials.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Receives, publishes and deletes, one attempt a call: who calls knows the rate, and when to stop.
    pub data_plane: DataPlane,
    /// SQS, for everything else.
    pub sqs: aws_sdk_sqs::Client,
    /// SNS, for everything else; without retries of the SDK's own.
    pub sns: aws_sdk_sns::Client,
    /// Region and credentials, for what is reached without the SDK.
    pub shared: SdkConfig,
}

impl Clients {
    /// Clients as configured. No call is made yet.
    pub async fn new(settings: &config::Aws) -> Self {
        Self::of(loader(settings), settings).await
    }

    /// As [`Clients::new`], but with these credentials instead of those that the SDK would find by itself.
    pub async fn with_credentials(settings: &config::Aws, credentials: SharedCredentialsProvider) -> Self {
        Self::of(loader(settings).credentials_provider(credentials), settings).await
    }

    async fn of(loader: ConfigLoader, settings: &config::Aws) -> Self {
        let attempt = Duration::from_millis(settings.attempt_timeout_ms);
        let connections = Connections::new(Duration::from_millis(settings.connect_timeout_ms));
        let connector = connections.ours.clone();
        let shared = &loader.http_client(connections).load().await;
        let sns = aws_sdk_sns::config::Builder::from(shared).retry_config(RetryConfig::disabled()).build();
        Self {
            data_plane: DataPlane::new(shared, connector, Auth::of(shared), attempt)
                .with_user_agent(concat!("protobridge/", env!("CARGO_PKG_VERSION"))),
            sqs: aws_sdk_sqs::Client::new(shared),
            sns: aws_sdk_sns::Client::from_conf(sns),
            shared: shared.clone(),
        }
    }
}

/// The connections of the process: those that everything shares which we call, and those of whatever has timeouts of
/// its own, such as the SDK's search for region and credentials.
#[derive(Debug)]
struct Connections {
    ours: SharedHttpConnector,
    connect_timeout: Duration,
    others: SharedHttpClient,
}

impl Connections {
    fn new(connect_timeout: Duration) -> Self {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let ours = aws_smithy_http_client::Connector::builder()
            .tls_provider(tls.clone())
            .connector_settings(HttpConnectorSettings::builder().connect_timeout(connect_timeout).build())
            .build();
        let others = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
        Self { ours: SharedHttpConnector::new(ours), connect_timeout, others }
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        if settings.connect_timeout() == Some(self.connect_timeout) && settings.read_timeout().is_none() {
            return self.ours.clone();
        }
        self.others.http_connector(settings, components)
    }
}

fn loader(settings: &config::Aws) -> ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts(settings))
        .retry_config(RetryConfig::standard().with_max_attempts(settings.max_attempts))
        // Bodies are small and every attempt has a timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    loader
}

fn timeouts(settings: &config::Aws) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .operation_attempt_timeout(Duration::from_millis(settings.attempt_timeout_ms))
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_sqs::config::Credentials;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Clients of a server that gives this answer to whatever it reads, and how many connections it has.
    async fn clients(answer: &'static str) -> (Clients, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut read = [0; 8_192];
                    while stream.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {
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
    async fn the_data_plane_and_the_clients_share_connections() {
        let (clients, connections) = clients("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        for _ in 0..3 {
            assert_eq!(clients.data_plane.receive("q", 0, 30).await.unwrap().len(), 0);
            clients.sqs.get_queue_attributes().queue_url("q").send().await.unwrap();
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn whatever_has_timeouts_of_its_own_keeps_them() {
        let (clients, _) = clients("").await;
        let impatient = TimeoutConfig::builder().read_timeout(Duration::from_millis(100)).build();
        let impatient = clients.shared.to_builder().timeout_config(impatient).build();
        let impatient = aws_sdk_sqs::config::Builder::from(&impatient).retry_config(RetryConfig::disabled()).build();
        let call = aws_sdk_sqs::Client::from_conf(impatient).get_queue_attributes().queue_url("q").send();
        let result = tokio::time::timeout(Duration::from_secs(5), call).await.expect("it does not wait for ever");
        assert_eq!(Failure::of_call(&result.unwrap_err()).kind, Kind::Transient);
    }
}
