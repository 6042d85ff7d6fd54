//! Where a service is, and what its signatures are for.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_config::SdkConfig;
use aws_sdk_sns::config::endpoint as sns;
use aws_sdk_sqs::config::endpoint as sqs;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointFuture;
use aws_types::service_config::ServiceConfigKey;
use http::Uri;

use crate::{Failure, chain};

/// One service in one region.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// All calls are POSTs to its root.
    pub(crate) uri: Uri,
    /// What signatures are for.
    pub(crate) region: String,
    /// What signatures are for: `sqs` or `sns`.
    pub(crate) service: String,
}

impl Endpoint {
    /// SQS, by the SDK's rules.
    ///
    /// # Errors
    /// What every call fails with: there is no region, or the endpoint is no URL.
    pub(crate) fn sqs(shared: &SdkConfig) -> Result<Self, Failure> {
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

    /// SNS, likewise.
    pub(crate) fn sns(shared: &SdkConfig) -> Result<Self, Failure> {
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

    pub(crate) fn new(resolved: &sqs::Endpoint, shared: &SdkConfig, service: &str) -> Result<Self, Failure> {
        // As the SDK has it: the path is the endpoint's and a slash.
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
            region: region.ok_or_else(|| Failure::of_no_answer("there is no AWS region to sign for"))?,
            service: named("signingName").unwrap_or_else(|| service.to_owned()),
        })
    }
}

fn region(shared: &SdkConfig) -> Option<String> {
    shared.region().map(ToString::to_string)
}

/// The configured endpoint; what a variable or profile says of this service beats what they say of all.
fn endpoint_url(shared: &SdkConfig, service: &str) -> Option<String> {
    let all = shared.endpoint_url().map(str::to_owned);
    if shared.get_origin("endpoint_url").is_client_config() {
        return all;
    }
    let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let one = key.ok().and_then(|key| shared.service_config()?.load_config(key));
    one.or(all)
}

/// The rules are evaluated at once; the future is for resolvers that ask somebody.
fn resolved(future: EndpointFuture<'_>) -> Result<sqs::Endpoint, Failure> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(endpoint)) => Ok(endpoint),
        Poll::Ready(Err(error)) => Err(unresolved(error)),
        Poll::Pending => Err(Failure::of_no_answer("the endpoint is not known yet")),
    }
}

fn unresolved(error: impl Into<BoxError>) -> Failure {
    Failure::of_no_answer(&chain(&*error.into()))
}
