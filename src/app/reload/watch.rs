//! Watching folders: an answer as soon as something changes, or when it is time to look anyway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::debug;

/// Changes come in bursts; after the first, this long is waited for the others.
const BURST: Duration = Duration::from_millis(100);
/// Where nothing can be watched, and polling is off, this often is looked for something to watch.
const UNWATCHED: Duration = Duration::from_secs(5);

/// Folders and files that are watched.
#[derive(Debug)]
pub(super) struct Watch {
    paths: [PathBuf; 2],
    changed: mpsc::Receiver<()>,
    report: mpsc::Sender<()>,
    /// Watches for as long as it lives.
    watcher: Option<RecommendedWatcher>,
    /// What is being watched. A folder that was deleted and made again is another one.
    watched: Vec<PathBuf>,
}

impl Watch {
    pub(super) fn new(paths: [PathBuf; 2]) -> Self {
        let (report, changed) = mpsc::channel(1);
        let mut watch = Self { paths, changed, report, watcher: None, watched: Vec::new() };
        watch.renew();
        watch
    }

    /// Returns when something has changed, or after `poll`.
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
        // A watch follows what it was set on, not the path: after a swap or a deletion it would tell nothing any more.
        self.renew();
    }

    fn renew(&mut self) {
        let report = self.report.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading files is no change, and would go on for ever.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // Who has reported already has reported all.
                let _reported = report.try_send(());
            }
        });
        self.watched.clear();
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => return debug!(%error, "nothing can be watched; reading every now and then"),
        };
        for path in &self.paths {
            let folder = folder(path);
            let mode = if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match watcher.watch(&folder, mode) {
                Ok(()) => self.watched.push(folder),
                Err(error) => {
                    debug!(%error, folder = %folder.display(), "cannot be watched; reading it every now and then");
                }
            }
        }
        self.watcher = Some(watcher);
    }
}

/// The folder to watch: the path itself, or the one around a file, in which it is replaced.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
