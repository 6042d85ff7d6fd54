//! The cursor of a replay that this process runs.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::{Counts, Created, Error, Replays, State, Status, key, now};
use crate::base::Backoff;
use crate::store::archive::Position;

/// How often an object is written if the store does not answer. Together less than
/// [`TAKEOVER_SECONDS`](super::TAKEOVER_SECONDS), apart from the waits for answers.
const ATTEMPTS: u32 = 7;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// The objects that stay when a later one is written, this one included.
const KEPT: u64 = 2;
/// The most objects that one step deletes, so that it takes no time after a failure.
const MAX_DELETED: usize = 4;

/// The cursor of a replay that this process runs.
///
/// After an error [about the replay](Error::is_lost) this process must send nothing more.
#[derive(Debug)]
pub struct Cursor {
    replays: Replays,
    /// The number of the last object; 0 before the first.
    number: u64,
    state: State,
}

impl Cursor {
    pub(super) fn new(replays: Replays, number: u64, state: State) -> Self {
        Self { replays, number, state }
    }

    /// Returns the state, as it was written.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Writes that all rows up to `position` are done. `counts` are those since the last step.
    ///
    /// # Errors
    /// Returns an error if the replay was canceled or taken over, or if the store does not answer.
    pub async fn step(&mut self, position: Option<Position>, counts: Counts) -> Result<(), Error> {
        let mut next = State { updated_at: now(), ..self.state.clone() };
        next.position = position.or(next.position);
        next.counts.add(counts);
        self.write(next).await
    }

    /// Writes that this process still works on the step.
    ///
    /// # Errors
    /// Returns an error if the replay was canceled or taken over, or if the store does not answer.
    pub async fn touch(&mut self) -> Result<(), Error> {
        self.write(State { updated_at: now(), ..self.state.clone() }).await
    }

    /// Changes the rate that later processes continue with. It is written with the next step.
    pub fn set_rate(&mut self, rate: f64) {
        self.state.request.rate = rate;
    }

    /// Writes how the replay ended for this process.
    ///
    /// # Errors
    /// Returns an error if the replay was canceled or taken over, or if the store does not answer.
    pub async fn end(&mut self, status: Status) -> Result<(), Error> {
        self.write(State { status, updated_at: now(), ..self.state.clone() }).await
    }

    /// Creates the next object, and deletes old ones.
    pub(super) async fn write(&mut self, next: State) -> Result<(), Error> {
        // It consists of texts and numbers, which always have JSON.
        let bytes = Bytes::from(serde_json::to_vec_pretty(&next).unwrap_or_default());
        let mut failures = 0;
        let newest = loop {
            match self.attempt(&next, &bytes).await {
                Ok(Some(numbers)) => break numbers,
                // An earlier object of this process, whose answer was lost; the next number is free.
                Ok(None) => {}
                Err(Error::Store(error)) if failures < ATTEMPTS && !error.is_denied() => {
                    failures += 1;
                    sleep(BACKOFF.delay(failures)).await;
                }
                Err(error) => return Err(error),
            }
        };
        self.number += 1;
        self.state = next;
        self.delete_old(&newest).await;
        Ok(())
    }

    /// Creates the next object once, and returns the numbers of all objects. Returns `None` if the number is taken by an
    /// object of this process.
    async fn attempt(&mut self, next: &State, bytes: &Bytes) -> Result<Option<Vec<u64>>, Error> {
        let (name, number) = (&next.name, self.number + 1);
        let key = key(name.as_str(), number);
        if self.replays.store.create(&key, bytes.clone()).await? == Created::Exists {
            match self.replays.read(&key).await {
                Ok(found) if found == *next => {}
                Ok(found) if found.owner.id == next.owner.id => {
                    self.number = number;
                    return Ok(None);
                }
                Ok(_) => return Err(self.lost().await),
                // It was deleted meanwhile, because there are later ones. Or two calls met, and neither has won yet.
                Err(Error::Store(error)) if error.is_missing() => {
                    let is_behind = self.replays.numbers(name).await?.last().is_some_and(|last| *last >= number);
                    return Err(if is_behind { self.lost().await } else { error.into() });
                }
                Err(error) => return Err(error),
            }
        }
        let numbers = self.replays.numbers(name).await?;
        if numbers.last().is_some_and(|last| *last > number) {
            return Err(self.lost().await);
        }
        Ok(Some(numbers))
    }

    /// Returns why the next number is taken.
    async fn lost(&self) -> Error {
        let name = self.state.name.clone();
        match self.replays.existing(&name).await {
            Ok((_, State { status: Status::Canceled, updated_at: at, .. })) => Error::Canceled { name, at },
            Ok((_, State { owner, updated_at: at, .. })) => Error::TakenOver { name, host: owner.host, at },
            Err(error) => error,
        }
    }

    /// Deletes old objects. What is not deleted now, a later step deletes.
    async fn delete_old(&self, numbers: &[u64]) {
        let is_old = |number: &&u64| **number + KEPT <= self.number;
        for number in numbers.iter().filter(is_old).take(MAX_DELETED) {
            let _kept = self.replays.store.delete(&key(self.state.name.as_str(), *number)).await;
        }
    }
}
