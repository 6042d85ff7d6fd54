//! The pages `/schemas/sets/…`: the descriptor sets in force, as their owners compiled them.
//!
//! A set is decompressed while it is sent, so that an answer takes little memory however large the set is.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::schema::registry::Snapshot;

/// The size of one part of an answer in bytes.
const PART: usize = 64 * 1024;

/// Returns the answer with the set of this name.
pub(super) fn answer(snapshot: &Snapshot, name: &str) -> Response {
    let Some(set) = snapshot.sets().iter().find(|set| set.name == name) else {
        let text = "no set in force has this name; /schemas lists the sets\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "application/x-protobuf; messageType=\"google.protobuf.FileDescriptorSet\"".to_owned()),
        (header::ETAG, format!("\"{}\"", set.hash)),
    ];
    let parts = Parts { reader: set.compiled().reader(), left: set.bytes };
    (headers, Body::new(parts)).into_response()
}

/// The bytes of a set, part by part.
struct Parts<R> {
    reader: R,
    /// The number of bytes that are left.
    left: usize,
}

impl<R: Read + Unpin> hyper::body::Body for Parts<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let mut part = vec![0; this.left.min(PART)];
        Poll::Ready(Some(this.reader.read_exact(&mut part).map(|()| {
            this.left -= part.len();
            Frame::data(part.into())
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
