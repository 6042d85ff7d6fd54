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
