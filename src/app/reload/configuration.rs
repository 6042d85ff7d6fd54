//! The configuration file: it can change while the service runs. Keys that can change safely take effect; the others
//! are reported as waiting for a restart. A file that would not pass `protobridge check` changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::pace::{Pace, Reason};
use super::standing::{Standing, StandingReport};
use super::watch::Watch;
use super::{MAX_READS, SETTLED};
use crate::app::Loaded;
use crate::aws::Clients;
use crate::base::Backoff;
use crate::base::error::chain;
use crate::config::load::Origin;
use crate::config::{Change, Config};
use crate::telemetry::{LastReloadLabels, LogLevel, Metrics, ReloadLabels, ReloadResult, ReloadSubject};

/// The key of the interval of polls.
const POLL_SECONDS: &str = "descriptors.poll_seconds";
/// Delays before a refused configuration is judged again without a request, if its sets or customers are in a bucket.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(600));

/// A running configuration, and the place that it came from.
#[derive(Debug)]
pub struct Followed {
    /// The file and the variables.
    pub origin: Origin,
    /// The configuration as it was loaded at the start.
    pub config: Config,
    /// The region that AWS is called in.
    pub region: Option<String>,
    /// The level of the log.
    pub level: LogLevel,
    /// The clients that read the places which are in buckets.
    pub clients: Clients,
}

/// Follows the configuration file.
#[derive(Debug)]
pub struct Configuration {
    followed: Followed,
    /// The result of the last read.
    last: Found,
    /// Why the present file is not valid, if it is not.
    refused: Option<String>,
    /// The number of times that it was refused, and when it was refused last.
    refusals: u32,
    refused_at: Option<Instant>,
    /// The changes that wait for a restart.
    pending: Vec<Change>,
    pace: Pace,
    standing: Arc<Standing>,
    metrics: Arc<Metrics>,
}

/// The content of the file.
type Found = Result<Box<Config>, Refusal>;

/// Why a file is refused. The text is that of `protobridge check`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    text: String,
    result: ReloadResult,
}

impl Configuration {
    /// Creates the follower of a running configuration. It shows its findings in `standing`.
    pub fn new(followed: Followed, pace: Pace, standing: Arc<Standing>, metrics: Arc<Metrics>) -> Self {
        let last = Ok(Box::new(followed.config.clone()));
        let this = Self {
            followed,
            last,
            refused: None,
            refusals: 0,
            refused_at: None,
            pending: Vec::new(),
            pace,
            standing,
            metrics,
        };
        this.show();
        this
    }

    /// Looks at the file whenever it changes. Never returns.
    pub async fn run(mut self) {
        let mut watch = Watch::new(self.followed.origin.files());
        let mut reason = Reason::Change;
        if !self.pace.is_watching() {
            reason = self.pace.next(&mut watch).await;
        }
        loop {
            // The first look does not wait for a change: the file can have changed between the start and the watch.
            self.look(reason).await;
            reason = self.pace.next(&mut watch).await;
        }
    }

    /// Reads the file, and judges its content if it is new. A request judges a refused file again.
    async fn look(&mut self, reason: Reason) {
        let found = self.settled().await;
        let is_new = found != self.last;
        // The files that a valid configuration names can have changed since it was refused.
        let is_judged = self.refused.is_none() || (found.is_err() && reason == Reason::Change);
        if !is_new && (is_judged || (reason == Reason::Change && self.is_too_early(&found))) {
            return;
        }
        let judged = match found.clone() {
            Ok(config) => self.judge(*config).await,
            Err(refusal) => Err(refusal),
        };
        self.last = found;
        match judged {
            Ok(config) => self.admit(&config),
            Err(refusal) => self.refuse(refusal, is_new || reason == Reason::Request),
        }
        self.show();
    }

    /// Whether a refused configuration must wait before it is judged again, because all sets of a bucket are read for that.
    fn is_too_early(&self, found: &Found) -> bool {
        let is_in_bucket = found.as_ref().is_ok_and(|config| config.is_in_bucket());
        is_in_bucket && self.refused_at.is_some_and(|at| at.elapsed() < AGAIN.delay(self.refusals))
    }

    /// Reads the file until two reads in a row return the same content, because it can be only partly written. One read
    /// is enough if the content is that of the last look.
    async fn settled(&self) -> Found {
        let mut found = self.read().await;
        for _ in 0..MAX_READS {
            if found == self.last {
                break;
            }
            sleep(SETTLED).await;
            let before = std::mem::replace(&mut found, self.read().await);
            if before == found {
                break;
            }
        }
        found
    }

