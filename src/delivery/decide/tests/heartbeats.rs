use super::*;
use crate::config::{Condition, HeartbeatType, Heartbeats};
use crate::monitor::sources::Heartbeat;

/// Decides about an event in the sets of the demo. Returns the heartbeat that it is, and whether it is filtered.
fn decide(types: Vec<HeartbeatType>, event_type: &str, json: &str) -> (Option<Heartbeat>, bool) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb").into();
    let config = Config {
        heartbeats: Heartbeats { types, ..Heartbeats::default() },
        descriptors: Descriptors { path, ..Descriptors::default() },
        ..Config::default()
    };
    let snapshot = Registry::load(&config.descriptors, &config, Arc::new(Profiles::new(&config.profiles))).unwrap();
    let snapshot = snapshot.current();
    assert_eq!(snapshot.heartbeat_problems(), [""; 0]);
    let payload = snapshot.find(event_type).unwrap().wire_from_json(json.as_bytes()).unwrap();
    let message =
        Message::for_tests(Queue::for_tests(), &BASE64_STANDARD.encode(payload), &[("message-type", event_type)], None);
    let (rules, router) =
        (Rules::new(&config, MAX_ENTRY_BYTES), Router::new(&config.route, Vec::new(), snapshot.type_names()));
    let schemas = Schemas::new(&config.confluent, None, &Network::default()).unwrap();
    let Opened::Ready(envelope) = rules.open(&message, None, &schemas) else { panic!("it opens") };
    let context = Context { snapshot: &snapshot, router: &router, schemas: &schemas };
    let decided = rules.decide(context, &message, &envelope, &TraceHeaders::default());
    (decided.heartbeat, matches!(decided.decision, Err(Outcome::Filtered(_))))
}

#[test]
fn a_built_in_heartbeat_is_recognized_without_a_rule_and_filtered() {
    let json = r#"{"source":"eu","sequence":"7","sentAt":"2026-01-01T00:00:00Z","interval":"2.5s"}"#;
    let (heartbeat, is_filtered) = decide(Vec::new(), "protobridge.v1.Heartbeat", json);
    let expected = Heartbeat {
        source: "eu".into(),
        sequence: Some(7),
        sent_at: crate::base::time::parse_rfc3339("2026-01-01T00:00:00Z"),
        interval: Duration::from_millis(2_500),
    };
    assert_eq!((heartbeat, is_filtered), (Some(expected), true));
    let (without_source, is_filtered) = decide(Vec::new(), "protobridge.v1.Heartbeat", r#"{"sequence":"7"}"#);
    assert_eq!((without_source, is_filtered), (None, true));
    let (heartbeat, _) = decide(Vec::new(), "protobridge.v1.Heartbeat", r#"{"source":"eu"}"#);
    assert_eq!(heartbeat.unwrap().interval, Duration::from_secs(10));
}

#[test]
fn an_event_that_meets_the_condition_of_a_rule_is_a_heartbeat_and_routed_as_always() {
    let rule = HeartbeatType {
        r#type: "shop.v1.ChangeEvent".into(),
        r#where: Some(Condition { path: "source.table".into(), equals: "heartbeat".into() }),
        interval_seconds: 5,
        source: "source.cluster".into(),
        sequence: Some("transaction_id".into()),
        sent_at: Some("commit_time".into()),
    };
    let json = |table: &str| {
        let source = format!(r#"{{"cluster":"eu","table":"{table}"}}"#);
        format!(r#"{{"source":{source},"transactionId":"9","commitTime":"2026-01-01T00:00:00Z"}}"#)
    };
    let (heartbeat, is_filtered) = decide(vec![rule.clone()], "shop.v1.ChangeEvent", &json("heartbeat"));
    let heartbeat = heartbeat.unwrap();
    assert_eq!((&*heartbeat.source, heartbeat.sequence, heartbeat.interval.as_secs()), ("eu", Some(9), 5));
    assert!(heartbeat.sent_at.is_some() && !is_filtered);
    assert_eq!(decide(vec![rule], "shop.v1.ChangeEvent", &json("orders")).0, None);
}
