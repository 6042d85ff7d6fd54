//! Descriptor sets in a bucket: the objects under a prefix, or one object.
//!
//! A poll of a prefix is one list of its objects. An object is read only if its ETag has changed, and only if it still has
//! the ETag of the list. The bytes of all others come from the snapshot in force. A poll of one object asks for it only if
//! its ETag has changed. An ETag says no more than that: the hash of the bytes decides whether a set is new.
//!
//! The rules are those of a folder ([`files`](super::files)): names, limits, compression, order. There is no delay until
//! the content settles, because S3 replaces an object as a whole.
//!
//! A poll holds one copy of the sets, as a read of a folder does. In addition, it holds the compressed bytes of the objects
//! that are being read: 16 MiB, or one object.

mod loading;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::files::{self, Error, File, Room};
use super::{Set, Snapshot};
use crate::aws::Clients;
use crate::aws::s3::place::{self, Condition, Fetched, Listed, Place};
use crate::base::Backoff;
use crate::config::{self, Config, InBucket, Location};
use loading::{Found, Source};

/// The largest number of objects that are being fetched at a time.
const CONCURRENT: usize = 16;
/// Delays between the reads of a start whose objects are replaced meanwhile.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
/// The largest number of objects that are fetched before they are decompressed.
const PORTION: usize = 256;
/// The largest size of these objects in bytes, unless one object alone is larger.
const PORTION_BYTES: u64 = 16 * 1024 * 1024;

/// Reads the descriptor sets of a place in a bucket, and remembers which versions it has read.
#[derive(Debug)]
pub struct Objects {
    place: Place,
    settings: config::Descriptors,
    /// Whether the place is one object, and not a prefix.
    is_single: bool,
    /// The versions that were read last, by the name of the set.
    known: BTreeMap<String, Known>,
    /// The ETags of the objects that the last poll could not read, by the name of the set.
    failing: BTreeMap<String, String>,
    /// Whether the last poll found an empty list, although there were sets before.
    is_emptied: bool,
    /// The names of the `.proto` objects of the last list.
    sources: Vec<String>,
}

/// A version of an object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The ETag; `None` if the object was not read, so that the next poll must read it.
    pub etag: Option<String>,
    /// The id of the version, if the bucket keeps versions.
    pub version: Option<String>,
    /// The hash of the set; `None` if the object is too large or damaged.
    pub hash: Option<String>,
    /// The size in bytes, before decompression.
    size: u64,
}

/// The result of a poll.
#[derive(Debug)]
pub enum Polled {
    /// Nothing has changed since the last poll.
    Unchanged,
    /// The list was empty, although there were sets before. If the next list is empty, too, the sets are removed.
    Emptied,
    /// Nothing has changed, and the objects that could not be read before still cannot be read.
    Failing(Vec<place::Error>),
    /// Something has changed.
    Read(Read),
}

/// The sets of a place.
#[derive(Debug, Default)]
pub struct Read {
    /// The sets, by name.
    pub files: Vec<File>,
    /// The objects that could not be read. Their versions in force are among the sets, if there are any. The next poll reads
    /// them again.
    pub failed: Vec<place::Error>,
    /// The number of objects that were replaced or deleted between the list and their read. They are treated like those that
    /// could not be read.
    pub replaced: usize,
}

impl Objects {
    /// Creates the reader of the configured place; `None` if the sets are not in a bucket. Makes no call.
    ///
    /// # Errors
    /// Returns an error if the bucket has no address.
    pub fn new(config: &Config, clients: &Clients) -> Result<Option<Self>, Error> {
        let Some(at) = config.descriptors.path.in_bucket() else { return Ok(None) };
        let place = Place::new(at, "descriptors.path", (&config.aws).into(), clients)?;
        Ok(Some(Self::of(place, &config.descriptors)))
    }

    fn of(place: Place, settings: &config::Descriptors) -> Self {
        let is_single = is_object(place.at());
        let (known, failing, sources) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { place, settings: settings.clone(), is_single, known, failing, is_emptied: false, sources }
    }

    /// Returns the place.
    pub fn location(&self) -> &Location {
        &self.settings.path
    }

    /// Returns the versions that were read last, by the name of the set.
    pub fn known(&self) -> &BTreeMap<String, Known> {
        &self.known
    }

    /// Returns a warning about the `.proto` objects of the last list, if there are any.
    pub fn source_warning(&self) -> Option<String> {
        files::about_sources(&self.sources, &self.settings.path)
    }

    /// Reads all sets, for a start. Repeats it if objects were replaced meanwhile.
    ///
    /// # Errors
    /// Returns an error if the place has no set, or if S3 does not return every set.
    pub async fn read(&mut self) -> Result<Vec<File>, Error> {
        const READS: u32 = 5;
        for read in 1..=READS {
            match self.poll(None).await? {
                Polled::Read(Read { files, replaced: 0, .. }) => return Ok(files),
                _ => self.known.clear(),
            }
            sleep(AGAIN.delay(read)).await;
        }
        Err(Error::Unsettled { place: self.settings.path.clone() })
    }

