//! Metrics that are told apart by labels, and that the process can read back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

/// The origin of all metrics, as the recorder requires it.
pub(super) const METADATA: Metadata<'static> = Metadata::new("protobridge", metrics::Level::INFO, None);

/// A counter that the process can read back.
#[derive(Debug)]
pub struct Tally {
    count: AtomicU64,
    metric: Counter,
}

impl Tally {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.count.fetch_add(n, Ordering::Relaxed);
        self.metric.increment(n);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// A gauge of whole numbers that the process can read back.
#[derive(Debug)]
pub struct Level {
    level: AtomicU64,
    metric: Gauge,
}

impl Level {
    /// So many.
    pub fn set(&self, level: u64) {
        self.level.store(level, Ordering::Relaxed);
        self.metric.set(level as f64);
    }

    /// Nobody knows any more; Prometheus is shown `NaN`, which no alert takes for a number.
    pub fn forget(&self) {
        self.level.store(0, Ordering::Relaxed);
        self.metric.set(f64::NAN);
    }

    /// One more.
    pub fn rise(&self) {
        self.level.fetch_add(1, Ordering::Relaxed);
        self.metric.increment(1.0);
    }

    /// One less, of those that there are.
    pub fn fall(&self) {
        self.level.fetch_sub(1, Ordering::Relaxed);
        self.metric.decrement(1.0);
    }
}

/// A distribution of times, in seconds; of it the process can read back how many there were.
#[derive(Debug)]
pub struct Times {
    count: AtomicU64,
    metric: Histogram,
}

impl Times {
    /// Notes one more.
    pub fn note(&self, time: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.metric.record(time.as_secs_f64());
    }
}

/// What a [`Family`] is made of.
pub trait Member {
    /// The Prometheus type.
    const KIND: &'static str;

    /// A member that the recorder shows under this key.
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self;

    /// Tells the recorder what the name means.
    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str);

    /// The value now.
    fn value(&self) -> u64;
}

impl Member for Tally {
    const KIND: &'static str = "counter";

    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        Self { count: AtomicU64::new(0), metric: recorder.register_counter(key, &METADATA) }
    }

    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) {
        recorder.describe_counter(KeyName::from(name), Some(Unit::Count), help.into());
    }

    fn value(&self) -> u64 {
        self.get()
    }
}

impl Member for Level {
    const KIND: &'static str = "gauge";

    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        Self { level: AtomicU64::new(0), metric: recorder.register_gauge(key, &METADATA) }
    }

    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) {
        recorder.describe_gauge(KeyName::from(name), Some(Unit::Count), help.into());
    }

    fn value(&self) -> u64 {
        self.level.load(Ordering::Relaxed)
    }
}

impl Member for Times {
    const KIND: &'static str = "histogram";

    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self {
        Self { count: AtomicU64::new(0), metric: recorder.register_histogram(key, &METADATA) }
    }

    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str) {
        recorder.describe_histogram(KeyName::from(name), Some(Unit::Seconds), help.into());
    }

    fn value(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// Metrics of one name, told apart by the values of their labels.
pub struct Family<M = Tally> {
    name: &'static str,
    labels: &'static [&'static str],
    recorder: Arc<PrometheusRecorder>,
    /// They are looked up several times an event, which SipHash would be most of.
    members: RwLock<HashMap<String, Arc<M>, foldhash::fast::RandomState>>,
}

thread_local! {
    /// Where the key of a member is put together, so that a lookup allocates nothing.
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<M> std::fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Family").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Joins label values into the key of a member; no label value holds this character.
const SEPARATOR: char = '\u{1f}';

impl<M: Member> Family<M> {
    pub(super) fn new(
        recorder: &Arc<PrometheusRecorder>,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        M::describe(recorder, name, help);
        Self { name, labels, recorder: Arc::clone(recorder), members: RwLock::default() }
    }

    /// The member with these label values, in the order of the family's labels.
    pub fn with(&self, values: &[&str]) -> Arc<M> {
        debug_assert_eq!(values.len(), self.labels.len(), "{} has the labels {:?}", self.name, self.labels);
        KEY.with_borrow_mut(|key| {
            key.clear();
            for value in values {
                key.push_str(value);
                key.push(SEPARATOR);
            }
            if let Some(member) = self.members.read().unwrap_or_else(PoisonError::into_inner).get(key) {
                return Arc::clone(member);
            }
            self.add(key, values)
        })
    }

    fn add(&self, key: &str, values: &[&str]) -> Arc<M> {
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
        let shown = Key::from_parts(self.name, labels.collect::<Vec<_>>());
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(members.entry(key.to_owned()).or_insert_with(|| Arc::new(M::register(&self.recorder, &shown))))
    }

    /// All members: label values and value, sorted by label values.
    pub fn totals(&self) -> Vec<(Vec<String>, u64)> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        let values = |key: &str| key.split_terminator(SEPARATOR).map(str::to_owned).collect();
        let mut totals: Vec<(Vec<String>, u64)> =
            members.iter().map(|(key, member)| (values(key), member.value())).collect();
        totals.sort();
        totals
    }

    /// The sum of the members whose label of this name has this value.
    pub fn sum_where(&self, label: &str, value: &str) -> u64 {
        let Some(index) = self.labels.iter().position(|name| *name == label) else { return 0 };
        self.totals().iter().filter(|(values, _)| values[index] == value).map(|(_, count)| count).sum()
    }

    /// The sum of all members.
    pub fn sum(&self) -> u64 {
        self.totals().iter().map(|(_, count)| count).sum()
    }
}
