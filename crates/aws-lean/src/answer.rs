//! Answers of SQS and SNS, and the failures that they report.

use std::collections::HashMap;
use std::fmt::Display;

use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;
use serde_json::Value;

use crate::codes::type_name;
use crate::{Failure, FailureKind};

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads the failure of a call to SQS.
    ///
    /// The error is JSON that names the error type. If the error code of the older protocol differs from that name, a
    /// header has the code, and the code wins: documentation and SDKs use it
    /// (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>).
    pub(crate) fn sqs_failure(&self) -> Failure {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| body.get(name)?.as_str();
        let code = match self.headers.get("x-amzn-query-error").and_then(|header| header.split_once(';')) {
            Some((code, _fault)) => Some(code),
            None => self.headers.get("x-amzn-errortype").or(text("code")).or(text("__type")).map(type_name),
        };
        let message = text("message").or(text("Message")).or(text("errorMessage"));
        self.failure(code, message, None)
    }

    /// Classifies a failed call by its status and by what its body says.
    pub(crate) fn failure(&self, code: Option<&str>, message: Option<&str>, id: Option<&str>) -> Failure {
        let code = code.filter(|code| !code.is_empty());
        let message = message.map_or_else(|| format!("answered with HTTP status {}", self.status), str::to_owned);
        Failure::of_answer(self.status, code, message, self.request_id().or(id))
    }

    /// The failure of a call whose answer has a status of success but cannot be read. The outcome of the call is
    /// unknown.
    pub(crate) fn unreadable(&self, error: impl Display) -> Failure {
        let message = format!("the answer cannot be read: {error}");
        Failure { kind: FailureKind::Transient, code: None, message, request_id: self.request_id().map(str::to_owned) }
    }

    /// Returns the request id of the call, if a header has it.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.headers.get("x-amzn-requestid").or_else(|| self.headers.get("x-amz-request-id"))
    }
}

/// Returns the failed entries of a batch by index: those that the answer lists as failed, and those that it does not
/// mention. The id of an entry is its index.
pub(crate) fn failed_entries<'a>(
    count: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: impl Iterator<Item = (&'a str, Failure)>,
) -> HashMap<usize, Failure> {
    let index = |id: &str| id.parse().ok().filter(|index: &usize| *index < count);
    let mut failures: HashMap<usize, Failure> =
        failed.filter_map(|(id, failure)| Some((index(id)?, failure))).collect();
    let mut is_answered = vec![false; count];
    for index in successful.filter_map(index) {
        is_answered[index] = true;
    }
    for (index, _) in is_answered.iter().enumerate().filter(|(_, is_answered)| !**is_answered) {
        failures.entry(index).or_insert_with(Failure::unanswered);
    }
    failures
}
