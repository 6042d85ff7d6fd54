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

use super::answer::Answer;
use super::form;
use super::state::Emulator;

/// Accepts connections for as long as the future is polled.
pub(super) async fn serve(listener: TcpListener, emulator: Arc<Emulator>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&emulator)));
            }
            // Most likely too many open files; those that are open may close meanwhile.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, emulator: Arc<Emulator>) {
    // Answers are small and someone waits for each; without it they are only later.
    let _unsupported = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let emulator = Arc::clone(&emulator);
        async move { Ok::<_, Infallible>(answer(&emulator, request).await) }
    });
    // A client that hangs up is nothing to report.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// SQS speaks JSON and names its operation in a header; SNS speaks forms and names it inside.
async fn answer(emulator: &Emulator, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let target = target.and_then(|target| target.strip_prefix("AmazonSQS.")).map(str::to_owned);
    let id = emulator.now();
    let Ok(body) = request.into_body().collect().await else {
        return Answer::json(400, "{}".to_owned()).into_response(id);
    };
    let body = body.to_bytes();
    if emulator.spec.call_ms > 0 {
        sleep(Duration::from_millis(emulator.spec.call_ms)).await;
    }
    let answer = match target {
        Some(operation) => emulator.sqs(&operation, &body).await,
        None => emulator.sns(&form::field(&body, "Action").unwrap_or_default(), &body),
    };
    answer.into_response(id)
}
