//! The meaning of a failed call or of a failed entry of a batch.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::iter::successors;

use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId;
use aws_sdk_sqs::types::BatchResultErrorEntry;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::codes::{classify_code, classify_status};
use crate::credentials::NoCredentials;

/// A failed call or a failed entry of a batch, classified by what the caller can do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The caller's options.
    pub kind: FailureKind,
    /// The error code of the service; `None` if the service did not answer, or answered without a code.
    pub code: Option<String>,
    /// The text for people.
    pub message: String,
    /// The id of the request, which AWS support asks for.
    pub request_id: Option<String>,
}

/// The kind of a [`Failure`], by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The account or the topic sends too fast: send again later, and slower.
    Throttled,
    /// The KMS key of the queue or topic is used too fast: send again later. Queues and topics with other keys are not
    /// affected.
    KeyThrottled,
    /// The service did not answer, or failed by its own fault, or a proxy answered in its place: send again.
    Transient,
    /// There are no credentials, or a policy does not allow the call. The message is not at fault.
    Denied,
    /// The queue or topic does not exist. The message is not at fault.
    NotFound,
    /// The queue or topic, its KMS key or its address is in a state in which it accepts nothing, until an operator
    /// changes that. The message is not at fault.
    Broken,
    /// The service refuses the request itself and will refuse it again.
    Refused,
}

impl Failure {
    /// Classifies a failed call of an SDK client.
    ///
    /// A client that was built without any credentials provider fails as [`FailureKind::Transient`], because the SDK
    /// has no public type for that error. Clients that `aws_config` loads always have a provider.
    pub fn of_call<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Some(service) = error.as_service_error() else { return Self::of_no_answer(error) };
        let meta = service.meta();
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let message = meta.message().map_or_else(|| chain(service), str::to_owned);
        Self::of_answer(status, meta.code(), message, meta.request_id())
    }

    /// Classifies a call that was not sent or not answered.
    pub(crate) fn of_no_answer(error: &(dyn Error + 'static)) -> Self {
        let is_denied = causes(error).any(|cause| cause.is::<CredentialsError>() || cause.is::<NoCredentials>());
        let message = match causes(error).any(is_without_credentials) {
            true => "no AWS credentials found".to_owned(),
            // Some errors of the SDK list details on further lines.
            false => chain(error).lines().next().unwrap_or_default().to_owned(),
        };
        let kind = if is_denied { FailureKind::Denied } else { FailureKind::Transient };
        Self { kind, code: None, message, request_id: None }
    }

    /// Classifies an answer that says that the whole call failed. `code` is the error code that the answer contains.
    pub(crate) fn of_answer(status: u16, code: Option<&str>, message: String, request_id: Option<&str>) -> Self {
        let kind = match classify_code(code.unwrap_or_default()) {
            Some(kind) => kind,
            None => classify_status(status, code.is_some()),
        };
        Self { kind, code: code.map(str::to_owned), message, request_id: request_id.map(str::to_owned) }
    }

    /// Classifies a failed entry of a batch whose call was answered with 200.
    pub fn of_entry(code: &str, message: Option<&str>, sender_fault: bool) -> Self {
        let kind = match classify_code(code) {
            Some(kind) => kind,
            None if sender_fault => FailureKind::Refused,
            None => FailureKind::Transient,
        };
        let message = message.unwrap_or("no message").to_owned();
        Self { kind, code: Some(code.to_owned()), message, request_id: None }
    }

    /// Classifies the failed entries of an SQS batch whose entry ids are their indexes. Returns them by index.
    pub fn of_entries(failed: &[BatchResultErrorEntry]) -> HashMap<usize, Self> {
        let entries = failed.iter().filter_map(|entry| {
            let failure = Self::of_entry(entry.code(), entry.message(), entry.sender_fault());
            Some((entry.id().parse().ok()?, failure))
        });
        entries.collect()
    }

    /// The failure of an entry that cannot be built.
    pub fn invalid_entry(error: &dyn Error) -> Self {
        Self::of_entry("InvalidEntry", Some(&error.to_string()), true)
    }

    /// The failure of an entry that the answer does not mention.
    pub fn unanswered() -> Self {
        let message = "the answer does not mention the entry".to_owned();
        Self { kind: FailureKind::Transient, code: None, message, request_id: None }
    }

    /// The error code as a metric label; `none` if there is no code.
    pub fn label(&self) -> &str {
        self.code.as_deref().unwrap_or("none")
    }

    /// Whether AWS answered the call. The answer of a proxy does not count.
    pub fn is_answer(&self) -> bool {
        self.code.is_some() || self.request_id.is_some()
    }

    /// Whether the same request can succeed a moment later.
    pub fn is_passing(&self) -> bool {
        self.is_throttle() || self.kind == FailureKind::Transient
    }

    /// Whether the service limits how often the call is made, for the account, the topic or a KMS key.
    pub fn is_throttle(&self) -> bool {
        matches!(self.kind, FailureKind::Throttled | FailureKind::KeyThrottled)
    }

    /// Whether the request itself is at fault. All other failures are about credentials, destinations, keys or the
    /// service: the same request can succeed once they work again.
    pub fn is_about_entry(&self) -> bool {
        self.kind == FailureKind::Refused
    }
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

impl Error for Failure {}

/// Whether the error says that no provider has credentials, as opposed to a provider that failed.
fn is_without_credentials(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<NoCredentials>() {
        Some(NoCredentials::NoProvider) => true,
        Some(NoCredentials::Provider(error)) => causes(&**error).any(is_without_credentials),
        Some(NoCredentials::Timeout(_)) => false,
        None => error.is::<ProviderChainError<CredentialsError>>(),
    }
}

/// Iterates over an error and its causes, outermost first.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// Joins the texts of an error and its causes with colons, outermost first. It leaves out a text that the texts before
/// it already contain.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let more = cause.to_string();
        if text.is_empty() {
            text = more;
        } else if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
    }
    text
}

#[cfg(test)]
mod tests;
