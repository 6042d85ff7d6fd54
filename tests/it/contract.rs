//! The promises of SQS and SNS that the service relies on. The tests check that the model of the fault tests and
//! ministack, an independent emulator, both keep them. Where the two differ, the model must behave like AWS.

mod calls;

use std::time::Duration;

use aws_sdk_sns::types::MessageAttributeValue as SnsValue;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName as System};
use protobridge::aws::{Failure, FailureKind};
use tokio::time::Instant;

use self::calls::{
    bodies, change, code, delete, entry, handle, queue, receive, receive_one, receive_some, send, send_entry,
    send_in_groups, system, topic,
};
use crate::emulator::Emulator;
use crate::model::{Faults, World};
use crate::queue::Queue;

/// Declares tests for contracts. A contract in `both` becomes `model::NAME` and `ministack::NAME`. A contract that only
/// the model keeps has a comment that says what ministack does instead.
macro_rules! contracts {
    (both: [$($both:ident),* $(,)?]; model: [$($model:ident),* $(,)?];) => {
        mod model {
            $(contracts!(@model $both);)*
            $(contracts!(@model $model);)*
        }
        mod ministack {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $both() {
                if let Some(emulator) = crate::emulator::Emulator::ministack().await {
                    super::$both(&emulator).await;
                }
            })*
        }
    };
    (@model $name:ident) => {
        #[tokio::test(start_paused = true)]
        async fn $name() {
            super::$name(&super::model_of_aws()).await;
        }
    };
}

contracts! {
    both: [
        a_message_returns_when_its_visibility_timeout_ends,
        a_visibility_change_hides_a_message_in_flight_for_longer,
        visibility_zero_makes_a_message_visible_at_once,
        a_deleted_message_does_not_return,
        a_bad_handle_fails_only_its_own_entry,
        attributes_arrive_unchanged,
        a_receive_returns_at_most_ten_messages,
        a_group_keeps_its_order_and_waits_for_its_messages_in_flight,
        a_fifo_queue_accepts_a_deduplication_id_once,
        a_long_poll_ends_with_the_first_message,
        an_empty_long_poll_lasts_for_its_wait_time,
        a_published_batch_reaches_the_queue_by_raw_delivery,
        a_fifo_topic_keeps_groups_numbers_messages_and_delivers_an_event_once,
        a_batch_with_too_many_entries_is_refused_as_a_whole,
        an_empty_batch_is_refused,
        a_batch_with_duplicate_entry_ids_is_refused,
        a_missing_queue_or_topic_is_not_found,
    ];
    model: [
        // ministack fails the second delete with ReceiptHandleIsInvalid.
        a_second_delete_succeeds,
        // ministack fails the delete with ReceiptHandleIsInvalid.
        a_stale_handle_deletes_nothing,
        // ministack deletes the message from a FIFO queue, too.
        a_lapsed_handle_deletes_from_a_standard_queue_only,
        // ministack hides the message again.
        the_visibility_of_a_message_not_in_flight_cannot_be_changed,
        // ministack's SNS accepts any character.
        characters_outside_xml_are_refused,
        // ministack does not limit the bytes of a batch.
        a_batch_over_the_byte_limit_is_refused,
    ];
}

fn model_of_aws() -> Emulator {
    Emulator::of_model(&World::new(1, Faults::none()))
}

async fn a_message_returns_when_its_visibility_timeout_ends(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let first = receive_one(emulator, &queue, 1).await;
    let again = receive_one(emulator, &queue, 30).await;
    assert_eq!((first.message_id(), first.body()), (again.message_id(), again.body()));
    assert_ne!(handle(&first), handle(&again));
    let count = |message| system(message, System::ApproximateReceiveCount).map(str::to_owned);
    assert_eq!((count(&first).as_deref(), count(&again).as_deref()), (Some("1"), Some("2")));
    assert!(system(&again, System::SentTimestamp).is_some());
    assert!(system(&again, System::ApproximateFirstReceiveTimestamp).is_some());
}

async fn a_visibility_change_hides_a_message_in_flight_for_longer(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let first = receive_one(emulator, &queue, 2).await;
    let received = Instant::now();
    assert!(receive(emulator, &queue, 10, 30).await.is_empty());
    assert_eq!(change(emulator, &queue, handle(&first), 4).await, Ok(()));
    receive_one(emulator, &queue, 30).await;
    assert!(
        received.elapsed() >= Duration::from_millis(3_500),
        "the new timeout starts at the change: {:?}",
        received.elapsed()
    );
}

