//! Reading the archive: its segments of a window, their rows in order, and the gaps between them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::cursor::TAIL_BYTES;
use super::declaration::hour_folder;
use super::decode::Queues;
use super::metadata::declaration_of;
use super::{Declaration, Gap, Lost, MAX_SPAN, Position, Rows, gaps};
use crate::base::time::unix_micros;
use crate::message::Queue;
use crate::store::parquet::{Error, File};
use crate::store::{Object, Store};

/// The number of calls at a time.
const PARALLEL: usize = 64;

const HOUR: i64 = 3_600_000_000;

/// Reads the archive of a store. Needs the permissions to list and to read.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) store: Store,
    pub(super) queues: Arc<Queues>,
}

/// A stored segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it says about itself.
    pub declaration: Declaration,
    /// Where it is, and its size.
    pub object: Object,
}

/// The segments that can have rows of a window, and what no segment tells about the window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The segments, sorted by key.
    pub segments: Vec<Stored>,
    /// The gaps, sorted by their begin.
    pub gaps: Vec<Gap>,
}

impl Listing {
    /// Returns the number of messages in the segments. A message that was received twice counts twice.
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|stored| stored.declaration.rows).sum()
    }

    /// Returns the size of the segments in bytes.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|stored| stored.object.size).sum()
    }
}

impl Reader {
    /// Creates a reader. Messages of a queue that is not among these have a queue with its name and no settings.
    pub fn new(store: Store, queues: Vec<Arc<Queue>>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue.label.clone(), queue)).collect();
        Self { store, queues: Arc::new(queues) }
    }

    /// Lists the segments that can have messages which were finished in the window, in microseconds since the Unix
    /// epoch, and the gaps of the window.
    ///
    /// # Errors
    /// Returns an error if the store does not list its segments, or if one that declares a loss cannot be read.
    pub async fn look(&self, window: Range<i64>) -> Result<Listing, Error> {
        let first = window.start.saturating_sub(MAX_SPAN.as_micros() as i64);
        let hours = (first.div_euclid(HOUR)..=window.end.div_euclid(HOUR)).map(|hour| hour_folder(hour * HOUR));
        let listings = hours.map(|folder| async move { self.store.list(&folder).await });
        let mut listings = futures_util::stream::iter(listings).buffered(PARALLEL);
        let mut segments: Vec<Stored> = Vec::new();
        // Of what ended before the window, the last segment of each process tells enough about gaps.
        let mut before: HashMap<(String, String), Declaration> = HashMap::new();
        while let Some(objects) = listings.try_next().await? {
            for object in objects {
                let Some(declaration) = Declaration::of_key(&object.key) else { continue };
                if declaration.to >= window.start {
                    segments.push(Stored { declaration, object });
                    continue;
                }
                let process = (declaration.replica.clone(), declaration.incarnation.clone());
                let last = before.entry(process).or_insert_with(|| declaration.clone());
                if last.number < declaration.number {
                    *last = declaration;
                }
            }
        }
        let declarations: Vec<&Declaration> =
            before.values().chain(segments.iter().map(|stored| &stored.declaration)).collect();
        let mut gaps = gaps::between(&declarations, &window, unix_micros(SystemTime::now()));
        segments.retain(|stored| stored.declaration.overlaps(&window));
        let mut losing = Vec::new();
        for stored in segments.iter().filter(|stored| stored.declaration.lost > 0) {
            losing.push(async move { Ok::<_, Error>((stored, self.lost(stored).await?)) });
        }
        let mut losing = futures_util::stream::iter(losing).buffered(PARALLEL);
        while let Some((stored, lost)) = losing.try_next().await? {
            gaps.extend(gaps::of_lost(&stored.declaration, lost, &window));
        }
        drop(losing);
        gaps.sort_by(|one, other| (one.from, &one.replica).cmp(&(other.from, &other.replica)));
        Ok(Listing { segments, gaps })
    }

    /// Returns the rows of a listing's segments that were finished in the window and come after a position. They have
    /// the order of their positions, and each message is returned once.
    pub fn rows(&self, listing: &Listing, window: Range<i64>, after: Option<Position>) -> Rows {
        Rows::new(self.store.clone(), Arc::clone(&self.queues), listing, window, after)
    }

    /// Returns the messages that a segment declares as lost.
    async fn lost(&self, stored: &Stored) -> Result<Vec<Lost>, Error> {
        let mut file = File::new(&self.store, &stored.object.key, stored.object.size);
        let metadata = file.metadata(TAIL_BYTES).await?;
        let (_, lost) = file.decoded(|_| declaration_of(&metadata))?;
        Ok(lost)
    }
}

impl Declaration {
    /// Whether the segment can have messages that were finished in the window.
    pub(super) fn overlaps(&self, window: &Range<i64>) -> bool {
        self.from <= window.end && self.to >= window.start
    }
}

#[cfg(test)]
mod tests;