    /// Looks for changes. `in_force` is the snapshot whose bytes are reused.
    ///
    /// # Errors
    /// Returns an error if S3 does not return the list or the only object, or does not answer the requests for many objects.
    /// Without a snapshot in force, also if the place has no set, or if S3 does not return every set. What is known stays as
    /// it is.
    pub async fn poll(&mut self, in_force: Option<&Arc<Snapshot>>) -> Result<Polled, Error> {
        if self.is_single {
            return self.poll_object().await;
        }
        let was_emptied = std::mem::take(&mut self.is_emptied);
        let found = self.find(self.place.list().await?);
        if found.is_empty() {
            return self.emptied(in_force.is_some(), was_emptied);
        }
        if self.is_known(&found) {
            return Ok(Polled::Unchanged);
        }
        if let Some(errors) = self.still_failing(&found).await {
            return Ok(Polled::Failing(errors));
        }
        self.read_changed(found, in_force).await.map(Polled::Read)
    }

    fn emptied(&mut self, is_running: bool, was_emptied: bool) -> Result<Polled, Error> {
        if !is_running {
            let place = self.settings.path.clone();
            return Err(Error::Empty { place, sources: std::mem::take(&mut self.sources) });
        }
        if self.known.is_empty() {
            return Ok(Polled::Unchanged);
        }
        if !was_emptied {
            self.is_emptied = true;
            return Ok(Polled::Emptied);
        }
        self.known.clear();
        Ok(Polled::Read(Read::default()))
    }

    /// Returns the sets of a list, the smallest first, and notes its sources.
    fn find(&mut self, listed: Vec<Listed>) -> Vec<Found> {
        let prefix = self.place.prefix();
        self.sources.clear();
        let mut found = Vec::new();
        for Listed { key, size, etag } in listed {
            let Some(name) = key.strip_prefix(&prefix).map(str::to_owned) else { continue };
            // Tools keep unfinished and private files under such names.
            if name.split('/').any(|part| part.starts_with('.')) {
                continue;
            }
            if files::is_set(Path::new(&name)) {
                found.push(Found { name, key, size, etag });
            } else if files::is_source(Path::new(&name)) {
                self.sources.push(name);
            }
        }
        found.sort_by(|one, other| (one.size, &one.name).cmp(&(other.size, &other.name)));
        found
    }

    fn is_known(&self, found: &[Found]) -> bool {
        found.len() == self.known.len() && found.iter().all(|found| self.version(found).is_some())
    }

    /// Returns the errors of the objects that could not be read before, if they still cannot, and nothing else has changed. So
    /// one object that nobody may read does not make each poll load all sets again.
    async fn still_failing(&self, found: &[Found]) -> Option<Vec<place::Error>> {
        let fails = |found: &&Found| self.failing.get(&found.name) == Some(&found.etag);
        let (failing, others): (Vec<&Found>, Vec<&Found>) = found.iter().partition(fails);
        let listed: BTreeSet<&str> = found.iter().map(|found| found.name.as_str()).collect();
        let nothing_else = others.iter().all(|found| self.version(found).is_some())
            && self.known.keys().all(|name| listed.contains(name.as_str()));
        if failing.is_empty() || !nothing_else {
            return None;
        }
        let versions: Vec<_> =
            failing.iter().map(|found| (found.key.clone(), found.etag.clone(), found.size)).collect();
        let reads = versions.into_iter().map(|(key, etag, size)| self.error_of(key, etag, size));
        let mut answers = stream::iter(reads).buffered(CONCURRENT);
        let mut errors = Vec::new();
        while let Some(error) = answers.next().await {
            errors.push(error?);
            if is_out(&errors) {
                break;
            }
        }
        Some(errors)
    }

    /// Reads an object. Returns the error if it cannot be read; `None` if it can, or if it was replaced or deleted.
    async fn error_of(&self, key: String, etag: String, size: u64) -> Option<place::Error> {
        let error = self.place.get(&key, Condition::Has(&etag), size).await.err()?;
        (!error.is_missing_object()).then_some(error)
    }

    /// Returns what is known of this version of an object.
    fn version(&self, found: &Found) -> Option<&Known> {
        let known = self.known.get(&found.name)?;
        (known.etag.as_ref() == Some(&found.etag) && known.size == found.size).then_some(known)
    }

