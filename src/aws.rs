//! The AWS clients, and what their failures mean to us.
//!
//! The three calls that every event costs are made by the [`DataPlane`]; all others by the SDK's clients, over the same
//! connections. The SDK's own retries cover single calls; everything that concerns an entry of a batch, or that outlives
//! a call, is decided by the module that made it, with a [`Failure`] in hand.

pub mod credentials;
pub mod data_plane;
pub mod s3;
#[cfg(test)]
pub(crate) mod scripted;
pub mod sns;
pub mod sqs;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::{RuntimeComponents, SharedCredentialsProvider};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId;
use aws_sdk_sqs::types::BatchResultErrorEntry;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};

pub use crate::base::error::chain;
use crate::config;
use data_plane::Auth;
pub use data_plane::DataPlane;

/// SQS and SNS accept at most this many entries per batch.
pub const MAX_ENTRIES: usize = 10;

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
            data_plane: DataPlane::new(shared, connector, Auth::of(shared), attempt),
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

/// A failed call or a failed entry, told apart by what can be done about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What can be done about it.
    pub kind: Kind,
    /// The service's error code, where it answered.
    pub code: Option<String>,
    /// The text for people.
    pub message: String,
    /// The request's id, which a support case asks for.
    pub request_id: Option<String>,
}

/// What can be done about a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Too fast; again, later.
    Throttled,
    /// Not answered, or by a fault of the service; again.
    Transient,
    /// There are no credentials, or they may not do this; nothing to do with the message.
    Denied,
    /// The queue or topic does not exist; nothing to do with the message.
    NotFound,
    /// The request itself is refused, and will be again.
    Refused,
}

impl Failure {
    /// What a failed call means.
    pub fn of_call<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(service) = error.as_service_error() else { return Self::of_no_answer(&chain(error)) };
        let meta = service.meta();
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let message = meta.message().map_or_else(|| chain(service), str::to_owned);
        Self::of_answer(status, meta.code(), message, meta.request_id())
    }

    /// What a call means that was not made or not answered. `text` is the error with its causes.
    pub(crate) fn of_no_answer(text: &str) -> Self {
        // The SDK lists every provider that it tried, a line each; what matters is what it found nowhere.
        let message = match text.contains("no credentials found") {
            true => "no AWS credentials found".to_owned(),
            false => text.lines().next().unwrap_or_default().to_owned(),
        };
        let kind = if message.contains("credential") { Kind::Denied } else { Kind::Transient };
        Self { kind, code: None, message, request_id: None }
    }

    /// What an answer means that says that the whole call failed.
    pub(crate) fn of_answer(status: u16, code: Option<&str>, message: String, request_id: Option<&str>) -> Self {
        let kind = match classify_code(code.unwrap_or_default()) {
            Some(kind) => kind,
            None => classify_status(status, code.is_some()),
        };
        Self { kind, code: code.map(str::to_owned), message, request_id: request_id.map(str::to_owned) }
    }

    /// What a failed entry of a batch that was answered with 200 means.
    pub fn of_entry(code: &str, message: Option<&str>, sender_fault: bool) -> Self {
        let kind = match classify_code(code) {
            Some(kind) => kind,
            None if sender_fault => Kind::Refused,
            None => Kind::Transient,
        };
        let message = message.unwrap_or("no message").to_owned();
        Self { kind, code: Some(code.to_owned()), message, request_id: None }
    }

    /// The failed entries of an SQS batch, by their index in it, which is their id.
    pub fn of_entries(failed: &[BatchResultErrorEntry]) -> HashMap<usize, Self> {
        let entries = failed.iter().filter_map(|entry| {
            let failure = Self::of_entry(entry.code(), entry.message(), entry.sender_fault());
            Some((entry.id().parse().ok()?, failure))
        });
        entries.collect()
    }

    /// An entry that could not even be built.
    pub fn invalid_entry(error: &dyn std::error::Error) -> Self {
        Self::of_entry("InvalidEntry", Some(&error.to_string()), true)
    }

    /// An entry that the answer does not mention at all.
    pub fn unanswered() -> Self {
        let message = "the answer does not mention the entry".to_owned();
        Self { kind: Kind::Transient, code: None, message, request_id: None }
    }

    /// The code as a metric label.
    pub fn label(&self) -> &str {
        self.code.as_deref().unwrap_or("none")
    }

    /// Whether somebody answered.
    pub fn is_answer(&self) -> bool {
        self.code.is_some() || self.request_id.is_some()
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Transient)
    }
}

/// What a status means with a code that is not known, or without one: then it may be that of a proxy, which says nothing
/// about the request.
fn classify_status(status: u16, has_code: bool) -> Kind {
    match status {
        429 => Kind::Throttled,
        401 | 403 | 407 => Kind::Denied,
        404 => Kind::NotFound,
        400 | 413 => Kind::Refused,
        402..500 if status != 408 && has_code => Kind::Refused,
        _ => Kind::Transient,
    }
}

/// What a code means whatever the status and whosever the fault. SNS and SQS have more names for throttling than the
/// SDK's list, and flag some of them as the sender's fault.
fn classify_code(code: &str) -> Option<Kind> {
    Some(match code {
        "Throttled"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "KMSThrottling"
        | "KMSThrottlingException"
        | "KMS.ThrottlingException"
        | "KmsThrottled"
        | "OverLimit"
        | "TooManyRequestsException"
        | "SlowDown" => Kind::Throttled,
        _ if code.starts_with("Throttling") => Kind::Throttled,
        "InternalError" | "InternalFailure" | "InternalErrorException" | "ServiceUnavailable" | "RequestTimeout" => {
            Kind::Transient
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "OptInRequired"
        | "NotAuthorized"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "KMSAccessDenied"
        | "KMSAccessDeniedException"
        | "KmsAccessDenied"
        | "InvalidSecurity" => Kind::Denied,
        "NotFound"
        | "NotFoundException"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "ResourceNotFoundException" => Kind::NotFound,
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

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

    #[test]
    fn every_known_name_of_throttling_is_one_even_as_the_senders_fault() {
        for code in [
            "Throttled",
            "Throttling",
            "ThrottlingException",
            "RequestThrottled",
            "KMSThrottling",
            "KMS.ThrottlingException",
            "OverLimit",
        ] {
            assert_eq!(Failure::of_entry(code, None, true).kind, Kind::Throttled, "{code}");
        }
    }

    #[test]
    fn what_a_proxy_or_a_lock_says_is_not_the_requests_fault() {
        let kind = |status, code| Failure::of_answer(status, code, String::new(), None).kind;
        for (status, code, expected) in [
            (403, None, Kind::Denied),
            (407, None, Kind::Denied),
            (400, Some("RequestExpired"), Kind::Denied),
            (404, None, Kind::NotFound),
            (302, None, Kind::Transient),
            (405, None, Kind::Transient),
            (408, None, Kind::Transient),
            (503, Some("New"), Kind::Transient),
            (429, None, Kind::Throttled),
            (400, Some("InvalidParameter"), Kind::Refused),
            (413, None, Kind::Refused),
            (422, Some("New"), Kind::Refused),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn an_unknown_code_goes_by_whose_fault_it_is() {
        assert_eq!(Failure::of_entry("InvalidParameter", Some("x"), true).kind, Kind::Refused);
        assert_eq!(Failure::of_entry("SomethingNew", Some("x"), false).kind, Kind::Transient);
        assert!(!Failure::of_entry("AuthorizationError", None, true).is_passing());
    }
}
