//! Queues, topics and subscriptions, as an operator would have made them beforehand.
//!
//! Made for [`Embedded`](super::Embedded) and other emulators: on AWS a queue also needs a policy that lets the topic
//! send to it.

use aws_sdk_sqs::types::QueueAttributeName;

use crate::aws::{Clients, Failure};

/// Something that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {name}: {failure}")]
pub struct Error {
    action: &'static str,
    name: String,
    failure: Failure,
}

/// A topic, and a queue that gets a [notification](super::Notification) of everything published to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    /// ARN of the topic.
    pub topic_arn: String,
    /// URL of the queue.
    pub queue_url: String,
}

/// Creates a queue, and returns its URL. One whose name ends in `.fifo` is a FIFO queue.
///
/// # Errors
/// When SQS refuses.
pub async fn queue(sqs: &aws_sdk_sqs::Client, name: &str) -> Result<String, Error> {
    let failed = |failure| Error { action: "create queue", name: name.to_owned(), failure };
    let mut request = sqs.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    let answer = request.send().await.map_err(|error| failed(Failure::of_call(&error)))?;
    answer.queue_url.ok_or_else(|| failed(Failure::unanswered()))
}

/// Creates a topic, and returns its ARN. One whose name ends in `.fifo` is a FIFO topic.
///
/// # Errors
/// When SNS refuses.
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
/// When the queue or the topic does not exist, or the two do not fit.
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

/// Creates a topic and a queue that is subscribed to it.
///
/// # Errors
/// When any of it fails.
pub async fn topic_with_queue(clients: &Clients, topic_name: &str, queue_name: &str) -> Result<Subscribed, Error> {
    let topic_arn = topic(&clients.sns, topic_name).await?;
    let queue_url = queue(&clients.sqs, queue_name).await?;
    subscribe(clients, &topic_arn, &queue_url).await?;
    Ok(Subscribed { topic_arn, queue_url })
}
