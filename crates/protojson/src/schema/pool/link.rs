//! Linking: from the bytes of a FileDescriptorSet to a pool.
//!
//! Linking reads the set record by record and never holds a whole decoded file, so it takes little memory beside the
//! pool. It checks everything that plans rely on, and the rules of descriptor.proto whose violation shows that a set was
//! not written by a compiler. It does not check default values, because ProtoJSON never writes them, and options that the
//! codec does not read.

mod build;
mod check;
mod ranges;
mod source;

use std::sync::Arc;

use super::records::Malformed;
use super::{Link, Pool};
use crate::SchemaErrorKind;
use crate::schema::marks::Mark;

/// The files of the well-known types and of descriptor.proto as compiled by protoc, without source info.
pub(super) const WELL_KNOWN: &[u8] = include_bytes!("well_known.binpb");

/// Why a set cannot be linked.
#[derive(Debug)]
pub(in crate::schema) struct Refusal {
    pub(in crate::schema) kind: SchemaErrorKind,
    pub(in crate::schema) message: String,
}

impl Refusal {
    pub(super) fn unlinkable(message: String) -> Self {
        Self { kind: SchemaErrorKind::Unlinkable, message }
    }

    /// Adds the name of the file with the fault.
    fn within(self, file: &str) -> Self {
        Self { message: format!("{file}: {}", self.message), ..self }
    }
}

impl From<Malformed> for Refusal {
    fn from(Malformed(error): Malformed) -> Self {
        let message = format!(
            "not a compiled FileDescriptorSet ({error}); write it with `protoc --include_imports --descriptor_set_out` or `buf build`"
        );
        Self { kind: SchemaErrorKind::Unreadable, message }
    }
}

/// A linked set, and what linking notes while every definition is decoded.
#[derive(Debug)]
pub(in crate::schema) struct Linked {
    pub(in crate::schema) pool: Arc<Pool>,
    /// The fields and extensions that the set marks with `debug_redact`.
    pub(in crate::schema) marks: Vec<Mark>,
    /// The fields and extensions that hold messages, sorted.
    pub(in crate::schema) links: Vec<Link>,
}

/// Links a FileDescriptorSet.
pub(super) fn link(bytes: &[u8]) -> Result<Linked, Refusal> {
    let sources = source::read(bytes)?;
    let mut linked = Linked { pool: Arc::new(build::build(&sources)?), marks: Vec::new(), links: Vec::new() };
    check::check(&mut linked, &sources)?;
    Ok(linked)
}
