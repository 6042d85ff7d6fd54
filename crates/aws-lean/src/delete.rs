//! The wire format of SQS DeleteMessageBatch
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html>).

use serde::Serialize;

use crate::sqs_batch;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'r> {
    #[serde(serialize_with = "sqs_batch::id")]
    id: usize,
    receipt_handle: &'r str,
}

/// Writes the body of one call.
///
/// # Errors
/// Never fails in practice: the body consists of texts only.
pub(crate) fn request<'r>(queue_url: &'r str, handles: impl Iterator<Item = &'r str>) -> serde_json::Result<Vec<u8>> {
    sqs_batch::request(queue_url, handles.enumerate().map(|(id, receipt_handle)| Entry { id, receipt_handle }))
}
