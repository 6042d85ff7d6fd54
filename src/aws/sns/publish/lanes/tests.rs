use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::advance;

use super::lane::SLOW;
use super::*;
use crate::aws::sns::publish::{EntryAttributes, Reply, TopicEntry};
use crate::message::Ownership;

const LIMITS: LaneLimits = LaneLimits { bytes: 1_000, linger: Duration::from_millis(10), calls: 4, calls_per_topic: 2 };

fn queued(topic: &str, body: &str, group: Option<&str>) -> QueuedEntry {
    let entry = TopicEntry {
        topic: topic.into(),
        customer: None,
        event_type: "a.B".into(),
        offload: None,
        body: Arc::new(body.to_owned()),
        attributes: EntryAttributes::default(),
        group: group.map(str::to_owned),
        deduplication_id: None,
    };
    let ownership = Ownership::new(Instant::now(), Duration::from_secs(3_600));
    let reply = Reply::new(0, mpsc::unbounded_channel().0, SystemTime::now());
    QueuedEntry { entry, reply, ownership }
}

fn push(lanes: &mut Lanes, topic: &str, bodies: &[&str]) {
    for body in bodies {
        lanes.push(queued(topic, body, None), Instant::now());
    }
}

fn bodies(batch: &[LaneEntry]) -> Vec<String> {
    batch.iter().map(|waiting| waiting.queued.entry.body.to_string()).collect()
}

/// Takes all batches that are ready now, each with its topic.
fn take(lanes: &mut Lanes) -> Vec<(String, Vec<LaneEntry>)> {
    let now = Instant::now();
    let mut batches = Vec::new();
    while let Some((_, len)) = lanes.next_turn(now) {
        let (topic, batch) = lanes.next_batch(now).unwrap();
        assert_eq!(batch.len(), len);
        batches.push((topic.to_string(), batch));
    }
    batches
}

fn names(batches: &[(String, Vec<LaneEntry>)]) -> Vec<String> {
    batches.iter().map(|(topic, batch)| format!("{topic}: {}", bodies(batch).join(" "))).collect()
}

