//! Signature Version 4 of a request (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>).

use std::sync::Arc;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use crate::credentials::Credentials;
use crate::endpoint::Endpoint;

/// Whether calls are signed.
#[derive(Debug, Clone)]
pub enum Auth {
    /// With these credentials; without any, the call fails and is not sent.
    Signed(Arc<Credentials>),
    /// Not at all: for services that check no signatures.
    None,
}

impl Auth {
    /// Signatures with the credentials of the SDK.
    pub fn of(shared: &SdkConfig) -> Self {
        Self::Signed(Arc::new(Credentials::new(shared.credentials_provider())))
    }
}

/// Signs a request, whose body these bytes are. The headers that it has are signed with it, so what may be changed on
/// the way is added later.
///
/// # Errors
/// When a header cannot be one of a request.
pub(crate) fn add_signature(
    request: &mut HttpRequest,
    body: &[u8],
    endpoint: &Endpoint,
    identity: &Identity,
    now: SystemTime,
) -> Result<(), BoxError> {
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(&endpoint.region)
        .name(&endpoint.service)
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let signable = SignableRequest::new("POST", request.uri(), request.headers().iter(), SignableBody::Bytes(body))?;
    let (instructions, _signature) = sign(signable, &params)?.into_parts();
    for header in instructions.into_parts().0 {
        let mut value = http::HeaderValue::from_str(header.value())?;
        value.set_sensitive(header.sensitive());
        request.headers_mut().insert(header.name(), value);
    }
    Ok(())
}
