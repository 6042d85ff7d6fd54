//! ListObjectsV2 of S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>).

use std::borrow::Cow;
use std::fmt::Write as _;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::Uri;

use crate::answer::Answer;
use crate::client::MAX_ANSWER_BYTES;
use crate::object::{failure, unquoted};
use crate::xml::{self, Tag};
use crate::{Bucket, Failure, LeanClient, signing};

/// A part of the list of a bucket's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The objects, in the order of their keys' bytes.
    pub objects: Vec<Listed>,
    /// The token of the next page; `None` if this is the last page.
    pub next: Option<String>,
}

/// An object, as a listing describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// The ETag, without its quotation marks. Another content has another ETag; the same content can have several.
    pub etag: String,
}

impl LeanClient {
    /// Lists the objects whose keys begin with `prefix`, at most 1,000 of them. `token` is the token that the page before
    /// has, if there is one.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the list, or if its answer cannot be read or is not complete.
    pub async fn list_objects(&self, bucket: &Bucket, prefix: &str, token: Option<&str>) -> Result<Page, Failure> {
        let mut request = HttpRequest::new(SdkBody::empty());
        let uri = uri(bucket, prefix, token).map_err(|error| Failure::invalid_entry(&error))?;
        let Ok(()) = request.set_uri(uri);
        let (hash, endpoint) = (signing::SHA256_OF_NOTHING, &bucket.endpoint);
        let sign = |identity: &_, now| signing::add_object_signature(&mut request, hash, endpoint, identity, now);
        self.sign(sign).await?;
        request.headers_mut().insert("user-agent", self.user_agent());
        let answer = self.send_request(request, self.attempt(), MAX_ANSWER_BYTES).await.map_err(Failure::from)?;
        if answer.is_success() { page(&answer) } else { Err(failure(&answer)) }
    }
}

fn uri(bucket: &Bucket, prefix: &str, token: Option<&str>) -> Result<Uri, http::uri::InvalidUri> {
    let mut uri = bucket.url().to_owned();
    // Without a path, a host needs one. The path of a bucket names the bucket alone.
    if !uri.split_once("://").is_some_and(|(_, rest)| rest.contains('/')) {
        uri.push('/');
    }
    uri.push_str("?encoding-type=url&list-type=2");
    for (name, value) in [("prefix", Some(prefix)), ("continuation-token", token)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            uri.push_str(&format!("&{name}="));
            encode(value, &mut uri);
        }
    }
    Uri::try_from(uri)
}

fn encode(value: &str, uri: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => uri.push(byte.into()),
            // Writing to a `String` cannot fail.
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
}

/// Reads a page. An answer that leaves out a part is an error, because an object that is not listed counts as deleted.
fn page(answer: &Answer) -> Result<Page, Failure> {
    let mut page = Page { objects: Vec::new(), next: None };
    let (mut is_list, mut is_truncated, mut is_encoded) = (false, false, false);
    let (mut key, mut size, mut etag) = (None, None, None);
    let mut is_complete = true;
    let read = xml::read(&answer.body, |path, text| match path {
        [Tag::ListBucketResult] => is_list = true,
        [Tag::ListBucketResult, Tag::IsTruncated] => is_truncated = text == "true",
        [Tag::ListBucketResult, Tag::EncodingType] => is_encoded = text == "url",
        [Tag::ListBucketResult, Tag::NextContinuationToken] => page.next = Some(text.to_owned()),
        [Tag::ListBucketResult, Tag::Contents, Tag::Key] => key = Some(text.to_owned()),
        [Tag::ListBucketResult, Tag::Contents, Tag::Size] => size = text.parse().ok(),
        [Tag::ListBucketResult, Tag::Contents, Tag::Revision] => etag = Some(unquoted(text)),
        [Tag::ListBucketResult, Tag::Contents] => match (key.take(), size.take(), etag.take()) {
            (Some(key), Some(size), Some(etag)) => page.objects.push(Listed { key, size, etag }),
            _ => is_complete = false,
        },
        _ => {}
    });
    read.map_err(|error| answer.unreadable(error))?;
    if !is_list {
        return Err(answer.unreadable("it is no list of objects"));
    }
    if !is_complete || (is_truncated && page.next.is_none()) {
        return Err(answer.unreadable("the list of objects is not complete"));
    }
    if is_encoded {
        for object in &mut page.objects {
            object.key = decoded(&object.key).ok_or_else(|| answer.unreadable("a key is not valid UTF-8"))?;
        }
    }
    page.next = page.next.filter(|_| is_truncated);
    Ok(page)
}

/// Decodes a key of an answer with `encoding-type=url`, in which `+` is a space.
fn decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'+', _) => bytes.push(b' '),
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => bytes.push(first),
        }
    }
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => Some(text.to_owned()),
        Cow::Owned(_) => None,
    }
}
