//! A TCP proxy that delays answers, for a server that is farther away.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// A running proxy on a free loopback port. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

/// The bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// The chunks that wait in one direction of a connection.
const WAITING: usize = 1_024;

impl Proxy {
    /// Starts a proxy to a server on this machine. Each chunk of an answer waits for this time. Chunks do not wait for
    /// each other.
    ///
    /// # Errors
    /// Returns an error if there is no free port.
    pub(crate) async fn start(server: u16, delay: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server, delay));
            }
        });
        Ok(Self { port, task })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(client: TcpStream, server: u16, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server)).await?;
    // Without this option, the kernel delays small requests.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((client_reads, client_writes), (server_reads, server_writes)) = (client.into_split(), server.into_split());
    let requests = relay(client_reads, server_writes, Duration::ZERO);
    tokio::try_join!(requests, relay(server_reads, client_writes, delay)).map(drop)
}

/// Copies until the reader ends.
async fn relay(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> std::io::Result<()> {
    let (chunks, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING);
    let read = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if from.read_buf(&mut chunk).await? == 0 || chunks.send((Instant::now() + delay, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((at, chunk)) = due.recv().await {
            if !delay.is_zero() {
                sleep_until(at).await;
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_late_and_whole_and_do_not_wait_for_each_other() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let delay = Duration::from_millis(50);
        let proxy = Proxy::start(listener.local_addr().unwrap().port(), delay).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let begun = Instant::now();
        client.write_all(b"?").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        for part in [b"an", b"sw", b"er"] {
            server.write_all(part).await.unwrap();
        }
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
        // Three delays in a row would take 150 ms. A busy machine adds some time.
        assert!(begun.elapsed() < delay * 3, "{:?}", begun.elapsed());
    }
}
