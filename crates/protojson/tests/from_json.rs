//! Reading ProtoJSON: the wire format of a JSON text renders as the text's canonical form again.

#[path = "support/all.rs"]
mod support;

use std::cell::Cell;
use std::rc::Rc;

use protojson::{Bytes, Options, Schema};
use support::random::Random;
use support::trial;

const SOURCE: &str = r#"
syntax = "proto3";
package t;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { option allow_alias = true; RED = 0; GREEN = 1; LIME = 1; BLUE = -2; }
message M {
  int32 i32 = 1;
  int64 i64 = 2;
  uint32 u32 = 3;
  uint64 u64 = 4;
  sint64 s64 = 5;
  fixed64 f64 = 6;
  sfixed32 sf32 = 7;
  float real = 8;
  double exact = 9;
  bool flag = 10;
  string text = 11;
  bytes raw_bytes = 12;
  Color color = 13;
  M inner = 14;
  repeated M inners = 15;
  repeated sint32 numbers = 16;
  map<string, M> by_name = 17;
  map<int64, bool> by_number = 18;
  map<bool, Color> by_flag = 19;
  oneof choice { string first_choice = 20; M second_choice = 21; google.protobuf.NullValue nothing = 22; }
  google.protobuf.Timestamp at = 30;
  google.protobuf.Duration lasts = 31;
  google.protobuf.FieldMask mask = 32;
  google.protobuf.Struct object = 33;
  google.protobuf.Value value = 34;
  google.protobuf.ListValue list = 35;
  google.protobuf.Any any = 36;
  google.protobuf.Int64Value wrapped = 37;
  google.protobuf.BytesValue wrapped_bytes = 38;
  repeated google.protobuf.Value values = 39;
  optional int32 present = 40;
}
"#;

fn schema() -> Schema {
    let folder = folder_with("t.proto", SOURCE);
    let set = protox::compile(["t.proto"], [&folder]).expect("the source compiles");
    let builder = Schema::builder().set("t.binpb", &prost::Message::encode_to_vec(&set)).expect("the set links");
    builder.build().expect("one set contradicts no other")
}

/// Writes a source into a folder of its own, below the folder of the tests.
fn folder_with(name: &str, source: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("from_json-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder can be created");
    std::fs::write(folder.join(name), source).expect("the file can be written");
    folder
}

