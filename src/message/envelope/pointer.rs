//! Pointers to S3: the extended clients for SQS and SNS store a large payload in S3 and send a pointer as the body.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The class names that mark a pointer. The Java clients write the first one, and wrote the second one before 2019. Clients
/// in other languages write the same names.
const CLASSES: [&str; 2] =
    ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"];

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl Pointer {
    /// Returns the object that a body points to, as a reader of the topic finds it.
    pub fn of_body(body: &str) -> Option<Self> {
        read(body).ok()?
    }

    /// Returns the body that points to the object, as the extended clients write it.
    pub fn body(&self) -> String {
        serde_json::json!([CLASSES[0], Target { bucket: &self.bucket, key: &self.key }]).to_string()
    }
}

/// The object in a body, with the fields in the order in which the extended clients write them.
#[derive(Serialize)]
struct Target<'p> {
    #[serde(rename = "s3BucketName")]
    bucket: &'p str,
    #[serde(rename = "s3Key")]
    key: &'p str,
}

/// Returns the object that the body points to, or `None` if the body is not a pointer.
///
/// # Errors
/// Returns the name of the missing field if the pointer is incomplete.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_the_extended_clients_write_and_we_read() {
        let pointer = Pointer { bucket: "acme-claims".into(), key: "claims/a%2Fb/\"\u{fc}.json".into() };
        let body = pointer.body();
        assert_eq!(
            body,
            r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"acme-claims","s3Key":"claims/a%2Fb/\"ü.json"}]"#
        );
        assert_eq!(read(&body), Ok(Some(pointer)));
    }
}
