//! Waiting for what can be seen from outside, with a deadline and never by the clock alone.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Ample for anything that a test waits for, on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(15);

/// Asks again and again until there is an answer, for `limit` at most.
pub(crate) async fn within<T>(limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(BETWEEN).await;
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// There is none for a minute.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, ask).await.unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain until {what}"))
}
