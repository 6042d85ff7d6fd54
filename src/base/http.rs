//! An HTTP client for services that are not of AWS: schema registries and trace collectors.
//!
//! Each call is one attempt with a deadline. The caller decides about another attempt.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::error::chain;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

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
    client: Client<HttpsConnector<HttpConnector>, Body>,
    attempt: Duration,
}

impl Http {
    /// Creates a client. `connect` is the longest time for a connection, `attempt` the longest time for a call.
    ///
    /// # Errors
    /// Returns an error if the system's certificates cannot be read.
    pub fn new(connect: Duration, attempt: Duration) -> std::io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(https.wrap_connector(tcp));
        Ok(Self { client, attempt })
    }

    /// Gets a page of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if the call has no answer, or the answer is larger.
    pub async fn get(&self, uri: Uri, headers: HeaderMap, max_bytes: usize) -> Result<(StatusCode, Bytes), Error> {
        let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let (head, body) = self.call_once(request, max_bytes).await?.into_parts();
        Ok((head.status, body))
    }

    /// Sends a request, and reads at most `max_bytes` bytes of the answer's body.
    ///
    /// # Errors
    /// Returns an error if the call has no answer, or the answer is larger.
    pub async fn send(&self, request: Request<Bytes>, max_bytes: usize) -> Result<Response<Bytes>, Error> {
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        self.call_once(request, max_bytes).await
    }

    async fn call_once(&self, request: Request<Body>, max_bytes: usize) -> Result<Response<Bytes>, Error> {
        let call = async {
            let answer = self.client.request(request).await.map_err(|error| Error::Failed(error.into()))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, max_bytes).collect().await.map_err(Error::Failed)?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(self.attempt, call).await.unwrap_or(Err(Error::TimedOut(self.attempt)))
    }
}
