//! The files that a configuration names, loaded and checked before anything runs: descriptor sets and customers.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::Error;
use super::inputs::{Inputs, Sources};
use super::reload::log_decisions;
use crate::aws::Clients;
use crate::base::http::Network;
use crate::config::{Config, OnBreak, Warning};
use crate::route::{self, Glob, Router, Routes};
use crate::schema::registry::{Profiles, Registry, Snapshot};
use crate::schema::{SchemaFiles, confluent, glue};

/// The files that a configuration names, loaded and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The descriptor sets.
    pub registry: Arc<Registry>,
    /// The customers.
    pub routes: Arc<Routes>,
    /// The files of schema ids.
    pub schemas: SchemaFiles,
    /// Probable mistakes.
    pub warnings: Vec<Warning>,
    /// The readers of the places that are in buckets.
    pub sources: Sources,
}

impl Loaded {
    /// Loads the files that the configuration names, which must not be in a bucket. Makes no call to AWS.
    ///
    /// # Errors
    /// Returns an error if a place is in a bucket, if a descriptor set, the customers file or a file of schema ids does not
    /// load, or if a path that is meant to hide a field matches none.
    pub fn load(config: &Config) -> Result<Self, Error> {
        Self::of(config, Inputs::of_paths(config)?)
    }

    /// Loads what the configuration names, from paths and from buckets.
    ///
    /// # Errors
    /// Returns an error in the cases of [`Loaded::load`], or if a bucket cannot be read.
    pub async fn read(config: &Config, clients: &Clients) -> Result<Self, Error> {
        Self::on_a_thread(config, Inputs::read(config, clients).await?).await
    }

    /// Loads what the configuration names, from paths and from buckets. Creates clients of AWS only if a place is in a
    /// bucket.
    ///
    /// # Errors
    /// Returns an error in the cases of [`Loaded::read`].
    pub async fn read_with(config: &Config, network: &Network) -> Result<Self, Error> {
        Self::on_a_thread(config, Inputs::read_with(config, network).await?).await
    }

