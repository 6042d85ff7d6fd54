//! A connection to Redis that never delays its user for long: each request has a short timeout, and after a failure no
//! request is made for a moment.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError};
use tokio::time::{Instant, timeout};

/// How long no request is made after a failure.
pub const REST: Duration = Duration::from_secs(1);

/// A user of a Redis server, or of another server that speaks its protocol.
#[derive(Debug)]
pub struct Redis {
    connection: Connection,
    timeout: Duration,
    /// The end of the pause after a failure.
    resting: Mutex<Option<Instant>>,
}

/// A connection that reconnects by itself.
#[derive(Clone)]
struct Connection(ConnectionManager);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// An answer of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<T> {
    /// The content of the answer.
    pub value: T,
    /// Whether the request before it failed.
    pub is_first_after_failure: bool,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A request failed a moment ago, so this one was not made.
    #[error("a request failed less than {REST:?} ago")]
    Resting,
    /// The server, or the connection to it, failed, or the answer came too late.
    #[error("{0}")]
    Failed(String),
}

/// Why the server does not answer a ping.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The server, or the connection to it, failed.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Redis {
    /// Creates a user of the server at a URL. Connects on the first use. `timeout` is the longest time of one request.
    ///
    /// # Errors
    /// Returns an error if the URL cannot be used.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        let options = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let manager = ConnectionManager::new_lazy_with_config(Client::open(url)?, options)?;
        Ok(Self { connection: Connection(manager), timeout, resting: Mutex::default() })
    }

    /// Creates another user of the same connection. A failed request of one user is no failure of the other one, because
    /// the server can refuse a command or a key to one of them.
    pub fn for_another_use(&self) -> Self {
        Self { connection: self.connection.clone(), timeout: self.timeout, resting: Mutex::default() }
    }

    /// Returns a handle of the connection, with which [`Redis::request`] makes a request.
    pub fn connection(&self) -> ConnectionManager {
        self.connection.0.clone()
    }

    /// Makes a request, unless one failed a moment ago.
    ///
    /// # Errors
    /// Returns an error if no request is made, if it fails, or if there is no answer in time.
    pub async fn request<T>(
        &self,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<Answer<T>, RequestError> {
        if self.is_resting() {
            return Err(RequestError::Resting);
        }
        let failure = match timeout(self.timeout, answer).await {
            Ok(Ok(value)) => return Ok(Answer { value, is_first_after_failure: self.resting.lock().take().is_some() }),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        *self.resting.lock() = Some(Instant::now() + REST);
        Err(RequestError::Failed(failure))
    }

    fn is_resting(&self) -> bool {
        self.resting.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    /// Returns an error if it does not answer in time, or answers with an error.
    pub async fn ping(&self) -> Result<(), PingError> {
        let mut connection = self.connection();
        let ping = redis::cmd("PING");
        match timeout(self.timeout * 4, ping.query_async::<String>(&mut connection)).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(PingError::TimedOut(self.timeout * 4)),
        }
    }
}
