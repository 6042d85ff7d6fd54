//! Linking refuses the sets that no compiler writes. prost-reflect refuses each of them as well.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::descriptor_proto::{ExtensionRange, ReservedRange};
use prost_reflect::prost_types::enum_descriptor_proto::EnumReservedRange;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::source_code_info::Location;
use prost_reflect::prost_types::{
    DescriptorProto, EnumOptions, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, SourceCodeInfo,
};
use protojson::{Additions, DescriptorSet, FieldNames, Options, Schema, SchemaError, SchemaErrorKind};

const SOURCE: &str = r#"
    syntax = "proto3";
    package t;
    message M {
        string a_b = 1;
        E e = 2;
        oneof choice { int32 x = 3; Inner inner = 4; }
        message Inner { int32 z = 1; }
        map<string, Inner> named = 6;
    }
    enum E { ZERO = 0; ONE = 1; }
"#;

const OTHER: &str = r#"
    syntax = "proto2";
    package t;
    message Extended { extensions 100 to 200; }
    extend Extended { optional int32 extra = 100; }
"#;

fn compile(name: &str, source: &str) -> FileDescriptorProto {
    prost_reflect::prost_types::FileDescriptorProto::clone(
        protox::file::File::from_source(name, source).unwrap().file_descriptor_proto(),
    )
}

/// Returns a set of two files. Its type names are relative, as the parser leaves them.
fn set() -> FileDescriptorSet {
    FileDescriptorSet { file: vec![compile("m.proto", SOURCE), compile("other.proto", OTHER)] }
}

fn link(set: &FileDescriptorSet) -> Result<Schema, SchemaError> {
    Schema::builder().set("x.binpb", &set.encode_to_vec())?.build()
}

#[test]
fn relative_type_names_are_resolved_from_the_inside_out() {
    let set = set();
    assert!(DescriptorPool::from_file_descriptor_set(set.clone()).is_ok());
    let plan = link(&set).unwrap().plan("t.M", &Options::default()).unwrap();
    let mut json = Vec::new();
    plan.transcode(b"\x10\x01\x22\x02\x08\x05\x32\x07\x0a\x01k\x12\x02\x08\x06", &mut json).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"e":"ONE","inner":{"z":5},"named":{"k":{"z":6}}}"#);
}

fn field<'f>(message: &'f mut DescriptorProto, name: &str) -> &'f mut FieldDescriptorProto {
    message.field.iter_mut().find(|field| field.name() == name).unwrap()
}

/// Changes a set: its first message, and its two files.
type Change = fn(&mut FileDescriptorProto, &mut FileDescriptorProto);

