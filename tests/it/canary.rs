//! The canary: what the prober reports when a canary returns, and when it is lost, late or altered on a leg of its path.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use protobridge::config::{FieldNames, Profile};
use protobridge::message::OutcomeLabel;
use protobridge::telemetry::{CanaryLeg, Family, Operation, PollResult};
use serde_json::Value;

use crate::denial::Denial;
use crate::emulator::{Emulator, scenarios};
use crate::queue::{Input, Message, Queue};
use crate::stage::{Canaries, Stage};
use crate::{http, wait};

scenarios! {
    both: [
        a_canary_returns_in_time_and_counts_for_no_customer,
        a_canary_is_lost_while_the_service_is_down_and_late_when_it_runs_again,
        a_canary_is_lost_while_its_topic_refuses_publishes_and_late_afterwards,
        a_canary_is_lost_on_the_way_to_the_return_queue_and_late_if_it_arrives_after_all,
        a_denied_return_queue_fails_polls_and_loses_no_canary,
        a_canary_that_cannot_be_sent_is_not_lost,
        a_canary_that_is_altered_in_the_input_queue_is_corrupt,
        a_canary_that_the_service_renders_in_another_way_is_corrupt,
        a_canary_that_is_altered_behind_the_topic_is_corrupt,
        a_raw_subscription_hides_the_legs_and_is_named,
        two_probers_share_a_return_queue,
        an_orphan_leaves_the_return_queue_and_a_message_that_is_no_canary_stays,
        a_canary_travels_fifo_queues_and_topics,
        a_customer_that_opted_in_receives_marked_canaries_and_no_other_customer_does,
    ];
    embedded: [];
    ministack: [];
}

/// Long enough that no canary is lost while everything works, even on a busy machine.
const AMPLE: u64 = 120;

/// The type of canaries.
const CANARY: &str = "protobridge.v1.Canary";

impl Canaries {
    /// Waits until a counter has at least this value.
    async fn wait_for(
        &self,
        what: &str,
        counter: impl Fn(&protobridge::telemetry::CanaryMetrics) -> &Family,
        count: u64,
    ) {
        let is_reached = async || (counter(&self.metrics.canary).sum() >= count).then_some(());
        wait::until(&format!("{count} canaries are {what}: {:?}", self.metrics.canary), is_reached).await;
    }

    /// Returns the numbers of canaries that are lost, late and corrupt, and of sends that failed.
    fn faults(&self) -> [u64; 4] {
        let canary = &self.metrics.canary;
        [&canary.lost, &canary.late, &canary.corrupt, &canary.send_errors].map(Family::sum)
    }

    fn failed_polls(&self) -> u64 {
        self.metrics.polls.sum_where(|labels| labels.result == PollResult::Error)
    }

    fn round_trips(&self, leg: CanaryLeg) -> u64 {
        self.metrics.canary.round_trip.sum_where(|labels| labels.leg == leg)
    }

    /// Returns the section `canary` of `/status`.
    async fn status(&self) -> Value {
        http::get(self.address, "/status").await.expect("the prober runs").json()["canary"].clone()
    }
}

async fn a_canary_returns_in_time_and_counts_for_no_customer(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.metrics.customer_label = true;
    let back = stage.canary(AMPLE, Some(false)).await;
    let running = stage.start().await;
    let canaries = stage.probe().await;

    canaries.wait_for("returned", |canary| &canary.returned, 2).await;
    assert_eq!(canaries.faults(), [0; 4]);
    for leg in [CanaryLeg::In, CanaryLeg::Out, CanaryLeg::Total] {
        assert!(canaries.round_trips(leg) >= 2, "{leg:?}: {:?}", canaries.metrics.canary);
    }
    let status = canaries.status().await;
    assert_eq!(
        (&status["return_queue"]["state"], &status["return_queue"]["delivery"]),
        (&"receiving".into(), &"notification".into())
    );
    assert!(
        status["last_return"]["in_seconds"].is_number() && status["last_return"]["total_seconds"].is_number(),
        "{status}"
    );
    assert_eq!(http::get(canaries.address, "/readyz").await.expect("the prober runs").body, "running\n");
    let metrics = http::get(canaries.address, "/metrics").await.expect("the prober runs").body;
    assert!(metrics.contains("protobridge_canary_lost_total 0"), "{metrics}");
    assert!(metrics.contains("protobridge_canary_round_trip_seconds_bucket{leg=\"in\",le="), "{metrics}");
    assert!(!metrics.contains("protobridge_build_info{"), "the alert ProtobridgeGone is about the service: {metrics}");

    back.wait_until_empty().await;
    drop(canaries);
    running.wait_until_settled(OutcomeLabel::Published, 2).await;
    let published = &running.metrics.published;
    assert!(published.sum_where(|labels| labels.event_type == CANARY) >= 2);
    assert_eq!(published.sum_where(|labels| labels.customer.is("acme")), 0);
    stage.assert_nothing_more_for("acme").await;
    running.stop().await;
}

