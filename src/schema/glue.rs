//! Message types by the schema version ids of the AWS Glue Schema Registry.
//!
//! A schema version is one version of one `.proto` file, and the meaning of its id never changes. The ids come from a
//! configured file. protobridge does not call AWS Glue.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use schemars::JsonSchema;
use serde::Deserialize;
use strict_config::Problem;
use uuid::Uuid;

use crate::config::names;
use crate::message::envelope::GlueReference;

/// The known schema versions.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    /// The message types of each version, sorted. `None` if no file is configured.
    versions: Option<BTreeMap<Uuid, Box<[Arc<str>]>>>,
}

/// The content of the file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SchemasFile {
    /// The schema versions.
    #[serde(default)]
    schemas: Vec<SchemaEntry>,
}

/// One schema version in the file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SchemaEntry {
    /// The id of the schema version: a UUID.
    id: String,
    /// Full names of all messages of its `.proto` file, in any order. Nested messages, the entries of map fields
    /// (`shop.v1.Order.TagsEntry`) and groups count. The serializer numbers the messages by their sorted names.
    types: Vec<String>,
}

/// Why the file of schema versions could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read schemas file {}: {error}; set `glue.schemas_file` to it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The file is invalid.
    #[error(transparent)]
    Document(#[from] strict_config::Error),
}

/// Why the type of a reference is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTypeError {
    /// The file does not have the schema version.
    #[error("`glue.schemas_file` has no schema version {0}; add it and restart protobridge")]
    UnknownVersion(Uuid),
    /// The schema version has fewer messages.
    #[error(
        "there is no {reference}, for which `glue.schemas_file` lists {listed} message(s); list all messages of its `.proto` file, nested ones and map entries included"
    )]
    UnknownIndex {
        /// The reference.
        reference: GlueReference,
        /// The number of listed messages.
        listed: usize,
    },
}

impl Schemas {
    /// Reads and validates a schemas file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is invalid.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
        Ok(Self::parse(path, &text)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, strict_config::Error> {
        let file: SchemasFile = strict_config::document_with(path, text, problems)?;
        // `problems` has checked the ids.
        let entries = file.schemas.iter().filter_map(|entry| Some((id(&entry.id)?, sorted(&entry.types))));
        Ok(Self { versions: Some(entries.collect()) })
    }

    /// Whether there is a file.
    pub fn is_configured(&self) -> bool {
        self.versions.is_some()
    }

    /// Returns the schema versions, each with the full names of its types, sorted.
    pub fn versions(&self) -> impl Iterator<Item = (Uuid, &[Arc<str>])> {
        self.versions.iter().flatten().map(|(id, types)| (*id, &**types))
    }

    /// Returns the full name of a message type.
    ///
    /// # Errors
    /// Returns an error if the type is not known.
    pub fn type_name(&self, reference: &GlueReference) -> Result<&Arc<str>, UnknownTypeError> {
        let types = self.versions.as_ref().and_then(|versions| versions.get(&reference.version));
        let types = types.ok_or(UnknownTypeError::UnknownVersion(reference.version))?;
        let unknown = || UnknownTypeError::UnknownIndex { reference: *reference, listed: types.len() };
        types.get(reference.index as usize).ok_or_else(unknown)
    }
}

/// Parses an id as AWS writes it. Other spellings of a UUID are refused, so that an entry can be searched for.
fn id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    text.eq_ignore_ascii_case(&id.to_string()).then_some(id)
}

/// Sorts the names like the serializer, which compares them letter by letter.
fn sorted(types: &[String]) -> Box<[Arc<str>]> {
    let mut types: Vec<Arc<str>> = types.iter().map(|name| name.as_str().into()).collect();
    types.sort_unstable();
    types.into()
}

/// Validates the file and returns its problems.
fn problems(file: &SchemasFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (position, entry) in file.schemas.iter().enumerate() {
        let mut report = |key: String, message: String| {
            problems.push(Problem::new(format!("schemas[{position}].{key}"), message));
        };
        match id(&entry.id) {
            None => {
                let message = format!("{:?} is not a UUID such as `b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63`", entry.id);
                report("id".into(), message);
            }
            Some(known) => {
                let is_same = |other: &SchemaEntry| id(&other.id) == Some(known);
                if let Some(first) = file.schemas[..position].iter().position(is_same) {
                    report("id".into(), format!("{known} is the id of schemas[{first}] as well"));
                }
            }
        }
        if entry.types.is_empty() {
            report("types".into(), "is empty; list all messages of the schema".to_owned());
        }
        for (index, name) in entry.types.iter().enumerate() {
            if !names::is_dotted(name) {
                let message = format!("{name:?} is not a full name such as `shop.v1.OrderPlaced`");
                report(format!("types[{index}]"), message);
            } else if let Some(first) = entry.types[..index].iter().position(|other| other == name) {
                report(format!("types[{index}]"), format!("{name} is types[{first}] as well"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests;