async fn visibility_zero_makes_a_message_visible_at_once(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let first = receive_one(emulator, &queue, 600).await;
    assert_eq!(change(emulator, &queue, handle(&first), 0).await, Ok(()));
    let again = receive_one(emulator, &queue, 600).await;
    assert_eq!(system(&again, System::ApproximateReceiveCount), Some("2"));
}

async fn a_deleted_message_does_not_return(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let message = receive_one(emulator, &queue, 1).await;
    let answer = delete(emulator, &queue, &[handle(&message)]).await;
    assert_eq!((answer.successful().len(), answer.failed().len()), (1, 0));
    assert_eq!(queue.depth().await, 0);
}

async fn a_second_delete_succeeds(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let message = receive_one(emulator, &queue, 30).await;
    for _ in 0..2 {
        assert_eq!(delete(emulator, &queue, &[handle(&message)]).await.successful().len(), 1);
    }
}

async fn a_bad_handle_fails_only_its_own_entry(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let message = receive_one(emulator, &queue, 30).await;
    let answer = delete(emulator, &queue, &["nonsense", handle(&message)]).await;
    assert_eq!(answer.successful()[0].id(), "1");
    let failed = &answer.failed()[0];
    assert_eq!((failed.id(), failed.code(), failed.sender_fault()), ("0", "ReceiptHandleIsInvalid", true));
    assert_eq!(queue.depth().await, 0);
}

async fn attributes_arrive_unchanged(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let text = MessageAttributeValue::builder().data_type("String").string_value("Zürich ✓").build();
    let binary = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255, 7])).build();
    let (text, binary) = (text.expect("the data type is given"), binary.expect("the data type is given"));
    let request = emulator.sqs.send_message().queue_url(&queue.url).message_body("<&>\"\n");
    let request = request.message_attributes("text", text.clone()).message_attributes("binary", binary.clone());
    request.send().await.expect("the message is sent");
    let message = receive_one(emulator, &queue, 30).await;
    assert_eq!(message.body(), Some("<&>\"\n"));
    let attributes = message.message_attributes().expect("the message has attributes");
    assert_eq!((attributes.get("text"), attributes.get("binary")), (Some(&text), Some(&binary)));
}

async fn a_receive_returns_at_most_ten_messages(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"; 12]).await;
    let received = receive_some(emulator, &queue, 10, 30).await;
    assert!(received.len() <= 10);
    let request = emulator.sqs.receive_message().queue_url(&queue.url).max_number_of_messages(11);
    request.send().await.expect_err("a receive of eleven messages is refused");
}

async fn a_group_keeps_its_order_and_waits_for_its_messages_in_flight(emulator: &Emulator) {
    let queue = queue(emulator, ".fifo").await;
    send_in_groups(emulator, &queue, &["a:1", "a:2", "b:1", "a:3"]).await;
    let first = receive_one(emulator, &queue, 600).await;
    assert_eq!(first.body(), Some("a:1"));
    assert_eq!(bodies(&receive(emulator, &queue, 10, 600).await), ["b:1"], "the other messages of group a are blocked");
    delete(emulator, &queue, &[handle(&first)]).await;
    let rest = receive_some(emulator, &queue, 10, 600).await;
    assert_eq!(bodies(&rest), ["a:2", "a:3"], "one receive returns several messages of a group, in order");
    assert_eq!(system(&rest[0], System::MessageGroupId), Some("a"));
    // Make both visible again, the second message first: the first one still blocks it.
    assert_eq!(change(emulator, &queue, handle(&rest[1]), 0).await, Ok(()));
    assert!(receive(emulator, &queue, 10, 600).await.is_empty());
    assert_eq!(change(emulator, &queue, handle(&rest[0]), 0).await, Ok(()));
    assert_eq!(bodies(&receive_some(emulator, &queue, 10, 600).await), ["a:2", "a:3"]);
}

async fn a_fifo_queue_accepts_a_deduplication_id_once(emulator: &Emulator) {
    let queue = queue(emulator, ".fifo").await;
    let mut ids = Vec::new();
    for body in ["one", "other"] {
        let request = emulator.sqs.send_message().queue_url(&queue.url).message_body(body).message_group_id("a");
        let sent = request.message_deduplication_id("same").send().await.expect("the message is accepted");
        ids.push(sent.message_id);
    }
    assert_eq!(ids[0], ids[1]);
    let received = receive_one(emulator, &queue, 30).await;
    assert_eq!(received.body(), Some("one"));
    delete(emulator, &queue, &[handle(&received)]).await;
    assert_eq!(queue.depth().await, 0);
}

async fn long_poll(emulator: &Emulator, queue: &Queue, seconds: i32) -> Vec<Message> {
    let request = emulator.sqs.receive_message().queue_url(&queue.url).wait_time_seconds(seconds);
    request.send().await.expect("the receive succeeds").messages.unwrap_or_default()
}

