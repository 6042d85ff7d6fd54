//! What a failed call or entry means.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId;
use aws_sdk_sqs::types::BatchResultErrorEntry;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// A failed call or a failed entry, told apart by what can be done about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// The service's error code, where it answered.
    pub code: Option<String>,
    /// The text for people.
    pub message: String,
    /// The request's id, which a support case asks for.
    pub request_id: Option<String>,
}

/// What can be done about a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
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
        let kind = if message.contains("credential") { FailureKind::Denied } else { FailureKind::Transient };
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
            None if sender_fault => FailureKind::Refused,
            None => FailureKind::Transient,
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
        Self { kind: FailureKind::Transient, code: None, message, request_id: None }
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
        matches!(self.kind, FailureKind::Throttled | FailureKind::Transient)
    }
}

/// What a status means with a code that is not known, or without one: then it may be that of a proxy, which says nothing
/// about the request.
fn classify_status(status: u16, has_code: bool) -> FailureKind {
    match status {
        429 => FailureKind::Throttled,
        401 | 403 | 407 => FailureKind::Denied,
        404 => FailureKind::NotFound,
        400 | 413 => FailureKind::Refused,
        402..500 if status != 408 && has_code => FailureKind::Refused,
        _ => FailureKind::Transient,
    }
}

/// What a code means whatever the status and whosever the fault. SNS and SQS have more names for throttling than the
/// SDK's list, and flag some of them as the sender's fault.
fn classify_code(code: &str) -> Option<FailureKind> {
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
        | "SlowDown" => FailureKind::Throttled,
        _ if code.starts_with("Throttling") => FailureKind::Throttled,
        "InternalError" | "InternalFailure" | "InternalErrorException" | "ServiceUnavailable" | "RequestTimeout" => {
            FailureKind::Transient
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
        | "InvalidSecurity" => FailureKind::Denied,
        "NotFound"
        | "NotFoundException"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "ResourceNotFoundException" => FailureKind::NotFound,
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
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
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
            assert_eq!(Failure::of_entry(code, None, true).kind, FailureKind::Throttled, "{code}");
        }
    }

    #[test]
    fn what_a_proxy_or_a_lock_says_is_not_the_requests_fault() {
        let kind = |status, code| Failure::of_answer(status, code, String::new(), None).kind;
        for (status, code, expected) in [
            (403, None, FailureKind::Denied),
            (407, None, FailureKind::Denied),
            (400, Some("RequestExpired"), FailureKind::Denied),
            (404, None, FailureKind::NotFound),
            (302, None, FailureKind::Transient),
            (405, None, FailureKind::Transient),
            (408, None, FailureKind::Transient),
            (503, Some("New"), FailureKind::Transient),
            (429, None, FailureKind::Throttled),
            (400, Some("InvalidParameter"), FailureKind::Refused),
            (413, None, FailureKind::Refused),
            (422, Some("New"), FailureKind::Refused),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn an_unknown_code_goes_by_whose_fault_it_is() {
        assert_eq!(Failure::of_entry("InvalidParameter", Some("x"), true).kind, FailureKind::Refused);
        assert_eq!(Failure::of_entry("SomethingNew", Some("x"), false).kind, FailureKind::Transient);
        assert!(!Failure::of_entry("AuthorizationError", None, true).is_passing());
    }
}
