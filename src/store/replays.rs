//! The cursors of replays: how far each replay is, who runs it, and what it was asked for.
//!
//! A replay has a name. Its cursor is a series of numbered objects below [`FOLDER`], each with the whole [`State`]. An
//! object is created, never changed, and two processes cannot both create the one with the next number. So of two processes
//! that run one name, the one that comes second learns it at its next step and stops. Old objects are deleted, apart from
//! the last two.
//!
//! A process that was suspended for long can create a number whose object was deleted meanwhile. It then finds the later
//! ones, and stops as well.

mod cursor;
mod name;
mod state;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Created, Store};
use crate::base::time::unix_micros;
use crate::store;

pub use cursor::Cursor;
pub use name::{BadName, Name};
pub use state::{Counts, Owner, Refusal, Request, State, Status};

/// The folder of all cursors in the store.
pub const FOLDER: &str = "replays/v1";

/// The time without an update after which a running replay can be taken over, in seconds. A process that runs one updates
/// its cursor several times in this time.
pub const TAKEOVER_SECONDS: i64 = 60;

/// The number of cursors that are read at a time.
const PARALLEL: usize = 16;

/// Why a cursor cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A replay of this name exists.
    #[error(
        "there is a replay {name} already ({}, updated {}); continue it with `--resume {name}`, or choose another --name",
        status.code(),
        text(*updated_at)
    )]
    Exists {
        /// The name.
        name: Name,
        /// Its status.
        status: Status,
        /// When it was updated.
        updated_at: i64,
    },
    /// No replay has this name.
    #[error("there is no replay {name} in {url}; `protobridge replay --list` lists those that exist")]
    Missing {
        /// The name.
        name: Name,
        /// The URL of the store.
        url: String,
    },
    /// Another process runs the replay.
    #[error(
        "the replay {name} runs on {host} since {} and was updated {}; if that process is gone, try again at {}, or stop \
         the replay for good with `--cancel {name}`",
        text(*since),
        text(*updated_at),
        text(*updated_at + TAKEOVER_SECONDS * 1_000_000)
    )]
    Running {
        /// The name.
        name: Name,
        /// The host of the process.
        host: String,
        /// When that process began or took over.
        since: i64,
        /// When it updated the cursor.
        updated_at: i64,
    },
    /// The replay was canceled.
    #[error(
        "the replay {name} was canceled {}; what it sent before stays sent; to send the window, begin a replay with another \
         --name",
        text(*at)
    )]
    Canceled {
        /// The name.
        name: Name,
        /// When.
        at: i64,
    },
    /// The replay has ended, so it cannot be canceled.
    #[error("the replay {name} is done since {}; there is nothing to cancel", text(*at))]
    Done {
        /// The name.
        name: Name,
        /// When.
        at: i64,
    },
    /// Another process continues the replay.
    #[error(
        "the replay {name} was taken over by a process on {host} {}, so this process stops; that one sends the rest, and \
         repeats at most the last step of this one",
        text(*at)
    )]
    TakenOver {
        /// The name.
        name: Name,
        /// The host of the other process.
        host: String,
        /// When it wrote the cursor.
        at: i64,
    },
    /// The cursor is not one of this version.
    #[error(
        "{place} cannot be read as the cursor of a replay: {problem}; use the version of protobridge that wrote it"
    )]
    Unreadable {
        /// The URL of the object.
        place: String,
        /// The problem.
        problem: String,
    },
}

impl Error {
    /// Whether the replay must end at once, because it is not this process's any more.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::TakenOver { .. } | Self::Canceled { .. })
    }
}

fn text(micros: i64) -> String {
    format!("{} UTC", store::journal::stamp::seconds(micros))
}

/// The replays of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replays {
    store: Store,
}

impl Replays {
    /// Creates the replays of a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Begins a replay, which `owner` runs.
    ///
    /// # Errors
    /// Returns an error if a replay of this name exists, or if the store does not answer.
    pub async fn begin(&self, name: Name, request: Request, owner: Owner) -> Result<Cursor, Error> {
        if let Some((_, state)) = self.latest(&name).await? {
            return Err(Error::Exists { name, status: state.status, updated_at: state.updated_at });
        }
        let now = now();
        let mut cursor = Cursor::new(self.clone(), 0, State::new(name, request, owner, now));
        cursor.write(cursor.state().clone()).await?;
        Ok(cursor)
    }

    /// Whether a replay of this name has begun, in whatever state it is.
    ///
    /// # Errors
    /// Returns an error if the store does not answer.
    pub async fn has(&self, name: &Name) -> Result<bool, Error> {
        Ok(self.latest(name).await?.is_some())
    }

