//! Schemas: descriptor sets loaded at run time, and the transcoding of payloads to JSON.

pub mod confluent;
pub mod glue;
pub mod registry;
pub mod transcode;

/// The configured files of schema ids, loaded.
#[derive(Debug, Clone, Default)]
pub struct SchemaFiles {
    /// The schemas of `confluent.schemas_file`, if it is set.
    pub confluent: Option<confluent::File>,
    /// The schema versions of `glue.schemas_file`, if it is set.
    pub glue: glue::Schemas,
}
