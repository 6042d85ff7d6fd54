//! Repeating a call that SQS did not answer, or could not.

use std::time::Duration;

use tokio::time::sleep;

use crate::aws::Failure;
use crate::base::Backoff;

/// The number of times that a call is made.
const ATTEMPTS: u32 = 3;
/// Delays between the attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// Makes a call, and repeats it twice if the same call can succeed a moment later.
///
/// # Errors
/// Returns the failure of the last attempt.
pub(super) async fn attempts<T, F: Future<Output = Result<T, Failure>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, Failure> {
    for attempt in 1..ATTEMPTS {
        match call().await {
            Err(failure) if failure.is_passing() => sleep(BACKOFF.delay(attempt)).await,
            answer => return answer,
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_twice_at_most_and_only_if_it_can_succeed() {
        let refused = Failure::of_entry("InvalidParameterValue", None, true);
        for (failures, failure, calls) in [
            (0, Failure::unanswered(), 1),
            (1, Failure::unanswered(), 2),
            (9, Failure::unanswered(), 3),
            (9, refused, 1),
        ] {
            let mut made = 0;
            let result = attempts(|| {
                made += 1;
                std::future::ready(if made > failures { Ok(()) } else { Err(failure.clone()) })
            });
            assert_eq!(result.await.is_ok(), failures < 3);
            assert_eq!(made, calls);
        }
    }
}
