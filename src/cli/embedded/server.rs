//! The HTTP server that both services share.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use rustack_sns_http::service::{SnsHttpConfig, SnsHttpService};
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::topics::Topics;

/// A listening server. Dropping it closes all connections.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    /// Stops accepting connections, and closes those that are idle.
    drain: CancellationToken,
    /// Closes all connections.
    abort: CancellationToken,
    connections: TaskTracker,
}

#[derive(Debug, Clone)]
struct Services {
    sqs: SqsHttpService<RustackSqsHandler>,
    sns: SnsHttpService<Topics>,
}

impl Server {
    pub(super) fn start(listener: TcpListener, address: SocketAddr, sqs: &Arc<RustackSqs>, topics: Topics) -> Self {
        let region = super::Embedded::REGION.to_owned();
        let sqs_config = SqsHttpConfig { region: region.clone(), ..SqsHttpConfig::default() };
        let sns_config = SnsHttpConfig { region, ..SnsHttpConfig::default() };
        let services = Services {
            sqs: SqsHttpService::new(Arc::new(RustackSqsHandler::new(Arc::clone(sqs))), sqs_config),
            sns: SnsHttpService::new(Arc::new(topics), sns_config),
        };
        let server = Self {
            address,
            drain: CancellationToken::new(),
            abort: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let (drain, abort, connections) = (server.drain.clone(), server.abort.clone(), server.connections.clone());
        server.connections.spawn(async move {
            while let Some(accepted) = drain.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, services.clone(), drain.clone(), abort.clone()));
                    }
                    Err(error) => {
                        // The likely cause is too many open files. Retry after a pause, in which connections can close.
                        warn!(%error, "cannot accept a connection");
                        drain.run_until_cancelled(tokio::time::sleep(Duration::from_millis(100))).await;
                    }
                }
            }
        });
        server
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting connections, and closes each connection once its request in progress is answered.
    pub(super) fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits until all connections are closed.
    pub(super) async fn finish(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.cancel();
        self.abort.cancel();
    }
}

async fn connection(stream: TcpStream, services: Services, drain: CancellationToken, abort: CancellationToken) {
    // Answers are small, and a client waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let service = service_fn(move |request: http::Request<Incoming>| services.clone().answer(request));
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        () = abort.cancelled() => return,
        // A client that closes its connection is not an error.
        _ended = connection.as_mut() => return,
        () = drain.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        () = abort.cancelled() => {}
        _ended = connection => {}
    }
}

impl Services {
    /// Passes the request to its service. SQS requests name their operation in a header; SNS requests are forms that
    /// name it in the body.
    async fn answer(self, request: http::Request<Incoming>) -> Result<http::Response<Body>, std::convert::Infallible> {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        if target.is_some_and(|target| target.starts_with("AmazonSQS.")) {
            return Ok(self.sqs.call(request).await?.map(Either::Left));
        }
        Ok(self.sns.call(request).await?.map(Either::Right))
    }
}

type Body = Either<rustack_sqs_http::body::SqsResponseBody, rustack_sns_http::body::SnsResponseBody>;
