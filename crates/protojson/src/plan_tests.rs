use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::*;

const TYPE: &str = "example.v1.Sample";

fn descriptor_set() -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proto");
    let mut compiler = protox::Compiler::new([root]).unwrap();
    compiler.include_imports(true).open_file("sample.proto").unwrap();
    compiler.encode_file_descriptor_set()
}

fn schema() -> Schema {
    Schema::builder().set("sample.binpb", &descriptor_set()).unwrap().build().unwrap()
}

/// Returns the wire form of a Sample given as ProtoJSON.
fn wire(json: &str) -> Vec<u8> {
    wire_of(TYPE, json)
}

fn wire_of(message_type: &str, json: &str) -> Vec<u8> {
    let message = DescriptorPool::decode(&*descriptor_set()).unwrap().get_message_by_name(message_type).unwrap();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(message, &mut deserializer).unwrap().encode_to_vec()
}

fn check(input: &str, options: &Options, expected: &str) {
    let schema = schema();
    let mut json = Vec::new();
    schema.plan(TYPE, options).unwrap().transcode(&wire(input), &mut json).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn default_options_give_canonical_protojson() {
    check(
        r#"{"meta":{"tenantId":"acme","occurredAt":"2026-01-02T03:04:05.600Z"},"count":"9007199254740993","ratio":1.0,"digest":"+/8=","color":"COLOR_RED","tags":["a","b"],"flag":false,"comment":"hm"}"#,
        &Options::default(),
        r#"{"meta":{"tenantId":"acme","occurredAt":"2026-01-02T03:04:05.600Z"},"count":"9007199254740993","ratio":1,"digest":"+/8=","color":"COLOR_RED","tags":["a","b"],"flag":false,"comment":"hm"}"#,
    );
}

#[test]
fn options_change_the_spelling() {
    let options =
        Options { field_names: FieldNames::Proto, int64: Int64::Number, enums: Enums::Number, ..Options::default() };
    check(
        r#"{"meta":{"tenantId":"acme"},"count":"7","color":"COLOR_RED"}"#,
        &options,
        r#"{"meta":{"tenant_id":"acme"},"count":7,"color":1}"#,
    );
    check(
        r#"{"note":"x"}"#,
        &Options { emit_defaults: true, ..Options::default() },
        r#"{"count":"0","ratio":0,"digest":"","color":"COLOR_UNSPECIFIED","tags":[],"note":"x"}"#,
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
fn taps_record_present_values_and_skip_absent_ones() {
    let schema = schema();
    let paths = ["meta.tenant_id", "meta.occurred_at", "count", "color", "comment", "digest", "note", "flag"];
    let mut plan = schema.plan(TYPE, &Options::default()).unwrap();
    for path in paths {
        plan = plan.with_tap(path).unwrap();
    }
    let payload = wire(
        r#"{"meta":{"tenantId":"acme","occurredAt":"2026-01-02T03:04:05Z"},"count":"-3","color":"COLOR_RED","comment":"hm","digest":"+/8="}"#,
    );
    let mut taps = Taps::new();
    plan.transcode_tapped(&payload, &mut Vec::new(), &mut taps).unwrap();
    let values: Vec<_> = (0..paths.len()).map(|tap| taps.get(tap)).collect();
    let expected = ["acme", "2026-01-02T03:04:05Z", "-3", "COLOR_RED", "hm", "+/8="].map(Some);
    assert_eq!(values[..6], expected);
    assert_eq!(values[6..], [None, None]);
}

#[test]
fn a_tap_without_a_single_value_is_refused_and_the_error_names_the_segment() {
    let schema = schema();
    for (path, message) in [
        ("meta.tenant", "field path meta.tenant in example.v1.Sample: there is no field tenant"),
        ("tags", "field path tags in example.v1.Sample: tags is repeated, so it has no single value"),
        (
            "count.x",
            "field path count.x in example.v1.Sample: count is not a message, so the path cannot continue after it",
        ),
        ("meta", "field path meta in example.v1.Sample: meta is a message; name one of its fields"),
    ] {
        let error = schema.plan(TYPE, &Options::default()).unwrap().with_tap(path).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

const ENVELOPE: &str = "example.v1.Envelope";

/// Transcodes an Envelope given as ProtoJSON, with options changed from the default.
fn check_envelope(input: &str, change: impl FnOnce(&mut Options), expected: &str) {
    let schema = schema();
    let mut options = Options::default();
    change(&mut options);
    let plan = schema.plan(ENVELOPE, &options).unwrap();
    let mut json = Vec::new();
    plan.transcode(&wire_of(ENVELOPE, input), &mut json).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

const FULL: &str = r#"{"sample":{"meta":{"tenantId":"t"},"count":"1","tags":["x","y"],"note":"n"},"samples":[{"count":"2","note":"a"},{"count":"3"}],"byName":{"k":{"note":"m","count":"4"}},"card":{"holder":"h","number":"4111","cvc":7},"left":"l"}"#;

#[test]
fn dropped_paths_are_left_out_inside_messages_lists_and_maps() {
    check_envelope(
        FULL,
        |options| {
            options.drop = paths(&["sample.meta", "sample.tags", "samples.count", "by_name.note", "card", "left"]);
        },
        r#"{"sample":{"count":"1","note":"n"},"samples":[{"note":"a"},{}],"byName":{"k":{"count":"4"}}}"#,
    );
}

#[test]
fn only_included_paths_are_written() {
    check_envelope(
        FULL,
        |options| options.include = paths(&["sample.meta.tenant_id", "samples.note", "card"]),
        r#"{"sample":{"meta":{"tenantId":"t"}},"samples":[{"note":"a"},{}],"card":{"holder":"h","number":"4111","cvc":7}}"#,
    );
}

#[test]
fn redacted_values_are_hidden_and_absent_fields_stay_absent() {
    check_envelope(
        FULL,
        |options| {
            options.redact = paths(&[
                "sample.note",
                "sample.count",
                "sample.tags",
                "sample.digest",
                "sample.comment",
                "samples",
                "left",
                "right",
            ]);
        },
        r#"{"sample":{"meta":{"tenantId":"t"},"count":null,"tags":null,"note":"[REDACTED]"},"samples":null,"byName":{"k":{"count":"4","note":"m"}},"card":{"holder":"h","number":"4111","cvc":7},"left":"[REDACTED]"}"#,
    );
}

#[test]
fn redact_marked_hides_the_fields_that_the_schema_marks() {
    check_envelope(
        r#"{"card":{"holder":"h","number":"4111","cvc":7}}"#,
        |options| options.redact_marked = true,
        r#"{"card":{"holder":"h","number":"[REDACTED]","cvc":null}}"#,
    );
}

#[test]
fn taps_read_fields_that_the_options_drop_or_redact() {
    let schema = schema();
    let options = Options { drop: paths(&["meta"]), redact: paths(&["note", "count"]), ..Options::default() };
    let plan = schema.plan(TYPE, &options).unwrap();
    let plan = plan.with_tap("meta.tenant_id").unwrap().with_tap("note").unwrap().with_tap("count").unwrap();
    let payload = wire(r#"{"meta":{"tenantId":"acme"},"note":"secret","ratio":2}"#);
    let (mut json, mut taps) = (Vec::new(), Taps::new());
    plan.transcode_tapped(&payload, &mut json, &mut taps).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"ratio":2,"note":"[REDACTED]"}"#);
    assert_eq!([taps.get(0), taps.get(1), taps.get(2)], [Some("acme"), Some("secret"), None]);
}

#[test]
fn a_hidden_time_without_json_has_no_value_and_refuses_no_payload() {
    let schema = schema();
    // Records: meta with a tenant and a time in the year 71651, count.
    let payload = b"\x0a\x0c\x0a\x01a\x12\x07\x08\x80\x80\x80\x80\x80\x40\x10\x05";
    let transcode = |drop: &[&str]| {
        let options = Options { drop: paths(drop), ..Options::default() };
        let plan = schema.plan(TYPE, &options).unwrap();
        let plan = plan.with_tap("meta.occurred_at").unwrap().with_tap("meta.tenant_id").unwrap();
        let (mut json, mut taps) = (Vec::new(), Taps::new());
        plan.transcode_tapped(payload, &mut json, &mut taps).map(|()| (String::from_utf8(json).unwrap(), taps))
    };
    for drop in ["meta", "meta.occurred_at"] {
        let (json, taps) = transcode(&[drop]).unwrap();
        assert!(json.contains(r#""count":"5""#) && !json.contains("occurred"), "{json}");
        assert_eq!((taps.get(0), taps.get(1)), (None, Some("a")), "{drop}");
    }
    assert_eq!(transcode(&[]).unwrap_err().kind(), ErrorKind::Unrenderable);
}

#[test]
fn dropped_and_redacted_fields_stay_hidden_if_records_are_out_of_order() {
    let schema = schema();
    let options = Options { drop: paths(&["meta", "tags"]), redact: paths(&["note"]), ..Options::default() };
    let plan = schema.plan(TYPE, &options).unwrap().with_tap("meta.tenant_id").unwrap();
    // Records: note, tags, meta, count, tags, note.
    let payload = b"\x4a\x01n\x32\x01t\x0a\x03\x0a\x01a\x10\x05\x32\x01u\x4a\x01m";
    let (mut json, mut taps) = (Vec::new(), Taps::new());
    plan.transcode_tapped(payload, &mut json, &mut taps).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"count":"5","note":"[REDACTED]"}"#);
    assert_eq!(taps.get(0), Some("a"));
}
