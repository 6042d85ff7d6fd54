//! The archive: every received message as it came, stored before it is deleted from its queue.
//!
//! Each process closes a segment about every second, with the messages of all queues that were finished meanwhile, and
//! puts it into the store. A message is deleted from its queue with the proof [`Kept`] only. It exists once the store has
//! the message's segment, or once the archive gave it up: then the next segment declares the [loss](Lost). Segments of one
//! process cover its life without a break, so what was lost with a process shows as a hole.

mod buffer;
mod columns;
mod cursor;
mod declaration;
mod decode;
mod encoding;
mod gaps;
mod keeper;
mod merge;
mod metadata;
mod position;
mod reader;
mod row;
mod segment;
#[cfg(test)]
pub(crate) mod test_rows;
mod verify;
mod writer;

use std::time::Duration;

pub use declaration::{Declaration, FOLDER, Lost};
pub use gaps::{Gap, GapKind};
pub use keeper::{Archive, Keeper, Waiting};
pub use merge::Rows;
pub use position::Position;
pub use reader::{Listing, Reader, Stored};
pub use row::Row;
pub use segment::write;
pub use verify::Damage;
pub use writer::{Writer, finish};

pub use super::parquet::Error;

/// The longest time that one segment covers. A reader looks for segments that began up to this time before its window.
pub const MAX_SPAN: Duration = Duration::from_secs(6 * 3_600);

/// Proof that the archive stands in the way of a delete no more: it has the message, gave it up and declares the loss, or
/// leaves messages of its kind out.
#[derive(Debug)]
pub struct Kept(());
