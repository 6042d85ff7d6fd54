//! The endpoint of a service, and the scope of its signatures.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_config::SdkConfig;
use aws_sdk_sns::config::endpoint as sns;
use aws_sdk_sqs::config::endpoint as sqs;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointFuture;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use http::Uri;

/// Why the endpoint of a service is unknown.
#[derive(Debug, thiserror::Error)]
pub enum NoEndpoint {
    /// The SDK's rules give none, or it is not a URI.
    #[error(transparent)]
    Rules(BoxError),
    /// The configuration has no region.
    #[error("there is no AWS region to sign for")]
    NoRegion,
    /// The SDK's rules wait for something.
    #[error("the endpoint is not known yet")]
    Pending,
    /// S3 has no FIPS endpoints in this partition.
    #[error("S3 has no FIPS endpoint in the region {0}")]
    NoFips(String),
}

/// The endpoint of one service in one region.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The URI to which all calls are posted.
    pub(crate) uri: Uri,
    /// The region that signatures name.
    pub(crate) region: String,
    /// The service that signatures name: `sqs` or `sns`.
    pub(crate) service: String,
}

impl Endpoint {
    /// Returns the endpoint of SQS by the SDK's rules.
    ///
    /// # Errors
    /// Returns an error if the configuration has no region, or if its endpoint is not a URL.
    pub(crate) fn sqs(shared: &SdkConfig) -> Result<Self, NoEndpoint> {
        use sqs::ResolveEndpoint as _;
        let params = sqs::Params::builder()
            .set_region(region(shared))
            .set_use_dual_stack(shared.use_dual_stack())
            .set_use_fips(shared.use_fips())
            .set_endpoint(endpoint_url(shared, "SQS"))
            .build()
            .map_err(unresolved)?;
        let resolved = resolved(sqs::DefaultResolver::new().resolve_endpoint(&params))?;
        Self::new(&resolved, shared, "sqs")
    }

    /// Returns the domain of the public endpoints in the configured region, such as `amazonaws.com.cn`. It comes from
    /// the SDK's partitions, which the SDK shows only through the endpoints of its services.
    ///
    /// # Errors
    /// Returns an error if there is no region, or if the configuration asks for FIPS or dual stack and the partition
    /// lacks them.
    pub(crate) fn domain(shared: &SdkConfig) -> Result<String, NoEndpoint> {
        use sqs::ResolveEndpoint as _;
        let region = region(shared).ok_or(NoEndpoint::NoRegion)?;
        let plain = sqs::Params::builder().region(&region);
        let wanted = plain.clone().set_use_dual_stack(shared.use_dual_stack()).set_use_fips(shared.use_fips());
        let resolver = sqs::DefaultResolver::new();
        resolved(resolver.resolve_endpoint(&wanted.build().map_err(unresolved)?))?;
        let plain = resolved(resolver.resolve_endpoint(&plain.build().map_err(unresolved)?))?;
        let domain = plain.url().strip_prefix(&format!("https://sqs.{region}."));
        domain.map(str::to_owned).ok_or_else(|| unresolved(format!("unexpected endpoint {}", plain.url())))
    }

    /// Returns the endpoint of SNS by the SDK's rules.
    ///
    /// # Errors
    /// As for [`Endpoint::sqs`].
    pub(crate) fn sns(shared: &SdkConfig) -> Result<Self, NoEndpoint> {
        use sns::ResolveEndpoint as _;
        let params = sns::Params::builder()
            .set_region(region(shared))
            .set_use_dual_stack(shared.use_dual_stack())
            .set_use_fips(shared.use_fips())
            .set_endpoint(endpoint_url(shared, "SNS"))
            .build()
            .map_err(unresolved)?;
        let resolved = resolved(sns::DefaultResolver::new().resolve_endpoint(&params))?;
        Self::new(&resolved, shared, "sns")
    }

