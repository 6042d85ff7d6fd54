//! The features of editions files, resolved for each field, and the option `debug_redact`.
//!
//! prost-types drops `edition`, `features` and `debug_redact`, so this module reads them with its own messages. Features
//! are resolved in the order file → message → oneof → field, where the inner one wins.
//!
//! Three features have an effect: presence, message encoding and UTF-8 validation. The last one only decides which
//! invalid strings an option can replace. The codec always reads both packed and unpacked values, and keeps unknown enum
//! numbers of open and closed enums.

/// The properties of a field that a FieldDescriptorProto of prost-types does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FieldFeatures {
    /// `None` if the file is not an editions file.
    pub(super) edition: Option<EditionFeatures>,
    /// Whether the field is marked with `debug_redact`.
    pub(crate) is_marked: bool,
}

/// The effect of the features of an editions file on one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EditionFeatures {
    pub(super) has_presence: bool,
    pub(super) is_required: bool,
    /// Whether the field's messages are encoded as groups.
    pub(super) is_delimited: bool,
}

/// The features in force at some place in a file. The defaults are those of both editions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    is_implicit: bool,
    is_required: bool,
    is_delimited: bool,
    accepts_any_string: bool,
}

// The parts of descriptor.proto that contain features
// (<https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>).

/// FileOptions.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileOptions {
    #[prost(message, optional, tag = "50")]
    pub(super) features: Option<FeatureSet>,
}

/// MessageOptions.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageOptions {
    #[prost(message, optional, tag = "12")]
    pub(super) features: Option<FeatureSet>,
}

/// OneofDescriptorProto.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Oneof {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    options: Option<OneofOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OneofOptions {
    #[prost(message, optional, tag = "1")]
    features: Option<FeatureSet>,
}

/// FieldDescriptorProto.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Field {
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldOptions {
    #[prost(bool, tag = "16")]
    debug_redact: bool,
    #[prost(message, optional, tag = "21")]
    features: Option<FeatureSet>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    field_presence: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    utf8_validation: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    message_encoding: Option<i32>,
}

const IMPLICIT: i32 = 2;
const LEGACY_REQUIRED: i32 = 3;
const DELIMITED: i32 = 2;
const NONE: i32 = 3;

/// The properties of a field that decide which features have an effect on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) is_extension: bool,
    pub(super) is_singular: bool,
    pub(super) is_message: bool,
    pub(super) is_map: bool,
}

impl Resolved {
    /// Returns the features inside an element with these features.
    pub(super) fn with(self, features: Option<FeatureSet>) -> Self {
        let Some(features) = features else { return self };
        let presence = features.field_presence;
        Self {
            is_implicit: presence.map_or(self.is_implicit, |presence| presence == IMPLICIT),
            is_required: presence.map_or(self.is_required, |presence| presence == LEGACY_REQUIRED),
            is_delimited: features.message_encoding.map_or(self.is_delimited, |encoding| encoding == DELIMITED),
            accepts_any_string: features.utf8_validation.map_or(self.accepts_any_string, |mode| mode == NONE),
        }
    }
}

impl Oneof {
    pub(super) fn features(&self) -> Option<FeatureSet> {
        self.options.as_ref()?.features
    }
}

impl Field {
    /// Whether the field is marked with `debug_redact`.
    pub(super) fn is_marked(&self) -> bool {
        self.options.as_ref().is_some_and(|options| options.debug_redact)
    }

    /// Whether the readers of the field in an editions file must refuse strings that are not UTF-8. `around` are the
    /// features of the message around it. A compiler copies the features of a map field to the fields of its entry.
    pub(super) fn verifies_utf8(&self, around: Resolved) -> bool {
        !around.with(self.options.as_ref().and_then(|options| options.features)).accepts_any_string
    }

    /// Returns the features of the field in an editions file. `around` are the features of the message around it.
    pub(super) fn resolve(&self, around: Resolved, oneof: Option<&Oneof>, form: Form) -> EditionFeatures {
        // An extension has presence, regardless of the features around it.
        let around = if form.is_extension { Resolved { is_implicit: false, ..around } } else { around };
        let around = around.with(oneof.and_then(Oneof::features));
        let resolved = around.with(self.options.as_ref().and_then(|options| options.features));
        let has_presence = form.is_message || oneof.is_some() || !resolved.is_implicit;
        EditionFeatures {
            has_presence: form.is_singular && has_presence,
            is_required: form.is_singular && resolved.is_required && oneof.is_none(),
            is_delimited: form.is_message && !form.is_map && resolved.is_delimited,
        }
    }
}
