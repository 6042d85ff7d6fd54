//! Message types by the schema ids of Confluent's wire format.
//!
//! A schema is one version of one `.proto` file, and the meaning of its id never changes. The configured file comes first,
//! then the schema registry, whose answers are kept. Only [`Schemas::learn`] calls the registry; all other functions use
//! what is known.

mod file;
mod registry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use file::{Error, File, SchemaEntry};
pub use registry::{ProbeError, RegistryError};

use crate::base::Backoff;
use crate::base::http::Network;
use crate::config;
use crate::message::envelope::SchemaReference;
use registry::RegistryClient;

/// The largest number of answers that are kept. One more answer removes all of them.
const MAX_ANSWERS: usize = 10_000;

/// How long a failure of the registry lasts: for the messages that waited for the same call. Whoever calls decides when the
/// registry is asked again.
const PAUSE: Duration = Duration::from_millis(400);

/// How long the answer lasts that the registry does not have a schema. A schema is often registered a moment after its
/// first event; if it is not, the time grows, because the events of an id that never exists must not keep the registry busy.
const UNKNOWN: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));

/// The message types of a schema, by their indexes.
type Types = BTreeMap<Vec<u32>, Arc<str>>;

/// The known schemas.
#[derive(Debug)]
pub struct Schemas {
    file: Option<File>,
    registry: Option<RegistryClient>,
    answers: Mutex<BTreeMap<u32, Answer>>,
    /// Held during a call. Messages of one schema arrive together; the first one calls, and the others find its answer.
    calling: tokio::sync::Mutex<()>,
}

/// An answer of the registry about one schema.
#[derive(Debug, Clone)]
enum Answer {
    /// The message types of the schema. This answer is final.
    Types(Arc<Types>),
    /// The schema can never be used. This answer is final.
    Unusable(Arc<str>),
    /// The registry did not have the schema, for this number of times. The answer lasts until this time.
    Unknown(Instant, u32),
    /// The call failed. The answer lasts until this time.
    Failed(Instant, Arc<str>),
}

/// Why a lookup at the registry failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the schema registry did not return Confluent schema {id}: {reason}")]
pub struct LearnError {
    id: u32,
    reason: Arc<str>,
    /// Whether the call was made for this lookup, rather than a moment ago for another.
    pub is_fresh: bool,
}

/// Why the type of a schema is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTypeError {
    /// Neither the file nor the registry has the schema.
    #[error("{0}")]
    UnknownSchema(String),
    /// The schema can never be used.
    #[error("Confluent schema {id} {reason}")]
    Unusable {
        /// The schema.
        id: u32,
        /// Why it cannot be used.
        reason: Arc<str>,
    },
    /// The schema has no message with these indexes.
    #[error("there is no {0}")]
    UnknownIndexes(String),
}

impl Schemas {
    /// Creates the schemas of a file and a registry, which is called through this network. Makes no call.
    ///
    /// # Errors
    /// Returns an error if the registry's URL is invalid or its client cannot be created.
    pub fn new(settings: &config::Confluent, file: Option<File>, network: &Network) -> Result<Self, RegistryError> {
        let client = |url| RegistryClient::new(url, settings.registry_timeout(), network);
        let registry = settings.registry_url.as_deref().map(client).transpose()?;
        Ok(Self { file, registry, answers: Mutex::default(), calling: tokio::sync::Mutex::default() })
    }

    /// Whether there is a file or a registry.
    pub fn is_configured(&self) -> bool {
        self.file.is_some() || self.registry.is_some()
    }

    /// Whether a call of [`Schemas::learn`] is unnecessary, because all that can be known of the schema is known.
    pub fn is_learnt(&self, id: u32) -> bool {
        let is_answer = |answer: Answer| !matches!(answer, Answer::Failed(..));
        self.registry.is_none() || self.in_file(id).is_some() || self.answer(id).is_some_and(is_answer)
    }

    /// Asks the registry for a schema, unless all that can be known of it is known.
    ///
    /// # Errors
    /// Returns an error if the call failed. A later call can succeed.
    pub async fn learn(&self, id: u32) -> Result<(), LearnError> {
        let Some(registry) = self.registry.as_ref().filter(|_| self.in_file(id).is_none()) else { return Ok(()) };
        let (answer, is_fresh) = match self.answer(id) {
            Some(answer) => (answer, false),
            None => {
                let _calling = self.calling.lock().await;
                match self.answer(id) {
                    Some(answer) => (answer, false),
                    None => (self.remember(id, registry.schema(id).await), true),
                }
            }
        };
        match answer {
            Answer::Failed(_, reason) => Err(LearnError { id, reason, is_fresh }),
            _ => Ok(()),
        }
    }

    /// Checks that the registry answers, if there is one.
    pub async fn probe(&self) -> Option<Result<(), ProbeError>> {
        Some(self.registry.as_ref()?.probe().await)
    }

    /// Returns the full name of a message type.
    ///
    /// # Errors
    /// Returns an error if the type is not known.
    pub fn type_name(&self, reference: &SchemaReference) -> Result<Arc<str>, UnknownTypeError> {
        let id = reference.id;
        let types = match (self.in_file(id), self.answer(id)) {
            (Some(types), _) => types,
            (None, Some(Answer::Types(types))) => types,
            (None, Some(Answer::Unusable(reason))) => return Err(UnknownTypeError::Unusable { id, reason }),
            (None, _) => return Err(UnknownTypeError::UnknownSchema(self.unknown(id))),
        };
        let name = types.get(&reference.indexes).cloned();
        name.ok_or_else(|| UnknownTypeError::UnknownIndexes(reference.to_string()))
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

    /// Returns the registry's answer about a schema, if it has not expired.
    fn answer(&self, id: u32) -> Option<Answer> {
        let answers = self.answers.lock();
        let is_current = |answer: &&Answer| match answer {
            Answer::Types(_) | Answer::Unusable(_) => true,
            Answer::Unknown(until, _) | Answer::Failed(until, _) => Instant::now() < *until,
        };
        answers.get(&id).filter(is_current).cloned()
    }

    fn remember(&self, id: u32, mut answer: Answer) -> Answer {
        let mut all = self.answers.lock();
        if let (Answer::Unknown(until, times), Some(Answer::Unknown(_, before))) = (&mut answer, all.get(&id)) {
            *times = before.saturating_add(1);
            *until = Instant::now() + UNKNOWN.delay(*times);
        }
        if all.len() >= MAX_ANSWERS {
            // Events with ids that do not exist must not push out the schemas that are in use.
            all.retain(|_, answer| matches!(answer, Answer::Types(_)));
        }
        if all.len() >= MAX_ANSWERS {
            all.clear();
        }
        all.insert(id, answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests;
