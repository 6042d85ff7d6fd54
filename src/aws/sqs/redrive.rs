//! The redrive policy of a source queue, compared with the retries that protobridge makes.
//!
//! Each retry costs a receive, and the policy limits the receives of a message. If the limit is too low, SQS moves a
//! message to the dead-letter queue while protobridge still waits for its schema.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde::{Deserialize, Deserializer};

use crate::aws::{Failure, FailureKind};
use crate::base::Backoff;
use crate::config;

/// The highest `maxReceiveCount` that SQS accepts (Amazon SQS API reference, `SetQueueAttributes`).
const HIGHEST_MAX_RECEIVE_COUNT: u32 = 1_000;

/// The receives that a message can lose without a retry: to restarts and to lost receipts. Kubernetes restarts a
/// container that always fails after 10, 20, 40, 80, 160 and then 300 s, which makes five restarts within ten minutes.
const SPARE_RECEIVES: u32 = 5;

/// The redrive policy of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedrivePolicy {
    /// The ARN of the dead-letter queue.
    #[serde(rename = "deadLetterTargetArn")]
    pub dead_letter_arn: String,
    /// The number of receives after which SQS moves a message to the dead-letter queue instead of returning it again.
    #[serde(deserialize_with = "number_or_text")]
    pub max_receive_count: u32,
}

/// SQS returns the number as it was set: as a JSON number or as text.
fn number_or_text<'d, D: Deserializer<'d>>(value: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u32),
        Text(String),
    }
    match Count::deserialize(value)? {
        Count::Number(count) => Ok(count),
        Count::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

impl RedrivePolicy {
    /// Reads the policy among a queue's attributes. Returns `None` if the queue has no policy.
    ///
    /// # Errors
    /// Returns an error if the policy is not the JSON that SQS documents.
    pub fn of(attributes: &HashMap<Name, String>) -> Result<Option<Self>, serde_json::Error> {
        let text = attributes.get(&Name::RedrivePolicy).filter(|text| !text.is_empty());
        text.map(|text| serde_json::from_str(text)).transpose()
    }
}

/// Why the redrive policy of a queue is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQS did not return it.
    #[error(transparent)]
    Call(#[from] Failure),
    /// It is not the JSON that SQS documents.
    #[error("the attribute RedrivePolicy cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether the caller is not allowed to ask, or cannot read the answer. The queue itself can still be used.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Call(failure) => failure.kind == FailureKind::Denied,
            Self::Json(_) => true,
        }
    }
}

/// Requests the redrive policy of a queue. Returns `None` if the queue has no policy.
///
/// # Errors
/// Returns an error if SQS does not return the policy.
pub async fn policy(sqs: &aws_sdk_sqs::Client, url: &str) -> Result<Option<RedrivePolicy>, Error> {
    let request = sqs.get_queue_attributes().queue_url(url).attribute_names(Name::RedrivePolicy);
    let answer = request.send().await.map_err(|error| Failure::of_call(&error))?;
    Ok(RedrivePolicy::of(&answer.attributes.unwrap_or_default())?)
}

/// The retry schedule: when protobridge receives a message again that it could not finish.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    backoff: Backoff,
    grace: Duration,
}

impl Schedule {
    /// Creates the schedule of a configuration.
    pub fn new(retry: &config::Retry) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Self {
            backoff: Backoff::new(seconds(retry.min_seconds), seconds(retry.max_seconds)),
            grace: Duration::from_secs(retry.unknown_type_grace_seconds),
        }
    }

    /// Returns the delays between the receives of a message that is retried.
    pub fn backoff(self) -> Backoff {
        self.backoff
    }

    /// Returns the least `maxReceiveCount` that lets an event of unknown type wait until it is quarantined:
    ///
    /// - the receives within the grace period if each delay is the shortest that the backoff can draw,
    /// - one receive after the grace period, which quarantines the event,
    /// - [`SPARE_RECEIVES`] for restarts and lost receipts.
    ///
    /// The derivation is in docs/operations.md. The result can exceed the 1,000 that SQS accepts.
    pub fn receives_needed(self) -> u32 {
        self.receives_within_grace().saturating_add(1 + SPARE_RECEIVES)
    }

    /// Returns the most receives of one message before its grace period ends, the first receive included.
    fn receives_within_grace(self) -> u32 {
        let (mut receives, mut waited) = (0, Duration::ZERO);
        while waited < self.grace {
            receives += 1;
            waited += self.backoff.shortest_in_seconds(receives);
        }
        receives
    }

    /// Returns the shortest time from the first receive of a message until SQS moves it to the dead-letter queue.
    fn shortest_time_of(self, receives: u32) -> Duration {
        (1..=receives).map(|receives| self.backoff.shortest_in_seconds(receives)).sum()
    }
}

/// The redrive policy of a queue, judged by the retry schedule. Its text says what the policy means.
#[derive(Debug, Clone)]
pub struct Verdict {
    policy: Option<RedrivePolicy>,
    schedule: Schedule,
}

impl Verdict {
    /// Judges the policy of a queue, which is `None` if the queue has no policy.
    pub fn new(policy: Option<RedrivePolicy>, schedule: Schedule) -> Self {
        Self { policy, schedule }
    }

    /// Whether there is a policy, and it allows enough receives.
    pub fn is_good(&self) -> bool {
        self.policy.is_some() && !self.is_too_low()
    }

