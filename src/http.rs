//! An HTTP client for what the AWS SDK does not speak: S3 through `object_store`, schema registries, and collectors of
//! traces.
//!
//! One attempt a call, with a deadline; whoever calls decides about another.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as Connector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::aws::chain;

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The client. A clone shares its connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    attempt: Duration,
}

impl Http {
    /// A client that waits so long for a connection, and so long for the head of an answer.
    ///
    /// # Errors
    /// When the certificates of the system cannot be read.
    pub fn new(connect: Duration, attempt: Duration) -> std::io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new()).build(https.wrap_connector(tcp));
        Ok(Self { client, attempt })
    }

    /// Gets a page of at most that many bytes, within the time for an attempt.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn get(&self, uri: Uri, headers: HeaderMap, most: usize) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let (head, body) = self.page(request, most).await?.into_parts();
        Ok((head.status, body))
    }

    /// Sends a request whose body is at hand, and takes at most that many bytes of the answer's, within the time for an
    /// attempt.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn send(&self, request: Request<Bytes>, most: usize) -> Result<Response<Bytes>, String> {
        self.page(request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync()), most).await
    }

    async fn page(&self, request: Request<Body>, most: usize) -> Result<Response<Bytes>, String> {
        let page = async {
            let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| chain(&*error))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(self.attempt, page).await.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.attempt)))
    }
}

#[async_trait]
impl HttpService for Http {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let answered = timeout(self.attempt, self.client.request(request)).await;
        let answer: Response<_> = answered.map_err(of_timeout)?.map_err(of_client)?;
        let interrupted = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(interrupted))))
    }
}

fn of_timeout(error: Elapsed) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, error)
}

fn of_client(error: ClientError) -> HttpError {
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, error)
}

impl Connector for Http {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
