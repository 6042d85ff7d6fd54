//! Traces: the span of each event, its parent from the producer, and the trace context that customers receive.

use std::fmt::Write as _;

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use protobridge::message::OutcomeLabel;

use crate::collector::{Collector, attribute};
use crate::emulator::{Emulator, scenarios};
use crate::queue::Input;
use crate::stage::Stage;

scenarios! {
    both: [
        each_event_has_a_span_that_its_customer_can_continue,
        a_trace_is_passed_on_unchanged_without_a_collector,
        an_unreachable_collector_delays_no_event,
    ];
    embedded: [];
    ministack: [an_x_ray_trace_is_continued];
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PRODUCER: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PRODUCER}-{flags}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn each_event_has_a_span_that_its_customer_can_continue(emulator: &Emulator) {
    let collector = Collector::start().await;
    let mut stage = Stage::new(emulator).await.customer("acme", "").await.customer("off", "enabled: false").await;
    stage.config.traces.otlp_endpoint = Some(collector.url.clone());
    stage.config.queues[0].name = Some("events".to_owned());
    stage.config.retry.unknown_type_grace_seconds = 0;
    let event = stage.samples.next_event(&["acme"]);
    let traced = Input::body(&event).attribute("traceparent", &traceparent("01")).attribute("tracestate", "shop=7");
    // The producer's flags say that this trace is not sampled.
    let untraced = stage.samples.next_event(&["acme"]);
    let untraced = Input::body(&untraced).attribute("traceparent", &traceparent("00"));
    let filtered = stage.event_of_type("off", "shop.v1.OrderPlaced");
    let unknown = Input::text("CgA=").attribute("message-type", "a.B");
    let running = stage.start().await;
    stage.source.send([traced, untraced, unknown, Input::body(&filtered)]).await;
    let published = stage.delivered("acme", 2).await;
    running.wait_until_settled(OutcomeLabel::Quarantined, 1).await;
    running.wait_until_settled(OutcomeLabel::Filtered, 1).await;
    running.stop().await;

    assert_eq!(collector.service("service.name").as_deref(), Some("protobridge"));
    let spans = collector.spans();
    assert_eq!(spans.len(), 3, "the unsampled trace has no span: {spans:#?}");
    let with = |outcome: &str| {
        let is = |span: &&Span| attribute(&span.attributes, "protobridge.outcome").as_deref() == Some(outcome);
        spans.iter().find(is).unwrap_or_else(|| panic!("no span has the outcome {outcome}: {spans:#?}"))
    };
    let status = with("quarantined").status.as_ref().expect("the span has a status");
    assert!(status.code() == StatusCode::Error && status.message.contains("a.B"), "{status:?}");
    let of_filtered = |key: &str| attribute(&with("filtered").attributes, key);
    assert_eq!(of_filtered("protobridge.event_type"), Some(filtered.message_type));
    assert_eq!(of_filtered("protobridge.event_id"), Some(filtered.event_id));
    let span = with("published");
    assert_eq!(span.name, "process events");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PRODUCER.to_owned()));
    assert_eq!((hex(&span.links[0].trace_id), hex(&span.links[0].span_id)), (TRACE.to_owned(), PRODUCER.to_owned()));
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    let value = |key: &str| attribute(&span.attributes, key);
    assert_eq!(value("messaging.system").as_deref(), Some("aws_sqs"));
    assert_eq!(value("protobridge.event_type"), Some(event.message_type));
    assert_eq!(value("protobridge.topics").as_deref(), Some("1"));
    let confirmed = |key: &str| attribute(&span.events[0].attributes, key);
    assert_eq!((span.events.len(), &*span.events[0].name), (1, "published"));
    assert_eq!(confirmed("protobridge.topic").as_deref(), Some(stage.topic_of("acme")));
    assert!(confirmed("protobridge.sns_message_id").is_some_and(|id| !id.is_empty()), "{:?}", span.events);

    let ours = format!("00-{TRACE}-{}-01", hex(&span.span_id));
    let kept = published.iter().find(|message| message.attribute("traceparent") == Some(&ours));
    let kept = kept.unwrap_or_else(|| panic!("no event continues {ours}: {published:#?}"));
    assert_eq!(kept.attribute("tracestate"), Some("shop=7"));
    let other = published.iter().find(|message| message.attribute("traceparent") != Some(&ours));
    let other = other.and_then(|message| message.attribute("traceparent")).expect("the other event has a trace, too");
    assert!(other.starts_with(&format!("00-{TRACE}-")) && other.ends_with("-00"), "{other}");
}

async fn a_trace_is_passed_on_unchanged_without_a_collector(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let good = Input::body(&stage.samples.next_event(&["acme"])).attribute("traceparent", &traceparent("01"));
    let bad = Input::body(&stage.samples.next_event(&["acme"])).attribute("traceparent", "00-0-0-01");
    let running = stage.start().await;
    stage.source.send([good, bad]).await;
    let published = stage.delivered("acme", 2).await;
    let mut traces: Vec<_> = published.iter().map(|message| message.attribute("traceparent")).collect();
    traces.sort_unstable();
    assert_eq!(traces, [None, Some(&*traceparent("01"))]);
    running.stop().await;
}

async fn an_x_ray_trace_is_continued(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    let event = Input::body(&stage.samples.next_event(&["acme"]));
    let running = stage.start().await;
    let header = format!("Root=1-{}-{};Parent={PRODUCER};Sampled=1", &TRACE[..8], &TRACE[8..]);
    let header = MessageSystemAttributeValue::builder().data_type("String").string_value(header).build();
    let mut request =
        emulator.sqs.send_message().queue_url(&stage.source.url).message_body(event.body).message_system_attributes(
            MessageSystemAttributeNameForSends::AwsTraceHeader,
            header.expect("the data type is given"),
        );
    for (name, value) in event.attributes {
        request = request.message_attributes(name, value);
    }
    request.send().await.expect("the message is sent");
    let published = stage.delivered("acme", 1).await;
    assert_eq!(published[0].attribute("traceparent"), Some(&*traceparent("01")));
    running.stop().await;
}

async fn an_unreachable_collector_delays_no_event(emulator: &Emulator) {
    let mut stage = Stage::new(emulator).await.customer("acme", "").await;
    stage.config.traces.otlp_endpoint = Some("http://127.0.0.1:1".to_owned());
    let event = Input::body(&stage.samples.next_event(&["acme"]));
    let running = stage.start().await;
    stage.source.send([event]).await;
    let published = stage.delivered("acme", 1).await;
    assert!(published[0].attribute("traceparent").is_some_and(|parent| parent.ends_with("-01")), "{published:?}");
    running.stop().await;
}
