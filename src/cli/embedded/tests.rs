use std::time::Duration;

use aws_sdk_sns::types::MessageAttributeValue;

use super::*;
use aws_lean::Message;

async fn receive(clients: &Clients, queue_url: &str) -> Vec<Message> {
    clients.lean.receive(queue_url, 5, 30).await.unwrap()
}

#[tokio::test]
async fn a_subscribed_queue_receives_what_is_published_to_the_topic() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let subscribed = setup::topic_with_queue(&clients, "orders", "orders-inbox").await.unwrap();
    assert_eq!(subscribed.topic_arn, "arn:aws:sns:eu-west-1:000000000000:orders");
    assert_eq!(subscribed.queue_url, format!("{}/000000000000/orders-inbox", embedded.endpoint_url()));

    let attribute = MessageAttributeValue::builder().data_type("String").string_value("e-1").build().unwrap();
    let publish = clients.sns.publish().topic_arn(&subscribed.topic_arn).message(r#"{"orderId":"ö-1"}"#);
    publish.message_attributes("event-id", attribute).send().await.unwrap();

    let received = receive(&clients, &subscribed.queue_url).await;
    assert_eq!(received.len(), 1, "{received:?}");
    let notification = Notification::parse(received[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(notification.message, r#"{"orderId":"ö-1"}"#);
    assert_eq!(notification.topic_arn, subscribed.topic_arn);
    assert_eq!(notification.attribute("event-id"), Some("e-1"));
    assert_eq!(notification.attribute("customer-id"), None);
    embedded.stop().await;
}

#[tokio::test]
async fn a_fifo_topic_feeds_a_fifo_queue_and_drops_duplicates() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let subscribed = setup::topic_with_queue(&clients, "orders.fifo", "inbox.fifo").await.unwrap();
    for message in ["first", "again"] {
        let publish = clients.sns.publish().topic_arn(&subscribed.topic_arn).message(message);
        publish.message_group_id("order-1").message_deduplication_id("e-1").send().await.unwrap();
    }
    let received = receive(&clients, &subscribed.queue_url).await;
    let bodies: Vec<_> =
        received.iter().map(|m| Notification::parse(m.body.as_deref().unwrap()).unwrap().message).collect();
    assert_eq!(bodies, ["first"]);
}

/// Publishes a message with a String and a Binary attribute.
async fn publish(clients: &Clients, topic_arn: &str, message: &str) {
    let text = MessageAttributeValue::builder().data_type("String").string_value("a=b&c+d % \"ö\"").build().unwrap();
    let bytes = aws_sdk_sns::primitives::Blob::new(*b"\x00\xff{");
    let bytes = MessageAttributeValue::builder().data_type("Binary").binary_value(bytes).build().unwrap();
    let publish = clients.sns.publish().topic_arn(topic_arn).message(message);
    publish.message_attributes("text", text).message_attributes("bytes", bytes).send().await.unwrap();
}

/// Subscribes a queue with this value of `RawMessageDelivery`. Returns the ARN of the subscription.
async fn subscribe_raw(clients: &Clients, topic_arn: &str, queue: &str, raw: &str) -> Result<String, String> {
    let request = clients.sns.subscribe().topic_arn(topic_arn).protocol("sqs");
    let request = request.endpoint(format!("arn:aws:sqs:eu-west-1:000000000000:{queue}"));
    let answer = request.attributes("RawMessageDelivery", raw).send().await;
    answer.map(|answer| answer.subscription_arn.unwrap()).map_err(|error| error.into_service_error().to_string())
}

#[tokio::test]
async fn a_raw_subscription_delivers_the_message_and_its_attributes() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let wrapped = setup::topic_with_queue(&clients, "orders", "wrapped").await.unwrap();
    let raw = setup::queue(&clients.sqs, "raw").await.unwrap();
    subscribe_raw(&clients, &wrapped.topic_arn, "raw", "true").await.unwrap();

    publish(&clients, &wrapped.topic_arn, r#"{"orderId":"ö-1"}"#).await;

    let received = receive(&clients, &raw).await;
    assert_eq!(received.len(), 1, "{received:?}");
    assert_eq!(received[0].body.as_deref(), Some(r#"{"orderId":"ö-1"}"#));
    let attributes = &received[0].message_attributes;
    assert_eq!(attributes["text"].string_value(), Some("a=b&c+d % \"ö\""));
    assert_eq!(attributes["bytes"].binary_value().unwrap().as_ref(), b"\x00\xff{");
    let received = receive(&clients, &wrapped.queue_url).await;
    let notification = Notification::parse(received[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(notification.message, r#"{"orderId":"ö-1"}"#);
    assert_eq!(notification.attribute("bytes"), Some("AP97"), "the value is in base64");
}

#[tokio::test]
async fn one_queue_can_have_subscriptions_of_both_forms() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let wrapped = setup::topic_with_queue(&clients, "wrapped", "inbox").await.unwrap();
    let raw = setup::topic(&clients.sns, "raw").await.unwrap();
    subscribe_raw(&clients, &raw, "inbox", "true").await.unwrap();
    for topic in [&wrapped.topic_arn, &raw] {
        publish(&clients, topic, "event").await;
        let received = receive(&clients, &wrapped.queue_url).await;
        assert_eq!(received[0].body.as_deref() == Some("event"), *topic == raw, "{received:?}");
    }
}

#[tokio::test]
async fn the_form_of_a_subscription_can_be_changed_and_read() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let topic = setup::topic(&clients.sns, "orders").await.unwrap();
    let queue = setup::queue(&clients.sqs, "inbox").await.unwrap();
    let arn = subscribe_raw(&clients, &topic, "inbox", "false").await.unwrap();
    let attribute = |value| {
        let request = clients.sns.set_subscription_attributes().subscription_arn(&arn);
        request.attribute_name("RawMessageDelivery").attribute_value(value).send()
    };
    for (value, is_raw) in [("true", true), ("false", false)] {
        attribute(value).await.unwrap();
        let read = clients.sns.get_subscription_attributes().subscription_arn(&arn).send().await.unwrap();
        assert_eq!(read.attributes.unwrap()["RawMessageDelivery"], value);
        publish(&clients, &topic, "event").await;
        assert_eq!(receive(&clients, &queue).await[0].body.as_deref() == Some("event"), is_raw);
    }
    assert!(attribute("yes").await.is_err());
}

#[tokio::test]
async fn a_second_subscription_of_a_queue_in_another_form_is_refused_until_the_first_one_ends() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let topic = setup::topic(&clients.sns, "orders").await.unwrap();
    setup::queue(&clients.sqs, "inbox").await.unwrap();
    let arn = subscribe_raw(&clients, &topic, "inbox", "true").await.unwrap();
    assert_eq!(subscribe_raw(&clients, &topic, "inbox", "true").await.as_ref(), Ok(&arn));
    let refused = subscribe_raw(&clients, &topic, "inbox", "false").await.unwrap_err();
    assert!(refused.contains("already exists with different attributes"), "{refused}");
    clients.sns.unsubscribe().subscription_arn(arn).send().await.unwrap();
    subscribe_raw(&clients, &topic, "inbox", "false").await.unwrap();
    clients.sns.delete_topic().topic_arn(&topic).send().await.unwrap();
    assert_eq!(setup::topic(&clients.sns, "orders").await.unwrap(), topic);
    subscribe_raw(&clients, &topic, "inbox", "true").await.unwrap();
}

#[tokio::test]
async fn stopping_ends_long_polls_and_dropping_closes_the_port() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let queue = setup::queue(&clients.sqs, "empty").await.unwrap();
    let poll = tokio::spawn(async move { clients.lean.receive(&queue, 20, 30).await });
    embedded.stop().await;
    assert!(poll.await.unwrap().is_err());

    let embedded = Embedded::start().await.unwrap();
    let address = embedded.address();
    drop(embedded);
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the port must be closed");
}

#[tokio::test]
async fn a_failed_creation_names_the_queue_and_the_reason() {
    let embedded = Embedded::start().await.unwrap();
    let clients = embedded.clients().await;
    let error = setup::queue(&clients.sqs, "no spaces").await.unwrap_err().to_string();
    assert!(error.starts_with("cannot create queue no spaces: ") && error.contains("alphanumeric"), "{error}");
}
