//! GetObject of S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::answer::Answer;
use crate::client::NoAnswer;
use crate::xml::{self, Tag};
use crate::{Bucket, Failure, LeanClient, signing};

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

impl LeanClient {
    /// Gets an object of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the object, or if its answer breaks off.
    pub async fn get_object(&self, bucket: &Bucket, key: &str, max_bytes: usize) -> Result<Object, Failure> {
        let mut request = HttpRequest::new(SdkBody::empty());
        let uri = bucket.object(key).map_err(|error| Failure::invalid_entry(&error))?;
        let Ok(()) = request.set_uri(uri);
        let sign = |identity: &_, now| signing::add_object_signature(&mut request, &bucket.endpoint, identity, now);
        self.sign(sign).await?;
        request.headers_mut().insert("user-agent", self.user_agent());
        match self.send_request(request, self.attempt(), max_bytes).await {
            Ok(answer) if answer.is_success() => Ok(Object::Bytes(answer.body)),
            Ok(answer) => Err(failure(&answer)),
            Err(NoAnswer::TooLarge { size }) => Ok(Object::TooLarge { size }),
            Err(NoAnswer::Failed(failure)) => Err(failure),
        }
    }
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
