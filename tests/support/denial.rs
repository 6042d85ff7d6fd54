//! A proxy in front of an emulator that denies calls, as AWS does for a role whose policy does not allow them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Denial {
    /// The base URL to use in place of the emulator's.
    pub(crate) endpoint_url: String,
    denied: Denied,
    _serving: JoinSet<()>,
}

/// The denied operations, such as `ReceiveMessage`; `*` denies all.
type Denied = Arc<Mutex<Vec<String>>>;

impl Denial {
    /// Starts a proxy in front of the emulator with this base URL.
    pub(crate) async fn in_front_of(endpoint_url: &str, operations: &[&str]) -> Self {
        let denied = Denied::default();
        let (shared, behind) = (Arc::clone(&denied), endpoint_url.trim_end_matches('/').to_owned());
        let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
        let answer = move |headers: HeaderMap, uri: Uri, body: Bytes| {
            let (denied, behind, client) = (Arc::clone(&shared), behind.clone(), client.clone());
            async move {
                let operation = operation(&headers, &body);
                let is_denied =
                    denied.lock().expect("no thread panicked").iter().any(|name| *name == operation || name == "*");
                if is_denied {
                    deny(&headers, &operation)
                } else {
                    forward(&client, &behind, headers, &uri, body).await
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint_url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let routes = Router::new().fallback(answer);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.expect("the server runs until it is dropped") });
        let this = Self { endpoint_url, denied, _serving: serving };
        this.deny(operations);
        this
    }

    /// Denies exactly these operations from now on.
    pub(crate) fn deny(&self, operations: &[&str]) {
        let operations = operations.iter().map(|&name| name.to_owned()).collect();
        *self.denied.lock().expect("no thread panicked") = operations;
    }
}

/// Returns the operation of a call: SQS has it in a header, SNS at the start of the form.
fn operation(headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.rsplit('.').next());
    let form = std::str::from_utf8(body).unwrap_or_default();
    let action = || form.split('&').find_map(|field| field.strip_prefix("Action="));
    target.or_else(action).unwrap_or_default().to_owned()
}

fn deny(headers: &HeaderMap, operation: &str) -> Response<Body> {
    let message = format!("no policy allows {operation}");
    let body = match headers.contains_key("x-amz-target") {
        true => serde_json::json!({"__type": "com.amazon.coral.service#AccessDeniedException", "message": message})
            .to_string(),
        false => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>{message}</Message></Error>\
             <RequestId>r-1</RequestId></ErrorResponse>"
        ),
    };
    let status = if headers.contains_key("x-amz-target") { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
    Response::builder().status(status).body(body.into()).expect("the answer is valid")
}

async fn forward(
    client: &Client<HttpConnector, Body>,
    behind: &str,
    headers: HeaderMap,
    uri: &Uri,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = axum::http::Request::post(format!("{behind}{path}")).body(body.into()).expect("the URL is valid");
    *request.headers_mut() = headers;
    match client.request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => Response::builder().status(502).body(error.to_string().into()).expect("the answer is valid"),
    }
}
