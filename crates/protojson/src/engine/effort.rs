//! How much work a payload can still cost, and the mode in which it is transcoded.

/// The budget for rolling back, and the mode that follows from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// The number of payload bytes that can still be rolled back.
    pub(super) rollback_left: usize,
    /// Whether the records of every message are put in order before anything is written.
    pub(super) careful: bool,
    /// Whether only fields with taps are read. What is written then is of no use. Implies `careful`.
    pub(super) taps_only: bool,
}

impl Effort {
    pub(crate) fn new(payload: usize) -> Self {
        Self { rollback_left: 2 * payload + 1024, careful: false, taps_only: false }
    }

    pub(crate) fn careful() -> Self {
        Self { rollback_left: usize::MAX, careful: true, taps_only: false }
    }

    pub(crate) fn taps_only() -> Self {
        Self { taps_only: true, ..Self::careful() }
    }

    pub(crate) fn is_taps_only(self) -> bool {
        self.taps_only
    }
}
