//! A bucket of S3 in this process. It can be made to hang and to refuse.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::emulator::http::serve;

/// The URL of the bucket in the service's configuration.
pub(crate) const URL: &str = "s3://loadtest";

/// What the bucket does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It answers.
    Working,
    /// It reads the request and does not answer it, until its condition changes.
    Hanging,
    /// It answers with 503.
    Refusing,
}

/// A bucket that keeps its objects as files in a folder. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// The port of 127.0.0.1 on which it answers.
    pub(crate) port: u16,
    condition: watch::Sender<Condition>,
    _server: JoinSet<()>,
}

impl Bucket {
    /// Starts a bucket that works.
    ///
    /// # Errors
    /// Returns an error if it cannot listen on a port.
    pub(crate) fn start(folder: PathBuf) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        let (condition, now) = watch::channel(Condition::Working);
        let server = serve(listener, move |request| answer(folder.clone(), now.clone(), request));
        Ok(Self { port, condition, _server: JoinSet::from_iter([server]) })
    }

    /// Changes what it does with requests, those that hang included. Returns whether this is a change.
    pub(crate) fn set(&self, condition: Condition) -> bool {
        self.condition.send_replace(condition) != condition
    }
}

async fn answer(
    folder: PathBuf,
    mut condition: watch::Receiver<Condition>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return status(StatusCode::BAD_REQUEST) };
    let condition = condition.wait_for(|condition| *condition != Condition::Hanging).await.map(|condition| *condition);
    match (condition, head.method) {
        (Ok(Condition::Working), Method::PUT) => match put(&folder, head.uri.path(), &body.to_bytes()) {
            Ok(()) => status(StatusCode::OK),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        },
        // The service only writes.
        (Ok(Condition::Working), _) => status(StatusCode::NOT_IMPLEMENTED),
        _ => status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Writes an object. The first part of the path is the name of the bucket.
fn put(folder: &Path, path: &str, body: &[u8]) -> io::Result<()> {
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    // Keys of the service have no other character that a URL escapes.
    let file = folder.join(key.replace("%3D", "="));
    fs::create_dir_all(file.parent().unwrap_or(folder))?;
    fs::write(file, body)
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("etag", "\"1\"");
    response.body(Full::default()).expect("the header is valid")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    async fn send_put(port: u16) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let request =
            "PUT /loadtest/a/date%3D1/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nxyz";
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answered(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_bucket_stores_objects_only_while_it_works() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::start(folder.path().to_owned()).unwrap();
        let file = folder.path().join("a/date=1/b");
        assert!(bucket.set(Condition::Refusing) && !bucket.set(Condition::Refusing));
        assert!(answered(send_put(bucket.port).await).await.starts_with("HTTP/1.1 503"));
        bucket.set(Condition::Hanging);
        let hanging = tokio::spawn(answered(send_put(bucket.port).await));
        tokio::pin!(hanging);
        assert!(timeout(Duration::from_millis(50), &mut hanging).await.is_err(), "it answered");
        assert!(!file.exists());
        bucket.set(Condition::Working);
        assert!(hanging.await.unwrap().starts_with("HTTP/1.1 200"));
        assert_eq!(fs::read(file).unwrap(), b"xyz");
    }
}