    /// Takes over a replay that no process runs. `now` is the time in microseconds since the Unix epoch. The cursor of a
    /// replay that is done is returned as it is, and must not be written.
    ///
    /// # Errors
    /// Returns an error if another process has updated it less than [`TAKEOVER_SECONDS`] ago, if it was canceled, if there
    /// is none of this name, or if the store does not answer.
    pub async fn resume(&self, name: Name, owner: Owner, now: i64) -> Result<Cursor, Error> {
        let (number, state) = self.existing(&name).await?;
        let is_recent = now < state.updated_at.saturating_add(TAKEOVER_SECONDS * 1_000_000);
        match state.status {
            Status::Done => return Ok(Cursor::new(self.clone(), number, state)),
            Status::Canceled => return Err(Error::Canceled { name, at: state.updated_at }),
            Status::Running if is_recent && state.owner.id != owner.id => {
                let State { owner, owned_since: since, updated_at, .. } = state;
                return Err(Error::Running { name, host: owner.host, since, updated_at });
            }
            Status::Running | Status::Stopped | Status::Failed => {}
        }
        let next = State { owner, owned_since: now, status: Status::Running, updated_at: now, ..state };
        let mut cursor = Cursor::new(self.clone(), number, next.clone());
        cursor.write(next).await?;
        Ok(cursor)
    }

    /// Cancels a replay for good. A process that runs it stops at its next step. Returns its last state.
    ///
    /// # Errors
    /// Returns an error if it is done, if there is none of this name, or if the store does not answer.
    pub async fn cancel(&self, name: &Name, owner: &Owner) -> Result<State, Error> {
        loop {
            let (number, state) = self.existing(name).await?;
            match state.status {
                Status::Done => return Err(Error::Done { name: name.clone(), at: state.updated_at }),
                Status::Canceled => return Ok(state),
                Status::Running | Status::Stopped | Status::Failed => {}
            }
            let next = State { owner: owner.clone(), status: Status::Canceled, updated_at: now(), ..state };
            match Cursor::new(self.clone(), number, next.clone()).write(next.clone()).await {
                Ok(()) => return Ok(next),
                // The process that runs it was faster by one step.
                Err(Error::TakenOver { .. }) => {}
                // Another process canceled it.
                Err(Error::Canceled { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the state of every replay, the latest update first.
    ///
    /// # Errors
    /// Returns an error if the store does not answer, or if a cursor cannot be read.
    pub async fn list(&self) -> Result<Vec<State>, Error> {
        let mut latest: BTreeMap<String, u64> = BTreeMap::new();
        for object in self.store.list(FOLDER).await? {
            if let Some((name, number)) = parts(&object.key) {
                let newest = latest.entry(name.to_owned()).or_default();
                *newest = number.max(*newest);
            }
        }
        let reads = latest.iter().map(|(name, number)| async { self.read(&key(name, *number)).await });
        let read = futures_util::stream::iter(reads).buffer_unordered(PARALLEL);
        let mut states: Vec<State> = read.try_collect().await?;
        states.sort_by(|one, other| other.updated_at.cmp(&one.updated_at).then_with(|| one.name.cmp(&other.name)));
        Ok(states)
    }

    async fn existing(&self, name: &Name) -> Result<(u64, State), Error> {
        let missing = || Error::Missing { name: name.clone(), url: self.store.url().to_owned() };
        self.latest(name).await?.ok_or_else(missing)
    }

    /// Returns the last object of a replay, with its number.
    async fn latest(&self, name: &Name) -> Result<Option<(u64, State)>, Error> {
        loop {
            let Some(number) = self.numbers(name).await?.pop() else { return Ok(None) };
            match self.read(&key(name.as_str(), number)).await {
                Ok(state) => return Ok(Some((number, state))),
                // It was deleted since, because there are later ones.
                Err(Error::Store(error)) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the numbers of the objects of a replay, in ascending order.
    async fn numbers(&self, name: &Name) -> Result<Vec<u64>, Error> {
        let objects = self.store.list(&format!("{FOLDER}/{name}")).await?;
        let mut numbers: Vec<u64> = objects.iter().filter_map(|object| Some(parts(&object.key)?.1)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn read(&self, key: &str) -> Result<State, Error> {
        let bytes = self.store.get(key).await?;
        State::parse(&bytes)
            .map_err(|problem| Error::Unreadable { place: format!("{}/{key}", self.store.url()), problem })
    }
}

fn key(name: &str, number: u64) -> String {
    format!("{FOLDER}/{name}/{number:06}.json")
}

/// Returns the name and the number of a key.
fn parts(key: &str) -> Option<(&str, u64)> {
    let (name, file) = key.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
    Some((name, file.strip_suffix(".json")?.parse().ok()?))
}

/// Returns the time in microseconds since the Unix epoch.
fn now() -> i64 {
    unix_micros(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests;
