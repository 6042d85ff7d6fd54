//! What becomes of a call, as chance has it.

use std::time::Duration;

use serde_json::Value;

use super::log::{REFUSED, What};
use super::wire::{Answer, Call, Input};
use super::world::State;

/// What becomes of a call.
#[derive(Debug)]
pub(super) struct Fate {
    /// From the client to the effect.
    pub(super) before: Duration,
    pub(super) lot: Lot,
    /// From the effect to the client.
    pub(super) after: Duration,
}

#[derive(Debug)]
pub(super) enum Lot {
    Answered,
    /// Answered so, and nothing happens.
    Error(Answer),
    LostRequest,
    LostAnswer,
    ResetBefore,
    ResetAfter,
}

impl State {
    /// Draws what becomes of a call, and notes whom it concerns.
    pub(super) fn fate(&mut self, call: &Call) -> Fate {
        let (lot, cause) = self.lot(call);
        let mut latency = || Duration::from_millis(self.random.u64(1..15));
        let (mut before, mut after) = (latency(), latency());
        let mut cause = cause;
        if self.happens(|faults| faults.slow) {
            // One in four outlasts every timeout.
            let most = if self.random.u8(..4) == 0 { 45_000 } else { 6_000 };
            let slow = Duration::from_millis(self.random.u64(500..most));
            *if self.random.bool() { &mut before } else { &mut after } += slow;
            cause = cause.or(Some("its call was slow"));
        }
        if let Some(cause) = cause {
            let onward = matches!(call.operation.as_str(), "PublishBatch" | "SendMessageBatch" | "DeleteMessageBatch");
            for event in self.events_of(call) {
                self.note(None, What::Fault { event, cause, onward });
            }
        }
        Fate { before, lot, after }
    }

    fn lot(&mut self, call: &Call) -> (Lot, Option<&'static str>) {
        let sqs = call.is_sqs();
        let error = if sqs { Answer::sqs_error } else { Answer::sns_error };
        if self.happens(|faults| faults.throttled) || self.is_over_quota(call) {
            let known: &[(u16, &str)] = match sqs {
                true => &[
                    (400, "RequestThrottled"),
                    (400, "ThrottlingException"),
                    (400, "KMS.ThrottlingException"),
                    (403, "OverLimit"),
                ],
                false => {
                    &[(429, "Throttled"), (400, "Throttling"), (400, "ThrottlingException"), (400, "KMSThrottling")]
                }
            };
            let (status, code) = *self.random.choice(known).expect("a choice");
            return (Lot::Error(error(status, code, "Rate exceeded")), Some("its call was throttled"));
        }
        if self.happens(|faults| faults.broken) {
            let answer = match self.random.u8(..4) {
                0 => error(500, "InternalError", "We encountered an internal error"),
                1 => error(503, "ServiceUnavailable", "The service is unavailable"),
                2 => Answer::gateway(502),
                _ => Answer::gateway(504),
            };
            return (Lot::Error(answer), Some("its call failed with a 5xx"));
        }
        if self.happens(|faults| faults.refused) {
            return match self.random.u8(..3) {
                0 => (Lot::Error(error(403, "AccessDenied", "Not now")), Some("its call was denied")),
                1 => (Lot::Error(error(403, "ExpiredToken", "Too old")), Some("its call was denied")),
                _ if sqs => (Lot::Error(error(403, "InvalidSecurity", "No")), Some("its call was denied")),
                _ => (Lot::Error(error(400, "InvalidParameter", "Invalid parameter: ?")), Some(REFUSED)),
            };
        }
        if self.happens(|faults| faults.lost_request) {
            return (Lot::LostRequest, Some("its call was lost on the way there"));
        }
        if self.happens(|faults| faults.lost_answer) {
            return (Lot::LostAnswer, Some("its call is never answered"));
        }
        if self.happens(|faults| faults.reset_before) {
            return (Lot::ResetBefore, Some("the connection was reset before the effect"));
        }
        if self.happens(|faults| faults.reset_after) {
            return (Lot::ResetAfter, Some("the connection was reset after the effect"));
        }
        (Lot::Answered, None)
    }

    /// SNS counts messages, not calls.
    fn is_over_quota(&mut self, call: &Call) -> bool {
        let (Some(rate), Input::Sns(form)) = (self.faults.quota, &call.input) else { return false };
        let now = tokio::time::Instant::now();
        let (left, counted) = self.quota;
        // Ten are always let through in the end, because a batch is never split by the service.
        let left = (left + (now - counted).as_secs_f64() * rate).min(rate.max(10.0));
        let asked = form.list("PublishBatchRequestEntries.member").len() as f64;
        let over = asked > left;
        self.quota = (if over { left } else { left - asked }, now);
        over
    }

    /// The events that a call is about, as far as it says so.
    fn events_of(&mut self, call: &Call) -> Vec<String> {
        match &call.input {
            Input::Sns(form) => {
                form.list("PublishBatchRequestEntries.member").iter().map(super::sns::event_of).collect()
            }
            Input::Sqs(input) => {
                let Some(queue) = input["QueueUrl"].as_str().and_then(|url| self.queues.get(url)) else {
                    return Vec::new();
                };
                let entries = input["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
                let event = |entry: &Value| match entry["ReceiptHandle"].as_str() {
                    Some(handle) => queue.name_of(handle).map(str::to_owned),
                    None => super::sqs::quarantined(entry).map(|(message, _)| self.name_of(&message)),
                };
                entries.iter().filter_map(event).collect()
            }
        }
    }
}
