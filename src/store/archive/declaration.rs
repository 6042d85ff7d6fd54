//! What a segment of the archive says about itself, in its key and in its metadata.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{cleaned, process};

/// The folder of all segments in the store.
pub const FOLDER: &str = "archive/v1";

/// What a segment says about itself. Times are microseconds since the Unix epoch.
///
/// The segments of one process cover its life without a break: each begins when the one before it ends. Messages that were
/// deleted without the archive are counted in `lost`; the metadata of the segment lists them by queue, as [`Lost`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// The replica: the name of its host or pod.
    pub replica: String,
    /// Identifies the process: hexadecimal digits, the same in all of its segments.
    pub incarnation: String,
    /// The number of the segment, from 0, within its process.
    pub number: u64,
    /// The begin of the time in which the messages were finished.
    pub from: i64,
    /// The end of that time, excluded.
    pub to: i64,
    /// When the process intends to have stored its next segment at the latest.
    pub next_by: i64,
    /// When the oldest message of the segment was sent to its queue; `from` if the segment has none.
    pub oldest: i64,
    /// The number of messages.
    pub rows: u64,
    /// The number of messages that were deleted in that time without the archive.
    pub lost: u64,
    /// Whether the process stopped in order after this segment.
    pub is_last: bool,
}

/// Messages of one queue that were deleted without the archive. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lost {
    /// The name of the queue.
    pub queue: String,
    /// When the first of them was finished.
    pub from: i64,
    /// When the last of them was finished.
    pub to: i64,
    /// Their number.
    pub count: u64,
}

impl Declaration {
    /// Returns the key of the segment in the store, such as `archive/v1/date=2026-11-28/hour=12/
    /// 0310-pod-b-18f2a6c4-000007-1795867390000000-1795867391000000-1795867511000000-1795867389870000-812-0-more.parquet`.
    ///
    /// Date, hour, minute and second are those of `from`, in UTC. The other parts are the declaration, so that a listing
    /// tells what is known and what is not.
    pub fn key(&self) -> String {
        let Self { replica, incarnation, number, from, to, next_by, oldest, rows, lost, is_last } = self;
        let end = if *is_last { "end" } else { "more" };
        let begin = Timestamp::from_microsecond(*from).unwrap_or_default().strftime("%M%S");
        let (folder, replica) = (hour_folder(*from), cleaned(replica));
        format!(
            "{folder}/{begin}-{replica}-{incarnation}-{number:06}-{from}-{to}-{next_by}-{oldest}-{rows}-{lost}-{end}.parquet"
        )
    }

    /// Reads a declaration from a key; `None` if it is not the key of a segment.
    pub fn of_key(key: &str) -> Option<Self> {
        let name = key.strip_suffix(".parquet")?.rsplit('/').next()?;
        // The name of a replica can have dashes, so the parts are taken from the end.
        let mut parts = name.rsplitn(10, '-');
        let is_last = match parts.next()? {
            "end" => true,
            "more" => false,
            _ => return None,
        };
        let lost = parts.next()?.parse().ok()?;
        let rows = parts.next()?.parse().ok()?;
        let oldest = parts.next()?.parse().ok()?;
        let next_by = parts.next()?.parse().ok()?;
        let to = parts.next()?.parse().ok()?;
        let from = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let incarnation = parts.next()?.to_owned();
        let (_, replica) = parts.next()?.split_once('-')?;
        Some(Self { replica: replica.to_owned(), incarnation, number, from, to, next_by, oldest, rows, lost, is_last })
    }

    /// Returns the segment as one of its process.
    pub(super) fn of_process(&self) -> process::Segment<'_> {
        let Self { replica, incarnation, from, to, .. } = self;
        process::Segment { replica, incarnation, from: *from, to: *to }
    }
}

/// Returns the folder of the segments that begin in the hour of this time.
pub(super) fn hour_folder(time: i64) -> String {
    process::hour_folder(FOLDER, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_the_declaration() {
        let declaration = Declaration {
            replica: "pod-b-7".into(),
            incarnation: "18f2a6c4".into(),
            number: 7,
            from: 1_795_867_390_000_000,
            to: 1_795_867_391_000_000,
            next_by: 1_795_867_511_000_000,
            oldest: 1_795_867_389_870_000,
            rows: 812,
            lost: 3,
            is_last: false,
        };
        let key = declaration.key();
        assert_eq!(
            key,
            "archive/v1/date=2026-11-28/hour=12/0310-pod-b-7-18f2a6c4-000007-1795867390000000-1795867391000000-\
             1795867511000000-1795867389870000-812-3-more.parquet"
        );
        assert_eq!(Declaration::of_key(&key), Some(declaration.clone()));
        let last = Declaration { is_last: true, ..declaration };
        assert_eq!(Declaration::of_key(&last.key()), Some(last));
        for other in ["archive/v1/x.parquet", "archive/v1/0310-a-b-1-2-3-4-5-6-7-maybe.parquet", "archive/v1/a.txt"] {
            assert_eq!(Declaration::of_key(other), None, "{other}");
        }
    }
}
