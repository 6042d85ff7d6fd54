//! Traces: one span per message, and the trace context that consumers of the event continue.
//!
//! A message belongs to the trace that its attributes `traceparent` and `tracestate` name (<https://www.w3.org/TR/trace-context/>),
//! or its `AWSTraceHeader`. The service's span is a child of the producer's span and is linked to it, as the conventions for
//! messaging require (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>). If no collector is configured,
//! the service creates no span and passes the trace context on unchanged.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SdkTracer, SdkTracerProvider, ShouldSample as _, Span};
use tokio::runtime::Handle;
use tracing::warn;

use crate::base::build::VERSION;
use crate::base::http::{Http, Network};
use crate::base::{RateLimitedLog, cut};
use crate::config;
use crate::message::Message;

/// The time limit for the export of a batch of spans.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for the last export, before the process is killed.
pub const LAST_EXPORT: Duration = Duration::from_secs(3);
/// The largest answer of a collector that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint, or one of OpenTelemetry's environment variables, is invalid.
    #[error("traces.otlp_endpoint: {0}; see also the OTEL_EXPORTER_OTLP_… variables")]
    Exporter(#[from] ExporterBuildError),
}

/// Creates spans, if a collector is configured. Clones share the exporter.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Export>);

#[derive(Debug, Clone)]
struct Export {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    ratio: f64,
}

impl Export {
    /// Whether to sample a trace whose header leaves the decision to the service.
    fn keeps(&self, trace: TraceId) -> bool {
        let sampler = Sampler::TraceIdRatioBased(self.ratio);
        let result = sampler.should_sample(None, trace, "", &SpanKind::Consumer, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}

/// Describes the service in its spans. OpenTelemetry's environment variables can set the name.
fn resource() -> Resource {
    let detected = Resource::builder().build();
    let name = detected.get(&Key::from_static_str("service.name")).unwrap_or_else(|| "unknown_service".into());
    let resource = Resource::builder();
    let is_named = !name.as_str().starts_with("unknown_service");
    let resource = if is_named { resource } else { resource.with_service_name("protobridge") };
    resource.with_attribute(KeyValue::new("service.version", VERSION)).build()
}

impl Traces {
    /// Creates the traces of a configuration, exported through `network`. Call this inside a runtime; the exporter uses
    /// it for its calls.
    ///
    /// # Errors
    /// Returns an error if the exporter cannot be set up. Does not check whether the collector answers.
    pub fn new(settings: &config::Traces, network: &Network) -> Result<Self, TracesError> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(Self(None)) };
        let client = Client {
            http: network.client(EXPORT_TIMEOUT, EXPORT_TIMEOUT),
            runtime: Handle::current(),
            log: Arc::new(RateLimitedLog::new(Duration::from_secs(60))),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let sampler = Sampler::parent_based(Sampler::TraceIdRatioBased(settings.sample_ratio));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource())
            .build();
        let tracer = provider.tracer("protobridge");
        Ok(Self(Some(Export { provider, tracer, ratio: settings.sample_ratio })))
    }

    /// Begins the trace of a message that was just received.
    pub fn begin(&self, message: &Message) -> Trace {
        let pending = self.0.as_ref().map(|export| SpanStart {
            tracer: export.tracer.clone(),
            name: format!("process {}", message.queue.label),
            began: SystemTime::now(),
            attributes: vec![
                KeyValue::new("messaging.system", "aws_sqs"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new("messaging.destination.name", message.queue.label.clone()),
                KeyValue::new("messaging.message.id", cut(&message.message_id)),
                KeyValue::new("messaging.message.body.size", i64::try_from(message.body.len()).unwrap_or(i64::MAX)),
                KeyValue::new("protobridge.receive_count", i64::from(message.receive_count)),
            ],
        });
        let context = message.trace_header.as_deref().and_then(|header| {
            let undecided = |trace| self.0.as_ref().is_some_and(|export| export.keeps(trace));
            of_aws(header, undecided)
        });
        Trace { context: context.unwrap_or(SpanContext::NONE), pending, span: None, tracer: None }
    }

    /// Exports the remaining spans, for [`LAST_EXPORT`] at most.
    pub async fn shut_down(self) {
        let Some(Export { provider, .. }) = self.0 else { return };
        // The shutdown blocks its thread, and its export requires a running runtime.
        match tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_EXPORT)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the last spans were not exported"),
            Err(error) => warn!(%error, "the last spans were not exported"),
        }
    }
}

