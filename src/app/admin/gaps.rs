//! The missing heartbeats on the page `/status`, as all replicas know them.

use serde::{Deserialize, Serialize};

use crate::base::cut;
use crate::base::time::rfc3339;
use crate::monitor::sources::{Gap, Reach, SharedGaps, SourceGaps};

/// The knowledge of all replicas about missing heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGaps {
    /// How far the knowledge reaches, or why nothing is known at the moment.
    pub knowledge: String,
    /// Whether the lists are known at the moment. If not, there are none.
    pub known: bool,
    /// The lists, sorted by source and queue. A source without a gap has one, too.
    pub list: Vec<KnownGapList>,
    /// The count of sources without a list, because there are more than `heartbeats.max_sources`.
    pub left_out: usize,
}

/// The missing heartbeats of a source on one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGapList {
    /// The name of the source.
    pub source: String,
    /// The name of the queue.
    pub queue: String,
    /// When the first heartbeat of the list was sent.
    pub since: String,
    /// The number of the first heartbeat.
    pub first: u64,
    /// The number of the last heartbeat.
    pub last: u64,
    /// The count of missing heartbeats.
    pub missing: u64,
    /// The last missing ranges.
    pub ranges: Vec<KnownGap>,
    /// The count of older missing ranges.
    pub more_ranges: u64,
    /// The count of heartbeats that were not judged, because a replica could not share them for too long.
    pub not_judged: u64,
}

/// A range of missing heartbeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGap {
    /// The first missing number.
    pub first: u64,
    /// The last missing number.
    pub last: u64,
    /// When a replica noticed that they are missing.
    pub noticed_at: String,
}

impl From<SharedGaps> for KnownGaps {
    fn from(shared: SharedGaps) -> Self {
        let SharedGaps { reach, lists, left_out } = shared;
        let (knowledge, known) = match reach {
            Reach::AllReplicas(count) => (format!("over all replicas ({count})"), true),
            Reach::NotKnown(reason) => (format!("not known at the moment: {}", cut(reason)), false),
        };
        Self { knowledge, known, list: lists.into_iter().map(KnownGapList::from).collect(), left_out }
    }
}

impl From<SourceGaps> for KnownGapList {
    fn from(list: SourceGaps) -> Self {
        let range = |Gap { first, last, noticed }| KnownGap { first, last, noticed_at: rfc3339(noticed) };
        Self {
            source: list.source,
            queue: list.queue,
            since: rfc3339(list.since),
            first: list.first,
            last: list.last,
            missing: list.missing,
            ranges: list.gaps.into_iter().map(range).collect(),
            more_ranges: list.unlisted,
            not_judged: list.not_judged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_keys_that_the_document_shows() {
        let page = include_str!("../../../docs/operations.md");
        let part = page.split("**Know exactly what is missing.**").nth(1).unwrap();
        let block = part.split("```").nth(1).unwrap().strip_prefix("json").unwrap();
        let shown: serde_json::Value = serde_json::from_str(block).unwrap();
        let known: KnownGaps = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(serde_json::to_value(&known).unwrap(), shown);
        let list = known.list.into_iter().next().unwrap();
        let at = |text: &str| crate::base::time::parse_rfc3339(text).unwrap();
        let gap = |gap: &KnownGap| Gap { first: gap.first, last: gap.last, noticed: at(&gap.noticed_at) };
        let source = SourceGaps {
            source: list.source.clone(),
            queue: list.queue.clone(),
            since: at(&list.since),
            first: list.first,
            last: list.last,
            missing: list.missing,
            gaps: list.ranges.iter().map(gap).collect(),
            unlisted: 0,
            not_judged: 0,
        };
        let shared = SharedGaps { reach: Reach::AllReplicas(2), lists: vec![source], left_out: 0 };
        assert_eq!(serde_json::to_value(KnownGaps::from(shared)).unwrap(), shown);
        let unknown = SharedGaps { reach: Reach::NotKnown("x".repeat(5_000)), lists: Vec::new(), left_out: 0 };
        let unknown = KnownGaps::from(unknown);
        assert!(!unknown.known && unknown.knowledge.starts_with("not known at the moment: xxx"), "{unknown:?}");
        assert!(unknown.knowledge.len() < 1_200, "{}", unknown.knowledge.len());
    }
}
