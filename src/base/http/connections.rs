//! The connections of one process to HTTP servers, directly or through a proxy.
//!
//! The connector of the AWS SDK makes all of them, so that all have the same proxies, certificates and timeouts.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::{StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use parking_lot::Mutex;
use tower_service::Service;

use super::BoxError;
use super::proxy::{Proxies, Proxy};
use super::trust::Trust;

/// Why a proxy does not connect to a server. The type has no public name.
type TunnelError = <Tunnel<Tcp> as Service<Uri>>::Error;

/// Creates a connector with a pool of its own.
pub(super) fn connector(settings: &HttpConnectorSettings, proxies: &Proxies, trust: &Trust) -> SharedHttpConnector {
    let direct = SharedHttpConnector::new(open(settings, None, trust));
    if proxies.is_empty() {
        return direct;
    }
    let through = |proxy: Option<&Arc<Proxy>>| {
        let proxy = Arc::clone(proxy?);
        Some(Proxied { connector: SharedHttpConnector::new(open(settings, Some(&proxy), trust)), proxy })
    };
    let (https, http) = (through(proxies.https()), through(proxies.http()));
    SharedHttpConnector::new(Routed { proxies: proxies.clone(), direct, https, http })
}

fn open(settings: &HttpConnectorSettings, proxy: Option<&Proxy>, trust: &Trust) -> Connector {
    let builder = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .tls_context(trust.context())
        .connector_settings(settings.clone());
    match proxy {
        Some(proxy) => builder.proxy_config(proxy.config()).build(),
        None => builder.build(),
    }
}

/// The connectors of one process. Components of the SDK that ask for the same timeouts share a pool.
#[derive(Debug)]
pub struct Connections {
    proxies: Proxies,
    trust: Trust,
    pools: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
}

/// The connect timeout and the read timeout of a pool.
type Timeouts = (Option<Duration>, Option<Duration>);

impl Connections {
    pub(super) fn new(proxies: Proxies, trust: Trust) -> Self {
        Self { proxies, trust, pools: Mutex::default() }
    }

    /// Returns the pool for these timeouts.
    pub fn pool(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut pools = self.pools.lock();
        pools.entry(timeouts).or_insert_with(|| connector(settings, &self.proxies, &self.trust)).clone()
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.pool(settings)
    }
}

/// Sends each request directly or through the proxy that leads to its address.
#[derive(Debug)]
struct Routed {
    proxies: Proxies,
    direct: SharedHttpConnector,
    https: Option<Proxied>,
    http: Option<Proxied>,
}

impl HttpConnector for Routed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Ok(address) = request.uri().parse::<Uri>() else { return self.direct.call(request) };
        let proxied = [&self.https, &self.http].into_iter().flatten();
        let found = self.proxies.find(&address);
        match found.and_then(|proxy| proxied.into_iter().find(|proxied| Arc::ptr_eq(&proxied.proxy, proxy))) {
            Some(proxied) => proxied.call(request, &address),
            None => self.direct.call(request),
        }
    }
}

/// The connections through one proxy.
#[derive(Debug)]
struct Proxied {
    proxy: Arc<Proxy>,
    connector: SharedHttpConnector,
}

impl Proxied {
    fn call(&self, request: HttpRequest, address: &Uri) -> HttpConnectorFuture {
        let answer = self.connector.call(request);
        let proxy = Arc::clone(&self.proxy);
        let default = if address.scheme_str() == Some("https") { 443 } else { 80 };
        let server = format!("{}:{}", address.host().unwrap_or_default(), address.port_u16().unwrap_or(default));
        HttpConnectorFuture::new(async move {
            match answer.await {
                // Only a proxy answers with this status.
                Ok(answer) if answer.status().as_u16() == StatusCode::PROXY_AUTHENTICATION_REQUIRED.as_u16() => {
                    Err(ConnectorError::io(
                        ProxyFailure { proxy, server, refusal: Refusal::Credentials, source: None }.into(),
                    ))
                }
                Ok(answer) => Ok(answer),
                Err(error) => Err(named(error, proxy, server)),
            }
        })
    }
}

/// A failed call through a proxy.
#[derive(Debug)]
struct ProxyFailure {
    proxy: Arc<Proxy>,
    /// The host and the port that the call was for.
    server: String,
    refusal: Refusal,
    source: Option<BoxError>,
}

/// How a proxy refuses a connection.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// The proxy requires credentials, or others.
    Credentials,
    /// The proxy answers with another status.
    Unsuccessful,
    /// The proxy does not refuse the connection: it cannot be reached, or the connection fails behind it.
    None,
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxy, server, .. } = self;
        match self.refusal {
            Refusal::Credentials => write!(
                f,
                "the proxy {proxy} answers 407 to a connection to {server}: put its user and password into {}",
                proxy.variable()
            ),
            Refusal::Unsuccessful => write!(
                f,
                "the proxy {proxy} refuses a connection to {server}: allow it there, or add the host to NO_PROXY"
            ),
            Refusal::None => write!(f, "no connection to {server} through the proxy {proxy}"),
        }
    }
}

impl Error for ProxyFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

/// Names the proxy in the error of a call. The kind of the error stays.
fn named(error: ConnectorError, proxy: Arc<Proxy>, server: String) -> ConnectorError {
    let causes = successors(Some(&error as &(dyn Error + 'static)), |&cause| cause.source());
    let refusal = match causes.filter_map(|cause| cause.downcast_ref::<TunnelError>()).next() {
        Some(TunnelError::ProxyAuthRequired) => Refusal::Credentials,
        Some(TunnelError::TunnelUnsuccessful) => Refusal::Unsuccessful,
        _ => Refusal::None,
    };
    let (is_timeout, is_io, is_user, other) = (error.is_timeout(), error.is_io(), error.is_user(), error.as_other());
    let source = ProxyFailure { proxy, server, refusal, source: Some(error.into_source()) }.into();
    match (is_timeout, is_io, is_user) {
        (true, ..) => ConnectorError::timeout(source),
        (_, true, _) => ConnectorError::io(source),
        (.., true) => ConnectorError::user(source),
        _ => ConnectorError::other(source, other),
    }
}
