//! Reads the counters of all replicas.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{FOLDER, HOUR, MINUTE, Minute, hour_folder};
use crate::store::{Error, Store};

/// The most objects that are read at the same time.
const CONCURRENT_GETS: usize = 64;
/// The most hours that are listed at the same time.
const CONCURRENT_LISTS: usize = 16;
/// The longest time between the begin of a minute in its key and its end. It is longer than a minute if a process starts
/// within the last second of one.
const LONGEST: i64 = 2 * MINUTE;

/// Reads counters from a store.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Store,
}

impl Reader {
    /// Creates a reader.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the minutes of all replicas that overlap the window, which is in microseconds since the Unix epoch. They
    /// are sorted by their begin. A minute that overlaps it in part is returned as a whole.
    ///
    /// # Errors
    /// Returns an error if the store does not answer, or if an object is damaged. The error names the object.
    pub async fn minutes(&self, window: Range<i64>) -> Result<Vec<Minute>, Error> {
        let folders = hours(&window).map(hour_folder);
        let listed = stream::iter(folders).map(|folder| async move { self.store.list(&folder).await });
        let listed: Vec<_> = listed.buffered(CONCURRENT_LISTS).try_collect().await?;
        let keys = listed.into_iter().flatten().map(|object| object.key).filter(|key| can_touch(key, &window));
        let read = stream::iter(keys).map(|key| self.read(key)).buffer_unordered(CONCURRENT_GETS);
        let mut minutes: Vec<Minute> = read.try_collect().await?;
        minutes.retain(|minute| minute.from < window.end && (minute.to > window.start || minute.from == window.start));
        minutes.sort_unstable_by(|one, other| {
            let order = |minute: &Minute| (minute.from, minute.to, minute.number);
            let name = |minute: &Minute| (minute.replica.clone(), minute.incarnation.clone());
            order(one).cmp(&order(other)).then_with(|| name(one).cmp(&name(other)))
        });
        Ok(minutes)
    }

    async fn read(&self, key: String) -> Result<Minute, Error> {
        let bytes = self.store.get(&key).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.store.damaged(&key, error))
    }
}

/// Returns a time within each hour in which a minute of the window can begin.
fn hours(window: &Range<i64>) -> impl Iterator<Item = i64> + use<> {
    let first = (window.start - LONGEST).div_euclid(HOUR);
    let last = (window.end - 1).div_euclid(HOUR);
    (first..=last).map(|hour| hour * HOUR)
}

/// Whether the minute with this key can overlap the window. Objects that are not counters cannot.
fn can_touch(key: &str, window: &Range<i64>) -> bool {
    begin(key).is_some_and(|begin| begin < window.end && begin + LONGEST > window.start)
}

/// Returns the begin of the minute with this key, cut to the second.
fn begin(key: &str) -> Option<i64> {
    let name = key.strip_prefix(FOLDER)?.strip_suffix(".json")?;
    let (time, _) = name.split_at_checked("/date=2026-11-28/hour=12/0310".len())?;
    let time = DateTime::strptime("/date=%Y-%m-%d/hour=%H/%M%S", time).ok()?;
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_microsecond())
}
