//! The XML answers of SNS to a PublishBatch.

use std::mem::take;

use crate::xml::{self, Malformed, Tag};

/// The successful and the failed entries, and the request id of the call if the answer has one.
#[derive(Debug, Default)]
pub(crate) struct PublishAnswer {
    pub(crate) successful: Vec<SuccessfulEntry>,
    pub(crate) failed: Vec<FailedEntry>,
    pub(crate) request_id: Option<String>,
}

/// A successful entry: its index, and the ids that SNS gave to its message.
#[derive(Debug, Default)]
pub(crate) struct SuccessfulEntry {
    /// `None` if the id of the entry is not a number.
    pub(crate) index: Option<usize>,
    pub(crate) message_id: String,
    /// `None` on a topic that is not FIFO.
    pub(crate) sequence_number: Option<String>,
}

/// A failed entry, as SNS describes it.
#[derive(Debug, Default)]
pub(crate) struct FailedEntry {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) sender_fault: bool,
}

/// The error of a call that failed as a whole; each part is `None` if the answer lacks it.
#[derive(Debug, Default)]
pub(crate) struct CallError {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// Reads the answer to a call that succeeded.
///
/// # Errors
/// Returns an error if the body is not one complete PublishBatchResponse with a result.
pub(crate) fn read(body: &[u8]) -> Result<PublishAnswer, Malformed> {
    let (mut answer, mut has_result) = (PublishAnswer::default(), false);
    let (mut successful, mut failed) = (SuccessfulEntry::default(), FailedEntry::default());
    xml::read(body, |path, text| {
        let inner = match path {
            [Tag::PublishBatchResponse, Tag::PublishBatchResult, inner @ ..] => inner,
            [Tag::PublishBatchResponse, Tag::ResponseMetadata, Tag::RequestId] => {
                answer.request_id = filled(text);
                return;
            }
            _ => return,
        };
        match inner {
            [] => has_result = true,
            [Tag::Successful, Tag::Member, Tag::Id] => successful.index = text.parse().ok(),
            [Tag::Successful, Tag::Member, Tag::MessageId] => text.clone_into(&mut successful.message_id),
            [Tag::Successful, Tag::Member, Tag::SequenceNumber] => successful.sequence_number = filled(text),
            [Tag::Successful, Tag::Member] => answer.successful.push(take(&mut successful)),
            [Tag::Failed, Tag::Member, Tag::Id] => text.clone_into(&mut failed.id),
            [Tag::Failed, Tag::Member, Tag::Code] => text.clone_into(&mut failed.code),
            [Tag::Failed, Tag::Member, Tag::Message] => failed.message = Some(text.to_owned()),
            [Tag::Failed, Tag::Member, Tag::SenderFault] => failed.sender_fault = text.trim() == "true",
            [Tag::Failed, Tag::Member] => answer.failed.push(take(&mut failed)),
            _ => {}
        }
    })?;
    if has_result { Ok(answer) } else { Err(Malformed::Unexpected) }
}

/// Returns the text unless it is empty.
fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads the error of a call that failed as a whole. It takes what it finds: a document that breaks off can contain the
/// code before its end, and an answer of a proxy has none of these elements.
pub(crate) fn read_error(body: &[u8]) -> CallError {
    let mut error = CallError::default();
    let _incomplete = xml::read(body, |path, text| match path {
        [_, Tag::Error, Tag::Code] => error.code = Some(text.to_owned()),
        [_, Tag::Error, Tag::Message] => error.message = Some(text.to_owned()),
        [_, Tag::RequestId] => error.request_id = Some(text.to_owned()),
        _ => {}
    });
    error
}
