//! Creates queues, topics and subscriptions, as an operator does before the service starts.
//!
//! The functions are for [`Embedded`](super::Embedded) and other emulators. On AWS, a queue also needs a policy that
//! allows the topic to send to it.

use aws_sdk_sqs::types::QueueAttributeName;

use crate::aws::{Clients, Failure};

/// A queue, a topic or a subscription could not be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {name}: {failure}")]
pub struct Error {
    action: &'static str,
    name: String,
    failure: Failure,
}

/// A topic, and a queue that receives each message of the topic as a [notification](super::Notification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// The ARN of the topic.
    pub topic_arn: String,
    /// The URL of the queue.
    pub queue_url: String,
}

/// Creates a queue, and returns its URL. If the name ends in `.fifo`, the queue is a FIFO queue.
///
/// # Errors
/// Returns an error if SQS refuses the call.
pub async fn queue(sqs: &aws_sdk_sqs::Client, name: &str) -> Result<String, Error> {
    let failed = |failure| Error { action: "create queue", name: name.to_owned(), failure };
    let mut request = sqs.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    let answer = request.send().await.map_err(|error| failed(Failure::of_call(&error)))?;
    answer.queue_url.ok_or_else(|| failed(Failure::unanswered()))
}

/// Creates a topic, and returns its ARN. If the name ends in `.fifo`, the topic is a FIFO topic.
///
/// # Errors
/// Returns an error if SNS refuses the call.
pub async fn topic(sns: &aws_sdk_sns::Client, name: &str) -> Result<String, Error> {
    let failed = |failure| Error { action: "create topic", name: name.to_owned(), failure };
    let mut request = sns.create_topic().name(name);
    if name.ends_with(".fifo") {
        request = request.attributes("FifoTopic", "true");
    }
    let answer = request.send().await.map_err(|error| failed(Failure::of_call(&error)))?;
    answer.topic_arn.ok_or_else(|| failed(Failure::unanswered()))
}

/// Subscribes a queue to a topic, without raw delivery.
///
/// # Errors
/// Returns an error if the queue or the topic does not exist, or if SNS refuses the subscription.
pub async fn subscribe(clients: &Clients, topic_arn: &str, queue_url: &str) -> Result<(), Error> {
    let failed = |failure| Error { action: "subscribe queue", name: queue_url.to_owned(), failure };
    let arn = QueueAttributeName::QueueArn;
    let request = clients.sqs.get_queue_attributes().queue_url(queue_url).attribute_names(arn.clone());
    let answer = request.send().await.map_err(|error| failed(Failure::of_call(&error)))?;
    let queue_arn = answer.attributes().and_then(|attributes| attributes.get(&arn));
    let queue_arn = queue_arn.ok_or_else(|| failed(Failure::unanswered()))?;
    let request = clients.sns.subscribe().topic_arn(topic_arn).protocol("sqs").endpoint(queue_arn);
    request.send().await.map_err(|error| failed(Failure::of_call(&error)))?;
    Ok(())
}

/// Creates a topic, and a queue that is subscribed to it.
///
/// # Errors
/// Returns an error if one of the calls fails.
pub async fn topic_with_queue(clients: &Clients, topic_name: &str, queue_name: &str) -> Result<Subscribed, Error> {
    let topic_arn = topic(&clients.sns, topic_name).await?;
    let queue_url = queue(&clients.sqs, queue_name).await?;
    subscribe(clients, &topic_arn, &queue_url).await?;
    Ok(Subscribed { topic_arn, queue_url })
}
