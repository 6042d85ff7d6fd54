//! Reload: descriptor sets and customers are data, and change while the service runs.
//!
//! The folders are watched, and read again every now and then where watching tells nothing (a network file system). A
//! Kubernetes ConfigMap changes by a swap of its symbolic link `..data`, and an editor by a rename, so it is folders that
//! are watched, and content that decides: what is in a file is looked at when two looks in a row have found the same.
//! Nothing that is refused ever takes the place of what was in force.

mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::base::RateLimitedLog;
use crate::config::Config;
use crate::route::{self, Router, Routes};
use crate::schema::registry::{self, File, Registry, Reloaded, Seen};
use crate::telemetry::{
    BreakingChangeLabels, DescriptorSetLabels, LastReloadLabels, Metrics, ReloadLabels, ReloadResult, ReloadSubject,
    SetState,
};
use watch::Watch;

/// How long files have to stay as they are before they are admitted: somebody may be writing them.
const SETTLED: Duration = Duration::from_millis(200);
/// After so many looks that each found something else, the last one counts.
const LOOKS: usize = 50;
/// How many customers a warning names.
const NAMED: usize = 5;

/// Keeps descriptor sets and customers up to date.
#[derive(Debug)]
pub struct Reload {
    registry: Arc<Registry>,
    routes: Arc<Routes>,
    metrics: Arc<Metrics>,
    default_types: Vec<String>,
    poll: Option<Duration>,
    unreadable: RateLimitedLog,
    /// Whether looking at the descriptor sets that are there now, or admitting them, panicked.
    descriptors_failed: AtomicBool,
    /// Whether the customers that were looked at last were refused.
    customers_refused: AtomicBool,
}

/// Whether a look brought something new into force, or had something refused.
#[derive(Debug, Clone, Copy)]
struct Changed(bool);

impl Reload {
    /// Watches what the registry and the routes were loaded from.
    pub fn new(config: &Config, registry: Arc<Registry>, routes: Arc<Routes>, metrics: Arc<Metrics>) -> Self {
        let default_types = config.queues.iter().filter_map(|queue| queue.default_type.clone()).collect();
        let poll = Some(config.descriptors.poll_seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let unreadable = RateLimitedLog::new(Duration::from_secs(60));
        let (descriptors_failed, customers_refused) = (AtomicBool::new(false), AtomicBool::new(false));
        let this =
            Self { registry, routes, metrics, default_types, poll, unreadable, descriptors_failed, customers_refused };
        this.show();
        this.show_descriptors();
        this.show_customers(true);
        this
    }

    /// Reloads whatever changes, for as long as the future is polled.
    pub async fn run(self) {
        let customers = self.routes.path().to_owned();
        let mut watch = Watch::new([self.registry.path().to_owned(), customers]);
        let this = Arc::new(self);
        loop {
            // Also before the first change: something may have changed between loading and watching.
            this.descriptors().await;
            this.customers().await;
            watch.changed(this.poll).await;
        }
    }

    /// Takes a step where it holds up no event: ten thousand types, or as many customers, take their time. Nothing if the
    /// step panics: then what was in force stays so, as with anything else that cannot be admitted.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        what: ReloadSubject,
        step: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let this = Arc::clone(self);
        match spawn_blocking(move || step(&this)).await {
            Ok(result) => Some(result),
            Err(error) => {
                error!(%error, what = what.code(), "reloading failed, and what was in force stays so; this is a defect of protobridge");
                self.count(what, ReloadResult::Refused);
                None
            }
        }
    }

