use prost::Message as _;
use prost_reflect::DynamicMessage;

use crate::*;

const TYPE: &str = "example.v1.Sample";

fn schema() -> Schema {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let set = protox::compile(["sample.proto"], [root]).unwrap();
    Schema::builder().set("sample.binpb", &set.encode_to_vec()).unwrap().build().unwrap()
}

/// The wire form of a Sample given as ProtoJSON.
fn wire(schema: &Schema, json: &str) -> Vec<u8> {
    let plan = schema.plan(TYPE, &Options::default()).unwrap();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(plan.message, &mut deserializer).unwrap().encode_to_vec()
}

fn check(input: &str, options: &Options, expected: &str) {
    let schema = schema();
    let mut json = Vec::new();
    schema.plan(TYPE, options).unwrap().transcode(&wire(&schema, input), &mut json).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn the_default_is_canonical_protojson() {
    check(
        r#"{"meta":{"tenantId":"acme","occurredAt":"2026-01-02T03:04:05.600Z"},"count":"9007199254740993","ratio":1.0,"digest":"+/8=","colour":"COLOUR_RED","tags":["a","b"],"flag":false,"comment":"hm"}"#,
        &Options::default(),
        r#"{"meta":{"tenantId":"acme","occurredAt":"2026-01-02T03:04:05.600Z"},"count":"9007199254740993","ratio":1,"digest":"+/8=","colour":"COLOUR_RED","tags":["a","b"],"flag":false,"comment":"hm"}"#,
    );
}

#[test]
fn options_change_the_spelling() {
    let options =
        Options { field_names: FieldNames::Proto, int64: Int64::Number, enums: Enums::Number, ..Options::default() };
    check(
        r#"{"meta":{"tenantId":"acme"},"count":"7","colour":"COLOUR_RED"}"#,
        &options,
        r#"{"meta":{"tenant_id":"acme"},"count":7,"colour":1}"#,
    );
    check(
        r#"{"note":"x"}"#,
        &Options { emit_defaults: true, ..Options::default() },
        r#"{"count":"0","ratio":0,"digest":"","colour":"COLOUR_UNSPECIFIED","tags":[],"note":"x"}"#,
    );
}

#[test]
fn characters_that_sqs_and_sns_refuse_are_escaped() {
    check(r#"{"note":"a\uffffb\ufffec\u0001"}"#, &Options::default(), "{\"note\":\"a\\uffffb\\ufffec\\u0001\"}");
}

#[test]
fn a_failed_payload_leaves_the_buffer_as_it_was() {
    let schema = schema();
    let plan = schema.plan(TYPE, &Options::default()).unwrap();
    let timestamp_of_year_10000 = [0x0a, 0x09, 0x12, 0x07, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for (payload, kind) in [
        (&[0x0a, 0x05, 0x0a][..], ErrorKind::Malformed),
        (&[0x4a, 0x01, 0xff][..], ErrorKind::InvalidUtf8),
        (&[0x07][..], ErrorKind::Malformed),
        (&timestamp_of_year_10000[..], ErrorKind::Unrenderable),
    ] {
        let mut json = b"before".to_vec();
        let error = plan.transcode(payload, &mut json).expect_err("the payload must be refused");
        assert_eq!((error.kind(), json.as_slice()), (kind, &b"before"[..]), "{error}");
        assert!(error.to_string().contains(TYPE), "{error}");
    }
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    let schema = schema();
    let plan = schema.plan(TYPE, &Options::default()).unwrap();
    let mut payload = Vec::new();
    for _ in 0..101 {
        let mut outer = vec![0x52];
        prost::encoding::encode_varint(payload.len() as u64, &mut outer);
        outer.extend(&payload);
        payload = outer;
    }
    assert_eq!(plan.transcode(&payload, &mut Vec::new()).unwrap_err().kind(), ErrorKind::TooDeep);
}

#[test]
fn taps_note_values_and_leave_absent_ones_out() {
    let schema = schema();
    let paths = ["meta.tenant_id", "meta.occurred_at", "count", "colour", "comment", "digest", "note", "flag"];
    let mut plan = schema.plan(TYPE, &Options::default()).unwrap();
    for path in paths {
        plan = plan.with_tap(path).unwrap();
    }
    let payload = wire(
        &schema,
        r#"{"meta":{"tenantId":"acme","occurredAt":"2026-01-02T03:04:05Z"},"count":"-3","colour":"COLOUR_RED","comment":"hm","digest":"+/8="}"#,
    );
    let mut taps = Taps::new();
    plan.transcode_tapped(&payload, &mut Vec::new(), &mut taps).unwrap();
    let values: Vec<_> = (0..paths.len()).map(|tap| taps.get(tap)).collect();
    let expected = ["acme", "2026-01-02T03:04:05Z", "-3", "COLOUR_RED", "hm", "+/8="].map(Some);
    assert_eq!(values[..6], expected);
    assert_eq!(values[6..], [None, None]);
}

#[test]
fn a_tap_that_has_no_single_value_is_refused_with_its_segment() {
    let schema = schema();
    for (path, message) in [
        ("meta.tenant", "field path meta.tenant in example.v1.Sample: there is no field tenant"),
        ("tags", "field path tags in example.v1.Sample: tags is repeated, so it has no single value"),
        (
            "count.x",
            "field path count.x in example.v1.Sample: count is not a message, so the path cannot go on behind it",
        ),
        ("meta", "field path meta in example.v1.Sample: meta is a message; name one of its fields"),
    ] {
        let error = schema.plan(TYPE, &Options::default()).unwrap().with_tap(path).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}