/// The trace of one message. Its span ends when it is dropped.
#[derive(Debug)]
pub struct Trace {
    /// The context for consumers: the producer's span, then the service's span after it was started.
    context: SpanContext,
    /// The span until it is started.
    pending: Option<SpanStart>,
    span: Option<Span>,
    /// Creates the spans of calls.
    tracer: Option<SdkTracer>,
}

/// The data of a span that is not started yet.
#[derive(Debug)]
struct SpanStart {
    tracer: SdkTracer,
    name: String,
    began: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Trace {
    /// Returns the id of the trace, 32 hexadecimal digits; `None` if the message belongs to none.
    pub fn id(&self) -> Option<String> {
        self.context.is_valid().then(|| self.context.trace_id().to_string())
    }

    /// Continues the trace that the envelope's attributes name, and starts the span.
    pub fn follow<'a>(&mut self, attribute: impl Fn(&str) -> Option<&'a str>) {
        if let Some(parent) = attribute("traceparent") {
            let carrier = Carrier { parent, state: attribute("tracestate") };
            let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
            let found = found.span().span_context().clone();
            // If `traceparent` is invalid, the context of `AWSTraceHeader` is kept.
            if found.is_valid() {
                self.context = found;
            }
        }
        self.start();
    }

    fn start(&mut self) {
        let Some(SpanStart { tracer, name, began, attributes }) = self.pending.take() else { return };
        let mut builder =
            tracer.span_builder(name).with_kind(SpanKind::Consumer).with_start_time(began).with_attributes(attributes);
        let mut parent = Context::new();
        if self.context.is_valid() {
            builder = builder.with_links(vec![Link::with_context(self.context.clone())]);
            parent = parent.with_remote_span_context(self.context.clone());
        }
        let span = tracer.build_with_context(builder, &parent);
        self.context = span.span_context().clone();
        self.span = Some(span);
        self.tracer = Some(tracer);
    }

    /// Adds the event's type and id and the number of its topics to the span.
    pub fn event(&mut self, event_type: &str, event_id: &str, topics: usize) {
        if let Some(span) = self.span.as_mut().filter(|span| span.is_recording()) {
            span.set_attribute(KeyValue::new("protobridge.event_type", cut(event_type)));
            span.set_attribute(KeyValue::new("protobridge.event_id", event_id.to_owned()));
            span.set_attribute(KeyValue::new("protobridge.topics", i64::try_from(topics).unwrap_or(i64::MAX)));
        }
    }

    /// Adds to the span that SNS has confirmed the event for a topic, and the message id that SNS gave to it.
    pub fn published(&mut self, topic: &str, sns_message_id: &str) {
        if let Some(span) = self.span.as_mut().filter(|span| span.is_recording()) {
            let attributes = vec![
                KeyValue::new("protobridge.topic", topic.to_owned()),
                KeyValue::new("protobridge.sns_message_id", cut(sns_message_id)),
            ];
            span.add_event("published", attributes);
        }
    }

    /// Adds a span of the call that stored the JSON of a claim check.
    pub fn stored(&mut self, bucket: &str, key: &str, bytes: usize, (began, ended): (SystemTime, SystemTime)) {
        let (Some(tracer), true) = (&self.tracer, self.context.is_sampled()) else { return };
        let attributes = vec![
            KeyValue::new("rpc.system", "aws-api"),
            KeyValue::new("rpc.service", "S3"),
            KeyValue::new("rpc.method", "PutObject"),
            KeyValue::new("aws.s3.bucket", bucket.to_owned()),
            KeyValue::new("aws.s3.key", key.to_owned()),
            KeyValue::new("protobridge.bytes", i64::try_from(bytes).unwrap_or(i64::MAX)),
        ];
        let builder = tracer.span_builder("S3.PutObject").with_kind(SpanKind::Client).with_start_time(began);
        let parent = Context::new().with_remote_span_context(self.context.clone());
        tracer.build_with_context(builder.with_attributes(attributes), &parent).end_with_timestamp(ended);
    }

    /// Adds the outcome of the message to the span. `cause` is the reason if the outcome is an error.
    pub fn settled(&mut self, outcome: &'static str, cause: Option<&str>) {
        self.start();
        if let Some(span) = self.span.as_mut().filter(|span| span.is_recording()) {
            span.set_attribute(KeyValue::new("protobridge.outcome", outcome));
            if let Some(cause) = cause {
                span.set_status(Status::error(cut(cause)));
            }
        }
    }