/// Ends the calls of these batches with success.
fn end_calls(lanes: &mut Lanes, batches: Vec<(String, Vec<LaneEntry>)>) {
    for (topic, batch) in batches {
        let topic = topic.as_str().into();
        lanes.end_call(&topic, true, Instant::now());
        for waiting in batch {
            lanes.entry_done(&topic, waiting.group(), Instant::now());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_ready_when_it_fills_a_batch_or_its_first_entry_is_old_enough() {
    let mut lanes = Lanes::new(LIMITS);
    push(&mut lanes, "few", &["1", "2"]);
    push(&mut lanes, "many", &["0"; 13]);
    let batches = take(&mut lanes);
    assert_eq!(names(&batches), ["many: 0 0 0 0 0 0 0 0 0 0"]);
    advance(Duration::from_millis(4)).await;
    push(&mut lanes, "few", &["3"]);
    assert_eq!(lanes.next_due(), Some(Instant::now() + Duration::from_millis(6)));
    advance(Duration::from_millis(6)).await;
    let late = take(&mut lanes);
    assert_eq!(names(&late), ["few: 1 2 3", "many: 0 0 0"]);
    end_calls(&mut lanes, batches);
    end_calls(&mut lanes, late);
    assert!(lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_limited_in_bytes_and_a_larger_entry_is_sent_alone() {
    let mut lanes = Lanes::new(LaneLimits { calls_per_topic: 9, calls: 9, ..LIMITS });
    let (half, more, huge) = ("h".repeat(500), "m".repeat(501), "x".repeat(2_000));
    push(&mut lanes, "t", &[&half, &half, &more, &half, &huge]);
    advance(LIMITS.linger).await;
    let sizes: Vec<Vec<usize>> =
        take(&mut lanes).iter().map(|(_, batch)| batch.iter().map(|waiting| waiting.bytes).collect()).collect();
    assert_eq!(sizes, [vec![500, 500], vec![501], vec![500], vec![2_000]]);
}

#[tokio::test(start_paused = true)]
async fn topics_take_turns_and_a_topic_has_a_limited_number_of_calls() {
    let mut lanes = Lanes::new(LIMITS);
    push(&mut lanes, "backlog", &["x"; 60]);
    push(&mut lanes, "one", &["1"; 10]);
    push(&mut lanes, "two", &["2"; 10]);
    let batches = take(&mut lanes);
    let topics: Vec<&str> = batches.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["backlog", "one", "two", "backlog"], "four calls at a time");
    end_calls(&mut lanes, batches.into_iter().skip(1).take(2).collect());
    assert!(take(&mut lanes).is_empty(), "both calls of the backlog are in flight");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_for_its_turn_fills_its_batch() {
    let mut lanes = Lanes::new(LaneLimits { calls: 1, ..LIMITS });
    push(&mut lanes, "first", &["0"; 10]);
    let in_flight = take(&mut lanes);
    push(&mut lanes, "t", &["1"]);
    advance(LIMITS.linger * 2).await;
    assert!(take(&mut lanes).is_empty());
    push(&mut lanes, "t", &["2", "3"]);
    end_calls(&mut lanes, in_flight);
    assert_eq!(names(&take(&mut lanes)), ["t: 1 2 3"]);
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_group_are_sent_one_at_a_time_and_in_order_even_if_one_is_sent_again() {
    let mut lanes = Lanes::new(LIMITS);
    let topic = TopicArn::from("t.fifo");
    for (body, group) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")] {
        lanes.push(queued(topic.as_str(), body, Some(group)), Instant::now());
    }
    advance(LIMITS.linger).await;
    let mut batches = take(&mut lanes);
    assert_eq!(names(&batches), ["t.fifo: a1 b1"]);
    // The first entry of group a fails and is sent again later. Group b continues.
    let (_, mut batch) = batches.remove(0);
    let (a1, b1) = (batch.remove(0), batch.remove(0));
    let now = Instant::now();
    lanes.end_call(&topic, true, now);
    lanes.requeue(&topic, a1, now + Duration::from_secs(1), now);
    lanes.entry_done(&topic, b1.group(), now);
    let batches = take(&mut lanes);
    assert_eq!(names(&batches), ["t.fifo: b2"]);
    end_calls(&mut lanes, batches);
    advance(Duration::from_secs(1)).await;
    for expected in ["t.fifo: a1", "t.fifo: a2", "t.fifo: a3"] {
        let batches = take(&mut lanes);
        assert_eq!(names(&batches), [expected]);
        end_calls(&mut lanes, batches);
    }
    assert!(lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn full_batches_count_while_they_wait_unless_their_topic_is_slow() {
    let mut lanes = Lanes::new(LIMITS);
    for number in 0..45 {
        lanes.push(queued("acme", &number.to_string(), None), Instant::now());
    }
    lanes.push(queued("globex", "lingers", None), Instant::now());
    assert_eq!(lanes.full_batches(), 4);
    let in_flight = take(&mut lanes);
    assert_eq!((in_flight.len(), lanes.full_batches()), (2, 2), "the topic has reached its limit of calls");
    advance(SLOW - Duration::from_millis(1)).await;
    lanes.next_turn(Instant::now());
    assert_eq!(lanes.full_batches(), 2);
    assert!(
        lanes.next_due().unwrap() <= Instant::now() + Duration::from_millis(1),
        "the lanes are due again when the topic becomes slow"
    );
    advance(Duration::from_millis(1)).await;
    lanes.next_turn(Instant::now());
    assert_eq!(lanes.full_batches(), 0, "the topic does not answer");
    for (topic, batch) in in_flight {
        let (topic, now) = (topic.as_str().into(), Instant::now());
        lanes.end_call(&topic, false, now);
        for waiting in batch {
            lanes.requeue(&topic, waiting, now, now);
        }
    }
    assert_eq!(lanes.full_batches(), 0, "a timeout is no answer, so the topic is still slow");
    let in_flight = take(&mut lanes);
    assert_eq!((in_flight.len(), lanes.full_batches()), (3, 0), "two calls of acme and one of globex");
    end_calls(&mut lanes, in_flight);
    assert_eq!(lanes.full_batches(), 2, "the topic has answered");
    while !lanes.is_empty() {
        advance(Duration::from_secs(1)).await;
        let batches = take(&mut lanes);
        end_calls(&mut lanes, batches);
    }
    assert_eq!(lanes.full_batches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_its_own_rate_holds_back_leaves_the_turn_to_the_others_and_does_not_count() {
    let mut lanes = Lanes::new(LaneLimits { calls: 9, calls_per_topic: 9, ..LIMITS });
    push(&mut lanes, "slow", &["0"; 45]);
    push(&mut lanes, "other", &["1"; 20]);
    let now = Instant::now();
    assert_eq!(lanes.next_turn(now).map(|(topic, len)| (topic.to_string(), len)), Some(("slow".to_owned(), 10)));
    let until = now + Duration::from_millis(100);
    lanes.hold(until, now);
    assert_eq!(lanes.full_batches(), 2, "the full batches of the other topic");
    push(&mut lanes, "slow", &["0"; 5]);
    let batches = take(&mut lanes);
    assert_eq!(names(&batches), ["other: 1 1 1 1 1 1 1 1 1 1"; 2]);
    end_calls(&mut lanes, batches);
    assert_eq!(lanes.full_batches(), 0);
    advance(Duration::from_millis(99)).await;
    assert!(lanes.next_turn(Instant::now()).is_none());
    assert_eq!(lanes.next_due(), Some(until));
    advance(Duration::from_millis(1)).await;
    push(&mut lanes, "other", &["1"; 10]);
    let batches = take(&mut lanes);
    let topics: Vec<&str> = batches.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["other", "slow", "slow", "slow", "slow", "slow"]);
    assert_eq!(lanes.full_batches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lane_counts_again_when_its_own_rate_has_not_held_it_back_for_a_second() {
    let mut lanes = Lanes::new(LIMITS);
    push(&mut lanes, "slow", &["0"; 45]);
    let now = Instant::now();
    lanes.next_turn(now);
    lanes.hold(now + Duration::from_millis(100), now);
    advance(Duration::from_millis(1_099)).await;
    let batches = take(&mut lanes);
    assert_eq!((batches.len(), lanes.full_batches()), (2, 0));
    advance(Duration::from_millis(1)).await;
    end_calls(&mut lanes, batches);
    assert_eq!(lanes.full_batches(), 2);
}
