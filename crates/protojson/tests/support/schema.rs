//! Random schemas with messages of all kinds of fields, both as a descriptor set and as a model from which payloads are
//! drawn.

use super::random::Random;

/// A schema as a descriptor set and as a model.
#[derive(Debug)]
pub(crate) struct Schema {
    /// A FileDescriptorSet with its imports.
    pub(crate) set: Vec<u8>,
    /// The random types, of which the first is the root, followed by the well-known types.
    pub(crate) types: Vec<Type>,
    pub(crate) enums: Vec<Enum>,
    /// The number of random types.
    pub(crate) random: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Type {
    pub(crate) full_name: String,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
    /// The index of the field's oneof among the message's oneofs.
    pub(crate) oneof: Option<usize>,
    /// Whether the field is declared `optional`, which matters only in proto3.
    pub(crate) is_optional: bool,
    pub(crate) is_required: bool,
    pub(crate) is_packed: bool,
    pub(crate) is_group: bool,
    pub(crate) is_extension: bool,
    pub(crate) is_implicit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Singular,
    Repeated,
    /// A map with this kind of keys.
    Map(Kind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Bytes,
    Uint32,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
    Enum(usize),
    Message(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) numbers: Vec<i32>,
    pub(crate) is_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Proto2,
    Proto3,
    Edition2023,
}

const KEYS: [Kind; 12] = [
    Kind::String,
    Kind::Int32,
    Kind::Int64,
    Kind::Uint32,
    Kind::Uint64,
    Kind::Sint32,
    Kind::Sint64,
    Kind::Fixed32,
    Kind::Fixed64,
    Kind::Sfixed32,
    Kind::Sfixed64,
    Kind::Bool,
];
const OTHERS: [Kind; 3] = [Kind::Double, Kind::Float, Kind::Bytes];

impl Kind {
    /// Returns the wire type of the kind. For a message it is length-delimited.
    pub(crate) fn wire_type(self) -> u8 {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => 1,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => 5,
            Self::String | Self::Bytes | Self::Message(_) => 2,
            _ => 0,
        }
    }

    pub(crate) fn is_packable(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message(_))
    }

    /// Returns the number in FieldDescriptorProto.Type.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Double => 1,
            Self::Float => 2,
            Self::Int64 => 3,
            Self::Uint64 => 4,
            Self::Int32 => 5,
            Self::Fixed64 => 6,
            Self::Fixed32 => 7,
            Self::Bool => 8,
            Self::String => 9,
            Self::Message(_) => 11,
            Self::Bytes => 12,
            Self::Uint32 => 13,
            Self::Enum(_) => 14,
            Self::Sfixed32 => 15,
            Self::Sfixed64 => 16,
            Self::Sint32 => 17,
            Self::Sint64 => 18,
        }
    }
}

impl Field {
    pub(crate) fn wire_type(&self) -> u8 {
        match self.role {
            Role::Map(_) => 2,
            _ if self.is_group => 3,
            _ => self.kind.wire_type(),
        }
    }
}

impl Schema {
    pub(crate) fn random(random: &mut Random<'_>) -> Self {
        let syntax = random.pick(&[Syntax::Proto3, Syntax::Proto2, Syntax::Edition2023, Syntax::Proto3]);
        Self::random_of(syntax, random)
    }

    pub(crate) fn random_of(syntax: Syntax, random: &mut Random<'_>) -> Self {
        let count = 1 + random.below(4);
        let enums: Vec<Enum> = (0..=random.below(2)).map(|index| random_enum(index, syntax, random)).collect();
        let well_known = well_known(count, enums.len());
        let mut schema = Self { set: Vec::new(), types: Vec::new(), enums, random: count };
        for index in 0..count {
            let fields = schema.random_fields(index, count + well_known.len(), syntax, random);
            schema.types.push(Type { full_name: format!("r.T{index}"), fields });
        }
        schema.types.extend(well_known);
        // The well-known types use one enum, which is not random.
        schema.enums.push(Enum { name: "google.protobuf.NullValue".into(), numbers: vec![0], is_closed: false });
        schema.set = schema.descriptor_set(syntax);
        schema
    }

