//! The dead-letter queue that a source queue's redrive policy names, and the number of messages on it.
//!
//! A message on a dead-letter queue is undelivered, and protobridge does not receive it again.

use aws_sdk_sqs::types::QueueAttributeName as Name;
use tracing::{debug, warn};

use super::redrive::RedrivePolicy;
use crate::aws::{Failure, FailureKind};
use crate::message::{Queue, is_fifo};
use crate::telemetry::{Metrics, Operation, QueueLabels};

/// The dead-letter queue of a source queue.
#[derive(Debug)]
pub(super) struct DeadLetters {
    arn: String,
    /// The URL, once it is known.
    url: Option<String>,
    state: State,
}

/// Whether the dead-letter queue can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is known against it.
    Open,
    /// The last question failed, and the failure was logged.
    Failing,
    /// IAM does not allow the question, so it is not asked again.
    Denied,
}

impl DeadLetters {
    /// Creates the dead-letter queue of a policy. `own_arn` is the ARN of the source queue.
    pub(super) fn new(queue: &Queue, own_arn: Option<&str>, policy: &RedrivePolicy) -> Self {
        let arn = policy.dead_letter_arn.clone();
        let url = own_arn.and_then(|own| sibling_url(queue.url.as_str(), own, &arn));
        Self { arn, url, state: State::Open }
    }

    /// Sets the gauge to the number of messages on the dead-letter queue, or removes the gauge if the number is
    /// unknown.
    pub(super) async fn show(&mut self, sqs: &aws_sdk_sqs::Client, metrics: &Metrics, queue: &Queue) {
        if self.state == State::Denied {
            return;
        }
        let gauge = metrics.dead_letters.with(&QueueLabels { queue: &queue.label });
        let (queue, arn) = (&queue.label, self.arn.clone());
        match self.count(sqs, metrics).await {
            Ok(count) => {
                self.state = State::Open;
                gauge.set(count);
            }
            Err(failure) => {
                gauge.forget();
                let is_denied = failure.kind == FailureKind::Denied;
                if is_denied {
                    warn!(%failure, queue, arn, "not allowed to read the depth of the dead-letter queue (sqs:GetQueueAttributes); continuing without it");
                } else if self.state == State::Open {
                    warn!(%failure, queue, arn, "failed to read the depth of the dead-letter queue, trying again");
                } else {
                    debug!(%failure, queue, arn, "failed to read the depth of the dead-letter queue, trying again");
                }
                self.state = if is_denied { State::Denied } else { State::Failing };
            }
        }
    }

    /// Returns the number of messages on the dead-letter queue, visible or not.
    async fn count(&mut self, sqs: &aws_sdk_sqs::Client, metrics: &Metrics) -> Result<u64, Failure> {
        let url = match self.url.clone() {
            Some(url) => url,
            None => self.ask_for_url(sqs, metrics).await?,
        };
        let request = COUNTED
            .iter()
            .fold(sqs.get_queue_attributes().queue_url(&url), |request, name| request.attribute_names(name.clone()));
        let answer = request.send().await;
        metrics.call(Operation::GetQueueAttributes, is_fifo(&url), answer.is_ok());
        let attributes = answer.map_err(|error| Failure::of_call(&error))?.attributes.unwrap_or_default();
        self.url = Some(url);
        Ok(COUNTED.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum())
    }

    async fn ask_for_url(&self, sqs: &aws_sdk_sqs::Client, metrics: &Metrics) -> Result<String, Failure> {
        let mut from_the_end = self.arn.rsplit(':');
        let (name, account) = (from_the_end.next(), from_the_end.next());
        let request = sqs.get_queue_url().set_queue_name(name.map(str::to_owned));
        let answer = request.set_queue_owner_aws_account_id(account.map(str::to_owned)).send().await;
        metrics.call(Operation::GetQueueUrl, is_fifo(&self.arn), answer.is_ok());
        let answer = answer.map_err(|error| Failure::of_call(&error))?;
        answer.queue_url.ok_or_else(Failure::unanswered)
    }
}

/// The attributes that together count all messages of a queue.
const COUNTED: [Name; 3] = [
    Name::ApproximateNumberOfMessages,
    Name::ApproximateNumberOfMessagesNotVisible,
    Name::ApproximateNumberOfMessagesDelayed,
];

/// Returns the URL of a queue in the account and region of another queue, whose URL and ARN are known. Returns `None`
/// if the queue is elsewhere or the known URL does not end in the queue's name.
fn sibling_url(url: &str, arn: &str, sibling_arn: &str) -> Option<String> {
    let ((place, name), (sibling_place, sibling)) = (arn.rsplit_once(':')?, sibling_arn.rsplit_once(':')?);
    let folder = url.strip_suffix(name).filter(|folder| folder.ends_with('/'))?;
    (place == sibling_place).then(|| format!("{folder}{sibling}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_queue_follows_from_its_sibling() {
        let (url, arn) = ("https://sqs.eu-west-1.amazonaws.com/1/orders", "arn:aws:sqs:eu-west-1:1:orders");
        let sibling = |arn, other| sibling_url(url, arn, other);
        let dead = "https://sqs.eu-west-1.amazonaws.com/1/dead";
        assert_eq!(sibling(arn, "arn:aws:sqs:eu-west-1:1:dead").as_deref(), Some(dead));
        for elsewhere in ["arn:aws:sqs:eu-west-1:2:dead", "arn:aws:sqs:eu-west-2:1:dead", "dead"] {
            assert_eq!(sibling(arn, elsewhere), None, "{elsewhere}");
        }
        assert_eq!(sibling("arn:aws:sqs:eu-west-1:1:ders", "arn:aws:sqs:eu-west-1:1:dead"), None);
    }
}
