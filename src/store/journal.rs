//! The journal: what became of each received message, for each of its destinations.
//!
//! The pipeline records a [`Row`] per destination when it settles a message. Rows wait in memory, are sorted by event id,
//! and are stored as a segment: an immutable Parquet file. **The journal never delays a delivery.** If the store does not
//! keep up, rows are dropped and counted. Each segment [declares](Declaration) which process wrote it, the time that it
//! covers, and how many rows of that time were dropped, so that a reader can tell *no record* from *not known*.

mod chunk;
mod columns;
mod declaration;
mod found;
mod guess;
mod lookup;
mod reader;
mod recorder;
mod row;
mod segment;
pub mod stamp;
mod story;
#[cfg(test)]
mod test_rows;
mod writer;

use std::time::Duration;

pub use declaration::{Declaration, FOLDER};
pub use found::{Dropped, Found, Hole, HoleKind, Looked, Wanted};
pub use guess::time_of_id;
pub use reader::Reader;
pub use recorder::Journal;
pub use row::Row;
pub use story::{Chapter, Entry, Evidence, Story, is_about, not_known};
pub use writer::{Writer, finish};

pub use super::parquet::Error;

/// The longest time that one segment covers. A reader looks for segments that began up to this time before its window.
pub const MAX_SPAN: Duration = Duration::from_secs(6 * 3_600);
