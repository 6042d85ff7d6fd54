//! Checking a segment: that it can be read, and that it is what it declares.

use std::fmt;
use std::ops::RangeInclusive;

use parquet::file::metadata::ParquetMetaData;
use serde::{Serialize, Serializer};

use super::cursor::TAIL_BYTES;
use super::decode::rows_of_group;
use super::metadata::declaration_of;
use super::{Declaration, Position, Reader, Row, Stored};
use crate::store::parquet::{Error, File, count_of, range_of_group};

/// What is wrong with a segment. In JSON it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// It, or a part of it, cannot be read.
    Unreadable(String),
    /// It is not in the store any more.
    Gone,
    /// Its metadata declares something else than its key. This is the key of its metadata.
    OtherKey(String),
    /// It does not have the number of messages that it declares.
    Count {
        /// The number that it declares.
        declared: u64,
        /// The number that it has.
        found: u64,
    },
    /// A message is not in the order of the archive. This is the id of the message.
    Order(String),
    /// A message was finished at a time that the segment does not cover. This is the id of the message.
    Settled(String),
    /// The oldest message is not as old as declared, or older.
    Oldest,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => f.write_str(error),
            Self::Gone => f.write_str("the segment was deleted while the archive was read"),
            Self::OtherKey(key) => {
                write!(f, "the segment was written as {key}; it was moved, or its metadata is damaged")
            }
            Self::Count { declared, found } => write!(f, "the segment declares {declared} messages and has {found}"),
            Self::Order(id) => write!(f, "the message {id} is not in its place"),
            Self::Settled(id) => write!(f, "the message {id} was not finished in the time that the segment covers"),
            Self::Oldest => f.write_str("the oldest message is not of the time that the segment declares"),
        }
    }
}

impl Serialize for Damage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Reader {
    /// Reads a whole segment, a row group at a time, and returns the first thing that is wrong with it, if any is.
    ///
    /// # Errors
    /// Returns an error if the store does not answer.
    pub async fn verify(&self, stored: &Stored) -> Result<Option<Damage>, crate::store::Error> {
        match self.check(stored).await {
            Ok(damage) => Ok(damage),
            Err(Error::Damaged { error, .. }) => Ok(Some(Damage::Unreadable(error.to_string()))),
            Err(Error::Store(error)) if error.is_missing() => Ok(Some(Damage::Gone)),
            Err(Error::Store(error)) => Err(error),
        }
    }

    async fn check(&self, stored: &Stored) -> Result<Option<Damage>, Error> {
        let open = || File::new(&self.store, &stored.object.key, stored.object.size);
        let mut file = open();
        let metadata = file.metadata(TAIL_BYTES).await?;
        let (declaration, _) = file.decoded(|_| declaration_of(&metadata))?;
        if declaration.key() != stored.object.key {
            return Ok(Some(Damage::OtherKey(declaration.key())));
        }
        let mut seen = Seen::new(&declaration);
        for group in 0..metadata.num_row_groups() {
            let rows = self.group(&mut file, &metadata, group).await?;
            if let Some(damage) = rows.iter().find_map(|row| seen.add(row)) {
                return Ok(Some(damage));
            }
            // Frees what was read.
            file = open();
        }
        Ok(seen.finish())
    }

    async fn group(&self, file: &mut File<'_>, metadata: &ParquetMetaData, group: usize) -> Result<Vec<Row>, Error> {
        let of_group = metadata.row_group(group);
        file.fetch(range_of_group(of_group)).await?;
        file.decoded(|parts| rows_of_group(parts, metadata, group, 0..count_of(of_group), &self.queues))
    }
}

/// The messages of a segment, in its order.
struct Seen<'d> {
    declaration: &'d Declaration,
    times: RangeInclusive<i64>,
    count: u64,
    last: Option<Position>,
}

impl<'d> Seen<'d> {
    fn new(declaration: &'d Declaration) -> Self {
        Self { declaration, times: declaration.from..=declaration.to, count: 0, last: None }
    }

    fn add(&mut self, row: &Row) -> Option<Damage> {
        let (position, id) = (row.position(), || row.message.message_id.clone());
        let is_first = self.last.is_none();
        let is_sorted = self.last.as_ref().is_none_or(|last| *last <= position);
        let is_oldest = !is_first || position.sent_at == self.declaration.oldest;
        self.count += 1;
        self.last = Some(position);
        if !is_sorted {
            Some(Damage::Order(id()))
        } else if !is_oldest {
            Some(Damage::Oldest)
        } else {
            (!self.times.contains(&row.settled_at)).then(|| Damage::Settled(id()))
        }
    }

    fn finish(self) -> Option<Damage> {
        let (declared, found) = (self.declaration.rows, self.count);
        (declared != found).then_some(Damage::Count { declared, found })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_rows::{declared, sparse, stored};
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn each_damage_is_found_and_a_good_segment_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path().into()).unwrap();
        let rows = [sparse("a", 5, 10), sparse("b", 7, 1_000_000)];
        let good = declared(&rows, 0, (0, 1));
        let reader = Reader::new(store.clone(), Vec::new());
        let check = async |declaration: &Declaration| {
            let stored = stored(&store, &rows, declaration, &[]).await;
            reader.verify(&stored).await.unwrap()
        };
        assert_eq!(check(&good).await, None);
        let count = check(&Declaration { rows: 3, ..good.clone() }).await;
        assert_eq!(count, Some(Damage::Count { declared: 3, found: 2 }));
        assert_eq!(check(&Declaration { oldest: 4, ..good.clone() }).await, Some(Damage::Oldest));
        let short = Declaration { to: 999_999, ..good.clone() };
        assert_eq!(check(&short).await, Some(Damage::Settled("b".into())));
        // The key says that messages were lost, the metadata does not list them.
        let lossy = Declaration { lost: 1, ..good.clone() };
        assert_eq!(check(&lossy).await, Some(Damage::OtherKey(good.key())));

        let segment = stored(&store, &rows, &good, &[]).await;
        let mut bytes = store.get(&segment.object.key).await.unwrap().to_vec();
        bytes[10] ^= 0xff;
        store.put(&segment.object.key, bytes.into()).await.unwrap();
        let damage = reader.verify(&segment).await.unwrap();
        assert!(matches!(damage, Some(Damage::Unreadable(_))), "{damage:?}");
        store.delete(&segment.object.key).await.unwrap();
        assert_eq!(reader.verify(&segment).await.unwrap(), Some(Damage::Gone));
    }

    #[test]
    fn a_row_before_its_predecessor_is_not_in_its_place() {
        let rows = [sparse("b", 5, 10), sparse("a", 5, 10)];
        let declaration = declared(&rows, 0, (0, 1));
        let mut seen = Seen::new(&declaration);
        assert_eq!(seen.add(&rows[0]), None);
        assert_eq!(seen.add(&rows[1]), Some(Damage::Order("a".into())));
    }
}
