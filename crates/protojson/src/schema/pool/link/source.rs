//! The files of a set: their headers, and the built-in files that they import.

use std::collections::{HashMap, HashSet};

use super::super::features;
use super::super::records::{self, Malformed, Value, decode_field, records, tag, text};
use super::super::{Syntax, join};
use super::{Refusal, WELL_KNOWN};
use crate::SchemaErrorKind;

/// A file of a set.
#[derive(Debug)]
pub(super) struct Source<'b> {
    /// The FileDescriptorProto.
    pub(super) bytes: &'b [u8],
    pub(super) name: &'b str,
    pub(super) package: &'b str,
    pub(super) dependencies: Vec<&'b str>,
    /// The positions of the public dependencies.
    pub(super) public: Vec<usize>,
    pub(super) syntax: Syntax,
    pub(super) features: features::Resolved,
}

const EDITION_2023: u64 = 1000;
const EDITION_2024: u64 = 1001;

/// Reads the headers of a set's files and of the built-in files that they import and that the set does not contain.
/// Several copies of one file count as one.
///
/// # Errors
/// Returns an error if the bytes are not a FileDescriptorSet, if a file has an unknown syntax, if the set contains
/// different versions of a file, or if an import is missing.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Source<'_>>, Refusal> {
    let mut sources = files(bytes)?;
    if sources.is_empty() {
        let message = "it holds no file; is it empty, or half written?".to_owned();
        return Err(Refusal { kind: SchemaErrorKind::Unreadable, message });
    }
    drop_copies(&mut sources)?;
    let mut known: HashSet<&str> = sources.iter().map(|source| source.name).collect();
    let mut built_in: Vec<Source<'_>> = Vec::new();
    let mut at = 0;
    while at < sources.len() {
        let missing: Vec<&str> =
            sources[at].dependencies.iter().copied().filter(|import| !known.contains(import)).collect();
        for import in missing {
            if !known.insert(import) {
                continue;
            }
            if built_in.is_empty() {
                built_in = files(WELL_KNOWN)?;
            }
            let Some(found) = built_in.iter().position(|source| source.name == import) else {
                return Err(Refusal::unlinkable(format!(
                    "import {import} is missing; compile with `--include_imports`"
                )));
            };
            sources.push(built_in.swap_remove(found));
        }
        at += 1;
    }
    Ok(sources)
}

/// Removes all but one copy of each file. A set has several copies if it was joined from sets with their imports. Copies
/// can differ in source info; the copy with the longest source info stays.
///
/// # Errors
/// Returns an error if two copies of a file differ in more than that. Different copies of the files in
/// `google/protobuf/` are no error, because every compiler has its own version of them; the largest copy stays.
fn drop_copies(sources: &mut Vec<Source<'_>>) -> Result<(), Refusal> {
    let mut kept: HashMap<&str, usize> = HashMap::new();
    let mut is_dropped = vec![false; sources.len()];
    for at in 0..sources.len() {
        let source = &sources[at];
        let Some(known) = kept.insert(source.name, at) else { continue };
        let other = &sources[known];
        if !source.name.starts_with("google/protobuf/") && source.definitions()? != other.definitions()? {
            return Err(Refusal::unlinkable(format!(
                "the set contains different versions of file {}; compile the set from one version, or give each version's types a set of their own",
                source.name
            )));
        }
        // Compared by content, so that the order of the copies does not matter.
        let is_smaller = (source.bytes.len(), source.bytes) < (other.bytes.len(), other.bytes);
        let (stays, dropped) = if is_smaller { (known, at) } else { (at, known) };
        is_dropped[dropped] = true;
        kept.insert(source.name, stays);
    }
    let mut is_dropped = is_dropped.into_iter();
    sources.retain(|_| !is_dropped.next().unwrap_or(false));
    Ok(())
}

fn files(bytes: &[u8]) -> Result<Vec<Source<'_>>, Refusal> {
    records::of(bytes, tag::SET_FILE).map(|file| Source::read(file?.0)).collect()
}

impl<'b> Source<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, Refusal> {
        let (mut name, mut package, mut syntax, mut edition) = ("", "", "", 0);
        let (mut dependencies, mut public) = (Vec::new(), Vec::new());
        for record in records(bytes) {
            match record? {
                (tag::FILE_NAME, Value::Bytes(value), _) => name = text(value)?,
                (tag::FILE_PACKAGE, Value::Bytes(value), _) => package = text(value)?,
                (tag::FILE_DEPENDENCY, Value::Bytes(value), _) => dependencies.push(text(value)?),
                (tag::FILE_PUBLIC_DEPENDENCY, Value::Number(position), _) => public.push(position as usize),
                (tag::FILE_PUBLIC_DEPENDENCY, Value::Bytes(packed), _) => public.extend(numbers(packed)?),
                (tag::FILE_SYNTAX, Value::Bytes(value), _) => syntax = text(value)?,
                (tag::FILE_EDITION, Value::Number(number), _) => edition = number,
                _ => {}
            }
        }
        if public.iter().any(|position| *position >= dependencies.len()) {
            return Err(Refusal::unlinkable(format!("{name}: a public import is not one of its imports")));
        }
        let options: Option<features::FileOptions> = decode_field(bytes, tag::FILE_OPTIONS)?;
        let features = features::Resolved::default().with(options.and_then(|options| options.features));
        let syntax = known_syntax(name, syntax, edition)
            .map_err(|message| Refusal { kind: SchemaErrorKind::Unsupported, message })?;
        Ok(Self { bytes, name, package, dependencies, public, syntax, features })
    }

    /// Returns the records of the file without its source info.
    fn definitions(&self) -> Result<Vec<(u32, Value<'b>)>, Malformed> {
        let records = records(self.bytes).map(|record| record.map(|(number, value, _)| (number, value)));
        records.filter(|record| !matches!(record, Ok((tag::FILE_SOURCE_INFO, _)))).collect()
    }

    /// Returns the full name of a definition at the top of the file.
    pub(super) fn full_name(&self, name: &str) -> String {
        join(self.package, name)
    }
}

fn known_syntax(name: &str, syntax: &str, edition: u64) -> Result<Syntax, String> {
    match syntax {
        "" | "proto2" => Ok(Syntax::Proto2),
        "proto3" => Ok(Syntax::Proto3),
        "editions" if edition == EDITION_2023 || edition == EDITION_2024 => Ok(Syntax::Editions),
        "editions" => Err(format!("{name} has edition number {edition}; supported are 2023 (1000) and 2024 (1001)")),
        syntax => Err(format!("{name} has the unknown syntax {syntax:?}")),
    }
}

/// Reads packed varints.
fn numbers(packed: &[u8]) -> Result<Vec<usize>, Malformed> {
    let mut cursor = crate::wire::Cursor::new(packed);
    let mut numbers = Vec::new();
    while !cursor.is_at_end() {
        let number = cursor.varint().map_err(|_| Malformed("a list of imports is cut off".to_owned()))?;
        numbers.push(number as usize);
    }
    Ok(numbers)
}
