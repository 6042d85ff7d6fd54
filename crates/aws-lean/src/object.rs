//! GetObject and PutObject of S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>).

use std::fmt::Write as _;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use crate::answer::Answer;
use crate::client::{MAX_ANSWER_BYTES, NoAnswer};
use crate::xml::{self, Tag};
use crate::{Bucket, Condition, Failure, LeanClient, signing};

/// The result of [`LeanClient::get_object`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// All bytes of the object.
    Bytes(Bytes),
    /// The object is larger than the caller allows. Nothing of it is kept.
    TooLarge {
        /// The size of the object in bytes, if S3 says it.
        size: Option<u64>,
    },
}

/// An object for [`LeanClient::put_object`].
#[derive(Debug, Clone)]
pub struct NewObject<'o> {
    /// The key.
    pub key: &'o str,
    /// The content. It is sent as it is, in one piece.
    pub bytes: Bytes,
    /// The SHA-256 of the content. The signature covers it, and S3 compares it with what it received.
    pub sha256: [u8; 32],
    /// The media type of the content.
    pub content_type: &'o str,
    /// The id or the ARN of the KMS key with which S3 encrypts the object. `None`: the encryption of the bucket.
    pub kms_key_id: Option<&'o str>,
}

/// The slowest upload that a call waits for, in bytes per millisecond, beyond the time limit of every call.
const UPLOAD_BYTES_PER_MILLISECOND: usize = 4 * 1024;

impl LeanClient {
    /// Gets an object of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the object, or if its answer breaks off.
    pub async fn get_object(&self, bucket: &Bucket, key: &str, max_bytes: usize) -> Result<Object, Failure> {
        let request = self.get_request(bucket, key, Condition::Always).await?;
        match self.send_request(request, self.attempt(), max_bytes).await {
            Ok(answer) if answer.is_success() => Ok(Object::Bytes(answer.body)),
            Ok(answer) => Err(failure(&answer)),
            Err(NoAnswer::TooLarge { size }) => Ok(Object::TooLarge { size }),
            Err(NoAnswer::Failed(failure)) => Err(failure),
        }
    }

    /// Stores an object. An object that has the key already is replaced. S3 stores all of the content or nothing, and
    /// every reader after the answer finds it. The time limit of the call grows with the size of the content.
    ///
    /// # Errors
    /// Returns an error if S3 does not confirm the object. It can be stored nevertheless.
    pub async fn put_object(&self, bucket: &Bucket, object: NewObject<'_>) -> Result<(), Failure> {
        let longest = self.put_limit(object.bytes.len());
        let request = self.put_request(bucket, object).await?;
        let answer = self.send_request(request, longest, MAX_ANSWER_BYTES).await.map_err(Failure::from)?;
        if !answer.is_success() {
            return Err(failure(&answer));
        }
        // S3 names the ETag of what it stored; a proxy that answers in its place does not.
        if answer.headers.get("etag").is_none() { Err(Failure::of_no_answer(&NotConfirmed)) } else { Ok(()) }
    }

    /// Returns how long [`LeanClient::put_object`] waits for the answer to this number of bytes.
    pub fn put_limit(&self, bytes: usize) -> Duration {
        let upload = u64::try_from(bytes / UPLOAD_BYTES_PER_MILLISECOND).unwrap_or(u64::MAX);
        self.attempt().saturating_add(Duration::from_millis(upload))
    }

    async fn put_request(&self, bucket: &Bucket, object: NewObject<'_>) -> Result<HttpRequest, Failure> {
        let NewObject { key, bytes, sha256, content_type, kms_key_id } = object;
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method("PUT").map_err(|error| Failure::of_no_answer(&error))?;
        let Ok(()) = request.set_uri(bucket.object(key).map_err(|error| Failure::invalid_entry(&error))?);
        let mut headers = vec![("content-type", content_type.to_owned())];
        headers.push(("x-amz-checksum-sha256", BASE64_STANDARD.encode(sha256)));
        if let Some(kms_key) = kms_key_id {
            headers.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
            headers.push(("x-amz-server-side-encryption-aws-kms-key-id", kms_key.to_owned()));
        }
        for (name, value) in headers {
            request.headers_mut().try_insert(name, value).map_err(|error| Failure::invalid_entry(&error))?;
        }
        let hash = hex(&sha256);
        let endpoint = &bucket.endpoint;
        let sign = |identity: &_, now| signing::add_object_signature(&mut request, &hash, endpoint, identity, now);
        self.sign(sign).await?;
        request.headers_mut().insert("content-length", bytes.len().to_string());
        request.headers_mut().insert("user-agent", self.user_agent());
        *request.body_mut() = SdkBody::from(bytes);
        Ok(request)
    }
}

/// The error of an answer that does not come from a store of objects.
#[derive(Debug, thiserror::Error)]
#[error("the answer does not confirm the object: it has no ETag")]
struct NotConfirmed;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Reads the failure of a call to S3. It takes what it finds, as for SNS.
pub(crate) fn failure(answer: &Answer) -> Failure {
    let (mut code, mut message, mut id) = (None, None, None);
    let _incomplete = xml::read(&answer.body, |path, text| match path {
        [Tag::Error, Tag::Code] => code = Some(text.to_owned()),
        [Tag::Error, Tag::Message] => message = Some(text.to_owned()),
        [Tag::Error, Tag::RequestId] => id = Some(text.to_owned()),
        _ => {}
    });
    answer.failure(code.as_deref(), message.as_deref(), id.as_deref())
}

/// Returns an ETag without its quotation marks.
pub(crate) fn unquoted(etag: &str) -> String {
    etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(etag).to_owned()
}
