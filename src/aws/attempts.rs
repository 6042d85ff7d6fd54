//! The attempts at one call.

use tokio::time::sleep;

use super::Failure;
use crate::base::Backoff;

/// Makes a call, and repeats it with these delays while its failure can pass, up to `most` attempts in all.
///
/// # Errors
/// Returns the failure of the last attempt.
pub(super) async fn attempts<T, F: Future<Output = Result<T, Failure>>>(
    most: u32,
    delays: Backoff,
    call: impl Fn() -> F,
) -> Result<T, Failure> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(failure) if failure.is_passing() && attempt < most => {
                sleep(delays.delay(attempt)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}
