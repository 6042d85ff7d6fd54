//! A bucket for tests, in memory. It lists in pages, knows conditions, and fails on request.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lean::scripted::connector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use bytes::Bytes;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use crate::aws::Clients;
use crate::aws::scripted::clients_of;

/// A bucket. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Double(Arc<Mutex<State>>);

/// The content of the bucket, and its faults.
#[derive(Default)]
pub(crate) struct State {
    objects: BTreeMap<String, Object>,
    writes: u64,
    /// The requests: `LIST prefix` and `GET key`.
    pub(crate) calls: Vec<String>,
    /// Whether lists are denied.
    pub(crate) denies_lists: bool,
    /// The keys whose objects are denied.
    pub(crate) denied: BTreeSet<String>,
    /// Whether every request is answered with an error of the server.
    pub(crate) is_down: bool,
    /// Whether every request for an object is answered with an error of the server.
    pub(crate) returns_no_object: bool,
    /// Whether the bucket does not exist.
    pub(crate) is_missing: bool,
    /// What happens after each of the next lists, before the next request.
    pub(crate) after_list: VecDeque<Action>,
}

/// Something that happens to the bucket.
type Action = Box<dyn FnOnce(&mut State) + Send>;

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
    version: String,
}

impl std::fmt::Debug for Double {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Double")
    }
}

impl State {
    /// Writes an object. Each write has an ETag of its own, also of the same bytes.
    pub(crate) fn put(&mut self, key: &str, bytes: impl Into<Bytes>) {
        self.writes += 1;
        let (etag, version) = (format!("e{}", self.writes), format!("v{}", self.writes));
        self.objects.insert(key.to_owned(), Object { bytes: bytes.into(), etag, version });
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    fn answer(&mut self, request: &HttpRequest) -> (u16, Bytes, Option<Object>) {
        let uri: http::Uri = request.uri().parse().expect("the client requests a URI");
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if let Some(query) = uri.query() {
            let parameter = |name: &str| {
                let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.find(|(known, _)| *known == name).map(|(_, value)| decoded(value))
            };
            let (prefix, token) = (parameter("prefix").unwrap_or_default(), parameter("continuation-token"));
            self.calls.push(format!("LIST {prefix}"));
            let answer = self.list(&prefix, token.as_deref());
            if let Some(change) = self.after_list.pop_front() {
                change(self);
            }
            return answer;
        }
        let key = decoded(uri.path().trim_start_matches('/'));
        self.calls.push(format!("GET {key}"));
        self.get(&key, request)
    }

    fn list(&self, prefix: &str, token: Option<&str>) -> (u16, Bytes, Option<Object>) {
        const PAGE: usize = 1_000;
        if let Some(failure) = self.failure(self.denies_lists) {
            return failure;
        }
        let below = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        let rest: Vec<_> = below.filter(|(key, _)| token.is_none_or(|token| key.as_str() > token)).collect();
        let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType>");
        for (key, object) in rest.iter().take(PAGE) {
            let key = key.replace('%', "%25").replace('+', "%2B").replace(' ', "+").replace('&', "%26");
            let Object { bytes, etag, .. } = object;
            let _infallible = write!(
                xml,
                "<Contents><Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag><Size>{}</Size></Contents>",
                bytes.len()
            );
        }
        match rest.get(PAGE - 1).filter(|_| rest.len() > PAGE) {
            Some((last, _)) => {
                let _infallible =
                    write!(xml, "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>");
            }
            None => xml.push_str("<IsTruncated>false</IsTruncated>"),
        }
        xml.push_str("</ListBucketResult>");
        (200, xml.into(), None)
    }

    fn get(&self, key: &str, request: &HttpRequest) -> (u16, Bytes, Option<Object>) {
        if let Some(failure) = self.failure(self.denied.contains(key)) {
            return failure;
        }
        if self.returns_no_object {
            return error(503, "SlowDown");
        }
        let Some(object) = self.objects.get(key) else { return error(404, "NoSuchKey") };
        let is = |name: &str| Some(request.headers().get(name)? == format!("\"{}\"", object.etag));
        if is("if-none-match") == Some(true) {
            return (304, Bytes::new(), None);
        }
        if is("if-match") == Some(false) {
            return error(412, "PreconditionFailed");
        }
        (200, object.bytes.clone(), Some(object.clone()))
    }

    fn failure(&self, is_denied: bool) -> Option<(u16, Bytes, Option<Object>)> {
        match () {
            () if self.is_down => Some(error(500, "InternalError")),
            () if self.is_missing => Some(error(404, "NoSuchBucket")),
            () if is_denied => Some(error(403, "AccessDenied")),
            () => None,
        }
    }
}

fn error(status: u16, code: &str) -> (u16, Bytes, Option<Object>) {
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>scripted</Message></Error>");
    (status, xml.into(), None)
}

impl Double {
    /// Changes the bucket.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock())
    }

    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.change(|state| state.put(key, bytes));
    }

    pub(crate) fn delete(&self, key: &str) {
        self.change(|state| state.delete(key));
    }

    /// Returns the requests since the last call of this function.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.change(|state| std::mem::take(&mut state.calls))
    }

    /// Returns clients of the bucket.
    pub(crate) fn clients(&self) -> Clients {
        let this = self.clone();
        let connector = connector(move |request| {
            let (status, body, object) = this.0.lock().answer(request);
            let mut response = HttpResponse::new(status.try_into().expect("a status"), body.into());
            if let Some(Object { etag, version, bytes }) = object {
                response.headers_mut().insert("content-length", bytes.len().to_string());
                response.headers_mut().insert("etag", format!("\"{etag}\""));
                response.headers_mut().insert("x-amz-version-id", version);
            }
            response
        });
        clients_of(connector)
    }
}
