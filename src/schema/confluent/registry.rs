//! The client of a schema registry with Confluent's API:
//! <https://docs.confluent.io/platform/current/schema-registry/develop/api.html#schemas>

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use ::http::{StatusCode, Uri};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Answer, PAUSE, Types, UNKNOWN};
use crate::base::http::{self, Http, Network};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The URL is invalid.
    #[error("confluent.registry_url: is not a URL such as `https://schema-registry:8081`")]
    Url,
}

/// Why the registry does not answer as expected.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] ::http::uri::InvalidUri),
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The registry answered with an error.
    #[error("it answers {0}; check `confluent.registry_url`")]
    Status(StatusCode),
    /// The answer is not the JSON of a schema.
    #[error("its answer: {0}")]
    Answer(#[from] serde_json::Error),
}

/// The client of one registry.
#[derive(Debug)]
pub(super) struct RegistryClient {
    http: Http,
    /// The URL without a trailing slash, user and password.
    url: String,
    headers: HeaderMap,
}

/// The registry's description of a schema.
#[derive(Deserialize)]
struct SchemaBody {
    schema: String,
    /// The registry leaves it out for Avro.
    #[serde(rename = "schemaType")]
    kind: Option<String>,
}

/// The names in a `google.protobuf.FileDescriptorProto`.
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

impl RegistryClient {
    pub(super) fn new(url: &str, wait: Duration, network: &Network) -> Result<Self, RegistryError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.schemaregistry.v1+json, application/json"));
        let (scheme, rest) = url.trim_end_matches('/').split_once("://").ok_or(RegistryError::Url)?;
        // A URI percent-encodes special characters of a password, and a host has no `@`.
        let rest = match rest.rsplit_once('@') {
            Some((user, host)) => {
                let mut basic = HeaderValue::try_from(format!(
                    "Basic {}",
                    BASE64_STANDARD.encode(percent_decode_str(user).collect::<Vec<u8>>())
                ))
                .map_err(|_| RegistryError::Url)?;
                basic.set_sensitive(true);
                headers.insert(AUTHORIZATION, basic);
                host
            }
            None => rest,
        };
        let url = format!("{scheme}://{rest}");
        url.parse::<Uri>().map_err(|_| RegistryError::Url)?;
        Ok(Self { http: network.client(wait, wait), url, headers })
    }

    /// Requests one schema.
    pub(super) async fn schema(&self, id: u32) -> Answer {
        match self.request(id).await {
            Ok(Some(body)) => read(&body),
            Ok(None) => Answer::Unknown(Instant::now() + UNKNOWN.delay(1), 1),
            Err(error) => Answer::Failed(Instant::now() + PAUSE, error.to_string().into()),
        }
    }

    /// Checks that the registry answers.
    ///
    /// # Errors
    /// Returns an error if it does not answer, or answers with an error.
    pub(super) async fn probe(&self) -> Result<(), ProbeError> {
        let uri = format!("{}/schemas/types", self.url).parse::<Uri>()?;
        match self.http.get(uri, self.headers.clone(), MAX_ANSWER).await?.0 {
            // Some registries have schemas but not this page.
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(ProbeError::Status(status)),
        }
    }

    /// Returns the schema, or `None` if the registry does not have it.
    async fn request(&self, id: u32) -> Result<Option<SchemaBody>, ProbeError> {
        let uri = format!("{}/schemas/ids/{id}?format=serialized", self.url);
        let uri = uri.parse::<Uri>()?;
        let (status, body) = self.http.get(uri, self.headers.clone(), MAX_ANSWER).await?;
        match status {
            StatusCode::OK => Ok(serde_json::from_slice(&body).map(Some)?),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(ProbeError::Status(status)),
        }
    }
}

fn read(body: &SchemaBody) -> Answer {
    let kind = body.kind.as_deref().unwrap_or("AVRO");
    if kind != "PROTOBUF" {
        return Answer::Unusable(format!("is of type {kind}, not PROTOBUF").into());
    }
    let decoded = BASE64_STANDARD.decode(&body.schema).ok().and_then(|bytes| FileDescriptor::decode(&*bytes).ok());
    match decoded {
        Some(file) => Answer::Types(file.types().into()),
        // A registry that does not support `format=serialized` answers with the source.
        None => Answer::Unusable(
            "is not a serialized descriptor in the registry's answer; list its types in `confluent.schemas_file`"
                .into(),
        ),
    }
}

impl FileDescriptor {
    /// Returns all message types with their indexes.
    pub(super) fn types(&self) -> Types {
        let mut types = Types::new();
        collect(&self.package, &[], &self.messages, &mut types);
        types
    }
}

/// Collects the types of a scope and of the scopes in it. prost's limit on nesting bounds the recursion.
fn collect(scope: &str, above: &[u32], messages: &[MessageDescriptor], into: &mut Types) {
    for (index, message) in (0..).zip(messages) {
        let name = if scope.is_empty() { message.name.clone() } else { format!("{scope}.{}", message.name) };
        let indexes = [above, &[index]].concat();
        collect(&name, &indexes, &message.nested, into);
        into.insert(indexes, name.into());
    }
}
