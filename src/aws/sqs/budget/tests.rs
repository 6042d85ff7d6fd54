use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn budget(messages: usize, bytes: usize, queues: usize) -> (Budget, Vec<QueueUrl>, Metrics) {
    let (metrics, urls) = (Metrics::new(false), queue_urls(queues));
    (Budget::new(messages, bytes, &urls, &metrics), urls, metrics)
}

fn queue_urls(count: usize) -> Vec<QueueUrl> {
    (0..count).map(|number| format!("https://sqs.eu-west-1.amazonaws.com/1/{number}").as_str().into()).collect()
}

/// Returns the output of a future that is ready at once.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn a_message_keeps_its_share_and_the_rest_returns_to_the_budget() {
    let (budget, urls, metrics) = budget(20, 2 * MAX_RECEIVE_BYTES, 1);
    let mut reserved = at_once(budget.reserve(&urls[0])).unwrap();
    let message = reserved.split(1_000);
    drop(reserved);
    assert!(metrics.render().contains("protobridge_in_flight_bytes 1000"));
    let second = at_once(budget.reserve(&urls[0]));
    assert!(second.is_some() && at_once(budget.reserve(&urls[0])).is_none(), "eleven messages leave no room for ten");
    drop((message, second));
    assert!(metrics.render().contains("protobridge_in_flight_bytes 0"));
    let both = [(); 2].map(|()| at_once(budget.reserve(&urls[0])));
    assert!(both.iter().all(Option::is_some));
}

#[test]
fn a_receive_above_the_limit_takes_what_is_left() {
    let (budget, urls, _) = budget(10, MAX_RECEIVE_BYTES, 1);
    let mut reserved = at_once(budget.reserve(&urls[0])).unwrap();
    let _large = reserved.split(MAX_RECEIVE_BYTES);
    assert_eq!(reserved.split(5).bytes, 0);
}

#[test]
fn a_queue_that_takes_all_it_can_leaves_the_others_their_share() {
    let (budget, urls, _) = budget(400, 400 * MAX_RECEIVE_BYTES, 4);
    let taken = |url: &QueueUrl| {
        let mut permits = Vec::new();
        while let Some(permit) = at_once(budget.reserve(url)) {
            permits.push(permit);
        }
        permits
    };
    let greedy = taken(&urls[0]);
    assert_eq!(greedy.len(), 25, "its own 50 messages and the common 200");
    for url in &urls[1..] {
        assert_eq!(taken(url).len(), 5);
    }
    drop(greedy);
    assert_eq!(taken(&urls[3]).len(), 25);
}

#[test]
fn a_queue_with_nothing_in_flight_can_receive_once_however_many_queues_there_are() {
    let (budget, urls, _) = budget(10, MAX_RECEIVE_BYTES, 50);
    let first: Vec<_> = urls.iter().map(|url| at_once(budget.reserve(url))).collect();
    assert!(first.iter().all(Option::is_some));
    assert!(urls.iter().all(|url| at_once(budget.reserve(url)).is_none()));
}

#[test]
fn json_is_counted_until_its_message_is_finished() {
    let (budget, urls, metrics) = budget(1_000, 4 * MAX_RECEIVE_BYTES, 1);
    let mut reserved = at_once(budget.reserve(&urls[0])).unwrap();
    let (mut one, other) = (reserved.split(900), reserved.split(900));
    drop(reserved);
    assert!(at_once(one.room_to_render()).is_some());
    one.count_rendered(5 * MAX_RECEIVE_BYTES);
    assert!(metrics.render().contains(&format!("protobridge_in_flight_bytes {}", 1_800 + 5 * MAX_RECEIVE_BYTES)));
    assert!(at_once(other.room_to_render()).is_none(), "there is more JSON than the budget");
    assert!(at_once(budget.reserve(&urls[0])).is_none());
    drop(one);
    assert!(at_once(other.room_to_render()).is_some());
    assert!(at_once(budget.reserve(&urls[0])).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_share_that_returns_wakes_everyone_who_waits() {
    let (budget, urls, _) = budget(10, MAX_RECEIVE_BYTES, 1);
    let mut reserved = budget.reserve(&urls[0]).await;
    let mut message = reserved.split(10);
    message.count_rendered(2 * MAX_RECEIVE_BYTES);
    let other = reserved.split(10);
    drop(reserved);
    let render = tokio::spawn(async move { other.room_to_render().await });
    let receive = tokio::spawn(async move { drop(budget.reserve(&urls[0]).await) });
    tokio::task::yield_now().await;
    drop(message);
    let both = async { tokio::join!(render, receive) };
    let (render, receive) = tokio::time::timeout(std::time::Duration::from_secs(1), both).await.unwrap();
    render.and(receive).unwrap();
}
