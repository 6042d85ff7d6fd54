//! The body of the SQS and SNS extended clients when the payload was too large for it: where it is in S3.

use std::fmt;

use serde_json::Value;

/// The Java clients write the names of their classes, of today and of before 2019; those for Python and others do as
/// they do.
const CLASSES: [&str; 2] =
    ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"];

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The object that a body points to, if it is a pointer; what it lacks, if it is an incomplete one.
pub(super) fn read(body: &str) -> Result<Option<Pointer>, &'static str> {
    if !body.trim_ascii_start().starts_with('[') {
        return Ok(None);
    }
    let Ok((class, target)) = serde_json::from_str::<(String, Value)>(body) else { return Ok(None) };
    if !CLASSES.contains(&class.as_str()) {
        return Ok(None);
    }
    let text = |name: &'static str| match target[name].as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(name),
    };
    Ok(Some(Pointer { bucket: text("s3BucketName")?, key: text("s3Key")? }))
}
