//! An HTTP client for services that are not of AWS: schema registries and trace collectors.
//!
//! Each call is one attempt with a deadline. The caller decides about another attempt. A [`Network`] decides how the requests
//! of its clients leave the process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::error::chain;

/// Why a transport has no answer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer, while it arrives.
pub type AnswerBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// Carries requests to servers and returns their answers.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request once.
    ///
    /// # Errors
    /// Returns an error if there is no answer.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<AnswerBody>, BoxError>;
}

/// The network that clients of services that are not of AWS send their requests through. By default, each client opens
/// its own connections.
#[derive(Debug, Clone, Default)]
pub struct Network(Option<Arc<dyn Transport>>);

impl Network {
    /// Creates a network in which this transport carries all requests.
    pub fn of(transport: Arc<dyn Transport>) -> Self {
        Self(Some(transport))
    }

    /// Creates a client. `connect` is the longest time for a connection, `attempt` the longest time for a call.
    ///
    /// # Errors
    /// Returns an error if the system's certificates cannot be read.
    pub fn client(&self, connect: Duration, attempt: Duration) -> std::io::Result<Http> {
        match &self.0 {
            Some(transport) => Ok(Http { transport: Arc::clone(transport), attempt }),
            None => Http::new(connect, attempt),
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection or the answer failed.
    #[error("{}", chain(&**.0))]
    Failed(BoxError),
}

/// The client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Http {
    transport: Arc<dyn Transport>,
    attempt: Duration,
}

impl Http {
    /// Creates a client with connections of its own. `connect` is the longest time for a connection, `attempt` the
    /// longest time for a call.
    ///
    /// # Errors
    /// Returns an error if the system's certificates cannot be read.
    pub fn new(connect: Duration, attempt: Duration) -> std::io::Result<Self> {
        Ok(Self { transport: Arc::new(Connections::new(connect)?), attempt })
    }

    /// Gets a page of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if the call has no answer, or the answer is larger.
    pub async fn get(&self, uri: Uri, headers: HeaderMap, max_bytes: usize) -> Result<(StatusCode, Bytes), Error> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let (head, body) = self.send(request, max_bytes).await?.into_parts();
        Ok((head.status, body))
    }

    /// Sends a request, and reads at most `max_bytes` bytes of the answer's body.
    ///
    /// # Errors
    /// Returns an error if the call has no answer, or the answer is larger.
    pub async fn send(&self, request: Request<Bytes>, max_bytes: usize) -> Result<Response<Bytes>, Error> {
        let call = async {
            let (head, body) = self.transport.send(request).await.map_err(Error::Failed)?.into_parts();
            let body = Limited::new(body, max_bytes).collect().await.map_err(Error::Failed)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(self.attempt, call).await.unwrap_or(Err(Error::TimedOut(self.attempt)))
    }
}

/// The connections of one client.
#[derive(Debug)]
struct Connections(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Connections {
    fn new(connect: Duration) -> std::io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
        Ok(Self(Client::builder(TokioExecutor::new()).build(https.wrap_connector(tcp))))
    }
}

#[async_trait]
impl Transport for Connections {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<AnswerBody>, BoxError> {
        let answer = self.0.request(request.map(Full::new)).await?;
        Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed_unsync()))
    }
}
