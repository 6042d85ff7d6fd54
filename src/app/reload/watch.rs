//! Watching folders: waits for a change, or for the next poll.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::debug;

/// How long to wait for further changes after a change, because changes come in bursts.
const BURST: Duration = Duration::from_millis(100);
/// The interval of polls if a folder cannot be watched and polling is off.
const UNWATCHED: Duration = Duration::from_secs(5);

/// Watches paths, each a folder or a file.
#[derive(Debug)]
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    changed: mpsc::Receiver<()>,
    report: mpsc::Sender<()>,
    /// Kept because dropping it ends the watch.
    watcher: Option<RecommendedWatcher>,
    /// The folders that are being watched.
    watched: Vec<PathBuf>,
}

impl Watch {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let (report, changed) = mpsc::channel(1);
        let mut watch = Self { paths, changed, report, watcher: None, watched: Vec::new() };
        watch.renew();
        watch
    }

    /// Waits for a change, for `poll` at most.
    pub(super) async fn changed(&mut self, poll: Option<Duration>) {
        let is_watching = self.watched.len() == self.paths.len();
        let poll = poll.or((!is_watching).then_some(UNWATCHED));
        let due = async {
            match poll {
                Some(poll) => sleep(poll).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(()) = self.changed.recv() => {
                sleep(BURST).await;
                while self.changed.try_recv().is_ok() {}
            }
            () = due => {}
        }
        // The operating system watches a folder, not its path. If the folder was replaced or deleted, the old watch reports
        // nothing.
        self.renew();
    }

    fn renew(&mut self) {
        let report = self.report.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reads are no change: reading the files after each read would never end.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // If the channel is full, a change is reported already, and one report is enough.
                let _reported = report.try_send(());
            }
        });
        self.watched.clear();
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => return debug!(%error, "cannot watch folders; polling them instead"),
        };
        for path in &self.paths {
            let folder = folder(path);
            let mode = if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match watcher.watch(&folder, mode) {
                Ok(()) => self.watched.push(folder),
                Err(error) => {
                    debug!(%error, folder = %folder.display(), "cannot watch the folder; polling it instead");
                }
            }
        }
        self.watcher = Some(watcher);
    }
}

/// Returns the folder to watch: the path itself, or the parent folder of a file, in which the file is replaced.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