async fn a_canary_is_lost_while_the_service_is_down_and_late_when_it_runs_again(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(1, Some(false)).await;
    let canaries = stage.probe().await;

    canaries.wait_for("lost", |canary| &canary.lost, 1).await;
    let status = canaries.status().await;
    assert!(status["last_lost"]["event_id"].is_string() && status["return_queue"]["trouble"].is_null(), "{status}");
    let [_, late, corrupt, send_errors] = canaries.faults();
    assert_eq!([late, corrupt, send_errors, canaries.failed_polls()], [0; 4], "only the loss is named");

    let running = stage.start().await;
    canaries.wait_for("late", |canary| &canary.late, 1).await;
    let [lost, late, corrupt, _] = canaries.faults();
    assert!(lost >= late && corrupt == 0, "a loss stays counted: {:?}", canaries.metrics.canary);
    drop(canaries);
    running.stop().await;
}

async fn a_canary_is_lost_while_its_topic_refuses_publishes_and_late_afterwards(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(2, Some(false)).await;
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["PublishBatch"]).await;
    stage.config.aws.endpoint_url = Some(denial.endpoint_url.clone());
    let running = stage.start().await;
    let canaries = stage.probe().await;

    canaries.wait_for("lost", |canary| &canary.lost, 1).await;
    assert_eq!((running.settled(OutcomeLabel::Quarantined), canaries.failed_polls()), (0, 0));
    denial.deny(&[]);
    canaries.wait_for("late", |canary| &canary.late, 1).await;
    assert_eq!(canaries.faults()[2..], [0, 0]);
    drop(canaries);
    running.stop().await;
}

/// Subscribes a queue to the canary topic in place of the return queue, so that a test can pass the messages on.
async fn between(emulator: &Emulator, stage: &Stage, back: &Queue) -> Queue {
    let name = format!("{}-between", back.url.rsplit('/').next().expect("a URL has a path"));
    let between = Queue::create(emulator, &name).await;
    let topic = stage.config.canary.topic.as_ref().expect("the canary is configured");
    let request = emulator.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(&between.arn);
    request.send().await.expect("the queue is subscribed");
    between
}

/// Takes the next message out of a queue.
async fn next(queue: &Queue) -> Message {
    wait::until("a canary is on its way", async || queue.take_some(1).await.into_iter().next()).await
}

async fn a_canary_is_lost_on_the_way_to_the_return_queue_and_late_if_it_arrives_after_all(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let back = stage.canary(1, None).await;
    let between = between(emulator, &stage, &back).await;
    let running = stage.start().await;
    let canaries = stage.probe().await;
    canaries.wait_for("lost", |canary| &canary.lost, 2).await;
    // The service publishes the canaries, so the trouble is behind it.
    running.wait_until_settled(OutcomeLabel::Published, 1).await;
    let [_, late, corrupt, send_errors] = canaries.faults();
    assert_eq!([late, corrupt, send_errors, canaries.failed_polls()], [0; 4]);
    // The first one is lost already.
    back.send([Input::text(next(&between).await.body)]).await;
    canaries.wait_for("late", |canary| &canary.late, 1).await;
    assert_eq!((canaries.metrics.canary.returned.sum(), canaries.faults()[2]), (0, 0));
    drop(canaries);
    running.stop().await;
}

async fn a_denied_return_queue_fails_polls_and_loses_no_canary(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(2, Some(false)).await;
    let running = stage.start().await;
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["ReceiveMessage"]).await;
    let canaries = stage.probe_at(&denial.endpoint_url).await;

    // Four intervals of a second are twice the deadline.
    canaries.wait_for("sent", |canary| &canary.sent, 5).await;
    assert_eq!(canaries.faults(), [0; 4], "whether a canary returned is unknown");
    assert!(canaries.failed_polls() > 0);
    let status = canaries.status().await;
    assert_eq!(status["return_queue"]["state"], "denied", "{status}");
    let ready = http::get(canaries.address, "/readyz").await.expect("the prober runs");
    assert!(ready.status == 503 && ready.body.contains("allow sqs:ReceiveMessage on arn:aws:sqs:"), "{}", ready.body);

    denial.deny(&[]);
    canaries.wait_for("returned", |canary| &canary.returned, 5).await;
    assert_eq!(canaries.faults()[1..], [0, 0, 0], "they had waited in the return queue");
    drop(canaries);
    running.stop().await;
}

