//! The errors of the crate. Each type is opaque, has a kind to match on, and names in its text the part that failed.

use std::borrow::Cow;
use std::fmt;

/// The reason why a payload could not be transcoded. Displayed as `malformed protobuf at byte 113 in
/// shop.v1.Order.items: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    offset: usize,
    path: String,
    message: String,
}

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not valid wire format: truncation, an over-long varint, a stray end-group tag, field number 0.
    Malformed,
    /// A string field holds bytes that are not UTF-8.
    InvalidUtf8,
    /// Messages are nested deeper than 100 levels.
    TooDeep,
    /// A required field (proto2, `LEGACY_REQUIRED`) is absent.
    MissingRequired,
    /// The payload is well-formed, but ProtoJSON has no form for a value: a Timestamp out of range, an Any
    /// that does not name its type, …
    Unrenderable,
    /// The payload is well-formed, but it has an Any whose type no descriptor set defines. A set that defines the type
    /// makes the payload renderable.
    UnknownType,
    /// The JSON exceeds the limit that the caller set. The rest of the payload was not read.
    OverLimit,
}

/// An error while it passes up through the enclosing messages.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    offset: usize,
    message: Cow<'static, str>,
    /// Whether the error occurred inside the payload of an Any, which the wire format treats as plain bytes.
    inside_any: bool,
    /// The enclosing fields, innermost first.
    path: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum FailureKind {
    Error(ErrorKind),
    StartAgain,
}

impl Failure {
    #[cold]
    fn new(kind: ErrorKind, offset: usize, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            kind: FailureKind::Error(kind),
            offset,
            message: message.into(),
            inside_any: false,
            path: Vec::new(),
        })
    }

    #[cold]
    pub(crate) fn malformed(offset: usize, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Self::new(ErrorKind::Malformed, offset, message)
    }

    #[cold]
    pub(crate) fn not_utf8(offset: usize) -> Box<Self> {
        Self::new(ErrorKind::InvalidUtf8, offset, "string is not UTF-8")
    }

    #[cold]
    pub(crate) fn too_deep(offset: usize) -> Box<Self> {
        Self::new(ErrorKind::TooDeep, offset, "more than 100 levels of messages")
    }

    #[cold]
    pub(crate) fn unrenderable(offset: usize, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Self::new(ErrorKind::Unrenderable, offset, message)
    }

    #[cold]
    pub(crate) fn unknown_type(offset: usize, full_name: &str) -> Box<Self> {
        Self::new(ErrorKind::UnknownType, offset, format!("Any holds the unknown message type {full_name}"))
    }

    #[cold]
    pub(crate) fn over_limit(offset: usize) -> Box<Self> {
        Self::new(ErrorKind::OverLimit, offset, "")
    }

    #[cold]
    pub(crate) fn missing_required(offset: usize, field: &str) -> Box<Self> {
        Self::new(ErrorKind::MissingRequired, offset, format!("{field} is not set"))
    }

    /// Returns a request to restart in careful mode, because the engine rolled back too many bytes. It is not an error.
    #[cold]
    pub(crate) fn start_again() -> Box<Self> {
        let message = Cow::Borrowed("");
        Box::new(Self { kind: FailureKind::StartAgain, offset: 0, message, inside_any: false, path: Vec::new() })
    }

    /// Records an enclosing field.
    #[cold]
    pub(crate) fn within(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.path.push(field.to_owned());
        self
    }

    /// Records that the error occurred inside the payload of an Any.
    #[cold]
    pub(crate) fn inside_any(mut self: Box<Self>) -> Box<Self> {
        self.inside_any = true;
        self
    }

    /// Whether the payload must be transcoded again in careful mode: the engine rolled back too many bytes, or a later
    /// record may replace the value that failed or that exceeded the limit. Only careful mode knows about later records.
    pub(crate) fn needs_careful_mode(&self) -> bool {
        let FailureKind::Error(kind) = self.kind else { return true };
        let depends_on_later_records = matches!(
            kind,
            ErrorKind::MissingRequired | ErrorKind::Unrenderable | ErrorKind::UnknownType | ErrorKind::OverLimit
        );
        self.inside_any || depends_on_later_records
    }

    /// Whether a value has no JSON.
    pub(crate) fn is_unrenderable(&self) -> bool {
        self.kind == FailureKind::Error(ErrorKind::Unrenderable)
    }

    /// Whether the JSON exceeds its limit.
    pub(crate) fn is_over_limit(&self) -> bool {
        self.kind == FailureKind::Error(ErrorKind::OverLimit)
    }

    /// Returns the public error for a payload of this message type, whose JSON can have `limit` bytes.
    pub(crate) fn into_error(self, message_type: &str, limit: usize) -> Error {
        let is_over_limit = self.is_over_limit();
        let kind = match self.kind {
            FailureKind::Error(kind) => kind,
            // Careful mode rolls nothing back, so this does not happen.
            FailureKind::StartAgain => ErrorKind::Malformed,
        };
        let mut path = message_type.to_owned();
        for field in self.path.iter().rev() {
            path.push('.');
            path.push_str(field);
        }
        let message =
            if is_over_limit { format!("it exceeds the limit of {limit} bytes") } else { self.message.into_owned() };
        Error { kind, offset: self.offset, path, message }
    }
}

