//! The spelling options of the JSON. The defaults are canonical ProtoJSON.

/// The spelling of the JSON; [`Options::default`] is canonical ProtoJSON.
///
/// Options are compiled into a [`Plan`](crate::Plan), so they cost nothing per payload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Options {
    /// The spelling of field names.
    pub field_names: FieldNames,
    /// The spelling of 64-bit integers.
    pub int64: Int64,
    /// The spelling of enum values.
    pub enums: Enums,
    /// The spelling of bytes.
    pub bytes: Bytes,
    /// Whether fields without presence are written even if they hold their default. Empty repeated and map fields are
    /// then written as `[]` and `{}`.
    pub emit_defaults: bool,
    /// The field paths to write; all other fields are left out. If the list is empty, all fields are written.
    ///
    /// A path starts at the message that is transcoded. It consists of field names as declared in the schema, joined by
    /// dots, such as `order.items.sku`. A path can pass through repeated fields and map values. Including a field
    /// includes everything inside it.
    pub include: Vec<String>,
    /// The field paths to leave out.
    pub drop: Vec<String>,
    /// The field paths whose values are hidden. A singular string becomes `"[REDACTED]"`. Every other value becomes
    /// `null`, which every ProtoJSON reader treats as a field that is not set.
    pub redact: Vec<String>,
    /// Whether the values of all fields that the schema marks with `debug_redact` are hidden, at any depth.
    pub redact_marked: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            field_names: FieldNames::Json,
            int64: Int64::String,
            enums: Enums::Name,
            bytes: Bytes::Base64,
            emit_defaults: false,
            include: Vec::new(),
            drop: Vec::new(),
            redact: Vec::new(),
            redact_marked: false,
        }
    }
}

/// The spelling of field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldNames {
    /// The JSON name: lowerCamelCase, unless the schema sets `json_name`.
    Json,
    /// The name as declared in the schema.
    Proto,
}

/// The spelling of 64-bit integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Int64 {
    /// As JSON strings, exact in every reader.
    String,
    /// As JSON numbers. Readers that use doubles round values beyond 2^53.
    Number,
}

/// The spelling of enum values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Enums {
    /// By name. A number without a name stays a number.
    Name,
    /// By number.
    Number,
}

/// The spelling of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bytes {
    /// Standard base64 with padding.
    Base64,
    /// URL-safe base64 with padding.
    Base64Url,
}
