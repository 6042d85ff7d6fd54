//! An HTTP client for services that are not of AWS: schema registries and trace collectors.
//!
//! Each call is one attempt with a deadline. The caller decides about another attempt. A [`Network`] decides how
//! requests leave the process, those of the clients of AWS included. Connections to Redis are not part of it.

mod connections;
mod proxy;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;

pub use connections::Connections;
pub use proxy::{InvalidProxy, Proxies, Proxy};
pub use trust::{InvalidBundle, Trust};

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

/// The network of one process: its proxies, the certificates that it trusts, and the transport of the clients of
/// services that are not of AWS. By default, there is no proxy, the system's certificates are trusted, and each client
/// opens its own connections.
#[derive(Debug, Clone, Default)]
pub struct Network {
    proxies: Proxies,
    trust: Trust,
    transport: Option<Arc<dyn Transport>>,
}

/// Why the environment does not describe a network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A variable names an invalid proxy.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// The file of certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] InvalidBundle),
}

impl Network {
    /// Creates the network that the environment of this process describes: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` and
    /// `AWS_CA_BUNDLE`.
    ///
    /// # Errors
    /// Returns an error if a proxy is invalid or the file of certificates cannot be used.
    pub fn of_environment() -> Result<Self, NetworkError> {
        Self::of_variables(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// Like [`Network::of_environment`], with the variables that `variable` returns.
    ///
    /// # Errors
    /// Returns an error if a proxy is invalid or the file of certificates cannot be used.
    pub fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, NetworkError> {
        Ok(Self { proxies: Proxies::new(&variable)?, trust: Trust::new(&variable)?, transport: None })
    }

    /// Creates a network in which this transport carries all requests to services that are not of AWS.
    pub fn of(transport: Arc<dyn Transport>) -> Self {
        Self { transport: Some(transport), ..Self::default() }
    }

    /// Creates a client. `connect` is the longest time for a connection, `attempt` the longest time for a call.
    pub fn client(&self, connect: Duration, attempt: Duration) -> Http {
        let transport = self.transport.clone().unwrap_or_else(|| {
            let settings = HttpConnectorSettings::builder().connect_timeout(connect).build();
            Arc::new(Pool(connections::connector(&settings, &self.proxies, &self.trust)))
        });
        Http { transport, attempt }
    }

    /// Creates the connections of clients of AWS.
    pub fn connections(&self) -> Connections {
        Connections::new(self.proxies.clone(), self.trust.clone())
    }

    /// Returns the proxies.
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Returns the certificate authorities that are trusted.
    pub fn trust(&self) -> &Trust {
        &self.trust
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
struct Pool(SharedHttpConnector);

#[async_trait]
impl Transport for Pool {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<AnswerBody>, BoxError> {
        let request = HttpRequest::try_from(request.map(SdkBody::from))?;
        let answer = self.0.call(request).await?.try_into_http1x()?;
        Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed_unsync()))
    }
}
