//! Metric families: metrics of one name with different labels. The process can read them back.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::label_set::{LabelSet, NoLabels};

/// The origin of all metrics. The recorder requires it.
pub(super) const METADATA: Metadata<'static> = Metadata::new("protobridge", metrics::Level::INFO, None);

/// A counter that the process can read back.
#[derive(Debug)]
pub struct Tally {
    count: AtomicU64,
    metric: Counter,
}

impl Tally {
    /// Adds `n` to the counter.
    pub fn add(&self, n: u64) {
        self.count.fetch_add(n, Ordering::Relaxed);
        self.metric.increment(n);
    }

    /// Returns the count.
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
    /// Returns the gauge.
    pub fn get(&self) -> u64 {
        self.level.load(Ordering::Relaxed)
    }

    /// Sets the gauge.
    pub fn set(&self, level: u64) {
        self.level.store(level, Ordering::Relaxed);
        self.metric.set(level as f64);
    }

    /// Marks the value as unknown. Prometheus receives `NaN`, which no alert compares as a number; the process reads 0.
    pub fn forget(&self) {
        self.level.store(0, Ordering::Relaxed);
        self.metric.set(f64::NAN);
    }

    /// Adds 1 to the gauge.
    pub fn rise(&self) {
        self.level.fetch_add(1, Ordering::Relaxed);
        self.metric.increment(1.0);
    }

    /// Subtracts 1 from the gauge. The caller added it with [`rise`](Self::rise) before.
    pub fn fall(&self) {
        self.level.fetch_sub(1, Ordering::Relaxed);
        self.metric.decrement(1.0);
    }
}

/// A histogram of times, in seconds. The process can read back the number of observations.
#[derive(Debug)]
pub struct Times {
    count: AtomicU64,
    metric: Histogram,
}

impl Times {
    /// Records one time.
    pub fn note(&self, time: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.metric.record(time.as_secs_f64());
    }
}

/// A counter, gauge or histogram that a [`Family`] consists of.
pub trait Member {
    /// The Prometheus type.
    const KIND: &'static str;

    /// Registers a member with the recorder under this key.
    fn register(recorder: &PrometheusRecorder, key: &Key) -> Self;

    /// Sets the recorder's help text for the name.
    fn describe(recorder: &PrometheusRecorder, name: &'static str, help: &'static str);

    /// Returns the current value: of a histogram, the number of observations.
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
        self.get()
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

/// The metrics of one name. Each member has its own values of the labels `L`.
pub struct Family<L = NoLabels, M = Tally> {
    name: &'static str,
    recorder: Arc<PrometheusRecorder>,
    /// The members by the values of their labels. Each event needs several lookups, which SipHash would slow down.
    members: RwLock<Members<M>>,
    labels: PhantomData<fn() -> L>,
}

type Members<M> = HashMap<String, Arc<M>, foldhash::fast::RandomState>;

thread_local! {
    /// The buffer in which a lookup builds the key of a member, so that it allocates nothing.
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Shows the members with their labels and values.
impl<L: LabelSet, M: Member> fmt::Debug for Family<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        let members = self.members();
        f.debug_map().entries(members.iter().map(|(key, member)| (labels::<L>(key), member.value()))).finish()
    }
}

/// Joins label values into the key of a member. No label value contains this character.
const SEPARATOR: char = '\u{1f}';

impl<L: LabelSet, M: Member> Family<L, M> {
    pub(super) fn new(recorder: &Arc<PrometheusRecorder>, name: &'static str, help: &'static str) -> Self {
        M::describe(recorder, name, help);
        Self { name, recorder: Arc::clone(recorder), members: RwLock::default(), labels: PhantomData }
    }

    /// Returns the member with these labels. It is shown from now on.
    pub fn with(&self, labels: &L::With<'_>) -> Arc<M> {
        KEY.with_borrow_mut(|key| {
            key.clear();
            L::each(*labels, |_, value| {
                key.push_str(value);
                key.push(SEPARATOR);
            });
            if let Some(member) = self.members().get(key) {
                return Arc::clone(member);
            }
            self.add(key, *labels)
        })
    }

    fn add(&self, key: &str, labels: L::With<'_>) -> Arc<M> {
        let mut shown = Vec::new();
        L::each(labels, |name, value| shown.push(Label::new(name, value.to_owned())));
        let shown = Key::from_parts(self.name, shown);
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(members.entry(key.to_owned()).or_insert_with(|| Arc::new(M::register(&self.recorder, &shown))))
    }

    /// Returns the sum of all members.
    pub fn sum(&self) -> u64 {
        self.members().values().map(|member| member.value()).sum()
    }

    /// Returns the sum of the members whose labels meet the condition.
    pub fn sum_where(&self, is_met: impl Fn(L::With<'_>) -> bool) -> u64 {
        let members = self.members();
        let chosen = members.iter().filter(|(key, _)| is_met(labels::<L>(key)));
        chosen.map(|(_, member)| member.value()).sum()
    }

    /// Returns the sums of the members by a group that their labels determine. Leaves out members whose group is `None`
    /// and groups whose sum is 0.
    pub fn sum_by<G: Ord>(&self, group: impl Fn(L::With<'_>) -> Option<G>) -> BTreeMap<G, u64> {
        let mut sums = BTreeMap::new();
        for (key, member) in self.members().iter() {
            let value = member.value();
            if value > 0
                && let Some(group) = group(labels::<L>(key))
            {
                *sums.entry(group).or_default() += value;
            }
        }
        sums
    }

    fn members(&self) -> RwLockReadGuard<'_, Members<M>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the labels of the member with this key.
fn labels<L: LabelSet>(key: &str) -> L::With<'_> {
    L::read(key.split_terminator(SEPARATOR))
}
