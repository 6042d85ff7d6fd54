//! A minimal HTTP client for requests to loopback addresses.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body. Transfer encodings are not decoded.
    pub(crate) body: String,
}

impl Answer {
    /// Parses the body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends one GET request.
///
/// # Errors
///
/// Returns an error if the connection fails or the response is not HTTP.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    send("GET", address, path, "").await
}

/// Sends one PUT request with this body.
///
/// # Errors
///
/// Returns an error if the connection fails or the response is not HTTP.
pub(crate) async fn put(address: SocketAddr, path: &str, body: &str) -> io::Result<Answer> {
    send("PUT", address, path, body).await
}

async fn send(method: &str, address: SocketAddr, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    // With HTTP/1.0 the body ends when the connection closes.
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { status, body: body.to_owned() })
}
