//! The start of a service whose descriptor sets or customers are in a bucket: it waits until the bucket answers.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::admin::starting::Waiting;
use super::{Error, Listener, Loaded};
use crate::aws::Clients;
use crate::base::Backoff;
use crate::base::error::chain;
use crate::config::Config;

/// How long a start tries to read a bucket. A pod that starts together with its network or its role has both by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Delays between the tries.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8));

/// Loads what the configuration names. If a bucket does not return it, tries again for 60 seconds; the admin endpoint says
/// meanwhile that the service is not ready.
///
/// # Errors
/// Returns an error if a file or an object is invalid, or if a bucket does not return it in time.
pub async fn load_at_start(config: &Config, clients: &Clients, admin: &Listener) -> Result<Loaded, Error> {
    if !config.is_in_bucket() {
        return Loaded::read(config, clients).await;
    }
    let waiting = Waiting::default();
    let _answers = waiting.answer(admin);
    let end = Instant::now() + PATIENCE;
    let mut failures = 0;
    loop {
        let error = match Loaded::read(config, clients).await {
            Err(error) if error.is_of_bucket() => error,
            result => return result,
        };
        failures += 1;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(error);
        }
        if failures == 1 {
            info!(seconds = PATIENCE.as_secs(), "a bucket does not return what the service needs; trying again");
        }
        warn!(error = chain(&error), failures, "cannot start yet");
        waiting.set(chain(&error));
        // The last try is at the end.
        sleep(BACKOFF.delay(failures).min(left)).await;
    }
}

#[cfg(test)]
mod tests;