/// Returns the canonical form of a text, or the error.
fn canonical(schema: &Schema, json: &str) -> String {
    match schema.wire_from_json("t.M", json.as_bytes()).expect("the type is known") {
        Ok(wire) => {
            let mut out = Vec::new();
            match schema.plan("t.M", &Options::default()).expect("the type is known").transcode(&wire, &mut out) {
                Ok(()) => String::from_utf8(out).expect("JSON is UTF-8"),
                Err(error) => format!("unrenderable: {error}"),
            }
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn every_spelling_that_protojson_allows_is_read() {
    let schema = schema();
    for (json, expected) in [
        (r"{}", r"{}"),
        (" {\n} ", r"{}"),
        (r#"{"i32":-7,"i64":"-9223372036854775808","u32":4294967295}"#, ""),
        (
            r#"{"u64":18446744073709551615,"s64":-1,"f64":1,"sf32":"-2147483648"}"#,
            r#"{"u64":"18446744073709551615","s64":"-1","f64":"1","sf32":-2147483648}"#,
        ),
        (r#"{"i32":1e3,"u32":2.0,"i64":"3.0e1"}"#, r#"{"i32":1000,"i64":"30","u32":2}"#),
        (r#"{"real":0.1,"exact":1e308}"#, r#"{"real":0.1,"exact":1e+308}"#),
        (r#"{"real":"NaN","exact":"-Infinity"}"#, ""),
        (r#"{"real":"1.5","exact":7205759403792793}"#, r#"{"real":1.5,"exact":7205759403792793}"#),
        (r#"{"exact":5e-324}"#, ""),
        (r#"{"flag":true,"text":"a\u00e9\n"}"#, "{\"flag\":true,\"text\":\"aé\\n\"}"),
        (r#"{"rawBytes":"+/8A"}"#, ""),
        (r#"{"raw_bytes":"-_8"}"#, r#"{"rawBytes":"+/8="}"#),
        (r#"{"color":"LIME"}"#, r#"{"color":"GREEN"}"#),
        (r#"{"color":-2}"#, r#"{"color":"BLUE"}"#),
        (r#"{"color":77}"#, ""),
        (r#"{"inner":{},"inners":[{},{"i32":1}]}"#, ""),
        (r#"{"i32":null,"inner":null,"inners":null,"byName":null,"firstChoice":null,"at":null,"wrapped":null}"#, r"{}"),
        (r#"{"numbers":[1,"-2",3.0]}"#, r#"{"numbers":[1,-2,3]}"#),
        (
            r#"{"byName":{"a":{"i32":1},"":{}},"byNumber":{"-1":true},"byFlag":{"true":"BLUE","false":0}}"#,
            r#"{"byName":{"":{},"a":{"i32":1}},"byNumber":{"-1":true},"byFlag":{"false":"RED","true":"BLUE"}}"#,
        ),
        (r#"{"firstChoice":"","secondChoice":null}"#, r#"{"firstChoice":""}"#),
        (r#"{"nothing":null}"#, ""),
        (r#"{"nothing":"NULL_VALUE"}"#, r#"{"nothing":null}"#),
        (r#"{"at":"2026-01-15T10:30:00.5+01:00"}"#, r#"{"at":"2026-01-15T09:30:00.500Z"}"#),
        (r#"{"at":"0001-01-01T00:00:00Z"}"#, ""),
        (r#"{"at":"9999-12-31T23:59:59.999999999Z"}"#, ""),
        (r#"{"at":"2024-02-29T00:00:00Z"}"#, ""),
        (r#"{"at":"1969-12-31T23:59:59.900Z"}"#, ""),
        (r#"{"lasts":"-0.5s"}"#, r#"{"lasts":"-0.500s"}"#),
        (r#"{"lasts":"315576000000s"}"#, ""),
        (r#"{"mask":"a,bC.dE"}"#, ""),
        (r#"{"mask":""}"#, ""),
        (r#"{"object":{"a":[1,null,{"b":"c"}],"d":true}}"#, ""),
        (r#"{"value":null,"list":[]}"#, ""),
        (r#"{"values":[null,1.5,"x",{},[]]}"#, ""),
        (r#"{"any":{}}"#, ""),
        (r#"{"any":{"@type":"x/t.M","i32":1}}"#, ""),
        (r#"{"any":{"i32":1,"@type":"t.M"}}"#, r#"{"any":{"@type":"t.M","i32":1}}"#),
        (r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"}}"#, ""),
        (r#"{"any":{"@type":"x/google.protobuf.Any","value":{"@type":"x/t.M"}}}"#, ""),
        (r#"{"wrapped":"0","wrappedBytes":""}"#, ""),
        (r#"{"wrapped":5}"#, r#"{"wrapped":"5"}"#),
        (r#"{"present":0,"i32":0,"text":""}"#, r#"{"present":0}"#),
    ] {
        let expected = if expected.is_empty() { json } else { expected };
        assert_eq!(canonical(&schema, json), expected, "{json}");
    }
    assert!(schema.wire_from_json("t.Absent", b"{}").is_none());
}

#[test]
fn a_text_that_is_not_the_json_of_the_type_is_refused_with_the_field_and_without_the_value() {
    let schema = schema();
    let refused = [
        "",
        "[]",
        "7",
        "null",
        "{} {}",
        r#"{"i32":1"#,
        r#"{"secret":1}"#,
        r#"{"inner":{"i32":1,"I32":2}}"#,
        r#"{"i32":1,"i32":2}"#,
        r#"{"rawBytes":"","raw_bytes":""}"#,
        r#"{"firstChoice":"secret","secondChoice":{}}"#,
        r#"{"i32":2147483648}"#,
        r#"{"u32":-1}"#,
        r#"{"i32":1.5}"#,
        r#"{"i64":"+1"}"#,
        r#"{"i64":" 1"}"#,
        r#"{"i64":"secret"}"#,
        r#"{"i64":9007199254740993.0}"#,
        r#"{"real":1e39}"#,
        r#"{"exact":1e999}"#,
        r#"{"exact":"nan"}"#,
        r#"{"flag":"true"}"#,
        r#"{"text":7}"#,
        r#"{"rawBytes":"sec*ret"}"#,
        r#"{"color":"secret"}"#,
        r#"{"inner":[]}"#,
        r#"{"inner":"secret"}"#,
        r#"{"i32":{}}"#,
        r#"{"i32":[1]}"#,
        r#"{"numbers":7}"#,
        r#"{"numbers":{"a":1}}"#,
        r#"{"numbers":[1,null]}"#,
        r#"{"inners":[null]}"#,
        r#"{"byName":[]}"#,
        r#"{"byName":{"secret":null}}"#,
        r#"{"byName":{"secret":{},"secret":{}}}"#,
        r#"{"byNumber":{"secret":true}}"#,
        r#"{"byFlag":{"TRUE":0}}"#,
        r#"{"at":"2026-01-15 09:30:00Z"}"#,
        r#"{"at":"2025-02-29T00:00:00Z"}"#,
        r#"{"at":"0001-01-01T00:00:00+00:01"}"#,
        r#"{"at":7}"#,
        r#"{"lasts":"1"}"#,
        r#"{"lasts":"315576000001s"}"#,
        r#"{"mask":"a_b"}"#,
        r#"{"object":[]}"#,
        r#"{"object":{"secret":1,"secret":2}}"#,
        r#"{"list":{}}"#,
        r#"{"any":{"i32":1}}"#,
        r#"{"any":{"@type":"x/t.Absent"}}"#,
        r#"{"any":{"@type":"x/t.M","secret":1}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s","more":1}}"#,
    ]
    .map(|json| canonical(&schema, json))
    .join("\n");
    assert!(!refused.replace("no field `secret`", "").contains("secret"), "{refused}");
    insta::assert_snapshot!(refused, @r#"
    error: EOF while parsing a value at line 1 column 0
    error: t.M: a list is not its JSON at line 1 column 2
    error: t.M: expected an object at line 1 column 1
    error: t.M: expected an object at line 1 column 4
    error: trailing characters at line 1 column 4
    error: EOF while parsing an object at line 1 column 8
    error: t.M: it has no field `secret` at line 1 column 9
    error: t.M: it has no field `I32` at line 1 column 23
    error: t.M: field `i32` is there twice at line 1 column 14
    error: t.M: field `raw_bytes` is there twice at line 1 column 26
    error: t.M: field `second_choice` and another field of its oneof are set at line 1 column 42
    error: t.M.i32: the number is out of range at line 1 column 17
    error: t.M.u32: the number is out of range at line 1 column 9
    error: t.M.i32: expected a whole number at line 1 column 10
    error: t.M.i64: expected a whole number at line 1 column 11
    error: t.M.i64: expected a whole number at line 1 column 11
    error: t.M.i64: expected a whole number at line 1 column 15
    error: t.M.i64: expected a whole number at line 1 column 25
    error: t.M.real: the number is out of range at line 1 column 12
    error: number out of range at line 1 column 14
    error: t.M.exact: expected a number at line 1 column 14
    error: t.M.flag: expected true or false at line 1 column 14
    error: t.M.text: expected a string at line 1 column 9
    error: t.M.raw_bytes: expected a string of base64 at line 1 column 21
    error: t.M.color: expected the name of a value of its enum at line 1 column 17
    error: t.M: a list is not its JSON at line 1 column 11
    error: t.M: expected an object at line 1 column 17
    error: t.M.i32: expected a single value, found an object or a list at line 1 column 9
    error: t.M.i32: expected a single value, found an object or a list at line 1 column 8
    error: t.M.numbers: expected a list at line 1 column 12
    error: t.M.numbers: expected a list, found an object at line 1 column 12
    error: t.M.numbers: expected a whole number at line 1 column 18
    error: t.M.inners: null is no value at line 1 column 15
    error: t.M.by_name: expected an object, found a list at line 1 column 12
    error: t.M.by_name: null is no value at line 1 column 24
    error: t.M.by_name: a key is there twice at line 1 column 31
    error: t.M.by_number: expected a whole number at line 1 column 21
    error: t.M.by_flag: expected true or false at line 1 column 17
    error: google.protobuf.Timestamp: expected an RFC 3339 time such as 2026-01-15T09:30:00Z at line 1 column 28
    error: google.protobuf.Timestamp: expected an RFC 3339 time such as 2026-01-15T09:30:00Z at line 1 column 28
    error: google.protobuf.Timestamp: expected an RFC 3339 time such as 2026-01-15T09:30:00Z at line 1 column 33
    error: google.protobuf.Timestamp: expected a string at line 1 column 7
    error: google.protobuf.Duration: expected a duration such as 1.5s at line 1 column 12
    error: google.protobuf.Duration: expected a duration such as 1.5s at line 1 column 24
    error: google.protobuf.FieldMask: expected field paths in lowerCamelCase, separated by commas at line 1 column 13
    error: google.protobuf.Struct: a list is not its JSON at line 1 column 12
    error: google.protobuf.Struct: a key is there twice at line 1 column 33
    error: google.protobuf.ListValue: an object is not its JSON at line 1 column 10
    error: google.protobuf.Any: it has no text in `@type` at line 1 column 16
    error: google.protobuf.Any: it holds the unknown message type t.Absent at line 1 column 29
    error: t.M: it has no field `secret` at line 1 column 35
    error: google.protobuf.Any: a well-known type in it has exactly the fields `@type` and `value` at line 1 column 67
    "#);
}

#[test]
fn the_json_of_random_messages_is_read_back() {
    let count = Rc::new(Cell::new(0_u32));
    let judges = |schema: &Schema, message_type: &str, options: &Options| -> trial::Judge {
        let (schema, name) = (schema.clone(), message_type.to_owned());
        let mut spelling = Options::default();
        spelling.field_names = options.field_names;
        spelling.int64 = options.int64;
        spelling.enums = options.enums;
        spelling.bytes = options.bytes;
        spelling.emit_defaults = options.emit_defaults;
        let is_readable = options.bytes != Bytes::Hex && format!("{spelling:?}") == format!("{options:?}");
        let plan = schema.plan(message_type, &spelling).unwrap();
        let count = Rc::clone(&count);
        Box::new(move |json| {
            if !is_readable {
                return Ok(());
            }
            let text = String::from_utf8_lossy(json);
            let wire = schema.wire_from_json(&name, json).unwrap().map_err(|error| format!("{error}: {text}"))?;
            let mut again = Vec::new();
            plan.transcode(&wire, &mut again).map_err(|error| format!("{error}: {text}"))?;
            count.set(count.get() + 1);
            match again == json {
                true => Ok(()),
                false => Err(format!("{text} is read as {}", String::from_utf8_lossy(&again))),
            }
        })
    };
    for seed in 1..=100 {
        if let Err(finding) = trial::judged(&mut Random::seeded(seed), &judges) {
            panic!("seed {seed}: {finding}");
        }
    }
    assert!(count.get() > 500, "{} texts", count.get());
}

#[test]
fn no_text_makes_the_reader_panic() {
    let schema = schema();
    let seeds = [
        r#"{"i32":-7,"real":"NaN","rawBytes":"+/8A","color":"RED","inner":{"inners":[{},{}]},"byFlag":{"true":0}}"#,
        r#"{"at":"2026-01-15T10:30:00.5+01:00","lasts":"-0.5s","mask":"a,bC.dE","value":[1,{"a":null}]}"#,
        r#"{"any":{"@type":"x/t.M","any":{"@type":"x/google.protobuf.Duration","value":"1s"}}}"#,
    ];
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut read = 0;
    for round in 0..6_000 {
        let mut text = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..next(4) {
            let at = next(text.len());
            match next(3) {
                0 => text.truncate(at.max(1)),
                1 => text[at] = next(256) as u8,
                _ => text[at] = br#"{}[],:"0-."#[next(10)],
            }
        }
        read += usize::from(schema.wire_from_json("t.M", &text).unwrap().is_ok());
    }
    assert!(read > 1_200, "{read} texts");
    let deep = r#"{"inner":"#.repeat(100_000);
    assert!(canonical(&schema, &deep).contains("recursion limit"));
}
