//! Converts random schemas to descriptor sets, with the field numbers of descriptor.proto
//! (<https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto>).

use prost::Message as _;
use prost_reflect::DescriptorPool;

use super::schema::{Field, Kind, Role, Schema, Syntax, Type};
use super::wire::Wire;

impl Schema {
    /// Returns the FileDescriptorSet of the schema, with its imports.
    pub(crate) fn descriptor_set(&self, syntax: Syntax) -> Vec<u8> {
        let mut set = Wire::new();
        let mut file = Wire::new().string(1, "random.proto").string(2, "r");
        for import in ["any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"] {
            let name = format!("google/protobuf/{import}.proto");
            let import = DescriptorPool::global().get_file_by_name(&name).expect("the well-known types are built in");
            set = set.bytes(1, &import.file_descriptor_proto().encode_to_vec());
            file = file.string(3, &name);
        }
        for (index, message) in self.types[..self.random].iter().enumerate() {
            file = file.message(4, self.message(index, message, syntax));
        }
        for declared in &self.enums[..self.enums.len() - 1] {
            let mut wire = Wire::new().string(1, &declared.name[2..]);
            for (index, number) in declared.numbers.iter().enumerate() {
                let name = format!("{}_V{index}", &declared.name[2..]);
                wire = wire.message(2, Wire::new().string(1, &name).signed(2, i64::from(*number)));
            }
            let closed = declared.is_closed && syntax == Syntax::Edition2023;
            let options = Wire::new().varint(2, 1);
            let options = if closed { options.message(7, Wire::new().varint(2, 2)) } else { options };
            file = file.message(5, wire.message(3, options));
        }
        for message in &self.types[..self.random] {
            for field in message.fields.iter().filter(|field| field.is_extension) {
                file =
                    file.message(7, self.field(message, field, syntax).string(2, &format!(".{}", message.full_name)));
            }
        }
        // A message around the payload. Its first field makes the transcoder switch to careful mode; its second field
        // is the payload.
        let one = |name: &str, number, kind| Wire::new().string(1, name).varint(3, number).varint(4, 1).varint(5, kind);
        let disorder = Wire::new()
            .string(1, "Disorder")
            .message(2, one("first", 1, 5))
            .message(2, one("inner", 2, 11).string(6, ".r.Disorder"))
            .message(2, one("pad", 3, 12));
        let around = Wire::new()
            .string(1, "Around")
            .message(2, one("disorder", 1, 11).string(6, ".r.Disorder"))
            .message(2, one("root", 2, 11).string(6, ".r.T0"));
        file = file.message(4, disorder).message(4, around);
        file = match syntax {
            Syntax::Proto2 => file,
            Syntax::Proto3 => file.string(12, "proto3"),
            Syntax::Edition2023 => file.string(12, "editions").varint(14, 1000),
        };
        set.message(1, file).0
    }

    /// Returns a DescriptorProto.
    fn message(&self, index: usize, message: &Type, syntax: Syntax) -> Wire {
        let mut wire = Wire::new().string(1, &format!("T{index}"));
        let declared = || message.fields.iter().filter(|field| !field.is_extension);
        for field in declared() {
            wire = wire.message(2, self.field(message, field, syntax));
            if let Role::Map(key) = field.role {
                let part = |name: &str, number, kind| {
                    self.with_type(Wire::new().string(1, name).varint(3, number).varint(4, 1), kind, false)
                };
                let entry = Wire::new()
                    .string(1, &entry_name(&field.name))
                    .message(2, part("key", 1, key))
                    .message(2, part("value", 2, field.kind))
                    .message(7, Wire::new().varint(7, 1));
                wire = wire.message(3, entry);
            }
        }
        for extension in message.fields.iter().filter(|field| field.is_extension) {
            let (start, end) = (u64::from(extension.number), u64::from(extension.number) + 1);
            wire = wire.message(5, Wire::new().varint(1, start).varint(2, end));
        }
        for oneof in oneofs(message) {
            wire = wire.message(8, Wire::new().string(1, &oneof));
        }
        wire
    }

    /// Returns a FieldDescriptorProto.
    fn field(&self, message: &Type, field: &Field, syntax: Syntax) -> Wire {
        let label = match field.role {
            Role::Singular if field.is_required && syntax == Syntax::Proto2 => 2,
            Role::Singular => 1,
            Role::Repeated | Role::Map(_) => 3,
        };
        let wire = Wire::new().string(1, &field.name).varint(3, u64::from(field.number)).varint(4, label);
        let mut wire = match field.role {
            Role::Map(_) => {
                wire.varint(5, 11).string(6, &format!(".{}.{}", message.full_name, entry_name(&field.name)))
            }
            _ => self.with_type(wire, field.kind, field.is_group && syntax == Syntax::Proto2),
        };
        let name = if field.is_optional { format!("_{}", field.name) } else { oneof_name(field.oneof) };
        if let Some(index) = oneofs(message).iter().position(|oneof| *oneof == name) {
            wire = wire.varint(9, index as u64);
        }
        if field.is_optional {
            wire = wire.varint(17, 1);
        }
        let mut options = Wire::new();
        if syntax == Syntax::Edition2023 {
            let mut features = Wire::new();
            if field.is_implicit || field.is_required {
                features = features.varint(1, if field.is_implicit { 2 } else { 3 });
            }
            if field.role == Role::Repeated && field.kind.is_packable() {
                features = features.varint(3, if field.is_packed { 1 } else { 2 });
            }
            if field.is_group {
                features = features.varint(5, 2);
            }
            options = options.message(21, features);
        } else if field.role == Role::Repeated && field.kind.is_packable() {
            options = options.varint(2, u64::from(field.is_packed));
        }
        wire.message(8, options)
    }

    fn with_type(&self, wire: Wire, kind: Kind, is_group: bool) -> Wire {
        let wire = wire.varint(5, if is_group { 10 } else { kind.number() });
        match kind {
            Kind::Message(index) => wire.string(6, &format!(".{}", self.type_name(index))),
            Kind::Enum(index) => wire.string(6, &format!(".{}", self.enums[index].name)),
            _ => wire,
        }
    }

    fn type_name(&self, index: usize) -> &str {
        &self.types[index].full_name
    }
}

/// Returns the names of a message's oneofs in order. The synthetic oneofs of proto3 come last.
fn oneofs(message: &Type) -> Vec<String> {
    let mut indices: Vec<usize> = message.fields.iter().filter_map(|field| field.oneof).collect();
    indices.sort_unstable();
    indices.dedup();
    let synthetic = message.fields.iter().filter(|field| field.is_optional).map(|field| format!("_{}", field.name));
    indices.into_iter().map(|index| oneof_name(Some(index))).chain(synthetic).collect()
}

fn oneof_name(index: Option<usize>) -> String {
    index.map_or_else(String::new, |index| format!("choice{index}"))
}

/// Returns the name that protoc gives to the entries of a map field.
fn entry_name(field: &str) -> String {
    let mut name = String::new();
    for part in field.split('_') {
        let (first, rest) = part.split_at(part.len().min(1));
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name + "Entry"
}
