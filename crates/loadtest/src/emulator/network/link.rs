//! One connection over the network: its bytes are delayed and share the bandwidth, and it can be cut.
//!
//! A link carries bytes between a client and a server of which neither knows the link. It has no packets, so nothing is
//! sent twice and no window grows: it is a long line that loses nothing until it is cut.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::bandwidth::Bandwidth;

/// The most bytes that are read at once. Connections that share the bandwidth take turns with chunks of this size.
const CHUNK_BYTES: usize = 16 * 1024;
/// The most chunks of one connection and direction that are on their way. A sender then waits, as it does when the window
/// of TCP is full.
const MAX_CHUNKS: usize = 16;

/// The properties of all connections.
#[derive(Debug)]
pub(super) struct Link {
    /// The time from a request to its answer, half of it in each direction.
    pub(super) round_trip: Duration,
    /// From clients to the server.
    pub(super) up: Bandwidth,
    /// From the server to clients.
    pub(super) down: Bandwidth,
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// The state of a call when its connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InTransit {
    /// Whether bytes of the client had not arrived at the server.
    pub(super) request: bool,
    /// Whether bytes of the server had not arrived at the client.
    pub(super) answer: bool,
}

impl Link {
    /// Carries bytes between `client` and `server` until both have ended, or until `cut`. Returns what was on its way when
    /// the connection was cut, or `None` if it was not. `carried` is called for all bytes that arrive.
    ///
    /// Before the first byte passes, one round trip is over, as the handshake of TCP takes it.
    pub(super) async fn carry(
        &self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        server: &mut (impl AsyncRead + AsyncWrite + Unpin),
        cut: impl Future<Output = ()>,
        carried: impl Fn(Direction, usize),
    ) -> Option<InTransit> {
        let (up_left, down_left) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one_way = self.round_trip / 2;
        let both_ways = async {
            let (from_client, to_client) = split(&mut *client);
            let (from_server, to_server) = split(&mut *server);
            sleep(self.round_trip).await;
            let (count_up, count_down) =
                (|bytes| carried(Direction::Up, bytes), |bytes| carried(Direction::Down, bytes));
            let up = pass(from_client, to_server, (&self.up, one_way), &up_left, count_up);
            let down = pass(from_server, to_client, (&self.down, one_way), &down_left, count_down);
            tokio::join!(up, down);
        };
        tokio::select! {
            biased;
            () = cut => {}
            () = both_ways => return None,
        }
        // Bytes that the link has not taken up are on their way, too.
        Some(InTransit {
            request: up_left.load(Ordering::Relaxed) > 0 || has_bytes(client).await,
            answer: down_left.load(Ordering::Relaxed) > 0 || has_bytes(server).await,
        })
    }
}

/// Carries bytes in one direction until the sender ends or the receiver is gone. `left` counts those on their way.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (bandwidth, one_way): (&Bandwidth, Duration),
    left: &AtomicUsize,
    carried: impl Fn(usize),
) {
    let (chunks, mut arriving) = mpsc::channel::<(Instant, BytesMut)>(MAX_CHUNKS);
    let take_up = async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            let Ok(1..) = from.read_buf(&mut chunk).await else { return };
            left.fetch_add(chunk.len(), Ordering::Relaxed);
            let arrives = bandwidth.reserve(chunk.len(), Instant::now()) + one_way;
            if chunks.send((arrives, chunk)).await.is_err() {
                return;
            }
        }
    };
    let deliver = async move {
        while let Some((arrives, chunk)) = arriving.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
            left.fetch_sub(chunk.len(), Ordering::Relaxed);
            carried(chunk.len());
        }
        let _gone = to.shutdown().await;
    };
    tokio::join!(take_up, deliver);
}

/// Whether a byte can be read without waiting.
async fn has_bytes(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    poll_fn(|context| {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut *stream).poll_read(context, &mut byte);
        Poll::Ready(matches!(read, Poll::Ready(Ok(()))) && !byte.filled().is_empty())
    })
    .await
}

#[cfg(test)]
#[path = "link/tests.rs"]
mod tests;
