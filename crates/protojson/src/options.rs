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
    /// The treatment of an Any whose type no descriptor set defines.
    pub unknown_any: UnknownAny,
    /// The treatment of strings that are not UTF-8.
    pub invalid_utf8: InvalidUtf8,
    /// Whether fields without presence are written even if they hold their default. Empty repeated and map fields are
    /// then written as `[]` and `{}`.
    pub emit_defaults: bool,
    /// The field paths to write; all other fields are left out. If the list is empty, all fields are written.
    ///
    /// A path starts at the message that is transcoded. It consists of field names as declared in the schema, joined by
    /// dots, such as `order.items.sku`; the name of an extension is its full name in brackets. A path can pass through
    /// repeated fields and map values. Including a field includes everything inside it.
    ///
    /// A path can name the message types that it starts at: `shop.v1.Order*/meta.id`, where `*` matches any run of
    /// characters. [`FieldPath`](crate::FieldPath) splits such a path. If a list has paths, but none for a type, nothing
    /// of that type is written.
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
            unknown_any: UnknownAny::Refuse,
            invalid_utf8: InvalidUtf8::Refuse,
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
    /// Two lowercase hexadecimal digits per byte, as tracing tools spell trace ids.
    Hex,
}

/// The treatment of an Any whose type no descriptor set defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownAny {
    /// The payload is an error.
    Refuse,
    /// The Any is written as `{"@type": …, "value": …}`. The value is the bytes of the message inside, spelled as
    /// [`Options::bytes`] says.
    ///
    /// If the options hide any field (`include`, `drop`, `redact`, `redact_marked`), the value is null, because the
    /// codec cannot tell whether the bytes contain such a field.
    Bytes,
}

/// The treatment of strings that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvalidUtf8 {
    /// The payload is an error.
    Refuse,
    /// In the fields that can legally hold such strings, each invalid sequence is replaced by U+FFFD, as
    /// [`String::from_utf8_lossy`] does. These are the string fields of proto2 files, and of editions files with
    /// `utf8_validation = NONE`: neither their writers nor their readers validate strings.
    ///
    /// The payload is still an error in these places:
    ///
    /// - A proto3 field, or an editions field with `utf8_validation = VERIFY`. Every reader refuses such a payload, so
    ///   it is damaged or of another type, and a replacement would hide that.
    /// - A map key. Two different keys could become equal, and one of the entries would be lost.
    /// - A field with a tap. Two different ids could become equal.
    Replace,
}
