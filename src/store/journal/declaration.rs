//! What a segment says about itself, in its key and in its metadata.

use jiff::Timestamp;

use crate::store::{cleaned, process};

/// The folder of all segments in the store.
pub const FOLDER: &str = "journal/v1";

/// What a segment says about itself. Times are microseconds since the Unix epoch.
///
/// The segments of one process cover its life without a break: each begins when the one before it ends. So the time
/// after the last segment of a process that did not stop in order is a hole, and what the process did then is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// The replica: the name of its host or pod.
    pub replica: String,
    /// Identifies the process: hexadecimal digits, the same in all of its segments.
    pub incarnation: String,
    /// The number of the segment, from 0, within its process.
    pub number: u64,
    /// The begin of the time in which the rows were recorded.
    pub from: i64,
    /// The end of that time, excluded.
    pub to: i64,
    /// When the process intends to have stored its next segment at the latest.
    pub next_by: i64,
    /// The number of rows.
    pub rows: u64,
    /// The number of rows of that time that were dropped.
    pub dropped: u64,
    /// Whether the process stopped in order after this segment.
    pub is_last: bool,
}

impl Declaration {
    /// Returns the key of the segment in the store, such as `journal/v1/date=2026-11-28/hour=12/
    /// 0310-pod-b-18f2a6c4-000007-1795867390000000-1795867450000000-1795867570000000-5120-0-more.parquet`.
    ///
    /// Date, hour, minute and second are those of `from`, in UTC. The other parts are the declaration, so that a listing
    /// tells what is known and what is not.
    pub fn key(&self) -> String {
        let Self { replica, incarnation, number, from, to, next_by, rows, dropped, is_last } = self;
        let end = if *is_last { "end" } else { "more" };
        let begin = Timestamp::from_microsecond(*from).unwrap_or_default().strftime("%M%S");
        let (folder, replica) = (hour_folder(*from), cleaned(replica));
        format!(
            "{folder}/{begin}-{replica}-{incarnation}-{number:06}-{from}-{to}-{next_by}-{rows}-{dropped}-{end}.parquet"
        )
    }

    /// Reads a declaration from a key; `None` if it is not the key of a segment.
    pub fn of_key(key: &str) -> Option<Self> {
        let name = key.strip_suffix(".parquet")?.rsplit('/').next()?;
        // The name of a replica can have dashes, so the parts are taken from the end.
        let mut parts = name.rsplitn(9, '-');
        let is_last = match parts.next()? {
            "end" => true,
            "more" => false,
            _ => return None,
        };
        let dropped = parts.next()?.parse().ok()?;
        let rows = parts.next()?.parse().ok()?;
        let next_by = parts.next()?.parse().ok()?;
        let to = parts.next()?.parse().ok()?;
        let from = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let incarnation = parts.next()?.to_owned();
        let (_, replica) = parts.next()?.split_once('-')?;
        Some(Self { replica: replica.to_owned(), incarnation, number, from, to, next_by, rows, dropped, is_last })
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
            to: 1_795_867_450_000_000,
            next_by: 1_795_867_570_000_000,
            rows: 5_120,
            dropped: 3,
            is_last: false,
        };
        let key = declaration.key();
        assert_eq!(
            key,
            "journal/v1/date=2026-11-28/hour=12/0310-pod-b-7-18f2a6c4-000007-1795867390000000-1795867450000000-\
             1795867570000000-5120-3-more.parquet"
        );
        assert_eq!(Declaration::of_key(&key), Some(declaration.clone()));
        let last = Declaration { is_last: true, ..declaration };
        assert_eq!(Declaration::of_key(&last.key()), Some(last));
        for other in ["journal/v1/x.parquet", "journal/v1/0310-a-b-1-2-3-4-5-6-maybe.parquet", "journal/v1/readme.txt"]
        {
            assert_eq!(Declaration::of_key(other), None, "{other}");
        }
    }
}
