//! A message type compiled with its options: wire bytes → JSON bytes.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::{Effort, Engine, Frame, Scratch};
use crate::error::Failure;
use crate::output::Output;
use crate::program::{self, Program, Shape};
use crate::schema::{FieldDescriptor, MessageDescriptor};
use crate::taps::Node;
use crate::wire::Cursor;
use crate::{Error, ErrorKind, Options, Schema, TapError, TapErrorKind, Taps};

/// The maximum size of a payload in bytes, which is that of Protobuf
/// (<https://protobuf.dev/programming-guides/encoding/#size-limit>).
pub(crate) const MAX_PAYLOAD: usize = i32::MAX as usize;

/// A message type compiled for transcoding. A plan is immutable, shared between threads and cheap to clone.
#[derive(Clone)]
pub struct Plan {
    message: MessageDescriptor,
    program: Arc<Program>,
    types: Arc<Types>,
    taps: Arc<Node>,
    tap_count: usize,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("message", &self.full_name()).finish_non_exhaustive()
    }
}

/// The message types that an Any can hold, each compiled at its first use.
struct Types {
    schema: Schema,
    options: Options,
    programs: RwLock<HashMap<String, Arc<Program>>>,
}

/// The source of the message types that an Any holds.
pub(crate) trait AnyTypes {
    /// Returns the program of the message type with this full name, if the type is known.
    fn program(&self, full_name: &str) -> Option<Arc<Program>>;
}

impl AnyTypes for Types {
    fn program(&self, full_name: &str) -> Option<Arc<Program>> {
        if let Some(program) = self.programs.read().unwrap_or_else(PoisonError::into_inner).get(full_name) {
            return Some(Arc::clone(program));
        }
        let program = Arc::new(self.schema.program(full_name, &self.options)?);
        let mut programs = self.programs.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(programs.entry(full_name.to_owned()).or_insert(program)))
    }
}