    /// Reads the file and the variables.
    async fn read(&self) -> Found {
        let origin = self.followed.origin.clone();
        let read = move || match origin.load() {
            Ok(config) => Ok(Box::new(config)),
            Err(error) => Err(Refusal {
                text: chain(&error),
                result: match std::fs::metadata(origin.path()) {
                    Ok(_) => ReloadResult::Refused,
                    Err(_) => ReloadResult::Unreadable,
                },
            }),
        };
        spawn_blocking(read).await.unwrap_or_else(|panic| Err(Refusal::of(&panic)))
    }

    /// Checks a changed configuration as a start does, apart from the calls of AWS. A change of applied keys alone
    /// needs no check.
    async fn judge(&self, config: Config) -> Result<Config, Refusal> {
        if self.followed.config.changes(&config).iter().all(Change::is_applied) {
            return Ok(config);
        }
        let mut settled = config.clone();
        let problems = settled.settle_region(self.followed.region.clone());
        if !problems.is_empty() {
            return Err(Refusal::of(&strict_config::Error::new(self.followed.origin.path(), problems)));
        }
        let turn = self.pace.turn_to_load().await;
        let clients = match config.aws == self.followed.config.aws {
            true => self.followed.clients.clone(),
            false => Clients::new(&settled.aws, self.followed.clients.network.clone()).await,
        };
        // In a task of its own, so that a panic refuses the file and does not stop the service.
        let loaded = tokio::spawn(async move { Loaded::read(&settled, &clients).await.map(drop) }).await;
        drop(turn);
        match loaded {
            Ok(Ok(())) => Ok(config),
            Ok(Err(error)) => Err(Refusal::of(&error)),
            Err(panic) => Err(Refusal::of(&panic)),
        }
    }

    /// Applies the changes that are safe, and reports the others.
    fn admit(&mut self, config: &Config) {
        let changes = self.followed.config.changes(config);
        // The new file can turn polls off if its places are files. The running places are polled until a restart.
        let polls_go_on = config.descriptors.poll_seconds == 0 && self.followed.config.is_in_bucket();
        let is_applied = |change: &Change| change.is_applied() && !(polls_go_on && change.key == POLL_SECONDS);
        let (applied, pending): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_applied);
        if let Err(error) = self.followed.level.set(&config.log.level) {
            return self.refuse(Refusal::of(&error), true);
        }
        let poll_seconds = self.followed.config.descriptors.poll_seconds;
        self.followed.config.apply(config);
        if polls_go_on {
            self.followed.config.descriptors.poll_seconds = poll_seconds;
        }
        self.pace.set_poll_seconds(self.followed.config.descriptors.poll_seconds);
        for Change { key, old, new } in applied {
            info!(key, old, new, "configuration changed: applied");
        }
        for Change { key, old, new } in pending.iter().filter(|change| !self.pending.contains(change)) {
            warn!(key, old, new, "configuration changed: needs a restart");
        }
        for Change { key, old, .. } in
            self.pending.iter().filter(|change| pending.iter().all(|now| now.key != change.key))
        {
            info!(key, value = old, "configuration changed: has the running value again, so it needs no restart");
        }
        (self.refusals, self.refused_at) = (0, None);
        if self.refused.take().is_some() {
            info!(file = %self.followed.origin.path().display(), "configuration is valid again");
        }
        self.pending = pending;
        self.count(ReloadResult::Admitted);
    }

    fn refuse(&mut self, Refusal { text, result }: Refusal, is_new: bool) {
        if is_new || self.refused.as_ref() != Some(&text) {
            let file = self.followed.origin.path().display();
            error!(%file, error = text, "configuration refused; the running configuration stays");
            self.count(result);
        }
        self.refused = Some(text);
        (self.refusals, self.refused_at) =
            (if is_new { 1 } else { self.refusals.saturating_add(1) }, Some(Instant::now()));
    }

    /// Shows the state in the metrics and for `/status`.
    fn show(&self) {
        let what = ReloadSubject::Configuration;
        self.metrics.last_reload.with(&LastReloadLabels { what }).set(self.refused.is_none().into());
        self.metrics.restart_pending.set(self.pending.len() as u64);
        self.standing.set(StandingReport {
            file: self.followed.origin.path().display().to_string(),
            error: self.refused.clone(),
            restart_pending: self.pending.iter().map(|change| change.key.clone()).collect(),
        });
    }

    fn count(&self, result: ReloadResult) {
        self.metrics.reloads.with(&ReloadLabels { what: ReloadSubject::Configuration, result }).add(1);
    }
}

impl Refusal {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { text: chain(error), result: ReloadResult::Refused }
    }
}

#[cfg(test)]
mod tests;
