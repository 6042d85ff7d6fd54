//! The state of the places that are in buckets, for `/status`, `/schemas` and the metrics.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;

use crate::app::Sources;
use crate::base::cut;
use crate::base::time::rfc3339;
use crate::schema::registry::Known;
use crate::telemetry::{DescriptorSourceErrorLabels, DescriptorSourceLabels, Metrics, ReloadSubject, StoreErrorCode};

/// The places of the descriptor sets and of the customers file that are in buckets.
#[derive(Debug)]
pub struct Places {
    places: Mutex<Vec<Place>>,
    /// The versions of the objects that were read last, by the name of the set.
    versions: Mutex<BTreeMap<String, Known>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Place {
    what: ReloadSubject,
    url: String,
    last_success: SystemTime,
    last_error: Option<(SystemTime, String)>,
}

/// A place at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceReport {
    /// The files: `descriptors` or `customers`.
    what: &'static str,
    place: String,
    /// When the place was read last, or was found unchanged.
    last_success_at: String,
    /// The last failure since the start of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<PlaceError>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PlaceError {
    at: String,
    error: String,
}

impl Places {
    /// Creates the knowledge of a start, which has read the places.
    pub(super) fn new(sources: &Sources, metrics: Arc<Metrics>) -> Self {
        let sets = sources.sets.as_ref().map(|objects| (ReloadSubject::Descriptors, objects.location()));
        let customers = sources.customers.as_ref().map(|object| (ReloadSubject::Customers, object.location()));
        let place = |(what, location): (ReloadSubject, &crate::config::Location)| {
            for code in StoreErrorCode::ALL.iter().copied() {
                metrics.descriptor_source_errors.with(&DescriptorSourceErrorLabels { what, code });
            }
            Place { what, url: location.to_string(), last_success: SystemTime::now(), last_error: None }
        };
        let places: Vec<Place> = sets.into_iter().chain(customers).map(place).collect();
        let subjects: Vec<ReloadSubject> = places.iter().map(|place| place.what).collect();
        let versions = sources.sets.as_ref().map(|objects| objects.known().clone()).unwrap_or_default();
        let this = Self { places: Mutex::new(places), versions: Mutex::new(versions), metrics };
        subjects.into_iter().for_each(|what| this.succeeded(what));
        this
    }

    /// Returns the places.
    pub fn report(&self) -> Vec<PlaceReport> {
        let report = |place: &Place| PlaceReport {
            what: place.what.code(),
            place: place.url.clone(),
            last_success_at: rfc3339(place.last_success),
            last_error: place
                .last_error
                .as_ref()
                .map(|(at, error)| PlaceError { at: rfc3339(*at), error: error.clone() }),
        };
        self.places.lock().iter().map(report).collect()
    }

    /// Returns the version of the object that a set with this name and hash was read from, if it was read from a bucket.
    pub fn version(&self, name: &str, hash: &str) -> Option<Known> {
        self.versions.lock().get(name).filter(|known| known.hash.as_deref() == Some(hash)).cloned()
    }

    pub(super) fn set_versions(&self, known: &BTreeMap<String, Known>) {
        *self.versions.lock() = known.clone();
    }

    /// Shows the interval at which a place is polled, in seconds; 0 if it is not.
    pub(super) fn is_polled_every(&self, what: ReloadSubject, seconds: u64) {
        self.metrics.descriptor_source_poll_seconds.with(&DescriptorSourceLabels { what }).set(seconds);
    }

    pub(super) fn succeeded(&self, what: ReloadSubject) {
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.metrics.descriptor_source_last_success.with(&DescriptorSourceLabels { what }).set(seconds);
        self.change(what, |place| place.last_success = now);
    }

    pub(super) fn failed(&self, what: ReloadSubject, code: StoreErrorCode, error: &dyn Display) {
        self.metrics.descriptor_source_errors.with(&DescriptorSourceErrorLabels { what, code }).add(1);
        self.change(what, |place| place.last_error = Some((SystemTime::now(), cut(error.to_string()))));
    }

    fn change(&self, what: ReloadSubject, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.places.lock().iter_mut().find(|place| place.what == what) {
            change(place);
        }
    }
}
