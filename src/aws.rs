//! The AWS clients, and what their failures mean to us.
//!
//! The SDK's own retries cover single calls; everything that concerns an entry of a batch, or that outlives a call,
//! is decided by the module that made it, with a [`Failure`] in hand.

pub mod credentials;
#[cfg(test)]
pub(crate) mod scripted;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sqs::config::SharedCredentialsProvider;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId;
use aws_sdk_sqs::types::BatchResultErrorEntry;
use aws_smithy_http_client::tls;

use crate::config;

/// The clients of one process. Cloning shares connections and credentials.
#[derive(Debug, Clone)]
pub struct Clients {
    /// SQS, for everything but long polls.
    pub sqs: aws_sdk_sqs::Client,
    /// SQS for long polls: waits for as long as a poll does, and leaves retries to the poller, which knows when to stop.
    pub long_poll: aws_sdk_sqs::Client,
    /// SNS, without retries of the SDK's own: the publisher knows the rate, and what else waits.
    pub sns: aws_sdk_sns::Client,
    /// Region and credentials, for what is reached without the SDK.
    pub shared: SdkConfig,
}

impl Clients {
    /// Clients as configured. `wait` is how long a poll waits for a message. No call is made yet.
    pub async fn new(settings: &config::Aws, wait: Duration) -> Self {
        Self::of(&loader(settings).load().await, settings, wait)
    }

    /// As [`Clients::new`], but with these credentials instead of those that the SDK would find by itself.
    pub async fn with_credentials(
        settings: &config::Aws,
        wait: Duration,
        credentials: SharedCredentialsProvider,
    ) -> Self {
        Self::of(&loader(settings).credentials_provider(credentials).load().await, settings, wait)
    }

    fn of(shared: &SdkConfig, settings: &config::Aws, wait: Duration) -> Self {
        let attempt = Duration::from_millis(settings.attempt_timeout_ms);
        let long_poll = aws_sdk_sqs::config::Builder::from(shared)
            .timeout_config(timeouts(settings, attempt + wait))
            .retry_config(RetryConfig::disabled())
            .build();
        let sns = aws_sdk_sns::config::Builder::from(shared).retry_config(RetryConfig::disabled()).build();
        Self {
            sqs: aws_sdk_sqs::Client::new(shared),
            long_poll: aws_sdk_sqs::Client::from_conf(long_poll),
            sns: aws_sdk_sns::Client::from_conf(sns),
            shared: shared.clone(),
        }
    }
}

fn loader(settings: &config::Aws) -> ConfigLoader {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts(settings, Duration::from_millis(settings.attempt_timeout_ms)))
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

fn timeouts(settings: &config::Aws, attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .operation_attempt_timeout(attempt)
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
            None if status == 429 => Kind::Throttled,
            None if status >= 500 => Kind::Transient,
            None => Kind::Refused,
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

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Throttled | Kind::Transient)
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

/// The texts of an error and its causes, each once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_unknown_code_goes_by_whose_fault_it_is() {
        assert_eq!(Failure::of_entry("InvalidParameter", Some("x"), true).kind, Kind::Refused);
        assert_eq!(Failure::of_entry("SomethingNew", Some("x"), false).kind, Kind::Transient);
        assert!(!Failure::of_entry("AuthorizationError", None, true).is_passing());
    }
}