    /// Returns the headers with which consumers continue the trace; empty if there is no trace.
    pub fn headers(&self) -> TraceHeaders {
        if !self.context.is_valid() {
            return Default::default();
        }
        let (trace, span) = (self.context.trace_id(), self.context.span_id());
        let parent = format!("00-{trace}-{span}-{:02x}", self.context.trace_flags().to_u8());
        TraceHeaders { traceparent: parent, tracestate: self.context.trace_state().header() }
    }
}

/// The headers of a trace; empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceHeaders {
    /// The value of `traceparent`.
    pub traceparent: String,
    /// The value of `tracestate`.
    pub tracestate: String,
}

struct Carrier<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// Parses the trace header of AWS, such as `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`
/// (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>). If `Sampled` is missing
/// or `?`, `undecided` decides whether the trace is sampled.
fn of_aws(header: &str, undecided: impl FnOnce(TraceId) -> bool) -> Option<SpanContext> {
    let field = |name: &str| {
        let fields = header.split(';').filter_map(|field| field.trim().split_once('='));
        fields.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let hex = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (time, random) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
    let parent = field("Parent")?;
    if !hex(time, 8) || !hex(random, 24) || !hex(parent, 16) {
        return None;
    }
    let trace = TraceId::from_hex(&format!("{time}{random}")).ok()?;
    let is_sampled = match field("Sampled") {
        Some("1") => true,
        Some("0") => false,
        _ => undecided(trace),
    };
    let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let context = SpanContext::new(trace, SpanId::from_hex(parent).ok()?, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// Sends batches of spans from the exporter's thread through the service's runtime.
#[derive(Debug)]
struct Client {
    http: Http,
    runtime: Handle,
    log: Arc<RateLimitedLog>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let answer = self.runtime.spawn(async move { http.send(request, MAX_ANSWER).await }).await?;
        let why = match &answer {
            Ok(answer) if answer.status().is_success() => return Ok(answer.clone()),
            Ok(answer) => format!("HTTP {}", answer.status()),
            Err(error) => error.to_string(),
        };
        if let Some(suppressed) = self.log.permit() {
            // The URL is not logged, because it can contain a password.
            warn!(why, suppressed, "cannot export spans to traces.otlp_endpoint");
        }
        Ok(answer?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Queue;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    fn trace(header: Option<&str>, attributes: &[(&str, &str)]) -> (String, String) {
        let mut message = Message::for_tests(Queue::for_tests(), "", &[], None);
        message.trace_header = header.map(str::to_owned);
        let mut trace = Traces::default().begin(&message);
        let find = |name: &str| attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        trace.follow(find);
        let TraceHeaders { traceparent, tracestate } = trace.headers();
        (traceparent, tracestate)
    }

    #[test]
    fn the_trace_header_of_aws_is_converted_to_a_traceparent() {
        let parent = |header: &str| trace(Some(header), &[]).0;
        let sampled = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
        assert_eq!(parent(&format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1")), sampled);
        assert_eq!(parent(&format!("Sampled=1; {ROOT};Lineage=a:0;Parent=53995c3f42cd8ad8")), sampled);
        let not_sampled = sampled.replace("-01", "-00");
        // Without a collector an undecided trace is not sampled.
        for sampled in ["Sampled=0", "Sampled=?", ""] {
            assert_eq!(parent(&format!("{ROOT};Parent=53995c3f42cd8ad8;{sampled}")), not_sampled);
        }
        let header = |sampled: &str| format!("{ROOT};Parent=53995c3f42cd8ad8;{sampled}");
        let is_sampled = |sampled: &str| of_aws(&header(sampled), |_| true).unwrap().is_sampled();
        assert_eq!(["Sampled=0", "Sampled=?", ""].map(is_sampled), [false, true, true]);
        for none in [
            ROOT,
            "",
            "Root=1-5759e988;Parent=53995c3f42cd8ad8",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
            "Root=1-ü759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
        ] {
            assert_eq!(parent(none), "", "{none}");
        }
    }

    #[test]
    fn a_valid_traceparent_takes_precedence_over_the_trace_header_of_aws() {
        let header = format!("{ROOT};Parent=53995c3f42cd8ad8;Sampled=1");
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let attributes = [("traceparent", parent), ("tracestate", "a=1,b=2")];
        assert_eq!(trace(Some(&header), &attributes), (parent.to_owned(), "a=1,b=2".to_owned()));
        assert!(trace(Some(&header), &[("traceparent", "00-zz")]).0.starts_with("00-5759e988"));
        assert_eq!(trace(None, &[("tracestate", "a=1")]), Default::default());
    }
}
