//! What is used again for the next payload.

use super::map::Entry;
use super::ordered::Record;

/// Memory that outlives a payload, so that the next one needs none.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Records of the messages that are being put in order; a stack.
    pub(super) records: Vec<Record>,
    /// Entries of the maps that are being written; a stack.
    pub(super) entries: Vec<Entry>,
    /// Rendered entries while they are put in order.
    pub(super) bytes: Vec<u8>,
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.entries.clear();
    }

    /// Gives back what an unusually large payload has needed; the next one will hardly be as large.
    pub(crate) fn trim(&mut self) {
        // Some hundred KiB each.
        const ITEMS: usize = 1 << 13;
        const BYTES: usize = 1 << 19;
        self.clear();
        if self.records.capacity() > ITEMS {
            self.records.shrink_to(ITEMS);
        }
        if self.entries.capacity() > ITEMS {
            self.entries.shrink_to(ITEMS);
        }
        if self.bytes.capacity() > BYTES {
            self.bytes.clear();
            self.bytes.shrink_to(BYTES);
        }
    }
}