    /// Reads the objects that have changed, and takes the bytes of the others from the snapshot in force. A start needs every
    /// set, so its first failure is an error.
    async fn read_changed(&mut self, found: Vec<Found>, in_force: Option<&Arc<Snapshot>>) -> Result<Read, Error> {
        let mut read = Read::default();
        let (mut known, mut failing) = (BTreeMap::new(), BTreeMap::new());
        let mut room = Room::new(&self.settings);
        let mut rest = found.into_iter().peekable();
        while rest.peek().is_some() {
            let portion = portion(&mut rest, room.left());
            let left = room.left();
            let fetches = portion.into_iter().map(|found| self.fetch(found, left, in_force));
            let mut sources = Vec::new();
            let mut fetched = stream::iter(fetches).buffered(CONCURRENT);
            while let Some((found, source)) = fetched.next().await {
                let failures = read.failed.len();
                let source = source.unwrap_or_else(|lost| lost.note(&mut read));
                if let Some(error) = read.failed.get(failures) {
                    if in_force.is_none() || is_out(&read.failed) {
                        return Err(Error::Bucket(error.clone()));
                    }
                    failing.insert(found.name.clone(), found.etag.clone());
                }
                sources.push((found, source));
            }
            let load = move || (loading::load(sources, &mut room), room);
            let (loaded, left) = spawn_blocking(load).await.map_err(|_panic| Error::Panicked)?;
            room = left;
            for (file, version) in loaded {
                known.insert(file.name.clone(), version);
                read.files.push(file);
            }
        }
        read.files.sort_by(|one, other| one.name.cmp(&other.name));
        (self.known, self.failing) = (known, failing);
        Ok(read)
    }

    /// Gets the bytes of an object, unless they are in force or too many.
    async fn fetch(&self, found: Found, left: u64, in_force: Option<&Arc<Snapshot>>) -> (Found, Result<Source, Lost>) {
        let set = in_force.and_then(|snapshot| snapshot.set(&found.name));
        if let (Some(known), Some(set)) = (self.version(&found), set)
            && known.hash.as_deref() == Some(&*set.hash)
        {
            let source = Source::in_force(set, known.clone());
            return (found, Ok(source));
        }
        // It is refused by its size, without a call.
        if found.size > left {
            return (found, Ok(Source::TooLarge));
        }
        let lost = |error| Lost { error, in_force: set.cloned() };
        let source = match self.place.get(&found.key, Condition::Has(&found.etag), found.size).await {
            Ok(Fetched::Revision(revision)) => Ok(Source::Fetched(revision)),
            // With the ETag of the list, it has the size of the list. If it has not, it is another object.
            Ok(Fetched::Unmet | Fetched::TooLarge { .. }) => Err(lost(None)),
            Err(error) if error.is_missing_object() => Err(lost(None)),
            Err(error) => Err(lost(Some(error))),
        };
        (found, source)
    }

    async fn poll_object(&mut self) -> Result<Polled, Error> {
        let at = self.place.at().clone();
        let name = at.key.rsplit('/').next().unwrap_or_default().to_owned();
        let known = self.known.get(&name).and_then(|known| known.etag.as_deref());
        let condition = known.map_or(Condition::Always, Condition::HasNot);
        let cap = self.settings.max_file_bytes.min(self.settings.max_total_bytes);
        let (size, etag, source) = match self.place.get(&at.key, condition, cap).await? {
            Fetched::Unmet => return Ok(Polled::Unchanged),
            Fetched::TooLarge { size } => (size.unwrap_or(cap + 1), None, Source::TooLarge),
            Fetched::Revision(revision) => {
                (revision.bytes.len() as u64, revision.etag.clone(), Source::Fetched(revision))
            }
        };
        let found = Found { name, key: at.key, size, etag: etag.clone().unwrap_or_default() };
        let mut room = Room::new(&self.settings);
        let loaded = spawn_blocking(move || loading::load(vec![(found, source)], &mut room)).await;
        let mut read = Read::default();
        for (file, version) in loaded.map_err(|_panic| Error::Panicked)? {
            self.known.insert(file.name.clone(), Known { etag: etag.clone(), ..version });
            read.files.push(file);
        }
        Ok(Polled::Read(read))
    }
}

/// Whether so many objects failed for a reason that can pass that the poll ends, because each of the others can take as long.
fn is_out(failed: &[place::Error]) -> bool {
    failed.iter().filter(|error| error.failure().is_passing()).count() >= CONCURRENT
}

/// Whether a place is one object, by its name. Every other place is a prefix.
pub fn is_object(at: &InBucket) -> bool {
    files::is_set(Path::new(&at.key))
}

/// Takes the next objects that are fetched together: at least one.
fn portion(rest: &mut std::iter::Peekable<impl Iterator<Item = Found>>, left: u64) -> Vec<Found> {
    let mut portion = Vec::new();
    let mut bytes = 0;
    while let Some(found) = rest.next_if(|next| portion.is_empty() || bytes + next.size <= PORTION_BYTES.min(left)) {
        bytes += found.size;
        portion.push(found);
        if portion.len() == PORTION {
            break;
        }
    }
    portion
}

/// An object that was not read.
#[derive(Debug)]
struct Lost {
    /// The reason; `None` if the object was replaced or deleted since the list.
    error: Option<place::Error>,
    /// The set of its name in force.
    in_force: Option<Set>,
}

impl Lost {
    /// Notes the loss. Returns the version in force in its place.
    fn note(self, read: &mut Read) -> Source {
        match self.error {
            Some(error) => read.failed.push(error),
            None => read.replaced += 1,
        }
        self.in_force.map_or(Source::Nothing, |set| Source::substitute(&set))
    }
}

#[cfg(test)]
mod tests;
