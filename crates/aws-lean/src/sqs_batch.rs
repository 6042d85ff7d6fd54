//! The wire format of the SQS operations on batches: JSON in both directions. The id of an entry is its index.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::Failure;
use crate::answer::{Answer, failed_entries};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'r, E> {
    queue_url: &'r str,
    entries: Vec<E>,
}

/// Writes the id of an entry, which is a text.
pub(crate) fn id<S: Serializer>(index: &usize, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(index)
}

/// Writes the body of one call.
///
/// # Errors
/// Returns an error if an entry cannot be written as JSON.
pub(crate) fn request<E: Serialize>(queue_url: &str, entries: impl Iterator<Item = E>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Request { queue_url, entries: entries.collect() })
}

/// Returns the failed entries of a call by index. `entries` is the number of entries that were sent.
///
/// # Errors
/// Returns an error if the whole call failed or its answer cannot be read.
pub(crate) fn outcome(answer: &Answer, entries: usize) -> Result<HashMap<usize, Failure>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output<'o> {
        #[serde(borrow)]
        successful: Option<Vec<Successful<'o>>>,
        #[serde(borrow)]
        failed: Option<Vec<Failed<'o>>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Successful<'o> {
        #[serde(borrow)]
        id: Cow<'o, str>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Failed<'o> {
        #[serde(borrow)]
        id: Cow<'o, str>,
        code: Option<String>,
        message: Option<String>,
        sender_fault: Option<bool>,
    }
    if !answer.is_success() {
        return Err(answer.sqs_failure());
    }
    let output: Output<'_> = serde_json::from_slice(&answer.body).map_err(|error| answer.unreadable(error))?;
    let (successful, failed) = (output.successful.unwrap_or_default(), output.failed.unwrap_or_default());
    let failed = failed.iter().map(|entry| {
        let (code, sender_fault) = (entry.code.as_deref().unwrap_or_default(), entry.sender_fault.unwrap_or_default());
        (&*entry.id, Failure::of_entry(code, entry.message.as_deref(), sender_fault))
    });
    Ok(failed_entries(entries, successful.iter().map(|entry| &*entry.id), failed))
}
