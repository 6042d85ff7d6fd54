//! Reload: descriptor sets, customers and the configuration can change while the service runs.
//!
//! The folders are watched. They are also polled, because some file systems, such as network file systems, report no
//! changes. Kubernetes updates a ConfigMap by replacing its symbolic link `..data`, and an editor saves by renaming, so the
//! folders are watched and not the files. New content is admitted after two reads in a row have returned the same content.
//! Refused content never replaces the content in force.
//!
//! Places in a bucket are polled. Their content is admitted at once, because S3 replaces an object as a whole.

mod buckets;
mod configuration;
mod customers;
mod decisions;
mod pace;
mod places;
mod standing;
mod watch;

pub use configuration::{Configuration, Followed};
pub use pace::Pace;
pub use places::{PlaceReport, Places};
pub use standing::{Standing, StandingReport};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::Sources;
use super::identity::{config_hash, sets_hash};
use crate::base::RateLimitedLog;
use crate::config::{Config, Location};
use crate::route::{self, Router, Routes};
use crate::schema::registry::{self, File, Registry, Reloaded, SetHashes};
use crate::telemetry::{
    BreakingChangeLabels, DescriptorSetLabels, LastReloadLabels, Metrics, ReloadLabels, ReloadResult, ReloadSubject,
    SetState,
};
pub(super) use decisions::log_decisions;
use pace::Reason;
use watch::Watch;

/// How long files must stay unchanged before they are admitted, because they can be only partly written.
const SETTLED: Duration = Duration::from_millis(200);
/// The largest number of reads that wait for unchanged files. After the last read, its files are admitted.
const MAX_READS: usize = 50;
/// The largest number of customers that a warning names.
const NAMED: usize = 5;

/// Keeps descriptor sets and customers up to date.
#[derive(Debug)]
pub struct Reload {
    registry: Arc<Registry>,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    config_hash: String,
    default_types: Vec<String>,
    /// The readers of the places that are in buckets.
    sources: Sources,
    /// The last success and the last failure of each of these places.
    places: Arc<Places>,
    pace: Pace,
    /// Held while sets or customers are admitted, because each takes the other from what is in force.
    admission: tokio::sync::Mutex<()>,
    unreadable: RateLimitedLog,
    /// The last warning about sources in the folder of descriptor sets.
    source_warning: Mutex<Option<String>>,
    /// Whether reading or admitting the present descriptor sets panicked.
    descriptors_failed: AtomicBool,
    /// Whether the present customers file was refused.
    customers_refused: AtomicBool,
}

/// What is in force, and the readers of what can replace it.
#[derive(Debug)]
pub struct InForce {
    /// The descriptor sets.
    pub registry: Arc<Registry>,
    /// The customers.
    pub routes: Arc<Routes>,
    /// The readers of the places that are in buckets.
    pub sources: Sources,
}

/// Whether files were offered that are not the ones offered before. They can be admitted or refused.
#[derive(Debug, Clone, Copy)]
struct Changed(bool);

impl Reload {
    /// Creates the reload of what was loaded.
    pub fn new(config: &Config, loaded: InForce, pace: Pace, metrics: Arc<Metrics>) -> Self {
        let InForce { registry, routes, sources } = loaded;
        let default_types = config.queues.iter().filter_map(|queue| queue.default_type.clone()).collect();
        // The start has logged this warning.
        let source_warning = registry.source_warning().or_else(|| sources.sets.as_ref()?.source_warning());
        let this = Self {
            places: Arc::new(Places::new(&sources, Arc::clone(&metrics))),
            registry,
            routes,
            metrics,
            config_hash: config_hash(config),
            default_types,
            sources,
            pace,
            admission: tokio::sync::Mutex::default(),
            unreadable: RateLimitedLog::new(Duration::from_secs(60)),
            source_warning: Mutex::new(source_warning),
            descriptors_failed: AtomicBool::new(false),
            customers_refused: AtomicBool::new(false),
        };
        this.show_counts();
        this.show_descriptors();
        this.show_customers(true);
        this
    }

