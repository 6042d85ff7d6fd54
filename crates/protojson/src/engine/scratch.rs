//! Working memory that is reused for the next payload.

use super::map::Entry;
use super::ordered::Record;

/// Memory that outlives a payload, so that the next payload allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The records of the messages that are being put in order; a stack.
    pub(super) records: Vec<Record>,
    /// The entries of the maps that are being written; a stack.
    pub(super) entries: Vec<Entry>,
    /// A copy of the rendered entries while they are put in order.
    pub(super) bytes: Vec<u8>,
}

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.entries.clear();
    }

    /// Frees the excess memory of an unusually large payload, because the next payload is unlikely to be as large.
    pub(crate) fn trim(&mut self) {
        // Each limit amounts to some hundred KiB.
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
