//! The calls to SQS and SNS that the contracts check.

use aws_sdk_sns::types::PublishBatchRequestEntry;
use aws_sdk_sns::types::builders::PublishBatchRequestEntryBuilder;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchOutput;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName as System, SendMessageBatchRequestEntry,
};

use crate::emulator::Emulator;
use crate::queue::Queue;
use crate::wait;

/// Creates a queue that no other test uses. `kind` is empty or `.fifo`.
pub(super) async fn queue(emulator: &Emulator, kind: &str) -> Queue {
    static QUEUES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = QUEUES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Queue::create(emulator, &format!("contract-{number}{kind}")).await
}

pub(super) async fn send(emulator: &Emulator, queue: &Queue, bodies: &[&str]) {
    for body in bodies {
        emulator
            .sqs
            .send_message()
            .queue_url(&queue.url)
            .message_body(*body)
            .send()
            .await
            .expect("the message is sent");
    }
}

/// Sends messages to a FIFO queue. The group of each is the part of its body before the colon.
pub(super) async fn send_in_groups(emulator: &Emulator, queue: &Queue, bodies: &[&str]) {
    for body in bodies {
        let (group, _) = body.split_once(':').expect("the body starts with a group");
        let request = emulator.sqs.send_message().queue_url(&queue.url).message_body(*body).message_group_id(group);
        request.send().await.expect("the message is sent");
    }
}

pub(super) async fn receive(emulator: &Emulator, queue: &Queue, most: i32, visibility: i32) -> Vec<Message> {
    let request = emulator.sqs.receive_message().queue_url(&queue.url).max_number_of_messages(most);
    let request = request.visibility_timeout(visibility).message_attribute_names("All");
    let received = request.message_system_attribute_names(System::All).send().await.expect("the receive succeeds");
    received.messages.unwrap_or_default()
}

/// Receives until a receive returns messages.
pub(super) async fn receive_some(emulator: &Emulator, queue: &Queue, most: i32, visibility: i32) -> Vec<Message> {
    wait::until("a message is received", async || {
        let received = receive(emulator, queue, most, visibility).await;
        (!received.is_empty()).then_some(received)
    })
    .await
}

pub(super) async fn receive_one(emulator: &Emulator, queue: &Queue, visibility: i32) -> Message {
    receive_some(emulator, queue, 1, visibility).await.remove(0)
}

pub(super) fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().expect("the message has a body")).collect()
}

pub(super) fn handle(message: &Message) -> &str {
    message.receipt_handle().expect("a received message has a handle")
}

pub(super) fn system(message: &Message, name: System) -> Option<&str> {
    message.attributes()?.get(&name).map(String::as_str)
}

pub(super) async fn delete(emulator: &Emulator, queue: &Queue, handles: &[&str]) -> DeleteMessageBatchOutput {
    let entry = |(index, handle): (usize, &&str)| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(*handle);
        entry.build().expect("the id and the handle are given")
    };
    let entries = handles.iter().enumerate().map(entry).collect();
    let request = emulator.sqs.delete_message_batch().queue_url(&queue.url).set_entries(Some(entries));
    request.send().await.expect("the batch call succeeds")
}

/// Changes the visibility timeout of a message.
///
/// # Errors
///
/// Returns an error if the entry fails: whether SQS reports it as the sender's fault.
pub(super) async fn change(emulator: &Emulator, queue: &Queue, handle: &str, seconds: i32) -> Result<(), bool> {
    let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id("0").receipt_handle(handle);
    let entry = entry.visibility_timeout(seconds).build().expect("the id and the handle are given");
    let request = emulator.sqs.change_message_visibility_batch().queue_url(&queue.url).entries(entry);
    let answer = request.send().await.expect("the batch call succeeds");
    answer.failed().first().map_or(Ok(()), |failed| Err(failed.sender_fault()))
}

pub(super) fn code(error: &impl ProvideErrorMetadata) -> &str {
    error.code().unwrap_or_default().rsplit('.').next().unwrap_or_default()
}

/// Creates a topic that delivers to this queue by raw delivery. Returns its ARN.
pub(super) async fn topic(emulator: &Emulator, subscriber: &Queue) -> String {
    let name = subscriber.url.rsplit('/').next().expect("the URL ends with the name");
    let mut request = emulator.sns.create_topic().name(name);
    if name.ends_with(".fifo") {
        request = request.attributes("FifoTopic", "true");
    }
    let topic = request.send().await.expect("the topic is created").topic_arn.expect("a topic has an ARN");
    let request = emulator.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&subscriber.arn);
    request.attributes("RawMessageDelivery", "true").send().await.expect("the queue is subscribed");
    topic
}

pub(super) fn entry(id: &str, body: &str) -> PublishBatchRequestEntryBuilder {
    PublishBatchRequestEntry::builder().id(id).message(body)
}

pub(super) fn send_entry(id: usize, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id.to_string())
        .message_body(body)
        .build()
        .expect("the id and the body are given")
}