    /// Links the sets on a thread for blocking work.
    async fn on_a_thread(config: &Config, inputs: Inputs) -> Result<Self, Error> {
        let config = config.clone();
        let loaded = spawn_blocking(move || Self::of(&config, inputs)).await;
        loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Loads what was read. Takes time for large sets.
    ///
    /// # Errors
    /// Returns an error if a descriptor set, the customers file or a file of schema ids does not load, or if a path that is
    /// meant to hide a field matches none.
    pub fn of(config: &Config, inputs: Inputs) -> Result<Self, Error> {
        let profiles = Arc::new(Profiles::new(&config.profiles));
        let registry = Registry::of(inputs.sets(), &config.descriptors, config, Arc::clone(&profiles))?;
        let unmatched = registry.unmatched_paths();
        if !unmatched.is_empty() {
            return Err(Error::UnmatchedPaths(unmatched));
        }
        let snapshot = registry.current();
        if !snapshot.heartbeat_problems().is_empty() {
            return Err(Error::Heartbeats(snapshot.heartbeat_problems().to_vec()));
        }
        let types = snapshot.type_names();
        let routes = Routes::parse(config, inputs.customers(), Arc::clone(&profiles), Arc::clone(&snapshot))?;
        let schemas = SchemaFiles {
            confluent: config.confluent.schemas_file.as_deref().map(confluent::File::load).transpose()?,
            glue: config.glue.schemas_file.as_deref().map(glue::Schemas::load).transpose()?.unwrap_or_default(),
        };
        let mut warnings = config.warnings();
        warnings.extend(warnings_of_files(config, &snapshot, &routes.current(), &types));
        warnings.extend(registry.path_warnings());
        warnings.extend(registry.tap_warnings());
        warnings.extend(registry.source_warning().or_else(|| inputs.source_warning()).map(about_sources));
        warnings.extend(about_schema_ids(&schemas, &snapshot));
        Ok(Self {
            registry: Arc::new(registry),
            routes: Arc::new(routes),
            schemas,
            warnings,
            sources: inputs.into_sources(),
        })
    }

    /// Logs the descriptor sets that were admitted and refused, and the warnings.
    pub(super) fn log(&self) {
        let snapshot = self.registry.current();
        log_decisions(&snapshot, snapshot.trail());
        for warning in &self.warnings {
            warn!("{warning}");
        }
    }
}

fn warnings_of_files(config: &Config, snapshot: &Snapshot, router: &Router, types: &[&str]) -> Vec<Warning> {
    // Only the default types of queues are known to be sent as events. Any other type can be a part of an event.
    let defaults: Vec<&str> = config.queues.iter().filter_map(|queue| queue.default_type.as_deref()).collect();
    let mut warnings = route::warnings(router, types, &defaults);
    for (index, queue) in config.queues.iter().enumerate() {
        if let Some(unknown) = queue.default_type.as_ref().filter(|name| snapshot.find(name).is_none()) {
            let message = format!("{unknown} is in no descriptor set yet");
            warnings.push(Warning::new(format!("queues[{index}].default_type"), message));
        }
    }
    if config.descriptors.on_break == OnBreak::Refuse && config.descriptors.baseline.is_none() {
        let message = "is `refuse` without `descriptors.baseline`: a replica that restarts does not know the version \
                       that the others keep, so it admits the set that they refuse";
        warnings
            .push(Warning::new("descriptors.on_break", message).fix("put the released sets into a folder and name it"));
    }
    for (path, why) in snapshot.unused_taps(&config.taps) {
        let message = match why {
            Some(why) => format!("no message type has a value at {path}: {why}"),
            None => format!("no message type has the field path {path}"),
        };
        warnings.push(Warning::new("taps", message));
    }
    for (index, declared) in config.heartbeats.types.iter().enumerate() {
        if snapshot.find(&declared.r#type).is_none() {
            let message = format!("{} is in no descriptor set yet", declared.r#type);
            warnings.push(Warning::new(format!("heartbeats.types[{index}].type"), message));
        }
    }
    warnings.extend(unmatched_globs(config, types));
    warnings
}

/// Returns a warning for each glob of silence rules and expected sources that matches no known type.
fn unmatched_globs(config: &Config, types: &[&str]) -> Vec<Warning> {
    let mut lists: Vec<(String, &[String])> = Vec::new();
    for (index, expected) in config.heartbeats.expect.iter().enumerate() {
        lists.push((format!("heartbeats.expect[{index}].events"), &expected.events));
    }
    for (index, rule) in config.silence.iter().enumerate() {
        lists.push((format!("silence[{index}].types"), &rule.types));
        lists.push((format!("silence[{index}].while"), &rule.r#while));
    }
    let is_unmatched = |glob: &&String| !types.iter().any(|known| Glob::new(glob).matches(known));
    let warn = |key: &String, glob: &String| Warning::new(key, format!("`{glob}` matches no known message type"));
    lists.iter().flat_map(|(key, globs)| globs.iter().filter(is_unmatched).map(move |glob| warn(key, glob))).collect()
}

/// Returns the warning about sources in the folder of the sets. The text has the way out behind its first semicolon.
fn about_sources(text: String) -> Warning {
    const KEY: &str = "descriptors.path";
    match text.split_once("; ") {
        Some((message, way_out)) => Warning::new(KEY, message).fix(way_out),
        None => Warning::new(KEY, text),
    }
}

fn about_schema_ids(schemas: &SchemaFiles, snapshot: &Snapshot) -> Vec<Warning> {
    let (confluent_key, glue_key) = ("confluent.schemas_file", "glue.schemas_file");
    let mut warnings = Vec::new();
    let confluent = schemas.confluent.iter().flat_map(confluent::File::type_names);
    for name in confluent.filter(|name| snapshot.find(name).is_none()) {
        warnings.push(Warning::new(confluent_key, format!("{name} is in no descriptor set yet")));
    }
    for (version, types) in schemas.glue.versions() {
        let listed = |name: &str| types.iter().any(|listed| **listed == *name);
        let Some(beside) = types.iter().find_map(|name| snapshot.messages_beside(name)) else {
            let message = format!("no type of schema version {version} is in a descriptor set yet");
            warnings.push(Warning::new(glue_key, message));
            continue;
        };
        let missing: Vec<&str> = beside.iter().map(|name| &**name).filter(|name| !listed(name)).collect();
        if !missing.is_empty() {
            let message = format!(
                "schema version {version} does not list {}, which the same .proto file has today",
                missing.join(", ")
            );
            let way_out = "if that version has them, list them, because each message is numbered among all of them";
            warnings.push(Warning::new(glue_key, message).fix(way_out));
        }
    }
    warnings
}
