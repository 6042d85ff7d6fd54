//! The HTTP server, and the operation of each request.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::answer::Answer;
use super::form;
use super::replicas::access_key;
use super::state::Emulator;

/// Accepts connections as long as the future is polled.
pub(crate) async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(http::Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = http::Response<Full<Bytes>>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this option, the kernel delays small answers.
                let _unsupported = stream.set_nodelay(true);
                tokio::spawn(connection(stream, answer.clone()));
            }
            // The process most likely has too many open files. It tries again, because connections may close meanwhile.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Answers the requests of one connection until it ends.
pub(super) async fn connection<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(http::Request<Incoming>) -> F,
) where
    F: Future<Output = http::Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // A client that disconnects is no error.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers a request, and gives the answer a number. SQS requests are JSON and name their operation in a header; SNS requests are forms and name it in
/// a field; requests to S3 are the only ones that are not POST.
pub(super) async fn call(emulator: &Emulator, request: http::Request<Incoming>) -> (Answer, u64) {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let target = target.and_then(|target| target.strip_prefix("AmazonSQS.")).map(str::to_owned);
    let id = emulator.now();
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return (Answer::json(400, "{}".to_owned()), id);
    };
    let body = body.to_bytes();
    if emulator.spec.call_ms > 0 {
        sleep(Duration::from_millis(emulator.spec.call_ms)).await;
    }
    let answer = match target {
        Some(operation) => emulator.sqs(&operation, &body).await,
        None if head.method != Method::POST => emulator.s3(&head, &body),
        None => {
            let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
            let access_key = access_key(authorization.unwrap_or_default());
            emulator.sns(&form::field(&body, "Action").unwrap_or_default(), access_key, &body)
        }
    };
    (answer, id)
}