async fn a_canary_that_cannot_be_sent_is_not_lost(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(1, Some(false)).await;
    let running = stage.start().await;
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["SendMessageBatch"]).await;
    let canaries = stage.probe_at(&denial.endpoint_url).await;
    canaries.wait_for("not sent", |canary| &canary.send_errors, 2).await;
    let status = canaries.status().await;
    let way_out = status["send_trouble"]["way_out"].as_str().expect("the trouble has a way out");
    assert!(way_out.starts_with("allow sqs:SendMessage on arn:aws:sqs:"), "{way_out}");
    assert_eq!((canaries.metrics.canary.sent.sum(), canaries.faults()[..3].to_vec()), (0, vec![0; 3]));
    denial.deny(&[]);
    canaries.wait_for("sent", |canary| &canary.sent, 1).await;
    assert!(canaries.status().await["send_trouble"].is_null());
    drop(canaries);
    running.stop().await;
}

async fn a_canary_that_is_altered_in_the_input_queue_is_corrupt(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(AMPLE, Some(false)).await;
    let canaries = stage.probe().await;
    let Message { body, attributes, .. } = next(&stage.source).await;
    let mut payload = BASE64_STANDARD.decode(body).expect("a canary is in base64");
    // The last varint belongs to the time of the send. Its lowest bit never makes the time invalid.
    let rest = payload.iter().rev().skip(1).take_while(|byte| **byte & 0x80 != 0).count();
    let lowest = payload.len() - 1 - rest;
    payload[lowest] ^= 1;
    let altered = Input { body: BASE64_STANDARD.encode(payload), attributes, group: None };
    stage.source.send([altered]).await;
    let running = stage.start().await;
    canaries.wait_for("corrupt", |canary| &canary.corrupt, 1).await;
    canaries.wait_for("returned", |canary| &canary.returned, 1).await;
    let alteration = canaries.status().await["last_corrupt"]["alteration"].as_str().expect("it is named").to_owned();
    assert!(alteration.starts_with("the JSON differs from byte ") && alteration.contains("sentAt"), "{alteration}");
    drop(canaries);
    running.stop().await;
}

async fn a_canary_that_the_service_renders_in_another_way_is_corrupt(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(AMPLE, Some(false)).await;
    let profile = Profile { field_names: FieldNames::Proto, ..Profile::default() };
    stage.config.profiles.insert("default".to_owned(), profile);
    let running = stage.start().await;
    stage.config.profiles.clear();
    let canaries = stage.probe().await;
    canaries.wait_for("corrupt", |canary| &canary.corrupt, 1).await;
    let [lost, late, ..] = canaries.faults();
    assert_eq!([lost, late, canaries.metrics.canary.returned.sum()], [0; 3]);
    let alteration = canaries.status().await["last_corrupt"]["alteration"].as_str().expect("it is named").to_owned();
    assert!(alteration.contains("\"sentAt\"") && alteration.contains("\"sent_at\""), "{alteration}");
    drop(canaries);
    running.stop().await;
}

async fn a_canary_that_is_altered_behind_the_topic_is_corrupt(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let back = stage.canary(AMPLE, None).await;
    let between = between(emulator, &stage, &back).await;
    let running = stage.start().await;
    let canaries = stage.probe().await;

    let notification = next(&between).await;
    let altered = notification.body.replace("\\\"sequence\\\":\\\"", "\\\"sequence\\\":\\\"9");
    assert_ne!(altered, notification.body);
    back.send([Input::text(altered)]).await;
    canaries.wait_for("corrupt", |canary| &canary.corrupt, 1).await;
    let notification = next(&between).await;
    let mut other: Value = serde_json::from_str(&notification.body).expect("a notification is JSON");
    other["MessageAttributes"]["event-type"]["Value"] = "shop.v1.OrderPlaced".into();
    back.send([Input::text(other.to_string())]).await;
    canaries.wait_for("corrupt", |canary| &canary.corrupt, 2).await;
    let alteration = canaries.status().await["last_corrupt"]["alteration"].as_str().expect("it is named").to_owned();
    assert!(alteration.starts_with("the attribute `event-type` is \"shop.v1.OrderPlaced\""), "{alteration}");
    // Unaltered, it is the same canary again, and counts no more.
    back.send([Input::text(notification.body)]).await;
    back.wait_until_empty().await;
    assert_eq!((canaries.metrics.canary.returned.sum(), canaries.faults()), (0, [0, 0, 2, 0]));
    drop(canaries);
    running.stop().await;
}

