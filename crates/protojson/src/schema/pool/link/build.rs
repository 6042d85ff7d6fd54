//! The first pass over a set: copies the definitions, records their places and sorts their names.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost_types::MessageOptions;

use super::super::features;
use super::super::names::Symbol;
use super::super::records::{self, Malformed, Value, decode_field, last_text, records, tag};
use super::super::{Enum, Extension, File, Message, Origin, Place, Pool, comments, join};
use super::Refusal;
use super::source::Source;
use crate::wire::MAX_DEPTH;

/// Builds a pool of these files. Only names that occur twice are checked here.
pub(super) fn build(sources: &[Source<'_>]) -> Result<Pool, Refusal> {
    // Reserved exactly, because a vector that grows takes up to three times its size for a moment.
    let mut builder = Builder { bytes: Vec::with_capacity(size(sources)?), ..Builder::default() };
    for (file, source) in sources.iter().enumerate() {
        builder.file(file as u32, source).map_err(|refusal| refusal.within(source.name))?;
    }
    let Builder { bytes, comments, files, messages, enums, extensions, others, packages } = builder;
    let mut symbols: Vec<Symbol> = (0..messages.len() as u32).map(Symbol::Message).collect();
    symbols.extend((0..enums.len() as u32).map(Symbol::Enum));
    let mut pool = Pool {
        bytes: bytes.into(),
        comments: comments.into(),
        files: files.into(),
        messages: messages.into(),
        enums: enums.into(),
        packages: packages.into_iter().map(Box::from).collect(),
        ..Pool::default()
    };
    symbols.sort_by(|one, other| pool.name_of(*one).cmp(pool.name_of(*other)));
    pool.symbols = symbols.into();
    check_names(&pool, others)?;
    pool.extensions = extensions_by_extendee(&pool, extensions)?;
    Ok(pool)
}

/// Returns the total size of the definitions, in bytes.
fn size(sources: &[Source<'_>]) -> Result<usize, Malformed> {
    let mut size = 0;
    for record in sources.iter().flat_map(|source| records(source.bytes)) {
        if let (tag::FILE_MESSAGE | tag::FILE_ENUM | tag::FILE_EXTENSION, Value::Bytes(value), _) = record? {
            size += value.len();
        }
    }
    Ok(size)
}

#[derive(Default)]
struct Builder<'b> {
    bytes: Vec<u8>,
    comments: Vec<u8>,
    files: Vec<File>,
    messages: Vec<Message>,
    enums: Vec<Enum>,
    extensions: Vec<Extension>,
    /// The full names of the other definitions in packages: services, extensions and enum values.
    others: Vec<String>,
    packages: BTreeSet<&'b str>,
}

/// The definition that is read, and the definitions around it.
#[derive(Clone, Copy)]
struct Scope<'s> {
    file: u32,
    parent: Option<u32>,
    full_name: &'s str,
    depth: usize,
    features: features::Resolved,
}

impl<'b> Builder<'b> {
    fn file(&mut self, file: u32, source: &Source<'b>) -> Result<(), Refusal> {
        let package: Arc<str> = source.package.into();
        self.packages.extend(source.package.match_indices('.').map(|(dot, _)| &source.package[..dot]));
        self.packages.extend(Some(source.package).filter(|package| !package.is_empty()));
        let scope = Scope { file, parent: None, full_name: &package, depth: 0, features: source.features };
        let comments_start = self.comments.len();
        let (mut messages, mut enums, mut extensions) = (0.., 0.., 0..);
        for record in records(source.bytes) {
            let (number, Value::Bytes(value), _) = record? else { continue };
            match number {
                tag::FILE_MESSAGE => {
                    let start = self.copy(value)?;
                    self.message(scope, value, start, next(&mut messages))?;
                }
                tag::FILE_ENUM => {
                    let start = self.copy(value)?;
                    self.enumeration(scope, value, start, next(&mut enums))?;
                    for value in records::of(value, tag::ENUM_VALUE) {
                        self.others.push(source.full_name(last_text(value?.0, tag::FIELD_NAME)?));
                    }
                }
                tag::FILE_EXTENSION => {
                    let start = self.copy(value)?;
                    self.extension(scope, value, start, next(&mut extensions), &package)?;
                    self.others.push(source.full_name(last_text(value, tag::FIELD_NAME)?));
                }
                tag::FILE_SERVICE => self.others.push(source.full_name(last_text(value, tag::SERVICE_NAME)?)),
                tag::FILE_SOURCE_INFO => comments::keep(value, &mut self.comments)?,
                _ => {}
            }
        }
        let comments = place(comments_start, self.comments.len())?;
        let (syntax, features) = (source.syntax, source.features);
        self.files.push(File { name: source.name.into(), syntax, features, comments });
        Ok(())
    }

