//! Editions files: their features, resolved for each field, and a lowered copy of the file that prost-reflect can link.
//!
//! prost-types drops `edition` and `features` (and the option `debug_redact`, which this module reads as well), and
//! prost-reflect does not accept editions files. This module therefore reads the features with its own messages and
//! resolves them in the order file → message → oneof → field, where the inner one wins. The result is kept beside the
//! pool. The file itself is lowered to proto2, which has everything that linking requires.
//!
//! Only two features change the wire format or the JSON: presence and message encoding. The codec always reads both
//! packed and unpacked values, keeps unknown enum numbers of open and closed enums, and validates strings.

use std::collections::HashMap;

use prost::Message as _;
use prost_reflect::prost_types;

/// The properties of fields that linking does not keep, by the full name of the field. Fields without such properties
/// are left out.
#[derive(Debug, Default)]
pub(crate) struct Features {
    fields: HashMap<String, FieldFeatures>,
}

/// Overrides of the lowered descriptor; `None` if the descriptor is right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FieldFeatures {
    pub(crate) has_presence: Option<bool>,
    pub(crate) is_required: Option<bool>,
    /// Whether the field's messages are encoded as groups.
    pub(crate) delimited: Option<bool>,
    /// Whether the field is marked with `debug_redact`.
    pub(crate) is_marked: bool,
}

impl Features {
    pub(crate) fn of_field(&self, full_name: &str) -> FieldFeatures {
        self.fields.get(full_name).copied().unwrap_or_default()
    }
}

/// A FileDescriptorSet whose files are kept as bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) file: Vec<Vec<u8>>,
}

// The parts of descriptor.proto that contain features
// (<https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>).

