//! The choice of an event's customers, and the outcome of events without one.

use protobridge::config::{CustomerMismatch, FallbackPolicy, FieldNames, Int64, Profile};
use protobridge::message::OutcomeLabel;
use serde_json::{Value, json};

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;

scenarios! {
    both: [
        an_event_goes_to_the_customer_in_its_field,
        an_event_with_two_customers_is_quarantined,
        the_configuration_says_which_of_two_customers_receives_an_event,
        a_customer_without_a_topic_gets_one_from_the_template,
        an_event_of_a_type_outside_the_customers_globs_is_filtered,
        an_event_of_a_disabled_customer_is_filtered,
        an_event_of_an_unknown_customer_is_quarantined,
        an_event_without_a_customer_is_quarantined,
        events_without_a_known_customer_go_to_the_configured_topics,
        events_without_a_known_customer_are_dropped_if_the_policy_is_drop,
        a_heartbeat_goes_to_every_customer_whose_globs_match_it,
        each_customer_gets_its_own_profile,
    ];
    embedded: [];
    ministack: [];
}

async fn an_event_goes_to_the_customer_in_its_field(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let events = ["acme", "globex"].map(|customer| stage.samples.next_event(&[customer]));
    let running = stage.start().await;
    stage.source.send(events.iter().map(Input::body)).await;
    for event in &events {
        let message = stage.delivered_one(event.customer.as_deref().expect("the event has a customer")).await;
        assert_eq!(message.attribute("event-id"), Some(event.event_id.as_str()));
    }
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn an_event_with_two_customers_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event).attribute("customer-id", "globex")]).await;
    let note = stage.quarantine.take_one().await.quarantine_note();
    assert_eq!(note["reason"], "customer_mismatch");
    let detail = note["detail"].as_str().expect("the note has a detail");
    let expected = "the attribute `customer-id` names customer globex, and the payload names acme";
    assert!(detail.starts_with(expected), "{detail}");
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    stage.assert_nothing_more_for("globex").await;
    running.stop().await;
}

async fn the_configuration_says_which_of_two_customers_receives_an_event(emulator: &Emulator) {
    for (trusted, receiver, other) in
        [(CustomerMismatch::Attribute, "globex", "acme"), (CustomerMismatch::Payload, "acme", "globex")]
    {
        let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
        stage.config.route.customer_mismatch = trusted;
        let event = stage.samples.next_event(&["acme"]);
        let running = stage.start().await;
        stage.source.send([Input::body(&event).attribute("customer-id", "globex")]).await;
        assert_eq!(stage.delivered_one(receiver).await.attribute("customer-id"), Some(receiver));
        stage.source.wait_until_empty().await;
        stage.assert_nothing_more_for(other).await;
        running.stop().await;
    }
}

async fn a_customer_without_a_topic_gets_one_from_the_template(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["acme"]);
    stage.config.route.topic_template = Some(stage.topic_of("acme").replace("acme", "{customer}"));
    stage.config.route.customers_file = stage.write_file("template.yaml", "customers: [{id: acme}]").into();
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("customer-id"), Some("acme"));
    running.stop().await;
}

async fn an_event_of_a_type_outside_the_customers_globs_is_filtered(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.Order*]").await;
    let wanted = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    let unwanted = stage.event_of_type("acme", "shop.v1.ChangeEvent");
    let running = stage.start().await;
    stage.source.send([Input::body(&unwanted), Input::body(&wanted)]).await;
    assert_eq!(stage.delivered_one("acme").await.attribute("event-type"), Some("shop.v1.OrderPlaced"));
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    assert_eq!((running.settled(OutcomeLabel::Published), running.settled(OutcomeLabel::Filtered)), (1, 1));
    running.stop().await;
}