async fn a_long_poll_ends_with_the_first_message(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let began = Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        send(emulator, &queue, &["body"]).await;
    };
    let (received, ()) = tokio::join!(long_poll(emulator, &queue, 8), late);
    assert_eq!(bodies(&received), ["body"]);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

async fn an_empty_long_poll_lasts_for_its_wait_time(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let began = Instant::now();
    assert!(long_poll(emulator, &queue, 1).await.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}

async fn a_published_batch_reaches_the_queue_by_raw_delivery(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let topic = topic(emulator, &queue).await;
    let value =
        SnsValue::builder().data_type("String").string_value("a=b&c+d %").build().expect("the data type is given");
    let entries = ["x", "y"].map(|id| {
        let entry = entry(id, &format!("{{\"id\":\"{id} ü\"}}")).message_attributes("event-id", value.clone());
        entry.build().expect("the entry has an id")
    });
    let request = emulator.sns.publish_batch().topic_arn(&topic);
    let answer =
        request.set_publish_batch_request_entries(Some(entries.into())).send().await.expect("the message is published");
    let mut ids: Vec<_> = answer.successful().iter().filter_map(|entry| entry.id()).collect();
    ids.sort_unstable();
    assert_eq!((ids, answer.failed().len()), (vec!["x", "y"], 0));
    assert!(answer.successful().iter().all(|entry| entry.sequence_number().is_none()), "the topic is not FIFO");
    let mut arrived = queue.take(2).await;
    arrived.sort_by(|one, other| one.body.cmp(&other.body));
    assert_eq!(arrived[0].body, "{\"id\":\"x ü\"}");
    assert_eq!(arrived[1].attribute("event-id"), Some("a=b&c+d %"));
}

async fn a_fifo_topic_keeps_groups_numbers_messages_and_delivers_an_event_once(emulator: &Emulator) {
    let queue = queue(emulator, ".fifo").await;
    let topic = topic(emulator, &queue).await;
    let mut numbers = Vec::new();
    for (group, event) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")] {
        let entry = entry("0", event).message_group_id(group).message_deduplication_id(event);
        let entry = entry.build().expect("the entry has an id");
        let request = emulator.sns.publish_batch().topic_arn(&topic).publish_batch_request_entries(entry);
        let answer = request.send().await.expect("the message is published");
        assert_eq!(answer.failed().len(), 0, "a duplicate is confirmed, too");
        numbers.push(answer.successful()[0].sequence_number().expect("the topic is FIFO").to_owned());
    }
    assert!(numbers.iter().all(|number| number.len() == 20) && numbers[..3].is_sorted_by(|a, b| a < b), "{numbers:?}");
    let arrived = queue.take(3).await;
    let of_group: Vec<&str> = arrived
        .iter()
        .filter(|message| message.group.as_deref() == Some("a"))
        .map(|message| message.body.as_str())
        .collect();
    assert_eq!(of_group, ["1", "3"]);
}

async fn a_batch_with_too_many_entries_is_refused_as_a_whole(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let topic = topic(emulator, &queue).await;
    let entries = (0..11).map(|id| send_entry(id, "body")).collect();
    let request = emulator.sqs.send_message_batch().queue_url(&queue.url).set_entries(Some(entries));
    let error = request.send().await.expect_err("a batch of eleven entries is refused");
    assert_eq!((code(&error), Failure::of_call(&error).kind), ("TooManyEntriesInBatchRequest", FailureKind::Refused));
    let entries = (0..11).map(|id| entry(&id.to_string(), "body").build().expect("the entry has an id")).collect();
    let request = emulator.sns.publish_batch().topic_arn(&topic).set_publish_batch_request_entries(Some(entries));
    let error = request.send().await.expect_err("a batch of eleven entries is refused");
    assert_eq!((code(&error), Failure::of_call(&error).kind), ("TooManyEntriesInBatchRequest", FailureKind::Refused));
    assert_eq!(queue.depth().await, 0);
}

async fn an_empty_batch_is_refused(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let request = emulator.sqs.delete_message_batch().queue_url(&queue.url).set_entries(Some(Vec::new()));
    assert_eq!(code(&request.send().await.expect_err("an empty batch is refused")), "EmptyBatchRequest");
}

async fn a_batch_with_duplicate_entry_ids_is_refused(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let topic = topic(emulator, &queue).await;
    let request = emulator.sqs.send_message_batch().queue_url(&queue.url);
    let request = request.entries(send_entry(1, "one")).entries(send_entry(1, "other"));
    assert_eq!(code(&request.send().await.expect_err("duplicate entry ids are refused")), "BatchEntryIdsNotDistinct");
    let request = emulator.sns.publish_batch().topic_arn(&topic);
    let entries = ["one", "other"].map(|body| entry("1", body).build().expect("the entry has an id"));
    let request = request.set_publish_batch_request_entries(Some(entries.into()));
    assert_eq!(code(&request.send().await.expect_err("duplicate entry ids are refused")), "BatchEntryIdsNotDistinct");
    assert_eq!(queue.depth().await, 0);
}

