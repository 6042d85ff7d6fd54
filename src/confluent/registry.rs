//! A schema registry with Confluent's API.
//! <https://docs.confluent.io/platform/current/schema-registry/develop/api.html#schemas>

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use prost::Message as _;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Known, Nothing, PAUSE, Types};
use crate::http::Http;

/// No schema is larger.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why the registry cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The URL is none.
    #[error("confluent.registry_url: is not a URL such as `https://schema-registry:8081`")]
    Url,
    /// The client cannot be made.
    #[error("cannot read the certificates of this system: {0}; the schema registry is reached over TLS")]
    Certificates(#[from] std::io::Error),
}

/// The registry.
#[derive(Debug)]
pub(super) struct Registry {
    http: Http,
    /// Without a slash at its end, without user and password.
    url: String,
    headers: HeaderMap,
}

/// The answer to a question for a schema.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    /// Absent for Avro.
    #[serde(rename = "schemaType")]
    kind: Option<String>,
}

/// A `google.protobuf.FileDescriptorProto`, as far as it has names.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileDescriptor {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<MessageDescriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    nested: Vec<MessageDescriptor>,
}

impl Registry {
    pub(super) fn new(url: &str, wait: Duration) -> Result<Self, SetUpError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json"));
        let (scheme, rest) = url.trim_end_matches('/').split_once("://").ok_or(SetUpError::Url)?;
        // What a URI may not have in a password is percent-encoded in it; hosts have no `@`.
        let rest = match rest.rsplit_once('@') {
            Some((user, host)) => {
                let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(unescape(user))))
                    .map_err(|_| SetUpError::Url)?;
                basic.set_sensitive(true);
                headers.insert(AUTHORIZATION, basic);
                host
            }
            None => rest,
        };
        let url = format!("{scheme}://{rest}");
        url.parse::<Uri>().map_err(|_| SetUpError::Url)?;
        Ok(Self { http: Http::new(wait, wait)?, url, headers })
    }

    pub(super) async fn ask(&self, id: u32) -> Known {
        let nothing = |nothing| Known::Until(Instant::now() + PAUSE, nothing);
        match self.answer(id).await {
            Ok(Some(answer)) => read(&answer),
            Ok(None) => nothing(Nothing::Unknown),
            Err(why) => nothing(Nothing::Failed(why.into())),
        }
    }

    /// The answer; nothing if the registry does not have the schema.
    async fn answer(&self, id: u32) -> Result<Option<Answer>, String> {
        let uri = format!("{}/schemas/ids/{id}?format=serialized", self.url);
        let uri = uri.parse::<Uri>().map_err(|error| error.to_string())?;
        let (status, body) = self.http.get(uri, self.headers.clone(), MAX_ANSWER).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map(Some).map_err(|error| format!("its answer: {error}")),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(format!("it answers {status}")),
        }
    }
}

fn read(answer: &Answer) -> Known {
    let kind = answer.kind.as_deref().unwrap_or("AVRO");
    if kind != "PROTOBUF" {
        return Known::Unusable(format!("is of type {kind}, not PROTOBUF").into());
    }
    let decoded = BASE64_STANDARD.decode(&answer.schema).ok().and_then(|bytes| FileDescriptor::decode(&*bytes).ok());
    match decoded {
        Some(file) => Known::Types(file.types().into()),
        // A registry that does not know `format=serialized` answers with the source.
        None => Known::Unusable(
            "is no serialised descriptor in the registry's answer; list its types in `confluent.schemas_file`".into(),
        ),
    }
}

impl FileDescriptor {
    /// All message types with their indexes.
    pub(super) fn types(&self) -> Types {
        let mut types = Types::new();
        collect(&self.package, &[], &self.messages, &mut types);
        types
    }
}

/// As deep as prost decodes.
fn collect(scope: &str, above: &[u32], messages: &[MessageDescriptor], into: &mut Types) {
    for (index, message) in (0..).zip(messages) {
        let name = if scope.is_empty() { message.name.clone() } else { format!("{scope}.{}", message.name) };
        let indexes = [above, &[index]].concat();
        collect(&name, &indexes, &message.nested, into);
        into.insert(indexes, name.into());
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}