    /// Returns what is known about the places that are in buckets.
    pub fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    /// Reloads descriptor sets and customers whenever they change. Never returns.
    pub async fn run(mut self) {
        let Sources { sets, customers } = std::mem::take(&mut self.sources);
        let this = Arc::new(self);
        let follow_sets = async {
            match sets {
                Some(objects) => this.poll_sets(objects).await,
                None => this.follow(ReloadSubject::Descriptors, this.registry.location()).await,
            }
        };
        let follow_customers = async {
            match customers {
                Some(object) => this.poll_customers(object).await,
                None => this.follow(ReloadSubject::Customers, this.routes.location()).await,
            }
        };
        // Unlike tokio's, this join polls in a fixed order, so a run of the fault tests can be repeated.
        futures_util::future::join(follow_sets, follow_customers).await;
    }

    /// Reloads the files at a path whenever they change. Never returns.
    async fn follow(self: &Arc<Self>, what: ReloadSubject, place: &Location) {
        let mut watch = Watch::new(place.path().map(ToOwned::to_owned).into_iter().collect());
        let mut pace = self.pace.clone();
        let mut reason = Reason::Change;
        if !pace.is_watching() {
            reason = pace.next(&mut watch).await;
        }
        loop {
            // The first pass does not wait for a change: files can have changed between the start and the watch.
            match what {
                ReloadSubject::Descriptors => {
                    let _turn = pace.turn_to_load().await;
                    self.descriptors().await;
                }
                _ => self.customers().await,
            }
            note_request(what, reason);
            reason = pace.next(&mut watch).await;
        }
    }