    pub(crate) fn new(resolved: &sqs::Endpoint, shared: &SdkConfig, service: &str) -> Result<Self, NoEndpoint> {
        // As in the SDK, the path is that of the endpoint and ends with a slash.
        let endpoint = Uri::try_from(resolved.url()).map_err(unresolved)?.into_parts();
        let path = endpoint.path_and_query.as_ref().map_or("", |path| path.path()).trim_end_matches('/');
        let mut uri = Uri::builder().path_and_query(format!("{path}/"));
        if let (Some(scheme), Some(authority)) = (endpoint.scheme, endpoint.authority) {
            uri = uri.scheme(scheme).authority(authority);
        }
        let scheme = resolved.auth_schemes().iter().find(|scheme| scheme.name() == "sigv4");
        let named = |name| scheme?.get(name)?.as_string().map(str::to_owned);
        let region = named("signingRegion").or_else(|| region(shared));
        Ok(Self {
            uri: uri.build().map_err(unresolved)?,
            region: region.ok_or(NoEndpoint::NoRegion)?,
            service: named("signingName").unwrap_or_else(|| service.to_owned()),
        })
    }
}

pub(crate) fn region(shared: &SdkConfig) -> Option<String> {
    shared.region().map(ToString::to_string)
}

/// Returns the configured endpoint. In environment variables and profiles, the endpoint of one service takes precedence
/// over the endpoint of all services.
pub(crate) fn endpoint_url(shared: &SdkConfig, service: &str) -> Option<String> {
    let all = shared.endpoint_url().map(str::to_owned);
    if shared.get_origin("endpoint_url").is_client_config() {
        return all;
    }
    let key = ServiceConfigKey::builder().service_id(service).env(ENDPOINT_URL).profile("endpoint_url").build();
    let one = key.ok().and_then(|key| shared.service_config()?.load_config(key));
    one.or(all)
}

/// The variable of an endpoint URL, and the beginning of that of one service.
const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";

/// The endpoint URLs that an application is configured with. Each takes precedence over those of variables and
/// profiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointUrls {
    /// The URL of every service without a URL of its own.
    pub all: Option<String>,
    /// The URL of SQS.
    pub sqs: Option<String>,
    /// The URL of SNS.
    pub sns: Option<String>,
    /// The URL of S3.
    pub s3: Option<String>,
}

impl EndpointUrls {
    /// Returns a configuration with these URLs. Clients of the SDK and [`LeanClient`](crate::LeanClient) follow them.
    pub fn apply(self, shared: &SdkConfig) -> SdkConfig {
        if self == Self::default() {
            return shared.clone();
        }
        shared.to_builder().service_config(WithUrls { urls: self, others: shared.clone() }).build()
    }

    fn of_service(&self, service_id: &str) -> Option<&String> {
        let one = match service_id {
            "SQS" => &self.sqs,
            "SNS" => &self.sns,
            "S3" => &self.s3,
            _ => return None,
        };
        one.as_ref().or(self.all.as_ref())
    }
}

/// The settings of single services: endpoint URLs of the application before those of variables and profiles.
#[derive(Debug)]
struct WithUrls {
    urls: EndpointUrls,
    others: SdkConfig,
}

impl LoadServiceConfig for WithUrls {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let ours = self.urls.of_service(key.service_id()).filter(|_| key.env() == ENDPOINT_URL).cloned();
        ours.or_else(|| self.others.service_config()?.load_config(key))
    }
}

/// Takes the result out of the future, which is always ready: the SDK's own rules wait for nothing.
fn resolved(future: EndpointFuture<'_>) -> Result<sqs::Endpoint, NoEndpoint> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(endpoint)) => Ok(endpoint),
        Poll::Ready(Err(error)) => Err(unresolved(error)),
        Poll::Pending => Err(NoEndpoint::Pending),
    }
}

fn unresolved(error: impl Into<BoxError>) -> NoEndpoint {
    NoEndpoint::Rules(error.into())
}
