//! The file of schemas (`confluent.schemas_file`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use schemars::JsonSchema;
use serde::Deserialize;
use strict_config::Problem;

use super::Types;
use crate::config::names;

/// The schemas of the file.
#[derive(Debug, Clone, Default)]
pub struct File(BTreeMap<u32, Arc<Types>>);

/// The content of the file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SchemasFile {
    /// The schemas.
    #[serde(default)]
    schemas: Vec<SchemaEntry>,
}

/// One schema in the file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaEntry {
    /// The id that the schema registry assigned.
    id: u32,
    /// Full names of the top-level messages of its `.proto` file, in the order of the file. Messages after the last one
    /// that is sent can be left out.
    types: Vec<String>,
    /// Full names of nested messages that are sent, by their indexes: `0.2` is the third message inside the first.
    #[serde(default)]
    nested: BTreeMap<String, String>,
}

/// Why the file of schemas could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read schemas file {}: {error}; set `confluent.schemas_file` to it", path.display())]
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

impl SchemaEntry {
    /// Creates the entry of a schema with these top-level messages.
    pub fn new(id: u32, types: Vec<String>) -> Self {
        Self { id, types, nested: BTreeMap::new() }
    }
}

impl File {
    /// Reads and validates a schemas file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is invalid.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|error| Error::Unreadable { path: path.to_owned(), error })?;
        Ok(Self::parse(path, &text)?)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, strict_config::Error> {
        let file: SchemasFile = strict_config::document_with(path, text, problems)?;
        Ok(Self(file.schemas.into_iter().map(|entry| (entry.id, Arc::new(types(&entry)))).collect()))
    }

    /// Adds schemas. They take precedence over those of the file.
    ///
    /// # Errors
    /// Returns the problems of the schemas, each with a key that starts with `schemas`.
    pub fn with(mut self, schemas: Vec<SchemaEntry>) -> Result<Self, Vec<Problem>> {
        let more = SchemasFile { schemas };
        let problems = problems(&more);
        if !problems.is_empty() {
            return Err(problems);
        }
        self.0.extend(more.schemas.into_iter().map(|entry| (entry.id, Arc::new(types(&entry)))));
        Ok(self)
    }

    /// Returns the full names of all types in the file.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.0.values().flat_map(|types| types.values()).map(|name| &**name)
    }

    pub(super) fn types(&self, id: u32) -> Option<Arc<Types>> {
        self.0.get(&id).cloned()
    }
}

fn types(entry: &SchemaEntry) -> Types {
    let top = (0..).zip(&entry.types).map(|(index, name)| (vec![index], name.as_str().into()));
    // `problems` has checked the indexes.
    let nested =
        entry.nested.iter().filter_map(|(indexes, name)| Some((self::indexes(indexes)?, name.as_str().into())));
    top.chain(nested).collect()
}

/// Parses indexes such as `0.2`. A single index is not nested, so it is refused.
fn indexes(text: &str) -> Option<Vec<u32>> {
    let indexes = text.split('.').map(|index| index.parse().ok()).collect::<Option<Vec<u32>>>()?;
    (indexes.len() > 1).then_some(indexes)
}

/// Validates the file and returns its problems.
fn problems(file: &SchemasFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (position, entry) in file.schemas.iter().enumerate() {
        let mut report = |key: String, message: String| {
            problems.push(Problem::new(format!("schemas[{position}].{key}"), message));
        };
        if let Some(first) = file.schemas[..position].iter().position(|other| other.id == entry.id) {
            report("id".into(), format!("{} is the id of schemas[{first}] as well", entry.id));
        }
        if entry.types.is_empty() {
            report("types".into(), "is empty; list the messages of the schema in their order".to_owned());
        }
        let is_no_name = |name: &str| format!("{name:?} is not a full name such as `shop.v1.OrderPlaced`");
        for (index, name) in entry.types.iter().enumerate().filter(|(_, name)| !names::is_dotted(name)) {
            report(format!("types[{index}]"), is_no_name(name));
        }
        for (at, name) in &entry.nested {
            if indexes(at).is_none() {
                report(format!("nested.{at}"), "is not the indexes of a nested message such as `0.2`".to_owned());
            }
            if !names::is_dotted(name) {
                report(format!("nested.{at}"), is_no_name(name));
            }
        }
    }
    problems
}
