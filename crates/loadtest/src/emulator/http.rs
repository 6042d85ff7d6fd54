//! The HTTP server, and which operation a request is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::form;
use super::world::World;

/// The answer to a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    content_type: &'static str,
}

impl Answer {
    /// Of SQS.
    pub(super) fn json(status: u16, body: String) -> Self {
        Self { status, body, content_type: "application/x-amz-json-1.0" }
    }

    /// Of SNS.
    pub(super) fn xml(status: u16, body: String) -> Self {
        Self { status, body, content_type: "text/xml" }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status < 300
    }

    fn into_response(self, id: u64) -> http::Response<Full<Bytes>> {
        let response = http::Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("x-amzn-requestid", format!("2e9ae57a-0000-4000-8000-{id:012x}"));
        response.body(Full::new(Bytes::from(self.body))).expect("the headers are valid")
    }
}

/// Accepts connections for as long as the future is polled.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&world)));
            }
            // Most likely too many open files; those that are open may close meanwhile.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>) {
    // Answers are small and someone waits for each; without it they are only later.
    let _unsupported = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let world = Arc::clone(&world);
        async move { Ok::<_, Infallible>(answer(&world, request).await) }
    });
    // A client that hangs up is nothing to report.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// SQS speaks JSON and names its operation in a header; SNS speaks forms and names it inside.
async fn answer(world: &World, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let target = target.and_then(|target| target.strip_prefix("AmazonSQS.")).map(str::to_owned);
    let id = world.now();
    let Ok(body) = request.into_body().collect().await else {
        return Answer::json(400, "{}".to_owned()).into_response(id);
    };
    let body = body.to_bytes();
    if world.spec.call_ms > 0 {
        sleep(Duration::from_millis(world.spec.call_ms)).await;
    }
    let answer = match target {
        Some(operation) => world.sqs(&operation, &body).await,
        None => world.sns(&form::field(&body, "Action").unwrap_or_default(), &body),
    };
    answer.into_response(id)
}
