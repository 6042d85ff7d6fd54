//! The journal: what became of each received message, for each of its destinations.
//!
//! The pipeline records a [`Row`] per destination when it settles a message. Rows wait in memory, are sorted by event id,
//! and are stored as a segment: an immutable Parquet file. **The journal never delays a delivery.** If the store does not
//! keep up, rows are dropped and counted. Each segment [declares](Declaration) which process wrote it, the time that it
//! covers, and how many rows of that time were dropped, so that a reader can tell *no record* from *not known*.

mod declaration;
mod found;
mod guess;
mod row;
pub mod stamp;
mod story;

pub use declaration::Declaration;
pub use found::{Dropped, Found, Hole, HoleKind, Looked, Wanted};
pub use guess::time_of_id;
pub use row::Row;
pub use story::{Chapter, Entry, Evidence, Story};
