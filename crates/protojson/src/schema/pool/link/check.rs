//! The second pass over a set: decodes every definition once and checks it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost_types::descriptor_proto::{ExtensionRange, ReservedRange};
use prost_types::enum_descriptor_proto::EnumReservedRange;
use prost_types::{EnumOptions, EnumValueDescriptorProto};

use super::super::records::{self, Malformed, Value, decode, decode_field, last_text, records, tag, text};
use super::super::{EnumDescriptor, FieldDescriptor, Kind, Link, MessageDescriptor, Pool, Syntax};
use super::ranges::Ranges;
use super::source::Source;
use super::{Linked, Refusal};
use crate::schema::marks::Mark;

/// Checks a pool against the files that it was built from. Notes its marks and its links.
pub(super) fn check(linked: &mut Linked, sources: &[Source<'_>]) -> Result<(), Refusal> {
    let Linked { pool, marks, links } = linked;
    let positions: HashMap<&str, usize> =
        sources.iter().enumerate().map(|(position, source)| (source.name, position)).collect();
    let (mut work, mut notes) = (Work::of(pool, sources.len()), Notes { marks, links });
    for (file, source) in sources.iter().enumerate() {
        let checker = Checker { pool, source, visible: visible(file, sources, &positions) };
        checker.file(&work.files[file], &mut notes).map_err(|refusal| refusal.within(source.name))?;
        work.files[file] = Definitions::default();
    }
    links.sort_unstable();
    links.shrink_to_fit();
    let broken = pool.messages().find(|message| message.is_map_entry() && !has_key_and_value(message));
    match broken {
        Some(entry) => {
            Err(Refusal::unlinkable(format!("{} is a map entry without a valid key or value field", entry.full_name())))
        }
        None => Ok(()),
    }
}

/// The notes about the fields that their check takes.
struct Notes<'l> {
    marks: &'l mut Vec<Mark>,
    links: &'l mut Vec<Link>,
}

/// The definitions by file.
struct Work {
    files: Vec<Definitions>,
}

/// The indexes of a file's definitions.
#[derive(Debug, Clone, Default)]
struct Definitions {
    messages: Vec<u32>,
    enums: Vec<u32>,
    extensions: Vec<u32>,
}

impl Work {
    fn of(pool: &Pool, files: usize) -> Self {
        let mut work = Self { files: vec![Definitions::default(); files] };
        for (index, message) in (0..).zip(&pool.messages) {
            work.files[message.origin.file as usize].messages.push(index);
        }
        for (index, declared) in (0..).zip(&pool.enums) {
            work.files[declared.origin.file as usize].enums.push(index);
        }
        for (index, extension) in (0..).zip(&pool.extensions) {
            work.files[extension.origin.file as usize].extensions.push(index);
        }
        work
    }
}

/// Returns the files whose definitions a file can use: its own, those of its imports, and those of the public imports of
/// these.
fn visible(file: usize, sources: &[Source<'_>], positions: &HashMap<&str, usize>) -> HashSet<u32> {
    let mut visible = HashSet::from([file as u32]);
    let mut waiting: Vec<usize> = sources[file].dependencies.iter().map(|import| positions[import]).collect();
    while let Some(import) = waiting.pop() {
        if visible.insert(import as u32) {
            let imported = &sources[import];
            waiting.extend(imported.public.iter().map(|position| positions[imported.dependencies[*position]]));
        }
    }
    visible
}

struct Checker<'p> {
    pool: &'p Arc<Pool>,
    source: &'p Source<'p>,
    /// The files whose definitions the file can use.
    visible: HashSet<u32>,
}

