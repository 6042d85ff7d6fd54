use prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
};

use super::*;
use crate::SchemaErrorKind;

/// Returns a set of one file with one message `a.B` that has these string fields.
fn set(file: &str, fields: &[&str]) -> FileDescriptorSet {
    let field = |(index, name): (usize, &&str)| FieldDescriptorProto {
        name: Some((*name).into()),
        number: Some(index as i32 + 1),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        ..Default::default()
    };
    let message = DescriptorProto {
        name: Some("B".into()),
        field: fields.iter().enumerate().map(field).collect(),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some(file.into()),
        package: Some("a".into()),
        syntax: Some("proto3".into()),
        message_type: vec![message],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }
}

fn error_of(bytes: &[u8]) -> SchemaError {
    Schema::builder().set("x.binpb", bytes).expect_err("the set must be refused")
}

#[test]
fn a_message_is_found_by_its_full_name_and_listed_with_its_set() {
    let bytes = set("a.proto", &["c"]).encode_to_vec();
    let schema = Schema::builder().set("x.binpb", &bytes).unwrap().build().unwrap();
    assert!(schema.contains("a.B"));
    assert!(schema.messages().any(|(name, set)| name == "a.B" && set == "x.binpb"));
    assert_eq!(
        schema.plan("a.C", &Options::default()).unwrap_err().to_string(),
        "unknown message type a.C: no descriptor set defines it"
    );
}

#[test]
fn well_known_types_are_built_in_with_or_without_an_import() {
    let mut without_import = set("a.proto", &[]);
    without_import.file[0].dependency.push("google/protobuf/timestamp.proto".into());
    let schema = Schema::builder().set("x.binpb", &without_import.encode_to_vec()).unwrap().build().unwrap();
    assert!(schema.contains("google.protobuf.Timestamp"));
    assert!(schema.contains("google.protobuf.Struct"));
}

#[test]
fn bytes_that_are_no_descriptor_set_are_refused_and_the_error_names_the_set() {
    let error = error_of(b"syntax = \"proto3\";");
    assert_eq!(error.kind(), SchemaErrorKind::Unreadable);
    assert!(error.to_string().starts_with("descriptor set x.binpb: not a compiled FileDescriptorSet"), "{error}");
    assert_eq!(error_of(b"").to_string(), "descriptor set x.binpb: it holds no file; is it empty, or half written?");
}

#[test]
fn the_error_for_a_missing_import_names_the_import_and_the_fix() {
    let mut incomplete = set("a.proto", &[]);
    incomplete.file[0].dependency.push("common/money.proto".into());
    let error = error_of(&incomplete.encode_to_vec());
    assert_eq!(error.kind(), SchemaErrorKind::Unlinkable);
    assert_eq!(
        error.to_string(),
        "descriptor set x.binpb: import common/money.proto is missing; compile with `--include_imports`"
    );
}

#[test]
fn a_file_with_an_unknown_syntax_is_refused_and_the_error_names_the_file() {
    let mut unknown = set("a.proto", &[]);
    unknown.file[0].syntax = Some("proto9".into());
    let error = error_of(&unknown.encode_to_vec());
    assert_eq!(error.kind(), SchemaErrorKind::Unsupported);
    assert_eq!(error.to_string(), "descriptor set x.binpb: a.proto has the unknown syntax \"proto9\"");
}

#[test]
fn an_unknown_edition_is_refused() {
    let mut editions = set("a.proto", &[]);
    editions.file[0].syntax = Some("editions".into());
    assert_eq!(error_of(&editions.encode_to_vec()).kind(), SchemaErrorKind::Unsupported);
}

#[test]
fn sets_that_agree_join_and_a_conflict_names_both_sets_and_the_field() {
    let one = set("a.proto", &["c", "d"]).encode_to_vec();
    let elsewhere = set("copy/of/a.proto", &["c", "d"]).encode_to_vec();
    let renamed = set("a.proto", &["c", "e"]).encode_to_vec();
    let first = || Schema::builder().set("one.binpb", &one).unwrap();
    assert!(first().set("two.binpb", &elsewhere).unwrap().build().unwrap().contains("a.B"));
    let error = first().set("two.binpb", &renamed).unwrap().build().unwrap_err();
    assert_eq!(error.kind(), SchemaErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "descriptor set two.binpb: a.B is defined differently in one.binpb (look at field d); compile both from the same source, or remove one of them"
    );
}

#[test]
fn a_map_entry_without_a_valid_key_and_value_is_refused() {
    let of = |number, r#type: Type, label: Label| FieldDescriptorProto {
        name: Some(format!("f{number}")),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(r#type.into()),
        ..Default::default()
    };
    let error = |field: Vec<FieldDescriptorProto>| {
        let mut set = set("a.proto", &["c"]);
        let message = &mut set.file[0].message_type[0];
        let options = MessageOptions { map_entry: Some(true), ..Default::default() };
        message.nested_type =
            vec![DescriptorProto { name: Some("CEntry".into()), field, options: Some(options), ..Default::default() }];
        message.field[0] = of(1, Type::Message, Label::Repeated);
        message.field[0].type_name = Some(".a.B.CEntry".into());
        let error = Schema::builder().set("x.binpb", &set.encode_to_vec()).err()?;
        assert_eq!(error.kind(), SchemaErrorKind::Unlinkable);
        Some(error.to_string())
    };
    let (key, value) = (of(1, Type::String, Label::Optional), of(2, Type::Int32, Label::Optional));
    assert_eq!(error(vec![key.clone(), value.clone()]), None);
    for fields in [
        vec![],
        vec![key.clone()],
        vec![value.clone()],
        vec![of(1, Type::Double, Label::Optional), value.clone()],
        vec![of(1, Type::Int32, Label::Repeated), value],
        vec![key, of(2, Type::Int32, Label::Repeated)],
    ] {
        assert_eq!(
            error(fields).as_deref(),
            Some("descriptor set x.binpb: a.B.CEntry is a map entry without a valid key or value field")
        );
    }
}

#[test]
fn debug_output_is_short() {
    let set = |file: &str| set(file, &["c", "d"]).encode_to_vec();
    let builder =
        Schema::builder().set("one.binpb", &set("a.proto")).unwrap().set("two.binpb", &set("b.proto")).unwrap();
    assert_eq!(format!("{builder:?}"), r#"SchemaBuilder { sets: ["one.binpb", "two.binpb"] }"#);
    let schema = builder.build().unwrap();
    assert_eq!(format!("{schema:?}"), format!("Schema {{ sets: 2, messages: {} }}", schema.messages().count()));
    let plan = schema.plan("a.B", &Options::default()).unwrap();
    assert_eq!(format!("{plan:?}"), r#"Plan { message: "a.B", .. }"#);
}
