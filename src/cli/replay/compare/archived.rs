//! The messages of the archive.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::engine::{Engine, Subject};
use super::report::Source;
use crate::app::Offline;
use crate::base::time::unix_micros;
use crate::cli::Usage;
use crate::cli::journal;
use crate::cli::replay::send::wait_for_end;
use crate::cli::window::Window;
use crate::delivery::dry_run::Answers;
use crate::store::Store;
use crate::store::archive::{Error, Reader, Row};

/// Returns the window. It must be named, and ends now without `--to`.
///
/// # Errors
/// Returns an error if `--from` is missing or not before the end.
pub(super) fn named(window: &Window) -> Result<Range<i64>, Usage> {
    let now = SystemTime::now();
    let (from, to) = window.named(now);
    let now = unix_micros(now);
    let (Some(from), to) = (from, to.unwrap_or(now).min(now)) else {
        return Err(Usage("name the window with --from and --to, or a folder of samples with --samples"));
    };
    if from < to { Ok(from..to) } else { Err(Usage("--from must be before --to, and --to is now without a value")) }
}

/// Adds the messages of the archive that were finished in the window to a comparison. `path` is the file of the
/// configuration in force.
///
/// # Errors
/// Returns an error if there is no store, or if it does not return what is needed.
pub(super) async fn compare(
    in_force: &Offline,
    path: &Path,
    window: Range<i64>,
    engine: &mut Engine<'_>,
) -> anyhow::Result<Source> {
    let store = journal::open(in_force.config(), path).await?;
    wait_for_end(&in_force.config().archive, window.end).await;
    Ok(journal::with_progress("comparing", read(store, in_force, window, engine)).await?)
}

/// Reads the archive of a store. The rows come one after the other, so the memory does not grow with their number.
pub(super) async fn read(
    store: Store,
    in_force: &Offline,
    window: Range<i64>,
    engine: &mut Engine<'_>,
) -> Result<Source, Error> {
    let reader = Reader::new(store, in_force.queues().to_vec());
    let listing = reader.look(window.clone()).await?;
    let mut rows = reader.rows(&listing, window.clone(), None);
    while let Some(Row { message, event_type, .. }) = rows.next().await? {
        if engine.is_full() {
            break;
        }
        if engine.takes(&message.queue, &message.message_id) {
            let name = message.message_id.clone();
            let (message, answers) = (Arc::unwrap_or_clone(message), Answers::default());
            engine.add(Subject { name, message, answers, schemas: [None, None] }, event_type.as_deref());
        }
    }
    Ok(Source::Archive { window, listing })
}
