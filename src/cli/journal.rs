//! The journal of a configuration, for the commands that read it.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use strict_config::Problem;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::Config;
use crate::store::Store;
use crate::store::journal::{Looked, stamp};

/// Returns the error of a configuration without a store. `path` is its file.
pub(super) fn no_store(path: &Path) -> strict_config::Error {
    let problem = "is not set, so there is no journal and no archive; set it to `s3://bucket/prefix`, or to a folder such as \
                   `file:///var/lib/protobridge`, as the service has it";
    strict_config::Error::new(path, vec![Problem::new("store.url", problem)])
}

/// Opens the store of a configuration to read its journal or its archive. `path` is the file of the configuration.
///
/// # Errors
/// Returns an error if no store is configured, if its folder does not exist, or if it cannot be opened.
pub(super) async fn open(config: &Config, path: &Path) -> anyhow::Result<Store> {
    let Some(url) = &config.store.url else { return Err(no_store(path).into()) };
    if let Some(folder) = url.strip_prefix("file://") {
        // A reader that creates the folder would hide a mistake in its name. It needs no region and no credentials.
        if !Path::new(folder).is_dir() {
            bail!("`store.url`: there is no folder {folder}; the service creates it when it starts");
        }
        return Ok(Store::folder(folder.into())?);
    }
    let clients = Clients::new(&config.aws, Network::of_environment()?).await;
    match Store::open(&config.store, &clients.shared, &clients.network)? {
        Some(store) => Ok(store),
        None => Err(no_store(path).into()),
    }
}

/// Waits for a long look-up, and tells on standard error, if it is a terminal, that it still runs.
pub(super) async fn with_progress<T>(what: &str, looking: impl Future<Output = T>) -> T {
    with_changing_progress(|| what.to_owned(), looking).await
}

/// Does the same as [`with_progress`] with a text that changes.
pub(super) async fn with_changing_progress<T>(what: impl Fn() -> String, looking: impl Future<Output = T>) -> T {
    let (started, second) = (Instant::now(), Duration::from_secs(1));
    let is_shown = std::io::stderr().is_terminal();
    let mut ticks = interval_at(started + second, second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(looking);
    loop {
        tokio::select! {
            biased;
            done = &mut looking => {
                if is_shown {
                    // Clears the line.
                    eprint!("\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick(), if is_shown => {
                eprint!("\r\x1b[K{}: {} s", what(), started.elapsed().as_secs());
                // A line that is not shown is no reason to stop.
                let _hidden = std::io::stderr().flush();
            }
        }
    }
}

/// Returns a window as text, such as `2026-11-28 11:53:07 to 2026-11-28 12:53:07 UTC`.
pub(super) fn window_text(window: &Range<i64>) -> String {
    format!("{} to {} UTC", stamp::seconds(window.start), stamp::seconds(window.end))
}

/// Returns what was looked at, in a sentence.
pub(super) fn looked_text(looked: &Looked) -> String {
    let count = |number: u64, noun: &str| if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") };
    let replicas = match looked.replicas.len() {
        0 => String::new(),
        _ => format!(" of {}", looked.replicas.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    format!(
        "Looked at {}{replicas}: {} read, {}.",
        count(looked.segments, "segment"),
        count(looked.ranges, "range"),
        count(looked.bytes, "byte")
    )
}
