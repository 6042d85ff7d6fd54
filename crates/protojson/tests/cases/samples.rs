//! Samples contain every field and fit the schema with every profile.

use protojson::{Additions, Bytes, Enums, ErrorKind, FieldNames, Int64, Options, Schema};

use crate::{SCHEMA, Wire, json_with};

/// Returns the sample of a type as JSON, with a profile.
fn sample(message_type: &str, options: &Options) -> String {
    let wire = Wire(SCHEMA.sample(message_type).unwrap());
    json_with(&SCHEMA, options, message_type, &wire).unwrap()
}

/// Returns every type in the files of the cases.
fn types() -> Vec<&'static str> {
    let mut types: Vec<&str> =
        SCHEMA.messages().map(|(name, _)| name).filter(|name| name.starts_with("cases.")).collect();
    types.sort_unstable();
    types
}

#[test]
fn every_type_has_a_sample_that_fits_every_profile() {
    let mut other = Options::default();
    other.field_names = FieldNames::Proto;
    other.int64 = Int64::Number;
    other.enums = Enums::Number;
    other.bytes = Bytes::Base64Url;
    other.emit_defaults = true;
    for message_type in types() {
        sample(message_type, &Options::default());
        sample(message_type, &other);
    }
}

#[test]
fn a_sample_contains_every_field_and_one_member_of_each_oneof() {
    let of = |message_type| sample(message_type, &Options::default());
    assert_eq!(
        of("cases.v1.Presence"),
        r#"{"number":2,"text":"text","data":"ZXhhbXBsZQ==","ratio":12.5,"color":"COLOR_RED","nullValue":null,"a":2,"plain":true}"#
    );
    assert_eq!(
        of("cases.v2.Legacy"),
        concat!(
            r#"{"number":2,"text":"text","size":"SIZE_SMALL","sizes":["SIZE_SMALL"],"part":{"id":2,"name":"Example"},"#,
            r#""many":[{"id":2}],"byName":{"key":"SIZE_SMALL"},"unpacked":[2],"either":"SIZE_SMALL","#,
            r#""strict":{"id":2,"name":"Example"},"time":"2026-01-15T09:30:00Z","[cases.v2.label]":"Example","#,
            r#""[cases.v2.counts]":[2],"[cases.v2.strict_extension]":{"id":2,"name":"Example"},"#,
            r#""[cases.v2.Scope.scoped_size]":"SIZE_SMALL"}"#
        )
    );
    let well_known = of("cases.v1.WellKnown");
    assert!(
        well_known.contains(r#""any":{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"value"}"#)
    );
    assert!(
        well_known.contains(r#""timestamp":"2026-01-15T09:30:00Z","duration":"90s","mask":"name""#),
        "{well_known}"
    );
}

/// Returns a schema of levels of messages. Each message has ten fields of the type of the next level, and a text. The
/// fields are optional (1) or required (2).
fn levels(levels: usize, label: u64) -> Schema {
    let field = |name: &str, number: u64, kind: u64, label: u64| {
        Wire::new().string(1, name).varint(3, number).varint(4, label).varint(5, kind)
    };
    let mut file = Wire::new().string(1, "levels.proto");
    for level in 0..levels {
        let mut message = Wire::new().string(1, &format!("L{level}")).message(2, field("text", 20, 9, 1));
        for number in 1..=10 {
            let inner = field(&format!("f{number}"), number, 11, label).string(6, &format!(".L{}", level + 1));
            message = if level + 1 < levels { message.message(2, inner) } else { message };
        }
        file = file.message(4, message);
    }
    let set = Wire::new().message(1, file);
    Schema::builder().set("levels.binpb", &set.0).unwrap().build().unwrap()
}

#[test]
fn a_sample_of_a_type_with_a_thousand_million_paths_is_small_and_has_its_upper_levels() {
    let schema = levels(9, 1);
    let sample = schema.sample("L0").unwrap();
    assert!((1_000..20_000).contains(&sample.len()), "{} bytes", sample.len());
    let mut json = Vec::new();
    schema.plan("L0", &Options::default()).unwrap().transcode(&sample, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for (one, other) in [(1, 1), (1, 10), (7, 8)] {
        assert_eq!(json[format!("f{one}")][format!("f{other}")]["text"], "text", "f{one}.f{other}");
    }
    // Everything that walks the types handles each of them once.
    let document = schema.json_schema("L0", &Options::default(), Additions::Accepted).unwrap();
    assert_eq!(document["$defs"].as_object().unwrap().len(), 9);
    assert!(document.to_string().len() < 20_000);
}

#[test]
fn a_type_that_requires_a_thousand_million_messages_has_a_sample_that_is_refused() {
    let schema = levels(9, 2);
    let sample = schema.sample("L0").unwrap();
    assert!(sample.len() < 400_000, "{} bytes", sample.len());
    let refused = schema.plan("L0", &Options::default()).unwrap().transcode(&sample, &mut Vec::new()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MissingRequired);
    assert!(
        levels(3, 2)
            .plan("L0", &Options::default())
            .unwrap()
            .transcode(&levels(3, 2).sample("L0").unwrap(), &mut Vec::new())
            .is_ok()
    );
}

#[test]
fn a_sample_is_the_same_every_time() {
    for message_type in types() {
        assert_eq!(SCHEMA.sample(message_type), SCHEMA.sample(message_type), "{message_type}");
    }
}