impl Error {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the position of the error, in bytes from the start of the payload. Inside a message that is split over
    /// several records, the position can count from the start of the joined records instead.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the full name of the message type, followed by the field path inside it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the payload itself is broken. Otherwise a required field is missing, a value has no JSON form, or the JSON
    /// is too large.
    pub fn is_malformed(&self) -> bool {
        matches!(self.kind, ErrorKind::Malformed | ErrorKind::InvalidUtf8 | ErrorKind::TooDeep)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Malformed => "malformed protobuf",
            ErrorKind::InvalidUtf8 => "invalid UTF-8",
            ErrorKind::TooDeep => "nested too deeply",
            ErrorKind::MissingRequired => "required field missing",
            ErrorKind::Unrenderable | ErrorKind::UnknownType => "no JSON form",
            ErrorKind::OverLimit => "JSON too large",
        })?;
        write!(f, " at byte {} in {}: {}", self.offset, self.path, self.message)
    }
}

impl std::error::Error for Error {}

/// The reason why descriptor sets could not be loaded. It names the set, and the file or element inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    kind: SchemaErrorKind,
    set: String,
    other: Option<String>,
    message: String,
}

/// The kind of a [`SchemaError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// The bytes are not a FileDescriptorSet: they are empty, truncated or in another format.
    Unreadable,
    /// The FileDescriptorSet does not link: an import or a type is missing, or a name is defined twice.
    Unlinkable,
    /// The set uses a language feature that this version does not know.
    Unsupported,
    /// Two sets define the same full name with contradicting definitions.
    Conflict,
}

impl SchemaError {
    pub(crate) fn new(kind: SchemaErrorKind, set: &str, message: impl Into<String>) -> Self {
        Self { kind, set: set.to_owned(), other: None, message: message.into() }
    }

    pub(crate) fn conflict(set: &str, other: &str, message: String) -> Self {
        Self { kind: SchemaErrorKind::Conflict, set: set.to_owned(), other: Some(other.to_owned()), message }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> SchemaErrorKind {
        self.kind
    }

    /// Returns the name of the set, as passed to [`SchemaBuilder::set`](crate::SchemaBuilder::set).
    pub fn set(&self) -> &str {
        &self.set
    }

    /// Returns the name of the other set in a conflict.
    pub fn other(&self) -> Option<&str> {
        self.other.as_deref()
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor set {}: {}", self.set, self.message)
    }
}

impl std::error::Error for SchemaError {}

/// The error for a message type that no descriptor set defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    pub(crate) full_name: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown message type {}: no descriptor set defines it", self.full_name)
    }
}

impl std::error::Error for PlanError {}

/// The reason why a tap could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapError {
    pub(crate) kind: TapErrorKind,
    pub(crate) message_type: String,
    pub(crate) path: String,
    pub(crate) segment: String,
}

/// The kind of a [`TapError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TapErrorKind {
    /// The message has no such field.
    UnknownField,
    /// The path crosses or ends in a repeated or map field, which has no single value.
    Repeated,
    /// The path continues after a field that is not a message.
    NotMessage,
    /// The path ends in a message that is no `google.protobuf.Timestamp`, no `google.protobuf.Duration` and no wrapper.
    NotScalar,
}

impl TapError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> TapErrorKind {
        self.kind
    }
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_type, path, segment, .. } = self;
        write!(f, "field path {path} in {message_type}: ")?;
        match self.kind {
            TapErrorKind::UnknownField => write!(f, "there is no field {segment}"),
            TapErrorKind::Repeated => write!(f, "{segment} is repeated, so it has no single value"),
            TapErrorKind::NotMessage => write!(f, "{segment} is not a message, so the path cannot continue after it"),
            TapErrorKind::NotScalar => write!(f, "{segment} is a message; name one of its fields"),
        }
    }
}

impl std::error::Error for TapError {}