#[test]
fn a_set_that_contradicts_itself_is_refused_and_the_error_names_the_file_and_the_element() {
    let cases: &[(Change, &str)] = &[
        (|m, _| m.message_type.push(m.message_type[0].clone()), "t.M is defined twice, in m.proto and m.proto"),
        (
            |m, other| other.message_type.push(m.message_type[0].clone()),
            "t.M is defined twice, in m.proto and other.proto",
        ),
        (|_, other| other.name = Some("m.proto".into()), "the set contains different versions of file m.proto; "),
        (|_, other| other.package = Some("t.M".into()), "t.M is defined twice"),
        (|m, _| m.enum_type[0].value[1].name = Some("M".into()), "t.M is defined twice"),
        (|m, _| field(&mut m.message_type[0], "x").name = Some("e".into()), "m.proto: t.M.e is defined twice"),
        (
            |m, _| field(&mut m.message_type[0], "x").name = Some("choice".into()),
            "m.proto: t.M.choice is defined twice",
        ),
        (|m, _| field(&mut m.message_type[0], "x").name = Some("Inner".into()), "m.proto: t.M.Inner is defined twice"),
        (|m, _| field(&mut m.message_type[0], "x").number = Some(1), "m.proto: two fields of t.M have the number 1"),
        (
            |m, _| field(&mut m.message_type[0], "x").number = Some(0),
            "t.M.x has the number 0, which is not a valid field number",
        ),
        (
            |m, _| field(&mut m.message_type[0], "x").number = Some(-1),
            "t.M.x has the number -1, which is not a valid field number",
        ),
        (
            |m, _| field(&mut m.message_type[0], "x").number = Some(19_500),
            "t.M.x has the number 19500, which is not a valid",
        ),
        (
            |m, _| m.message_type[0].reserved_range.push(ReservedRange { start: Some(3), end: Some(4) }),
            "m.proto: field t.M.x has the reserved number 3",
        ),
        (
            |m, _| {
                let range = ExtensionRange { start: Some(3), end: Some(4), options: None };
                m.message_type[0].extension_range.push(range);
            },
            "m.proto: field t.M.x has the reserved number 3",
        ),
        (
            |m, _| field(&mut m.message_type[0], "x").oneof_index = Some(1),
            "field t.M.x is in oneof 1, which its message does not have",
        ),
        (|m, _| field(&mut m.message_type[0], "x").oneof_index = Some(-1), "field t.M.x is in oneof -1"),
        (
            |m, _| {
                let x = field(&mut m.message_type[0], "x");
                x.set_type(Type::Message);
            },
            "m.proto: field t.M.x does not name its type",
        ),
        (
            |m, _| field(&mut m.message_type[0], "e").type_name = Some(".t.Nothing".into()),
            "m.proto: field t.M.e has type t.Nothing, which the set does not define",
        ),
        (
            |m, _| field(&mut m.message_type[0], "e").type_name = Some("Nothing.Inner".into()),
            "m.proto: field t.M.e has type Nothing.Inner, which the set does not define",
        ),
        (
            |m, _| field(&mut m.message_type[0], "e").type_name = Some(".t.Extended".into()),
            "m.proto: field e uses a type of other.proto, which the file does not import",
        ),
        (|m, _| m.enum_type[0].value.clear(), "m.proto: enum t.E has no value"),
        (|m, _| m.enum_type[0].value.swap(0, 1), "m.proto: the first value of t.E must have the number 0"),
        (|m, _| m.enum_type[0].value[1].number = Some(0), "m.proto: two values of t.E have the number 0"),
        (
            |m, _| m.enum_type[0].reserved_range.push(EnumReservedRange { start: Some(1), end: Some(1) }),
            "m.proto: value ONE of t.E has the reserved number 1",
        ),
        (
            |_, other| other.extension[0].number = Some(99),
            "other.proto: extension extra has number 99, which t.Extended does not reserve for extensions",
        ),
        (
            |_, other| other.extension[0].extendee = Some(".t.Nothing".into()),
            "other.proto: extension t.extra extends t.Nothing, which is not a message of the set",
        ),
        (
            |_, other| other.extension[0].extendee = Some(".t.M".into()),
            "field extra uses a type of m.proto, which the file does not import",
        ),
        (|m, _| m.public_dependency.push(0), "m.proto: a public import is not one of its imports"),
    ];
    for (change, expected) in cases {
        let mut set = set();
        let [one, other] = &mut set.file[..] else { unreachable!("the set has two files") };
        change(one, other);
        let error = link(&set).expect_err(expected);
        assert_eq!(error.kind(), SchemaErrorKind::Unlinkable, "{error}");
        assert!(error.to_string().contains(expected), "{error}, not {expected}");
        assert!(DescriptorPool::from_file_descriptor_set(set).is_err(), "{expected}");
    }
}

