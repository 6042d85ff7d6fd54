//! GetObject of S3 with a condition: an object only if it has changed, or only if it has not.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::client::{NoAnswer, Wait};
use crate::object::{failure, unquoted};
use crate::{Bucket, Failure, LeanClient, signing};

/// The condition under which S3 returns an object. ETags have no quotation marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'c> {
    /// The object still has this ETag.
    Has(&'c str),
    /// The object no longer has this ETag.
    HasNot(&'c str),
    /// None.
    Always,
}

/// The result of [`LeanClient::get_object_if`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The object.
    Revision(Revision),
    /// The object does not fulfill the condition.
    Unmet,
    /// The object is larger than the caller allows. Nothing of it is kept.
    TooLarge {
        /// The size of the object in bytes, if S3 says it.
        size: Option<u64>,
    },
}

/// An object at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// All bytes of the object.
    pub bytes: Bytes,
    /// The ETag, without its quotation marks, if S3 says it.
    pub etag: Option<String>,
    /// The id of the version, if the bucket keeps versions.
    pub version: Option<String>,
}

impl LeanClient {
    /// Gets an object of at most `max_bytes` bytes, if it fulfills the condition. Waits for the answer to begin as long as
    /// for any call, and at most `longest` until it is complete.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the object, or if its answer breaks off.
    pub async fn get_object_if(
        &self,
        bucket: &Bucket,
        key: &str,
        condition: Condition<'_>,
        max_bytes: usize,
        longest: Duration,
    ) -> Result<Fetched, Failure> {
        let request = self.get_request(bucket, key, condition).await?;
        match self.send_request(request, Wait { begin: self.attempt(), whole: longest }, max_bytes).await {
            Ok(answer) if answer.is_success() => Ok(Fetched::Revision(Revision {
                etag: answer.headers.get("etag").map(unquoted),
                // `null` is the version of an object of the time before the bucket kept versions.
                version: answer.headers.get("x-amz-version-id").filter(|id| *id != "null").map(str::to_owned),
                bytes: answer.body,
            })),
            Ok(answer) if matches!(answer.status, 304 | 412) => Ok(Fetched::Unmet),
            Ok(answer) => Err(failure(&answer)),
            Err(NoAnswer::TooLarge { size }) => Ok(Fetched::TooLarge { size }),
            Err(NoAnswer::Failed(failure)) => Err(failure),
        }
    }

    /// Returns the signed request for an object.
    pub(crate) async fn get_request(
        &self,
        bucket: &Bucket,
        key: &str,
        condition: Condition<'_>,
    ) -> Result<HttpRequest, Failure> {
        let mut request = HttpRequest::new(SdkBody::empty());
        let uri = bucket.object(key).map_err(|error| Failure::invalid_entry(&error))?;
        let Ok(()) = request.set_uri(uri);
        let header = match condition {
            Condition::Has(etag) => Some(("if-match", etag)),
            Condition::HasNot(etag) => Some(("if-none-match", etag)),
            Condition::Always => None,
        };
        if let Some((name, etag)) = header {
            let value = http::HeaderValue::from_str(&format!("\"{etag}\""));
            request.headers_mut().insert(name, value.map_err(|error| Failure::invalid_entry(&error))?);
        }
        let (hash, endpoint) = (signing::SHA256_OF_NOTHING, &bucket.endpoint);
        let sign = |identity: &_, now| signing::add_object_signature(&mut request, hash, endpoint, identity, now);
        self.sign(sign).await?;
        request.headers_mut().insert("user-agent", self.user_agent());
        Ok(request)
    }
}