thread_local! {
    /// The transcoder's working memory besides the output. The thread keeps it, so that the next payload allocates
    /// nothing.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Plan {
    pub(crate) fn new(schema: &Schema, message: &MessageDescriptor, options: &Options) -> Self {
        let types = Types { schema: schema.clone(), options: options.clone(), programs: RwLock::default() };
        Self {
            message: message.clone(),
            program: Arc::new(schema.program_of(message, options)),
            types: Arc::new(types),
            taps: Arc::default(),
            tap_count: 0,
        }
    }

    /// Returns the full name of the message type.
    pub fn full_name(&self) -> &str {
        self.message.full_name()
    }

    /// Adds a tap. The path is a list of field names as declared, joined by dots, such as `meta.tenant_id`.
    /// [`Plan::transcode_tapped`] records its value under the tap's index: the number of taps added before it.
    ///
    /// # Errors
    /// Returns an error if the path does not lead through singular fields to a single value.
    pub fn with_tap(mut self, path: &str) -> Result<Self, TapError> {
        let path = compile_tap(&self.program, &self.message, path)?;
        Arc::make_mut(&mut self.taps).add(&path, self.tap_count);
        self.tap_count += 1;
        Ok(self)
    }

    /// Transcodes one payload and appends its ProtoJSON to `json`. On an error, `json` is unchanged. The size of the JSON
    /// is not limited; use [`Plan::transcode_within`] for payloads from others.
    ///
    /// # Errors
    /// Returns an error if the payload is malformed, lacks a required field, or holds a value without a ProtoJSON form.
    pub fn transcode(&self, wire: &[u8], json: &mut Vec<u8>) -> Result<(), Error> {
        self.transcode_within(usize::MAX, wire, json)
    }

    /// Transcodes one payload like [`Plan::transcode`], and stops as soon as its JSON exceeds `limit` bytes.
    ///
    /// A small payload can have a huge JSON: with `emit_defaults`, two bytes of an empty message become all of its
    /// defaults. The memory in use is at most a small multiple of the payload and the limit. A limit beyond 4 GiB means
    /// 4 GiB.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Plan::transcode`], and with [`ErrorKind::OverLimit`](crate::ErrorKind) if
    /// the JSON exceeds the limit. A payload with several faults can have the error of any of them.
    pub fn transcode_within(&self, limit: usize, wire: &[u8], json: &mut Vec<u8>) -> Result<(), Error> {
        self.run(limit, wire, json, None)
    }

    /// Transcodes one payload like [`Plan::transcode`] and records the values of the plan's taps. On an error, `taps`
    /// has no values.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Plan::transcode`].
    pub fn transcode_tapped(&self, wire: &[u8], json: &mut Vec<u8>, taps: &mut Taps) -> Result<(), Error> {
        self.transcode_tapped_within(usize::MAX, wire, json, taps)
    }

    /// Transcodes one payload like [`Plan::transcode_within`] and records the values of the plan's taps. If the JSON
    /// exceeds the limit, `taps` has the values nevertheless, so that the caller can tell whose payload it is. On any
    /// other error, `taps` has no values.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Plan::transcode_within`].
    pub fn transcode_tapped_within(
        &self,
        limit: usize,
        wire: &[u8],
        json: &mut Vec<u8>,
        taps: &mut Taps,
    ) -> Result<(), Error> {
        let result = self.run(limit, wire, json, Some(&mut *taps));
        if result.as_ref().is_err_and(|error| error.kind() != ErrorKind::OverLimit) {
            taps.reset(self.tap_count);
        }
        result
    }

    fn run(&self, limit: usize, wire: &[u8], json: &mut Vec<u8>, mut taps: Option<&mut Taps>) -> Result<(), Error> {
        // Positions in the output are 32 bits wide.
        let limit = limit.min((u32::MAX as usize).saturating_sub(json.len()));
        if wire.len() > MAX_PAYLOAD {
            let failure = Failure::malformed(MAX_PAYLOAD, "the payload exceeds 2 GiB");
            return Err(failure.into_error(self.full_name(), limit));
        }
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let mut result = self.attempt(Effort::new(wire.len()), limit, wire, json, &mut scratch, taps.as_deref_mut());
        if let Err(failure) = result {
            result = self.attempt_again(failure, limit, wire, json, &mut scratch, taps);
        }
        scratch.trim();
        SCRATCH.set(Some(scratch));
        result.map_err(|failure| failure.into_error(self.full_name(), limit))
    }

    /// Transcodes a payload in careful mode if its failure requires that. If the JSON exceeds its limit, reads the taps.
    #[cold]
    fn attempt_again(
        &self,
        failure: Box<Failure>,
        limit: usize,
        wire: &[u8],
        json: &mut Vec<u8>,
        scratch: &mut Scratch,
        mut taps: Option<&mut Taps>,
    ) -> Result<(), Box<Failure>> {
        if !failure.needs_careful_mode() {
            return Err(failure);
        }
        let result = self.attempt(Effort::careful(), limit, wire, json, scratch, taps.as_deref_mut());
        if let (Err(failure), Some(taps)) = (&result, taps)
            && failure.is_over_limit()
        {
            // Only the values of taps are written, which the payload bounds.
            self.attempt(Effort::taps_only(), usize::MAX, wire, json, scratch, Some(taps))?;
        }
        result
    }

    /// Transcodes one payload in one mode. `json` is changed only by a success that is not [`Effort::taps_only`].
    fn attempt(
        &self,
        effort: Effort,
        limit: usize,
        wire: &[u8],
        json: &mut Vec<u8>,
        scratch: &mut Scratch,
        mut taps: Option<&mut Taps>,
    ) -> Result<(), Box<Failure>> {
        scratch.clear();
        if let Some(taps) = &mut taps {
            taps.reset(self.tap_count);
        }
        let start = json.len();
        let out = Output::new(std::mem::take(json), 2 * wire.len(), limit);
        let frame = if taps.is_some() { Frame::with_taps(&self.taps) } else { Frame::PLAIN };
        let (program, types) = (&*self.program, &*self.types);
        let mut engine = Engine { program, types, out, scratch, taps, depth: 0, effort };
        let result = engine.message(0, &mut Cursor::new(wire), frame).and_then(|()| engine.within_limit(wire.len()));
        *json = engine.out.into_bytes();
        if result.is_err() || effort.is_taps_only() {
            json.truncate(start);
        }
        result
    }
}

/// Converts a path of field names to field indices in the program's tables.
fn compile_tap(program: &Program, message: &MessageDescriptor, path: &str) -> Result<Vec<u32>, TapError> {
    let mut table = &program.messages[0];
    let mut indices = Vec::new();
    for field in tap_path(message, path)? {
        let index = table.find(field.number()).expect("the program has every field of the message type");
        indices.push(index);
        if let program::Kind::Message(inner) = table.fields[index as usize].kind {
            table = &program.messages[inner as usize];
        }
    }
    Ok(indices)
}

/// Returns the fields that a path leads through, the outermost first.
///
/// # Errors
/// Returns an error if the path does not lead through singular fields to a single value.
pub(crate) fn tap_path(message: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, TapError> {
    let fail = |kind, segment: &str| TapError {
        kind,
        message_type: message.full_name().to_owned(),
        path: path.to_owned(),
        segment: segment.to_owned(),
    };
    let mut fields = Vec::new();
    let mut within = Some(message.clone());
    let mut before = "";
    for segment in path.split('.') {
        let Some(around) = within else { return Err(fail(TapErrorKind::NotMessage, before)) };
        let field = around.get_field_by_name(segment).ok_or_else(|| fail(TapErrorKind::UnknownField, segment))?;
        if field.is_repeated() {
            return Err(fail(TapErrorKind::Repeated, segment));
        }
        within = field.kind.as_message().cloned();
        fields.push(field);
        before = segment;
    }
    match within {
        Some(inner) => match program::shape(&inner) {
            Shape::Timestamp | Shape::Duration | Shape::Wrapper => Ok(fields),
            _ => Err(fail(TapErrorKind::NotScalar, before)),
        },
        None => Ok(fields),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
