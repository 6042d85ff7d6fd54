//! The errors of the crate: each opaque, with a kind to match on and a text that names what failed.

use std::borrow::Cow;
use std::fmt;

/// Why a payload could not be transcoded. Displayed as `malformed protobuf at byte 113 in shop.v1.Order.items: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    offset: usize,
    path: String,
    message: String,
}

/// What sort of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not the wire format: truncated, an over-long varint, a stray end-group, field number 0.
    Malformed,
    /// A string field holds bytes that are not UTF-8.
    InvalidUtf8,
    /// Messages are nested deeper than 100 levels.
    TooDeep,
    /// A required field (proto2, `LEGACY_REQUIRED`) is absent.
    MissingRequired,
    /// Well-formed, but ProtoJSON has no form for the value: a Timestamp out of range, an Any of unknown type, …
    Unrenderable,
}

/// An error on its way out of the messages that it happened in.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    offset: usize,
    message: Cow<'static, str>,
    /// Whether it happened in the payload of an Any, which is bytes as far as the wire format goes.
    inside_any: bool,
    /// Fields around it, the innermost first.
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
    pub(crate) fn missing_required(offset: usize, field: &str) -> Box<Self> {
        Self::new(ErrorKind::MissingRequired, offset, format!("{field} is not set"))
    }

    /// Not an error: too much was taken back, and the payload is better done in careful mode.
    #[cold]
    pub(crate) fn start_again() -> Box<Self> {
        let message = Cow::Borrowed("");
        Box::new(Self { kind: FailureKind::StartAgain, offset: 0, message, inside_any: false, path: Vec::new() })
    }

    /// Notes a field that it happened in.
    #[cold]
    pub(crate) fn within(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.path.push(field.to_owned());
        self
    }

    /// Notes that it happened in the payload of an Any.
    #[cold]
    pub(crate) fn inside_any(mut self: Box<Self>) -> Box<Self> {
        self.inside_any = true;
        self
    }

    /// Whether careful mode decides: too much was taken back, or what failed may be replaced by what comes later, which
    /// only careful mode knows beforehand.
    pub(crate) fn wants_care(&self) -> bool {
        let FailureKind::Error(kind) = self.kind else { return true };
        self.inside_any || matches!(kind, ErrorKind::MissingRequired | ErrorKind::Unrenderable)
    }

    /// The error for the caller.
    pub(crate) fn into_error(self, message_type: &str) -> Error {
        let kind = match self.kind {
            FailureKind::Error(kind) => kind,
            // Careful mode takes nothing back.
            FailureKind::StartAgain => ErrorKind::Malformed,
        };
        let mut path = message_type.to_owned();
        for field in self.path.iter().rev() {
            path.push('.');
            path.push_str(field);
        }
        Error { kind, offset: self.offset, path, message: self.message.into_owned() }
    }
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where in the payload it happened, in bytes from its start. Inside a message that came in several parts, from the
    /// start of the joined parts.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Full name of the message type, and the field path inside it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the payload itself is broken, as opposed to holding a value that JSON has no form for.
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
            ErrorKind::Unrenderable => "no JSON form",
        })?;
        write!(f, " at byte {} in {}: {}", self.offset, self.path, self.message)
    }
}

impl std::error::Error for Error {}

/// Why descriptor sets could not be loaded. Names the set, and the file or element inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    kind: SchemaErrorKind,
    set: String,
    other: Option<String>,
    message: String,
}

/// What sort of failure a [`SchemaError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// Not a FileDescriptorSet: empty, cut off, or something else altogether.
    Unreadable,
    /// A FileDescriptorSet that does not link: an import or a type is missing, a name is defined twice.
    Unlinkable,
    /// It uses a feature of the language that this version does not know.
    Unsupported,
    /// Two sets define the same full name, and contradict each other.
    Conflict,
}

impl SchemaError {
    pub(crate) fn new(kind: SchemaErrorKind, set: &str, message: impl Into<String>) -> Self {
        Self { kind, set: set.to_owned(), other: None, message: message.into() }
    }

    pub(crate) fn conflict(set: &str, other: &str, message: String) -> Self {
        Self { kind: SchemaErrorKind::Conflict, set: set.to_owned(), other: Some(other.to_owned()), message }
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> SchemaErrorKind {
        self.kind
    }

    /// The set's name, as given to [`SchemaBuilder::set`](crate::SchemaBuilder::set).
    pub fn set(&self) -> &str {
        &self.set
    }

    /// The set that it contradicts, in a conflict.
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

/// Why a message type has no plan: no set defines its name.
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

/// Why a tap could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapError {
    pub(crate) kind: TapErrorKind,
    pub(crate) message_type: String,
    pub(crate) path: String,
    pub(crate) segment: String,
}

/// What sort of failure a [`TapError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TapErrorKind {
    /// The message has no such field.
    UnknownField,
    /// The path crosses or ends in a repeated or map field, which has no single value.
    Repeated,
    /// The path goes on behind a field that is not a message.
    NotMessage,
    /// The path ends in a message, and it is not a `google.protobuf.Timestamp` or a wrapper.
    NotScalar,
}

impl TapError {
    /// What sort of failure this is.
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
            TapErrorKind::NotMessage => write!(f, "{segment} is not a message, so the path cannot go on behind it"),
            TapErrorKind::NotScalar => write!(f, "{segment} is a message; name one of its fields"),
        }
    }
}

impl std::error::Error for TapError {}