#[test]
fn aliases_and_types_of_public_imports_are_accepted() {
    let mut set = set();
    let options = EnumOptions { allow_alias: Some(true), ..Default::default() };
    set.file[0].enum_type[0].options = Some(options);
    set.file[0].enum_type[0].value[1].number = Some(0);
    // Each file passes the next one on, so that the first one can use the type of the last one.
    let pass_on = |name: &str, import: &str| FileDescriptorProto {
        name: Some(name.into()),
        dependency: vec![import.into()],
        public_dependency: vec![0],
        ..Default::default()
    };
    set.file.push(pass_on("one.proto", "two.proto"));
    set.file.push(pass_on("two.proto", "other.proto"));
    set.file[0].dependency.push("one.proto".into());
    let e = field(&mut set.file[0].message_type[0], "e");
    e.type_name = Some(".t.Extended".into());
    e.set_type(Type::Message);
    let schema = link(&set).unwrap();
    let mut json = Vec::new();
    let plan = schema.plan("t.M", &Options::default()).unwrap();
    plan.transcode(b"\x12\x03\xa0\x06\x07", &mut json).unwrap();
    assert_eq!(json, br#"{"e":{"[t.extra]":7}}"#);
}

/// Returns the JSON of a payload of `t.M` in a set of this file.
#[track_caller]
fn json_of(file: FileDescriptorProto, field_names: FieldNames, payload: &[u8]) -> String {
    let schema = link(&FileDescriptorSet { file: vec![file] }).unwrap();
    let mut options = Options::default();
    options.field_names = field_names;
    let mut json = Vec::new();
    schema.plan("t.M", &options).unwrap().transcode(payload, &mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    let described = schema.json_schema("t.M", &options, Additions::Accepted).unwrap();
    let properties = described["$defs"]["t_M"]["properties"].as_object().unwrap();
    let written: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert!(properties.keys().eq(written.keys()), "{described}");
    json
}

#[test]
fn fields_with_one_json_name_have_their_declared_names_in_json_and_the_others_do_not() {
    let fields = "optional int32 eventType = 1; optional int32 event_type = 2; optional int32 other_field = 3;";
    let file = |text: &str| compile("m.proto", text);
    let proto2 = file(&format!(r#"syntax = "proto2"; package t; message M {{ {fields} }}"#));
    let mut proto3 = proto2.clone();
    proto3.syntax = Some("proto3".into());
    let payload = b"\x08\x01\x10\x02\x18\x03";
    for file in [proto2, proto3] {
        let json = json_of(file.clone(), FieldNames::Json, payload);
        assert_eq!(json, r#"{"eventType":1,"event_type":2,"otherField":3}"#);
        let json = json_of(file, FieldNames::Proto, payload);
        assert_eq!(json, r#"{"eventType":1,"event_type":2,"other_field":3}"#);
    }
}

#[test]
fn no_two_fields_have_the_same_name_in_json_whatever_their_json_names_are() {
    let text = r#"syntax = "proto2"; package t; message M {
        optional int32 a = 1; optional int32 b = 2; optional int32 c = 3; optional int32 d_e = 4; }"#;
    for (names, expected) in [
        ([None, None, None], r#"{"a":1,"b":2,"c":3,"dE":4}"#),
        ([Some("x"), Some("x"), None], r#"{"a":1,"b":2,"c":3,"dE":4}"#),
        // The first two have their declared names, so the third one cannot be written as "a".
        ([Some("x"), Some("x"), Some("a")], r#"{"a":1,"b":2,"c":3,"dE":4}"#),
        ([Some("b"), Some("y"), Some("y")], r#"{"a":1,"b":2,"c":3,"dE":4}"#),
        // Two fields swap their names, which is no clash.
        ([Some("b"), Some("a"), Some("z")], r#"{"b":1,"a":2,"z":3,"dE":4}"#),
        ([Some("dE"), None, None], r#"{"a":1,"b":2,"c":3,"d_e":4}"#),
    ] {
        let mut file = compile("m.proto", text);
        for (field, name) in file.message_type[0].field.iter_mut().zip(names) {
            field.json_name = name.map(str::to_owned).or_else(|| field.json_name.clone());
        }
        assert_eq!(json_of(file, FieldNames::Json, b"\x08\x01\x10\x02\x18\x03\x20\x04"), expected, "{names:?}");
    }
}

#[test]
fn a_clash_of_json_names_affects_no_other_type_and_is_listed() {
    let mut set = set();
    field(&mut set.file[0].message_type[0], "x").json_name = Some("aB".into());
    let schema = link(&set).unwrap();
    assert_eq!(schema.json_name_clashes(), ["t.M.a_b", "t.M.x"]);
    let mut json = Vec::new();
    let plan = schema.plan("t.M", &Options::default()).unwrap();
    plan.transcode(b"\x0a\x01s\x18\x07", &mut json).unwrap();
    assert_eq!(json, br#"{"a_b":"s","x":7}"#);
    let before = link(&self::set()).unwrap();
    let changes: Vec<String> = schema.breaking_changes(&before).iter().map(ToString::to_string).collect();
    assert_eq!(changes, [r#"t.M.a_b: "aB" is now "a_b" in JSON (field_renamed)"#]);
    // A field that was added in one set, and clashes there, is no contradiction to the other set.
    let mut smaller = self::set();
    smaller.file[0].message_type[0].field.retain(|field| field.name() != "x");
    let sets = [set, smaller].map(|set| DescriptorSet::link("x.binpb", &set.encode_to_vec()).unwrap());
    assert_eq!(Schema::join(&sets).unwrap().json_name_clashes(), ["t.M.a_b", "t.M.x"]);
}

#[test]
fn identical_copies_of_a_file_in_one_set_are_one_file() {
    let (mut plain, mut described) = (set(), set());
    for file in &mut plain.file {
        file.source_code_info = None;
    }
    for file in &mut described.file {
        file.source_code_info = Some(SourceCodeInfo {
            location: vec![Location {
                path: vec![4, 0],
                span: vec![0, 0, 1],
                leading_comments: Some(" A remark.".into()),
                ..Default::default()
            }],
        });
    }
    let [plain, described] = [plain, described].map(|set| set.encode_to_vec());
    let link = |bytes: &[u8]| DescriptorSet::link("x.binpb", bytes).unwrap();
    // One set is joined to the other as `cat` does it. The copy with comments stays.
    for (joined, description) in [
        ([&*plain, &*plain].concat(), None),
        ([&*plain, &*described].concat(), Some("A remark.")),
        ([&*described, &*plain, &*described].concat(), Some("A remark.")),
    ] {
        let joined = link(&joined);
        assert_eq!(joined.files(), 2);
        let schema = Schema::join([&joined]).unwrap();
        let described = schema.json_schema("t.M", &Options::default(), Additions::Refused).unwrap();
        assert_eq!(described["$defs"]["t_M"].get("description").and_then(|it| it.as_str()), description);
    }
}

#[test]
fn different_versions_of_a_well_known_file_in_one_set_are_one_file() {
    let file = |fields: &[&str]| FileDescriptorProto {
        name: Some("google/protobuf/duration.proto".into()),
        package: Some("google.protobuf".into()),
        syntax: Some("proto3".into()),
        message_type: vec![DescriptorProto {
            name: Some("Duration".into()),
            field: (1..)
                .zip(fields)
                .map(|(number, name)| FieldDescriptorProto {
                    name: Some((*name).into()),
                    number: Some(number),
                    label: Some(Label::Optional.into()),
                    r#type: Some(if number == 1 { Type::Int64 } else { Type::Int32 }.into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let (small, large) = (file(&["seconds"]), file(&["seconds", "nanos"]));
    for file in [vec![small.clone(), large.clone()], vec![large, small]] {
        let schema = link(&FileDescriptorSet { file }).unwrap();
        assert!(schema.has_field("google.protobuf.Duration", "nanos"));
    }
}

#[test]
fn the_built_in_files_are_those_of_prost_reflect() {
    let schema = link(&FileDescriptorSet { file: vec![FileDescriptorProto::default()] }).unwrap();
    let mut built_in: Vec<&str> = schema.messages().map(|(name, _)| name).collect();
    let pool = DescriptorPool::global();
    let messages: Vec<_> = pool.all_messages().filter(|message| !message.is_map_entry()).collect();
    let mut expected: Vec<&str> = messages.iter().map(prost_reflect::MessageDescriptor::full_name).collect();
    built_in.sort_unstable();
    expected.sort_unstable();
    assert_eq!(built_in, expected);
}
