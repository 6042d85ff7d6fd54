use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;

const LIMITS: Limits = Limits {
    connections: 8,
    header: Duration::from_secs(600),
    answer: Duration::from_secs(600),
    header_bytes: 8 * 1024,
};
/// Longer than anything here takes, and shorter than the timeouts that a test does not shorten.
const PATIENCE: Duration = Duration::from_secs(30);
const HALF_A_REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nhost: a\r\n";

/// Starts a server on a free port. Its page `/large` answers with more than the buffers of a connection hold.
async fn start(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let large = || async { "x".repeat(64 << 20) };
    let router = Router::new().route("/livez", get(|| async { "ok\n" })).route("/large", get(large));
    tokio::spawn(serve(listener, router, limits));
    address
}

async fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(bytes).await.unwrap();
    client
}

/// Reads until the server closes the connection, and returns the text that it sent before.
async fn read_to_end(client: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset closes the connection too.
    let _reset = timeout(PATIENCE, client.read_to_end(&mut text)).await.expect("the server closes the connection");
    String::from_utf8_lossy(&text).into_owned()
}

async fn is_alive(address: SocketAddr) -> bool {
    let mut client = send(address, b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    read_to_end(&mut client).await.ends_with("ok\n")
}

#[tokio::test]
async fn liveness_answers_among_more_half_sent_requests_than_the_limit() {
    let address = start(LIMITS).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(send(address, HALF_A_REQUEST).await);
        assert!(is_alive(address).await);
    }
    // The oldest connections were closed, and the newest ones are left.
    for client in &mut clients[..100 - LIMITS.connections] {
        assert_eq!(read_to_end(client).await, "");
    }
    let newest = clients.last_mut().unwrap();
    newest.write_all(b"connection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(newest).await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_connection_in_use_outlives_idle_ones() {
    let address = start(LIMITS).await;
    let mut in_use = send(address, b"").await;
    let mut idle = send(address, b"").await;
    let mut others = Vec::new();
    for _ in 0..LIMITS.connections {
        in_use.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        in_use.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        while in_use.read_u8().await.unwrap() != b'k' {}
        in_use.read_u8().await.unwrap();
        others.push(send(address, b"").await);
    }
    assert_eq!(read_to_end(&mut idle).await, "");
    in_use.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut in_use).await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_client_that_sends_no_complete_request_is_closed() {
    let address = start(Limits { header: Duration::from_millis(50), ..LIMITS }).await;
    let answered = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
    for bytes in [b"".as_slice(), HALF_A_REQUEST, answered] {
        let is_answered = bytes == answered;
        let mut client = send(address, bytes).await;
        assert_eq!(read_to_end(&mut client).await.contains(" 200 "), is_answered);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_closed() {
    let address = start(Limits { connections: 1, answer: Duration::from_millis(50), ..LIMITS }).await;
    let mut client = send(address, b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let closed = async {
        // The server has closed the connection when the system refuses what the client sends.
        while client.write_all(b"GET").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the server closes the connection");
}

#[tokio::test]
async fn headers_and_bodies_are_bounded() {
    let address = start(LIMITS).await;
    let header = format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(LIMITS.header_bytes));
    let mut client = send(address, header.as_bytes()).await;
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 431 "));

    let mut client = send(address, b"POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999\r\n\r\n").await;
    let body = async { while client.write_all(&[0; 65_536]).await.is_ok() {} };
    timeout(PATIENCE, body).await.expect("the server does not read the body");
}

#[tokio::test]
async fn accept_errors_do_not_end_the_server_and_close_the_oldest_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/livez", get(|| async { "ok\n" }));
    tokio::spawn(serve(Failing { listener, accepts: 0 }, router, LIMITS));
    let mut oldest = send(address, HALF_A_REQUEST).await;
    assert_eq!(read_to_end(&mut oldest).await, "");
    let started = Instant::now();
    assert!(is_alive(address).await);
    // The pause began a moment before `oldest` was closed.
    assert!(started.elapsed() > ACCEPT_PAUSE / 2, "a lack of file descriptors does not spin the loop");
}

/// "Too many open files", on Linux and macOS alike.
const EMFILE: i32 = 24;

/// A listener whose first and third accept fail.
struct Failing {
    listener: TcpListener,
    accepts: usize,
}

impl Accept for Failing {
    async fn next(&mut self) -> io::Result<TcpStream> {
        self.accepts += 1;
        match self.accepts {
            1 => Err(io::ErrorKind::ConnectionAborted.into()),
            3 => Err(io::Error::from_raw_os_error(EMFILE)),
            _ => self.listener.next().await,
        }
    }
}
