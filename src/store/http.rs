//! The requests of the object store, over the network of the process: its proxies, its certificates, its connections.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

use crate::base::http::{Error, Http};

/// The longest time to establish a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// The longest time for one request: a segment of 16 MiB at 1 MiB per second.
pub(super) const ATTEMPT: Duration = Duration::from_secs(20);

/// The largest answer that is read. The largest is a whole segment.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Gives the object store our client.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) Http);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = match body.as_bytes() {
            Some(bytes) => bytes.clone(),
            None => body.collect().await?.to_bytes(),
        };
        let answer = self.0.send(http::Request::from_parts(head, body), MAX_ANSWER_BYTES).await;
        let answer = answer.map_err(|error| {
            let kind = match &error {
                Error::TimedOut(_) => HttpErrorKind::Timeout,
                Error::Failed(_) => HttpErrorKind::Request,
            };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(Into::into))
    }
}
