use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::app::Loaded;
use crate::app::reload::{InForce, Pace, Places};
use crate::aws::s3::double::Double;
use crate::config::Config;
use crate::route::Routes;
use crate::schema::registry::Registry;
use crate::telemetry::{
    DescriptorSourceErrorLabels, DescriptorSourceLabels, LastReloadLabels, Metrics, ReloadLabels, ReloadResult,
};

const SETS: ReloadSubject = ReloadSubject::Descriptors;
const CUSTOMERS: ReloadSubject = ReloadSubject::Customers;

/// A service that follows a bucket.
struct Service {
    bucket: Double,
    registry: Arc<Registry>,
    routes: Arc<Routes>,
    places: Arc<Places>,
    metrics: Arc<Metrics>,
    requests: watch::Sender<()>,
    run: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.run.abort();
    }
}

fn shop() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb")).unwrap()
}

fn ours() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/protobridge.binpb")).unwrap()
}

fn customers(ids: &[&str]) -> String {
    let entry = |id: &&str| format!("  - {{id: {id}, topic: 'arn:aws:sns:eu-west-1:123456789012:{id}'}}\n");
    format!("customers:\n{}", ids.iter().map(entry).collect::<String>())
}

fn config() -> Config {
    let mut config = Config::default();
    config.descriptors.path = "s3://acme/sets".into();
    config.route.customers_file = "s3://acme/customers.yaml".into();
    config
}

impl Service {
    async fn start(config: Config) -> Self {
        let bucket = Double::default();
        bucket.put("sets/shop.binpb", shop());
        bucket.put("customers.yaml", customers(&["a", "b", "c", "d"]));
        let loaded = Loaded::read(&config, &bucket.clients()).await.unwrap();
        let Loaded { registry, routes, sources, .. } = loaded;
        let (requests, requested) = watch::channel(());
        let pace = Pace::new(&config.descriptors, requested);
        let metrics = Arc::new(Metrics::new(false));
        let in_force = InForce { registry: Arc::clone(&registry), routes: Arc::clone(&routes), sources };
        let reload = Reload::new(&config, in_force, pace, Arc::clone(&metrics));
        let places = reload.places();
        bucket.calls();
        Self { bucket, registry, routes, places, metrics, requests, run: tokio::spawn(reload.run()) }
    }

    /// Waits until the service has polled each place.
    async fn polls(&self) {
        self.bucket.calls();
        let polled = async {
            let mut calls = Vec::new();
            while !["LIST sets/", "GET customers.yaml"].iter().all(|call| calls.iter().any(|made| made == call)) {
                sleep(Duration::from_millis(500)).await;
                calls.extend(self.bucket.calls());
            }
        };
        timeout(Duration::from_secs(60), polled).await.expect("the places are polled");
        // What was read is admitted on threads, which the paused clock waits for.
        sleep(Duration::from_secs(5)).await;
    }

    fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.routes.current().customers().map(|customer| customer.id.to_string()).collect();
        ids.sort();
        ids
    }

    fn knows(&self, name: &str) -> bool {
        self.registry.current().find(name).is_some() && self.routes.definitions().snapshot.find(name).is_some()
    }

    fn in_force(&self, what: ReloadSubject) -> u64 {
        self.metrics.last_reload.with(&LastReloadLabels { what }).get()
    }

    fn reloads(&self, what: ReloadSubject, result: ReloadResult) -> u64 {
        self.metrics.reloads.with(&ReloadLabels { what, result }).get()
    }

    fn errors(&self, what: ReloadSubject, code: StoreErrorCode) -> u64 {
        self.metrics.descriptor_source_errors.with(&DescriptorSourceErrorLabels { what, code }).get()
    }

    fn report(&self) -> serde_json::Value {
        serde_json::to_value(self.places.report()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn sets_and_customers_of_a_bucket_are_reloaded() {
    let service = Service::start(config()).await;
    let version = |service: &Service| {
        let set = service.registry.current().sets()[0].clone();
        service.places.version(&set.name, &set.hash).and_then(|known| known.version)
    };
    assert_eq!(version(&service).as_deref(), Some("v1"));
    assert!(!service.knows("protobridge.v1.Other") && service.knows("shop.v1.OrderPlaced"));
    service.bucket.put("sets/team/ours.binpb", ours());
    service.bucket.put("customers.yaml", customers(&["a", "b", "c", "d", "e"]));
    service.polls().await;
    assert_eq!(service.registry.current().sets().len(), 2);
    assert_eq!(service.ids(), ["a", "b", "c", "d", "e"]);
    assert_eq!(service.reloads(SETS, ReloadResult::Admitted), 1);
    assert_eq!(service.reloads(CUSTOMERS, ReloadResult::Admitted), 1);
    // The same bytes are another version of the object, and the same set.
    service.bucket.put("sets/shop.binpb", shop());
    service.polls().await;
    let snapshot = service.registry.current();
    let known = service.places.version("shop.binpb", &snapshot.sets()[0].hash).unwrap();
    assert_eq!(known.version.as_deref(), Some("v5"));
    assert_eq!(service.reloads(SETS, ReloadResult::Admitted), 1);
}

#[tokio::test(start_paused = true)]
async fn a_poll_of_unchanged_places_is_one_call_each() {
    let mut config = config();
    config.descriptors.poll_seconds = 10;
    let service = Service::start(config).await;
    sleep(Duration::from_secs(101)).await;
    let calls = service.bucket.calls();
    for expected in ["LIST sets/", "GET customers.yaml"] {
        let count = calls.iter().filter(|call| *call == expected).count();
        assert!((10..=13).contains(&count), "{expected}: {count}");
    }
    assert!(calls.iter().all(|call| call == "LIST sets/" || call == "GET customers.yaml"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_polls_at_once_and_without_polls_nothing_else_does() {
    let mut config = config();
    config.descriptors.reload = false;
    let service = Service::start(config).await;
    service.bucket.put("sets/ours.binpb", ours());
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(service.bucket.calls(), [""; 0]);
    service.requests.send_replace(());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(service.registry.current().sets().len(), 2);
    let mut calls = service.bucket.calls();
    calls.sort();
    assert_eq!(calls, ["GET customers.yaml", "GET sets/ours.binpb", "LIST sets/"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_fails_keeps_what_is_in_force_and_says_so() {
    let service = Service::start(config()).await;
    let last_success =
        |what| service.metrics.descriptor_source_last_success.with(&DescriptorSourceLabels { what }).get();
    assert!(last_success(SETS) > 0 && last_success(CUSTOMERS) > 0);
    assert!(service.report()[0].get("last_error").is_none());
    service.bucket.change(|state| {
        state.denies_lists = true;
        state.denied.insert("customers.yaml".to_owned());
        state.put("sets/ours.binpb", ours());
        state.put("customers.yaml", customers(&["a", "b", "c", "d", "e"]));
    });
    service.polls().await;
    assert_eq!((service.in_force(SETS), service.in_force(CUSTOMERS)), (0, 0));
    assert_eq!((service.registry.current().sets().len(), service.ids().len()), (1, 4));
    for (index, (what, place)) in [(SETS, "s3://acme/sets"), (CUSTOMERS, "s3://acme/customers.yaml")].iter().enumerate()
    {
        assert_eq!(service.errors(*what, StoreErrorCode::Denied), service.reloads(*what, ReloadResult::Unreadable));
        assert!(service.errors(*what, StoreErrorCode::Denied) > 0);
        let report = &service.report()[index];
        assert_eq!((report["what"].as_str(), report["place"].as_str()), (Some(what.code()), Some(*place)));
        let error = report["last_error"]["error"].as_str().unwrap();
        assert!(error.contains("AccessDenied") && error.contains(place), "{error}");
    }
    service.bucket.change(|state| {
        state.denies_lists = false;
        state.denied.clear();
    });
    service.polls().await;
    assert_eq!((service.in_force(SETS), service.in_force(CUSTOMERS)), (1, 1));
    assert_eq!((service.registry.current().sets().len(), service.ids().len()), (2, 5));
    assert_eq!(
        service.report()[0]["last_error"]["error"].as_str().map(|error| error.contains("AccessDenied")),
        Some(true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_customers_file_that_lost_its_customers_is_refused_until_it_has_them_again() {
    let service = Service::start(config()).await;
    service.bucket.put("customers.yaml", customers(&["a"]));
    for _ in 0..2 {
        service.polls().await;
        assert_eq!((service.ids().len(), service.in_force(CUSTOMERS)), (4, 0));
        assert_eq!(service.reloads(CUSTOMERS, ReloadResult::Refused), 1, "it is judged once");
    }
    assert_eq!(service.errors(CUSTOMERS, StoreErrorCode::Other), 0, "the bucket did its part");
    service.bucket.put("customers.yaml", customers(&["a", "b", "c", "d"]));
    service.polls().await;
    assert_eq!((service.ids().len(), service.in_force(CUSTOMERS)), (4, 1));
    service.bucket.put("customers.yaml", &b"customers: [\xff]"[..]);
    service.polls().await;
    assert_eq!((service.ids().len(), service.in_force(CUSTOMERS)), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_prefix_that_was_emptied_keeps_its_sets_for_one_poll() {
    let service = Service::start(config()).await;
    service.bucket.delete("sets/shop.binpb");
    service.requests.send_replace(());
    sleep(Duration::from_secs(1)).await;
    assert!(service.knows("shop.v1.OrderPlaced"));
    assert_eq!(service.in_force(SETS), 1);
    service.requests.send_replace(());
    sleep(Duration::from_secs(1)).await;
    assert!(!service.knows("shop.v1.OrderPlaced"));
    service.bucket.put("sets/shop.binpb", shop());
    service.requests.send_replace(());
    sleep(Duration::from_secs(1)).await;
    assert!(service.knows("shop.v1.OrderPlaced"));
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn sets_in_a_bucket_and_customers_in_a_file_are_both_followed() {
    for sets_in_bucket in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (sets, file) = (folder.path().join("sets"), folder.path().join("customers.yaml"));
        std::fs::create_dir(&sets).unwrap();
        write(&sets.join("shop.binpb"), shop());
        write(&file, customers(&["a", "b", "c", "d"]));
        let mut config = config();
        match sets_in_bucket {
            true => config.route.customers_file = file.as_path().into(),
            false => config.descriptors.path = sets.as_path().into(),
        }
        let service = Service::start(config).await;
        let five = customers(&["a", "b", "c", "d", "e"]);
        write(&sets.join("ours.binpb"), ours());
        write(&file, &five);
        service.bucket.put("sets/ours.binpb", ours());
        service.bucket.put("customers.yaml", five);
        service.requests.send_replace(());
        let both = async {
            while service.registry.current().sets().len() < 2 || service.ids().len() < 5 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), both).await.expect("both are reloaded");
        assert_eq!(service.report().as_array().unwrap().len(), 1);
    }
}
