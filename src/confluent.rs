//! Schema ids of Confluent's wire format → message types.
//!
//! A schema is one version of one `.proto` file, and its id never means another. The file of the configuration is asked
//! first, then the registry, whose answers are kept. Looking up is plain; only [`Schemas::learn`] asks anybody.

mod file;
mod registry;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use file::{Error, File};
pub use registry::SetUpError;

use crate::config;
use crate::envelope::SchemaReference;
use registry::Registry;

/// How many answers of the registry are kept; with one more, all are forgotten.
const MAX_KNOWN: usize = 10_000;

/// How long nobody asks again for what the registry did not have, or could not say.
const PAUSE: Duration = Duration::from_secs(5);

/// The message types of a schema, by their indexes.
type Types = BTreeMap<Vec<u32>, Arc<str>>;

/// What is known of schemas.
#[derive(Debug)]
pub struct Schemas {
    file: Option<File>,
    registry: Option<Registry>,
    known: Mutex<BTreeMap<u32, Known>>,
    /// One question at a time: messages of the same schema come together, and all but the first find the answer.
    asking: tokio::sync::Mutex<()>,
}

/// What the registry said.
#[derive(Debug, Clone)]
enum Known {
    /// The schema.
    Types(Arc<Types>),
    /// That it is none that can be used, and never will be.
    Unusable(Arc<str>),
    /// Nothing that holds for longer than this.
    Until(Instant, Nothing),
}

/// Why the registry said nothing about a schema.
#[derive(Debug, Clone)]
enum Nothing {
    /// It does not have it.
    Unknown,
    /// It could not be asked.
    Failed(Arc<str>),
}

impl Schemas {
    /// What the file says, and whom to ask for the rest. No call is made yet.
    ///
    /// # Errors
    /// When the registry's URL is none, or the client for it cannot be made.
    pub fn new(settings: &config::Confluent, file: Option<File>) -> Result<Self, SetUpError> {
        let registry = settings.registry_url.as_deref();
        let registry = registry.map(|url| Registry::new(url, settings.registry_timeout())).transpose()?;
        Ok(Self { file, registry, known: Mutex::default(), asking: tokio::sync::Mutex::default() })
    }

    /// Whether there is anything to look ids up in.
    pub fn is_configured(&self) -> bool {
        self.file.is_some() || self.registry.is_some()
    }

    /// Whether [`Schemas::learn`] would find that all is known that can be.
    pub fn is_learnt(&self, id: u32) -> bool {
        let is_answer = |known: Known| !matches!(known, Known::Until(_, Nothing::Failed(_)));
        self.registry.is_none() || self.in_file(id).is_some() || self.known(id).is_some_and(is_answer)
    }

    /// Sees to it that whatever can be known of a schema is.
    ///
    /// # Errors
    /// When the registry could not be asked; it may be later.
    pub async fn learn(&self, id: u32) -> Result<(), String> {
        let Some(registry) = self.registry.as_ref().filter(|_| self.in_file(id).is_none()) else { return Ok(()) };
        let known = match self.known(id) {
            Some(known) => known,
            None => {
                let _turn = self.asking.lock().await;
                match self.known(id) {
                    Some(known) => known,
                    None => self.remember(id, registry.ask(id).await),
                }
            }
        };
        match known {
            Known::Until(_, Nothing::Failed(why)) => {
                Err(format!("the schema registry does not say what Confluent schema {id} is: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// Asks the registry, if there is one, for what each has: why it does not answer, for people.
    pub async fn probe(&self) -> Option<Result<(), String>> {
        Some(self.registry.as_ref()?.probe().await)
    }

    /// The full name of a message type.
    ///
    /// # Errors
    /// When nobody knows it: why, for people.
    pub fn type_name(&self, reference: &SchemaReference) -> Result<Arc<str>, String> {
        let types = match (self.in_file(reference.id), self.known(reference.id)) {
            (Some(types), _) => types,
            (None, Some(Known::Types(types))) => types,
            (None, Some(Known::Unusable(why))) => return Err(format!("Confluent schema {} {why}", reference.id)),
            (None, _) => return Err(self.unknown(reference.id)),
        };
        types.get(&reference.indexes).cloned().ok_or_else(|| format!("there is no {reference}"))
    }

    fn unknown(&self, id: u32) -> String {
        match (&self.file, &self.registry) {
            (Some(_), None) => format!("`confluent.schemas_file` has no schema {id}; add it, or set `registry_url`"),
            (None, _) => format!("the schema registry has no schema {id}"),
            (Some(_), Some(_)) => format!("neither `confluent.schemas_file` nor the schema registry has a schema {id}"),
        }
    }

    fn in_file(&self, id: u32) -> Option<Arc<Types>> {
        self.file.as_ref()?.types(id)
    }

    fn known(&self, id: u32) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).filter(|known| !matches!(known, Known::Until(end, _) if *end <= Instant::now())).cloned()
    }

    fn remember(&self, id: u32, known: Known) -> Known {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(id, known.clone());
        known
    }
}

#[cfg(test)]
mod tests;
