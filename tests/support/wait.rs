//! Polling for a condition, with a deadline. Tests wait for a condition that they can observe, never for a fixed time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Long enough for every condition in the tests, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(15);

/// Calls `ask` until it returns a value, which is returned. Returns `None` if that takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(INTERVAL).await;
    }
}

/// Calls `ask` until it returns a value, which is returned. `what` names the condition in the panic message.
///
/// # Panics
///
/// Panics if `ask` returns no value for one minute.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, ask).await.unwrap_or_else(|| panic!("{DEADLINE:?} passed before this was true: {what}"))
}