    /// Copies a definition. Returns its position in the copy.
    fn copy(&mut self, definition: &[u8]) -> Result<usize, Refusal> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(definition);
        place(start, self.bytes.len()).map(|_| start)
    }

    /// Adds a message and the definitions inside it. `start` is the position of its bytes in the copy.
    fn message(&mut self, scope: Scope<'_>, bytes: &[u8], start: usize, position: u32) -> Result<(), Refusal> {
        if scope.depth >= MAX_DEPTH {
            return Err(Malformed(format!("message types are nested more than {MAX_DEPTH} deep")).into());
        }
        let name: Arc<str> = join(scope.full_name, last_text(bytes, tag::MESSAGE_NAME)?).into();
        let options: Option<MessageOptions> = decode_field(bytes, tag::MESSAGE_OPTIONS)?;
        let features: Option<features::MessageOptions> = decode_field(bytes, tag::MESSAGE_OPTIONS)?;
        let features = scope.features.with(features.and_then(|options| options.features));
        let inside = Scope {
            features,
            parent: Some(self.messages.len() as u32),
            full_name: &name,
            depth: scope.depth + 1,
            file: scope.file,
        };
        self.messages.push(Message {
            name: Arc::clone(&name),
            origin: scope.origin(position, start, bytes)?,
            is_map_entry: options.is_some_and(|options| options.map_entry()),
            features,
        });
        let (mut messages, mut enums, mut extensions) = (0.., 0.., 0..);
        for record in records(bytes) {
            let (number, Value::Bytes(value), at) = record? else { continue };
            match number {
                tag::MESSAGE_NESTED => self.message(inside, value, start + at, next(&mut messages))?,
                tag::MESSAGE_ENUM => self.enumeration(inside, value, start + at, next(&mut enums))?,
                tag::MESSAGE_EXTENSION => {
                    // The scope of a nested extension is its message, so the package is not needed.
                    self.extension(inside, value, start + at, next(&mut extensions), &Arc::from(""))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn enumeration(&mut self, scope: Scope<'_>, bytes: &[u8], start: usize, position: u32) -> Result<(), Refusal> {
        let name = join(scope.full_name, last_text(bytes, tag::ENUM_NAME)?).into();
        self.enums.push(Enum { name, origin: scope.origin(position, start, bytes)? });
        Ok(())
    }

    fn extension(
        &mut self,
        scope: Scope<'_>,
        bytes: &[u8],
        start: usize,
        position: u32,
        package: &Arc<str>,
    ) -> Result<(), Refusal> {
        let origin = scope.origin(position, start, bytes)?;
        self.extensions.push(Extension { extendee: u32::MAX, origin, package: Arc::clone(package) });
        Ok(())
    }
}

impl Scope<'_> {
    fn origin(self, position: u32, start: usize, bytes: &[u8]) -> Result<Origin, Refusal> {
        let place = place(start, start + bytes.len())?;
        Ok(Origin { file: self.file, parent: self.parent, position, place })
    }
}

fn next(positions: &mut std::ops::RangeFrom<u32>) -> u32 {
    positions.next().unwrap_or(u32::MAX)
}

fn place(start: usize, end: usize) -> Result<Place, Refusal> {
    match (u32::try_from(start), u32::try_from(end)) {
        (Ok(start), Ok(end)) => Ok(Place { start, end }),
        _ => Err(Refusal::unlinkable("the set is larger than 4 GiB; split it".to_owned())),
    }
}

/// Checks that no name in a package is defined twice. `others` are the names that are neither a message nor an enum.
fn check_names(pool: &Pool, mut others: Vec<String>) -> Result<(), Refusal> {
    let file = |symbol| &*pool.files[pool.file_of(symbol) as usize].name;
    for pair in pool.symbols.windows(2) {
        let name = pool.name_of(pair[0]);
        if name == pool.name_of(pair[1]) {
            let mut files = [file(pair[0]), file(pair[1])];
            files.sort_unstable();
            return Err(Refusal::unlinkable(format!("{name} is defined twice, in {} and {}", files[0], files[1])));
        }
    }
    others.sort_unstable();
    let twice = others.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &*pair[0]);
    let is_package = |name: &str| pool.packages.binary_search_by(|known| (**known).cmp(name)).is_ok();
    let taken = others.iter().map(|name| &**name).find(|name| pool.find(name).is_some() || is_package(name));
    let package = pool.packages.iter().map(|name| &**name).find(|name| pool.find(name).is_some());
    match twice.or(taken).or(package) {
        Some(name) => Err(Refusal::unlinkable(format!("{name} is defined twice"))),
        None => Ok(()),
    }
}

fn extensions_by_extendee(pool: &Pool, mut extensions: Vec<Extension>) -> Result<Box<[Extension]>, Refusal> {
    for extension in &mut extensions {
        let file = &pool.files[extension.origin.file as usize].name;
        let proto: prost_types::FieldDescriptorProto =
            records::decode(pool.at(extension.origin.place)).map_err(|error| Refusal::from(error).within(file))?;
        let scope = join(pool.scope(&extension.origin, &extension.package), proto.name());
        let Some(Symbol::Message(extendee)) = pool.resolve(&scope, proto.extendee()) else {
            let extendee = proto.extendee().trim_start_matches('.');
            let message = format!("extension {scope} extends {extendee}, which is not a message of the set");
            return Err(Refusal::unlinkable(message).within(file));
        };
        extension.extendee = extendee;
    }
    extensions.sort_by_key(|extension| extension.extendee);
    Ok(extensions.into())
}
