//! A gate in front of work that is held back as a whole, for example the receives from one queue.
//!
//! An open gate lets everyone pass. A shut gate lets no one pass, except for single passes: they find out whether the
//! work can be done again.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A gate; open at first.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Shut, with this number of single passes left.
    Shut(u32),
}

impl Gate {
    /// Waits until the gate is open, or takes a single pass.
    pub async fn pass(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state.lock();
                match &mut *state {
                    State::Open => return,
                    State::Shut(0) => {}
                    State::Shut(passes) => {
                        *passes -= 1;
                        return;
                    }
                }
            }
            changed.await;
        }
    }

    /// Whether the gate is shut.
    pub fn is_shut(&self) -> bool {
        *self.state.lock() != State::Open
    }

    /// Opens the gate.
    pub fn open(&self) {
        *self.state.lock() = State::Open;
        self.changed.notify_waiters();
    }

    /// Shuts the gate. A shut gate keeps its single pass.
    pub fn shut(&self) {
        let mut state = self.state.lock();
        if *state == State::Open {
            *state = State::Shut(0);
        }
    }

    /// Lets one pass through a shut gate. Passes do not add up.
    pub fn let_one_pass(&self) {
        let mut state = self.state.lock();
        if *state == State::Shut(0) {
            *state = State::Shut(1);
            drop(state);
            self.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn passes(gate: &Gate) -> bool {
        timeout(Duration::from_secs(1), gate.pass()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_shut_gate_lets_single_passes_through_one_by_one() {
        let gate = Gate::default();
        assert!(passes(&gate).await);
        gate.shut();
        assert!(gate.is_shut() && !passes(&gate).await);
        gate.let_one_pass();
        gate.let_one_pass();
        gate.shut();
        assert!(passes(&gate).await);
        assert!(!passes(&gate).await, "passes do not add up");
    }

    #[tokio::test(start_paused = true)]
    async fn opening_wakes_everyone_who_waits() {
        let gate = Arc::new(Gate::default());
        gate.shut();
        let waiting: Vec<_> =
            (0..3).map(|_| Arc::clone(&gate)).map(|g| tokio::spawn(async move { g.pass().await })).collect();
        tokio::task::yield_now().await;
        gate.open();
        for one in waiting {
            timeout(Duration::from_secs(1), one).await.unwrap().unwrap();
        }
        assert!(!gate.is_shut());
    }
}