    fn random_fields(&self, index: usize, types: usize, syntax: Syntax, random: &mut Random<'_>) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        let oneofs = random.below(3);
        for _ in 0..=random.below(12) {
            let number = match random.below(8) {
                6 => 200 + random.below(100),
                7 => random.pick(&[2047, 2048, 18_999, 20_000, 536_870_911]),
                _ => 1 + random.below(30),
            } as u32;
            if fields.iter().any(|field| field.number == number) {
                continue;
            }
            let kind = match random.below(8) {
                0 => Kind::Enum(random.below(self.enums.len())),
                1 | 2 => Kind::Message(random.below(types)),
                3 => random.pick(&OTHERS),
                _ => random.pick(&KEYS),
            };
            let is_extension = syntax == Syntax::Proto2 && random.one_in(6);
            let role = match random.below(6) {
                0 | 1 => Role::Repeated,
                2 if !is_extension => Role::Map(random.pick(&KEYS)),
                _ => Role::Singular,
            };
            let in_oneof = role == Role::Singular && !is_extension && oneofs > 0 && random.one_in(3);
            let oneof = if in_oneof { Some(random.below(oneofs)) } else { None };
            let is_message = matches!(kind, Kind::Message(_));
            let is_alone = role == Role::Singular && !in_oneof && !is_extension;
            let is_plain = is_alone && !is_message;
            let is_packed = role == Role::Repeated && kind.is_packable() && random.one_in(2);
            // Well-known types are ordinary messages here and can be groups.
            let is_group = is_message && !matches!(role, Role::Map(_)) && syntax != Syntax::Proto3 && random.one_in(3);
            let is_open = !matches!(kind, Kind::Enum(at) if self.enums[at].is_closed);
            fields.push(Field {
                number,
                name: if random.one_in(3) { format!("f{number}_ab_c{index}") } else { format!("f{number}") },
                kind,
                role,
                oneof,
                is_optional: syntax == Syntax::Proto3 && is_plain && random.one_in(3),
                is_required: syntax != Syntax::Proto3 && is_alone && random.one_in(8),
                is_packed,
                is_group,
                is_extension,
                is_implicit: syntax == Syntax::Edition2023 && is_plain && is_open && random.one_in(2),
            });
        }
        for field in &mut fields {
            field.is_implicit &= !field.is_required;
            if field.is_extension {
                // Extensions share the scope of the file, so their names must be unique there.
                field.name = format!("x{index}_{}", field.number);
            }
        }
        fields.sort_by_key(|field| field.number);
        fields
    }
}

fn random_enum(index: usize, syntax: Syntax, random: &mut Random<'_>) -> Enum {
    let is_closed = match syntax {
        Syntax::Proto2 => true,
        Syntax::Proto3 => false,
        Syntax::Edition2023 => random.one_in(3),
    };
    let mut numbers = vec![if is_closed { random.pick(&[0, 1, -1, 7]) } else { 0 }];
    for _ in 0..random.below(6) {
        let number = random.pick(&[0, 1, 2, 3, 5, 17, 100, 1 << 20, i32::MAX, -1, -2, i32::MIN]);
        numbers.push(number);
    }
    Enum { name: format!("r.E{index}"), numbers, is_closed }
}

/// Returns the well-known types. `first` is the index of the first one, and `null_value` is the index of the enum
/// NullValue.
fn well_known(first: usize, null_value: usize) -> Vec<Type> {
    let field = |number, name: &str, kind, role, oneof| Field {
        number,
        name: name.into(),
        kind,
        role,
        oneof,
        is_optional: false,
        is_required: false,
        is_packed: false,
        is_group: false,
        is_extension: false,
        is_implicit: false,
    };
    let one = |number, name: &str, kind| field(number, name, kind, Role::Singular, None);
    let message = |name: &str, fields| Type { full_name: format!("google.protobuf.{name}"), fields };
    let [value, list, structure] = [first, first + 1, first + 2].map(Kind::Message);
    let kinds = [
        ("null_value", Kind::Enum(null_value)),
        ("number_value", Kind::Double),
        ("string_value", Kind::String),
        ("bool_value", Kind::Bool),
        ("struct_value", structure),
        ("list_value", list),
    ];
    let member =
        |(index, (name, kind)): (usize, (&str, Kind))| field(index as u32 + 1, name, kind, Role::Singular, Some(0));
    let mut types = vec![
        message("Value", kinds.into_iter().enumerate().map(member).collect()),
        message("ListValue", vec![field(1, "values", value, Role::Repeated, None)]),
        message("Struct", vec![field(1, "fields", value, Role::Map(Kind::String), None)]),
        message("Timestamp", vec![one(1, "seconds", Kind::Int64), one(2, "nanos", Kind::Int32)]),
        message("Duration", vec![one(1, "seconds", Kind::Int64), one(2, "nanos", Kind::Int32)]),
        message("FieldMask", vec![field(1, "paths", Kind::String, Role::Repeated, None)]),
        message("Empty", vec![]),
        message("Any", vec![one(1, "type_url", Kind::String), one(2, "value", Kind::Bytes)]),
    ];
    for (name, kind) in [
        ("DoubleValue", Kind::Double),
        ("FloatValue", Kind::Float),
        ("Int64Value", Kind::Int64),
        ("UInt64Value", Kind::Uint64),
        ("Int32Value", Kind::Int32),
        ("UInt32Value", Kind::Uint32),
        ("BoolValue", Kind::Bool),
        ("StringValue", Kind::String),
        ("BytesValue", Kind::Bytes),
    ] {
        types.push(message(name, vec![one(1, "value", kind)]));
    }
    types
}
