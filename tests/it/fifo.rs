//! FIFO queues and topics: events keep their order within a message group, and the event id is the deduplication id.

use std::collections::BTreeMap;

use protobridge::cli::embedded::samples::Sample;
use protobridge::message::OutcomeLabel;

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;

scenarios! {
    both: [
        events_of_a_group_keep_their_order_end_to_end,
        a_retried_message_blocks_only_its_own_group,
        a_quarantined_message_does_not_block_its_group,
        an_event_sent_twice_is_delivered_once,
        an_event_from_a_standard_queue_gets_its_group_from_a_field,
    ];
    embedded: [];
    ministack: [];
}

async fn events_of_a_group_keep_their_order_end_to_end(emulator: &Emulator) {
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
        assert_eq!(delivered, sent, "the events of group {group} arrive in order");
    }
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn a_retried_message_blocks_only_its_own_group(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let [behind, other] = [(); 2].map(|()| stage.samples.next_event(&["acme"]));
    // This type is unknown, so the message is retried in case its schema arrives.
    let first = stage.samples.unknown_type(&["acme"]);
    let input = |event: &Sample, group| Input::body(event).group(group);
    stage.source.send([input(&first, "a"), input(&behind, "a"), input(&other, "b")]).await;
    let running = stage.start().await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(other.event_id.as_str()));
    running.wait_until_settled(OutcomeLabel::Retried, 4).await;
    running.stop().await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!(stage.source.depth().await, 2);
}

async fn a_quarantined_message_does_not_block_its_group(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let bad = Input::body(&stage.samples.malformed(&["acme"])).group("a");
    let behind = stage.samples.next_event(&["acme"]);
    stage.source.send([bad.clone(), Input::body(&behind).group("a")]).await;
    let running = stage.start().await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-id"), Some(behind.event_id.as_str()));
    let quarantined = stage.quarantine.take_one().await;
    assert_eq!((quarantined.body, quarantined.group), (bad.body, bad.group));
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn an_event_sent_twice_is_delivered_once(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    // The bodies differ, so the source queue does not take the second message for a duplicate.
    stage.source.send([Input::body(&event), Input::binary(&event)].map(|input| input.group("a"))).await;
    running.wait_until_settled(OutcomeLabel::Published, 1).await;
    running.wait_until_settled(OutcomeLabel::Duplicate, 1).await;
    stage.source.wait_until_empty().await;
    stage.delivered_one("acme").await;
    stage.assert_nothing_more_for("acme").await;
    running.stop().await;
}

async fn an_event_from_a_standard_queue_gets_its_group_from_a_field(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.fifo_customer("acme").await;
    let event = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    let message = stage.delivered_one("acme").await;
    let json = message.json();
    assert_eq!(message.group.as_deref(), json["orderId"].as_str());
    running.stop().await;
}
