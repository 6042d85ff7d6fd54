//! The classification of error codes and HTTP statuses.
//!
//! SNS and SQS have more names for throttling than the SDK's list, and flag some of them as the sender's fault. So a
//! known code decides before the status and before the sender fault.

use crate::FailureKind;
use crate::FailureKind::{Denied, NotFound, Throttled, Transient};

/// The kind of each known error code. [`THROTTLING_PREFIX`] adds further codes.
pub(crate) const CODES: &[(&str, FailureKind)] = &[
    ("Throttled", Throttled),
    ("Throttling", Throttled),
    ("ThrottlingException", Throttled),
    ("RequestThrottled", Throttled),
    ("RequestThrottledException", Throttled),
    ("KMSThrottling", Throttled),
    ("KMSThrottlingException", Throttled),
    ("KMS.ThrottlingException", Throttled),
    ("KmsThrottled", Throttled),
    ("OverLimit", Throttled),
    ("TooManyRequestsException", Throttled),
    ("SlowDown", Throttled),
    ("InternalError", Transient),
    ("InternalFailure", Transient),
    ("InternalErrorException", Transient),
    ("ServiceUnavailable", Transient),
    ("RequestTimeout", Transient),
    ("AccessDenied", Denied),
    ("AccessDeniedException", Denied),
    ("AuthorizationError", Denied),
    ("AuthorizationErrorException", Denied),
    ("InvalidClientTokenId", Denied),
    ("UnrecognizedClientException", Denied),
    ("SignatureDoesNotMatch", Denied),
    ("InvalidSignatureException", Denied),
    ("IncompleteSignature", Denied),
    ("IncompleteSignatureException", Denied),
    ("MissingAuthenticationToken", Denied),
    ("MissingAuthenticationTokenException", Denied),
    ("RequestExpired", Denied),
    ("RequestTimeTooSkewed", Denied),
    ("OptInRequired", Denied),
    ("NotAuthorized", Denied),
    ("ExpiredToken", Denied),
    ("ExpiredTokenException", Denied),
    ("KMSAccessDenied", Denied),
    ("KMSAccessDeniedException", Denied),
    ("KmsAccessDenied", Denied),
    ("InvalidSecurity", Denied),
    ("NotFound", NotFound),
    ("NotFoundException", NotFound),
    ("QueueDoesNotExist", NotFound),
    ("AWS.SimpleQueueService.NonExistentQueue", NotFound),
    ("ResourceNotFoundException", NotFound),
];

/// Every code that begins with this is a throttle.
pub(crate) const THROTTLING_PREFIX: &str = "Throttling";

/// Returns the kind of a known code, or `None` if the code is unknown.
pub(crate) fn classify_code(code: &str) -> Option<FailureKind> {
    if code.starts_with(THROTTLING_PREFIX) {
        return Some(Throttled);
    }
    CODES.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind)
}

/// Returns the kind of a status whose code is unknown or absent. An answer without a code can come from a proxy, which
/// knows nothing about the request.
pub(crate) fn classify_status(status: u16, has_code: bool) -> FailureKind {
    match status {
        429 => Throttled,
        401 | 403 | 407 => Denied,
        404 => NotFound,
        400 | 413 => FailureKind::Refused,
        402..500 if status != 408 && has_code => FailureKind::Refused,
        _ => Transient,
    }
}
