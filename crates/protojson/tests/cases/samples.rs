//! Samples contain every field and fit the schema with every profile.

use protojson::{Bytes, Enums, FieldNames, Int64, Options};

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

#[test]
fn a_sample_is_the_same_every_time() {
    for message_type in types() {
        assert_eq!(SCHEMA.sample(message_type), SCHEMA.sample(message_type), "{message_type}");
    }
}
