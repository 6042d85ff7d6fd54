//! The archive: every received message as it came, stored before it is deleted from its queue.
//!
//! Each process closes a segment about every second, with the messages of all queues that were finished meanwhile, and
//! puts it into the store. A message is deleted from its queue with the proof [`Kept`] only. It exists once the store has
//! the message's segment, or once the archive gave it up: then the next segment declares the [loss](Lost). Segments of one
//! process cover its life without a break, so what was lost with a process shows as a hole.

mod columns;
mod declaration;
mod encoding;
mod position;
mod row;
mod segment;
#[cfg(test)]
mod test_rows;

pub use declaration::{Declaration, FOLDER, Lost};
pub use position::Position;
pub use row::Row;
