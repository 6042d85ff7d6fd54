//! Reload: descriptor sets, customers and the configuration can change while the service runs.
//!
//! The folders are watched. They are also polled, because some file systems, such as network file systems, report no
//! changes. Kubernetes updates a ConfigMap by replacing its symbolic link `..data`, and an editor saves by renaming, so the
//! folders are watched and not the files. New content is admitted after two reads in a row have returned the same content.
//! Refused content never replaces the content in force.

mod configuration;
mod decisions;
mod pace;
mod standing;
mod watch;

pub use configuration::{Configuration, Followed};
pub use pace::Pace;
pub use standing::{Standing, StandingReport};

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

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
    pace: Pace,
    unreadable: RateLimitedLog,
    /// The last warning about sources in the folder of descriptor sets.
    source_warning: Mutex<Option<String>>,
    /// Whether reading or admitting the present descriptor sets panicked.
    descriptors_failed: AtomicBool,
    /// Whether the present customers file was refused.
    customers_refused: AtomicBool,
}

/// Whether files were offered that are not the ones offered before. They can be admitted or refused.
#[derive(Debug, Clone, Copy)]
struct Changed(bool);

impl Reload {
    /// Creates the reload of a registry and of routes from the files that they were loaded from.
    pub fn new(
        config: &Config,
        registry: Arc<Registry>,
        routes: Arc<Routes>,
        pace: Pace,
        metrics: Arc<Metrics>,
    ) -> Self {
        let default_types = config.queues.iter().filter_map(|queue| queue.default_type.clone()).collect();
        let unreadable = RateLimitedLog::new(Duration::from_secs(60));
        let (descriptors_failed, customers_refused) = (AtomicBool::new(false), AtomicBool::new(false));
        // The start has logged this warning.
        let source_warning = Mutex::new(registry.source_warning());
        let this = Self {
            registry,
            routes,
            metrics,
            config_hash: config_hash(config),
            default_types,
            pace,
            unreadable,
            source_warning,
            descriptors_failed,
            customers_refused,
        };
        this.show_counts();
        this.show_descriptors();
        this.show_customers(true);
        this
    }