#[derive(Clone, PartialEq, prost::Message)]
struct File {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<Message>,
    #[prost(message, repeated, tag = "7")]
    extensions: Vec<Field>,
    #[prost(message, optional, tag = "8")]
    options: Option<FileOptions>,
    #[prost(string, tag = "12")]
    syntax: String,
    #[prost(int32, tag = "14")]
    edition: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FileOptions {
    #[prost(message, optional, tag = "50")]
    features: Option<FeatureSet>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<Field>,
    #[prost(message, repeated, tag = "3")]
    messages: Vec<Message>,
    #[prost(message, repeated, tag = "6")]
    extensions: Vec<Field>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    oneofs: Vec<Oneof>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageOptions {
    #[prost(bool, tag = "7")]
    map_entry: bool,
    #[prost(message, optional, tag = "12")]
    features: Option<FeatureSet>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Oneof {
    #[prost(message, optional, tag = "2")]
    options: Option<OneofOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OneofOptions {
    #[prost(message, optional, tag = "1")]
    features: Option<FeatureSet>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Field {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "4")]
    label: i32,
    #[prost(int32, tag = "5")]
    kind: i32,
    #[prost(string, tag = "6")]
    type_name: String,
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
    #[prost(int32, optional, tag = "9")]
    oneof_index: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldOptions {
    #[prost(bool, tag = "16")]
    debug_redact: bool,
    #[prost(message, optional, tag = "21")]
    features: Option<FeatureSet>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    field_presence: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    message_encoding: Option<i32>,
}

const IMPLICIT: i32 = 2;
const LEGACY_REQUIRED: i32 = 3;
const DELIMITED: i32 = 2;
const LABEL_REPEATED: i32 = 3;
const TYPE_MESSAGE: i32 = 11;
const EDITION_2023: i32 = 1000;
const EDITION_2024: i32 = 1001;

/// The features in force at some place in a file. The defaults are those of both editions.
#[derive(Debug, Clone, Copy, Default)]
struct Resolved {
    is_implicit: bool,
    is_required: bool,
    is_delimited: bool,
}

impl Resolved {
    fn with(self, features: Option<FeatureSet>) -> Self {
        let Some(features) = features else { return self };
        let presence = features.field_presence;
        Self {
            is_implicit: presence.map_or(self.is_implicit, |presence| presence == IMPLICIT),
            is_required: presence.map_or(self.is_required, |presence| presence == LEGACY_REQUIRED),
            is_delimited: features.message_encoding.map_or(self.is_delimited, |encoding| encoding == DELIMITED),
        }
    }
}

/// Reads the properties of a file's fields. Returns the lowered file if it is an editions file.
///
/// # Errors
/// Returns an error text if the syntax or edition is unknown, or if the bytes are not a FileDescriptorProto.
pub(super) fn lower(bytes: &[u8], features: &mut Features) -> Result<Option<Vec<u8>>, String> {
    let file = File::decode(bytes).map_err(|error| error.to_string())?;
    let is_editions = match file.syntax.as_str() {
        "" | "proto2" | "proto3" => false,
        "editions" => true,
        syntax => return Err(format!("{} has the unknown syntax {syntax:?}", file.name)),
    };
    if is_editions && file.edition != EDITION_2023 && file.edition != EDITION_2024 {
        let (name, edition) = (file.name, file.edition);
        return Err(format!("{name} has edition number {edition}; supported are 2023 (1000) and 2024 (1001)"));
    }
    let resolved = Resolved::default().with(file.options.and_then(|options| options.features));
    let mut collector = Collector { features, is_editions };
    for message in &file.messages {
        collector.message(message, &file.package, resolved);
    }
    collector.extensions(&file.extensions, &file.package, resolved);
    if !is_editions {
        return Ok(None);
    }
    let mut lowered = prost_types::FileDescriptorProto::decode(bytes).map_err(|error| error.to_string())?;
    lowered.syntax = None;
    Ok(Some(lowered.encode_to_vec()))
}

struct Collector<'f> {
    features: &'f mut Features,
    is_editions: bool,
}

impl Collector<'_> {
    fn message(&mut self, message: &Message, scope: &str, around: Resolved) {
        // Map fields and their entries are length-delimited, and entry fields have presence, regardless of the features
        // around them.
        if is_map_entry(message) {
            return;
        }
        let name = join(scope, &message.name);
        let resolved = around.with(message.options.as_ref().and_then(|options| options.features));
        let maps: Vec<String> = message
            .messages
            .iter()
            .filter(|nested| is_map_entry(nested))
            .map(|entry| format!(".{name}.{}", entry.name))
            .collect();
        for field in &message.fields {
            let oneof = field.oneof_index.and_then(|index| message.oneofs.get(usize::try_from(index).ok()?));
            let around = resolved.with(oneof.and_then(|oneof| oneof.options.as_ref()?.features));
            let in_oneof = oneof.is_some();
            self.field(field, &name, around, in_oneof, maps.contains(&field.type_name));
        }
        self.extensions(&message.extensions, &name, resolved);
        for nested in &message.messages {
            self.message(nested, &name, resolved);
        }
    }

    fn extensions(&mut self, extensions: &[Field], scope: &str, around: Resolved) {
        for extension in extensions {
            // An extension has presence, regardless of the features around it.
            let around = Resolved { is_implicit: false, ..around };
            self.field(extension, scope, around, false, false);
        }
    }

    fn field(&mut self, field: &Field, scope: &str, around: Resolved, in_oneof: bool, is_map: bool) {
        let is_marked = field.options.as_ref().is_some_and(|options| options.debug_redact);
        let resolved = around.with(field.options.as_ref().and_then(|options| options.features));
        let is_message = field.kind == TYPE_MESSAGE;
        let is_singular = field.label != LABEL_REPEATED;
        let features = match self.is_editions {
            true => FieldFeatures {
                has_presence: Some(is_singular && (is_message || in_oneof || !resolved.is_implicit)),
                is_required: Some(is_singular && resolved.is_required && !in_oneof),
                delimited: Some(is_message && !is_map && resolved.is_delimited),
                is_marked,
            },
            false if !is_marked => return,
            false => FieldFeatures { is_marked, ..FieldFeatures::default() },
        };
        self.features.fields.insert(join(scope, &field.name), features);
    }
}

fn is_map_entry(message: &Message) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry)
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
