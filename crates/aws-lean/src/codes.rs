//! The classification of error codes and HTTP statuses.
//!
//! SNS and SQS have more names for throttling than the SDK's list, and flag some of them as the sender's fault. So a
//! known code decides before the status and before the sender fault. An answer without a code comes from a proxy or a
//! load balancer, which knows nothing about the message: only its status 429 says something.

use crate::FailureKind;
use crate::FailureKind::{Broken, Denied, NotFound, Refused, Throttled, Transient};

mod table;

pub(crate) use table::ROWS;

/// The error codes of one condition, and what a caller can do about it.
#[derive(Debug)]
pub(crate) struct Row {
    /// The kind of a failure with one of these codes.
    pub(crate) kind: FailureKind,
    /// The reason for the kind.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reason is for the reader of the table"))]
    pub(crate) reason: &'static str,
    /// The names of the condition. [`names`] lists the spellings that need no entry of their own.
    pub(crate) codes: &'static [&'static str],
}

/// Every unknown code that begins with this is a throttle.
pub(crate) const THROTTLING_PREFIX: &str = "Throttling";

/// Every unknown code that begins with one of these is about a KMS key.
pub(crate) const KEY_PREFIXES: [&str; 2] = ["KMS", "Kms"];

/// Returns the kind of a known code, or `None` if the code is unknown.
pub(crate) fn classify_code(code: &str) -> Option<FailureKind> {
    let [code, stem] = names(code);
    let is_known = |row: &&Row| row.codes.iter().any(|known| *known == code || *known == stem);
    match ROWS.iter().find(is_known) {
        Some(row) => Some(row.kind),
        None if code.starts_with(THROTTLING_PREFIX) => Some(Throttled),
        None if KEY_PREFIXES.iter().any(|prefix| code.starts_with(prefix)) => Some(Broken),
        None => None,
    }
}

/// Returns the kind of a status whose code is unknown or absent.
pub(crate) fn classify_status(status: u16, has_code: bool) -> FailureKind {
    match status {
        429 => Throttled,
        _ if !has_code => Transient,
        401 | 403 | 407 => Denied,
        404 => NotFound,
        408 => Transient,
        400..500 => Refused,
        _ => Transient,
    }
}

/// Returns the two names by which the table can list a code: without the namespaces of SQS
/// (`com.amazonaws.sqs#QueueDoesNotExist`, `AWS.SimpleQueueService.NonExistentQueue`), and without the ending
/// `Exception` as well, which the codes of one protocol have and those of another lack.
fn names(code: &str) -> [&str; 2] {
    let code = type_name(code);
    let code = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
    [code, code.strip_suffix("Exception").unwrap_or(code)]
}

/// Returns `Name` of `com.amazonaws.sqs#Name:http://…`.
pub(crate) fn type_name(full: &str) -> &str {
    let name = full.split(':').next().unwrap_or_default();
    name.split_once('#').map_or(name, |(_namespace, name)| name)
}

#[cfg(test)]
mod tests;
