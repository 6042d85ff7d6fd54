//! The connections of the admin endpoint.
//!
//! A client cannot keep the kubelet's probe from getting through, and cannot exhaust the process's file descriptors. A
//! connection that sends no complete request is closed after a few seconds, and so is one whose client does not read
//! its answer. The number of connections has a limit. At the limit, the connection without a request for the longest
//! time is closed in favor of a new one, so a new client never waits.
//!
//! No page reads the body of a request: hyper closes a connection whose client sends more of it than fits beside the
//! header.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use crate::base::RateLimitedLog;

/// The wait after an accept that failed for a lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits on connections.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Limits {
    /// The most connections at a time.
    pub(super) connections: usize,
    /// The time that a client has for a complete request header: from its connection, and again from each answer.
    pub(super) header: Duration,
    /// The time from a complete request header in which the client must have read the answer.
    pub(super) answer: Duration,
    /// The largest size of a request header in bytes. hyper requires at least 8,192.
    pub(super) header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A few probes and a few Prometheus servers, with room to spare.
            connections: 64,
            // Unlike common scrape intervals, so that a scrape does not meet the end of the connection that it reuses.
            header: Duration::from_secs(7),
            answer: Duration::from_secs(60),
            header_bytes: 16 * 1024,
        }
    }
}

/// A connection that is open.
#[derive(Debug)]
struct Open {
    task: AbortHandle,
    last_used: LastUsed,
}

/// When a connection was opened, or had its last complete request header. Clones share the time.
#[derive(Debug, Clone)]
struct LastUsed(Arc<Mutex<Instant>>);

impl LastUsed {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn touch(&self) {
        *self.0.lock() = Instant::now();
    }

    fn get(&self) -> Instant {
        *self.0.lock()
    }

    /// Waits until the connection was unused for `period`.
    async fn unused_for(&self, period: Duration) {
        loop {
            let until = self.get() + period;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// Accepts connections: a listener, or a test's replacement for it.
pub(in crate::app) trait Accept: Send {
    /// Waits for the next connection.
    fn next(&mut self) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

impl Accept for TcpListener {
    async fn next(&mut self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Serves connections until the task is aborted, which closes them.
pub(in crate::app) async fn serve(mut listener: impl Accept, router: Router, limits: Limits) {
    let mut connections = Connections { limits, tasks: JoinSet::new(), open: Vec::new() };
    let log = RateLimitedLog::new(Duration::from_secs(60));
    loop {
        connections.forget_ended();
        match listener.next().await {
            Ok(stream) => {
                connections.make_room().await;
                connections.spawn(stream, router.clone());
            }
            Err(error) if is_of_connection(&error) => debug!(%error, "a connection ended before it was accepted"),
            Err(error) => {
                if let Some(suppressed) = log.permit() {
                    warn!(%error, suppressed, "the admin endpoint cannot accept a connection");
                }
                // A closed connection returns its file descriptor.
                connections.close_oldest().await;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only the connection failed, so that the next one can be accepted at once.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The open connections.
#[derive(Debug)]
struct Connections {
    limits: Limits,
    tasks: JoinSet<()>,
    /// One entry per task that has not ended.
    open: Vec<Open>,
}

impl Connections {
    fn spawn(&mut self, stream: TcpStream, router: Router) {
        let last_used = LastUsed::now();
        let task = self.tasks.spawn(connection(stream, router, last_used.clone(), self.limits));
        self.open.push(Open { task, last_used });
    }

    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
    }

    /// Closes connections until there is room for another one.
    async fn make_room(&mut self) {
        self.forget_ended();
        while self.open.len() >= self.limits.connections {
            self.close_oldest().await;
        }
    }

    /// Closes the connection without a request for the longest time, if there is one, and waits until it is closed.
    async fn close_oldest(&mut self) {
        if let Some(oldest) = self.open.iter().min_by_key(|open| open.last_used.get()) {
            let id = oldest.task.id();
            oldest.task.abort();
            while let Some(ended) = self.tasks.join_next_with_id().await {
                let ended = ended.map_or_else(|error| error.id(), |(ended, ())| ended);
                self.open.retain(|open| open.task.id() != ended);
                if ended == id {
                    return;
                }
            }
        }
    }
}

/// Serves one connection until its client closes it or is too slow.
async fn connection(stream: TcpStream, router: Router, last_used: LastUsed, limits: Limits) {
    let used = last_used.clone();
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        used.touch();
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        ended = served => {
            if let Err(error) = ended {
                debug!(%error, "a connection to the admin endpoint ended");
            }
        }
        () = last_used.unused_for(limits.answer) => debug!("a client of the admin endpoint did not read its answer"),
    }
}

#[cfg(test)]
mod tests;
