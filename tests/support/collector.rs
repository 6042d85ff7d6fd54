//! A minimal trace collector: it receives spans by OTLP over HTTP and keeps them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running collector. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Collector {
    /// The base URL, for `traces.otlp_endpoint`.
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _serving: JoinSet<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let requests: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&requests);
        let take = move |body: Bytes| async move {
            let request = ExportTraceServiceRequest::decode(body).expect("the body is an OTLP request");
            kept.lock().expect("no thread panicked while it held the lock").push(request);
            StatusCode::OK
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let routes = Router::new().route("/v1/traces", post(take));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.expect("the server runs until it is dropped") });
        Self { url, requests, _serving: serving }
    }

    /// Returns the spans received so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().expect("no thread panicked while it held the lock");
        let scopes = requests.iter().flat_map(|request| &request.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Returns a resource attribute of the service that sent the spans.
    pub(crate) fn service(&self, key: &str) -> Option<String> {
        let requests = self.requests.lock().expect("no thread panicked while it held the lock");
        let resource = requests.first()?.resource_spans.first()?.resource.as_ref()?;
        attribute(&resource.attributes, key)
    }
}

/// Returns the value of an attribute as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}