async fn a_raw_subscription_hides_the_legs_and_is_named(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(AMPLE, Some(true)).await;
    let running = stage.start().await;
    let canaries = stage.probe().await;
    canaries.wait_for("returned", |canary| &canary.returned, 1).await;
    assert_eq!(canaries.faults(), [0; 4]);
    assert_eq!((canaries.round_trips(CanaryLeg::In), canaries.round_trips(CanaryLeg::Out)), (0, 0));
    assert!(canaries.round_trips(CanaryLeg::Total) > 0);
    assert_eq!(canaries.status().await["return_queue"]["delivery"], "raw");
    drop(canaries);
    running.stop().await;
}

async fn two_probers_share_a_return_queue(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.canary(AMPLE, Some(false)).await;
    let running = stage.start().await;
    let (one, other) = (stage.probe().await, stage.probe().await);
    for canaries in [&one, &other] {
        canaries.wait_for("returned", |canary| &canary.returned, 3).await;
        assert_eq!(canaries.faults(), [0; 4]);
    }
    drop((one, other));
    running.stop().await;
}

async fn an_orphan_leaves_the_return_queue_and_a_message_that_is_no_canary_stays(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let back = stage.canary(1, Some(false)).await;
    let orphan = format!("{}-1", "0".repeat(32));
    back.send([Input::text(format!(r#"{{"id":"{orphan}"}}"#)), Input::text("hello")]).await;
    let canaries = stage.probe().await;
    canaries.wait_for("corrupt", |canary| &canary.corrupt, 1).await;
    let left = |canaries: &Canaries| {
        canaries.metrics.calls.sum_where(|labels| labels.operation == Operation::ChangeMessageVisibilityBatch)
    };
    wait::until("the orphan was left for its instance", async || (left(&canaries) > 0).then_some(())).await;
    wait::until("the orphan is gone", async || (back.depth().await == 1).then_some(())).await;
    assert_eq!(canaries.metrics.canary.corrupt.sum(), 1, "{:?}", canaries.metrics.canary);
    let status = canaries.status().await;
    assert_eq!(
        status["last_corrupt"]["alteration"],
        "a message of the return queue is not recognizable as a canary; it stays there"
    );
}

async fn a_canary_travels_fifo_queues_and_topics(emulator: &Emulator) {
    let mut stage = Stage::fifo(emulator).await.fifo_customer("acme").await;
    stage.canary(AMPLE, Some(false)).await;
    let running = stage.start().await;
    let canaries = stage.probe().await;
    canaries.wait_for("returned", |canary| &canary.returned, 3).await;
    assert_eq!(canaries.faults(), [0; 4]);
    stage.assert_nothing_more_for("acme").await;
    drop(canaries);
    running.stop().await;
}

async fn a_customer_that_opted_in_receives_marked_canaries_and_no_other_customer_does(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "canary: true, events: [shop.v1.OrderPlaced]").await;
    let mut stage = stage.customer("globex", "events: ['*']").await;
    stage.config.metrics.customer_label = true;
    stage.config.route.broadcast = vec!["*".to_owned()];
    stage.canary(AMPLE, Some(false)).await;
    let running = stage.start().await;
    let canaries = stage.probe().await;
    canaries.wait_for("returned", |canary| &canary.returned, 2).await;
    drop(canaries);
    let message =
        wait::until("acme has a canary", async || stage.queue_of("acme").take_some(1).await.into_iter().next());
    let message = message.await.unwrapped();
    assert_eq!((message.attribute("event-type"), message.attribute("canary")), (Some(CANARY), Some("true")));
    assert_eq!(message.attribute("customer-id"), Some("acme"));
    assert_eq!(message.json()["id"].as_str(), message.attribute("event-id"));
    stage.assert_nothing_more_for("globex").await;
    let counted = |id: &str| running.metrics.published.sum_where(|labels| labels.customer.is(id));
    let billed = |id: &str| running.metrics.billable.sum_where(|labels| labels.customer.is(id));
    assert_eq!([counted("acme"), counted("globex"), billed("acme"), billed("globex")], [0; 4]);
    running.wait_until_settled(OutcomeLabel::Published, 2).await;
    assert!(running.metrics.published.sum_where(|labels| labels.event_type == CANARY) >= 4);
    running.stop().await;
}
