//! The wire format of SQS ChangeMessageVisibilityBatch
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html>).

use serde::Serialize;

use crate::sqs_batch;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'r> {
    #[serde(serialize_with = "sqs_batch::id")]
    id: usize,
    receipt_handle: &'r str,
    visibility_timeout: u32,
}

/// Writes the body of one call. `changes` are receipt handles with the new timeouts in seconds.
///
/// # Errors
/// Never fails in practice: the body consists of texts and numbers only.
pub(crate) fn request<'r>(
    queue_url: &'r str,
    changes: impl Iterator<Item = (&'r str, u32)>,
) -> serde_json::Result<Vec<u8>> {
    let entry = |(id, (receipt_handle, visibility_timeout))| Entry { id, receipt_handle, visibility_timeout };
    sqs_batch::request(queue_url, changes.enumerate().map(entry))
}
