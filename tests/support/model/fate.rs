//! Draws the faults of a call.

use std::sync::Arc;
use std::time::Duration;

use super::log::{LOOKUP_FAILED, REFUSED, What};
use super::lookups::Lookup;
use super::trouble::Trouble;
use super::wire::{Answer, Call, Input, SqsEntry};
use super::world::State;

/// How a call proceeds.
#[derive(Debug)]
pub(super) struct Fate {
    /// The time from the client's request to its effect.
    pub(super) before: Duration,
    pub(super) ending: Ending,
    /// The time from the effect to the client's answer.
    pub(super) after: Duration,
}

/// How a call ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The call takes effect and is answered.
    Answered,
    /// The call is answered with this error and has no effect.
    Error(Answer),
    /// The call has no effect and is never answered.
    LostRequest,
    /// The call takes effect and is never answered.
    LostAnswer,
    /// The connection is reset before the call takes effect.
    ResetBefore,
    /// The connection is reset after the call has taken effect.
    ResetAfter,
}

impl State {
    /// Draws how a call proceeds, and logs a fault for each event that the call concerns.
    pub(super) fn draw_fate(&mut self, call: &Call) -> Fate {
        let (ending, cause) = self.draw_ending(call);
        let mut latency = || Duration::from_millis(self.random.u64(1..15));
        let (mut before, mut after) = (latency(), latency());
        let mut cause = cause;
        if self.happens(|faults| faults.slow) {
            // One slow call in four can outlast every timeout.
            let most = if self.random.u8(..4) == 0 { 45_000 } else { 6_000 };
            let slow = Duration::from_millis(self.random.u64(500..most));
            *if self.random.bool() { &mut before } else { &mut after } += slow;
            cause = cause.or(Some("its call was slow"));
        }
        if let Some(cause) = cause {
            self.log_fault(call, cause);
        }
        Fate { before, ending, after }
    }

    /// Logs a fault for each event that a call concerns.
    fn log_fault(&mut self, call: &Call, cause: &'static str) {
        let (cause, onward) = match &call.input {
            // Each probe of a bucket or of the registry in trouble concerns many events and explains nothing about them.
            Input::Lookup(_) if Trouble::is_cause(cause) => return,
            Input::Lookup(_) => (LOOKUP_FAILED, true),
            _ => (cause, matches!(&*call.operation, "PublishBatch" | "SendMessageBatch" | "DeleteMessageBatch")),
        };
        for event in self.events_of(call) {
            self.note(None, What::Fault { event, cause, onward });
        }
    }

    /// Draws how a call ends. Also returns the cause if that is a fault.
    fn draw_ending(&mut self, call: &Call) -> (Ending, Option<&'static str>) {
        if let Some((ending, cause)) = self.trouble_of(call) {
            return (ending, Some(cause));
        }
        let error = call.error();
        if self.happens(|faults| faults.throttled) || self.is_over_quota(call) {
            let known: &[(u16, &str)] = match call.input {
                Input::Sqs(_) => &[
                    (400, "RequestThrottled"),
                    (400, "ThrottlingException"),
                    (400, "KMS.ThrottlingException"),
                    (403, "OverLimit"),
                ],
                Input::Sns(_) => {
                    &[(429, "Throttled"), (400, "Throttling"), (400, "ThrottlingException"), (400, "KMSThrottling")]
                }
                Input::Lookup(Lookup::Object { .. } | Lookup::Put(_)) => {
                    &[(503, "SlowDown"), (400, "KMS.ThrottlingException")]
                }
                Input::Lookup(Lookup::Schema(_)) => &[(429, "42900")],
            };
            let (status, code) = *self.random.choice(known).expect("the list is not empty");
            return (Ending::Error(error(status, code, "Rate exceeded")), Some("its call was throttled"));
        }
        if self.happens(|faults| faults.broken) {
            let answer = match self.random.u8(..4) {
                0 => error(500, "InternalError", "We encountered an internal error"),
                1 => error(503, "ServiceUnavailable", "The service is unavailable"),
                2 => Answer::gateway(502),
                _ => Answer::gateway(504),
            };
            return (Ending::Error(answer), Some("its call failed with a 5xx"));
        }
        if self.happens(|faults| faults.refused) {
            return match self.random.u8(..3) {
                0 => (Ending::Error(error(403, "AccessDenied", "Not now")), Some("its call was denied")),
                1 => (Ending::Error(error(403, "ExpiredToken", "Too old")), Some("its call was denied")),
                _ if matches!(call.input, Input::Sns(_)) => {
                    (Ending::Error(error(400, "InvalidParameter", "Invalid parameter: ?")), Some(REFUSED))
                }
                _ => (Ending::Error(error(403, "InvalidSecurity", "No")), Some("its call was denied")),
            };
        }
        if self.happens(|faults| faults.lost_request) {
            return (Ending::LostRequest, Some("its call was lost before the effect"));
        }
        if self.happens(|faults| faults.lost_answer) {
            return (Ending::LostAnswer, Some("its call is never answered"));
        }
        if self.happens(|faults| faults.reset_before) {
            return (Ending::ResetBefore, Some("the connection was reset before the effect"));
        }
        if self.happens(|faults| faults.reset_after) {
            return (Ending::ResetAfter, Some("the connection was reset after the effect"));
        }
        (Ending::Answered, None)
    }

    /// Whether a call exceeds the publish quota. SNS counts messages, not calls.
    fn is_over_quota(&mut self, call: &Call) -> bool {
        let (Some(rate), Input::Sns(form)) = (self.faults.quota, &call.input) else { return false };
        !self.quota.take(rate, form.list("PublishBatchRequestEntries.member").len() as f64)
    }

    /// Returns the events that a call concerns, as far as its entries name them, or that depend on what it looks up.
    fn events_of(&mut self, call: &Call) -> Vec<Arc<str>> {
        match &call.input {
            Input::Sns(form) => {
                form.list("PublishBatchRequestEntries.member").iter().map(super::sns::event_of).collect()
            }
            Input::Lookup(lookup) => self.dependents(&lookup.target()),
            Input::Sqs(input) => {
                let Some(queue) = self.queues.get(&input.queue_url) else {
                    return Vec::new();
                };
                let event = |entry: &SqsEntry| match entry.receipt_handle.as_deref() {
                    Some(handle) => queue.name_of(handle).cloned(),
                    None => super::sqs::quarantined(entry).map(|noted| self.name_of(&noted.message)),
                };
                input.entries.iter().filter_map(event).collect()
            }
        }
    }
}
