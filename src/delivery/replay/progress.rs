//! How far a run is, for those who watch it.

use parking_lot::Mutex;

/// How far a run is. The run writes it, and others read it.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Shown>);

/// What can be seen of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The rows of the archive that are done, those of earlier processes included.
    pub rows: u64,
    /// The deliveries of this run.
    pub published: u64,
    /// The message that is tried again in this step, and why, if there is one.
    pub waiting: Option<(String, String)>,
}

impl Progress {
    /// Creates the progress of a run that begins after this number of rows.
    pub fn new(rows: u64) -> Self {
        Self(Mutex::new(Shown { rows, ..Shown::default() }))
    }

    /// Returns how far the run is.
    pub fn shown(&self) -> Shown {
        self.0.lock().clone()
    }

    pub(super) fn row_is_done(&self) {
        self.0.lock().rows += 1;
    }

    pub(super) fn published(&self, deliveries: u64) {
        self.0.lock().published += deliveries;
    }

    pub(super) fn waits(&self, message_id: &str, problem: String) {
        self.0.lock().waiting = Some((message_id.to_owned(), problem));
    }

    pub(super) fn step_is_done(&self) {
        self.0.lock().waiting = None;
    }
}