async fn an_event_of_a_disabled_customer_is_filtered(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "enabled: false").await;
    let event = stage.samples.next_event(&["acme"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    running.wait_until_settled(OutcomeLabel::Filtered, 1).await;
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("acme").await;
    running.stop().await;
}

async fn an_event_of_an_unknown_customer_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&["hooli"]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    let note = stage.quarantine.take_one().await.quarantine_note();
    assert_eq!(note["reason"], "no_customer");
    assert_eq!(note["detail"], "customer hooli is not in the customers file");
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn an_event_without_a_customer_is_quarantined(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.samples.next_event(&[]);
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    let note = stage.quarantine.take_one().await.quarantine_note();
    assert_eq!(note["reason"], "no_customer");
    assert_eq!(note["detail"], "the event names no customer: neither the attribute nor a tap has a value");
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn events_without_a_known_customer_go_to_the_configured_topics(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("unknown", "").await.customer("without", "").await;
    let events = [stage.samples.next_event(&["hooli"]), stage.samples.next_event(&[])];
    stage.config.route.unknown_customer = FallbackPolicy::Topic(stage.topic_of("unknown").to_owned());
    stage.config.route.without_customer = FallbackPolicy::Topic(stage.topic_of("without").to_owned());
    let running = stage.start().await;
    stage.source.send(events.iter().map(Input::body)).await;
    for (topic, event, customer) in [("unknown", &events[0], Some("hooli")), ("without", &events[1], None)] {
        let message = stage.delivered_one(topic).await;
        assert_eq!(message.attribute("event-id"), Some(event.event_id.as_str()));
        assert_eq!(message.attribute("customer-id"), customer);
    }
    stage.source.wait_until_empty().await;
    running.stop().await;
}

async fn events_without_a_known_customer_are_dropped_if_the_policy_is_drop(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let events = [stage.samples.next_event(&["hooli"]), stage.samples.next_event(&[])];
    stage.config.route.unknown_customer = FallbackPolicy::Drop;
    stage.config.route.without_customer = FallbackPolicy::Drop;
    let running = stage.start().await;
    stage.source.send(events.iter().map(Input::body)).await;
    running.wait_until_settled(OutcomeLabel::Filtered, 2).await;
    stage.source.wait_until_empty().await;
    assert_eq!(stage.quarantine.depth().await, 0);
    running.stop().await;
}

async fn a_heartbeat_goes_to_every_customer_whose_globs_match_it(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("acme", "").await.customer("globex", "").await;
    let mut stage = stage.customer("hooli", "events: [shop.v1.*]").await;
    let heartbeat = stage.samples.heartbeat();
    let running = stage.start().await;
    stage.source.send([Input::body(&heartbeat).attribute("event-id", &heartbeat.event_id)]).await;
    for customer in ["acme", "globex"] {
        let message = stage.delivered_one(customer).await;
        assert_eq!(message.attribute("event-type"), Some("protobridge.v1.Heartbeat"));
        assert_eq!(message.attribute("event-id"), Some(heartbeat.event_id.as_str()));
        assert_eq!(message.attribute("customer-id"), Some(customer), "each customer gets its own id");
    }
    stage.source.wait_until_empty().await;
    stage.assert_nothing_more_for("hooli").await;
    assert_eq!(
        running.settled(OutcomeLabel::Published),
        1,
        "one message is one outcome, whatever the number of its customers"
    );
    assert_eq!(running.metrics.published.sum(), 2);
    running.stop().await;
}

async fn each_customer_gets_its_own_profile(emulator: &Emulator) {
    let stage = Stage::new(emulator).await.customer("canonical", "").await;
    let mut stage = stage.customer("legacy", "profile: numbers").await;
    let numbers = Profile { field_names: FieldNames::Proto, int64: Int64::Number, ..Profile::default() };
    stage.config.profiles.insert("numbers".to_owned(), numbers);
    let heartbeat = stage.samples.heartbeat();
    let running = stage.start().await;
    // A broadcast is rendered once per profile.
    stage.source.send([Input::body(&heartbeat)]).await;
    let fields = |json: Value| [&json["sequence"], &json["sentAt"], &json["sent_at"]].map(Clone::clone);
    let [sequence, json_name, _] = fields(stage.delivered_one("canonical").await.json());
    assert_eq!((&sequence, json_name.is_string()), (&json!("1"), true));
    let [sequence, _, declared_name] = fields(stage.delivered_one("legacy").await.json());
    assert_eq!((&sequence, declared_name.is_string()), (&json!(1.0), true));
    running.stop().await;
}
