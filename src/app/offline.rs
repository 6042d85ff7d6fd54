//! The decisions of the service without the service: for dry runs of messages, with the files of a configuration.

use std::sync::Arc;

use strict_config::{Problem, nearest};

use super::{Error, Inputs, Loaded};
use crate::base::http::Network;
use crate::config::Config;
use crate::delivery::decide::{Context, Rules};
use crate::delivery::dry_run::{self, Answers, Forecast, Unanswered};
use crate::message::{Message, Queue};
use crate::route::Definitions;
use crate::schema::confluent::{RegistryError, SchemaEntry, Schemas};
use crate::schema::registry::Snapshot;

/// The rules and the definitions of a configuration.
#[derive(Debug)]
pub struct Offline {
    config: Config,
    loaded: Loaded,
    definitions: Arc<Definitions>,
    rules: Rules,
    schemas: Schemas,
    queues: Vec<Arc<Queue>>,
}

/// The queue of a message is not configured, or not named although there are several.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnknownQueue(String);

impl Offline {
    /// Loads the files that a configuration names. Makes no call to AWS or to a schema registry.
    ///
    /// # Errors
    /// Returns an error if a file does not load, or if the schema registry's URL is invalid.
    pub fn load(config: Config) -> Result<Self, Error> {
        let loaded = Loaded::load(&config)?;
        Self::of_loaded(config, loaded)
    }

    /// Loads what was read of a configuration.
    ///
    /// # Errors
    /// Returns an error in the cases of [`Offline::load`].
    pub fn of(config: Config, inputs: Inputs) -> Result<Self, Error> {
        let loaded = Loaded::of(&config, inputs)?;
        Self::of_loaded(config, loaded)
    }

    /// Decides with what was loaded.
    ///
    /// # Errors
    /// Returns an error if the schema registry's URL is invalid.
    pub fn of_loaded(config: Config, loaded: Loaded) -> Result<Self, Error> {
        let rules = Rules::new(&config, config.publish.max_batch_bytes).with_glue(loaded.schemas.glue.clone());
        let schemas = Schemas::new(&config.confluent, loaded.schemas.confluent.clone(), &Network::default());
        let schemas = schemas.map_err(crate::delivery::SetupError::from)?;
        let queues = config.queues.iter().map(|queue| Arc::new(Queue::from(queue))).collect();
        Ok(Self { definitions: loaded.routes.definitions(), config, loaded, rules, schemas, queues })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the loaded files.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Returns the descriptor sets.
    pub fn snapshot(&self) -> &Snapshot {
        &self.definitions.snapshot
    }

    /// Returns the customers.
    pub fn customers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.definitions.router.customers().map(|customer| &customer.id)
    }

    /// Returns the queues.
    pub fn queues(&self) -> &[Arc<Queue>] {
        &self.queues
    }

    /// Returns the queue with this name or URL, or the only queue.
    ///
    /// # Errors
    /// Returns an error if there is no such queue, or if no name is given and there are several queues.
    pub fn queue(&self, name: Option<&str>) -> Result<Arc<Queue>, UnknownQueue> {
        let names = || self.queues.iter().map(|queue| queue.label.as_str());
        match (name, self.queues.as_slice()) {
            (None, [queue]) => Ok(Arc::clone(queue)),
            (None, _) => {
                let names = names().collect::<Vec<_>>().join(", ");
                Err(UnknownQueue(format!("the configuration has several queues; name one of {names}")))
            }
            (Some(name), queues) => {
                let found = queues.iter().find(|queue| queue.label == name || queue.url.as_str() == name);
                found.map(Arc::clone).ok_or_else(|| {
                    let hint = match nearest(name, names()) {
                        Some(near) => format!("did you mean {near}?"),
                        None => format!("the configuration has {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    UnknownQueue(format!("there is no queue {name}; {hint}"))
                })
            }
        }
    }

    /// Returns the known Confluent schemas together with more of them.
    ///
    /// # Errors
    /// Returns the problems of the schemas.
    pub fn schemas_with(&self, more: Vec<SchemaEntry>) -> Result<Result<Schemas, RegistryError>, Vec<Problem>> {
        let file = self.loaded.schemas.confluent.clone().unwrap_or_default().with(more)?;
        Ok(Schemas::new(&self.config.confluent, Some(file), &Network::default()))
    }

    /// Decides about a message as the service does. `schemas` replace the known Confluent schemas.
    ///
    /// # Errors
    /// Returns an error if a lookup has no answer.
    pub fn forecast(
        &self,
        message: &Message,
        answers: &Answers,
        schemas: Option<&Schemas>,
    ) -> Result<Forecast, Unanswered> {
        let Definitions { snapshot, router } = &*self.definitions;
        let context = Context { snapshot, router, schemas: schemas.unwrap_or(&self.schemas) };
        dry_run::forecast(&self.rules, context, &self.config.envelope.s3_buckets, message, answers)
    }
}