    /// Runs a step on a thread for blocking work, so that a large folder or customers file delays no event. Returns `None`
    /// if the step panics; the content in force then stays in force.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        what: ReloadSubject,
        step: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let this = Arc::clone(self);
        match spawn_blocking(move || step(&this)).await {
            Ok(result) => Some(result),
            Err(error) => {
                error!(%error, what = what.code(), "a reload panicked, so nothing changed; this is a defect of protobridge");
                self.count(what, ReloadResult::Refused);
                None
            }
        }
    }

    async fn descriptors(self: &Arc<Self>) {
        let warning = |this: &Self| this.new_source_warning(this.registry.source_warning());
        if let Some(Some(warning)) = self.blocking(ReloadSubject::Descriptors, warning).await {
            warn!("{warning}");
        }
        match self.settled().await {
            // The sets that were offered last are still there.
            Some(Ok(None)) => self.show_descriptors(),
            Some(Ok(Some(files))) => self.admit_files(files).await,
            None => {
                self.descriptors_failed.store(true, Ordering::Release);
                self.show_descriptors();
            }
            Some(Err(error)) => self.sets_unreadable(&error),
        }
    }

    /// Admits files on a thread for blocking work, and shows the result.
    async fn admit_files(self: &Arc<Self>, files: Vec<File>) {
        let _turn = self.admission.lock().await;
        match self.blocking(ReloadSubject::Descriptors, move |this| this.admit_descriptors(&files)).await {
            Some(Changed(true)) => self.descriptors_failed.store(false, Ordering::Release),
            Some(Changed(false)) => {}
            None => self.descriptors_failed.store(true, Ordering::Release),
        }
        self.show_descriptors();
    }

    fn sets_unreadable(&self, error: &dyn std::error::Error) {
        self.show_in_force(ReloadSubject::Descriptors, false);
        self.count(ReloadSubject::Descriptors, ReloadResult::Unreadable);
        if let Some(suppressed) = self.unreadable.permit() {
            error!(%error, suppressed, "cannot read the descriptor sets; keeping those in force");
        }
    }

    /// Reads the folder until two reads in a row return the same files. Returns no files if they were offered last, and
    /// `None` if a read panics. A folder that does not change is only hashed, so that a poll takes no memory for the sets.
    async fn settled(self: &Arc<Self>) -> Option<Result<Option<Vec<File>>, registry::Error>> {
        let hashes = |this: &Self| this.registry.hashes();
        let read = |this: &Self| this.registry.read().map(|files| (SetHashes::of(&files), files));
        let mut hashes = match self.blocking(ReloadSubject::Descriptors, hashes).await? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let mut files = None;
        for _ in 0..MAX_READS {
            if self.registry.is_current(&hashes) {
                return Some(Ok(None));
            }
            sleep(SETTLED).await;
            let before = hashes;
            // The files of the read before are dropped first, so that only one copy is in memory.
            drop(files.take());
            let found;
            (hashes, found) = match self.blocking(ReloadSubject::Descriptors, read).await? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            files = Some(found);
            if hashes == before {
                break;
            }
        }
        Some(Ok(files))
    }

    /// Returns the warning about sources beside the sets if it is not the last one.
    fn new_source_warning(&self, warning: Option<String>) -> Option<String> {
        let last = std::mem::replace(&mut *self.source_warning.lock(), warning.clone());
        warning.filter(|warning| last.as_ref() != Some(warning))
    }

    fn admit_descriptors(&self, files: &[File]) -> Changed {
        let Some(Reloaded { snapshot, changes, admissions }) = self.registry.admit(files) else {
            return Changed(false);
        };
        let router = self.routes.set_types(Arc::clone(&snapshot));
        log_decisions(&snapshot, &admissions);
        for change in &changes {
            self.metrics.breaking_changes.with(&BreakingChangeLabels { rule: change.rule }).add(1);
            let sets = change.sets.join(", ");
            warn!(sets, "{change}; received by {}", names(&router.receivers(&change.message_type)));
        }
        let result = if snapshot.refused().is_empty() { ReloadResult::Admitted } else { ReloadResult::Refused };
        self.count(ReloadSubject::Descriptors, result);
        self.show_counts();
        let (sets, types) = (snapshot.sets().len(), snapshot.type_names().len());
        info!(sets, types, refused = snapshot.refused().len(), breaking = changes.len(), "descriptor sets reloaded");
        for warning in self.registry.path_warnings() {
            warn!("{warning}");
        }
        for problem in snapshot.heartbeat_problems() {
            warn!("{problem}; such events are no heartbeats now");
        }
        self.warn_about(&router);
        Changed(true)
    }

    /// Logs the warnings of the routing checks.
    fn warn_about(&self, router: &Router) {
        let snapshot = self.registry.current();
        let defaults: Vec<&str> = self.default_types.iter().map(String::as_str).collect();
        for warning in route::warnings(router, &snapshot.type_names(), &defaults) {
            warn!("{warning}");
        }
    }

    /// Sets the gauge that shows whether all present descriptor sets are in force.
    fn show_descriptors(&self) {
        let failed = self.descriptors_failed.load(Ordering::Acquire);
        let in_force = !failed && self.registry.current().refused().is_empty();
        self.show_in_force(ReloadSubject::Descriptors, in_force);
    }

    /// Sets the gauge that shows whether the present customers file is in force.
    fn show_customers(&self, is_readable: bool) {
        let in_force = is_readable && !self.customers_refused.load(Ordering::Acquire);
        self.show_in_force(ReloadSubject::Customers, in_force);
    }

    /// Sets the gauges of the numbers of descriptor sets.
    fn show_counts(&self) {
        let snapshot = self.registry.current();
        let gauge = |state| self.metrics.descriptor_sets.with(&DescriptorSetLabels { state });
        gauge(SetState::InForce).set(snapshot.sets().len() as u64);
        gauge(SetState::Refused).set(snapshot.refused().len() as u64);
        self.metrics.show_build(&self.config_hash, &sets_hash(&snapshot));
    }

    fn show_in_force(&self, what: ReloadSubject, in_force: bool) {
        self.metrics.last_reload.with(&LastReloadLabels { what }).set(in_force.into());
    }

    fn count(&self, what: ReloadSubject, result: ReloadResult) {
        self.metrics.reloads.with(&ReloadLabels { what, result }).add(1);
    }
}

/// Logs that a request was carried out.
fn note_request(what: ReloadSubject, reason: Reason) {
    if reason == Reason::Request {
        info!(what = what.code(), "read again on request");
    }
}

/// Returns the first of these ids, and the number of the others.
fn names(ids: &[&str]) -> String {
    match ids.len() {
        0 => "no customer".to_owned(),
        count if count > NAMED => format!("{} and {} more", ids[..NAMED].join(", "), count - NAMED),
        _ => ids.join(", "),
    }
}

#[cfg(test)]
mod tests;