    /// Whether SQS can move a message to the dead-letter queue before its grace period ends.
    pub fn is_too_low(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.max_receive_count < self.schedule.receives_needed())
    }

    /// Returns what the policy means for messages.
    pub fn meaning(&self) -> String {
        let Some(RedrivePolicy { dead_letter_arn, max_receive_count }) = &self.policy else {
            return "no redrive policy: a message that cannot be finished is retried until the queue's retention ends"
                .to_owned();
        };
        if self.is_too_low() {
            let receives = self.schedule.receives_within_grace();
            return format!(
                "maxReceiveCount {max_receive_count} is too low: an event of unknown type is received up to {receives} \
                 times within `retry.unknown_type_grace_seconds`, and SQS can move it to {dead_letter_arn} before its \
                 schema arrives"
            );
        }
        let (needed, shortest) = (self.schedule.receives_needed(), self.schedule.shortest_time_of(*max_receive_count));
        format!(
            "maxReceiveCount {max_receive_count} is enough (at least {needed}); a message that always fails moves to \
             {dead_letter_arn} after {} min or later",
            shortest.as_secs() / 60
        )
    }

    /// Returns how to correct the policy; `None` if it is good.
    pub fn way_out(&self) -> Option<String> {
        let needed = self.schedule.receives_needed();
        if self.is_good() {
            return None;
        }
        if needed > HIGHEST_MAX_RECEIVE_COUNT {
            return Some(format!(
                "{needed} would be enough, but SQS accepts {HIGHEST_MAX_RECEIVE_COUNT} at most: raise \
                 `retry.max_seconds` or shorten the grace period"
            ));
        }
        Some(match self.policy {
            Some(_) => format!("set it to {needed} or more"),
            None => format!(
                "create a dead-letter queue, and set a redrive policy with a maxReceiveCount of {needed} or more"
            ),
        })
    }
}

/// Displays the meaning and the way out.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.meaning())?;
        self.way_out().map_or(Ok(()), |way_out| write!(f, "; {way_out}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(min_seconds: u32, max_seconds: u32, unknown_type_grace_seconds: u64) -> Schedule {
        Schedule::new(&config::Retry { min_seconds, max_seconds, unknown_type_grace_seconds })
    }

    fn verdict(max_receive_count: u32, schedule: Schedule) -> Verdict {
        Verdict::new(Some(RedrivePolicy { dead_letter_arn: "arn:dead".into(), max_receive_count }), schedule)
    }

    #[test]
    fn the_receives_needed_follow_from_the_shortest_delays() {
        for (min, max, grace, within, why) in [
            (2, 300, 600, 11, "receives at 0, 1, 3, 7, 15, 31, 63, 127, 255, 405 and 555 s"),
            (2, 300, 0, 0, "the first receive quarantines the event"),
            (2, 300, 1, 1, "the receive at 1 s quarantines the event"),
            (2, 300, 2, 2, "receives at 0 and 1 s"),
            (1, 1, 60, 60, "the shortest delay of 1 s is 1 s, because SQS counts whole seconds"),
            (5, 5, 60, 20, "the shortest delay of 5 s is 3 s"),
            (300, 300, 600, 4, "receives at 0, 150, 300 and 450 s"),
            (43_200, 43_200, 345_600, 16, "one receive per 6 h"),
            (2, 300, 345_600, 2_311, "one receive per 150 s after the first eight delays"),
        ] {
            let schedule = schedule(min, max, grace);
            assert_eq!(schedule.receives_within_grace(), within, "{min} to {max} s, grace {grace} s: {why}");
            assert_eq!(schedule.receives_needed(), within + 6);
        }
    }

    #[test]
    fn a_verdict_names_the_number_that_is_enough() {
        let default = Schedule::new(&config::Retry::default());
        assert!(verdict(16, default).is_too_low() && !verdict(17, default).is_too_low());
        let text = verdict(10, default).to_string();
        assert!(text.contains("maxReceiveCount 10 is too low") && text.ends_with("set it to 17 or more"), "{text}");
        assert!(text.contains("received up to 11 times"), "{text}");
        let text = verdict(17, default).to_string();
        assert!(text.ends_with("moves to arn:dead after 26 min or later"), "{text}");
        let text = verdict(1_000, schedule(2, 300, 345_600)).to_string();
        assert!(text.contains("2317 would be enough") && text.contains("raise `retry.max_seconds`"), "{text}");
        let none = Verdict::new(None, default);
        assert!(!none.is_too_low() && none.to_string().starts_with("no redrive policy"));
    }

    #[test]
    fn the_count_of_a_policy_is_a_number_or_text() {
        let read = |text: &str| RedrivePolicy::of(&HashMap::from([(Name::RedrivePolicy, text.to_owned())]));
        for count in ["20", "\"20\""] {
            let policy = read(&format!(r#"{{"deadLetterTargetArn":"arn:dead","maxReceiveCount":{count}}}"#));
            let expected = RedrivePolicy { dead_letter_arn: "arn:dead".into(), max_receive_count: 20 };
            assert_eq!(policy.unwrap(), Some(expected));
        }
        assert_eq!(read("").unwrap(), None);
        assert_eq!(RedrivePolicy::of(&HashMap::new()).unwrap(), None);
        read("{}").unwrap_err();
    }
}