    /// Reloads descriptor sets and customers whenever they change. Never returns.
    pub async fn run(self) {
        let places = [self.registry.location(), self.routes.location()];
        let mut watch = Watch::new(places.into_iter().filter_map(Location::path).map(Path::to_owned).collect());
        let mut pace = self.pace.clone();
        let this = Arc::new(self);
        let mut reason = Reason::Change;
        if !pace.is_watching() {
            reason = pace.next(&mut watch).await;
        }
        loop {
            // The first pass does not wait for a change: files can have changed between the start and the watch.
            let turn = pace.turn_to_load().await;
            this.descriptors().await;
            drop(turn);
            this.customers().await;
            if reason == Reason::Request {
                info!("the files were read again on request");
            }
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
        if let Some(Some(warning)) = self.blocking(ReloadSubject::Descriptors, Self::new_source_warning).await {
            warn!("{warning}");
        }
        match self.settled().await {
            // The sets that were offered last are still there.
            Some(Ok(None)) => self.show_descriptors(),
            Some(Ok(Some(files))) => {
                match self.blocking(ReloadSubject::Descriptors, move |this| this.admit_descriptors(&files)).await {
                    Some(Changed(true)) => self.descriptors_failed.store(false, Ordering::Release),
                    Some(Changed(false)) => {}
                    None => self.descriptors_failed.store(true, Ordering::Release),
                }
                self.show_descriptors();
            }
            None => {
                self.descriptors_failed.store(true, Ordering::Release);
                self.show_descriptors();
            }
            Some(Err(error)) => {
                self.show_in_force(ReloadSubject::Descriptors, false);
                self.count(ReloadSubject::Descriptors, ReloadResult::Unreadable);
                if let Some(suppressed) = self.unreadable.permit() {
                    error!(%error, suppressed, "cannot read the descriptor sets; keeping those in force");
                }
            }
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

    /// Returns the warning about sources in the folder if it is not the last one.
    fn new_source_warning(&self) -> Option<String> {
        let warning = self.registry.source_warning();
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

    async fn customers(self: &Arc<Self>) {
        let read = |this: &Self| this.routes.read().map(|text| (this.routes.is_current(&text), text));
        let Some(found) = self.blocking(ReloadSubject::Customers, read).await else { return self.customers_failed() };
        let text = match found {
            Ok((true, _)) => return self.show_customers(true),
            // The first half of a customers file is a valid file with fewer customers. So the file must be unchanged for a
            // while before it is admitted.
            Ok((false, text)) => {
                sleep(SETTLED).await;
                match self.blocking(ReloadSubject::Customers, read).await {
                    Some(Ok((_, again))) if again == text => Ok(text),
                    // The file is being written. The next change or poll reads it again.
                    Some(Ok(_)) => return self.count(ReloadSubject::Customers, ReloadResult::Unsettled),
                    Some(Err(error)) => Err(error),
                    None => return self.customers_failed(),
                }
            }
            Err(error) => Err(error),
        };
        if self.blocking(ReloadSubject::Customers, move |this| this.admit_customers(text)).await.is_none() {
            self.customers_failed();
        }
    }

    fn customers_failed(&self) {
        self.customers_refused.store(true, Ordering::Release);
        self.show_customers(true);
    }

    fn admit_customers(&self, text: Result<String, route::Error>) {
        let result = match text.and_then(|text| self.routes.admit(&text)) {
            Ok(None) => return self.show_customers(true),
            Ok(Some(router)) => {
                self.customers_refused.store(false, Ordering::Release);
                info!(customers = router.customers().count(), "customers reloaded");
                self.warn_about(&router);
                ReloadResult::Admitted
            }
            Err(error @ route::Error::Unreadable { .. }) => {
                if let Some(suppressed) = self.unreadable.permit() {
                    error!(%error, suppressed, "keeping the customers in force");
                }
                ReloadResult::Unreadable
            }
            Err(error) => {
                self.customers_refused.store(true, Ordering::Release);
                error!("{error}; keeping the customers in force");
                ReloadResult::Refused
            }
        };
        self.show_customers(result != ReloadResult::Unreadable);
        self.count(ReloadSubject::Customers, result);
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

/// Returns the first of these ids, and the number of the others.
fn names(ids: &[&str]) -> String {
    match ids.len() {
        0 => "no customer".to_owned(),
        count if count > NAMED => format!("{} and {} more", ids[..NAMED].join(", "), count - NAMED),
        _ => ids.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Loaded;

    fn pace(config: &Config) -> Pace {
        Pace::new(&config.descriptors, tokio::sync::watch::channel(()).1)
    }

    #[test]
    fn a_warning_about_sources_is_given_once_per_change() {
        let folder = tempfile::tempdir().unwrap();
        let set = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb");
        std::fs::copy(set, folder.path().join("shop.binpb")).unwrap();
        std::fs::write(folder.path().join("a.proto"), "").unwrap();
        let mut config = Config::default();
        config.descriptors.path = folder.path().into();
        config.route.customers_file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/customers.yaml").into();
        config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:json-{customer}".to_owned());
        config.profiles.insert("web".to_owned(), Default::default());
        let Loaded { registry, routes, warnings, .. } = Loaded::load(&config).unwrap();
        let is_about_a = |warning: &crate::config::Warning| {
            warning.to_string().starts_with("descriptors.path: a.proto is a source, which protobridge does not read; ")
        };
        assert!(warnings.iter().any(is_about_a), "{warnings:?}");
        let reload = Reload::new(&config, registry, routes, pace(&config), Arc::new(Metrics::new(false)));
        assert_eq!(reload.new_source_warning(), None, "the start has logged it");
        std::fs::write(folder.path().join("b.proto"), "").unwrap();
        let warning = reload.new_source_warning().unwrap();
        assert!(warning.starts_with("a.proto, b.proto are sources"), "{warning}");
        assert_eq!(reload.new_source_warning(), None);
        for name in ["a.proto", "b.proto"] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        assert_eq!(reload.new_source_warning(), None);
        std::fs::write(folder.path().join("b.proto"), "").unwrap();
        assert!(reload.new_source_warning().is_some_and(|warning| warning.starts_with("b.proto is a source")));
    }

    #[tokio::test]
    async fn a_panic_during_a_reload_does_not_stop_the_service() {
        let mut config = Config::default();
        config.descriptors.path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
        config.route.customers_file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/customers.yaml").into();
        config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:json-{customer}".to_owned());
        config.profiles.insert("web".to_owned(), Default::default());
        let Loaded { registry, routes, .. } = Loaded::load(&config).unwrap();
        let metrics = Arc::new(Metrics::new(false));
        let reload = Arc::new(Reload::new(&config, registry, routes, pace(&config), Arc::clone(&metrics)));
        assert_eq!(reload.blocking(ReloadSubject::Descriptors, |_| 7).await, Some(7));
        assert_eq!(
            reload.blocking(ReloadSubject::Descriptors, |_| -> u32 { panic!("a panic of a library") }).await,
            None
        );
        assert_eq!(metrics.reloads.sum_where(|labels| labels.result == ReloadResult::Refused), 1);
    }
}