impl Checker<'_> {
    fn file(&self, definitions: &Definitions, notes: &mut Notes<'_>) -> Result<(), Refusal> {
        for index in &definitions.messages {
            self.message(&MessageDescriptor::new(self.pool, *index), notes)?;
        }
        for index in &definitions.enums {
            self.enumeration(&EnumDescriptor::new(self.pool, *index))?;
        }
        // The extensions of one message are neighbors.
        let mut ranges: Option<(u32, Ranges)> = None;
        for index in &definitions.extensions {
            let extendee = self.pool.extensions[*index as usize].extendee;
            let known = ranges.take().filter(|(message, _)| *message == extendee);
            let (_, ranges) = ranges.insert(match known {
                Some(known) => known,
                None => (extendee, extension_ranges(&MessageDescriptor::new(self.pool, extendee))?),
            });
            self.extension(*index, ranges, notes)?;
        }
        Ok(())
    }

    fn message(&self, message: &MessageDescriptor, notes: &mut Notes<'_>) -> Result<(), Refusal> {
        let name = message.full_name();
        check_scope(message)?;
        let refuse = |text: String| Err(Refusal::unlinkable(text));
        let (reserved, extensions) = (reserved(message)?, extension_ranges(message)?);
        let mut numbers = HashSet::new();
        message.each_field(|field, _| {
            let number = field.proto.number();
            self.field(&field, name)?;
            notes.marks.extend(Mark::of(message.shared_name(), &field));
            notes.links.extend(Link::of(message.index(), &field, None));
            if reserved.contain(number) || extensions.contain(number) {
                return refuse(format!("field {name}.{} has the reserved number {number}", field.name()));
            }
            if !numbers.insert(number) {
                return refuse(format!("two fields of {name} have the number {number}"));
            }
            Ok(())
        })
    }

    fn extension(&self, index: u32, ranges: &Ranges, notes: &mut Notes<'_>) -> Result<(), Refusal> {
        let extension = &self.pool.extensions[index as usize];
        let extendee = MessageDescriptor::new(self.pool, extension.extendee);
        let field = extension.read(self.pool)?;
        self.field(&field, self.pool.scope(&extension.origin, &extension.package))?;
        self.check_visible(&extendee, &field)?;
        notes.marks.extend(Mark::of(extendee.shared_name(), &field));
        notes.links.extend(Link::of(extendee.index(), &field, Some(index)));
        let number = field.proto.number();
        if !ranges.contain(number) {
            return Err(Refusal::unlinkable(format!(
                "extension {} has number {number}, which {} does not reserve for extensions",
                field.name(),
                extendee.full_name()
            )));
        }
        Ok(())
    }

    /// Checks the number and the type of a field or an extension.
    fn field(&self, field: &FieldDescriptor, scope: &str) -> Result<(), Refusal> {
        let number = field.proto.number();
        if !(1..1 << 29).contains(&number) || (19_000..20_000).contains(&number) {
            return Err(Refusal::unlinkable(format!(
                "field {scope}.{} has the number {number}, which is not a valid field number",
                field.name()
            )));
        }
        let file = match &field.kind {
            Kind::Message(message) => self.pool.messages[message.index() as usize].origin.file,
            Kind::Enum(declared) => self.pool.enums[declared.index() as usize].origin.file,
            _ => return Ok(()),
        };
        self.check_file(file, field)
    }

    fn check_visible(&self, message: &MessageDescriptor, field: &FieldDescriptor) -> Result<(), Refusal> {
        self.check_file(self.pool.messages[message.index() as usize].origin.file, field)
    }

    fn check_file(&self, file: u32, field: &FieldDescriptor) -> Result<(), Refusal> {
        if self.visible.contains(&file) {
            return Ok(());
        }
        let file = &self.pool.files[file as usize].name;
        Err(Refusal::unlinkable(format!(
            "field {} uses a type of {file}, which the file does not import",
            field.name()
        )))
    }

    fn enumeration(&self, declared: &EnumDescriptor) -> Result<(), Refusal> {
        let name = declared.full_name();
        let refuse = |text: String| Err(Refusal::unlinkable(text));
        let options: Option<EnumOptions> = decode_field(declared.bytes(), tag::ENUM_OPTIONS)?;
        let allows_alias = options.is_some_and(|options| options.allow_alias());
        let reserved = reserved_values(declared)?;
        let mut numbers = HashSet::new();
        for value in records::of(declared.bytes(), tag::ENUM_VALUE) {
            let value: EnumValueDescriptorProto = decode(value?.0)?;
            let number = value.number();
            if numbers.is_empty() && number != 0 && self.source.syntax == Syntax::Proto3 {
                return refuse(format!("the first value of {name} must have the number 0"));
            }
            if !numbers.insert(number) && !allows_alias {
                return refuse(format!("two values of {name} have the number {number}"));
            }
            if reserved.contain(number) {
                return refuse(format!("value {} of {name} has the reserved number {number}", value.name()));
            }
        }
        if numbers.is_empty() {
            return refuse(format!("enum {name} has no value"));
        }
        Ok(())
    }
}

/// Checks that no name inside a message is defined twice. The values of an enum are in the scope around it.
fn check_scope(message: &MessageDescriptor) -> Result<(), Refusal> {
    let mut names: Vec<&str> = Vec::new();
    for record in records(message.bytes()) {
        let (number, Value::Bytes(value), _) = record? else { continue };
        match number {
            // Field 1 of each of these definitions is its name.
            tag::MESSAGE_FIELD | tag::MESSAGE_NESTED | tag::MESSAGE_EXTENSION | tag::MESSAGE_ONEOF => {
                names.push(last_text(value, 1)?);
            }
            tag::MESSAGE_ENUM => {
                for record in records(value) {
                    match record? {
                        (tag::ENUM_NAME, Value::Bytes(name), _) => names.push(text(name)?),
                        (tag::ENUM_VALUE, Value::Bytes(value), _) => names.push(last_text(value, tag::FIELD_NAME)?),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Refusal::unlinkable(format!("{}.{} is defined twice", message.full_name(), pair[0]))),
        None => Ok(()),
    }
}

fn reserved(message: &MessageDescriptor) -> Result<Ranges, Malformed> {
    let ranges = records::of(message.bytes(), tag::MESSAGE_RESERVED_RANGE);
    let ranges = ranges.map(|range| {
        let range: ReservedRange = decode(range?.0)?;
        Ok((range.start(), range.end().saturating_sub(1)))
    });
    Ok(Ranges::new(ranges.collect::<Result<_, Malformed>>()?))
}

fn extension_ranges(message: &MessageDescriptor) -> Result<Ranges, Malformed> {
    let ranges = records::of(message.bytes(), tag::MESSAGE_EXTENSION_RANGE);
    let ranges = ranges.map(|range| {
        let range: ExtensionRange = decode(range?.0)?;
        Ok((range.start(), range.end().saturating_sub(1)))
    });
    Ok(Ranges::new(ranges.collect::<Result<_, Malformed>>()?))
}

fn reserved_values(declared: &EnumDescriptor) -> Result<Ranges, Malformed> {
    let ranges = records::of(declared.bytes(), tag::ENUM_RESERVED_RANGE);
    let ranges = ranges.map(|range| {
        let range: EnumReservedRange = decode(range?.0)?;
        Ok((range.start(), range.end()))
    });
    Ok(Ranges::new(ranges.collect::<Result<_, Malformed>>()?))
}

/// Whether a map entry has the key and value that compilers write. Plans rely on it.
fn has_key_and_value(entry: &MessageDescriptor) -> bool {
    let fields = entry.fields();
    let one = |number| fields.iter().find(|field| field.number() == number).filter(|field| !field.is_repeated());
    let is_key =
        |kind: &Kind| !matches!(kind, Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_));
    one(1).is_some_and(|key| is_key(&key.kind)) && one(2).is_some()
}