async fn a_missing_queue_or_topic_is_not_found(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let topic = topic(emulator, &queue).await;
    let (url, arn) = (format!("{}-not", queue.url), format!("{topic}-not"));
    let error =
        emulator.sqs.receive_message().queue_url(&url).send().await.expect_err("a receive from a missing queue fails");
    assert_eq!(Failure::of_call(&error).kind, FailureKind::NotFound);
    let request = emulator.sns.publish_batch().topic_arn(&arn);
    let request = request.publish_batch_request_entries(entry("0", "body").build().expect("the entry has an id"));
    let error = request.send().await.expect_err("a publish to a missing topic fails");
    assert_eq!(Failure::of_call(&error).kind, FailureKind::NotFound);
}

async fn a_stale_handle_deletes_nothing(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let first = receive_one(emulator, &queue, 1).await;
    let again = receive_one(emulator, &queue, 30).await;
    let answer = delete(emulator, &queue, &[handle(&first)]).await;
    assert_eq!(answer.successful().len(), 1, "the call succeeds");
    assert_eq!(queue.depth().await, 1, "the message is not deleted");
    assert_eq!(change(emulator, &queue, handle(&first), 5).await, Err(true));
    delete(emulator, &queue, &[handle(&again)]).await;
    assert_eq!(queue.depth().await, 0);
}

async fn a_lapsed_handle_deletes_from_a_standard_queue_only(emulator: &Emulator) {
    for (kind, failed) in [("", 0), (".fifo", 1)] {
        let queue = queue(emulator, kind).await;
        let request = emulator.sqs.send_message().queue_url(&queue.url).message_body("body");
        request
            .set_message_group_id((!kind.is_empty()).then(|| "a".to_owned()))
            .send()
            .await
            .expect("the message is sent");
        let message = receive_one(emulator, &queue, 1).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(delete(emulator, &queue, &[handle(&message)]).await.failed().len(), failed, "{kind}");
    }
}

async fn the_visibility_of_a_message_not_in_flight_cannot_be_changed(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    send(emulator, &queue, &["body"]).await;
    let message = receive_one(emulator, &queue, 1).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(change(emulator, &queue, handle(&message), 30).await, Err(true));
    delete(emulator, &queue, &[handle(&message)]).await;
    assert_eq!(change(emulator, &queue, handle(&message), 30).await, Err(true));
}

async fn characters_outside_xml_are_refused(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let topic = topic(emulator, &queue).await;
    for bad in ["\u{1}", "a\u{b}b", "\u{fffe}", "\u{ffff}"] {
        let request = emulator.sqs.send_message().queue_url(&queue.url).message_body(bad);
        assert_eq!(code(&request.send().await.expect_err("the message is refused")), "InvalidMessageContents");
        let entry = entry("0", bad).build().expect("the entry has an id");
        let answer = emulator.sns.publish_batch().topic_arn(&topic).publish_batch_request_entries(entry).send().await;
        assert_eq!(answer.expect("the batch call succeeds").failed()[0].code(), "InvalidParameter");
    }
    send(emulator, &queue, &["\t\n\r \u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}"]).await;
}

async fn a_batch_over_the_byte_limit_is_refused(emulator: &Emulator) {
    let queue = queue(emulator, "").await;
    let topic = topic(emulator, &queue).await;
    let half = "x".repeat(128 * 1024);
    let publish = async |second: &str| {
        let entries = [entry("0", &half), entry("1", second)].map(|entry| entry.build().expect("the entry has an id"));
        let request = emulator.sns.publish_batch().topic_arn(&topic);
        request.set_publish_batch_request_entries(Some(entries.into())).send().await
    };
    assert_eq!(publish(&half).await.expect("a batch of exactly the limit is accepted").failed().len(), 0);
    let error = publish(&format!("{half}x")).await.expect_err("a batch that is one byte too large is refused");
    assert_eq!(code(&error), "BatchRequestTooLong");
    let (whole, request) = ("x".repeat(1024 * 1024), emulator.sqs.send_message_batch().queue_url(&queue.url));
    let request = request.entries(send_entry(0, &whole)).entries(send_entry(1, "x"));
    assert_eq!(
        code(&request.send().await.expect_err("a batch that is one byte too large is refused")),
        "BatchRequestTooLong"
    );
}
