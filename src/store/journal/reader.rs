//! Reading the journal: the rows of an id, or all rows of a time, and what of that time is not known.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::declaration::{Declaration, hour_folder};
use super::lookup::Segment;
use super::{Dropped, Found, Hole, HoleKind, Looked, MAX_SPAN, Row, Wanted};
use crate::base::time::unix_micros;
use crate::store::parquet::Error;
use crate::store::process::end_of_process;
use crate::store::{Object, Store};

/// The number of segments that are read at a time.
const PARALLEL: usize = 64;

const HOUR: i64 = 3_600_000_000;

/// Reads the journal of a store. Needs the permissions to list and to read.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Store,
}

/// The segments that can have rows of a window, each with its declaration.
type Segments = Vec<(Declaration, Object)>;

impl Reader {
    /// Creates a reader.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the rows with this id that were recorded in the window, in microseconds since the Unix epoch. An event
    /// that was recorded at the edge of the window can have rows outside of it, too.
    ///
    /// # Errors
    /// Returns an error if the store does not return what is needed, or if a segment is damaged.
    pub async fn find(&self, wanted: &Wanted, window: Range<i64>) -> Result<Found, Error> {
        let (segments, looked) = self.segments(&window).await?;
        let searches = segments.iter().map(|(_, object)| async move {
            let mut segment = Segment::new(&self.store, object);
            let rows = segment.find(wanted).await?;
            Ok::<_, Error>((rows, segment.file.ranges, segment.file.bytes))
        });
        let mut searches = futures_util::stream::iter(searches).buffer_unordered(PARALLEL);
        let mut found = Found { rows: Vec::new(), looked };
        while let Some((rows, ranges, bytes)) = searches.try_next().await? {
            found.rows.extend(rows);
            found.looked.ranges += ranges;
            found.looked.bytes += bytes;
        }
        Ok(found)
    }

    /// Calls `each` with all rows that were recorded in the window, in no particular order, and returns what was read.
    ///
    /// # Errors
    /// Returns an error if the store does not return what is needed, or if a segment is damaged.
    pub async fn scan(&self, window: Range<i64>, mut each: impl FnMut(Row)) -> Result<Looked, Error> {
        let (segments, mut looked) = self.segments(&window).await?;
        for (_, object) in &segments {
            let mut segment = Segment::new(&self.store, object);
            let within = |row: Row| {
                if window.contains(&row.settled_at) {
                    each(row);
                }
            };
            segment.scan(within).await?;
            looked.ranges += segment.file.ranges;
            looked.bytes += segment.file.bytes;
        }
        Ok(looked)
    }

    /// Lists the segments that can have rows of a window.
    async fn segments(&self, window: &Range<i64>) -> Result<(Segments, Looked), Error> {
        let mut listed: Segments = Vec::new();
        let first = window.start.saturating_sub(MAX_SPAN.as_micros() as i64);
        let hours = (first.div_euclid(HOUR)..=window.end.div_euclid(HOUR)).map(|hour| hour_folder(hour * HOUR));
        let listings = hours.map(|folder| async move { self.store.list(&folder).await });
        let mut listings = futures_util::stream::iter(listings).buffer_unordered(PARALLEL);
        while let Some(objects) = listings.try_next().await? {
            let declared = |object: Object| Some((Declaration::of_key(&object.key)?, object));
            listed.extend(objects.into_iter().filter_map(declared));
        }
        let declarations: Vec<&Declaration> = listed.iter().map(|(declaration, _)| declaration).collect();
        let looked = look(&declarations, window, unix_micros(SystemTime::now()));
        listed.retain(|(declaration, _)| overlaps(declaration, window));
        let replicas = listed.iter().map(|(declaration, _)| declaration.replica.clone()).collect();
        let looked = Looked { segments: listed.len() as u64, replicas, ..looked };
        listed.retain(|(declaration, _)| declaration.rows > 0);
        Ok((listed, looked))
    }
}

fn overlaps(declaration: &Declaration, window: &Range<i64>) -> bool {
    declaration.from <= window.end && declaration.to >= window.start
}

/// Returns what the declarations leave unknown about a window. They are those of all segments that began in the window,
/// or at most [`MAX_SPAN`] before it. `now` is the time of the listing.
fn look(declarations: &[&Declaration], window: &Range<i64>, now: i64) -> Looked {
    let mut looked = Looked::default();
    let mut processes: BTreeMap<(&str, &str), Vec<&Declaration>> = BTreeMap::new();
    for &declaration in declarations {
        processes.entry((&declaration.replica, &declaration.incarnation)).or_default().push(declaration);
        if declaration.dropped > 0 && overlaps(declaration, window) {
            let Declaration { replica, from, to, dropped, .. } = declaration;
            looked.dropped.push(Dropped { replica: replica.clone(), from: *from, to: *to, rows: *dropped });
        }
    }
    for ((replica, incarnation), mut segments) in processes {
        segments.sort_unstable_by_key(|segment| (segment.from, segment.number));
        let hole = |from: i64, to: Option<i64>, kind| {
            let is_outside = from >= window.end || to.is_some_and(|to| to <= window.start);
            (!is_outside).then(|| Hole { replica: replica.into(), incarnation: incarnation.into(), from, to, kind })
        };
        if let Some(first) = segments.first().filter(|first| first.number > 0 && first.from > window.start) {
            // The segment before it began less than MAX_SPAN before it, so it would be listed.
            looked.holes.extend(hole(window.start, Some(first.from), HoleKind::Missing));
        }
        for pair in segments.windows(2) {
            if pair[1].from > pair[0].to {
                looked.holes.extend(hole(pair[0].to, Some(pair[1].from), HoleKind::Missing));
            }
        }
        let Some(last) = segments.last().filter(|last| !last.is_last) else { continue };
        let all = || declarations.iter().map(|declaration| declaration.of_process());
        looked.holes.extend(if now < last.next_by {
            hole(last.to, None, HoleKind::NotStoredYet)
        } else {
            hole(last.to, end_of_process(last.of_process(), all(), MAX_SPAN, now), HoleKind::Died)
        });
    }
    looked
}

#[cfg(test)]
mod tests;
