//! Publishing entries together: those with a claim check once their JSON is stored, all others at once.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::claims::{Claims, Offloaded};
use super::undelivered::EntryError;
use crate::aws::s3::claims::Stored;
use crate::aws::sns::publish::{Confirmed, EntryResult, EntryResults, Publisher, TopicEntry};
use crate::aws::sqs::budget::Rendered;
use crate::message::Ownership;

/// An entry that can be published, as far as the window of duplicates is concerned.
pub(super) struct Entry {
    pub(super) entry: TopicEntry,
    /// Whether the message that the entry came with is still ours.
    pub(super) ownership: Ownership,
    /// The count of the JSON of claim checks in memory, which the entries of a message share. It ends when all of this
    /// JSON is stored.
    pub(super) in_memory: Option<Arc<Rendered>>,
}

/// What became of one entry.
pub(super) struct EntryEnd {
    /// The index of the entry among those that are published together.
    pub(super) index: usize,
    /// The proof that the JSON of its claim check is stored, and the bucket.
    pub(super) stored: Option<(Stored, Arc<str>)>,
    pub(super) result: Result<Confirmed, EntryError>,
}

/// Entries that are being published together. Dropping it stops those whose JSON is still being stored.
#[derive(Default)]
pub(super) struct Publication {
    /// The entries that were enqueued together. `None` if there are none, or if each has had its result.
    enqueued: Option<EntryResults>,
    /// The indexes of the entries in `enqueued`, if these are not all entries.
    indexes: Option<Vec<usize>>,
    /// The entries whose JSON is stored first. Each is enqueued by itself then.
    offloaded: Option<FuturesUnordered<Storing>>,
}

/// An entry whose JSON is being stored, and that is published after that.
type Storing = Pin<Box<dyn Future<Output = (usize, Offloaded)> + Send>>;

impl Publication {
    /// Starts to publish entries. The results name them by their index. An entry with a claim check keeps no other entry
    /// waiting.
    pub(super) async fn start(entries: Vec<Entry>, publisher: &Publisher, claims: &Arc<Claims>) -> Self {
        let mut this = Self::default();
        if entries.iter().any(|one| one.entry.offload.is_some()) {
            this.indexes = Some(Vec::new());
        }
        let mut to_enqueue = Vec::with_capacity(entries.len());
        for (index, Entry { entry, ownership, in_memory }) in entries.into_iter().enumerate() {
            match entry.ready() {
                Ok(entry) => {
                    to_enqueue.push((entry, ownership));
                    this.indexes.iter_mut().for_each(|indexes| indexes.push(index));
                }
                Err(entry) => {
                    let (publisher, claims) = (publisher.clone(), Arc::clone(claims));
                    let storing =
                        async move { (index, claims.store_and_publish(entry, ownership, in_memory, &publisher).await) };
                    this.offloaded.get_or_insert_default().push(Box::pin(storing));
                }
            }
        }
        if !to_enqueue.is_empty() {
            this.enqueued = Some(publisher.enqueue(to_enqueue).await);
        }
        this
    }

    /// Waits for results, and returns those that have arrived. Returns none when every entry has had its result. The JSON of
    /// claim checks is stored while this is polled.
    pub(super) async fn next(&mut self) -> Vec<EntryEnd> {
        loop {
            let Self { enqueued, indexes, offloaded } = self;
            tokio::select! {
                biased;
                results = of_enqueued(enqueued), if enqueued.is_some() => {
                    if results.is_empty() {
                        self.enqueued = None;
                        continue;
                    }
                    let index_of = |index| indexes.as_ref().map_or(index, |indexes: &Vec<usize>| indexes[index]);
                    let end = |(index, result): (usize, Result<_, _>)| {
                        EntryEnd { index: index_of(index), stored: None, result: result.map_err(EntryError::from) }
                    };
                    return results.into_iter().map(end).collect();
                }
                offloaded = of_offloaded(offloaded), if offloaded.is_some() => match offloaded {
                    None => self.offloaded = None,
                    Some((index, Offloaded { stored, result: Some(result) })) => {
                        return vec![EntryEnd { index, stored, result }];
                    }
                    // The publisher gives each entry a result.
                    Some((_, Offloaded { result: None, .. })) => {}
                },
                else => return Vec::new(),
            }
        }
    }
}

async fn of_enqueued(enqueued: &mut Option<EntryResults>) -> Vec<EntryResult> {
    match enqueued {
        Some(enqueued) => enqueued.next().await,
        None => Vec::new(),
    }
}

async fn of_offloaded(offloaded: &mut Option<FuturesUnordered<Storing>>) -> Option<(usize, Offloaded)> {
    offloaded.as_mut()?.next().await
}
