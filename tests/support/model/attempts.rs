//! The attempts of the service to publish entries, as the wire shows them.

use std::sync::Arc;

use super::bill::is_throttle;
use super::sns::event_of;
use super::wire::{Answer, Call, Form, Input};
use super::world::State;

/// An entry in a call to publish.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) instance: u32,
    pub(crate) event: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) result: AttemptResult,
}

/// The answer about an entry that reached the service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttemptResult {
    /// SNS accepted the entry with this message id.
    Accepted(String),
    Throttled,
    /// The entry or its call failed for another reason, or no answer came.
    Failed,
}

/// A call to publish that is under way.
#[derive(Debug)]
pub(super) struct Attempted {
    /// The number of the first entry's attempt.
    first: usize,
    /// The ids of the entries.
    ids: Vec<String>,
}

impl State {
    /// Records the attempts of a call to publish; `None` for another call. They count as failed until the answer comes.
    pub(super) fn begin_attempts(&mut self, instance: u32, call: &Call) -> Option<Attempted> {
        let Input::Sns(form) = &call.input else { return None };
        let entries = form.list("PublishBatchRequestEntries.member");
        let first = self.attempts.len();
        let topic: Arc<str> = form.text("TopicArn").into();
        let attempt = |entry: &Form| Attempt {
            instance,
            event: event_of(entry),
            topic: Arc::clone(&topic),
            result: AttemptResult::Failed,
        };
        self.attempts.extend(entries.iter().map(attempt));
        Some(Attempted { first, ids: entries.iter().map(|entry| entry.text("Id").to_owned()).collect() })
    }

    /// Records the answer to a call.
    pub(super) fn end_attempts(&mut self, Attempted { first, ids }: &Attempted, answer: &Answer) {
        for (attempt, id) in self.attempts[*first..].iter_mut().zip(ids) {
            let is_throttled =
                |code: &str| if is_throttle(code) { AttemptResult::Throttled } else { AttemptResult::Failed };
            attempt.result = match answer.is_error() {
                true => answer.codes().first().map_or(AttemptResult::Failed, |code| is_throttled(code)),
                false => match of_entry(&answer.body, id) {
                    Ok(message) => AttemptResult::Accepted(message.to_owned()),
                    Err(code) => is_throttled(code),
                },
            };
        }
    }
}

/// Returns the message id of an entry in the answer to PublishBatch, or the code of its error.
fn of_entry<'a>(body: &'a str, id: &str) -> Result<&'a str, &'a str> {
    let id = format!("<Id>{id}</Id>");
    let member = body.split("<member>").find(|member| member.starts_with(&id)).expect("the answer has every entry");
    let of = |name: &str| {
        let (_, rest) = member.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0)
    };
    of("MessageId").ok_or_else(|| of("Code").expect("an entry has an id or a code"))
}
