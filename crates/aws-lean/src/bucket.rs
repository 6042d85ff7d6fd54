//! The addresses of S3 buckets and of their objects.
//!
//! The rules are those of the SDK's client for S3
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/dual-stack-endpoints.html>), which is too large for one call.

use std::fmt::Write as _;

use aws_config::SdkConfig;
use http::Uri;

use crate::endpoint::{Endpoint, NoEndpoint, endpoint_url, region};

/// A bucket of S3, with the address of its objects.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The URL of the bucket, without a slash at its end.
    url: String,
    /// The scope of signatures.
    pub(crate) endpoint: Endpoint,
    /// Whether the endpoint is configured, so that it can be another service than S3.
    is_custom: bool,
}

/// Why a key cannot be requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketKeyError {
    /// The key is empty.
    #[error("it is empty")]
    Empty,
    /// The key is longer than S3 allows.
    #[error("it has {0} bytes; S3 allows 1024")]
    TooLong(usize),
    /// A proxy or an emulator could resolve the key to another object or to another bucket.
    #[error("it has a segment {0:?}, which only the public endpoints of S3 keep")]
    DotSegment(String),
}

/// The largest size of a key in bytes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const MAX_KEY_BYTES: usize = 1_024;

impl Bucket {
    /// Returns the address of a bucket in the configured region, by the configured endpoint (`AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL`), or by the public endpoint, with FIPS and dual stack as configured.
    ///
    /// # Errors
    /// Returns an error if the configuration has no region, if its endpoint is not a URL, or if there is no such public
    /// endpoint in the region.
    pub fn new(shared: &SdkConfig, name: &str) -> Result<Self, NoEndpoint> {
        let region = region(shared).ok_or(NoEndpoint::NoRegion)?;
        let custom = endpoint_url(shared, "S3");
        let url = match &custom {
            Some(url) => format!("{}/{name}", url.trim_end_matches('/')),
            None => {
                let host = public_host(shared, &region)?;
                // The certificate of S3 covers one label before its host.
                if name.contains('.') { format!("https://{host}/{name}") } else { format!("https://{name}.{host}") }
            }
        };
        let uri = Uri::try_from(&url).map_err(|error| NoEndpoint::Rules(error.into()))?;
        let endpoint = Endpoint { uri, region, service: "s3".to_owned() };
        Ok(Self { url, endpoint, is_custom: custom.is_some() })
    }

    /// Returns the URL of the bucket, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the region of the bucket.
    pub fn region(&self) -> &str {
        &self.endpoint.region
    }

    /// Returns the URI of an object. Every character of the key is kept, also a slash at its start, `//`, and the
    /// segments `.` and `..`.
    ///
    /// # Errors
    /// Returns an error if no object can have the key. At a configured endpoint, that includes keys with the segments
    /// `.` and `..`: a proxy or an emulator can take them for a path to another object, even in another bucket.
    pub(crate) fn object(&self, key: &str) -> Result<Uri, BucketKeyError> {
        self.check(key)?;
        let mut uri = String::with_capacity(self.url.len() + 2 * key.len());
        uri.push_str(&self.url);
        uri.push('/');
        for byte in key.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(byte.into()),
                // Writing to a `String` cannot fail.
                _ => drop(write!(uri, "%{byte:02X}")),
            }
        }
        // A URI of at most 64 KiB of valid characters.
        Uri::try_from(uri).map_err(|_| BucketKeyError::TooLong(key.len()))
    }

    /// Checks a key, as [`LeanClient::get_object`](crate::LeanClient::get_object) and
    /// [`LeanClient::put_object`](crate::LeanClient::put_object) do.
    ///
    /// # Errors
    /// Returns an error if no object can have the key, or if the endpoint cannot be trusted to keep it.
    pub fn check(&self, key: &str) -> Result<(), BucketKeyError> {
        if key.is_empty() {
            return Err(BucketKeyError::Empty);
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(BucketKeyError::TooLong(key.len()));
        }
        match key.split('/').find(|segment| matches!(*segment, "." | "..")) {
            Some(segment) if self.is_custom => Err(BucketKeyError::DotSegment(segment.to_owned())),
            _ => Ok(()),
        }
    }
}

/// Returns the host of S3 in a region.
fn public_host(shared: &SdkConfig, region: &str) -> Result<String, NoEndpoint> {
    let (fips, dual_stack) = (shared.use_fips().unwrap_or(false), shared.use_dual_stack().unwrap_or(false));
    let domain = Endpoint::domain(shared)?;
    if fips && domain.ends_with(".cn") {
        return Err(NoEndpoint::NoFips(region.to_owned()));
    }
    let service = if fips { "s3-fips" } else { "s3" };
    let stack = if dual_stack { "dualstack." } else { "" };
    Ok(format!("{service}.{stack}{region}.{domain}"))
}
