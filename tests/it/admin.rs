//! The admin endpoint's pages of a service that has processed messages.

use std::net::SocketAddr;

use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;
use crate::{http, wait};

scenarios! {
    both: [
        status_and_metrics_report_the_outcome_of_each_message,
        the_schema_of_an_event_is_served_by_its_schema_hash,
    ];
    embedded: [];
    ministack: [];
}

async fn page(address: SocketAddr, path: &str) -> http::Answer {
    http::get(address, path).await.expect("the service runs")
}

async fn status_and_metrics_report_the_outcome_of_each_message(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "events: [shop.v1.OrderPlaced]").await;
    let published = Input::body(&stage.event_of_type("acme", "shop.v1.OrderPlaced"));
    let filtered = Input::body(&stage.event_of_type("acme", "shop.v1.ChangeEvent"));
    // Choose a type that no other message here has, because the metrics count by type.
    let mut malformed = std::iter::repeat_with(|| stage.samples.malformed(&["acme"]));
    let other_types = ["shop.v1.OrderPlaced", "shop.v1.ChangeEvent"];
    let malformed = malformed.find(|event| !other_types.contains(&event.message_type.as_str()));
    let quarantined = Input::body(&malformed.expect("the samples are endless"));
    stage.config.queues[0].name = Some("events".to_owned());
    let running = stage.start().await;
    stage.source.send([published.clone(), published, filtered, quarantined]).await;
    running.wait_until_received(4).await;
    stage.source.wait_until_empty().await;

    let address = running.address;
    assert_eq!((page(address, "/livez").await.status, page(address, "/readyz").await.status), (200, 200));
    let status = page(address, "/status").await.json();
    let queue = &status["queues"][0];
    assert_eq!(queue["received"], 4);
    assert_eq!(queue["outcomes"], serde_json::json!({"duplicate": 1, "filtered": 1, "published": 1, "quarantined": 1}));
    assert_eq!(queue["quarantined"], serde_json::json!({"malformed_protobuf": 1}));
    assert_eq!(status["descriptor_sets"].as_array().map(Vec::len), Some(2));
    // The last message is in flight until the answer to its delete arrives.
    let settled = |page: &http::Answer| page.body.lines().any(|line| line == "protobridge_in_flight_bytes 0");
    let metrics =
        wait::until("no message is in flight", async || Some(page(address, "/metrics").await).filter(settled));
    let metrics = metrics.await.body;
    for line in [
        r#"protobridge_messages_received_total{queue="events"} 4"#,
        r#"protobridge_messages_settled_total{queue="events",event_type="shop.v1.OrderPlaced",outcome="published"} 1"#,
        r#"protobridge_messages_settled_total{queue="events",event_type="shop.v1.OrderPlaced",outcome="duplicate"} 1"#,
        r#"protobridge_duplicates_suppressed_total{queue="events",event_type="shop.v1.OrderPlaced",cause="producer"} 1"#,
        r#"protobridge_events_received_total{queue="events",event_type="shop.v1.OrderPlaced"} 2"#,
        r#"protobridge_events_in_flight{queue="events",event_type="shop.v1.OrderPlaced"} 0"#,
        r#"protobridge_messages_settled_total{queue="events",event_type="shop.v1.ChangeEvent",outcome="filtered"} 1"#,
        r#"protobridge_messages_quarantined_total{queue="events",reason="malformed_protobuf"} 1"#,
        r#"protobridge_entries_published_total{event_type="shop.v1.OrderPlaced"} 1"#,
        r#"protobridge_event_latency_seconds_count{queue="events"} 1"#,
        "protobridge_messages_in_flight 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "the metrics lack the line {line}:\n{metrics}");
    }
    assert_eq!(page(address, "/nowhere").await.status, 404);
    running.stop().await;
}

async fn the_schema_of_an_event_is_served_by_its_schema_hash(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = stage.event_of_type("acme", "shop.v1.OrderPlaced");
    let running = stage.start().await;
    stage.source.send([Input::body(&event)]).await;
    let message = stage.delivered_one("acme").await;
    let attribute = |name| message.attribute(name).expect("the event has the attribute");
    let path = format!("/json-schema/{}", attribute("schema-hash"));
    let found = page(running.address, &path).await.json();
    assert_eq!(
        (&found["type"], &found["set"]["name"]),
        (&attribute("event-type").into(), &"shop.binpb".into()),
        "{found}"
    );
    for path in [format!("{path}/{}", attribute("event-type")), format!("{path}/{}/default", attribute("event-type"))] {
        let schema = page(running.address, &path).await.json();
        jsonschema::draft202012::validate(&schema, &message.json()).expect("the event fits its schema");
    }
    let unknown = page(running.address, "/json-schema/0123456789abcdef/shop.v1.OrderPlaced").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains(attribute("schema-hash")), "{}", unknown.body);
    running.stop().await;
}
