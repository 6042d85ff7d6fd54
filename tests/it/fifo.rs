//! FIFO queues to FIFO topics: order within a message group, and the event id as deduplication id.

use std::collections::BTreeMap;

use protobridge::cli::embedded::samples::Sample;
use protobridge::message::OutcomeLabel;

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;

scenarios! {
    both: [
        order_within_a_group_holds_from_end_to_end,
        a_message_that_has_to_wait_holds_up_its_group_only,
        a_message_in_quarantine_does_not_hold_up_its_group,
        an_event_that_is_sent_twice_is_delivered_once,
        a_standard_queue_feeds_a_fifo_topic_with_groups_from_a_field,
    ];
    embedded: [];
    ministack: [];
}

async fn order_within_a_group_holds_from_end_to_end(emulator: &Emulator) {
    const GROUPS: [&str; 3] = ["a", "b", "c"];
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let mut sent: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut inputs = Vec::new();
    for number in 0..30 {
        let (event, group) = (stage.samples.next_event(&["acme"]), GROUPS[number % GROUPS.len()]);
        inputs.push(Input::body(&event).group(group));
        sent.entry(group).or_default().push(event.event_id);
    }
    stage.source.send(inputs).await;
    let running = stage.start().await;

    let messages = stage.delivered("acme", 30).await;

    for (group, sent) in sent {
        let of_group = messages.iter().filter(|message| message.group.as_deref() == Some(group));
        let delivered: Vec<&str> = of_group.filter_map(|message| message.attribute("event-id")).collect();
        assert_eq!(delivered, sent, "group {group}");
    }
    stage.source.is_empty().await;
    running.stop().await;
}

async fn a_message_that_has_to_wait_holds_up_its_group_only(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let [behind, other] = [(); 2].map(|()| stage.samples.next_event(&["acme"]));
    // Of a type whose schema may still come.
    let first = stage.samples.unknown_type(&["acme"]);
    let input = |event: &Sample, group| Input::body(event).group(group);
    stage.source.send([input(&first, "a"), input(&behind, "a"), input(&other, "b")]).await;
    let running = stage.start().await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(other.event_id.as_str()));
    running.has_settled(OutcomeLabel::Retried, 4).await;
    running.stop().await;
    stage.nothing_more_for("acme").await;
    assert_eq!(stage.source.depth().await, 2);
}

async fn a_message_in_quarantine_does_not_hold_up_its_group(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let bad = Input::body(&stage.samples.malformed(&["acme"])).group("a");
    let behind = stage.samples.next_event(&["acme"]);
    stage.source.send([bad.clone(), Input::body(&behind).group("a")]).await;
    let running = stage.start().await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(behind.event_id.as_str()));
    let quarantined = stage.quarantine.take_one().await;
    assert_eq!((quarantined.body, quarantined.group), (bad.body, bad.group));
    stage.source.is_empty().await;
    running.stop().await;
}

async fn an_event_that_is_sent_twice_is_delivered_once(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    // Two messages that the source queue takes for different ones.
    stage.source.send([Input::body(&event), Input::binary(&event)].map(|input| input.group("a"))).await;
    running.has_settled(OutcomeLabel::Published, 1).await;
    running.has_settled(OutcomeLabel::Duplicate, 1).await;
    stage.source.is_empty().await;
    stage.delivered_one("acme").await;
    stage.nothing_more_for("acme").await;
    running.stop().await;
}

async fn a_standard_queue_feeds_a_fifo_topic_with_groups_from_a_field(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.fifo_customer("acme").await;
    let event = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    let message = stage.delivered_one("acme").await;
    let json = message.json();
    assert_eq!(message.group.as_deref(), json["orderId"].as_str());
    running.stop().await;
}