    async fn descriptors(self: &Arc<Self>) {
        match self.settled().await {
            Some(Ok(files)) => {
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
                    error!(%error, suppressed, "descriptor sets cannot be read; those in force stay so");
                }
            }
        }
    }

    /// What is in the folder once nobody is writing to it.
    async fn settled(self: &Arc<Self>) -> Option<Result<Vec<File>, registry::Error>> {
        let look = |this: &Self| this.registry.look().map(|files| (Seen::of(&files), files));
        let (mut seen, mut files) = match self.blocking(ReloadSubject::Descriptors, look).await? {
            Ok(looked) => looked,
            Err(error) => return Some(Err(error)),
        };
        for _ in 0..LOOKS {
            if self.registry.has_seen(&seen) {
                break;
            }
            sleep(SETTLED).await;
            let before = seen;
            (seen, files) = match self.blocking(ReloadSubject::Descriptors, look).await? {
                Ok(looked) => looked,
                Err(error) => return Some(Err(error)),
            };
            if seen == before {
                break;
            }
        }
        Some(Ok(files))
    }

    fn admit_descriptors(&self, files: &[File]) -> Changed {
        let Some(Reloaded { snapshot, changes }) = self.registry.admit(files) else { return Changed(false) };
        let router = self.routes.know(snapshot.type_names());
        for refused in snapshot.refused() {
            error!(set = refused.name, "{refused}");
        }
        for change in &changes {
            self.metrics.breaking_changes.with(&BreakingChangeLabels { rule: change.rule }).add(1);
            warn!("{change}; received by {}", names(&router.receivers(&change.message_type)));
        }
        let result = if snapshot.refused().is_empty() { ReloadResult::Admitted } else { ReloadResult::Refused };
        self.count(ReloadSubject::Descriptors, result);
        self.show();
        let (sets, types) = (snapshot.sets().len(), snapshot.type_names().len());
        info!(sets, types, refused = snapshot.refused().len(), breaking = changes.len(), "descriptor sets reloaded");
        self.lint(&router);
        Changed(true)
    }

    async fn customers(self: &Arc<Self>) {
        let look = |this: &Self| this.routes.look().map(|text| (this.routes.has_seen(&text), text));
        let Some(looked) = self.blocking(ReloadSubject::Customers, look).await else { return self.customers_failed() };
        let looked = match looked {
            Ok((true, _)) => return self.show_customers(true),
            // Half a file of customers is a file of fewer customers, so this one has to have settled, too.
            Ok((false, text)) => {
                sleep(SETTLED).await;
                match self.blocking(ReloadSubject::Customers, look).await {
                    Some(Ok((_, again))) if again == text => Ok(text),
                    // It is being written; another look will come.
                    Some(Ok(_)) => return self.count(ReloadSubject::Customers, ReloadResult::Unsettled),
                    Some(Err(error)) => Err(error),
                    None => return self.customers_failed(),
                }
            }
            Err(error) => Err(error),
        };
        if self.blocking(ReloadSubject::Customers, move |this| this.admit_customers(looked)).await.is_none() {
            self.customers_failed();
        }
    }

    fn customers_failed(&self) {
        self.customers_refused.store(true, Ordering::Release);
        self.show_customers(true);
    }

    fn admit_customers(&self, looked: Result<String, route::Error>) {
        let result = match looked.and_then(|text| self.routes.admit(&text, self.registry.current().type_names())) {
            Ok(None) => return self.show_customers(true),
            Ok(Some(router)) => {
                self.customers_refused.store(false, Ordering::Release);
                info!(customers = router.customers().count(), "customers reloaded");
                self.lint(&router);
                ReloadResult::Admitted
            }
            Err(error @ route::Error::Unreadable { .. }) => {
                if let Some(suppressed) = self.unreadable.permit() {
                    error!(%error, suppressed, "the customers in force stay so");
                }
                ReloadResult::Unreadable
            }
            Err(error) => {
                self.customers_refused.store(true, Ordering::Release);
                error!("{error}; the customers in force stay so");
                ReloadResult::Refused
            }
        };
        self.show_customers(result != ReloadResult::Unreadable);
        self.count(ReloadSubject::Customers, result);
    }

    fn lint(&self, router: &Router) {
        let snapshot = self.registry.current();
        let defaults: Vec<&str> = self.default_types.iter().map(String::as_str).collect();
        for warning in route::warnings(router, &snapshot.type_names(), &defaults) {
            warn!("{warning}");
        }
    }

    /// Says whether all descriptor sets that are there now are in force.
    fn show_descriptors(&self) {
        let failed = self.descriptors_failed.load(Ordering::Acquire);
        let in_force = !failed && self.registry.current().refused().is_empty();
        self.show_in_force(ReloadSubject::Descriptors, in_force);
    }

    /// Says whether the file of customers that is there now is in force.
    fn show_customers(&self, is_readable: bool) {
        let in_force = is_readable && !self.customers_refused.load(Ordering::Acquire);
        self.show_in_force(ReloadSubject::Customers, in_force);
    }

    fn show(&self) {
        let snapshot = self.registry.current();
        let gauge = |state| self.metrics.descriptor_sets.with(&DescriptorSetLabels { state });
        gauge(SetState::InForce).set(snapshot.sets().len() as u64);
        gauge(SetState::Refused).set(snapshot.refused().len() as u64);
    }

    fn show_in_force(&self, what: ReloadSubject, in_force: bool) {
        self.metrics.last_reload.with(&LastReloadLabels { what }).set(in_force.into());
    }

    fn count(&self, what: ReloadSubject, result: ReloadResult) {
        self.metrics.reloads.with(&ReloadLabels { what, result }).add(1);
    }
}

/// The first of these names, and how many more there are.
fn names(ids: &[&str]) -> String {
    match ids.len() {
        0 => "nobody".to_owned(),
        count if count > NAMED => format!("{} and {} more", ids[..NAMED].join(", "), count - NAMED),
        _ => ids.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Loaded;

    #[tokio::test]
    async fn a_panic_leaves_what_is_in_force_and_the_service_alone() {
        let mut config = Config::default();
        config.descriptors.path = concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors").into();
        config.route.customers_file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/customers.yaml").into();
        config.route.topic_template = Some("arn:aws:sns:eu-west-1:123456789012:json-{customer}".to_owned());
        config.profiles.insert("web".to_owned(), Default::default());
        let Loaded { registry, routes, .. } = Loaded::load(&config).unwrap();
        let metrics = Arc::new(Metrics::new(false));
        let reload = Arc::new(Reload::new(&config, registry, routes, Arc::clone(&metrics)));
        assert_eq!(reload.blocking(ReloadSubject::Descriptors, |_| 7).await, Some(7));
        assert_eq!(
            reload.blocking(ReloadSubject::Descriptors, |_| -> u32 { panic!("as a library might") }).await,
            None
        );
        assert_eq!(metrics.reloads.sum_where(|labels| labels.result == ReloadResult::Refused), 1);
    }
}
