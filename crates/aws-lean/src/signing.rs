//! Signature Version 4 of a request (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>).

use std::sync::Arc;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningError, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::{self, signing_params};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use http::header::InvalidHeaderValue;

use crate::credentials::CredentialsCache;
use crate::endpoint::Endpoint;

/// Whether calls are signed.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Calls are signed with credentials from this cache. If it has none, the call fails and is not sent.
    Signed(Arc<CredentialsCache>),
    /// Calls are not signed: for endpoints that check no signatures, such as emulators.
    None,
}

impl Auth {
    /// Signs with the credentials provider of an SDK configuration.
    pub fn of(shared: &SdkConfig) -> Self {
        Self::Signed(Arc::new(CredentialsCache::new(shared.credentials_provider())))
    }
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error(transparent)]
    Parameters(#[from] signing_params::BuildError),
    #[error(transparent)]
    Signature(#[from] SigningError),
    #[error(transparent)]
    Header(#[from] InvalidHeaderValue),
}

/// Signs a request with the given body. The signature covers the headers that the request has now, so headers that a
/// proxy can change must be added afterwards.
///
/// # Errors
/// Returns an error if a header is invalid.
pub(crate) fn add_signature(
    request: &mut HttpRequest,
    body: &[u8],
    endpoint: &Endpoint,
    identity: &Identity,
    now: SystemTime,
) -> Result<(), Unsigned> {
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    add_signature_with(settings, request, SignableBody::Bytes(body), endpoint, identity, now)
}

/// The SHA-256 of no bytes, in hexadecimal digits.
pub(crate) const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Signs a request for an object in S3. `sha256` is the hash of the body in hexadecimal digits. S3 takes the path of the URI as it is: it neither encodes it again nor resolves
/// `.`, `..` and `//`, because they are parts of keys
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).
///
/// # Errors
/// Returns an error if a header is invalid.
pub(crate) fn add_object_signature(
    request: &mut HttpRequest,
    sha256: &str,
    endpoint: &Endpoint,
    identity: &Identity,
    now: SystemTime,
) -> Result<(), Unsigned> {
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    add_signature_with(settings, request, SignableBody::Precomputed(sha256.to_owned()), endpoint, identity, now)
}

fn add_signature_with(
    settings: SigningSettings,
    request: &mut HttpRequest,
    body: SignableBody<'_>,
    endpoint: &Endpoint,
    identity: &Identity,
    now: SystemTime,
) -> Result<(), Unsigned> {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(&endpoint.region)
        .name(&endpoint.service)
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let signable = SignableRequest::new(request.method(), request.uri(), request.headers().iter(), body)?;
    let (instructions, _signature) = sign(signable, &params)?.into_parts();
    for header in instructions.into_parts().0 {
        let mut value = http::HeaderValue::from_str(header.value())?;
        value.set_sensitive(header.sensitive());
        request.headers_mut().insert(header.name(), value);
    }
    Ok(())
}
